//! The people, applications and APIs of the identity tests, and short ways through its flows.

use behalf_tests::{Answer, Browser, Client, TestServer};
use serde_json::Value;

/// Two people, an application of each kind, two APIs. Every password is `{name}-password`, every
/// secret `{client_id}-secret`.
pub(crate) const SETUP: &str = r#"
users:
  - {user_id: "auth0|owner", email: owner@example.com, email_verified: true, username: owner, password: owner-password, name: Olive Owner, nickname: olive}
  - {user_id: "auth0|other", email: other@example.com, username: other, password: other-password}
clients:
  - client_id: web
    client_secret: web-secret
    name: Web
    callbacks: ["https://web.example/callback", "https://web.example/callback?tab=1"]
    allowed_logout_urls: ["https://web.example/bye", "https://web.example/bye?x=1"]
    grant_types: [authorization_code, refresh_token, password, client_credentials]
  - client_id: plain
    client_secret: plain-secret
    callbacks: ["https://plain.example/callback"]
    allowed_logout_urls: ["https://plain.example/bye"]
  - {client_id: spa, app_type: spa, callbacks: ["https://spa.example/callback"]}
  - {client_id: native, app_type: native, callbacks: ["http://127.0.0.1/callback", "http://[::1]:7000/callback", "com.example.app:/callback"]}
  - {client_id: partner, client_secret: partner-secret, name: Partner, is_first_party: false, callbacks: ["https://partner.example/callback"]}
  - {client_id: approver, client_secret: approver-secret, approver: true, callbacks: ["https://approver.example/callback"], grant_types: [authorization_code, password]}
  - {client_id: agent, client_secret: agent-secret, app_type: agent, callbacks: ["https://agent.example/callback"], grant_types: [authorization_code, refresh_token, password, client_credentials]}
  - {client_id: machine, client_secret: machine-secret, app_type: non_interactive, grant_types: [client_credentials]}
resource_servers:
  - {identifier: "https://gist-api.example/", name: Gists, scopes: ["create:gist", {value: "read:gist", description: "Read your gists"}], token_lifetime: 600}
  - {identifier: "https://es.example/", name: Elliptic, scopes: ["read:es"], signing_alg: ES256}
client_grants:
  - {client_id: machine, audience: "https://gist-api.example/", scope: ["create:gist", "read:gist"]}
  - {client_id: machine, audience: "https://behalf.test/me/", scope: ["read:me:approvals", "update:me:approvals"]}
  - {client_id: machine, audience: "https://behalf.test/fga/", scope: ["check:fga"]}
  - {client_id: web, audience: "https://gist-api.example/", scope: []}
"#;

pub(crate) const GIST: &str = "https://gist-api.example/";
pub(crate) const USERINFO: &str = "https://behalf.test/userinfo";

pub(crate) const WEB: Client = Client {
    client_id: "web",
    client_secret: Some("web-secret"),
    redirect_uri: "https://web.example/callback",
};
pub(crate) const PLAIN: Client = Client {
    client_id: "plain",
    client_secret: Some("plain-secret"),
    redirect_uri: "https://plain.example/callback",
};
pub(crate) const SPA: Client =
    Client { client_id: "spa", client_secret: None, redirect_uri: "https://spa.example/callback" };
pub(crate) const NATIVE: Client =
    Client { client_id: "native", client_secret: None, redirect_uri: "http://127.0.0.1/callback" };
pub(crate) const PARTNER: Client = Client {
    client_id: "partner",
    client_secret: Some("partner-secret"),
    redirect_uri: "https://partner.example/callback",
};
pub(crate) const APPROVER: Client = Client {
    client_id: "approver",
    client_secret: Some("approver-secret"),
    redirect_uri: "https://approver.example/callback",
};
pub(crate) const AGENT: Client = Client {
    client_id: "agent",
    client_secret: Some("agent-secret"),
    redirect_uri: "https://agent.example/callback",
};
pub(crate) const MACHINE: Client = Client {
    client_id: "machine",
    client_secret: Some("machine-secret"),
    redirect_uri: "https://machine.example/callback",
};

/// A server with [`SETUP`].
pub(crate) async fn start() -> TestServer {
    TestServer::start(SETUP).await
}

/// A browser in which the owner is signed in.
pub(crate) async fn signed_in(server: &TestServer) -> Browser {
    signed_in_as(server, "owner").await
}

/// A browser in which the person of that user name is signed in.
pub(crate) async fn signed_in_as(server: &TestServer, name: &str) -> Browser {
    let mut browser = Browser::new();
    let page = browser.open(server, "/account").await.unwrap();
    let page = browser.sign_in(server, &page, name, &format!("{name}-password")).await.unwrap();
    assert_eq!((page.path.as_str(), page.answer.status.as_u16()), ("/account", 200));
    browser
}

/// Where the browser of the signed-in owner is sent by an authorization request.
pub(crate) async fn callback(
    server: &TestServer,
    browser: &mut Browser,
    client: &Client,
    extra: &[(&str, &str)],
) -> String {
    let page = browser.open(server, &client.authorize_path(extra)).await;
    page.unwrap_err()
}

/// What the code flow gives the client for the signed-in owner.
pub(crate) async fn code_tokens(
    server: &TestServer,
    client: &Client,
    extra: &[(&str, &str)],
) -> Value {
    let mut browser = signed_in(server).await;
    let callback = callback(server, &mut browser, client, extra).await;
    client.redeem(server, &callback).await.expect(200).json()
}

/// The password grant for the person of that user name.
pub(crate) async fn password_grant(
    server: &TestServer,
    client: &Client,
    name: &str,
    extra: &[(&str, &str)],
) -> Answer {
    let password = format!("{name}-password");
    let mut form = vec![("grant_type", "password"), ("username", name), ("password", &password)];
    form.extend(extra);
    client.token(server, &form).await
}

/// The text of a member, which must be there.
#[track_caller]
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_else(|| panic!("no `{member}` in {value}"))
}

/// Asserts that a token endpoint's answer is this error, in its exact shape.
#[track_caller]
pub(crate) fn assert_refused(answer: Answer, status: u16, code: &str) -> Value {
    let content_type = answer.header(http::header::CONTENT_TYPE).to_owned();
    let body = answer.expect(status).json();
    assert_eq!(body["error"], code, "{body}");
    assert_eq!(content_type, "application/json");
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["error", "error_description"]);
    assert!(!text(&body, "error_description").is_empty());
    body
}
