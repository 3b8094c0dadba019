//! Consent: another party's application gets what the person agreed to, and nothing more.

use behalf_tests::{Browser, Page, TestServer, query_of};
use http::header;

use crate::world::{self, GIST, PARTNER, WEB};

async fn ask(server: &TestServer, browser: &mut Browser, extra: &[(&str, &str)]) -> Page {
    let page = browser.open(server, &PARTNER.authorize_path(extra)).await;
    let page = page.unwrap();
    assert!(page.path.starts_with("/u/consent?state=bhf_si_"), "{}", page.path);
    assert_eq!(page.answer.status.as_u16(), 200);
    page
}

async fn decide(server: &TestServer, browser: &mut Browser, page: &Page, decision: &str) -> String {
    let page = browser.submit(server, page, &[("decision", decision)]).await;
    assert_eq!(page.answer.status.as_u16(), 303, "{}", page.answer.text);
    page.answer.header(header::LOCATION).to_owned()
}

#[tokio::test]
async fn she_reads_who_asks_for_what_and_where_the_answer_goes() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let extra = [("audience", GIST), ("scope", "openid read:gist create:gist offline_access")];
    let page = ask(&server, &mut browser, &extra).await.answer.text;
    for words in
        ["Partner", "partner.example", "Read your gists", "create:gist", "Olive Owner", "away"]
    {
        assert!(page.contains(words), "`{words}` is not on the page: {page}");
    }
}

#[tokio::test]
async fn what_she_allowed_is_remembered_and_more_is_asked_for_again() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let page = ask(&server, &mut browser, &[("scope", "openid profile")]).await;
    let callback = decide(&server, &mut browser, &page, "allow").await;
    let tokens = PARTNER.redeem(&server, &callback).await.expect(200).json();
    assert_eq!(tokens["scope"], "openid profile");
    for remembered in ["openid profile", "openid", "profile"] {
        let extra = [("scope", remembered)];
        let callback = world::callback(&server, &mut browser, &PARTNER, &extra).await;
        assert!(query_of(&callback).contains_key("code"), "{remembered}");
    }
    for (extra, why) in [
        (vec![("scope", "openid profile email")], "more"),
        (vec![("scope", "openid profile offline_access")], "for longer"),
        (vec![("scope", "openid profile"), ("audience", GIST)], "another API"),
        (vec![("scope", "openid profile"), ("prompt", "consent")], "she wants to be asked"),
    ] {
        let page = browser.open(&server, &PARTNER.authorize_path(&extra)).await;
        assert!(page.is_ok_and(|page| page.path.starts_with("/u/consent")), "{why}");
    }
    let mut other = world::signed_in_as(&server, "other").await;
    ask(&server, &mut other, &[("scope", "openid profile")]).await;
}

#[tokio::test]
async fn what_she_refuses_is_told_to_the_application_and_not_remembered() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let page = ask(&server, &mut browser, &[]).await;
    let callback = decide(&server, &mut browser, &page, "deny").await;
    let query = query_of(&callback);
    assert_eq!(query["error"], "access_denied");
    assert_eq!(query["state"], "state-1");
    assert_eq!(query["iss"], "https://behalf.test/");
    assert!(!query.contains_key("code"));
    ask(&server, &mut browser, &[]).await;
    let kinds = server.events().await;
    assert!(kinds.contains(&"consent.denied".to_owned()));
    assert!(!kinds.contains(&"consent.granted".to_owned()));
}

#[tokio::test]
async fn our_own_applications_ask_only_when_told_to() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let callback = world::callback(&server, &mut browser, &WEB, &[("audience", GIST)]).await;
    assert!(query_of(&callback).contains_key("code"));
    let path = WEB.authorize_path(&[("prompt", "consent")]);
    assert!(browser.open(&server, &path).await.unwrap().path.starts_with("/u/consent"));
}

#[tokio::test]
async fn only_the_browser_that_was_asked_answers_and_only_once() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let page = ask(&server, &mut browser, &[]).await;
    // Another browser of the same person, with its own form token.
    let mut second = world::signed_in(&server).await;
    let mine = ask(&server, &mut second, &[]).await;
    let handle = |page: &Page| page.path.split_once('=').unwrap().1.to_owned();
    let mut fields = mine.form_to("/u/consent");
    for (name, value) in &mut fields {
        if name == "state" {
            *value = handle(&page);
        }
    }
    fields.push(("decision".into(), "allow".into()));
    second.post(&server, "/u/consent", &fields).await.answer.expect(400);
    second.get(&server, &page.path).await.answer.expect(400);
    // A decision that is none decides nothing.
    for decision in ["", "maybe", "ALLOW"] {
        let filled = [("decision", decision)];
        browser.submit(&server, &page, &filled).await.answer.expect(400);
    }
    let callback = decide(&server, &mut browser, &page, "allow").await;
    PARTNER.redeem(&server, &callback).await.expect(200);
    browser.submit(&server, &page, &[("decision", "allow")]).await.answer.expect(400);
    browser.get(&server, &page.path).await.answer.expect(400);
}

#[tokio::test]
async fn parallel_answers_give_one_code() {
    let server = std::sync::Arc::new(world::start().await);
    let mut browser = world::signed_in(&server).await;
    let page = ask(&server, &mut browser, &[]).await;
    let mut fields = page.form_to("/u/consent");
    fields.push(("decision".into(), "allow".into()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (server, fields) = (std::sync::Arc::clone(&server), fields.clone());
        let mut same = Browser::new();
        same.steal(&browser.cookie_header());
        tasks.spawn(async move { same.post(&server, "/u/consent", &fields).await.answer.status });
    }
    let statuses = tasks.join_all().await;
    assert_eq!(statuses.iter().filter(|status| status.as_u16() == 303).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| status.as_u16() == 400).count(), 19);
}

#[tokio::test]
async fn nobody_answers_after_signing_out_or_being_blocked() {
    let server = world::start().await;
    let mut browser = world::signed_in(&server).await;
    let page = ask(&server, &mut browser, &[]).await;
    server.apply("users: [{user_id: 'auth0|owner', blocked: true}]").await.unwrap();
    browser.submit(&server, &page, &[("decision", "allow")]).await.answer.expect(400);
    server.apply("users: [{user_id: 'auth0|owner', blocked: false}]").await.unwrap();
    let cookie = browser.cookie_header();
    browser.get(&server, "/v2/logout").await.answer.expect(200);
    browser.steal(&cookie);
    browser.submit(&server, &page, &[("decision", "allow")]).await.answer.expect(400);
    assert!(!server.events().await.contains(&"consent.granted".to_owned()));
}
