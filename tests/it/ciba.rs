//! Backchannel requests: asked by an application, answered on another device, redeemed once.

use std::sync::Arc;
use std::time::Duration;

use behalf_tests::{Answer, Client, TestServer};
use http::header;
use serde_json::{Value, json};

use crate::world::{self, APPROVER, GIST, WEB, assert_refused, text};

const CIBA: &str = "urn:openid:params:grant-type:ciba";
const OWNER: &str = r#"{"format":"iss_sub","iss":"https://behalf.test/","sub":"auth0|owner"}"#;

/// Two applications that ask; `asker` is an agent.
const ASKERS: &str = r#"
clients:
  - {client_id: asker, client_secret: asker-secret, name: Asker, app_type: agent, grant_types: ["urn:openid:params:grant-type:ciba", refresh_token]}
  - {client_id: rival, client_secret: rival-secret, name: Rival, grant_types: ["urn:openid:params:grant-type:ciba"]}
  - {client_id: public, app_type: spa, grant_types: ["urn:openid:params:grant-type:ciba"]}
"#;

pub(crate) const ASKER: Client = Client {
    client_id: "asker",
    client_secret: Some("asker-secret"),
    redirect_uri: "https://asker.example/",
};
const RIVAL: Client = Client {
    client_id: "rival",
    client_secret: Some("rival-secret"),
    redirect_uri: "https://rival.example/",
};
const PUBLIC: Client =
    Client { client_id: "public", client_secret: None, redirect_uri: "https://public.example/" };

pub(crate) async fn start() -> TestServer {
    let server = world::start().await;
    server.apply(ASKERS).await.unwrap();
    server
}

async fn send(server: &TestServer, client: &Client, extra: &[(&str, &str)]) -> Answer {
    let mut form = vec![("scope", "openid create:gist"), ("login_hint", OWNER), ("audience", GIST)];
    form.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
    form.extend(extra.iter().filter(|(_, value)| *value != "-"));
    client.post(server, "/bc-authorize", &form).await
}

/// Asks, and returns the `auth_req_id`.
pub(crate) async fn ask(server: &TestServer, extra: &[(&str, &str)]) -> String {
    let body = send(server, &ASKER, extra).await.expect(200).json();
    text(&body, "auth_req_id").to_owned()
}

async fn poll_as(server: &TestServer, client: &Client, auth_req_id: &str) -> Answer {
    client.token(server, &[("grant_type", CIBA), ("auth_req_id", auth_req_id)]).await
}

async fn poll(server: &TestServer, auth_req_id: &str) -> Answer {
    poll_as(server, &ASKER, auth_req_id).await
}

/// A token with which `name` decides.
pub(crate) async fn approver_token(server: &TestServer, name: &str) -> String {
    let form = [
        ("audience", "https://behalf.test/me/"),
        ("scope", "openid read:me:approvals update:me:approvals"),
    ];
    let tokens = world::password_grant(server, &APPROVER, name, &form).await.expect(200).json();
    text(&tokens, "access_token").to_owned()
}

/// The owner's one pending approval.
pub(crate) async fn pending(server: &TestServer, token: &str) -> Value {
    let list = server.get_with_token("/me/v1/approvals?status=pending", token).await;
    let list = list.expect(200).json();
    assert_eq!(list["next"], Value::Null);
    let [only] = list["approvals"].as_array().unwrap().as_slice() else { panic!("{list}") };
    only.clone()
}

async fn answer(server: &TestServer, verb: &str) -> Value {
    let token = approver_token(server, "owner").await;
    let id = text(&pending(server, &token).await, "id").to_owned();
    let path = format!("/me/v1/approvals/{id}/{verb}");
    crate::approvals::post(server, &path, Some(&token), "").await.expect(200).json()
}

#[tokio::test]
async fn an_approved_request_gives_tokens_once() {
    let server = start().await;
    let details = r#"[{"type":"gist","title":"Ünïcode"}]"#;
    let asked =
        [("binding_message", "Do you approve \"Next.js\"?"), ("authorization_details", details)];
    let asked = send(&server, &ASKER, &asked).await.expect(200);
    assert_eq!(asked.header(header::CONTENT_TYPE), "application/json");
    let asked = asked.json();
    assert_eq!((&asked["expires_in"], &asked["interval"]), (&json!(300), &json!(5)));
    let id = text(&asked, "auth_req_id");
    assert_refused(poll(&server, id).await, 400, "authorization_pending");
    let shown = answer(&server, "approve").await;
    assert_eq!(shown["status"], "approved");
    assert_eq!(shown["binding_message"], "Do you approve \"Next.js\"?");
    assert!(!shown.to_string().contains(id), "whoever approves never learns it");

    let tokens = poll(&server, id).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid create:gist");
    assert_eq!(tokens["authorization_details"], json!([{"type": "gist", "title": "Ünïcode"}]));
    assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_some());
    let claims = Client::claims(text(&tokens, "access_token"));
    assert_eq!((&claims["sub"], &claims["azp"]), (&json!("auth0|owner"), &json!("asker")));
    assert_eq!(claims["act"], json!({"sub": "asker"}));
    assert_eq!(claims["authorization_details"], tokens["authorization_details"]);
    assert_eq!(claims["aud"], json!([GIST, world::USERINFO]));
    for _ in 0..3 {
        assert_refused(poll(&server, id).await, 400, "invalid_grant");
    }
    let events = server.events().await;
    for kind in ["approval.requested", "approval.approved", "approval.redeemed"] {
        assert_eq!(events.iter().filter(|known| *known == kind).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn form_json_and_both_ways_to_authenticate_are_understood() {
    let server = start().await;
    let spaced = r#"{ "format": "iss_sub", "sub": "auth0|owner", "iss": "https://behalf.test/" }"#;
    let body = json!({"client_id": "asker", "client_secret": "asker-secret", "scope": "openid",
        "login_hint": spaced, "requested_expiry": 60, "audience": "", "binding_message": ""});
    let request = http::Request::post("/bc-authorize")
        .header(header::CONTENT_TYPE, "application/json")
        .body(axum::body::Body::from(body.to_string()));
    let asked = server.send(request.unwrap()).await.expect(200).json();
    assert_eq!(asked["expires_in"], 60);
    let id = asked["auth_req_id"].clone();
    let polled = ASKER.token_by_json(&server, json!({"grant_type": CIBA, "auth_req_id": id})).await;
    assert_refused(polled, 400, "authorization_pending");
    // asker:asker-secret
    let request = http::Request::post("/bc-authorize")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded;charset=UTF-8")
        .header(header::AUTHORIZATION, "Basic YXNrZXI6YXNrZXItc2VjcmV0")
        .body(axum::body::Body::from(format!(
            "scope=openid&request_expiry=30&login_hint={}",
            url::form_urlencoded::byte_serialize(spaced.as_bytes()).collect::<String>()
        )));
    assert_eq!(server.send(request.unwrap()).await.expect(200).json()["expires_in"], 30);
}

#[tokio::test]
async fn a_request_that_breaks_a_rule_asks_nobody() {
    let server = start().await;
    let foreign = OWNER.replace("behalf.test", "evil.test");
    let nobody = OWNER.replace("owner", "nobody");
    let many = format!("[{}]", vec![r#"{"type":"x"}"#; 17].join(","));
    for (extra, status, code) in [
        (&[("scope", "create:gist")][..], 400, "invalid_scope"),
        (&[("scope", "-")], 400, "invalid_scope"),
        (&[("audience", "https://nowhere.example/")], 400, "invalid_target"),
        (&[("login_hint", "-")], 400, "invalid_request"),
        (&[("login_hint", "owner@example.com")], 400, "invalid_request"),
        (
            &[("login_hint", r#"{"format":"email","email":"owner@example.com"}"#)],
            400,
            "invalid_request",
        ),
        (
            &[(
                "login_hint",
                r#"{"format":"iss_sub","iss":"https://behalf.test/","sub":"auth0|owner","sub":"auth0|other"}"#,
            )],
            400,
            "invalid_request",
        ),
        (&[("id_token_hint", "x")], 400, "invalid_request"),
        (&[("login_hint", "-"), ("id_token_hint", "x")], 400, "invalid_request"),
        (&[("login_hint", &foreign)], 400, "unknown_user_id"),
        (&[("login_hint", &nobody)], 400, "unknown_user_id"),
        (&[("requested_expiry", "0")], 400, "invalid_request"),
        (&[("requested_expiry", "-1")], 400, "invalid_request"),
        (&[("requested_expiry", "soon")], 400, "invalid_request"),
        (&[("requested_expiry", "86401")], 400, "invalid_request"),
        (&[("authorization_details", "{}")], 400, "invalid_authorization_details"),
        (&[("authorization_details", "[{}]")], 400, "invalid_authorization_details"),
        (&[("authorization_details", "[1]")], 400, "invalid_authorization_details"),
        (&[("authorization_details", &many)], 400, "invalid_authorization_details"),
        (
            &[("authorization_details", r#"[{"type":"x","n":9007199254740993}]"#)],
            400,
            "invalid_authorization_details",
        ),
        (&[("request", "eyJ")], 400, "invalid_request"),
    ] {
        assert_refused(send(&server, &ASKER, extra).await, status, code);
    }
    let blocked = "users: [{user_id: \"auth0|owner\", blocked: true}]";
    let unknown = send(&server, &ASKER, &[("login_hint", &nobody)]).await;
    server.apply(blocked).await.unwrap();
    let refused = send(&server, &ASKER, &[]).await;
    assert_eq!((refused.status, &refused.text), (unknown.status, &unknown.text), "no oracle");
    assert_refused(send(&server, &WEB, &[]).await, 403, "unauthorized_client");
    assert_refused(send(&server, &PUBLIC, &[]).await, 403, "unauthorized_client");
    let wrong = Client { client_secret: Some("wrong"), ..ASKER };
    assert_refused(send(&server, &wrong, &[]).await, 401, "invalid_client");
    assert!(!server.events().await.contains(&"approval.requested".to_owned()));
}

#[tokio::test]
async fn polling_too_fast_costs_five_seconds_and_the_first_poll_is_never_too_early() {
    let server = start().await;
    let id = ask(&server, &[]).await;
    assert_refused(poll(&server, &id).await, 400, "authorization_pending");
    server.advance(Duration::from_millis(4_999));
    let slow = poll(&server, &id).await;
    assert_eq!(slow.header(header::RETRY_AFTER), "10");
    assert_eq!(slow.header(header::WWW_AUTHENTICATE), "");
    assert_refused(slow, 400, "slow_down");
    server.advance(Duration::from_secs(9));
    assert_eq!(poll(&server, &id).await.header(header::RETRY_AFTER), "15");
    server.advance(Duration::from_secs(15));
    assert_refused(poll(&server, &id).await, 400, "authorization_pending");
    answer(&server, "approve").await;
    poll(&server, &id).await.expect(200);
}

#[tokio::test]
async fn denied_expired_unknown_and_foreign_requests_give_nothing() {
    let server = start().await;
    let id = ask(&server, &[]).await;
    assert_refused(poll_as(&server, &RIVAL, &id).await, 400, "invalid_grant");
    answer(&server, "deny").await;
    assert_refused(poll(&server, &id).await, 400, "access_denied");

    // The boundary: a microsecond before the end it can be approved, at the end nothing can.
    let id = ask(&server, &[("requested_expiry", "10")]).await;
    server.advance(Duration::from_micros(9_999_999));
    assert_refused(poll(&server, &id).await, 400, "authorization_pending");
    answer(&server, "approve").await;
    server.advance(Duration::from_micros(1));
    assert_refused(poll(&server, &id).await, 400, "expired_token");
    let late = ask(&server, &[("requested_expiry", "10")]).await;
    server.advance(Duration::from_secs(10));
    assert_refused(poll(&server, &late).await, 400, "expired_token");
    assert_eq!(server.server.gate.sweep().await.unwrap(), 2, "and it is recorded");
    assert_refused(poll(&server, &late).await, 400, "expired_token");

    let real = ask(&server, &[]).await;
    for forged in [
        "x",
        real.strip_suffix(|_: char| true).unwrap(),
        &format!("{real}A"),
        &real.to_lowercase(),
        &real.replace("bhf_cr_", "bhf_ac_"),
    ] {
        assert_refused(poll(&server, forged).await, 400, "invalid_grant");
    }
    let code = [("grant_type", "authorization_code"), ("code", real.as_str())];
    let refused = WEB.token(&server, &code).await;
    assert_refused(refused, 400, "invalid_grant");
}

#[tokio::test]
async fn of_many_who_redeem_at_once_one_gets_tokens() {
    let server = Arc::new(start().await);
    let id = ask(&server, &[]).await;
    answer(&server, "approve").await;
    let polls = (0..16).map(|_| {
        let (server, id) = (Arc::clone(&server), id.clone());
        tokio::spawn(async move { poll(&server, &id).await.status.as_u16() })
    });
    let mut statuses = Vec::new();
    for poll in polls.collect::<Vec<_>>() {
        statuses.push(poll.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let issued = server.outbox().await.into_iter();
    let issued = issued.filter(|row| row.kind == "token.issued" && row.facts.contains(CIBA));
    assert_eq!(issued.count(), 1);
}

#[tokio::test]
async fn a_blocked_person_and_a_lost_grant_end_an_approved_request() {
    let server = start().await;
    let id = ask(&server, &[]).await;
    answer(&server, "approve").await;
    let blocked = "users: [{user_id: \"auth0|owner\", blocked: true}]";
    server.apply(blocked).await.unwrap();
    assert_refused(poll(&server, &id).await, 400, "invalid_grant");
    server.apply(&blocked.replace("true", "false")).await.unwrap();
    server.apply("clients: [{client_id: asker, grant_types: [refresh_token]}]").await.unwrap();
    assert_refused(poll(&server, &id).await, 403, "unauthorized_client");
}

#[tokio::test]
async fn a_backchannel_token_never_decides_approvals() {
    let server = start().await;
    let scope = "openid read:me:approvals update:me:approvals";
    let id = ask(&server, &[("audience", "https://behalf.test/me/"), ("scope", scope)]).await;
    answer(&server, "approve").await;
    let tokens = poll(&server, &id).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid read:me:approvals");
}

#[tokio::test]
async fn a_held_poll_answers_when_she_decides() {
    let server = Arc::new(start().await);
    let id = ask(&server, &[]).await;
    let held = {
        let (server, id) = (Arc::clone(&server), id.clone());
        tokio::spawn(async move {
            let body = format!(
                "grant_type={CIBA}&auth_req_id={id}&client_id=asker&client_secret=asker-secret"
            );
            let request = http::Request::post("/oauth/token")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .header("prefer", "wait=30")
                .body(axum::body::Body::from(body));
            server.send(request.unwrap()).await
        })
    };
    tokio::task::yield_now().await;
    answer(&server, "approve").await;
    held.await.unwrap().expect(200);
}

#[tokio::test]
async fn the_digest_is_of_what_was_asked() {
    let server = start().await;
    ask(&server, &[("binding_message", "Hi"), ("audience", "-"), ("scope", "openid")]).await;
    let token = approver_token(&server, "owner").await;
    // printf '%s' '{"audience":null,"authorization_details":null,"binding_message":"Hi","client":"asker","scope":"openid","user":"auth0|owner"}' | sha256sum
    let digest = "519581d601c8dbfffd49570b7b9a2587a08527e48a1c00dbab9e7fb1495e8b57";
    assert_eq!(pending(&server, &token).await["digest"], digest);
}

#[tokio::test]
async fn metadata_names_the_endpoint_and_the_grants() {
    let server = start().await;
    let metadata = server.get("/.well-known/openid-configuration").await.expect(200).json();
    assert_eq!(metadata["backchannel_authentication_endpoint"], "https://behalf.test/bc-authorize");
    assert_eq!(metadata["backchannel_token_delivery_modes_supported"], json!(["poll"]));
    let grants = metadata["grant_types_supported"].as_array().unwrap();
    let exchange =
        "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token";
    assert!(grants.contains(&json!(CIBA)) && grants.contains(&json!(exchange)), "{grants:?}");
}
