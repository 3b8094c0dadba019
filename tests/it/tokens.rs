//! The token endpoint: how a request is read, who the client is, and the grants without a browser.

use axum::body::Body;
use behalf_tests::{Answer, Client, TestServer, post_form};
use http::{Method, Request, header};
use serde_json::{Value, json};

use crate::world::{
    self, AGENT, APPROVER, GIST, MACHINE, SPA, USERINFO, WEB, assert_refused, text,
};

const GRANT: &str = "grant_type=client_credentials&audience=https%3A%2F%2Fgist-api.example%2F";
const IN_BODY: &str = "client_id=machine&client_secret=machine-secret";

fn request(content_type: &str, authorization: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/oauth/token");
    if !content_type.is_empty() {
        request = request.header(header::CONTENT_TYPE, content_type);
    }
    if !authorization.is_empty() {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    request.body(body.into()).unwrap()
}

async fn form(server: &TestServer, authorization: &str, body: &str) -> Answer {
    const FORM: &str = "application/x-www-form-urlencoded";
    server.send(request(FORM, authorization, body.to_owned())).await
}

/// `Authorization: Basic` for a pair that is taken as it stands.
fn basic(pair: &str) -> String {
    let digits = behalf_tests::base64url(pair.as_bytes()).replace('-', "+").replace('_', "/");
    format!("Basic {digits}{}", "=".repeat((4 - digits.len() % 4) % 4))
}

#[tokio::test]
async fn a_client_acts_for_itself_as_far_as_it_was_granted() {
    let server = world::start().await;
    let ask = async |extra: &[(&str, &str)]| {
        let mut form = vec![("grant_type", "client_credentials"), ("audience", GIST)];
        form.extend(extra);
        MACHINE.token(&server, &form).await
    };
    let answer = ask(&[]).await.expect(200).json();
    let members: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(members, ["access_token", "expires_in", "scope", "token_type"]);
    assert_eq!(answer["scope"], "create:gist read:gist");
    assert_eq!(answer["expires_in"], 600);
    let mut claims = Client::claims(text(&answer, "access_token"));
    assert!(claims.as_object_mut().unwrap().remove("jti").is_some());
    let now = server.now().as_secs();
    let expected = json!({
        "iss": "https://behalf.test/", "sub": "machine@clients", "aud": GIST,
        "iat": now, "exp": now + 600, "client_id": "machine", "azp": "machine",
        "gty": "client-credentials", "scope": "create:gist read:gist",
    });
    assert_eq!(claims, expected);
    for (scope, granted) in [
        ("read:gist", "read:gist"),
        ("read:gist create:gist read:gist", "read:gist create:gist"),
        (" ", ""),
    ] {
        let answer = ask(&[("scope", scope)]).await.expect(200).json();
        assert_eq!(answer["scope"], granted, "{scope:?}");
    }
    for more in ["delete:gist", "read:gist delete:gist", "READ:GIST", "openid", "read:gis", "*"] {
        assert_refused(ask(&[("scope", more)]).await, 400, "invalid_scope");
    }
}

#[tokio::test]
async fn without_a_client_grant_there_is_no_token() {
    let server = world::start().await;
    let ask = async |client: &Client, audience: &str| {
        let form = [("grant_type", "client_credentials"), ("audience", audience)];
        client.token(&server, &form).await
    };
    assert_refused(ask(&MACHINE, "https://es.example/").await, 403, "access_denied");
    assert_refused(ask(&AGENT, GIST).await, 403, "access_denied");
    for own in ["userinfo", "api/", "api/v2/", "mcp"] {
        let audience = format!("https://behalf.test/{own}");
        assert_refused(ask(&MACHINE, &audience).await, 403, "access_denied");
    }
    for unknown in ["https://nowhere.example/", "https://gist-api.example", "machine"] {
        assert_refused(ask(&MACHINE, unknown).await, 400, "invalid_target");
    }
    assert_refused(ask(&MACHINE, "").await, 400, "invalid_request");
    assert_refused(ask(&world::PLAIN, GIST).await, 403, "unauthorized_client");
    // A grant without scopes gives a token without scopes.
    assert_eq!(ask(&WEB, GIST).await.expect(200).json()["scope"], "");
}

#[tokio::test]
async fn a_client_without_a_secret_never_acts_for_itself() {
    let server = world::start().await;
    let setup = "clients: [{client_id: spa, grant_types: [client_credentials]}]\n\
                 client_grants: [{client_id: spa, audience: 'https://gist-api.example/', scope: [read:gist]}]";
    server.apply(setup).await.unwrap();
    let form = [("grant_type", "client_credentials"), ("audience", GIST)];
    assert_refused(SPA.token(&server, &form).await, 403, "unauthorized_client");
}

#[tokio::test]
async fn a_client_shows_its_secret_by_header_or_in_the_body() {
    let server = world::start().await;
    for (authorization, extra) in [
        ("", IN_BODY.to_owned()),
        ("Basic bWFjaGluZTptYWNoaW5lLXNlY3JldA==", String::new()),
        ("basic bWFjaGluZTptYWNoaW5lLXNlY3JldA==", String::new()),
        ("Basic bWFjaGluZTptYWNoaW5lLXNlY3JldA==", "client_id=machine".to_owned()),
    ] {
        form(&server, authorization, &format!("{GRANT}&{extra}")).await.expect(200);
    }
    assert_eq!(basic("machine:machine-secret"), "Basic bWFjaGluZTptYWNoaW5lLXNlY3JldA==");
}

#[tokio::test]
async fn halves_of_the_basic_header_are_form_encoded() {
    const SECRET: &str = "a b+c%&=:;\u{e4}/?";
    let server = world::start().await;
    let setup = format!(
        "clients: [{{client_id: 'odd:id', client_secret: {}, grant_types: [client_credentials]}}]\n\
         client_grants: [{{client_id: 'odd:id', audience: 'https://gist-api.example/', scope: []}}]",
        json!(SECRET)
    );
    server.apply(&setup).await.unwrap();
    let encode =
        |text: &str| -> String { url::form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let pair = format!("{}:{}", encode("odd:id"), encode(SECRET));
    form(&server, &basic(&pair), GRANT).await.expect(200);
    let odd = Client { client_id: "odd:id", client_secret: Some(SECRET), redirect_uri: "" };
    odd.token(&server, &[("grant_type", "client_credentials"), ("audience", GIST)])
        .await
        .expect(200);
}

#[tokio::test]
async fn who_does_not_prove_to_be_the_client_is_refused_in_the_same_words() {
    let server = world::start().await;
    let mut bodies = Vec::new();
    for credentials in [
        "client_id=machine&client_secret=wrong",
        "client_id=machine&client_secret=machine-secre",
        "client_id=machine&client_secret=machine-secret%20",
        "client_id=machine&client_secret=MACHINE-SECRET",
        "client_id=machine",
        "client_id=machine&client_secret=",
        "client_id=nobody&client_secret=machine-secret",
        "client_id=MACHINE&client_secret=machine-secret",
        "client_id=machine%00&client_secret=machine-secret",
        "client_id=web&client_secret=machine-secret",
        "client_id=spa&client_secret=anything",
    ] {
        let answer = form(&server, "", &format!("{GRANT}&{credentials}")).await;
        // SDKs lose the error when there is a challenge for credentials that they sent in the body.
        assert!(!answer.headers.contains_key(header::WWW_AUTHENTICATE), "{credentials}");
        bodies.push(assert_refused(answer, 401, "invalid_client").to_string());
    }
    for pair in ["machine:wrong", "machine:", "nobody:machine-secret", "spa:anything", ":", "::"] {
        let answer = form(&server, &basic(pair), GRANT).await;
        assert_eq!(answer.header(header::WWW_AUTHENTICATE), "Basic realm=\"behalf\"", "{pair}");
        bodies.push(assert_refused(answer, 401, "invalid_client").to_string());
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_refused(form(&server, "", GRANT).await, 401, "invalid_client");
    let in_query = format!("/oauth/token?{IN_BODY}");
    let answer = post_form(&server, &in_query, GRANT.to_owned()).await;
    assert_refused(answer, 401, "invalid_client");
}

#[tokio::test]
async fn credentials_that_contradict_each_other_are_refused() {
    let server = world::start().await;
    let machine = basic("machine:machine-secret");
    for (authorization, extra) in [
        (machine.as_str(), IN_BODY),
        (machine.as_str(), "client_secret=machine-secret"),
        (machine.as_str(), "client_id=web"),
        ("Bearer machine-secret", IN_BODY),
        ("Basic", IN_BODY),
        ("Basic !", IN_BODY),
        ("Basic bWFjaGluZQ==", IN_BODY),
        ("Basic bWFjaGluZTptYWNoaW5lLXNlY3JldA", ""),
        ("Basic //8=", IN_BODY),
    ] {
        let answer = form(&server, authorization, &format!("{GRANT}&{extra}")).await;
        assert_refused(answer, 400, "invalid_request");
    }
}

#[tokio::test]
async fn form_and_json_say_the_same() {
    let server = world::start().await;
    let body = json!({
        "grant_type": "client_credentials", "audience": GIST, "client_id": "machine",
        "client_secret": "machine-secret", "scope": null, "unknown": {"deep": [1, 2]},
    });
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "Application/JSON",
    ] {
        let answer = server.send(request(content_type, "", body.to_string())).await.expect(200);
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        assert_eq!(answer.json()["scope"], "create:gist read:gist");
    }
    for content_type in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded;charset=UTF-8",
        "APPLICATION/X-WWW-FORM-URLENCODED ; charset=utf-8",
    ] {
        let answer = server.send(request(content_type, "", format!("{GRANT}&{IN_BODY}"))).await;
        assert_eq!(answer.expect(200).json()["token_type"], "Bearer", "{content_type}");
    }
    // `audience=` is how old SDKs say nothing.
    let form = [("grant_type", "password"), ("username", "owner"), ("password", "owner-password")];
    let form: Vec<_> = form.into_iter().chain([("audience", ""), ("scope", "")]).collect();
    let answer = WEB.token(&server, &form).await.expect(200).json();
    assert_eq!(Client::claims(text(&answer, "access_token"))["aud"], USERINFO);
}

#[tokio::test]
async fn other_media_types_are_refused_as_such() {
    let server = world::start().await;
    for content_type in [
        "",
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/xml",
        "application/jsonx",
        "application/json, application/x-www-form-urlencoded",
        "application",
        ";",
    ] {
        let answer = server.send(request(content_type, "", format!("{GRANT}&{IN_BODY}"))).await;
        assert_refused(answer, 415, "invalid_request");
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_refused() {
    let server = world::start().await;
    for body in [
        "",
        "{",
        "[]",
        "null",
        "\"text\"",
        "{\"a\":1}x",
        "{'a':1}",
        "{\"grant_type\":\"client_credentials\",\"grant_type\":\"client_credentials\"}",
        "{\"client_id\":\"machine\",\"client_id\":null}",
        "\u{feff}{}",
    ] {
        let answer = server.send(request("application/json", "", body)).await;
        assert_refused(answer, 400, "invalid_request");
    }
    for again in [
        "grant_type=client_credentials",
        "client_id=machine",
        "client_secret=machine-secret",
        "audience=",
        "%61udience=x",
        "unknown=1&unknown=1",
        "x=%",
        "x=%f",
        "x=%ff",
        "%00=%zz",
    ] {
        let answer = form(&server, "", &format!("{GRANT}&{IN_BODY}&{again}")).await;
        assert_refused(answer, 400, "invalid_request");
    }
    let many: String = (0..100).map(|n| format!("&p{n}=1")).collect();
    let answer = form(&server, "", &format!("{GRANT}&{IN_BODY}{many}")).await;
    assert_refused(answer, 400, "invalid_request");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let answer = server.send(request("application/json", "", deep)).await;
    assert_refused(answer, 400, "invalid_request");
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_never_read_as_something_smaller() {
    let server = world::start().await;
    // CVE-2026-9704: a long `subject_token` was dropped, and what was left was another grant.
    const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
    for (length, status, code) in [
        (4_001, 400, "unsupported_grant_type"),
        (250_000, 400, "unsupported_grant_type"),
        (1_000_000, 413, "invalid_request"),
    ] {
        let token = "t".repeat(length);
        let pairs = [("grant_type", EXCHANGE), ("subject_token", &token), ("audience", GIST)];
        assert_refused(MACHINE.token(&server, &pairs).await, status, code);
        let body = json!({"grant_type": EXCHANGE, "subject_token": token, "audience": GIST});
        assert_refused(MACHINE.token_by_json(&server, body).await, status, code);
    }
    let long = "t".repeat(300_000);
    for name in ["refresh_token", "code", "scope", "audience", "client_secret", "x"] {
        let answer = form(&server, "", &format!("{GRANT}&client_id=machine&{name}={long}")).await;
        assert_refused(answer, 413, "invalid_request");
    }
}

#[tokio::test]
async fn only_grants_that_exist_and_that_the_client_may_use_are_given() {
    let server = world::start().await;
    for grant in [
        "implicit",
        "Client_Credentials",
        "client_credentials ",
        "authorization_code refresh_token",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:device_code",
        "http://auth0.com/oauth/grant-type/password-realm",
    ] {
        let answer = MACHINE.token(&server, &[("grant_type", grant)]).await;
        assert_refused(answer, 400, "unsupported_grant_type");
    }
    assert_refused(MACHINE.token(&server, &[("x", "y")]).await, 400, "invalid_request");
    for (grant, extra) in [
        ("authorization_code", ("code", "x")),
        ("urn:openid:params:grant-type:ciba", ("auth_req_id", "x")),
        ("refresh_token", ("refresh_token", "x")),
        ("password", ("username", "owner")),
    ] {
        let form = [("grant_type", grant), extra, ("password", "owner-password")];
        let body = assert_refused(MACHINE.token(&server, &form).await, 403, "unauthorized_client");
        assert_eq!(
            body["error_description"],
            format!("Grant type '{grant}' not allowed for the client.")
        );
    }
    for (grant, missing) in [
        ("authorization_code", "code"),
        ("refresh_token", "refresh_token"),
        ("password", "username"),
    ] {
        let answer = WEB.token(&server, &[("grant_type", grant)]).await;
        let body = assert_refused(answer, 400, "invalid_request");
        assert!(text(&body, "error_description").contains(missing), "{body}");
    }
}

#[tokio::test]
async fn the_password_grant_is_off_unless_a_client_names_it() {
    let server = world::start().await;
    let refused = async |client: &Client| {
        let answer = world::password_grant(&server, client, "owner", &[]).await;
        assert_refused(answer, 403, "unauthorized_client");
    };
    refused(&world::PLAIN).await;
    refused(&SPA).await;
    refused(&MACHINE).await;
    let tokens = world::password_grant(&server, &WEB, "owner", &[]).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid profile email");
    assert!(tokens.get("refresh_token").is_none());
    let id_token = Client::claims(text(&tokens, "id_token"));
    assert_eq!(id_token["sub"], "auth0|owner");
    assert_eq!(id_token["aud"], "web");
    assert!(id_token.get("sid").is_none() && id_token.get("nonce").is_none());
    let offline = [("scope", "openid offline_access"), ("audience", GIST)];
    let tokens = world::password_grant(&server, &WEB, "owner", &offline).await.expect(200).json();
    WEB.refresh(&server, text(&tokens, "refresh_token"), &[]).await.expect(200);
    // A client that may not refresh gets nothing to refresh with.
    let tokens =
        world::password_grant(&server, &APPROVER, "owner", &offline).await.expect(200).json();
    assert!(tokens.get("refresh_token").is_none());
}

#[tokio::test]
async fn a_wrong_password_an_unknown_name_and_no_password_are_told_in_the_same_words() {
    let server = world::start().await;
    server.apply("users: [{user_id: 'auth0|nopass', username: nopass}]").await.unwrap();
    let mut bodies = Vec::new();
    for (name, password) in [
        ("owner", "wrong"),
        ("owner", "Owner-password"),
        ("owner", "owner-password "),
        ("nobody", "owner-password"),
        ("auth0|owner", "owner-password"),
        ("nopass", "anything"),
        ("owner\u{0}", "owner-password"),
    ] {
        let form = [("grant_type", "password"), ("username", name), ("password", password)];
        bodies.push(assert_refused(WEB.token(&server, &form).await, 400, "invalid_grant"));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert_eq!(bodies[0]["error_description"], "Wrong email or password.");
}

#[tokio::test]
async fn a_role_carries_its_scopes_and_a_missing_one_drops_them() {
    let server = world::start().await;
    let users: String = ["administrator", "operator", "security", "auditor", "billing_administrator"]
        .map(|role| {
            format!("- {{user_id: 'auth0|{role}', username: {role}, password: {role}-password, roles: [{role}]}}\n")
        })
        .concat();
    server.apply(&format!("users:\n{users}")).await.unwrap();
    let api = "https://behalf.test/api/";
    let management = "https://behalf.test/api/v2/";
    for (name, audience, asked, granted) in [
        ("owner", api, "chat export:records import:documents", "chat"),
        ("operator", api, "chat export:records import:documents", "chat"),
        ("auditor", api, "chat export:records import:documents", "chat export:records"),
        ("security", api, "export:records", "export:records"),
        ("administrator", api, "export:records import:documents", "import:documents"),
        ("billing_administrator", api, "export:records import:documents", ""),
        ("owner", management, "read:users update:clients", ""),
        ("auditor", management, "read:users update:clients", ""),
        ("administrator", management, "read:users update:clients", "read:users update:clients"),
        ("administrator", management, "read:everything chat", ""),
        ("owner", "https://behalf.test/me/", "read:me:approvals chat", "read:me:approvals"),
        ("owner", "https://behalf.test/mcp", "openid chat", "openid"),
        ("owner", USERINFO, "openid chat read:users", "openid"),
    ] {
        let extra = [("audience", audience), ("scope", asked)];
        let answer = world::password_grant(&server, &WEB, name, &extra).await.expect(200).json();
        assert_eq!(answer["scope"], granted, "{name} at {audience} asks {asked}");
        let claims = Client::claims(text(&answer, "access_token"));
        assert_eq!(claims["scope"], granted);
        assert_eq!(claims["aud"], audience);
    }
}

#[tokio::test]
async fn only_an_approver_that_a_person_is_in_front_of_may_update_approvals() {
    const ASK: [(&str, &str); 2] =
        [("audience", "https://behalf.test/me/"), ("scope", "openid update:me:approvals")];
    let server = world::start().await;
    let granted = |answer: &Value| text(answer, "scope").to_owned();
    for (client, scope) in
        [(&APPROVER, "openid update:me:approvals"), (&WEB, "openid"), (&AGENT, "openid")]
    {
        let by_password = world::password_grant(&server, client, "owner", &ASK).await.expect(200);
        assert_eq!(granted(&by_password.json()), scope, "{} by password", client.client_id);
        let by_code = world::code_tokens(&server, client, &ASK).await;
        assert_eq!(granted(&by_code), scope, "{} by code", client.client_id);
    }
    // A client grant that names it gives it to nobody.
    let machine = [("grant_type", "client_credentials"), ASK[0]];
    let answer = MACHINE.token(&server, &machine).await.expect(200).json();
    assert_eq!(granted(&answer), "read:me:approvals");
    let form = [("grant_type", "client_credentials"), ASK[0], ("scope", "update:me:approvals")];
    let answer = MACHINE.token(&server, &form).await.json();
    assert!(answer.get("access_token").is_none() || granted(&answer).is_empty(), "{answer}");
    // Nor does a refresh, to the same or another audience.
    let offline = [("scope", "openid offline_access update:me:approvals"), ASK[0]];
    for first in [&offline[..], &offline[..1]] {
        let tokens = world::code_tokens(&server, &WEB, first).await;
        let refreshed = WEB.refresh(&server, text(&tokens, "refresh_token"), &ASK).await;
        assert_eq!(granted(&refreshed.expect(200).json()), "openid");
    }
}

#[tokio::test]
async fn other_methods_are_not_there() {
    let server = world::start().await;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
        for path in ["/oauth/token", "/oauth/revoke"] {
            let request = Request::builder().method(&method).uri(format!("{path}?{GRANT}"));
            let answer = server.send(request.body(Body::empty()).unwrap()).await.expect(405);
            assert_eq!(answer.header(header::ALLOW), "POST,OPTIONS", "{method} {path}");
        }
    }
}
