//! The set-up file: what it creates, changes, keeps and refuses. The answer to "was it stored?" is
//! always asked of the running server, never of the file.

use behalf_core::Actor;
use behalf_gate::flows::ApplyOptions;
use behalf_tests::{Browser, Client, TestServer};
use http::StatusCode;

use crate::world::{self, GIST, MACHINE, WEB};

const RESET: ApplyOptions =
    ApplyOptions { actor: Actor::System, is_dry_run: false, resets_secrets: true };
const DRY_RUN: ApplyOptions =
    ApplyOptions { actor: Actor::System, is_dry_run: true, resets_secrets: false };

/// Applies `setup` to a fresh server and expects a refusal that says each of `words` and leaves
/// nothing behind.
#[track_caller]
fn check_refused(setup: &str, words: &[&str]) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let server = TestServer::start("").await;
        let before = server.events().await;
        let error = server.apply(setup).await.err();
        let error = error.unwrap_or_else(|| panic!("{caller}: applied: {setup}"));
        for word in words {
            assert!(error.contains(word), "{caller}: `{word}` is not in: {error}");
        }
        assert_eq!(server.events().await, before, "{caller}: something was stored");
    }
}

async fn can_sign_in(server: &TestServer, name: &str, password: &str) -> bool {
    let mut browser = Browser::new();
    let page = browser.open(server, "/account").await.unwrap();
    let page = browser.sign_in(server, &page, name, password).await.unwrap();
    page.path == "/account"
}

#[tokio::test]
async fn a_file_creates_what_it_names_and_applying_it_again_does_nothing() {
    let server = TestServer::start("").await;
    let changes = server.apply(world::SETUP).await.unwrap();
    for line in [
        "create user auth0|owner",
        "create client web",
        "create API https://gist-api.example/",
        "create client grant machine → https://gist-api.example/",
    ] {
        assert!(changes.iter().any(|change| change == line), "{line} in {changes:?}");
    }
    assert_eq!(changes.len(), 2 + 8 + 2 + 4);
    let before = server.events().await;
    assert_eq!(server.apply(world::SETUP).await.unwrap(), Vec::<String>::new());
    assert_eq!(server.events().await, before, "nothing happened, so nothing is recorded");
}

#[tokio::test]
async fn each_change_is_one_line_and_one_event() {
    let server = world::start().await;
    for (setup, line, kind) in [
        (
            "users: [{user_id: 'auth0|owner', nickname: new}]",
            "change user auth0|owner",
            "user.updated",
        ),
        (
            "users: [{user_id: 'auth0|owner', roles: [auditor]}]",
            "change user auth0|owner",
            "user.updated",
        ),
        (
            "users: [{user_id: 'auth0|owner', blocked: true}]",
            "change user auth0|owner",
            "user.updated",
        ),
        ("clients: [{client_id: web, name: New}]", "change client web", "client.updated"),
        (
            "resource_servers: [{identifier: 'https://es.example/', token_lifetime: 60}]",
            "change API https://es.example/",
            "resource_server.updated",
        ),
        (
            "client_grants: [{client_id: web, audience: 'https://gist-api.example/', scope: ['read:gist']}]",
            "change client grant web → https://gist-api.example/",
            "client_grant.written",
        ),
    ] {
        let before = server.events().await.len();
        assert_eq!(server.apply(setup).await.unwrap(), [line], "{setup}");
        assert_eq!(server.events().await[before..], [kind, "setup.applied"], "{setup}");
        assert_eq!(server.apply(setup).await.unwrap(), Vec::<String>::new(), "{setup}");
    }
}

#[tokio::test]
async fn fields_that_the_file_omits_keep_their_value() {
    let server = world::start().await;
    server
        .apply(
            "users: [{user_id: 'auth0|owner', given_name: Olive, roles: [auditor]}]\n\
             clients: [{client_id: web, name: Renamed}]\n\
             resource_servers: [{identifier: 'https://gist-api.example/', name: Renamed}]",
        )
        .await
        .unwrap();
    server.apply("users: [{user_id: 'auth0|owner', family_name: Owner}]").await.unwrap();
    let tokens =
        world::code_tokens(&server, &WEB, &[("audience", GIST), ("scope", "openid profile email")])
            .await;
    assert_eq!(tokens["expires_in"], 600, "the API's");
    let claims = Client::claims(world::text(&tokens, "id_token"));
    assert_eq!(claims["given_name"], "Olive");
    assert_eq!(claims["family_name"], "Owner");
    assert_eq!(claims["nickname"], "olive");
    assert_eq!(claims["email"], "owner@example.com");
    assert_eq!(claims["email_verified"], true);
    let mut browser = world::signed_in(&server).await;
    assert_eq!(browser.get(&server, "/console").await.answer.status, StatusCode::OK, "the role");
    // An empty list is a value.
    server.apply("users: [{user_id: 'auth0|owner', roles: []}]").await.unwrap();
    assert_eq!(browser.get(&server, "/console").await.answer.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn what_a_file_does_not_name_is_never_deleted() {
    let server = world::start().await;
    assert_eq!(server.apply("").await.unwrap(), Vec::<String>::new());
    server.apply("users: [{user_id: 'auth0|new', username: new}]").await.unwrap();
    assert!(can_sign_in(&server, "owner", "owner-password").await);
    world::password_grant(&server, &WEB, "other", &[]).await.expect(200);
}

#[tokio::test]
async fn passwords_and_secrets_are_written_at_creation_or_on_reset_only() {
    const OTHER_SECRET: Client = Client { client_secret: Some("new-machine-secret"), ..MACHINE };
    const FORM: [(&str, &str); 2] = [("grant_type", "client_credentials"), ("audience", GIST)];
    let changed = world::SETUP
        .replace("owner-password", "new-owner-password")
        .replace("machine-secret", "new-machine-secret");
    let server = world::start().await;
    assert_eq!(server.apply(&changed).await.unwrap(), Vec::<String>::new());
    assert!(can_sign_in(&server, "owner", "owner-password").await);
    assert!(!can_sign_in(&server, "owner", "new-owner-password").await);
    MACHINE.token(&server, &FORM).await.expect(200);
    OTHER_SECRET.token(&server, &FORM).await.expect(401);
    let outcome = server.apply_with(&changed, &RESET).await.unwrap();
    assert!(outcome.changes.contains(&"change password of user auth0|owner".to_owned()));
    assert!(outcome.changes.contains(&"change secret of client machine".to_owned()));
    assert!(outcome.secrets.is_empty(), "a secret that the file gives is not shown");
    assert!(!can_sign_in(&server, "owner", "owner-password").await);
    assert!(can_sign_in(&server, "owner", "new-owner-password").await);
    MACHINE.token(&server, &FORM).await.expect(401);
    OTHER_SECRET.token(&server, &FORM).await.expect(200);
}

#[tokio::test]
async fn a_secret_that_the_file_omits_is_made_once_for_those_who_can_keep_one() {
    let server = world::start().await;
    let setup = "clients:\n\
                 - {client_id: made, app_type: non_interactive, grant_types: [client_credentials]}\n\
                 - {client_id: page, app_type: spa}\n\
                 - {client_id: phone, app_type: native}\n\
                 client_grants: [{client_id: made, audience: 'https://gist-api.example/', scope: [read:gist]}]";
    let options = ApplyOptions { resets_secrets: false, ..RESET };
    let outcome = server.apply_with(setup, &options).await.unwrap();
    let secrets: Vec<_> =
        outcome.secrets.iter().map(|(id, secret)| (id.as_str(), secret.expose())).collect();
    let [("made", secret)] = secrets[..] else { panic!("{secrets:?}") };
    let digits = secret.strip_prefix("bhf_cs_").unwrap();
    assert_eq!(digits.len(), 49);
    let secret: &'static str = Box::leak(secret.clone().into_boxed_str());
    let made = Client { client_id: "made", client_secret: Some(secret), redirect_uri: "" };
    made.token(&server, &[("grant_type", "client_credentials"), ("audience", GIST)])
        .await
        .expect(200);
    assert!(server.apply_with(setup, &options).await.unwrap().secrets.is_empty());
    let reset = server.apply_with(setup, &RESET).await.unwrap();
    assert_ne!(reset.secrets[0].1.expose(), secret);
    assert_eq!(reset.secrets.len(), 1);
}

#[tokio::test]
async fn a_dry_run_says_what_would_change_and_changes_nothing() {
    let server = TestServer::start("").await;
    let before = server.events().await;
    let planned = server.apply_with(world::SETUP, &DRY_RUN).await.unwrap();
    assert_eq!(server.events().await, before);
    assert!(!can_sign_in(&server, "owner", "owner-password").await);
    assert_eq!(server.apply(world::SETUP).await.unwrap(), planned.changes);
}

#[tokio::test]
async fn one_wrong_entry_keeps_the_whole_file_out() {
    // Each of these stands behind entries that are right.
    for wrong in [
        "clients: [{client_id: a, app_type: agent, approver: true}]",
        "resource_servers: [{identifier: 'https://behalf.test/me/'}]",
        "resource_servers: [{identifier: 'https://a.example/', signing_alg: HS256}]",
        "client_grants: [{client_id: nobody, audience: 'https://behalf.test/me/'}]",
        "fga: {api_keys: [{name: short, key: short}]}",
        "fga: {stores: [{name: broken, model: 'model'}]}",
        "surprise: true",
    ] {
        let setup = format!("users: [{{user_id: 'auth0|ann', username: ann}}]\n{wrong}");
        check_refused(&setup, &[]).await;
    }
    let twice = "users: [{user_id: 'auth0|a', email: A@example.com}, {user_id: 'auth0|b', email: a@EXAMPLE.com}]";
    check_refused(twice, &["nothing was applied"]).await;
}

#[tokio::test]
async fn unknown_keys_are_errors_that_name_the_file_the_line_and_what_was_meant() {
    for (setup, unknown, meant) in [
        ("users: []\nclientz: []", "clientz", "clients"),
        ("users: [{user_id: a, e_mail: x@example.com}]", "e_mail", "email"),
        ("clients: [{client_id: a, redirect_uris: []}]", "redirect_uris", "callbacks"),
        ("resource_servers: [{identifier: a, scope: []}]", "scope", "scopes"),
        ("client_grants: [{client_id: a, audience: b, scopes: []}]", "scopes", "scope"),
        ("fga: {keys: []}", "keys", "api_keys"),
        ("fga: {api_keys: [{name: a, key: long-enough, scope: []}]}", "scope", "scopes"),
    ] {
        let unknown = format!("`{unknown}`");
        check_refused(setup, &["setup.yaml", "line", &unknown, meant]).await;
    }
}

#[tokio::test]
async fn values_of_the_wrong_kind_are_errors() {
    for (setup, word) in [
        ("users: [{user_id: a, roles: [root]}]", "root"),
        ("users: [{user_id: 'a b'}]", "user id"),
        ("users: [{user_id: ''}]", "user id"),
        ("users: [{email: a@example.com}]", "user_id"),
        ("users: [{user_id: a, blocked: perhaps}]", "line"),
        ("users: {user_id: a}", "line"),
        ("clients: [{client_id: a, app_type: web}]", "web"),
        ("clients: [{client_id: a, grant_types: [implicit]}]", "implicit"),
        ("clients: [{client_id: a, callbacks: 'https://a.example/'}]", "line"),
        ("clients: [{client_id: a, resource_server_identifier: x}]", "app_type: resource_server"),
        ("clients: [{client_id: a, app_type: resource_server}]", "resource_server_identifier"),
        ("resource_servers: [{identifier: a, signing_alg: none}]", "signing_alg"),
        ("resource_servers: [{identifier: a, token_lifetime: 0}]", "token_lifetime"),
        ("resource_servers: [{identifier: a, token_lifetime: 2592001}]", "token_lifetime"),
        ("resource_servers: [{identifier: a, token_lifetime: -1}]", "line"),
        ("resource_servers: [{identifier: a, scopes: ['two words']}]", "two words"),
        ("resource_servers: [{identifier: a, scopes: ['']}]", "not a scope"),
        ("resource_servers: [{identifier: a, scopes: ['quo\"te']}]", "not a scope"),
        ("fga: {api_keys: [{name: a, key: long-enough, scopes: [all]}]}", "all"),
        ("users: [", "setup.yaml"),
        ("just text", "setup.yaml"),
    ] {
        check_refused(setup, &[word]).await;
    }
}

#[tokio::test]
async fn an_approver_is_never_an_agent_an_api_or_able_to_act_alone() {
    let server = TestServer::start("").await;
    let client = |id: &str, kind: &str, grants: &str| {
        format!(
            "clients: [{{client_id: {id}, app_type: {kind}, approver: true, grant_types: [{grants}]}}]"
        )
    };
    for (kind, grants) in [
        ("agent", "authorization_code"),
        ("agent", "password"),
        ("regular_web", "authorization_code, refresh_token"),
        ("regular_web", "client_credentials"),
        ("native", "'urn:openid:params:grant-type:ciba'"),
        (
            "spa",
            "'urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token'",
        ),
    ] {
        let error = server.apply(&client("a", kind, grants)).await.unwrap_err();
        assert!(error.contains("approve"), "{kind} {grants}: {error}");
    }
    let api = "clients: [{client_id: a, app_type: resource_server, resource_server_identifier: x, approver: true, grant_types: []}]";
    assert!(server.apply(api).await.unwrap_err().contains("approve"));
    for (id, kind) in [("a", "regular_web"), ("b", "spa"), ("c", "native")] {
        server.apply(&client(id, kind, "authorization_code, password")).await.unwrap();
    }
    // What was right alone is refused together with what is there already.
    for later in [
        "clients: [{client_id: a, grant_types: [authorization_code, refresh_token]}]",
        "clients: [{client_id: a, app_type: agent}]",
    ] {
        assert!(server.apply(later).await.unwrap_err().contains("approve"), "{later}");
    }
    server.apply("clients: [{client_id: d, app_type: agent}]").await.unwrap();
    assert!(server.apply("clients: [{client_id: d, approver: true}]").await.is_err());
    // The grants of a client that names none include refresh.
    assert!(server.apply("clients: [{client_id: e, approver: true}]").await.is_err());
}

#[tokio::test]
async fn behalfs_own_audiences_cannot_be_registered() {
    for path in ["userinfo", "api/", "api/v2/", "me/", "fga/", "mcp"] {
        let audience = format!("https://behalf.test/{path}");
        let setup = format!("resource_servers: [{{identifier: '{audience}', scopes: [x]}}]");
        check_refused(&setup, &[&audience, "Behalf's own"]).await;
    }
}

#[tokio::test]
async fn a_client_grant_names_a_client_and_an_api_that_exist() {
    let server = world::start().await;
    for (client, audience, word) in [
        ("nobody", "https://gist-api.example/", "nobody"),
        ("web", "https://gist-api.example", "https://gist-api.example"),
        ("web", "https://behalf.test/", "https://behalf.test/"),
        ("web", "https://behalf.test/api", "https://behalf.test/api"),
    ] {
        let setup = format!("client_grants: [{{client_id: {client}, audience: '{audience}'}}]");
        let error = server.apply(&setup).await.unwrap_err();
        assert!(error.contains(word), "{setup}: {error}");
    }
    // Those of the same file count.
    let together = "client_grants: [{client_id: late, audience: 'https://late.example/', scope: [x]}]\n\
                    clients: [{client_id: late, client_secret: s}]\n\
                    resource_servers: [{identifier: 'https://late.example/', scopes: [x]}]";
    assert_eq!(server.apply(together).await.unwrap().len(), 3);
}

#[tokio::test]
async fn addresses_to_return_to_are_absolute_without_fragment_and_of_an_applications_scheme() {
    for uri in [
        "callback",
        "/callback",
        "//app.example/callback",
        "",
        "app.example/callback",
        "https://app.example/#fragment",
        "https://app.example/callback#",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://app.example/1",
        "https://",
        "http://[::1/",
    ] {
        for member in ["callbacks", "allowed_logout_urls"] {
            let setup = format!("clients: [{{client_id: a, {member}: ['{uri}']}}]");
            check_refused(&setup, &["client `a`"]).await;
        }
    }
}

#[tokio::test]
async fn a_name_or_address_belongs_to_one_person_in_any_case() {
    let server = world::start().await;
    for taken in [
        "{user_id: 'auth0|new', email: owner@example.com}",
        "{user_id: 'auth0|new', email: OWNER@Example.COM}",
        "{user_id: 'auth0|new', username: Owner}",
        "{user_id: 'auth0|other', email: Owner@example.com}",
    ] {
        let error = server.apply(&format!("users: [{taken}]")).await.unwrap_err();
        assert!(error.contains("nothing was applied"), "{taken}: {error}");
    }
    assert!(can_sign_in(&server, "OWNER@example.com", "owner-password").await);
    assert!(can_sign_in(&server, " Owner ", "owner-password").await);
}

#[tokio::test]
async fn what_was_set_up_is_there_after_a_restart() {
    let TestServer { server, clock, dir } = world::start().await;
    server.storage.close().await;
    drop((server, clock));
    let server = TestServer::start_in(dir, "").await;
    assert!(can_sign_in(&server, "owner", "owner-password").await);
    assert_eq!(server.apply(world::SETUP).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_was_set_up_before_its_first_start_still_gets_an_administrator() {
    let people = "users: [{user_id: auth0|ann, username: ann, roles: [billing_administrator]}]";
    let server = TestServer::start(people).await;
    let identity = &server.server.identity;
    let (first, password) = ("auth0|administrator".parse().unwrap(), "one-time-password".into());
    assert!(identity.create_first_administrator(&first, &password).await.unwrap());
    assert!(!identity.create_first_administrator(&first, &password).await.unwrap());

    // Whoever is administrator already, or has the name, is left alone.
    for taken in ["username: boss, roles: [auditor, administrator]", "username: Admin"] {
        let server = TestServer::start(&format!("users: [{{user_id: auth0|pat, {taken}}}]")).await;
        let identity = &server.server.identity;
        assert!(!identity.create_first_administrator(&first, &password).await.unwrap(), "{taken}");
    }
}
