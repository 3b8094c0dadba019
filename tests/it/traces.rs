//! The runs of agents through the router: who sees them, what of them, and what is never kept.

use std::time::Duration;

use axum::body::Body;
use behalf_core::{ProjectId, Timestamp, UserId};
use behalf_tests::{Answer, TestServer};
use behalf_traces::{Span, SpanKind, SpanStatus};
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::world::{WEB, signed_in_as, text};

/// A person without a role, another, and one of each role. Every password is `{name}-password`.
const SETUP: &str = r#"
users:
  - {user_id: "auth0|ann", username: ann, password: ann-password, name: Ann}
  - {user_id: "auth0|pat", username: pat, password: pat-password, name: Pat}
  - {user_id: "auth0|administrator2", username: administrator, password: administrator-password, roles: [administrator]}
  - {user_id: "auth0|operator", username: operator, password: operator-password, roles: [operator]}
  - {user_id: "auth0|security", username: security, password: security-password, roles: [security]}
  - {user_id: "auth0|auditor", username: auditor, password: auditor-password, roles: [auditor]}
  - {user_id: "auth0|billing", username: billing, password: billing-password, roles: [billing_administrator]}
clients:
  - {client_id: web, client_secret: web-secret, callbacks: ["https://web.example/callback"], grant_types: [authorization_code, password, client_credentials]}
client_grants:
  - {client_id: web, audience: "https://behalf.test/api/", scope: ["read:traces"]}
"#;

const API: &str = "https://behalf.test/api/";
const LIST: &str = "/api/v1/traces";

async fn start() -> TestServer {
    TestServer::start(SETUP).await
}

async fn token_of(server: &TestServer, name: &str, scope: &str) -> String {
    let password = format!("{name}-password");
    let form = [
        ("grant_type", "password"),
        ("username", name),
        ("password", &password),
        ("audience", API),
        ("scope", scope),
    ];
    let answer = WEB.token(server, &form).await.expect(200).json();
    text(&answer, "access_token").to_owned()
}

async fn get_as(server: &TestServer, name: &str, path: &str) -> Answer {
    let token = token_of(server, name, "read:traces").await;
    server.get_with_token(path, &token).await
}

fn id(n: u8) -> String {
    format!("{n:02x}").repeat(16)
}

/// A span that begins `at` seconds after the tests do.
fn span(trace: u8, span: u8, parent: Option<u8>, at: i64, attributes: Value) -> Span {
    let Value::Object(attributes) = attributes else { panic!("an object") };
    let start = Timestamp::from_secs(behalf_tests::START.as_secs() + at);
    Span {
        trace_id: [trace; 16],
        span_id: [span; 8],
        parent_span_id: parent.map(|parent| [parent; 8]),
        name: format!("span {span}"),
        kind: SpanKind::Other,
        start,
        end: start.plus(Duration::from_secs(1)),
        status: SpanStatus::Ok,
        attributes,
    }
}

fn chat(trace: u8, number: u8, parent: Option<u8>, model: &str, said: &str) -> Span {
    let attributes = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": 42,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.input.messages": [{"role": "user", "content": said}],
    });
    span(trace, number, parent, 0, attributes)
}

async fn append(server: &TestServer, owner: &str, spans: Vec<Span>) {
    let owner: Option<UserId> = owner.parse().ok();
    let project = ProjectId::default_project();
    server.server.traces.append(&project, owner.as_ref(), spans).await.unwrap();
}

fn trace_ids(answer: &Value) -> Vec<&str> {
    let traces = answer["traces"].as_array().unwrap().iter();
    traces.map(|trace| text(trace, "trace_id")).collect()
}

#[tokio::test]
async fn a_person_sees_her_own_runs_and_no_others() {
    let server = start().await;
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "hello")]).await;
    let list = get_as(&server, "ann", LIST).await.expect(200).json();
    assert_eq!(trace_ids(&list), [id(1)]);
    assert_eq!(list["next_page_token"], Value::Null);
    let one = get_as(&server, "ann", &format!("{LIST}/{}", id(1))).await.expect(200).json();
    assert_eq!(one["content"], "full");
    let said = &one["spans"][0]["attributes"]["gen_ai.input.messages"][0]["content"];
    assert_eq!(said, "hello");

    let list = get_as(&server, "pat", LIST).await.expect(200).json();
    assert_eq!(trace_ids(&list), [""; 0]);
    let asked = format!("{LIST}?user_id=auth0%7Cann");
    let list = get_as(&server, "pat", &asked).await.expect(200).json();
    assert_eq!(trace_ids(&list), [""; 0]);
    // What is not hers and what does not exist read the same.
    let hidden = get_as(&server, "pat", &format!("{LIST}/{}", id(1))).await.expect(404);
    let absent = get_as(&server, "pat", &format!("{LIST}/{}", id(9))).await.expect(404);
    assert_eq!(hidden.text, absent.text);
    for nonsense in ["x", "..%2f", &id(0xAB).to_uppercase(), "01"] {
        get_as(&server, "ann", &format!("{LIST}/{nonsense}")).await.expect(404);
    }
}

#[tokio::test]
async fn the_same_trace_id_under_another_owner_is_another_trace() {
    let server = start().await;
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "ann's")]).await;
    append(&server, "auth0|pat", vec![chat(1, 1, None, "gpt-4o", "pat's")]).await;
    for (name, said) in [("ann", "ann's"), ("pat", "pat's")] {
        let one = get_as(&server, name, &format!("{LIST}/{}", id(1))).await.expect(200).json();
        assert_eq!(one["spans"].as_array().unwrap().len(), 1);
        let content = &one["spans"][0]["attributes"]["gen_ai.input.messages"][0]["content"];
        assert_eq!(content, said);
    }
}

#[tokio::test]
async fn roles_see_others_runs_and_of_what_was_said_what_is_theirs() {
    let server = start().await;
    let said = "marker-of-a-prompt for ann@example.com";
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", said)]).await;
    for (name, content) in [
        ("administrator", Some("withheld")),
        ("operator", Some("masked")),
        ("security", Some("full")),
        ("auditor", Some("withheld")),
        ("billing", None),
    ] {
        let path = format!("{LIST}/{}", id(1));
        let Some(content) = content else {
            assert_eq!(trace_ids(&get_as(&server, name, LIST).await.expect(200).json()), [""; 0]);
            get_as(&server, name, &path).await.expect(404);
            continue;
        };
        let list = get_as(&server, name, LIST).await.expect(200);
        assert_eq!(trace_ids(&list.json()), [id(1)], "{name}");
        assert!(!list.text.contains("marker-of-a-prompt"), "{name}");
        let one = get_as(&server, name, &path).await.expect(200);
        assert_eq!(one.json()["content"], content, "{name}");
        let sees = (one.text.contains("marker-of-a-prompt"), one.text.contains("ann@example.com"));
        let expected = match content {
            "full" => (true, true),
            "masked" => (true, false),
            _ => (false, false),
        };
        assert_eq!(sees, expected, "{name}");
        // The page is no way round.
        let mut browser = signed_in_as(&server, name).await;
        let page = browser.get(&server, &format!("/console/traces/{}", id(1))).await;
        let page = page.answer.expect(200).text;
        let sees = (page.contains("marker-of-a-prompt"), page.contains("ann@example.com"));
        assert_eq!(sees, expected, "{name}");
    }
}

#[tokio::test]
async fn whoever_may_not_read_is_refused_and_a_machine_sees_nothing() {
    let server = start().await;
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "hello")]).await;
    let one = format!("{LIST}/{}", id(1));
    for path in [LIST, &one, "/api/v1/traces/live"] {
        let answer = server.get(path).await.expect(401);
        assert!(answer.header(header::WWW_AUTHENTICATE).starts_with("Bearer"));
        let token = token_of(&server, "ann", "chat").await;
        server.get_with_token(path, &token).await.expect(403);
    }
    let form = [("grant_type", "client_credentials"), ("audience", API)];
    let machine = WEB.token(&server, &form).await.expect(200).json();
    let machine = text(&machine, "access_token");
    let list = server.get_with_token(LIST, machine).await.expect(200).json();
    assert_eq!(trace_ids(&list), [""; 0]);
    server.get_with_token(&one, machine).await.expect(404);
    // A session reads as well; pages of another person's run do not exist.
    let mut ann = signed_in_as(&server, "ann").await;
    ann.get(&server, LIST).await.answer.expect(200);
    ann.get(&server, &format!("/console/traces/{}", id(1))).await.answer.expect(200);
    let mut pat = signed_in_as(&server, "pat").await;
    pat.get(&server, &format!("/console/traces/{}", id(1))).await.answer.expect(404);
    let page = pat.get(&server, "/console/traces").await.answer.expect(200).text;
    assert!(!page.contains(&id(1)) && page.contains("No run yet"), "{page}");
}

#[tokio::test]
async fn secrets_are_redacted_before_anything_is_kept() {
    let server = start().await;
    let canaries = [
        "bhf_at_canary0123456789",
        "gho_canary0123456789",
        "ghp_canary0123456789",
        "sk-canary-0123456789",
        "eyJjYW5hcnki.eyJjYW5hcnkiOiJ4In0.c2lnbmF0dXJl",
        "opaque.canary.0123456789",
    ];
    let [bhf, gho, ghp, sk, jwt, opaque] = canaries;
    let mut leaky = span(1, 1, None, 0, json!({}));
    leaky.name = format!("fetch {ghp}");
    let attributes = json!({
        "gen_ai.input.messages": [{"role": "user", "content": format!("use {bhf} and {sk}")}],
        "gen_ai.tool.call.arguments": format!("{{\"access_token\": \"{opaque}\"}}"),
        "http.request.header.authorization": format!("Bearer {opaque}"),
        "free.text": format!("Authorization: Bearer {opaque}, then {jwt}"),
        "nested": {"deep": [{"refresh_token": opaque, "note": gho}]},
        "plain": "kept",
    });
    leaky.attributes = attributes.as_object().unwrap().clone();
    append(&server, "auth0|ann", vec![leaky]).await;
    let one = get_as(&server, "ann", &format!("{LIST}/{}", id(1))).await.expect(200);
    let list = get_as(&server, "ann", LIST).await.expect(200);
    assert!(one.text.contains("kept") && one.text.contains("[redacted]"));
    for canary in canaries {
        assert!(!one.text.contains(canary), "{canary}: {}", one.text);
        assert!(!list.text.contains(canary), "{canary}");
    }
    // Neither are they on the disk; and what was said is there only sealed.
    for (name, bytes) in server.kept().await {
        for needle in canaries.iter().copied().chain(["use [redacted] and"]) {
            let is_there = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!is_there, "{needle} in {name}");
        }
    }
}

#[tokio::test]
async fn lists_are_filtered_and_paged_in_a_stable_order() {
    let server = start().await;
    for n in 1..=5_u8 {
        let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"});
        let mut spans = vec![span(n, 1, None, i64::from(n) * 60, json!({}))];
        if n == 2 {
            spans.push(span(n, 2, Some(1), 120, tool));
            let model = json!({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"});
            spans.push(span(n, 3, Some(1), 120, model));
            spans[0].name = "100%_sure".to_owned();
        }
        if n == 4 {
            spans[0].status = SpanStatus::Error;
        }
        append(&server, "auth0|ann", spans).await;
    }
    let token = token_of(&server, "ann", "read:traces").await;
    let get = async |query: &str| {
        let path = format!("{LIST}?{query}");
        server.get_with_token(&path, &token).await.expect(200).json()
    };
    let mut seen = Vec::new();
    let mut query = "page_size=2".to_owned();
    loop {
        let page = get(&query).await;
        seen.extend(trace_ids(&page).into_iter().map(str::to_owned));
        let Some(next) = page["next_page_token"].as_str() else { break };
        query = format!("page_size=2&page_token={next}");
    }
    assert_eq!(seen, [5, 4, 3, 2, 1].map(id), "newest first, each once");
    for (query, expected) in [
        ("tool=search", vec![2]),
        ("tool=other", vec![]),
        ("model=gpt-4o", vec![2]),
        ("status=error", vec![4]),
        ("status=ok", vec![5, 3, 2, 1]),
        ("q=SPAN+2", vec![2]),
        ("q=100%25_s", vec![2]),
        ("q=1%25", vec![]),
        ("from=2026-11-24T08:03:00Z", vec![5, 4, 3]),
        ("to=2026-11-24T08:02:00Z", vec![1]),
    ] {
        let expected = expected.into_iter().map(id).collect::<Vec<_>>();
        assert_eq!(trace_ids(&get(query).await), expected, "{query}");
    }
    for bad in ["page_token=x", "page_size=0", "page_size=101", "status=maybe", "from=now", "q=%ff"]
    {
        server.get_with_token(&format!("{LIST}?{bad}"), &token).await.expect(400);
    }
}

#[tokio::test]
async fn tokens_are_counted_and_priced_once() {
    let server = start().await;
    // The AI SDK's parent carries the sum of its children.
    let parent = json!({"gen_ai.operation.name": "invoke_agent",
        "gen_ai.usage.input_tokens": 84, "gen_ai.usage.output_tokens": 14});
    let spans = vec![
        span(1, 1, None, 0, parent),
        chat(1, 2, Some(1), "gpt-4o-mini", "x"),
        chat(1, 3, Some(1), "gpt-4o-mini", "x"),
        chat(2, 1, None, "some-model", "x"),
    ];
    for _ in 0..3 {
        append(&server, "auth0|ann", spans.clone()).await;
    }
    let list = get_as(&server, "ann", LIST).await.expect(200).json();
    let find = |id: String| {
        let traces = list["traces"].as_array().unwrap();
        traces.iter().find(|trace| trace["trace_id"] == id).unwrap().clone()
    };
    let priced = find(id(1));
    assert_eq!((&priced["input_tokens"], &priced["output_tokens"]), (&json!(84), &json!(14)));
    // 42 × $0.15 and 7 × $0.60 per million make 10.5 micro-dollars a call, rounded up to 11.
    assert_eq!(priced["cost_micro_usd"], 22);
    assert_eq!((&priced["span_count"], &priced["unpriced_calls"]), (&json!(3), &json!(0)));
    let unpriced = find(id(2));
    assert_eq!(unpriced["cost_micro_usd"], Value::Null, "unknown, not free");
    assert_eq!(unpriced["unpriced_calls"], 1);
}

#[tokio::test]
async fn a_run_is_open_until_its_root_says_that_it_is_over() {
    let server = start().await;
    let status = async || {
        let list = get_as(&server, "ann", LIST).await.expect(200).json();
        (text(&list["traces"][0], "status").to_owned(), text(&list["traces"][0], "name").to_owned())
    };
    append(&server, "auth0|ann", vec![chat(1, 2, Some(1), "gpt-4o", "x")]).await;
    assert_eq!(status().await, ("open".to_owned(), "span 2".to_owned()));
    let mut root = span(1, 1, None, 0, json!({"behalf.turn.status": "running"}));
    root.status = SpanStatus::Unset;
    append(&server, "auth0|ann", vec![root.clone()]).await;
    assert_eq!(status().await, ("open".to_owned(), "span 1".to_owned()));
    root.attributes.insert("behalf.turn.status".to_owned(), "waiting".into());
    append(&server, "auth0|ann", vec![root.clone()]).await;
    assert_eq!(status().await.0, "waiting");
    let waiting = get_as(&server, "ann", &format!("{LIST}?status=waiting")).await.expect(200);
    assert_eq!(waiting.json()["traces"].as_array().unwrap().len(), 1);
    root.attributes.insert("behalf.turn.status".to_owned(), "done".into());
    append(&server, "auth0|ann", vec![root]).await;
    assert_eq!(status().await.0, "ok");
}

/// Everything that the list and each trace say.
async fn everything(server: &TestServer) -> Vec<Value> {
    let list = get_as(server, "security", LIST).await.expect(200).json();
    let mut all = vec![list.clone()];
    for id in trace_ids(&list) {
        all.push(get_as(server, "security", &format!("{LIST}/{id}")).await.expect(200).json());
    }
    all
}

async fn fill(server: &TestServer) {
    let tool = json!({"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search"});
    append(server, "auth0|ann", vec![chat(1, 2, Some(1), "gpt-4o", "x")]).await;
    append(server, "auth0|ann", vec![span(1, 3, Some(1), 1, tool), span(1, 1, None, 0, json!({}))])
        .await;
    append(server, "auth0|pat", vec![chat(2, 1, None, "some-model", "y")]).await;
    // A span that comes again with other figures.
    append(server, "auth0|ann", vec![chat(1, 2, Some(1), "gpt-4o-mini", "x")]).await;
}

#[tokio::test]
async fn projections_built_again_equal_those_that_were_there() {
    let server = start().await;
    fill(&server).await;
    let before = everything(&server).await;
    assert_eq!(before.len(), 3);
    let project = ProjectId::default_project();
    assert_eq!(server.server.traces.rebuild(&project).await.unwrap(), 4);
    assert_eq!(everything(&server).await, before);
    append(&server, "auth0|ann", vec![chat(3, 1, None, "gpt-4o", "z")]).await;
    assert_eq!(everything(&server).await.len(), 4, "new spans follow the old");
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_restart() {
    let server = start().await;
    fill(&server).await;
    let before = everything(&server).await;
    let TestServer { server: parts, dir, .. } = server;
    parts.storage.close().await;
    drop(parts);
    let again = TestServer::start_in(dir, SETUP).await;
    assert_eq!(everything(&again).await, before);
}

/// A live tail that a test reads.
struct Tail(Body);

impl Tail {
    async fn open(server: &TestServer, token: &str, last: Option<&str>) -> Self {
        let mut request = Request::get("/api/v1/traces/live")
            .header(header::HOST, "behalf.test")
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = server.server.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        let mut tail = Self(response.into_body());
        assert_eq!(tail.next().await.unwrap(), ": following\n\n");
        tail
    }

    /// The next frame; nothing when the stream is over.
    async fn next(&mut self) -> Option<String> {
        let frame = tokio::time::timeout(Duration::from_secs(60), self.0.frame());
        let frame = frame.await.unwrap()?.unwrap();
        Some(String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_live_tail_tells_what_changes_and_only_ones_own() {
    let server = start().await;
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "before")]).await;
    let token = token_of(&server, "ann", "read:traces").await;
    let mut tail = Tail::open(&server, &token, None).await;
    append(&server, "auth0|pat", vec![chat(2, 1, None, "gpt-4o", "pat's")]).await;
    append(&server, "auth0|ann", vec![chat(3, 1, None, "gpt-4o", "marker")]).await;
    let frame = loop {
        let frame = tail.next().await.unwrap();
        if !frame.starts_with(':') {
            break frame;
        }
    };
    assert!(frame.contains("event: trace\n") && frame.contains(&id(3)), "{frame}");
    assert!(!frame.contains(&id(2)) && !frame.contains("marker"), "{frame}");
    let last = frame.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    drop(tail);
    // Who lost the connection is told again from there, and what came since.
    append(&server, "auth0|ann", vec![chat(4, 1, None, "gpt-4o", "later")]).await;
    let mut tail = Tail::open(&server, &token, Some(last)).await;
    let told = tail.next().await.unwrap() + &tail.next().await.unwrap();
    assert!(told.contains(&id(3)) && told.contains(&id(4)) && !told.contains(&id(1)), "{told}");
}

#[tokio::test]
async fn a_live_tail_ends_when_its_reader_may_no_longer_read() {
    let server = start().await;
    let token = token_of(&server, "auditor", "read:traces").await;
    let mut tail = Tail::open(&server, &token, None).await;
    let demoted = r#"users: [{user_id: "auth0|auditor", roles: []}]"#;
    server.apply(demoted).await.unwrap();
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "x")]).await;
    assert_eq!(tail.next().await, None, "nothing more is told");

    let token = token_of(&server, "ann", "read:traces").await;
    let mut tail = Tail::open(&server, &token, None).await;
    server.apply(r#"users: [{user_id: "auth0|ann", blocked: true}]"#).await.unwrap();
    append(&server, "auth0|ann", vec![chat(2, 1, None, "gpt-4o", "x")]).await;
    assert_eq!(tail.next().await, None);
}

#[tokio::test]
async fn a_trace_of_ten_thousand_spans_is_taken_and_shown() {
    let server = start().await;
    for batch in 0..20_u16 {
        let spans = (0..500_u16).map(|n| {
            let number = batch * 500 + n;
            let mut span = span(1, 1, None, 0, json!({"n": number}));
            span.span_id = (u64::from(number) + 1).to_be_bytes();
            span.parent_span_id = (number > 0).then(|| 1_u64.to_be_bytes());
            span
        });
        append(&server, "auth0|ann", spans.collect()).await;
    }
    let one = get_as(&server, "ann", &format!("{LIST}/{}", id(1))).await.expect(200).json();
    assert_eq!(one["span_count"], 10_000);
    assert_eq!(one["spans"].as_array().unwrap().len(), 10_000);
    let mut ann = signed_in_as(&server, "ann").await;
    let path = format!("/console/traces/{}", id(1));
    let page = ann.get(&server, &path).await.answer.expect(200).text;
    assert!(page.contains("9500 more spans"), "the page stays small");
}

#[tokio::test]
async fn pages_without_a_session_come_back_after_sign_in() {
    let server = start().await;
    append(&server, "auth0|ann", vec![chat(1, 1, None, "gpt-4o", "hello")]).await;
    let path = format!("/console/traces/{}?span={}", id(1), "01".repeat(8));
    let mut browser = behalf_tests::Browser::new();
    let page = browser.open(&server, &path).await.unwrap();
    assert!(page.path.starts_with("/u/login"), "{}", page.path);
    let page = browser.sign_in(&server, &page, "ann", "ann-password").await.unwrap();
    assert_eq!(page.path, path);
    assert!(page.answer.text.contains("hello"), "the span's facts stand beside it");
}
