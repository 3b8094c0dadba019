//! Refresh tokens: exchanged once, for any audience, within what was granted; reuse is theft.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use behalf_crypto::{SystemRng, opaque};
use behalf_tests::{Client, TestServer, post_form};
use http::header;
use serde_json::{Value, json};

use crate::codes::variants;
use crate::world::{self, GIST, NATIVE, PLAIN, SPA, USERINFO, WEB, assert_refused, text};

async fn family(server: &TestServer, scope: &str) -> String {
    let tokens = world::code_tokens(server, &WEB, &[("scope", scope)]).await;
    text(&tokens, "refresh_token").to_owned()
}

async fn refresh(server: &TestServer, token: &str) -> Value {
    WEB.refresh(server, token, &[]).await.expect(200).json()
}

async fn assert_dead(server: &TestServer, token: &str) {
    assert_refused(WEB.refresh(server, token, &[]).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_refresh_gives_new_tokens_and_a_successor() {
    let server = world::start().await;
    let first = family(&server, "openid profile offline_access").await;
    let signed_in_at = server.now().as_secs();
    server.advance(Duration::from_hours(1));
    let answer = WEB.refresh(&server, &first, &[]).await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    let tokens = answer.json();
    assert_ne!(tokens["refresh_token"], first);
    assert_eq!(tokens["scope"], "openid profile offline_access");
    let id_token = Client::claims(text(&tokens, "id_token"));
    assert_eq!(id_token["auth_time"], signed_in_at, "when she signed in, not when it was renewed");
    assert_eq!(id_token["iat"], server.now().as_secs());
    assert_eq!(id_token["sid"].as_str().unwrap().len(), 26);
    assert!(id_token.get("nonce").is_none(), "OpenID Connect Core §12.2");
    let access = Client::claims(text(&tokens, "access_token"));
    assert_eq!((&access["aud"], &access["sub"]), (&json!(USERINFO), &json!("auth0|owner")));
    assert!(access.get("gty").is_none());
}

#[tokio::test]
async fn without_offline_access_there_is_nothing_to_refresh() {
    let server = world::start().await;
    for scope in ["openid profile email", "openid", "profile"] {
        let tokens = world::code_tokens(&server, &WEB, &[("scope", scope)]).await;
        assert!(tokens.get("refresh_token").is_none(), "{scope}");
    }
    let grants = "clients: [{client_id: web, grant_types: [authorization_code]}]";
    server.apply(grants).await.unwrap();
    let tokens = world::code_tokens(&server, &WEB, &[]).await;
    assert!(tokens.get("refresh_token").is_none(), "the client may not refresh");
}

#[tokio::test]
async fn within_the_window_the_same_token_gives_the_same_successor() {
    let server = world::start().await;
    let first = family(&server, "openid offline_access").await;
    let successor = refresh(&server, &first).await["refresh_token"].clone();
    for _ in 0..3 {
        server.advance(Duration::from_secs(10));
        assert_eq!(refresh(&server, &first).await["refresh_token"], successor);
    }
    // 30 s after its use and not after its last repetition.
    server.advance(Duration::from_micros(1));
    assert_dead(&server, &first).await;
    assert_dead(&server, successor.as_str().unwrap()).await;
    assert!(server.events().await.contains(&"token.reuse_detected".to_owned()));
}

#[tokio::test]
async fn later_reuse_of_any_token_ends_the_family_and_only_this_one() {
    for reused in 0..3 {
        let server = world::start().await;
        let other = family(&server, "openid offline_access").await;
        let mut chain = vec![family(&server, "openid offline_access").await];
        for _ in 0..3 {
            server.advance(Duration::from_secs(60));
            let next = refresh(&server, chain.last().unwrap()).await;
            chain.push(text(&next, "refresh_token").to_owned());
        }
        server.advance(Duration::from_secs(31));
        assert_dead(&server, &chain[reused]).await;
        for token in &chain {
            assert_dead(&server, token).await;
        }
        refresh(&server, &other).await;
    }
}

#[tokio::test]
async fn a_hundred_parallel_refreshes_have_one_successor() {
    let server = Arc::new(world::start().await);
    let first = family(&server, "openid offline_access").await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (server, first) = (Arc::clone(&server), first.clone());
        tasks.spawn(async move { refresh(&server, &first).await });
    }
    let answers = tasks.join_all().await;
    let member = |name: &str| -> BTreeSet<String> {
        answers.iter().map(|answer| text(answer, name).to_owned()).collect()
    };
    assert_eq!(member("refresh_token").len(), 1, "one successor");
    assert_eq!(member("access_token").len(), 100, "each answer has a token of its own");
    // Every token that left is recorded, and no other.
    let recorded: BTreeSet<String> = server
        .outbox()
        .await
        .into_iter()
        .filter(|event| event.kind == "token.issued" && event.facts.contains("refresh_token"))
        .map(|event| {
            let facts: Value = serde_json::from_str(&event.facts).unwrap();
            text(&facts, "jti").to_owned()
        })
        .collect();
    let left: BTreeSet<String> = member("access_token")
        .iter()
        .map(|token| text(&Client::claims(token), "jti").to_owned())
        .collect();
    assert_eq!(recorded, left);
    refresh(&server, member("refresh_token").first().unwrap()).await;
}

#[tokio::test]
async fn a_token_unused_for_fifteen_days_dies() {
    const DAY: Duration = Duration::from_hours(24);
    let server = world::start().await;
    let first = family(&server, "openid offline_access").await;
    server.advance(14 * DAY);
    let second = refresh(&server, &first).await;
    server.advance(15 * DAY);
    assert_dead(&server, text(&second, "refresh_token")).await;
    let kinds = server.events().await;
    assert!(!kinds.contains(&"token.reuse_detected".to_owned()), "age is no theft");
}

#[tokio::test]
async fn a_family_dies_after_thirty_days_however_often_it_is_used() {
    const DAY: Duration = Duration::from_hours(24);
    let server = world::start().await;
    let mut token = family(&server, "openid offline_access").await;
    for _ in 0..29 {
        server.advance(DAY);
        token = text(&refresh(&server, &token).await, "refresh_token").to_owned();
    }
    server.advance(DAY - Duration::from_secs(1));
    token = text(&refresh(&server, &token).await, "refresh_token").to_owned();
    server.advance(Duration::from_secs(1));
    assert_dead(&server, &token).await;
}

#[tokio::test]
async fn one_refresh_token_gives_tokens_for_every_own_api() {
    const ASKED: &str = "openid profile email offline_access chat read:documents export:records \
                         read:users create:me:connected_accounts update:me:approvals check:fga";
    let server = world::start().await;
    let mut token = family(&server, "openid profile offline_access").await;
    // OpenID Connect's scopes never fail and never grow; the others are dropped by API and role.
    for (path, role, granted) in [
        ("userinfo", "", ""),
        ("api/", "", " chat read:documents"),
        ("api/", "auditor", " chat read:documents export:records"),
        ("api/v2/", "", ""),
        ("api/v2/", "administrator", " read:users"),
        ("me/", "", " create:me:connected_accounts"),
        ("fga/", "", ""),
        ("fga/", "security", " check:fga"),
        ("mcp", "", ""),
    ] {
        let setup = format!("users: [{{user_id: 'auth0|owner', roles: [{role}]}}]");
        server.apply(&setup).await.unwrap();
        let audience = format!("https://behalf.test/{path}");
        let extra = [("audience", audience.as_str()), ("scope", ASKED)];
        let tokens = WEB.refresh(&server, &token, &extra).await.expect(200).json();
        assert_eq!(tokens["scope"], format!("openid profile offline_access{granted}"), "{path}");
        let claims = Client::claims(text(&tokens, "access_token"));
        assert_eq!(claims["aud"], audience);
        assert_eq!(claims["scope"], tokens["scope"]);
        assert!(tokens.get("id_token").is_some(), "{path}");
        token = text(&tokens, "refresh_token").to_owned();
        // Without scopes, those of OpenID Connect.
        let tokens = WEB.refresh(&server, &token, &[extra[0]]).await.expect(200).json();
        assert_eq!(tokens["scope"], "openid profile offline_access", "{path}");
        token = text(&tokens, "refresh_token").to_owned();
    }
    // The family's own audience is what it was.
    let tokens = refresh(&server, &token).await;
    assert_eq!(Client::claims(text(&tokens, "access_token"))["aud"], USERINFO);
}

#[tokio::test]
async fn a_refresh_reaches_registered_apis_and_never_unknown_ones() {
    let server = world::start().await;
    let token = family(&server, "openid offline_access").await;
    for unknown in ["https://nowhere.example/", "https://gist-api.example", "web", "*"] {
        let answer = WEB.refresh(&server, &token, &[("audience", unknown)]).await;
        assert_refused(answer, 400, "invalid_target");
    }
    let extra = [("audience", GIST), ("scope", "openid create:gist chat")];
    let tokens = WEB.refresh(&server, &token, &extra).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid create:gist");
    assert_eq!(tokens["expires_in"], 600);
    let aud = &Client::claims(text(&tokens, "access_token"))["aud"];
    assert_eq!(*aud, json!([GIST, USERINFO]));
}

#[tokio::test]
async fn a_refresh_for_the_same_api_never_gives_more_than_was_granted() {
    let server = world::start().await;
    let extra = [("audience", GIST), ("scope", "openid offline_access read:gist")];
    let tokens = world::code_tokens(&server, &WEB, &extra).await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    for (asked, granted) in [
        ("read:gist", "read:gist"),
        ("openid read:gist create:gist", "openid read:gist"),
        ("create:gist", ""),
        ("openid profile email", "openid"),
        ("", "openid offline_access read:gist"),
    ] {
        let extra: &[(&str, &str)] = if asked.is_empty() { &[] } else { &[("scope", asked)] };
        let tokens = WEB.refresh(&server, &token, extra).await.expect(200).json();
        assert_eq!(tokens["scope"], granted, "{asked}");
        assert_eq!(tokens.get("id_token").is_some(), granted.contains("openid"), "{asked}");
        token = text(&tokens, "refresh_token").to_owned();
    }
    // Narrowing one access token does not narrow the family, as RFC 6749 §6 has it.
    let bad = WEB.refresh(&server, &token, &[("scope", "quo\"te")]).await;
    assert_refused(bad, 400, "invalid_scope");
    refresh(&server, &token).await;
}

#[tokio::test]
async fn scopes_that_a_role_carried_go_with_the_role() {
    let server = world::start().await;
    server.apply("users: [{user_id: 'auth0|owner', roles: [auditor]}]").await.unwrap();
    let scope = "openid offline_access chat export:records";
    let extra = [("audience", "https://behalf.test/api/"), ("scope", scope)];
    let tokens = world::code_tokens(&server, &WEB, &extra).await;
    assert_eq!(tokens["scope"], scope);
    server.apply("users: [{user_id: 'auth0|owner', roles: []}]").await.unwrap();
    let tokens = refresh(&server, text(&tokens, "refresh_token")).await;
    assert_eq!(tokens["scope"], "openid offline_access chat");
}

#[tokio::test]
async fn a_blocked_person_is_out_at_once_everywhere() {
    let server = world::start().await;
    let tokens = world::code_tokens(&server, &WEB, &[]).await;
    let (access, token) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let mut browser = world::signed_in(&server).await;
    server.get_with_token("/userinfo", access).await.expect(200);
    server.apply("users: [{user_id: 'auth0|owner', blocked: true}]").await.unwrap();
    assert_dead(&server, token).await;
    server.get_with_token("/userinfo", access).await.expect(401);
    let page = browser.get(&server, "/account").await;
    assert!(page.answer.header(header::LOCATION).starts_with("/u/login"));
    let answer = world::password_grant(&server, &WEB, "owner", &[]).await;
    assert_refused(answer, 400, "invalid_grant");
}

#[tokio::test]
async fn a_token_of_another_client_is_worth_nothing_and_stays_whole() {
    let server = world::start().await;
    let token = family(&server, "openid offline_access").await;
    for thief in [&PLAIN, &SPA, &NATIVE, &world::PARTNER] {
        assert_refused(thief.refresh(&server, &token, &[]).await, 400, "invalid_grant");
    }
    let without = Client { client_secret: None, ..WEB };
    assert_refused(without.refresh(&server, &token, &[]).await, 401, "invalid_client");
    refresh(&server, &token).await;
}

#[tokio::test]
async fn a_refresh_token_that_is_not_exactly_the_one_issued_is_unknown() {
    let server = world::start().await;
    let token = family(&server, "openid offline_access").await;
    for variant in variants(&token) {
        assert_dead(&server, &variant).await;
    }
    assert_dead(&server, opaque::mint("bhf_rt_", &SystemRng).expose()).await;
    refresh(&server, &token).await;
}

#[tokio::test]
async fn revoking_a_token_ends_its_family() {
    let server = world::start().await;
    for by_json in [false, true] {
        let first = family(&server, "openid offline_access").await;
        let second = refresh(&server, &first).await;
        // A used one will do: whoever holds it wants the access to end.
        let answer = if by_json {
            let body = json!({"client_id": "web", "client_secret": "web-secret", "token": first});
            let request = http::Request::post("/oauth/revoke")
                .header(header::CONTENT_TYPE, "application/json");
            server.send(request.body(body.to_string().into()).unwrap()).await
        } else {
            let form = [("token", first.as_str()), ("token_type_hint", "refresh_token")];
            WEB.post(&server, "/oauth/revoke", &form).await
        };
        assert_eq!(answer.expect(200).text, "");
        for token in [&first, text(&second, "refresh_token")] {
            assert_dead(&server, token).await;
        }
    }
    let kinds = server.events().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "token.revoked").count(), 2);
}

#[tokio::test]
async fn revoking_says_nothing_about_tokens_and_does_nothing_to_those_of_others() {
    let server = world::start().await;
    let token = family(&server, "openid offline_access").await;
    let before = server.events().await;
    for client in [&PLAIN, &SPA] {
        for token in [&token, "unknown", "bhf_rt_x"] {
            let answer = client.post(&server, "/oauth/revoke", &[("token", token)]).await;
            assert_eq!(answer.expect(200).text, "");
        }
    }
    for mangled in variants(&token).into_iter().take(60) {
        WEB.post(&server, "/oauth/revoke", &[("token", &mangled)]).await.expect(200);
    }
    assert_eq!(server.events().await, before, "nothing happened");
    let answer = WEB.post(&server, "/oauth/revoke", &[]).await;
    assert_refused(answer, 400, "invalid_request");
    let stranger = Client { client_secret: Some("wrong"), ..WEB };
    let answer = stranger.post(&server, "/oauth/revoke", &[("token", &token)]).await;
    assert_refused(answer, 401, "invalid_client");
    let answer = post_form(&server, "/oauth/revoke", format!("token={token}")).await;
    assert_refused(answer, 401, "invalid_client");
    refresh(&server, &token).await;
}
