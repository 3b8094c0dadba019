//! What an attacker tries against sign-in and tokens, beyond the protocol's own negative cases.

use std::time::Duration;

use axum::body::Body;
use behalf_core::Actor;
use behalf_gate::flows::ApplyOptions;
use behalf_tests::{Answer, Browser, Client, TestServer, post_form, query_of};
use http::{Method, Request, header};
use serde_json::json;

use crate::world::{self, GIST, PARTNER, WEB, assert_refused, text};

/// An API of the tenant's own whose tokens open `/stores`, and people with and without a role.
const FGA_API: &str = r#"
users:
  - {user_id: "auth0|admin", username: boss, password: boss-password, roles: [administrator]}
  - {user_id: "auth0|plain", username: plain, password: plain-password}
clients:
  - {client_id: web, client_secret: web-secret, callbacks: ["https://web.example/callback"], grant_types: [authorization_code, refresh_token, password]}
  - {client_id: machine, client_secret: machine-secret, grant_types: [client_credentials]}
resource_servers:
  - {identifier: "https://fga.example/", name: Own FGA, fga: true, scopes: ["read:fga", "admin:fga", "read:reports"]}
client_grants:
  - {client_id: machine, audience: "https://behalf.test/fga/", scope: ["read:fga", "admin:fga"]}
"#;
const FGA: &str = "https://behalf.test/fga/";
const ALL: &str = "openid read:fga admin:fga read:reports";

async fn token_for(
    server: &TestServer,
    name: &str,
    audience: &str,
    scope: &str,
) -> (String, String) {
    let extra = [("audience", audience), ("scope", scope)];
    let tokens = world::password_grant(server, &WEB, name, &extra).await.expect(200).json();
    (text(&tokens, "access_token").to_owned(), text(&tokens, "scope").to_owned())
}

async fn create_store(server: &TestServer, token: &str) -> Answer {
    let request = Request::post("/stores")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .body(Body::from(r#"{"name":"stolen"}"#));
    server.send(request.unwrap()).await
}

#[tokio::test]
async fn no_api_of_the_tenants_own_gives_plain_people_authority_over_stores() {
    let server = TestServer::start(FGA_API).await;
    let (token, scope) = token_for(&server, "plain", "https://fga.example/", ALL).await;
    assert_eq!(scope, "openid read:reports");
    create_store(&server, &token).await.expect(403);
    let (token, scope) = token_for(&server, "boss", "https://fga.example/", ALL).await;
    assert_eq!(scope, ALL);
    create_store(&server, &token).await.expect(201);
}

#[tokio::test]
async fn a_role_taken_away_takes_its_scopes_out_of_tokens_and_codes() {
    let server = TestServer::start(FGA_API).await;
    let own = token_for(&server, "boss", FGA, ALL).await.0;
    let tenants = token_for(&server, "boss", "https://fga.example/", ALL).await.0;
    let mut browser = Browser::new();
    let path = WEB.authorize_path(&[("audience", FGA), ("scope", "openid admin:fga")]);
    let callback = browser.authorize(&server, &path, "boss", "boss-password").await;
    let machine = Client { client_id: "machine", client_secret: Some("machine-secret"), ..WEB };
    let form = [("grant_type", "client_credentials"), ("audience", FGA)];
    let machine = machine.token(&server, &form).await.expect(200).json();
    let machine = text(&machine, "access_token");
    for token in [&*own, &*tenants, machine] {
        create_store(&server, token).await.expect(201);
    }
    let demoted = r#"
users: [{user_id: "auth0|admin", roles: []}]
client_grants: [{client_id: machine, audience: "https://behalf.test/fga/", scope: ["read:fga"]}]
"#;
    server.apply(demoted).await.unwrap();
    for token in [&*own, &*tenants, machine] {
        create_store(&server, token).await.expect(403);
    }
    let tokens = WEB.redeem(&server, &callback).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid");
}

#[tokio::test]
async fn anothers_application_refreshes_only_to_what_was_agreed_to_for_that_api() {
    const API: &str = "https://behalf.test/api/";
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let allow = async |browser: &mut Browser, extra: &[(&str, &str)]| {
        let page = browser.open(&server, &PARTNER.authorize_path(extra)).await.unwrap();
        let page = browser.submit(&server, &page, &[("decision", "allow")]).await;
        page.answer.header(header::LOCATION).to_owned()
    };
    let callback = allow(&mut browser, &[]).await;
    let tokens = PARTNER.redeem(&server, &callback).await.expect(200).json();
    let token = text(&tokens, "refresh_token").to_owned();
    let asked = [("audience", API), ("scope", "openid chat read:documents write:documents")];
    let answer = PARTNER.refresh(&server, &token, &asked).await.expect(200).json();
    assert_eq!(answer["scope"], "openid", "she never agreed to anything there");
    let me = [("audience", "https://behalf.test/me/"), ("scope", "read:me:approvals")];
    let token = text(&answer, "refresh_token").to_owned();
    let answer = PARTNER.refresh(&server, &token, &me).await.expect(200).json();
    assert_eq!(answer["scope"], "");

    allow(&mut browser, &[("audience", API), ("scope", "openid chat")]).await;
    let token = text(&answer, "refresh_token").to_owned();
    let answer = PARTNER.refresh(&server, &token, &asked).await.expect(200).json();
    assert_eq!(answer["scope"], "openid chat");
}

#[tokio::test]
async fn revoking_an_access_token_is_not_said_to_have_worked() {
    let server = world::start().await;
    let tokens = world::password_grant(&server, &WEB, "owner", &[]).await.expect(200).json();
    let token = text(&tokens, "access_token");
    let answer = WEB.post(&server, "/oauth/revoke", &[("token", token)]).await;
    assert_refused(answer, 400, "unsupported_token_type");
    server.get_with_token("/userinfo", token).await.expect(200);
}

#[tokio::test]
async fn a_code_without_pkce_is_bound_to_its_redirect_address() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    for (redirect_uri, status) in [("", 400), (WEB.redirect_uri, 200)] {
        let callback = world::callback(&server, &mut browser, &WEB, &without).await;
        let code = query_of(&callback).remove("code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", redirect_uri),
        ];
        WEB.token(&server, &form).await.expect(status);
    }
}

#[tokio::test]
async fn both_names_of_a_person_share_the_ten_attempts() {
    let server = world::start().await;
    let guess = async |name: &str, password: &str| {
        let form = [("grant_type", "password"), ("username", name), ("password", password)];
        WEB.token(&server, &form).await
    };
    for attempt in 0..10 {
        let name = ["owner@example.com", "owner", " OWNER ", "Owner@Example.com"][attempt % 4];
        assert_refused(guess(name, "wrong").await, 400, "invalid_grant");
    }
    for name in ["owner", "owner@example.com"] {
        let answer = guess(name, "owner-password").await;
        let wait: u64 = answer.header(header::RETRY_AFTER).parse().unwrap();
        assert!((1..=900).contains(&wait), "{wait}");
        assert_refused(answer, 429, "too_many_attempts");
    }
    server.advance(Duration::from_mins(16));
    guess("owner", "owner-password").await.expect(200);
}

#[tokio::test]
async fn an_ipv6_network_has_ten_attempts_however_many_addresses_it_has() {
    let server = world::start().await;
    for host in 0..10 {
        let mut browser = Browser::at(&format!("2001:db8:1:2::{host}"));
        let page = browser.open(&server, "/account").await.unwrap();
        let page = browser.sign_in(&server, &page, "owner", "wrong").await.unwrap();
        assert_eq!(page.answer.status.as_u16(), 400);
    }
    for (address, status) in [("2001:db8:1:2:ffff::1", 429), ("2001:db8:1:3::1", 200)] {
        let mut browser = Browser::at(address);
        let page = browser.open(&server, "/account").await.unwrap();
        let page = browser.sign_in(&server, &page, "owner", "owner-password").await.unwrap();
        assert_eq!(page.answer.status.as_u16(), status, "{address}");
    }
}

#[tokio::test]
async fn a_huge_password_is_a_wrong_one_for_everybody() {
    let server = world::start().await;
    let password = "x".repeat(5_000);
    for name in ["owner", "nobody"] {
        let form = [("grant_type", "password"), ("username", name), ("password", &password)];
        assert_refused(WEB.token(&server, &form).await, 400, "invalid_grant");
    }
}

#[tokio::test]
async fn a_person_blocked_while_she_chooses_a_password_is_not_let_in() {
    // Only a server without an administrator makes one.
    let server = TestServer::start("").await;
    let (first, password) = ("auth0|first".parse().unwrap(), "one-time-password".into());
    assert!(server.server.identity.create_first_administrator(&first, &password).await.unwrap());
    let mut browser = Browser::new();
    let page = browser.open(&server, "/account").await.unwrap();
    let page = browser.sign_in(&server, &page, "admin", "one-time-password").await.unwrap();
    assert!(page.path.starts_with("/u/change-password"), "{}", page.path);
    server.apply(r#"users: [{user_id: "auth0|first", blocked: true}]"#).await.unwrap();
    let chosen = [("password", "a-better-password"), ("repeated", "a-better-password")];
    let page = browser.submit(&server, &page, &chosen).await;
    assert_eq!(page.answer.status.as_u16(), 400);
    assert!(!server.events().await.contains(&"sign_in.succeeded".to_owned()));
}

#[tokio::test]
async fn floods_of_scopes_and_long_parameters_are_refused_at_once() {
    let server = world::start().await;
    let scopes: String = (0..8_000).map(|n| format!("s{n}+")).collect();
    let path = format!("{}&scope={scopes}", WEB.authorize_path(&[("scope", "")]));
    let (_, query) = path.split_once('?').unwrap();
    let answer = post_form(&server, "/authorize", query.to_owned()).await.expect(302);
    assert_eq!(query_of(answer.header(header::LOCATION))["error"], "invalid_scope");
    let hint = "x".repeat(5_000);
    let path = WEB.authorize_path(&[("login_hint", &hint)]);
    let answer = server.get(&path).await.expect(302);
    assert_eq!(query_of(answer.header(header::LOCATION))["error"], "invalid_request");

    for size in [4_001, 1_000_000] {
        let token = "x".repeat(size);
        for (name, grant) in [("refresh_token", "refresh_token"), ("code", "authorization_code")] {
            let body = json!({"grant_type": grant, name: token});
            let answer = WEB.token_by_json(&server, body).await;
            let (status, code) = match size {
                4_001 => (400, "invalid_grant"),
                _ => (413, "invalid_request"),
            };
            assert_refused(answer, status, code);
        }
    }
}

#[tokio::test]
async fn two_authorization_lines_are_refused() {
    let server = world::start().await;
    let request = Request::post("/oauth/token")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::AUTHORIZATION, "Basic d2ViOndlYi1zZWNyZXQ=")
        .header(header::AUTHORIZATION, "Basic bWFjaGluZTptYWNoaW5lLXNlY3JldA==")
        .body(Body::from(format!("grant_type=client_credentials&audience={GIST}")));
    assert_refused(server.send(request.unwrap()).await, 400, "invalid_request");
}

#[tokio::test]
async fn parameters_of_the_query_are_not_those_of_the_body() {
    let server = world::start().await;
    let path = format!(
        "/oauth/token?grant_type=client_credentials&client_id=web&client_secret=web-secret\
         &audience={GIST}"
    );
    assert_refused(post_form(&server, &path, String::new()).await, 401, "invalid_client");
}

#[tokio::test]
async fn the_first_page_too_is_moved_to_the_issuer() {
    let server = world::start().await;
    let request = Request::get("/?x=1").header(header::HOST, "127.0.0.1:8080");
    let answer = server.send(request.body(Body::empty()).unwrap()).await.expect(307);
    assert_eq!(answer.header(header::LOCATION), "https://behalf.test/?x=1");
    assert_eq!(answer.header(header::SET_COOKIE), "", "nothing begins at the wrong name");
}

#[tokio::test]
async fn what_ran_out_is_forgotten() {
    let server = world::start().await;
    let mut browser = Browser::new();
    browser.open(&server, "/account").await.unwrap();
    world::code_tokens(&server, &WEB, &[]).await;
    let form = [("grant_type", "password"), ("username", "x"), ("password", "y")];
    WEB.token(&server, &form).await.expect(400);
    let left = async |table: &'static str| {
        server.server.identity.purge().await.unwrap();
        let sql = match table {
            "sign_ins" => "SELECT COUNT(*) FROM sign_ins",
            "codes" => "SELECT COUNT(*) FROM authorization_codes",
            _ => "SELECT COUNT(*) FROM sign_in_failures",
        };
        let row = server.server.storage.find(sql, []).await.unwrap();
        row.unwrap().take::<i64>(0).unwrap()
    };
    for table in ["sign_ins", "codes", "failures"] {
        assert_eq!(left(table).await, 1, "{table}");
    }
    server.advance(Duration::from_hours(2));
    assert_eq!((left("sign_ins").await, left("failures").await), (0, 0));
    assert_eq!(left("codes").await, 1, "its reuse is still noticed");
    server.advance(Duration::from_hours(24));
    assert_eq!(left("codes").await, 0);
}

#[tokio::test]
async fn every_token_opens_only_its_own_door() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let cookie = browser.cookie_header().split_once('=').unwrap().1.to_owned();
    server.advance(Duration::from_secs(1));
    let handle = browser.open(&server, &WEB.authorize_path(&[("prompt", "login")])).await.unwrap();
    let handle = handle.path.split_once("state=").unwrap().1.to_owned();
    let callback = world::callback(&server, &mut browser, &WEB, &[]).await;
    let code = query_of(&callback).remove("code").unwrap();
    let extra = [("scope", "openid offline_access")];
    let tokens = world::password_grant(&server, &WEB, "owner", &extra).await.expect(200).json();
    let token = |name: &str| text(&tokens, name).to_owned();
    let all = [
        ("cookie", cookie),
        ("handle", handle),
        ("code", code),
        ("access", token("access_token")),
        ("id", token("id_token")),
        ("refresh", token("refresh_token")),
    ];
    for (kind, token) in &all {
        if *kind != "access" {
            server.get_with_token("/userinfo", token).await.expect(401);
        }
        let answer = server.send(
            Request::get("/stores")
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .body(Body::empty())
                .unwrap(),
        );
        answer.await.expect(401);
        if *kind != "refresh" {
            assert_refused(WEB.refresh(&server, token, &[]).await, 400, "invalid_grant");
        }
        if *kind != "code" {
            assert_refused(WEB.redeem_code(&server, token).await, 400, "invalid_grant");
        }
        if *kind != "cookie" {
            let mut thief = Browser::new();
            thief.steal(&format!("__Host-behalf={token}"));
            assert_ne!(thief.get(&server, "/account").await.answer.status.as_u16(), 200, "{kind}");
        }
        if *kind != "handle" {
            let page = browser.get(&server, &format!("/u/login?state={token}")).await;
            assert_eq!(page.answer.status.as_u16(), 400, "{kind}");
        }
        if *kind != "id" {
            let path = format!("/oidc/logout?id_token_hint={token}");
            assert_eq!(browser.get(&server, &path).await.answer.status.as_u16(), 400, "{kind}");
        }
    }
    // A signed-in thief of the handle cannot use it either.
    let mut thief = world::signed_in_as(&server, "other").await;
    let page = thief.get(&server, &format!("/u/login?state={}", all[1].1)).await;
    assert_eq!(page.answer.status.as_u16(), 400);
}

#[tokio::test]
async fn a_planted_cookie_is_never_the_session_and_hosts_never_build_links() {
    let server = world::start().await;
    let mut attacker = Browser::new();
    attacker.open(&server, "/account").await.unwrap();
    let planted = attacker.cookie_header();
    let mut victim = Browser::new();
    victim.steal(&planted);
    let page = victim.open(&server, "/account").await.unwrap();
    victim.sign_in(&server, &page, "owner", "owner-password").await.unwrap();
    assert_ne!(victim.cookie_header(), planted, "the session has a cookie of its own");
    let page = attacker.get(&server, "/account").await;
    assert_eq!(page.answer.status.as_u16(), 302, "who planted it is not signed in");

    for host in ["evil.example", "behalf.test.evil.example", "behalf.test@evil.example", ""] {
        for path in ["/.well-known/openid-configuration", "/oauth/token", "/authorize", "/stores"] {
            let request = Request::get(path)
                .header(header::HOST, host)
                .header("x-forwarded-host", "evil.example")
                .header("forwarded", "host=evil.example");
            let answer = server.send(request.body(Body::empty()).unwrap()).await;
            assert!(!answer.text.contains("evil"), "{host} {path}: {}", answer.text);
            assert!(!answer.header(header::LOCATION).contains("evil"), "{host} {path}");
        }
    }
}

#[tokio::test]
async fn a_form_of_another_site_takes_nobodys_session_away() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let cookie = browser.cookie_header();
    let posts = server.server.rules.iter().filter(|route| route.method == Method::POST);
    // Sign-in pages, our APIs, and `/authorize`, which another site's form may ask.
    let paths: Vec<&str> = posts.map(|route| route.path).collect();
    assert!(paths.contains(&"/account/sign-out") && paths.contains(&"/authorize"));
    for path in paths {
        let page = browser.post_cross_site(&server, path, &[]).await;
        assert!(!page.answer.headers.contains_key(header::SET_COOKIE), "{path}");
    }
    let path = WEB.authorize_path(&[]);
    let query = path.split_once('?').unwrap().1;
    let fields: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let page = browser.post_cross_site(&server, "/authorize", &fields).await;
    assert!(!page.answer.headers.contains_key(header::SET_COOKIE));
    assert_eq!(browser.cookie_header(), cookie);
    // By GET her cookie comes along, and nobody has to sign in again.
    let callback = browser.follow(&server, page).await.unwrap_err();
    WEB.redeem(&server, &callback).await.expect(200);
    browser.get(&server, "/account").await.answer.expect(200);
    let long = vec![("state".to_owned(), "s".repeat(9_000))];
    browser.post_cross_site(&server, "/authorize", &long).await.answer.expect(400);
}

#[tokio::test]
async fn a_reset_password_ends_the_sessions_and_refresh_tokens_of_the_old_one() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let mut others = world::signed_in_as(&server, "other").await;
    let offline = [("scope", "openid offline_access")];
    let tokens = world::password_grant(&server, &WEB, "owner", &offline).await.expect(200).json();
    let options = ApplyOptions { actor: Actor::System, is_dry_run: false, resets_secrets: true };
    let reset = r#"users: [{user_id: "auth0|owner", password: another-password}]"#;
    server.apply_with(reset, &options).await.unwrap();
    assert_eq!(browser.get(&server, "/account").await.answer.status.as_u16(), 302);
    let refreshed = WEB.refresh(&server, text(&tokens, "refresh_token"), &[]).await;
    assert_refused(refreshed, 400, "invalid_grant");
    others.get(&server, "/account").await.answer.expect(200);
}
