//! A one-time password: it opens one page, where she chooses her own.

use behalf_tests::{Browser, Page, TestServer};

/// Only a server without an administrator makes one.
async fn first_sign_in() -> (TestServer, Browser, Page) {
    let server = TestServer::start("").await;
    let (first, password) = ("auth0|first".parse().unwrap(), "one-time-password".into());
    assert!(server.server.identity.create_first_administrator(&first, &password).await.unwrap());
    let mut browser = Browser::new();
    let page = browser.open(&server, "/account").await.unwrap();
    let page = browser.sign_in(&server, &page, "admin", "one-time-password").await.unwrap();
    assert!(page.path.starts_with("/u/change-password?state="), "{}", page.path);
    assert_eq!(page.answer.status.as_u16(), 200);
    (server, browser, page)
}

fn chosen<'a>(password: &'a str, repeated: &'a str) -> [(&'a str, &'a str); 2] {
    [("password", password), ("repeated", repeated)]
}

#[tokio::test]
async fn a_one_time_password_is_replaced_and_the_sign_in_goes_on() {
    let (server, mut browser, page) = first_sign_in().await;
    let address = page.path.clone();
    let good = chosen("tea with oat milk", "tea with oat milk");
    let page = browser.submit(&server, &page, &good).await;
    let page = browser.follow(&server, page).await.unwrap();
    assert_eq!((page.path.as_str(), page.answer.status.as_u16()), ("/account", 200));
    let events = server.events().await;
    for kind in ["user.password_changed", "sign_in.succeeded"] {
        assert_eq!(events.iter().filter(|known| *known == kind).count(), 1, "{kind}");
    }

    // The page opens once, and only the new password opens anything.
    let again = browser.open(&server, &address).await.unwrap();
    assert_eq!(again.answer.status.as_u16(), 400);
    let mut other = Browser::new();
    let page = other.open(&server, "/account").await.unwrap();
    let refused = other.sign_in(&server, &page, "admin", "one-time-password").await.unwrap();
    assert!(refused.path.starts_with("/u/login"), "{}", refused.path);
    let page = other.sign_in(&server, &refused, "admin", "tea with oat milk").await.unwrap();
    assert_eq!(page.path, "/account");
}

#[tokio::test]
async fn what_is_wrong_with_a_password_is_said_on_the_page_and_nothing_changes() {
    let (server, mut browser, mut page) = first_sign_in().await;
    let long = "x".repeat(2_000);
    for (password, repeated, words) in [
        ("short", "short", "Use at least 10 characters."),
        ("", "", "Use at least 10 characters."),
        (&long, &long, "Use at most 1,024 bytes."),
        ("tea with oat milk", "tea with rice milk", "The two passwords differ."),
    ] {
        page = browser.submit(&server, &page, &chosen(password, repeated)).await;
        assert_eq!(page.answer.status.as_u16(), 400, "{words}");
        let html = &page.answer.text;
        assert!(html.contains("The password was not changed"), "{html}");
        assert!(html.contains(words), "`{words}` is not in {html}");
        assert!(!html.contains("oat milk"), "a page never shows a password");
    }
    assert!(!server.events().await.contains(&"user.password_changed".to_owned()));
    let good = chosen("tea with oat milk", "tea with oat milk");
    let page = browser.submit(&server, &page, &good).await;
    assert_eq!(browser.follow(&server, page).await.unwrap().path, "/account");
}

#[tokio::test]
async fn the_page_belongs_to_the_browser_that_showed_the_one_time_password() {
    let (server, mut browser, page) = first_sign_in().await;
    let (action, mut fields) = page.form();
    fields.extend(
        chosen("mallory was here", "mallory was here")
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let mut stranger = Browser::new();
    let seen = stranger.open(&server, &page.path).await.unwrap();
    assert_eq!(seen.answer.status.as_u16(), 400);
    let sent = stranger.post(&server, &action, &fields).await;
    assert!(sent.answer.status.is_client_error(), "{}", sent.answer.status);
    let sent = browser.post_cross_site(&server, &action, &fields).await;
    assert_eq!(sent.answer.status.as_u16(), 403);
    assert!(!server.events().await.contains(&"user.password_changed".to_owned()));

    // Whoever is not asked to choose one finds no such page.
    let mut other = Browser::new();
    let login = other.open(&server, "/account").await.unwrap();
    let (_, state) = login.path.split_once("state=").unwrap();
    let path = format!("/u/change-password?state={state}");
    assert_eq!(other.open(&server, &path).await.unwrap().answer.status.as_u16(), 400);
}
