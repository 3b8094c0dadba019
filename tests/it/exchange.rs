//! The federated exchange: one's own token for a provider's, and everything that must not pass for
//! one.

use behalf::demo::provider::LocalProvider;
use behalf_tests::{Answer, Client, TestServer, github_connection, post_form, start_provider};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

use crate::world::{self, GIST, MACHINE, WEB, assert_refused, text};

pub(crate) const GRANT: &str =
    "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";
const REFRESH: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";
const PROVIDER_TOKEN: &str = "http://auth0.com/oauth/token-type/federated-connection-access-token";

/// Applications that may exchange, and some that look as if they might.
const CLIENTS: &str = r#"
clients:
  - {client_id: app, client_secret: app-secret, name: App, callbacks: ["https://app.example/callback"], grant_types: [authorization_code, refresh_token, password, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
  - {client_id: other-app, client_secret: other-app-secret, grant_types: [refresh_token, password, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
  - {client_id: gist-api, client_secret: gist-api-secret, app_type: resource_server, resource_server_identifier: "https://gist-api.example/", grant_types: ["urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
  - {client_id: es-api, client_secret: es-api-secret, app_type: resource_server, resource_server_identifier: "https://es.example/", grant_types: ["urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
  - {client_id: page, app_type: spa, grant_types: [refresh_token, password, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
  - {client_id: foreign, client_secret: foreign-secret, is_first_party: false, grant_types: [refresh_token, password, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}
"#;

const fn client(client_id: &'static str, client_secret: Option<&'static str>) -> Client {
    Client { client_id, client_secret, redirect_uri: "https://app.example/callback" }
}

pub(crate) const APP: Client = client("app", Some("app-secret"));
const OTHER_APP: Client = client("other-app", Some("other-app-secret"));
const GIST_API: Client = client("gist-api", Some("gist-api-secret"));
const ES_API: Client = client("es-api", Some("es-api-secret"));
const PAGE: Client = client("page", None);
const FOREIGN: Client = client("foreign", Some("foreign-secret"));

/// A server with the provider, the connection and the owner's account, whose tokens live an hour.
pub(crate) async fn start() -> (TestServer, LocalProvider) {
    let server = world::start().await;
    let provider = start_provider(&server, Some(28_800)).await;
    let tokens = provider.issue("octo-ann", &["public_repo", "gist"]);
    let account = format!(
        "connected_accounts:\n  - {{user_id: \"auth0|owner\", connection: github, access_token: \
         {}, refresh_token: {}, expires_in: 3600, scopes: [public_repo, gist]}}\n",
        tokens.access_token.expose(),
        tokens.refresh_token.as_ref().unwrap().expose(),
    );
    server.apply(&format!("{CLIENTS}{}{account}", github_connection(&provider))).await.unwrap();
    (server, provider)
}

/// The owner's tokens for that client, or the other person's.
pub(crate) async fn tokens_of(
    server: &TestServer,
    client: &Client,
    name: &str,
    audience: &str,
) -> Value {
    let mut extra = vec![("scope", "openid offline_access create:gist")];
    if !audience.is_empty() {
        extra.push(("audience", audience));
    }
    world::password_grant(server, client, name, &extra).await.expect(200).json()
}

fn form<'a>(token: &'a str, token_type: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("grant_type", GRANT),
        ("subject_token", token),
        ("subject_token_type", token_type),
        ("requested_token_type", PROVIDER_TOKEN),
        ("connection", "github"),
    ]
}

pub(crate) async fn exchange(
    server: &TestServer,
    client: &Client,
    token: &str,
    token_type: &str,
) -> Answer {
    client.token(server, &form(token, token_type)).await
}

/// The answer to a missing token, whose members are known.
#[track_caller]
fn assert_without_token(answer: Answer, vault_error: &str) -> Value {
    let body = answer.expect(401).json();
    assert_eq!(body["error"], "federated_connection_refresh_token_not_found", "{body}");
    assert_eq!(body["vault_error"], vault_error, "{body}");
    assert_eq!(body["connection"], "github");
    assert_eq!(body["connect_url"], "https://behalf.test/account/connect?connection=github");
    body
}

#[tokio::test]
async fn a_refresh_token_gives_the_providers_token_by_form_and_by_json() {
    let (server, provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let refresh_token = text(&tokens, "refresh_token");
    let by_form = exchange(&server, &APP, refresh_token, REFRESH).await;
    assert_eq!(by_form.header(http::header::CONTENT_TYPE), "application/json");
    assert_eq!(by_form.header(http::header::CACHE_CONTROL), "no-store");
    let by_form = by_form.expect(200).json();
    let by_json = json!({
        "grant_type": GRANT,
        "subject_token": refresh_token,
        "subject_token_type": REFRESH,
        "requested_token_type": PROVIDER_TOKEN,
        "connection": "github",
    });
    let by_json = APP.token_by_json(&server, by_json).await.expect(200).json();
    assert_eq!(by_form, by_json);
    let token = text(&by_form, "access_token").to_owned();
    assert!(provider.accepts(&token));
    let expected = json!({
        "access_token": token,
        "expires_in": 3600,
        "scope": "public_repo gist",
        "issued_token_type": PROVIDER_TOKEN,
        "token_type": "Bearer",
    });
    assert_eq!(by_form, expected);
    assert_eq!(provider.received().len(), 0, "the stored token was still good");
}

#[tokio::test]
async fn the_subject_is_neither_used_up_nor_rotated_nor_taken_for_reuse() {
    let (server, _provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let first = text(&tokens, "refresh_token").to_owned();
    for _ in 0..3 {
        exchange(&server, &APP, &first, REFRESH).await.expect(200);
    }
    let second = APP.refresh(&server, &first, &[]).await.expect(200).json();
    let second = text(&second, "refresh_token").to_owned();
    // Another process of the same application may still hold the one that was just rotated.
    exchange(&server, &APP, &first, REFRESH).await.expect(200);
    server.advance(Duration::from_secs(31));
    assert_refused(exchange(&server, &APP, &first, REFRESH).await, 400, "invalid_grant");
    // That was no reuse: the family lives.
    exchange(&server, &APP, &second, REFRESH).await.expect(200);
    APP.refresh(&server, &second, &[]).await.expect(200);
    assert!(!server.events().await.contains(&"token.reuse_detected".to_owned()));
}

#[tokio::test]
async fn an_api_exchanges_the_access_tokens_that_it_receives() {
    let (server, provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", GIST).await;
    let access_token = text(&tokens, "access_token");
    let answer = exchange(&server, &GIST_API, access_token, ACCESS).await.expect(200).json();
    assert!(provider.accepts(text(&answer, "access_token")));
    // Bound by audience: another API's client, and the client that it was issued to.
    assert_refused(exchange(&server, &ES_API, access_token, ACCESS).await, 400, "invalid_grant");
    assert_refused(exchange(&server, &APP, access_token, ACCESS).await, 403, "unauthorized_client");
    // Own APIs are nobody's to exchange.
    let me = tokens_of(&server, &APP, "owner", "https://behalf.test/me/").await;
    let answer = exchange(&server, &GIST_API, text(&me, "access_token"), ACCESS).await;
    assert_refused(answer, 400, "invalid_grant");
    server.advance(Duration::from_secs(606));
    assert_refused(exchange(&server, &GIST_API, access_token, ACCESS).await, 400, "invalid_grant");
}

#[tokio::test]
async fn nothing_else_that_we_sign_passes_for_a_subject() {
    let (server, _provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", GIST).await;
    let machine = MACHINE
        .token(&server, &[("grant_type", "client_credentials"), ("audience", GIST)])
        .await
        .expect(200)
        .json();
    let id_token = text(&tokens, "id_token");
    let access_token = text(&tokens, "access_token");
    let refresh_token = text(&tokens, "refresh_token");
    let (head, rest) = access_token.split_once('.').unwrap();
    let forged = format!("{head}.{}x", rest);
    for (what, client, token, token_type) in [
        ("an ID token as access token", &GIST_API, id_token, ACCESS),
        ("an ID token as refresh token", &APP, id_token, REFRESH),
        ("an access token as refresh token", &APP, access_token, REFRESH),
        ("a refresh token as access token", &GIST_API, refresh_token, ACCESS),
        ("a machine's token", &GIST_API, text(&machine, "access_token"), ACCESS),
        ("a forged token", &GIST_API, &forged, ACCESS),
        ("another client's refresh token", &OTHER_APP, refresh_token, REFRESH),
        ("nothing that was ever a token", &APP, "x", REFRESH),
    ] {
        let answer = exchange(&server, client, token, token_type).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{what}: {}", answer.text);
        assert_refused(answer, 400, "invalid_grant");
    }
    // Every piece and variant of the right one.
    for variant in [
        refresh_token.get(..refresh_token.len() - 1).unwrap(),
        refresh_token.get(1..).unwrap(),
        &format!("{refresh_token} "),
        &format!("{refresh_token}="),
        &refresh_token.to_uppercase(),
    ] {
        let answer = exchange(&server, &APP, variant, REFRESH).await;
        assert_refused(answer, 400, "invalid_grant");
    }
    let types = ["urn:ietf:params:oauth:token-type:id_token", "refresh_token", "x"];
    for token_type in types {
        let answer = exchange(&server, &APP, refresh_token, token_type).await;
        assert_refused(answer, 400, "invalid_request");
    }
}

#[tokio::test]
async fn a_subject_that_is_too_long_never_becomes_another_request() {
    let (server, _provider) = start().await;
    // The client may also use client credentials: what CVE-2026-9704 fell back to.
    let all = r#"clients: [{client_id: app, grant_types: [client_credentials, refresh_token, password, "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]}]"#;
    server.apply(all).await.unwrap();
    let long = "x".repeat(4_001);
    for token_type in [REFRESH, ACCESS] {
        let answer = exchange(&server, &APP, &long, token_type).await;
        assert_refused(answer, 400, "invalid_request");
    }
    let huge = "x".repeat(1024 * 1024);
    assert_refused(exchange(&server, &APP, &huge, REFRESH).await, 413, "invalid_request");
}

#[tokio::test]
async fn only_confidential_first_party_clients_with_the_grant_may_ask() {
    let (server, _provider) = start().await;
    for client in [&PAGE, &FOREIGN, &WEB] {
        let tokens = tokens_of(&server, client, "owner", "").await;
        let answer = exchange(&server, client, text(&tokens, "refresh_token"), REFRESH).await;
        assert_refused(answer, 403, "unauthorized_client");
    }
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let impostor = Client { client_secret: Some("wrong"), ..APP };
    let answer = exchange(&server, &impostor, text(&tokens, "refresh_token"), REFRESH).await;
    assert_refused(answer, 401, "invalid_client");
}

#[tokio::test]
async fn a_malformed_request_names_what_is_wrong() {
    let (server, _provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let refresh_token = text(&tokens, "refresh_token");
    let whole = form(refresh_token, REFRESH);
    for missing in ["subject_token", "subject_token_type", "connection"] {
        let form: Vec<_> = whole.iter().copied().filter(|(name, _)| *name != missing).collect();
        let body = assert_refused(APP.token(&server, &form).await, 400, "invalid_request");
        assert!(text(&body, "error_description").contains(missing), "{body}");
    }
    for (name, value, code) in [
        ("audience", GIST, "invalid_target"),
        ("resource", GIST, "invalid_target"),
        ("connection", "gitlab", "invalid_request"),
        ("connection", "git hub", "invalid_request"),
        ("requested_token_type", ACCESS, "invalid_request"),
    ] {
        let mut form = whole.clone();
        form.retain(|(known, _)| *known != name);
        form.push((name, value));
        assert_refused(APP.token(&server, &form).await, 400, code);
    }
    let mut twice = whole.clone();
    twice.extend([("connection", "github"), ("client_id", "app"), ("client_secret", "app-secret")]);
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(twice).finish();
    assert_refused(post_form(&server, "/oauth/token", body).await, 400, "invalid_request");
}

#[tokio::test]
async fn each_person_gets_her_own_token_or_none() {
    let (server, provider) = start().await;
    let tokens = tokens_of(&server, &APP, "other", "").await;
    let refresh_token = text(&tokens, "refresh_token");
    let body = assert_without_token(
        exchange(&server, &APP, refresh_token, REFRESH).await,
        "connection_not_found",
    );
    let words = text(&body, "error_description");
    assert!(words.contains("GitHub") && words.ends_with('.'), "words for a person: {words}");
    let bob = provider.issue("octo-bob", &["gist"]);
    let account = format!(
        "connected_accounts: [{{user_id: \"auth0|other\", connection: github, access_token: {}, \
         scopes: [gist]}}]",
        bob.access_token.expose()
    );
    server.apply(&account).await.unwrap();
    let answer = exchange(&server, &APP, refresh_token, REFRESH).await.expect(200).json();
    assert_eq!(text(&answer, "access_token"), bob.access_token.expose());
    assert_eq!(answer["scope"], "gist");
    assert_eq!(answer["expires_in"], 3600, "one without end is asked for again after an hour");
}

#[tokio::test]
async fn what_ends_the_person_the_grant_or_the_account_ends_the_exchange_at_once() {
    let (server, _provider) = start().await;
    let owner = tokens_of(&server, &APP, "owner", GIST).await;
    let refresh_token = text(&owner, "refresh_token").to_owned();
    let access_token = text(&owner, "access_token").to_owned();
    server.apply("users: [{user_id: 'auth0|owner', blocked: true}]").await.unwrap();
    assert_refused(exchange(&server, &APP, &refresh_token, REFRESH).await, 400, "invalid_grant");
    let answer = exchange(&server, &GIST_API, &access_token, ACCESS).await;
    assert_refused(answer, 400, "invalid_grant");
    server.apply("users: [{user_id: 'auth0|owner', blocked: false}]").await.unwrap();
    exchange(&server, &APP, &refresh_token, REFRESH).await.expect(200);

    let owner_id = "auth0|owner".parse().unwrap();
    let vault = &server.server.vault;
    let account = vault.list_accounts(&owner_id).await.unwrap().remove(0);
    let system = behalf_core::Actor::System;
    vault.disconnect(&owner_id, &account.account_id, &system).await.unwrap().unwrap();
    assert_without_token(
        exchange(&server, &APP, &refresh_token, REFRESH).await,
        "connection_not_found",
    );
    let form = [("token", refresh_token.as_str())];
    APP.post(&server, "/oauth/revoke", &form).await.expect(200);
    assert_refused(exchange(&server, &APP, &refresh_token, REFRESH).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_login_hint_is_who_she_is_at_the_provider() {
    let (server, _provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let mut form = form(text(&tokens, "refresh_token"), REFRESH);
    form.push(("login_hint", "583231"));
    // An imported account does not say who she is, so nothing contradicts the hint.
    APP.token(&server, &form).await.expect(200);
    form.retain(|(name, _)| *name != "login_hint" && *name != "subject_token");
    let other = tokens_of(&server, &APP, "other", "").await;
    form.extend([("login_hint", "583231"), ("subject_token", text(&other, "refresh_token"))]);
    assert_without_token(APP.token(&server, &form).await, "connection_not_found");
}

#[tokio::test]
async fn every_hand_out_and_every_refusal_is_recorded_without_a_token() {
    let (server, _provider) = start().await;
    let tokens = tokens_of(&server, &APP, "owner", "").await;
    let refresh_token = text(&tokens, "refresh_token");
    let before = server.outbox().await.len();
    let answer = exchange(&server, &APP, refresh_token, REFRESH).await.expect(200).json();
    exchange(&server, &WEB, refresh_token, REFRESH).await.expect(403);
    let other = tokens_of(&server, &APP, "other", "").await;
    exchange(&server, &APP, text(&other, "refresh_token"), REFRESH).await.expect(401);
    let recorded: Vec<_> = server.outbox().await.split_off(before);
    let kinds: Vec<&str> = recorded.iter().map(|row| row.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "provider_token.issued",
            "token.refused",
            "sign_in.succeeded",
            "token.issued",
            "token.refused"
        ]
    );
    let issued: Value = serde_json::from_str(&recorded[0].facts).unwrap();
    assert_eq!(issued["connection"], "github");
    assert_eq!(issued["sub"], "auth0|owner");
    assert_eq!(issued["scope"], "public_repo gist");
    let actor: Value = serde_json::from_str(&recorded[0].actor).unwrap();
    assert_eq!(actor, json!({"type": "client", "client_id": "app", "sub": "auth0|owner"}));
    for row in &recorded {
        for secret in [text(&answer, "access_token"), refresh_token] {
            assert!(!row.facts.contains(secret) && !row.actor.contains(secret));
        }
    }
}
