//! Authorization codes: redeemed once, in time, by the application that asked and proves it.

use std::sync::Arc;
use std::time::Duration;

use behalf_crypto::{SystemRng, opaque, pkce};
use behalf_tests::{Answer, Browser, Client, TestServer, query_of};

use crate::world::{self, NATIVE, PLAIN, SPA, WEB, assert_refused, text};

async fn code(
    server: &TestServer,
    browser: &mut Browser,
    client: &Client,
    extra: &[(&str, &str)],
) -> String {
    let callback = world::callback(server, browser, client, extra).await;
    query_of(&callback).remove("code").unwrap_or_else(|| panic!("{callback}"))
}

/// Redeems with exactly these parameters beside the client's credentials.
async fn redeem(server: &TestServer, client: &Client, extra: &[(&str, &str)]) -> Answer {
    let mut form = vec![("grant_type", "authorization_code")];
    form.extend(extra.iter().filter(|(_, value)| !value.is_empty()));
    client.token(server, &form).await
}

/// N07: each combination of challenge, verifier and secret for each kind of application. Only a
/// client that proves itself, with a verifier exactly when there was a challenge, gets tokens.
#[tokio::test]
async fn the_proof_of_the_code_can_neither_be_left_out_nor_added_nor_replaced_by_a_secret() {
    let challenge = behalf_tests::code_challenge();
    let other = "other-verifier-other-verifier-other-verifier";
    assert_ne!(pkce::challenge_s256(other), challenge);
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let mut redeemed = 0;
    for client in [&WEB, &SPA, &NATIVE] {
        let is_public = client.client_secret.is_none();
        for (asked, method) in [
            (challenge.as_str(), "S256"),
            ("", ""),
            (Client::VERIFIER, "plain"),
            (Client::VERIFIER, ""),
            ("", "S256"),
        ] {
            let extra = [("code_challenge", asked), ("code_challenge_method", method)];
            let callback = world::callback(&server, &mut browser, client, &extra).await;
            let is_given = method == "S256" && !asked.is_empty()
                || !is_public && asked.is_empty() && method.is_empty();
            let query = query_of(&callback);
            assert_eq!(query.contains_key("code"), is_given, "{} {extra:?}", client.client_id);
            if !is_given {
                assert_eq!(query["error"], "invalid_request");
                continue;
            }
            for verifier in ["", Client::VERIFIER, other, challenge.as_str()] {
                for secret in [client.client_secret, None, Some("any"), Some("web-secret")] {
                    let code = code(&server, &mut browser, client, &extra).await;
                    let claims_to_be = Client { client_secret: secret, ..client.clone() };
                    let form = [
                        ("code", code.as_str()),
                        ("redirect_uri", client.redirect_uri),
                        ("code_verifier", verifier),
                    ];
                    let answer = redeem(&server, &claims_to_be, &form).await;
                    let is_proven = match asked {
                        "" => verifier.is_empty(),
                        _ => verifier == Client::VERIFIER,
                    };
                    match (secret == client.client_secret, is_proven) {
                        (false, _) => {
                            assert_refused(answer, 401, "invalid_client");
                        }
                        (true, false) => {
                            assert_refused(answer, 400, "invalid_grant");
                        }
                        (true, true) => {
                            answer.expect(200);
                            redeemed += 1;
                        }
                    }
                }
            }
        }
    }
    // WEB with and without a challenge (its own secret stands twice), SPA and NATIVE (no secret
    // stands twice).
    assert_eq!(redeemed, 2 * 2 + 2 + 2);
}

#[tokio::test]
async fn a_code_used_twice_is_refused_and_takes_back_what_it_gave() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    let tokens = WEB.redeem_code(&server, &code).await.expect(200).json();
    let first = text(&tokens, "refresh_token");
    let second = WEB.refresh(&server, first, &[]).await.expect(200).json();
    assert_refused(WEB.redeem_code(&server, &code).await, 400, "invalid_grant");
    for token in [first, text(&second, "refresh_token")] {
        assert_refused(WEB.refresh(&server, token, &[]).await, 400, "invalid_grant");
    }
    assert!(server.events().await.contains(&"token.reuse_detected".to_owned()));
    // Another sign-in of the same person for the same application is not touched.
    let other = world::callback(&server, &mut browser, &WEB, &[]).await;
    WEB.redeem(&server, &other).await.expect(200);
}

#[tokio::test]
async fn parallel_redemptions_give_at_most_one_set_of_tokens_and_end_with_none_alive() {
    let server = Arc::new(world::start().await);
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (server, code) = (Arc::clone(&server), code.clone());
        tasks.spawn(async move { WEB.redeem_code(&server, &code).await });
    }
    let answers = tasks.join_all().await;
    let (given, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status.is_success());
    assert_eq!((given.len(), refused.len()), (1, 19));
    for answer in refused {
        assert_refused(answer, 400, "invalid_grant");
    }
    let tokens = given[0].json();
    let refresh = WEB.refresh(&server, text(&tokens, "refresh_token"), &[]).await;
    assert_refused(refresh, 400, "invalid_grant");
}

#[tokio::test]
async fn a_code_lives_for_five_minutes() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    for (age, status) in [(299, 200), (300, 400), (301, 400), (86_400, 400)] {
        let code = code(&server, &mut browser, &WEB, &[]).await;
        server.advance(Duration::from_secs(age));
        WEB.redeem_code(&server, &code).await.expect(status);
    }
}

#[tokio::test]
async fn a_code_of_another_application_is_worth_nothing_and_stays_whole() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    for thief in [&PLAIN, &SPA, &NATIVE, &world::PARTNER] {
        for redirect_uri in [thief.redirect_uri, WEB.redirect_uri, ""] {
            let form = [
                ("code", code.as_str()),
                ("redirect_uri", redirect_uri),
                ("code_verifier", Client::VERIFIER),
            ];
            assert_refused(redeem(&server, thief, &form).await, 400, "invalid_grant");
        }
    }
    assert!(!server.events().await.contains(&"token.reuse_detected".to_owned()));
    WEB.redeem_code(&server, &code).await.expect(200);
}

#[tokio::test]
async fn the_redirect_address_is_that_of_the_request_or_left_out() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    for (redirect_uri, status) in [
        (WEB.redirect_uri, 200),
        ("", 200),
        ("https://web.example/callback?tab=1", 400),
        ("https://web.example/callback/", 400),
        ("HTTPS://web.example/callback", 400),
        ("https://evil.example/", 400),
    ] {
        let code = code(&server, &mut browser, &WEB, &[]).await;
        let extra = [
            ("code", code.as_str()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", Client::VERIFIER),
        ];
        redeem(&server, &WEB, &extra).await.expect(status);
    }
}

#[tokio::test]
async fn a_code_that_is_not_exactly_the_one_issued_is_unknown() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    for variant in variants(&code) {
        assert_refused(WEB.redeem_code(&server, &variant).await, 400, "invalid_grant");
    }
    // One of the right form, checksum and all, that nobody issued.
    let made_up = opaque::mint("bhf_ac_", &SystemRng);
    assert_refused(WEB.redeem_code(&server, made_up.expose()).await, 400, "invalid_grant");
    WEB.redeem_code(&server, &code).await.expect(200);
}

/// Prefixes, suffixes and other spellings of a token (N18).
pub(crate) fn variants(token: &str) -> Vec<String> {
    let mut variants: Vec<String> =
        (1..token.len()).map(|end| token.get(..end).unwrap().to_owned()).collect();
    variants.extend((1..token.len()).map(|start| token.get(start..).unwrap().to_owned()));
    for at in 0..token.len() {
        let (head, tail) = token.split_at(at);
        let changed = tail.chars().next().unwrap();
        let other = match changed {
            c if c.is_ascii_lowercase() => c.to_ascii_uppercase(),
            c if c.is_ascii_uppercase() => c.to_ascii_lowercase(),
            '0' => '1',
            _ => '0',
        };
        variants.push(format!("{head}{other}{}", tail.get(1..).unwrap()));
    }
    variants.extend(
        ["=", " ", "0", "\u{0}", ".", "%00", "\n"]
            .into_iter()
            .flat_map(|extra| [format!("{token}{extra}"), format!("{extra}{token}")]),
    );
    variants.push(token.to_uppercase());
    variants.push(token.to_lowercase());
    variants
}

#[tokio::test]
async fn a_blocked_persons_code_is_worth_nothing() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    server.apply("users: [{user_id: 'auth0|owner', blocked: true}]").await.unwrap();
    assert_refused(WEB.redeem_code(&server, &code).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_client_that_loses_the_grant_cannot_redeem() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    server.apply("clients: [{client_id: web, grant_types: [password]}]").await.unwrap();
    assert_refused(WEB.redeem_code(&server, &code).await, 403, "unauthorized_client");
}

#[tokio::test]
async fn a_wrong_verifier_does_not_cost_the_application_its_code() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let code = code(&server, &mut browser, &WEB, &[]).await;
    let wrong = [("code", code.as_str()), ("code_verifier", "x")];
    assert_refused(redeem(&server, &WEB, &wrong).await, 400, "invalid_grant");
    WEB.redeem_code(&server, &code).await.expect(200);
}
