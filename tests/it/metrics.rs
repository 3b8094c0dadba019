//! Measurements: what happened is counted under names that the program knows, and nothing that was
//! asked, sent or kept stands in them. The counters are the process's, so other tests add to them.

use behalf_tests::TestServer;
use http::{Request, header};
use serde_json::json;

const STORE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const SETUP: &str = r#"
fga:
  api_keys: [{name: m, key: key-of-the-metrics-test, stores: ["*"], scopes: ["check:fga"]}]
  stores: [{id: 01ARZ3NDEKTSV4RRFFQ69G5FAV, name: documents, model: "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define owner: [user]\n    define can_view: owner\n", tuples: [{user: "user:ann", relation: owner, object: "doc:1"}]}]
"#;

async fn measured(server: &TestServer) -> String {
    let answer = server.get("/metrics").await.expect(200);
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/plain; version=0.0.4"));
    answer.text
}

/// The sum of the series of that name that carry each of `labels`.
fn sum(measured: &str, name: &str, labels: &[&str]) -> f64 {
    let series = measured.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
            && labels.iter().all(|label| line.contains(label))
    });
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

async fn check(server: &TestServer, user: &str) {
    let body = json!({"tuple_key": {"user": user, "relation": "can_view", "object": "doc:1"}});
    let request = Request::post(format!("/stores/{STORE}/check"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer key-of-the-metrics-test")
        .body(body.to_string().into())
        .unwrap();
    server.send(request).await.expect(200);
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status_and_never_by_path() {
    let server = TestServer::start(SETUP).await;
    let labels = ["method=\"POST\"", "route=\"/stores/{store_id}/check\"", "status=\"200\""];
    let name = "behalf_http_requests_total";
    let before = sum(&measured(&server).await, name, &labels);
    check(&server, "user:marker-of-a-person").await;
    server.get("/stores/marker-of-a-path?token=marker-of-a-query").await.expect(401);
    server.get("/marker-of-nothing").await.expect(404);
    let after = measured(&server).await;
    assert!(sum(&after, name, &labels) >= before + 1.0, "{after}");
    assert!(sum(&after, name, &["route=\"none\"", "status=\"404\""]) >= 1.0);
    let durations = "behalf_http_request_duration_seconds_count";
    assert!(sum(&after, durations, &["/stores/{store_id}/check"]) >= 1.0);
    assert!(!after.contains("marker-of") && !after.contains(STORE), "{after}");
}

#[tokio::test]
async fn checks_and_commits_are_counted_by_what_became_of_them() {
    let server = TestServer::start(SETUP).await;
    let count = |measured: &str, answer: &str| {
        sum(measured, "behalf_fga_checks_total", &[&format!("answer=\"{answer}\"")])
    };
    let before = measured(&server).await;
    check(&server, "user:ann").await;
    check(&server, "user:ben").await;
    let after = measured(&server).await;
    for answer in ["allowed", "denied"] {
        assert!(count(&after, answer) >= count(&before, answer) + 1.0, "{answer}: {after}");
    }
    let stored = ["outcome=\"stored\""];
    let commits = sum(&after, "behalf_commits_total", &stored);
    server.apply("users: [{user_id: auth0|x, username: x}]").await.unwrap();
    let later = measured(&server).await;
    assert!(sum(&later, "behalf_commits_total", &stored) > commits);
    assert!(sum(&later, "process_resident_memory_bytes", &[]) > 1_000_000.0);
    assert!(sum(&later, "behalf_outbox_events", &[]) >= 1.0, "{later}");
}

#[tokio::test]
async fn every_line_is_a_comment_or_a_measurement_with_a_help() {
    let server = TestServer::start("").await;
    let text = measured(&server).await;
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let name = name.split('{').next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let typed = format!("# TYPE {} ", family.unwrap_or(name));
        assert!(text.contains(&typed), "{line}");
    }
    assert!(text.contains("# HELP behalf_commits_total "), "{text}");
}
