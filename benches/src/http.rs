//! The server's routes under load.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};

use crate::load::{self, Connection, post};
use crate::report::{Budget, Report};
use crate::server::Server;

const LENGTH: Duration = Duration::from_secs(5);
const CONNECTIONS: u32 = 64;
const FORM: &str = "application/x-www-form-urlencoded";
const STORE: &str = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const BATCH: u32 = 50;

const SETUP: &str = r#"
users:
  - {user_id: "auth0|owner", username: owner, password: owner-password}
clients:
  - client_id: web
    client_secret: web-secret
    grant_types: [authorization_code, refresh_token, password, client_credentials, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]
connections:
  - name: github
    strategy: oauth2
    options: {client_id: gh, client_secret: gh-secret, authorization_url: "http://127.0.0.1:9/authorize", token_url: "http://127.0.0.1:9/token", api_base_url: "http://127.0.0.1:9/", scope: [gist]}
connected_accounts:
  - {user_id: "auth0|owner", connection: github, access_token: provider-token, refresh_token: provider-refresh, expires_in: 86400, scopes: [gist]}
resource_servers:
  - {identifier: "https://rs256.example/", scopes: ["read:x"], signing_alg: RS256}
  - {identifier: "https://es256.example/", scopes: ["read:x"], signing_alg: ES256}
client_grants:
  - {client_id: web, audience: "https://rs256.example/", scope: ["read:x"]}
  - {client_id: web, audience: "https://es256.example/", scope: ["read:x"]}
fga:
  api_keys: [{name: bench, key: "bench-key", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga"]}]
  stores:
    - id: 01ARZ3NDEKTSV4RRFFQ69G5FAV
      name: documents
      model: |
        model
          schema 1.1
        type user
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*]
            define can_view: owner or viewer
"#;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start_apart(dir.path(), SETUP).await?;
    let address = server.address.clone();
    fill(&address).await?;
    checks(report, &address).await?;
    tokens(report, &address).await?;
    refresh(report, &address).await?;
    exchange(report, &address).await?;
    logins(report, &address).await?;
    report.row("resident memory after the load", server.resident_mb()?, "MB", Budget::None);
    Ok(())
}

fn fga(address: &str, operation: &str, body: &Value) -> Vec<u8> {
    let path = format!("/stores/{STORE}/{operation}");
    post(
        address,
        &path,
        "application/json",
        "authorization: Bearer bench-key\r\n",
        &body.to_string(),
    )
}

/// Ten thousand tuples, a hundred at a time.
async fn fill(address: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    for chunk in 0..100 {
        let keys: Vec<Value> = (0..100).map(|n| tuple("viewer", n, chunk * 100 + n)).collect();
        let request = fga(address, "write", &json!({"writes": {"tuple_keys": keys}}));
        let answer = connection.ask(&request).await?;
        anyhow::ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
    }
    Ok(())
}

fn tuple(relation: &str, user: u32, doc: u32) -> Value {
    json!({"user": format!("user:u{user}"), "relation": relation, "object": format!("doc:d{doc}")})
}

async fn checks(report: &mut Report, address: &str) -> anyhow::Result<()> {
    let to = address.to_owned();
    let check = move |connection: u32, n: u32| {
        let key = tuple("can_view", n % 100, (connection * 131 + n) % 10_000);
        fga(&to, "check", &json!({"tuple_key": key}))
    };
    let rate = closed(address, CONNECTIONS, check.clone()).await?;
    report.row("check over HTTP", rate, "/s", Budget::AtLeast(25_000.0));
    let (median, p99) = open(address, rate * 0.7, check).await?;
    report.row("check over HTTP at 70 %, median", millis(median), "ms", Budget::None);
    report.row("check over HTTP at 70 %, p99", millis(p99), "ms", Budget::AtMost(2.0));

    let to = address.to_owned();
    let batch = move |connection: u32, n: u32| {
        let checks: Vec<Value> = (0..BATCH)
            .map(|item| {
                let key = tuple("can_view", item, (connection * 131 + n + item) % 10_000);
                json!({"tuple_key": key, "correlation_id": format!("c{item}")})
            })
            .collect();
        fga(&to, "batch-check", &json!({"checks": checks}))
    };
    let rate = closed(address, CONNECTIONS, batch).await? * f64::from(BATCH);
    report.row("checks in batches of 50 over HTTP", rate, "/s", Budget::AtLeast(300_000.0));
    Ok(())
}

async fn tokens(report: &mut Report, address: &str) -> anyhow::Result<()> {
    for (algorithm, budget) in [("rs256", 850.0), ("es256", 8_000.0)] {
        let body = format!(
            "grant_type=client_credentials&client_id=web&client_secret=web-secret\
             &audience=https%3A%2F%2F{algorithm}.example%2F"
        );
        let request = post(address, "/oauth/token", FORM, "", &body);
        let asked = move |_: u32, _: u32| request.clone();
        let rate = closed(address, CONNECTIONS, asked.clone()).await?;
        let what = format!("client-credentials tokens, {}", algorithm.to_uppercase());
        report.row(&what, rate, "/s", Budget::AtLeast(budget));
    }
    Ok(())
}

async fn refresh(report: &mut Report, address: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    let mut first = Vec::new();
    for _number in 0..CONNECTIONS {
        first.push(next_token(&mut connection, address, &sign_in()).await?);
    }
    // Each connection follows a chain of its own: the next token is in the answer.
    let mut workers = Vec::new();
    for mut token in first {
        let (mut connection, address) = (Connection::open(address).await?, address.to_owned());
        workers.push(async move |_number: u64| {
            let body = format!(
                "grant_type=refresh_token&client_id=web&client_secret=web-secret\
                 &refresh_token={token}"
            );
            token = next_token(&mut connection, &address, &body).await?;
            Ok(())
        });
    }
    let rate = load::closed(workers, LENGTH).await?;
    report.row("refresh with durable rotation, ES256", rate, "/s", Budget::AtLeast(5_000.0));
    Ok(())
}

/// The stored token of a provider for one's own refresh token; nothing is asked of the provider.
async fn exchange(report: &mut Report, address: &str) -> anyhow::Result<()> {
    let mut connection = Connection::open(address).await?;
    let token = next_token(&mut connection, address, &sign_in()).await?;
    let body = format!(
        "grant_type=urn%3Aauth0%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange%3Afederated-\
         connection-access-token&client_id=web&client_secret=web-secret&connection=github\
         &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Arefresh_token\
         &requested_token_type=http%3A%2F%2Fauth0.com%2Foauth%2Ftoken-type%2Ffederated-\
         connection-access-token&subject_token={token}"
    );
    let request = post(address, "/oauth/token", FORM, "", &body);
    let asked = move |_: u32, _: u32| request.clone();
    let rate = closed(address, CONNECTIONS, asked.clone()).await?;
    report.row("vault exchange, token not due", rate, "/s", Budget::AtLeast(8_000.0));
    let (median, p99) = open(address, rate * 0.7, asked).await?;
    report.row("vault exchange at 70 %, median", millis(median), "ms", Budget::None);
    report.row("vault exchange at 70 %, p99", millis(p99), "ms", Budget::AtMost(5.0));
    Ok(())
}

fn sign_in() -> String {
    "grant_type=password&client_id=web&client_secret=web-secret&username=owner\
     &password=owner-password&scope=offline_access%20read%3Ax\
     &audience=https%3A%2F%2Fes256.example%2F"
        .to_owned()
}

async fn next_token(
    connection: &mut Connection,
    address: &str,
    body: &str,
) -> anyhow::Result<String> {
    let answer = connection.ask(&post(address, "/oauth/token", FORM, "", body)).await?;
    let text: Value = serde_json::from_slice(&answer.body)?;
    let token = text.get("refresh_token").and_then(Value::as_str);
    Ok(token.with_context(|| format!("no refresh token in {text}"))?.to_owned())
}

async fn logins(report: &mut Report, address: &str) -> anyhow::Result<()> {
    let request = post(address, "/oauth/token", FORM, "", &sign_in());
    let asked = move |_: u32, _: u32| request.clone();
    let rate = closed(address, 4, asked).await?;
    report.row("password logins, Argon2id 19 MiB", rate, "/s", Budget::AtLeast(35.0));
    Ok(())
}

async fn closed(
    address: &str,
    connections: u32,
    request: impl Fn(u32, u32) -> Vec<u8> + Clone + 'static,
) -> anyhow::Result<f64> {
    load::closed(load::posting(address, connections, request).await?, LENGTH).await
}

/// The median and the 99th percentile.
async fn open(
    address: &str,
    rate: f64,
    request: impl Fn(u32, u32) -> Vec<u8> + Clone + 'static,
) -> anyhow::Result<(Duration, Duration)> {
    let times = load::open(load::posting(address, CONNECTIONS, request).await?, rate, LENGTH);
    let times = times.await?;
    Ok((times.within(0.5)?, times.within(0.99)?))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}
