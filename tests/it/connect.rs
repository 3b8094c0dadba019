//! Connecting an account: the person's way to the provider and back, and the application's.

use axum::body::Body;
use behalf::demo::provider::{Fault, LocalProvider};
use behalf_tests::{
    Answer, Browser, Client, ISSUER, Page, TestServer, code_challenge, decide_at_provider,
    github_connection, query_of, start_provider,
};
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use std::time::Duration;

use crate::world::{self, text};

const ME: &str = "https://behalf.test/me/";
const TOKEN_PATH: &str = "/login/oauth/access_token";
const SCOPES: &str = "openid create:me:connected_accounts read:me:connected_accounts \
                      delete:me:connected_accounts";

async fn start() -> (TestServer, LocalProvider) {
    let server = world::start().await;
    let provider = start_provider(&server, Some(28_800)).await;
    server.apply(&github_connection(&provider)).await.unwrap();
    (server, provider)
}

/// The form on the connect page at `path`, posted: where the browser is sent.
pub(crate) async fn set_out(server: &TestServer, browser: &mut Browser, path: &str) -> String {
    let page = browser.open(server, path).await.unwrap();
    assert_eq!(page.answer.status, StatusCode::OK, "{}", page.answer.text);
    let fields = page.form_to("/account/connect");
    let page = browser.post(server, "/account/connect", &fields).await;
    assert_eq!(page.answer.status, StatusCode::SEE_OTHER, "{}", page.answer.text);
    page.answer.header(header::LOCATION).to_owned()
}

/// The path and query of an address of ours.
#[track_caller]
pub(crate) fn path_of(address: &str) -> String {
    format!("/{}", address.strip_prefix(ISSUER).unwrap_or_else(|| panic!("{address}")))
}

async fn connect_github(server: &TestServer, browser: &mut Browser) -> Page {
    let address = set_out(server, browser, "/account/connect?connection=github").await;
    let callback = decide_at_provider(&address, Some("octo-ann")).await;
    browser.open(server, &path_of(&callback)).await.unwrap()
}

async fn accounts_of(server: &TestServer, name: &str) -> Vec<behalf_vault::Account> {
    let user_id = format!("auth0|{name}").parse().unwrap();
    server.server.vault.list_accounts(&user_id).await.unwrap()
}

#[tokio::test]
async fn a_person_connects_her_account_and_sees_it() {
    let (server, provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let page = browser.open(&server, "/account/connect?connection=github").await.unwrap();
    for words in ["Connect GitHub", "gist", "public_repo", "127.0.0.1", "Create and change Gists"] {
        assert!(page.answer.text.contains(words), "{words}: {}", page.answer.text);
    }
    assert!(!page.answer.text.contains("<script"), "a page in passing");
    let policy = page.answer.header(header::CONTENT_SECURITY_POLICY);
    let origin = provider.base_url().trim_end_matches('/');
    assert!(policy.ends_with(&format!("form-action 'self' {origin}")), "{policy}");
    assert_eq!(provider.received().len(), 0, "nothing left before she decided");

    let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
    let query = query_of(&address);
    assert_eq!(query["client_id"], "gh");
    assert_eq!(query["redirect_uri"], "https://behalf.test/login/callback");
    assert_eq!(query["scope"], "public_repo gist");
    assert_eq!(query["code_challenge_method"], "S256");
    let callback = decide_at_provider(&address, Some("octo-ann")).await;
    let page = browser.open(&server, &path_of(&callback)).await.unwrap();
    assert!(page.path.starts_with("/account/connections"), "{}", page.path);
    for words in ["GitHub is connected", "octo-ann", "gist", "never"] {
        assert!(page.answer.text.contains(words), "{words}: {}", page.answer.text);
    }
    let account = accounts_of(&server, "owner").await.remove(0);
    assert_eq!(account.provider_user_id.as_deref(), Some("583231"));
    assert_eq!(account.scopes, ["public_repo", "gist"]);
    let token = server.server.vault.token(&account.user_id, &account.connection, &["gist"]).await;
    let token = token.unwrap();
    assert!(provider.accepts(token.access_token.expose()));
    assert!(!page.answer.text.contains(token.access_token.expose()));
    assert!(server.events().await.contains(&"account.connected".to_owned()));
    // Once more, as somebody else there: the old account does not linger.
    let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
    let callback = decide_at_provider(&address, Some("octo-bob")).await;
    browser.open(&server, &path_of(&callback)).await.unwrap();
    let accounts = accounts_of(&server, "owner").await;
    assert_eq!(accounts.len(), 1);
    assert_eq!(accounts[0].provider_name.as_deref(), Some("octo-bob"));
    assert_ne!(accounts[0].account_id, account.account_id);
}

#[tokio::test]
async fn a_page_without_a_session_signs_in_and_comes_back() {
    let (server, _provider) = start().await;
    let mut browser = Browser::new();
    let page = browser.open(&server, "/account/connect?connection=github").await.unwrap();
    let page = browser.sign_in(&server, &page, "owner", "owner-password").await.unwrap();
    assert_eq!(page.path, "/account/connect?connection=github");
    assert!(page.answer.text.contains("Connect GitHub"));
}

#[tokio::test]
async fn a_callback_counts_once_and_only_where_it_was_begun() {
    let (server, _provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
    let callback = path_of(&decide_at_provider(&address, Some("octo-ann")).await);
    // Another browser: nobody, somebody else, and the same person signed in elsewhere.
    let mut others = [
        Browser::new(),
        world::signed_in_as(&server, "other").await,
        world::signed_in(&server).await,
    ];
    for other in &mut others {
        let page = other.get(&server, &callback).await;
        assert_eq!(page.answer.status, StatusCode::BAD_REQUEST);
        assert!(page.answer.text.contains("This link is over"), "{}", page.answer.text);
    }
    assert!(accounts_of(&server, "owner").await.is_empty());
    assert!(accounts_of(&server, "other").await.is_empty());
    // Forged states, among them other things that we mint.
    let state = query_of(&format!("https://x{callback}")).remove("state").unwrap();
    for forged in
        ["x", "", &state.replacen('b', "", 1), &state.to_lowercase(), &format!("{state}0")]
    {
        let page = browser.get(&server, &format!("/login/callback?code=x&state={forged}")).await;
        assert_eq!(page.answer.status, StatusCode::BAD_REQUEST, "{forged}");
    }
    // The one who began it still can end it, once.
    let page = browser.open(&server, &callback).await.unwrap();
    assert_eq!(page.answer.status, StatusCode::OK);
    let page = browser.get(&server, &callback).await;
    assert_eq!(page.answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(accounts_of(&server, "owner").await.len(), 1);
}

#[tokio::test]
async fn a_callback_that_comes_too_late_connects_nothing() {
    let (server, provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
    let callback = path_of(&decide_at_provider(&address, Some("octo-ann")).await);
    server.advance(Duration::from_secs(601));
    let page = browser.get(&server, &callback).await;
    assert_eq!(page.answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(provider.count("POST", TOKEN_PATH), 0);
    assert!(accounts_of(&server, "owner").await.is_empty());
}

#[tokio::test]
async fn who_refuses_at_the_provider_is_told_so_and_may_try_again() {
    let (server, _provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
    let callback = path_of(&decide_at_provider(&address, None).await);
    let page = browser.get(&server, &callback).await;
    assert!(page.answer.text.contains("You did not allow it at GitHub"), "{}", page.answer.text);
    assert!(page.answer.text.contains("Try again"));
    assert!(page.answer.text.contains("/account/connect?connection=github"));
    assert!(accounts_of(&server, "owner").await.is_empty());
    assert!(server.events().await.contains(&"account.connect_refused".to_owned()));
}

#[tokio::test]
async fn what_a_provider_says_wrongly_or_not_at_all_connects_nothing() {
    let answer = |status: u16, body: &str| Fault::Answer(status, None, body.to_owned());
    for (fault, words) in [
        (answer(500, ""), "does not answer"),
        (answer(200, "<html>"), "does not answer"),
        (Fault::Cut(20), "does not answer"),
        (Fault::HangUpBefore, "does not answer"),
        (answer(200, r#"{"error":"bad_verification_code"}"#), "GitHub refused"),
        (answer(200, r#"{"error":"<script>alert(1)</script>"}"#), "GitHub refused"),
    ] {
        let (server, provider) = start().await;
        let mut browser = world::signed_in(&server).await;
        let address = set_out(&server, &mut browser, "/account/connect?connection=github").await;
        let callback = path_of(&decide_at_provider(&address, Some("octo-ann")).await);
        provider.fail_next(TOKEN_PATH, 1, &fault);
        let page = browser.get(&server, &callback).await;
        assert!(page.answer.text.contains(words), "{fault:?}: {}", page.answer.text);
        assert!(page.answer.text.contains("Try again"), "{fault:?}");
        assert!(!page.answer.text.contains("<script"), "{fault:?}");
        assert!(accounts_of(&server, "owner").await.is_empty(), "{fault:?}");
        // The same person can begin again at once.
        let page = connect_github(&server, &mut browser).await;
        assert!(page.answer.text.contains("octo-ann"), "{fault:?}");
    }
}

#[tokio::test]
async fn a_form_of_another_site_sends_nobody_anywhere() {
    let (server, _provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let page = browser.open(&server, "/account/connect?connection=github").await.unwrap();
    let fields = page.form_to("/account/connect");
    let without: Vec<_> = fields.iter().filter(|(name, _)| name != "csrf_token").cloned().collect();
    let page = browser.post(&server, "/account/connect", &without).await;
    assert_eq!(page.answer.status, StatusCode::FORBIDDEN);
    let mut other = world::signed_in_as(&server, "other").await;
    let page = other.post(&server, "/account/connect", &fields).await;
    assert_eq!(page.answer.status, StatusCode::FORBIDDEN, "another browser's form token");
    let page = browser.post_cross_site(&server, "/account/connect", &fields).await;
    assert_eq!(page.answer.status, StatusCode::FORBIDDEN, "another site's page");
}

#[tokio::test]
async fn after_connecting_she_returns_to_our_own_pages_only() {
    let (server, _provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    for (return_to, expected) in [
        ("/account", "/account"),
        ("https://evil.example/", "/account/connections?connected=github"),
        ("//evil.example", "/account/connections?connected=github"),
        ("/\\evil.example", "/account/connections?connected=github"),
    ] {
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("connection", "github"), ("return_to", return_to)])
            .finish();
        let address = set_out(&server, &mut browser, &format!("/account/connect?{query}")).await;
        let callback = path_of(&decide_at_provider(&address, Some("octo-ann")).await);
        let page = browser.get(&server, &callback).await;
        assert_eq!(page.answer.header(header::LOCATION), expected, "{return_to}");
    }
    let page = browser.get(&server, "/account/connect?connection=gitlab").await;
    assert_eq!(page.answer.status, StatusCode::NOT_FOUND);
    let page = browser.get(&server, "/account/connect?i=int_unknown").await;
    assert_eq!(page.answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn disconnecting_forgets_here_and_says_what_the_provider_did() {
    for (fault, words) in [
        (None, "GitHub has revoked them"),
        (Some(Fault::HangUpBefore), "did not confirm"),
        (Some(Fault::Answer(500, None, String::new())), "did not confirm"),
    ] {
        let (server, provider) = start().await;
        let mut browser = world::signed_in(&server).await;
        let page = connect_github(&server, &mut browser).await;
        let account = accounts_of(&server, "owner").await.remove(0);
        let vault = &server.server.vault;
        let token = vault.token(&account.user_id, &account.connection, &[]).await.unwrap();
        if let Some(fault) = &fault {
            provider.fail_next("/applications/gh/grant", 1, fault);
        }
        let fields = page.form_to("/account/connections/disconnect");
        // Nobody else's form disconnects it.
        let mut other = world::signed_in_as(&server, "other").await;
        let theirs = other.open(&server, "/account").await.unwrap().form().1;
        let mut stolen: Vec<_> = theirs.into_iter().filter(|(n, _)| n == "csrf_token").collect();
        stolen.push(("account_id".to_owned(), account.account_id.clone()));
        other.post(&server, "/account/connections/disconnect", &stolen).await;
        assert_eq!(accounts_of(&server, "owner").await.len(), 1);

        let page = browser.post(&server, "/account/connections/disconnect", &fields).await;
        let page = browser.follow(&server, page).await.unwrap();
        assert!(page.answer.text.contains(words), "{fault:?}: {}", page.answer.text);
        assert!(page.answer.text.contains("No account is connected"));
        assert!(accounts_of(&server, "owner").await.is_empty());
        assert_eq!(provider.accepts(token.access_token.expose()), fault.is_some());
    }
}

#[tokio::test]
async fn administrators_see_connections_and_no_secret_and_others_do_not() {
    let (server, _provider) = start().await;
    let mut browser = world::signed_in(&server).await;
    let page = browser.get(&server, "/console/connections").await;
    assert_eq!(page.answer.status, StatusCode::FORBIDDEN);
    connect_github(&server, &mut browser).await;
    server.apply("users: [{user_id: 'auth0|owner', roles: [administrator]}]").await.unwrap();
    let page = browser.get(&server, "/console/connections").await;
    assert_eq!(page.answer.status, StatusCode::OK);
    for words in ["github", "secret set", "https://behalf.test/login/callback", "strategy: github"]
    {
        assert!(page.answer.text.contains(words), "{words}: {}", page.answer.text);
    }
    assert!(!page.answer.text.contains("gh-secret"));
}

// --- the application's way ---

/// A call of the My Account API.
async fn me(server: &TestServer, method: Method, path: &str, token: &str, body: &Value) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(format!("/me/v1/connected-accounts{path}"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/json");
    server.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn my_account_token(server: &TestServer, client: &Client, name: &str, scope: &str) -> String {
    let extra = [("scope", scope), ("audience", ME)];
    let tokens = world::password_grant(server, client, name, &extra).await.expect(200).json();
    text(&tokens, "access_token").to_owned()
}

fn connect_body() -> Value {
    json!({
        "connection": "github",
        "redirect_uri": world::WEB.redirect_uri,
        "state": "app-state",
        "code_challenge": code_challenge(),
        "code_challenge_method": "S256",
        "scopes": ["gist"],
        "authorization_params": {"prompt": "consent"},
    })
}

fn complete_body(started: &Value, callback: &str) -> Value {
    json!({
        "auth_session": started["auth_session"],
        "connect_code": query_of(callback)["connect_code"],
        "redirect_uri": world::WEB.redirect_uri,
        "code_verifier": Client::VERIFIER,
    })
}

/// Begins a connect as the application and walks it to the application's redirect address.
async fn until_callback(server: &TestServer, token: &str, login: Option<&str>) -> (Value, String) {
    let started = me(server, Method::POST, "/connect", token, &connect_body()).await;
    let started = started.expect(201).json();
    let connect_uri = text(&started, "connect_uri");
    assert!(!connect_uri.contains('?'), "clients append to it");
    let ticket = text(&started["connect_params"], "ticket");
    let mut browser = world::signed_in(server).await;
    let page = path_of(&format!("{connect_uri}?ticket={ticket}"));
    let shown = browser.open(server, &page).await.unwrap();
    assert!(shown.answer.text.contains("<b class=\"host\">Web</b> wants to act for you"));
    let address = set_out(server, &mut browser, &page).await;
    let back = decide_at_provider(&address, login).await;
    let callback = browser.open(server, &path_of(&back)).await.unwrap_err();
    (started, callback)
}

#[tokio::test]
async fn an_application_connects_lists_and_deletes_an_account_for_a_person() {
    let (server, provider) = start().await;
    let token = my_account_token(&server, &world::WEB, "owner", SCOPES).await;
    let connections = me(&server, Method::GET, "/connections", &token, &Value::Null).await;
    let expected = json!({"connections": [
        {"name": "github", "strategy": "github", "scopes": ["public_repo", "gist"]}
    ]});
    assert_eq!(connections.expect(200).json(), expected);

    let (started, callback) = until_callback(&server, &token, Some("octo-ann")).await;
    assert!(text(&started, "auth_session").len() <= 64);
    assert_eq!(started["expires_in"], 600);
    assert!(callback.starts_with(world::WEB.redirect_uri), "{callback}");
    let query = query_of(&callback);
    assert_eq!(query["state"], "app-state");
    assert!(query["connect_code"].len() <= 46);
    assert!(accounts_of(&server, "owner").await.is_empty(), "not before it is completed");

    let body = complete_body(&started, &callback);
    let account = me(&server, Method::POST, "/complete", &token, &body).await.expect(201).json();
    assert_eq!(account["connection"], "github");
    assert_eq!(account["access_type"], "offline");
    assert_eq!(account["scopes"], json!(["public_repo", "gist"]));
    assert_eq!(account["created_at"], "2026-11-24T08:00:00.000000Z");
    let listed = me(&server, Method::GET, "/accounts", &token, &Value::Null).await.expect(200);
    assert_eq!(listed.json(), json!({"accounts": [account]}));
    // Completed once.
    me(&server, Method::POST, "/complete", &token, &body).await.expect(400);

    let id = text(&account, "id");
    let theirs = my_account_token(&server, &world::WEB, "other", SCOPES).await;
    let path = format!("/accounts/{id}");
    me(&server, Method::DELETE, &path, &theirs, &Value::Null).await.expect(404);
    let deleted = me(&server, Method::DELETE, &path, &token, &Value::Null).await.expect(204);
    assert_eq!(deleted.text, "");
    me(&server, Method::DELETE, &path, &token, &Value::Null).await.expect(404);
    assert_eq!(provider.count("DELETE", "/applications/gh/grant"), 1);
    let listed = me(&server, Method::GET, "/accounts", &token, &Value::Null).await.expect(200);
    assert_eq!(listed.json(), json!({"accounts": []}));
}

#[tokio::test]
async fn a_connect_is_completed_only_by_who_began_it_with_all_that_belongs_to_it() {
    let (server, _provider) = start().await;
    let token = my_account_token(&server, &world::WEB, "owner", SCOPES).await;
    let (started, callback) = until_callback(&server, &token, Some("octo-ann")).await;
    let right = complete_body(&started, &callback);
    for (member, wrong) in [
        ("auth_session", "bhf_cx_x"),
        ("connect_code", "bhf_cc_00000000000000000000000000000000"),
        ("redirect_uri", "https://web.example/callback?tab=1"),
        ("code_verifier", "another-verifier-another-verifier-another-verifier"),
    ] {
        let mut body = right.clone();
        body[member] = wrong.into();
        me(&server, Method::POST, "/complete", &token, &body).await.expect(400);
    }
    let theirs = my_account_token(&server, &world::WEB, "other", SCOPES).await;
    me(&server, Method::POST, "/complete", &theirs, &right).await.expect(400);
    let agents = my_account_token(&server, &world::AGENT, "owner", SCOPES).await;
    me(&server, Method::POST, "/complete", &agents, &right).await.expect(400);
    let reading = my_account_token(&server, &world::WEB, "owner", "read:me:connected_accounts");
    me(&server, Method::POST, "/complete", &reading.await, &right).await.expect(403);
    assert!(accounts_of(&server, "owner").await.is_empty());
    me(&server, Method::POST, "/complete", &token, &right).await.expect(201);
}

#[tokio::test]
async fn a_ticket_opens_only_for_the_person_it_was_made_for() {
    let (server, _provider) = start().await;
    let token = my_account_token(&server, &world::WEB, "owner", SCOPES).await;
    let started = me(&server, Method::POST, "/connect", &token, &connect_body()).await;
    let started = started.expect(201).json();
    let ticket = text(&started["connect_params"], "ticket");
    let path = format!("/account/connect?ticket={ticket}");
    // The phisher's link in the victim's browser: her account would become the phisher's.
    let mut victim = world::signed_in_as(&server, "other").await;
    let page = victim.get(&server, &path).await;
    assert_eq!(page.answer.status, StatusCode::BAD_REQUEST);
    let session = text(&started, "auth_session");
    let page = victim.get(&server, &format!("/account/connect?ticket={session}")).await;
    assert_eq!(page.answer.status, StatusCode::BAD_REQUEST, "no other handle is a ticket");
    let mut owner = world::signed_in(&server).await;
    assert_eq!(owner.get(&server, &path).await.answer.status, StatusCode::OK);
    server.advance(Duration::from_secs(601));
    assert_eq!(owner.get(&server, &path).await.answer.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn an_application_learns_that_she_refused() {
    let (server, _provider) = start().await;
    let token = my_account_token(&server, &world::WEB, "owner", SCOPES).await;
    let (_, callback) = until_callback(&server, &token, None).await;
    let query = query_of(&callback);
    assert_eq!(query["error"], "access_denied");
    assert_eq!(query["state"], "app-state");
    assert!(!query.contains_key("connect_code"));
}

#[tokio::test]
async fn a_malformed_connect_begins_nothing() {
    let (server, _provider) = start().await;
    let token = my_account_token(&server, &world::WEB, "owner", SCOPES).await;
    for (member, wrong, status) in [
        ("redirect_uri", json!("https://evil.example/"), 400),
        ("code_challenge", json!("short"), 400),
        ("code_challenge_method", json!("plain"), 400),
        ("connection", json!("gitlab"), 404),
        ("scopes", json!(["a b"]), 400),
        ("scopes", json!("gist"), 400),
        ("connection", json!(7), 400),
    ] {
        let mut body = connect_body();
        body[member] = wrong.clone();
        let answer = me(&server, Method::POST, "/connect", &token, &body).await;
        let content_type = answer.header(header::CONTENT_TYPE).to_owned();
        let body = answer.expect(status).json();
        assert_eq!(content_type, "application/problem+json");
        assert_eq!(body["status"], status, "{member} {wrong}");
    }
    let machine = [("grant_type", "client_credentials"), ("audience", ME)];
    let machine = world::MACHINE.token(&server, &machine).await.expect(200).json();
    let answer =
        me(&server, Method::GET, "/accounts", text(&machine, "access_token"), &Value::Null);
    answer.await.expect(403);
    let mut request = Request::get("/me/v1/connected-accounts/accounts");
    request = request.header(header::AUTHORIZATION, "Bearer x");
    server.send(request.body(Body::empty()).unwrap()).await.expect(401);
}
