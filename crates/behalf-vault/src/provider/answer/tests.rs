//! What providers answer, and what it is taken for.

use http::HeaderMap;

use super::*;

fn answer(status: u16, body: &str) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: HeaderMap::new(),
        body: body.to_owned().into(),
    }
}

#[track_caller]
fn read(status: u16, body: &str, strategy: Strategy) -> Result<TokenSet, ProviderError> {
    TokenSet::read(&answer(status, body), strategy)
}

#[test]
fn tokens_of_each_provider_are_read() {
    let github = r#"{"access_token":"gho_1","expires_in":28800,"refresh_token":"ghr_1",
        "refresh_token_expires_in":15897600,"scope":"gist,public_repo","token_type":"bearer"}"#;
    let set = read(200, github, Strategy::GitHub).unwrap();
    assert_eq!(set.access_token.expose(), "gho_1");
    assert_eq!(set.refresh_token.unwrap().expose(), "ghr_1");
    assert_eq!(set.expires_in, Some(Duration::from_secs(28_800)));
    assert_eq!(set.scopes.unwrap(), ["gist", "public_repo"]);

    let slack = r#"{"ok":true,"access_token":"xoxb-bot","scope":"commands","authed_user":
        {"id":"U1","scope":"chat:write,users:read","access_token":"xoxe.xoxp-1",
        "refresh_token":"xoxe-1","expires_in":"43200","token_type":"user"}}"#;
    let set = read(200, slack, Strategy::Slack).unwrap();
    assert_eq!(set.access_token.expose(), "xoxe.xoxp-1");
    assert_eq!(set.expires_in, Some(Duration::from_secs(43_200)));
    assert_eq!(set.scopes.unwrap(), ["chat:write", "users:read"]);
    assert_eq!(set.user.id.as_deref(), Some("U1"));

    let plain = read(200, r#"{"access_token":"a","token_type":"Bearer"}"#, Strategy::OAuth2);
    let plain = plain.unwrap();
    assert!(plain.refresh_token.is_none() && plain.expires_in.is_none() && plain.scopes.is_none());
}

#[test]
fn a_dead_grant_is_told_from_a_refusal_and_from_an_outage() {
    let dead = [
        (400, r#"{"error":"invalid_grant"}"#),
        (200, r#"{"error":"bad_refresh_token","error_description":"x"}"#),
        (200, r#"{"error":"bad_verification_code"}"#),
        (200, r#"{"ok":false,"error":"invalid_refresh_token"}"#),
        (200, r#"{"access_token":"a","error":"invalid_grant"}"#),
    ];
    for (status, body) in dead {
        let error = read(status, body, Strategy::GitHub).unwrap_err();
        assert_eq!(error, ProviderError::InvalidGrant, "{body}");
    }
    let refused = [
        (401, r#"{"error":"invalid_client"}"#),
        (200, r#"{"error":"incorrect_client_credentials"}"#),
        (200, r#"{"ok":false}"#),
        (404, "not found"),
        (302, ""),
        (403, r#"{"access_token":"a"}"#),
    ];
    for (status, body) in refused {
        let error = read(status, body, Strategy::GitHub).unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{status} {body}: {error:?}");
    }
    let away = [
        (429, r#"{"error":"invalid_grant"}"#),
        (500, ""),
        (503, r#"{"access_token":"a"}"#),
        (200, "<html>"),
        (200, "{}"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":"a b"}"#),
        (200, r#"{"access_token":7}"#),
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (200, r#"{"ok":false,"error":"ratelimited"}"#),
    ];
    for (status, body) in away {
        let error = read(status, body, Strategy::Slack).unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable { .. }), "{status} {body}: {error:?}");
    }
}

#[test]
fn a_wait_that_the_provider_asks_for_is_read() {
    let mut busy = answer(429, "");
    busy.headers.insert(header::RETRY_AFTER, "17".parse().unwrap());
    let error = TokenSet::read(&busy, Strategy::GitHub).unwrap_err();
    let retry_after = Some(Duration::from_secs(17));
    assert_eq!(error, ProviderError::Unavailable { retry_after, may_have_arrived: true });
}

#[test]
fn people_are_read_from_each_kind_of_profile() {
    let read = |body: &str| ProviderUser::read(&answer(200, body));
    let user = |id: &str, name: &str| ProviderUser {
        id: Some(id.to_owned()),
        name: Some(name.to_owned()),
    };
    assert_eq!(read(r#"{"id":583231,"login":"octocat","name":"O"}"#), user("583231", "octocat"));
    assert_eq!(read(r#"{"sub":"1","email":"a@b.c"}"#), user("1", "a@b.c"));
    assert_eq!(read(r#"{"ok":true,"user":"ann","user_id":"U1"}"#), user("U1", "ann"));
    assert_eq!(read(r#"{"id":[],"login":"a\u0007b"}"#).name.as_deref(), Some("ab"));
    assert_eq!(read("[]"), ProviderUser::default());
    let long = format!(r#"{{"login":"{}"}}"#, "x".repeat(10_000));
    assert_eq!(read(&long).name.unwrap().len(), NAME_LEN_MAX);
}
