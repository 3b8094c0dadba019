//! The authorization endpoint: what it answers, where it answers it, and what becomes of it.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use behalf_tests::{Browser, Client, START, TestServer, query_of};
use http::{Request, header};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::world::{self, GIST, PARTNER, PLAIN, SPA, USERINFO, WEB, text};

/// Asserts that the request is answered at the redirect address with this error.
#[track_caller]
fn assert_error(callback: &str, client: &Client, error: &str) {
    assert!(callback.starts_with(&format!("{}?", client.redirect_uri)), "{callback}");
    let mut query = query_of(callback);
    assert_eq!(query.remove("error").as_deref(), Some(error), "{callback}");
    assert!(query.remove("error_description").is_some_and(|text| !text.is_empty()));
    assert_eq!(query.remove("iss").as_deref(), Some("https://behalf.test/"));
    assert_eq!(query.remove("state").as_deref(), Some("state-1"));
    assert_eq!(query, BTreeMap::new(), "nothing else is told");
}

/// GETs `path` in a new browser and asserts that it is answered by a page, and nowhere else.
async fn assert_page(server: &TestServer, path: &str) -> String {
    let answer = server.get(path).await;
    assert_eq!(answer.status.as_u16(), 400, "{path}: {}", answer.text);
    assert!(!answer.headers.contains_key(header::LOCATION), "{path}");
    assert!(answer.header(header::CONTENT_TYPE).starts_with("text/html"), "{path}");
    assert!(answer.text.contains("Cannot sign in"), "{path}: {}", answer.text);
    answer.text
}

#[tokio::test]
async fn a_person_signs_in_for_an_application_and_it_receives_who_she_is() {
    let server = world::start().await;
    server.advance(Duration::from_secs(5));
    let path = WEB.authorize_path(&[]);
    let callback = Browser::new().authorize(&server, &path, "owner", "owner-password").await;
    let mut query = query_of(&callback);
    assert!(callback.starts_with("https://web.example/callback?code=bhf_ac_"), "{callback}");
    assert_eq!(query.remove("state").as_deref(), Some("state-1"));
    assert_eq!(query.remove("iss").as_deref(), Some("https://behalf.test/"));
    assert_eq!(query.keys().collect::<Vec<_>>(), ["code"]);

    let issued_at = START.as_secs() + 5;
    let answer = WEB.redeem(&server, &callback).await.expect(200);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
    assert_eq!(answer.header(header::PRAGMA), "no-cache");
    let tokens = answer.json();
    let members: Vec<&String> = tokens.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["access_token", "expires_in", "id_token", "refresh_token", "scope", "token_type"]
    );
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "openid profile email offline_access");
    assert!(text(&tokens, "refresh_token").starts_with("bhf_rt_"));

    let mut id_token = Client::claims(text(&tokens, "id_token"));
    let members = id_token.as_object_mut().unwrap();
    let sid = members.remove("sid").unwrap();
    assert_eq!(sid.as_str().unwrap().len(), 26);
    let expected = json!({
        "iss": "https://behalf.test/", "aud": "web", "sub": "auth0|owner", "nonce": "nonce-1",
        "iat": issued_at, "exp": issued_at + 36_000, "auth_time": issued_at,
        "name": "Olive Owner", "nickname": "olive", "preferred_username": "owner",
        "email": "owner@example.com", "email_verified": true,
        "updated_at": "2026-11-24T08:00:00.000000Z",
    });
    assert_eq!(id_token, expected);

    let mut access = Client::claims(text(&tokens, "access_token"));
    assert!(access.as_object_mut().unwrap().remove("jti").is_some());
    let expected = json!({
        "iss": "https://behalf.test/", "aud": USERINFO, "sub": "auth0|owner",
        "iat": issued_at, "exp": issued_at + 3600, "auth_time": issued_at,
        "client_id": "web", "azp": "web", "scope": "openid profile email offline_access",
    });
    assert_eq!(access, expected);
    let me = server.get_with_token("/userinfo", text(&tokens, "access_token")).await.expect(200);
    assert_eq!(me.header(header::CONTENT_TYPE), "application/json");
    assert_eq!(me.json()["email"], "owner@example.com");
}

#[tokio::test]
async fn an_api_gets_a_token_for_itself_with_its_own_lifetime_key_and_scopes() {
    let server = world::start().await;
    let scope = "openid create:gist create:nothing chat";
    let tokens = world::code_tokens(&server, &WEB, &[("audience", GIST), ("scope", scope)]).await;
    assert_eq!(tokens["scope"], "openid create:gist", "what the API does not have is dropped");
    assert_eq!(tokens["expires_in"], 600);
    let token = text(&tokens, "access_token");
    assert_eq!(Client::claims(token)["aud"], json!([GIST, USERINFO]));
    assert_eq!(jwt_header(token)["alg"], "RS256");
    assert_eq!(jwt_header(token)["typ"], "at+jwt");
    server.get_with_token("/userinfo", token).await.expect(200);
    let tokens =
        world::code_tokens(&server, &WEB, &[("audience", GIST), ("scope", "create:gist")]).await;
    assert!(tokens.get("id_token").is_none() && tokens.get("refresh_token").is_none());
    assert_eq!(Client::claims(text(&tokens, "access_token"))["aud"], GIST);
    let es = [("audience", "https://es.example/"), ("scope", "read:es")];
    let tokens = world::code_tokens(&server, &WEB, &es).await;
    assert_eq!(tokens["expires_in"], 86_400);
    assert_eq!(jwt_header(text(&tokens, "access_token"))["alg"], "ES256");
}

fn jwt_header(token: &str) -> Value {
    let header = token.split('.').next().unwrap();
    Client::claims(&format!("x.{header}.x"))
}

#[tokio::test]
async fn what_is_wrong_beyond_the_redirect_address_is_told_there() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let long = "n".repeat(4097);
    for (extra, error) in [
        (vec![("response_type", "")], "invalid_request"),
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "id_token")], "unsupported_response_type"),
        (vec![("response_type", "code id_token")], "unsupported_response_type"),
        (vec![("response_type", "CODE")], "unsupported_response_type"),
        (vec![("response_type", "none")], "unsupported_response_type"),
        (vec![("response_mode", "fragment")], "invalid_request"),
        (vec![("response_mode", "form_post")], "invalid_request"),
        (vec![("response_mode", "web_message")], "invalid_request"),
        (vec![("audience", "https://nowhere.example/")], "invalid_target"),
        (vec![("audience", "https://gist-api.example")], "invalid_target"),
        (vec![("audience", "HTTPS://gist-api.example/")], "invalid_target"),
        (vec![("audience", "https://behalf.test/api")], "invalid_target"),
        (vec![("audience", "https://behalf.test/")], "invalid_target"),
        (vec![("scope", "openid quo\"te")], "invalid_scope"),
        (vec![("scope", "openid\nprofile")], "invalid_scope"),
        (vec![("scope", "open\u{e4}d")], "invalid_scope"),
        (vec![("prompt", "always")], "invalid_request"),
        (vec![("prompt", "none login")], "invalid_request"),
        (vec![("prompt", "none consent")], "invalid_request"),
        (vec![("prompt", "none select_account")], "invalid_request"),
        (vec![("max_age", "-1")], "invalid_request"),
        (vec![("max_age", "soon")], "invalid_request"),
        (vec![("max_age", "1.5")], "invalid_request"),
        (vec![("max_age", "99999999999")], "invalid_request"),
        (vec![("request", "eyJhbGciOiJub25lIn0.e30.")], "request_not_supported"),
        (vec![("request_uri", "http://169.254.169.254/")], "request_uri_not_supported"),
        (vec![("nonce", long.as_str())], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("code_challenge_method", "s256")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge", "")], "invalid_request"),
    ] {
        let callback = world::callback(&server, &mut browser, &WEB, &extra).await;
        assert_error(&callback, &WEB, error);
        // The same for somebody who is not signed in: no page asks her for a password first.
        let page = Browser::new().get(&server, &WEB.authorize_path(&extra)).await;
        assert_eq!(page.answer.status.as_u16(), 302, "{extra:?}");
        assert_eq!(page.answer.header(header::LOCATION), callback, "{extra:?}");
    }
    let no_code = "clients: [{client_id: web, grant_types: [client_credentials]}]";
    server.apply(no_code).await.unwrap();
    let callback = world::callback(&server, &mut browser, &WEB, &[]).await;
    assert_error(&callback, &WEB, "unauthorized_client");
}

#[tokio::test]
async fn what_puts_the_redirect_address_in_doubt_is_told_on_a_page() {
    let server = world::start().await;
    let long = "s".repeat(4097);
    for extra in [
        vec![("client_id", "")],
        vec![("client_id", "nobody")],
        vec![("client_id", "WEB")],
        vec![("client_id", "web\u{0}")],
        vec![("redirect_uri", "")],
        vec![("redirect_uri", "https://evil.example/callback")],
        vec![("redirect_uri", "https://spa.example/callback")],
        vec![("state", long.as_str())],
        vec![("client_id", "nobody"), ("response_type", "token"), ("prompt", "none")],
        vec![("redirect_uri", "https://evil.example/"), ("request_uri", "https://evil.example/")],
    ] {
        let page = assert_page(&server, &WEB.authorize_path(&extra)).await;
        assert!(!page.contains("evil.example"), "{page}");
    }
    for query in ["", "?", "?client_id=%", "?client_id=%ff", "?%zz=1", "?client_id=web&x=%4"] {
        assert_page(&server, &format!("/authorize{query}")).await;
    }
    let many: String = (0..101).map(|n| format!("&p{n}=1")).collect();
    assert_page(&server, &format!("{}{many}", WEB.authorize_path(&[]))).await;
}

#[tokio::test]
async fn a_repeated_parameter_is_refused_on_a_page_whatever_its_name() {
    let server = world::start().await;
    let path = WEB.authorize_path(&[("audience", GIST), ("prompt", "login"), ("max_age", "9")]);
    let names: Vec<String> = form_urlencoded::parse(path.split_once('?').unwrap().1.as_bytes())
        .map(|(name, _)| name.into_owned())
        .chain(["request_uri", "login_hint", "unknown"].map(str::to_owned))
        .collect();
    assert_eq!(names.len(), 14);
    for name in names {
        // Once more as it is, once empty, once with its first letter escaped.
        let escaped = format!("%{:02x}{}", name.as_bytes()[0], &name.get(1..).unwrap());
        for again in [format!("{name}=x&{name}=x"), format!("{name}=&{escaped}=x")] {
            let page = assert_page(&server, &format!("{path}&{again}")).await;
            assert!(page.contains(&name), "{page}");
            let request = Request::post("/authorize")
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            let form = format!("{}&{again}", path.split_once('?').unwrap().1);
            let answer = server.send(request.body(Body::from(form)).unwrap()).await.expect(400);
            assert!(!answer.headers.contains_key(header::LOCATION), "{name}");
        }
    }
}

#[tokio::test]
async fn unknown_parameters_are_ignored_and_empty_ones_are_absent() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let path = format!(
        "{}&ext-x=1&connection=github&organization=&screen_hint=signup&ui_locales=de&audience=\
         &max_age=&prompt=&request=&login_hint=&Client_ID=other",
        WEB.authorize_path(&[])
    );
    let callback = browser.open(&server, &path).await.unwrap_err();
    let tokens = WEB.redeem(&server, &callback).await.expect(200).json();
    assert_eq!(Client::claims(text(&tokens, "access_token"))["aud"], USERINFO);
}

#[tokio::test]
async fn a_form_asks_like_a_query_does() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let path = WEB.authorize_path(&[]);
    let fields: Vec<(String, String)> =
        form_urlencoded::parse(path.split_once('?').unwrap().1.as_bytes()).into_owned().collect();
    let page = browser.post(&server, "/authorize", &fields).await;
    assert_eq!(page.answer.status.as_u16(), 302);
    let callback = page.answer.header(header::LOCATION).to_owned();
    WEB.redeem(&server, &callback).await.expect(200);
    // A form's query counts for nothing.
    let page = browser.post(&server, &path, &[]).await;
    page.answer.expect(400);
}

#[tokio::test]
async fn state_comes_back_as_it_went_and_only_if_it_went() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let longest = "s".repeat(4096);
    for state in ["a b&c=d#e%2F+\u{e4}\u{1F980}\"'<>\\", "\r\nSet-Cookie: x=y", "{}", &longest] {
        for extra in [[("state", state), ("x", "")], [("state", state), ("response_type", "x")]] {
            let callback = world::callback(&server, &mut browser, &WEB, &extra).await;
            assert_eq!(query_of(&callback)["state"], state);
            assert!(callback.bytes().all(|byte| byte.is_ascii_graphic()), "{callback}");
        }
    }
    let callback = world::callback(&server, &mut browser, &WEB, &[("state", "")]).await;
    assert_eq!(query_of(&callback).keys().collect::<Vec<_>>(), ["code", "iss"]);
    let with_query = [("redirect_uri", "https://web.example/callback?tab=1")];
    let callback = world::callback(&server, &mut browser, &WEB, &with_query).await;
    assert!(callback.starts_with("https://web.example/callback?tab=1&code="), "{callback}");
}

#[tokio::test]
async fn the_redirect_that_carries_a_code_is_never_stored() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let page = browser.get(&server, &WEB.authorize_path(&[])).await;
    assert_eq!(page.answer.status.as_u16(), 302);
    assert_eq!(page.answer.header(header::CACHE_CONTROL), "no-store");
    assert!(page.answer.text.is_empty(), "{}", page.answer.text);
}

#[tokio::test]
async fn prompt_none_never_shows_a_page() {
    let server = world::start().await;
    let none = [("prompt", "none")];
    let path = WEB.authorize_path(&none);
    let callback = Browser::new().open(&server, &path).await.unwrap_err();
    assert_error(&callback, &WEB, "login_required");
    let mut browser = world::signed_in(&server).await;
    let callback = world::callback(&server, &mut browser, &WEB, &none).await;
    WEB.redeem(&server, &callback).await.expect(200);
    let callback = world::callback(&server, &mut browser, &PARTNER, &none).await;
    assert_error(&callback, &PARTNER, "consent_required");
    server.advance(Duration::from_secs(61));
    let stale = [("prompt", "none"), ("max_age", "60")];
    let callback = world::callback(&server, &mut browser, &WEB, &stale).await;
    assert_error(&callback, &WEB, "login_required");
    server.apply("users: [{user_id: 'auth0|owner', blocked: true}]").await.unwrap();
    let callback = world::callback(&server, &mut browser, &WEB, &none).await;
    assert_error(&callback, &WEB, "login_required");
}

#[tokio::test]
async fn a_sign_in_that_is_too_old_is_done_again() {
    let server = world::start().await;
    for (extra, age_secs, asks) in [
        (("prompt", "login"), 1, true),
        (("prompt", "select_account"), 1, true),
        (("prompt", "login consent"), 1, true),
        (("max_age", "60"), 60, false),
        (("max_age", "60"), 61, true),
        (("max_age", "0"), 1, true),
        (("max_age", "4294967295"), 600_000, false),
    ] {
        let mut browser = world::signed_in(&server).await;
        let signed_in_at = server.now().as_secs();
        server.advance(Duration::from_secs(age_secs));
        let opened = browser.open(&server, &WEB.authorize_path(&[extra])).await;
        let tokens = match opened {
            Err(callback) => {
                assert!(!asks, "{extra:?} after {age_secs} s gave a code at once");
                WEB.redeem(&server, &callback).await.expect(200).json()
            }
            Ok(page) => {
                assert!(asks && page.path.starts_with("/u/login?state="), "{extra:?}: {page:?}");
                // Neither a reload nor asking for consent instead gets round the password.
                let handle = page.path.split_once('=').unwrap().1.to_owned();
                let fields = |form: Vec<(String, String)>| {
                    form.into_iter().chain([("decision".into(), "allow".into())]).collect()
                };
                let fields: Vec<_> = fields(page.form_to("/u/login"));
                let consent = browser.post(&server, "/u/consent", &fields).await;
                consent.answer.expect(400);
                let page = browser.get(&server, &format!("/u/login?state={handle}")).await;
                let next = browser.sign_in(&server, &page, "owner", "owner-password").await;
                let callback = match next {
                    Err(callback) => callback,
                    Ok(page) => {
                        assert_eq!(extra.1, "login consent");
                        let page = browser.submit(&server, &page, &[("decision", "allow")]).await;
                        page.answer.header(header::LOCATION).to_owned()
                    }
                };
                WEB.redeem(&server, &callback).await.expect(200).json()
            }
        };
        let auth_time = Client::claims(text(&tokens, "id_token"))["auth_time"].clone();
        let expected = if asks { server.now().as_secs() } else { signed_in_at };
        assert_eq!(auth_time, expected, "{extra:?} after {age_secs} s");
    }
}

#[tokio::test]
async fn another_account_can_be_chosen_and_the_code_is_hers() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    server.advance(Duration::from_secs(1));
    let path = WEB.authorize_path(&[("prompt", "select_account"), ("login_hint", "other")]);
    let page = browser.open(&server, &path).await.unwrap();
    assert!(page.answer.text.contains("value=\"other\""), "{}", page.answer.text);
    let callback = browser.sign_in(&server, &page, "other", "other-password").await.unwrap_err();
    let tokens = WEB.redeem(&server, &callback).await.expect(200).json();
    assert_eq!(Client::claims(text(&tokens, "id_token"))["sub"], "auth0|other");
    let account = browser.get(&server, "/account").await;
    assert!(account.answer.text.contains("auth0|other"));
}

#[tokio::test]
async fn a_public_application_must_bind_the_code_to_itself() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let bare = [("code_challenge", ""), ("code_challenge_method", "")];
    let callback = world::callback(&server, &mut browser, &SPA, &bare).await;
    assert_error(&callback, &SPA, "invalid_request");
    let callback = world::callback(&server, &mut browser, &PLAIN, &bare).await;
    assert!(query_of(&callback).contains_key("code"), "{callback}");
}

#[tokio::test]
async fn what_a_stranger_writes_is_text_on_our_pages_and_never_markup() {
    const MARKUP: &str = "\"><script>alert(1)</script><b x='";
    let server = world::start().await;
    let named = format!("clients: [{{client_id: web, name: {}}}]", json!(MARKUP));
    server.apply(&named).await.unwrap();
    let mut browser = Browser::new();
    let path = WEB.authorize_path(&[("login_hint", MARKUP), ("state", MARKUP)]);
    let login = browser.open(&server, &path).await.unwrap();
    let wrong = [("username", MARKUP), ("password", "wrong")];
    let again = browser.submit(&server, &login, &wrong).await;
    let mut browser = world::signed_in(&server).await;
    let consent = WEB.authorize_path(&[("prompt", "consent"), ("state", MARKUP)]);
    let consent = browser.open(&server, &consent).await.unwrap();
    let encoded: String = form_urlencoded::byte_serialize(MARKUP.as_bytes()).collect();
    let repeated = server.get(&format!("/authorize?{encoded}=1&{encoded}=2")).await;
    for page in [&login.answer, &again.answer, &consent.answer, &repeated] {
        assert!(page.header(header::CONTENT_TYPE).starts_with("text/html"));
        assert!(page.text.contains("alert(1)"), "the test shows nothing: {}", page.text);
        assert!(!page.text.contains("<script") && !page.text.contains("<b x"), "{}", page.text);
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; style-src"), "{policy}");
        assert!(!policy.contains("script"), "{policy}");
    }
}
