//! Decisions: who may make them, and what no attempt at one may bring about.

use std::sync::Arc;

use behalf_tests::{Answer, Browser, TestServer, rewritten};
use http::{Request, header};
use serde_json::{Value, json};

use crate::ciba::{approver_token, ask, pending, start};
use crate::world::{self, AGENT, APPROVER, WEB, text};

const ME: &str = "https://behalf.test/me/";

/// Posts JSON with a token.
pub(crate) async fn post(
    server: &TestServer,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Answer {
    let mut request = Request::post(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    server.send(request.body(axum::body::Body::from(body.to_owned())).unwrap()).await
}

fn path(approval: &Value, verb: &str) -> String {
    format!("/me/v1/approvals/{}/{verb}", text(approval, "id"))
}

#[track_caller]
fn assert_problem(answer: Answer, status: u16, code: &str) {
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/problem+json");
    let body = answer.expect(status).json();
    assert_eq!(body["code"], code, "{body}");
    assert_eq!(body["status"], status);
}

#[tokio::test]
async fn an_approval_has_the_shape_of_the_documents() {
    let server = start().await;
    ask(&server, &[("binding_message", "Hi")]).await;
    let token = approver_token(&server, "owner").await;
    let shown = pending(&server, &token).await;
    let mut members: Vec<&str> = shown.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "agent",
            "arguments",
            "audience",
            "authorization_details",
            "binding_message",
            "client",
            "created_at",
            "decided_at",
            "decided_by",
            "digest",
            "expires_at",
            "id",
            "level",
            "reason",
            "scopes",
            "source",
            "status",
            "tool"
        ]
    );
    assert_eq!(shown["client"], json!({"client_id": "asker", "name": "Asker"}));
    assert_eq!((&shown["source"], &shown["level"]), (&json!("ciba"), &json!("L1")));
    let id = text(&shown, "id");
    let one = server.get_with_token(&format!("/me/v1/approvals/{id}"), &token).await;
    assert_eq!(one.expect(200).json(), shown);
}

#[tokio::test]
async fn the_same_decision_twice_is_no_error_and_another_is() {
    let server = start().await;
    ask(&server, &[]).await;
    let token = approver_token(&server, "owner").await;
    let shown = pending(&server, &token).await;
    let wrong = json!({"digest": "0".repeat(64)}).to_string();
    let right = json!({"digest": shown["digest"], "reason": "fine\u{202e}"}).to_string();
    let approve = path(&shown, "approve");
    assert_problem(post(&server, &approve, Some(&token), &wrong).await, 409, "digest_mismatch");
    let first = post(&server, &approve, Some(&token), &right).await.expect(200).json();
    assert_eq!((&first["status"], &first["reason"]), (&json!("approved"), &json!("fine")));
    assert_eq!(first["decided_by"], "auth0|owner");
    let again = post(&server, &approve, Some(&token), "").await.expect(200).json();
    assert_eq!(again, first);
    assert_problem(post(&server, &approve, Some(&token), &wrong).await, 409, "digest_mismatch");
    let deny = path(&shown, "deny");
    assert_problem(post(&server, &deny, Some(&token), "").await, 409, "already_decided");
    let events = server.events().await;
    assert_eq!(events.iter().filter(|kind| *kind == "approval.approved").count(), 1);
}

#[tokio::test]
async fn refusals_come_in_their_order() {
    let server = start().await;
    ask(&server, &[]).await;
    let owner = approver_token(&server, "owner").await;
    let other = approver_token(&server, "other").await;
    let shown = pending(&server, &owner).await;
    let approve = path(&shown, "approve");
    assert_problem(post(&server, &approve, None, "").await, 401, "invalid_token");
    let form = [("audience", ME), ("scope", "read:me:approvals update:me:approvals")];
    let web = world::password_grant(&server, &WEB, "owner", &form).await.expect(200).json();
    assert_eq!(web["scope"], "read:me:approvals", "only an approver's client gets the scope");
    let web = text(&web, "access_token");
    assert_problem(post(&server, &approve, Some(web), "").await, 403, "insufficient_scope");
    assert_problem(post(&server, &approve, Some(&other), "").await, 404, "not_found");
    let missing = "/me/v1/approvals/apr_x/approve";
    assert_problem(post(&server, missing, Some(&owner), "{").await, 404, "not_found");
    assert_problem(post(&server, &approve, Some(&owner), "{").await, 400, "invalid_request");
    let unknown = r#"{"decision":"approve"}"#;
    assert_problem(post(&server, &approve, Some(&owner), unknown).await, 400, "invalid_request");
    let list = server.get_with_token("/me/v1/approvals", &other).await.expect(200).json();
    assert_eq!(list, json!({"approvals": [], "next": null}));
    assert_eq!(pending(&server, &owner).await["status"], "pending");
}

/// The approver application asks, and would answer itself.
#[tokio::test]
async fn whoever_asks_never_answers() {
    use behalf_gate::{DecideError, Decider, Verdict, Via};
    let server = start().await;
    ask(&server, &[]).await;
    let token = approver_token(&server, "owner").await;
    let id = text(&pending(&server, &token).await, "id").to_owned();
    let mut deep = json!({"sub": "asker"});
    for _ in 0..40 {
        deep = json!({"sub": "x", "act": deep});
    }
    for (client, act) in [
        ("asker", None),
        ("approver", Some(json!({"sub": "asker"}))),
        ("approver", Some(json!({"sub": "x", "act": {"sub": "y", "act": {"sub": "asker"}}}))),
        ("approver", Some(json!({"sub": "x", "client_id": "asker"}))),
        ("approver", Some(deep)),
    ] {
        for verdict in [Verdict::Approve, Verdict::Deny] {
            let decider = Decider {
                user: "auth0|owner".parse().unwrap(),
                via: Via::Client { client_id: client.parse().unwrap(), address: "x".to_owned() },
                act: act.clone(),
            };
            let decided = server.server.gate.decide(&id, verdict, None, None, &decider).await;
            assert!(matches!(decided, Err(DecideError::SelfApproval)), "{client} {act:?}");
        }
    }
    let refused = server.events().await.into_iter();
    let refused = refused.filter(|kind| kind == "approval.decision_refused");
    assert_eq!(refused.count(), 10, "and each attempt is recorded");
    assert_eq!(pending(&server, &token).await["status"], "pending");
}

/// Every token that exists, altered in every way, by everybody, at every address that decides.
#[tokio::test]
async fn no_forgery_decides_anything() {
    let server = start().await;
    ask(&server, &[]).await;
    let owner = approver_token(&server, "owner").await;
    let other = approver_token(&server, "other").await;
    let shown = pending(&server, &owner).await;
    let mut tokens = vec![other, String::new(), "x".to_owned(), owner.to_uppercase()];
    // Tokens of the right person that are for something else.
    for client in [&WEB, &AGENT, &APPROVER] {
        for (audience, scope) in [
            (ME, "openid read:me:approvals update:me:approvals"),
            ("https://behalf.test/api/", "chat"),
            (world::GIST, "openid create:gist"),
            ("", "openid profile"),
        ] {
            if client.client_id == "approver" && audience == ME {
                continue;
            }
            let form = [("audience", audience), ("scope", scope)];
            let given = world::password_grant(&server, client, "owner", &form).await;
            let given = given.expect(200).json();
            tokens.push(text(&given, "access_token").to_owned());
            tokens.extend(given["id_token"].as_str().map(str::to_owned));
        }
    }
    // The approver's own token, changed.
    for (name, value) in [
        ("sub", json!("auth0|other")),
        ("azp", json!("web")),
        ("client_id", json!("web")),
        ("exp", json!(4_000_000_000_u64)),
        ("scope", json!("update:me:approvals openid")),
        ("jti", json!("x")),
    ] {
        tokens.push(rewritten(&owner, 1, |claims| claims[name] = value));
    }
    for (name, value) in [("alg", json!("none")), ("alg", json!("HS256")), ("typ", json!("JWT"))] {
        tokens.push(rewritten(&owner, 0, |head| head[name] = value));
    }
    tokens.push(owner.rsplit_once('.').unwrap().0.to_owned() + ".");
    let mut attempts = 0;
    for token in &tokens {
        for verb in ["approve", "deny"] {
            for body in ["", r#"{"reason":"x"}"#] {
                let answer = post(&server, &path(&shown, verb), Some(token), body).await;
                assert!(answer.status.is_client_error(), "{} {}", answer.status, answer.text);
                attempts += 1;
            }
        }
    }
    // A session decides on our own pages alone.
    let mut browser = world::signed_in(&server).await;
    for verb in ["approve", "deny"] {
        let page = browser.post(&server, &path(&shown, verb), &[]).await;
        assert_eq!(page.answer.status.as_u16(), 401);
        attempts += 1;
    }
    assert!(attempts >= 100, "{attempts}");
    assert_eq!(pending(&server, &owner).await, shown, "nothing was decided");
    let events = server.events().await;
    assert!(!events.iter().any(|k| k == "approval.approved" || k == "approval.denied"));
}

#[tokio::test]
async fn of_many_who_decide_at_once_one_counts() {
    let server = Arc::new(start().await);
    ask(&server, &[]).await;
    let token = approver_token(&server, "owner").await;
    let shown = pending(&server, &token).await;
    let decisions = (0..12).map(|n| {
        let (server, token) = (Arc::clone(&server), token.clone());
        let path = path(&shown, if n % 2 == 0 { "approve" } else { "deny" });
        tokio::spawn(async move { post(&server, &path, Some(&token), "").await.status.as_u16() })
    });
    let mut statuses = Vec::new();
    for decision in decisions.collect::<Vec<_>>() {
        statuses.push(decision.await.unwrap());
    }
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 6, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 6);
    let decided = server.events().await.into_iter();
    let decided = decided.filter(|kind| kind == "approval.approved" || kind == "approval.denied");
    assert_eq!(decided.count(), 1);
}

#[tokio::test]
async fn the_page_decides_without_script_and_getting_it_does_not() {
    let server = start().await;
    ask(&server, &[("binding_message", "</blockquote><script>x</script>")]).await;
    let token = approver_token(&server, "owner").await;
    let shown = pending(&server, &token).await;
    let page = format!("/account/approvals/{}", text(&shown, "id"));
    let mut browser = world::signed_in(&server).await;
    let inbox = browser.get(&server, "/account/approvals").await;
    assert!(inbox.answer.text.contains(&page), "{}", inbox.answer.text);
    for query in ["", "?decision=approve", "/?decision=approve"] {
        browser.get(&server, &format!("{page}{query}")).await;
    }
    assert_eq!(pending(&server, &token).await, shown);
    let open = browser.get(&server, &page).await;
    assert!(!open.answer.text.contains("<script>x"));
    let fields = open.form_to(&page);
    let with = |decision: &str| {
        let mut fields = fields.clone();
        fields.push(("decision".to_owned(), decision.to_owned()));
        fields
    };

    // Another site, another person, no form token, another digest.
    let mut lured = world::signed_in(&server).await;
    let foreign = lured.post_cross_site(&server, &page, &with("approve")).await;
    assert!(!foreign.answer.status.is_success());
    let mut thief = world::signed_in_as(&server, "other").await;
    assert_eq!(thief.get(&server, &page).await.answer.status.as_u16(), 404);
    assert_eq!(thief.post(&server, &page, &with("approve")).await.answer.status.as_u16(), 403);
    for name in ["csrf_token", "digest"] {
        let mut lacking = with("approve");
        lacking.retain(|(known, _)| known != name);
        let refused = browser.post(&server, &page, &lacking).await;
        assert!(refused.answer.status.is_client_error(), "{name}");
    }
    let mut altered = with("approve");
    altered.iter_mut().filter(|(name, _)| name == "digest").for_each(|f| f.1 = "0".repeat(64));
    assert_eq!(browser.post(&server, &page, &altered).await.answer.status.as_u16(), 409);
    let nobody = Browser::new().post(&server, &page, &with("approve")).await;
    assert!(nobody.answer.status.is_redirection());
    assert_eq!(pending(&server, &token).await, shown, "nothing was decided");

    // Her own click, twice, and a late change of mind.
    for _ in 0..2 {
        let done = browser.post(&server, &page, &with("deny")).await;
        assert_eq!(done.answer.status.as_u16(), 303);
    }
    let late = browser.post(&server, &page, &with("approve")).await;
    assert_eq!(late.answer.status.as_u16(), 409);
    assert!(late.answer.text.contains("You denied this"));
}
