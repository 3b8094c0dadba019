//! Provider tokens at rest and in renewal: sealed in their place, refreshed once, never lost.

use std::sync::Arc;
use std::time::Duration;

use behalf::demo::provider::{Fault, LocalProvider};
use behalf_core::{Actor, ConnectionName, UserId};
use behalf_gate::flows::ApplyOptions;
use behalf_store::Statement;
use behalf_store::vault::accounts;
use behalf_tests::{TestServer, github_connection, start_provider};
use behalf_vault::{AccountStatus, ProviderToken, VaultError};

use crate::world;

const TOKEN_PATH: &str = "/login/oauth/access_token";

fn owner() -> UserId {
    "auth0|owner".parse().unwrap()
}

fn github() -> ConnectionName {
    "github".parse().unwrap()
}

/// A server with a provider and the owner's account, whose token ends in `expires_in` seconds.
async fn start(expires_in: i64) -> (TestServer, LocalProvider) {
    let server = world::start().await;
    let provider = start_provider(&server, Some(28_800)).await;
    let setup =
        format!("{}{}", github_connection(&provider), account(&provider, "owner", expires_in));
    server.apply(&setup).await.unwrap();
    (server, provider)
}

fn account(provider: &LocalProvider, name: &str, expires_in: i64) -> String {
    let tokens = provider.issue("octo-ann", &["public_repo", "gist"]);
    format!(
        "connected_accounts:\n  - {{user_id: \"auth0|{name}\", connection: github, access_token: \
         {}, refresh_token: {}, expires_in: {expires_in}, scopes: [public_repo, gist]}}\n",
        tokens.access_token.expose(),
        tokens.refresh_token.as_ref().unwrap().expose(),
    )
}

async fn token(server: &TestServer) -> Result<ProviderToken, VaultError> {
    server.server.vault.token(&owner(), &github(), &[]).await
}

/// Changes rows as somebody with the database in hand would.
async fn tamper(server: &TestServer, sql: &[&'static str]) {
    let mut unit = server.server.identity.unit();
    for sql in sql {
        unit.add(Statement::new(*sql));
    }
    server.server.storage.commit(unit).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_hand_outs_of_one_expired_token_are_one_call_to_the_provider() {
    let (server, provider) = start(0).await;
    provider.fail_next(TOKEN_PATH, 1, &Fault::Slow(Duration::from_millis(300)));
    let server = Arc::new(server);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let server = Arc::clone(&server);
        tasks.spawn(async move { token(&server).await.unwrap().access_token.expose().clone() });
    }
    let mut tokens = tasks.join_all().await;
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), 1, "everybody got the same one");
    assert!(provider.accepts(&tokens[0]));
    assert_eq!(provider.count("POST", TOKEN_PATH), 1);
    let refreshed = server.events().await.into_iter().filter(|kind| kind == "account.refreshed");
    assert_eq!(refreshed.count(), 1);
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends_and_the_new_pair_is_kept() {
    let (server, provider) = start(3_600).await;
    let first = token(&server).await.unwrap();
    // A tenth of an hour before the end.
    server.advance(Duration::from_secs(3_239));
    assert_eq!(token(&server).await.unwrap().access_token.expose(), first.access_token.expose());
    server.advance(Duration::from_secs(1));
    let second = token(&server).await.unwrap();
    assert_ne!(second.access_token.expose(), first.access_token.expose());
    assert_eq!(second.scopes, ["public_repo", "gist"]);
    assert_eq!(provider.count("POST", TOKEN_PATH), 1);
    // The rotated refresh token works in its turn.
    server.advance(Duration::from_secs(28_000));
    let third = token(&server).await.unwrap();
    assert!(provider.accepts(third.access_token.expose()));
    assert_eq!(provider.count("POST", TOKEN_PATH), 2);
}

#[tokio::test]
async fn a_caller_who_hangs_up_does_not_lose_the_new_pair() {
    let (server, provider) = start(0).await;
    provider.fail_next(TOKEN_PATH, 1, &Fault::Slow(Duration::from_millis(200)));
    let impatient = tokio::time::timeout(Duration::from_millis(50), token(&server)).await;
    assert!(impatient.is_err());
    let patient = token(&server).await.unwrap();
    assert!(provider.accepts(patient.access_token.expose()));
    assert_eq!(provider.count("POST", TOKEN_PATH), 1);
}

#[tokio::test]
async fn a_dead_refresh_token_asks_for_a_new_authorization() {
    let (server, provider) = start(0).await;
    provider.revoke_everything();
    assert_eq!(token(&server).await.unwrap_err(), VaultError::ReauthorizationRequired);
    // It is remembered: the provider is not asked again.
    assert_eq!(token(&server).await.unwrap_err(), VaultError::ReauthorizationRequired);
    assert_eq!(provider.count("POST", TOKEN_PATH), 1);
    let account = server.server.vault.find_account(&owner(), &github()).await.unwrap().unwrap();
    assert_eq!(account.status, AccountStatus::ReauthorizationRequired);
    assert!(server.events().await.contains(&"account.reauthorization_required".to_owned()));
}

#[tokio::test]
async fn while_the_provider_is_away_a_valid_token_goes_on() {
    let answer = |status: u16, body: &str| Fault::Answer(status, None, body.to_owned());
    for fault in [
        answer(500, ""),
        answer(503, "{}"),
        answer(429, r#"{"error":"invalid_grant"}"#),
        answer(200, "<html>not json</html>"),
        answer(200, r#"{"error":"temporarily_unavailable"}"#),
        answer(401, r#"{"error":"invalid_client"}"#),
        Fault::HangUpBefore,
    ] {
        let (server, provider) = start(600).await;
        let valid = token(&server).await.unwrap();
        server.advance(Duration::from_secs(545));
        provider.fail_next(TOKEN_PATH, 1, &fault);
        let same = token(&server).await.unwrap();
        assert_eq!(same.access_token.expose(), valid.access_token.expose(), "{fault:?}");
        // The provider is left alone for a moment, then asked again.
        token(&server).await.unwrap();
        assert_eq!(provider.count("POST", TOKEN_PATH), 1, "{fault:?}");
        server.advance(Duration::from_secs(10));
        let renewed = token(&server).await.unwrap();
        assert_ne!(renewed.access_token.expose(), valid.access_token.expose(), "{fault:?}");
    }
}

#[tokio::test]
async fn without_a_valid_token_an_outage_says_when_to_come_back() {
    let (server, provider) = start(0).await;
    provider.fail_next(TOKEN_PATH, 1, &Fault::Answer(503, Some(40), String::new()));
    let error = token(&server).await.unwrap_err();
    let VaultError::ProviderUnavailable { retry_after_secs } = error else { panic!("{error}") };
    assert!((40..=61).contains(&retry_after_secs), "{retry_after_secs}");
    assert!(matches!(token(&server).await, Err(VaultError::ProviderUnavailable { .. })));
    assert_eq!(provider.count("POST", TOKEN_PATH), 1, "left alone for as long as it asked");
    server.advance(Duration::from_secs(61));
    token(&server).await.unwrap();
    provider.stop();
    server.advance(Duration::from_secs(28_800));
    assert!(matches!(token(&server).await, Err(VaultError::ProviderUnavailable { .. })));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_tried_once_more_and_then_needs_her() {
    for fault in [Fault::HangUpAfter, Fault::Cut(30)] {
        let (server, provider) = start(0).await;
        provider.fail_next(TOKEN_PATH, 1, &fault);
        let error = token(&server).await.unwrap_err();
        assert!(matches!(error, VaultError::ProviderUnavailable { .. }), "{fault:?}: {error}");
        // The provider has used the refresh token up; only asking tells.
        server.advance(Duration::from_secs(10));
        let error = token(&server).await.unwrap_err();
        assert_eq!(error, VaultError::ReauthorizationRequired, "{fault:?}");
        assert_eq!(provider.count("POST", TOKEN_PATH), 2, "{fault:?}");
    }
}

#[tokio::test]
async fn a_lease_of_another_process_is_respected_and_ends_with_it() {
    let (server, provider) = start(600).await;
    server.advance(Duration::from_secs(545));
    let vault = &server.server.vault;
    let account = vault.find_account(&owner(), &github()).await.unwrap().unwrap();
    let tenant = server.server.identity.tenant();
    let now = server.now();
    let until = now.plus(Duration::from_secs(60));
    let mut unit = server.server.identity.unit();
    unit.add(accounts::begin_refresh(tenant, &account.account_id, 1, "another", until, now));
    server.server.storage.commit(unit).await.unwrap();
    // While it counts, the token that is still valid goes on and nobody else asks.
    let valid = token(&server).await.unwrap();
    assert_eq!(provider.count("POST", TOKEN_PATH), 0);
    // The other process has died: after its lease somebody takes over.
    server.advance(Duration::from_secs(61));
    let renewed = token(&server).await.unwrap();
    assert_ne!(renewed.access_token.expose(), valid.access_token.expose());
    // If it had only slept, it finds its lease gone.
    let row = accounts::find(&server.server.storage, tenant, &account.account_id).await.unwrap();
    let mut unit = server.server.identity.unit();
    unit.add(accounts::finish_refresh(
        tenant,
        &account.account_id,
        "another",
        &row.unwrap().tokens,
    ));
    let late = server.server.storage.commit(unit).await.unwrap_err();
    assert!(late.is_conflict("lease was lost"), "{late}");
    assert_eq!(token(&server).await.unwrap().access_token.expose(), renewed.access_token.expose());
}

#[tokio::test]
async fn scopes_that_are_missing_are_named() {
    let (server, _provider) = start(3_600).await;
    let vault = &server.server.vault;
    vault.token(&owner(), &github(), &["gist"]).await.unwrap();
    let error = vault.token(&owner(), &github(), &["gist", "repo", "user"]).await.unwrap_err();
    let missing = vec!["repo".to_owned(), "user".to_owned()];
    assert_eq!(error, VaultError::InsufficientScope { missing });
    let other: UserId = "auth0|other".parse().unwrap();
    let error = vault.token(&other, &github(), &[]).await.unwrap_err();
    assert_eq!(error, VaultError::NotConnected);
    let error = vault.token(&owner(), &"gitlab".parse().unwrap(), &[]).await.unwrap_err();
    assert_eq!(error, VaultError::ConnectionNotFound);
}

#[tokio::test]
async fn a_sealed_token_opens_in_its_own_place_only() {
    let tampered: [(&str, &[&'static str]); 5] = [
        (
            "another person's row",
            &["UPDATE connected_accounts SET access_token =
                 (SELECT a.access_token FROM connected_accounts a WHERE a.user_id = 'auth0|other')
             WHERE user_id = 'auth0|owner'"],
        ),
        (
            "another column",
            &["UPDATE connected_accounts SET access_token = refresh_token
             WHERE user_id = 'auth0|owner'"],
        ),
        (
            "another version",
            &["UPDATE connected_accounts SET token_version = 2 WHERE user_id = 'auth0|owner'"],
        ),
        (
            "another account id",
            &["UPDATE connected_accounts SET account_id = 'cac_x' WHERE user_id = 'auth0|owner'"],
        ),
        (
            "another person",
            &[
                "UPDATE connected_accounts SET user_id = 'auth0|thief' WHERE user_id = 'auth0|owner'",
                "UPDATE connected_accounts SET user_id = 'auth0|owner' WHERE user_id = 'auth0|other'",
            ],
        ),
    ];
    for (what, sql) in tampered {
        let (server, provider) = start(3_600).await;
        server.apply(&account(&provider, "other", 3_600)).await.unwrap();
        token(&server).await.unwrap();
        tamper(&server, sql).await;
        assert_eq!(token(&server).await.unwrap_err(), VaultError::Sealed, "{what}");
    }
}

#[tokio::test]
async fn a_refresh_token_from_another_place_is_never_sent() {
    let (server, provider) = start(0).await;
    server.apply(&account(&provider, "other", 3_600)).await.unwrap();
    tamper(
        &server,
        &["UPDATE connected_accounts SET refresh_token =
             (SELECT a.refresh_token FROM connected_accounts a WHERE a.user_id = 'auth0|other')
         WHERE user_id = 'auth0|owner'"],
    )
    .await;
    assert_eq!(token(&server).await.unwrap_err(), VaultError::Sealed);
    assert_eq!(provider.count("POST", TOKEN_PATH), 0);
}

#[tokio::test]
async fn what_is_kept_holds_no_secret_of_a_provider() {
    let (server, provider) = start(0).await;
    let token = token(&server).await.unwrap();
    let sent = provider.received().remove(0).body;
    let refresh_token =
        sent.split('&').find_map(|pair| pair.strip_prefix("refresh_token=")).unwrap();
    let secrets = [token.access_token.expose().as_str(), refresh_token, "gh-secret"];
    server.server.storage.close().await;
    let mut read = 0;
    for (name, bytes) in server.kept().await {
        read += bytes.len();
        for secret in secrets {
            let is_there = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!is_there, "a secret lies in {name}");
        }
    }
    assert!(read > 10_000, "the database was read");
}

#[tokio::test]
async fn a_set_up_file_makes_connections_and_accounts_once() {
    let server = world::start().await;
    let provider = start_provider(&server, Some(28_800)).await;
    let setup = format!("{}{}", github_connection(&provider), account(&provider, "owner", 3_600));
    let changes = server.apply(&setup).await.unwrap();
    assert_eq!(
        changes,
        ["create connection github", "create connected account auth0|owner → github"]
    );
    assert_eq!(server.apply(&setup).await.unwrap(), Vec::<String>::new());
    // Tokens in a file that comes again are not written, nor is a secret.
    let first = token(&server).await.unwrap();
    server.apply(&account(&provider, "owner", 60)).await.unwrap();
    assert_eq!(token(&server).await.unwrap().access_token.expose(), first.access_token.expose());
    // Unless it is asked for.
    let options = ApplyOptions { actor: Actor::System, is_dry_run: false, resets_secrets: true };
    let again = account(&provider, "owner", 3_600);
    let outcome = server.apply_with(&again, &options).await.unwrap();
    assert_eq!(outcome.changes, ["change tokens of connected account auth0|owner → github"]);
    assert_ne!(token(&server).await.unwrap().access_token.expose(), first.access_token.expose());
    let scope = "connections: [{name: github, options: {scope: [gist]}}]";
    assert_eq!(server.apply(scope).await.unwrap(), ["change connection github"]);
    let connection = server.server.vault.find_connection(&github()).await.unwrap().unwrap();
    assert_eq!(connection.scope, ["gist"]);
    assert_eq!(connection.client_id, "gh", "what the file omits stays");
    assert!(connection.has_secret());
}

#[tokio::test]
async fn expires_in_counts_from_the_apply() {
    let server = world::start().await;
    let provider = start_provider(&server, Some(28_800)).await;
    server.apply(&github_connection(&provider)).await.unwrap();
    let account = account(&provider, "owner", 3_600);
    server.advance(Duration::from_secs(50_000));
    server.apply(&account).await.unwrap();
    let token = token(&server).await.unwrap();
    assert_eq!(token.expires_at, Some(server.now().plus(Duration::from_secs(3_600))));
}

#[tokio::test]
async fn each_strategy_knows_its_provider_and_the_open_ones_must_be_told() {
    let server = world::start().await;
    let known = ["github", "google-oauth2", "slack", "windowslive"];
    for strategy in known {
        let setup = format!(
            "connections: [{{name: x-{strategy}, strategy: {strategy}, options: {{client_id: id, \
             client_secret: s}}}}]"
        );
        server.apply(&setup).await.unwrap();
    }
    for connection in server.server.vault.list_connections().await.unwrap() {
        assert!(connection.token_url.as_str().starts_with("https://"), "{connection:?}");
    }
    for (setup, words) in [
        ("{name: a, strategy: oauth2, options: {client_id: id}}", "options.token_url"),
        (
            "{name: a, strategy: oidc, options: {client_id: id, token_url: 'https://a/t'}}",
            "options.authorization_url",
        ),
        ("{name: a, strategy: github, options: {}}", "options.client_id"),
        ("{name: a, options: {client_id: id}}", "strategy"),
        ("{name: a, strategy: gitlab, options: {client_id: id}}", "gitlab"),
        ("{name: a, strategy: github, options: {client_id: id, token_uri: x}}", "token_uri"),
        ("{name: a, strategy: github, option: {}}", "option"),
        (
            "{name: a, strategy: github, options: {client_id: id, token_url: 'ftp://a'}}",
            "options.token_url",
        ),
    ] {
        let error = server.apply(&format!("connections: [{setup}]")).await.unwrap_err();
        assert!(error.contains(words), "{setup}: {error}");
    }
    for (setup, words) in [
        ("{user_id: 'auth0|nobody', connection: x-slack, access_token: t}", "auth0|nobody"),
        ("{user_id: 'auth0|owner', connection: none, access_token: t}", "none"),
        ("{user_id: 'auth0|owner', connection: x-slack}", "access_token"),
        ("{user_id: 'auth0|owner', connection: x-slack, access_token: 'a b'}", "token"),
        ("{user_id: 'auth0|owner', connection: x-slack, access_token: t, scope: x}", "scope"),
    ] {
        let error = server.apply(&format!("connected_accounts: [{setup}]")).await.unwrap_err();
        assert!(error.contains(words), "{setup}: {error}");
    }
}
