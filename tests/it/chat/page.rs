//! The chat page, without script: a form, and what is there when one looks again.

use behalf::demo::model::Emit;
use behalf_tests::decide_at_provider;

use super::*;

#[tokio::test]
async fn the_page_works_without_script() {
    let mut chat = Chat::start().await;
    let mut browser = world::signed_in(&chat.server).await;
    let page = browser.open(&chat.server, "/console/chat").await.unwrap();
    let html = &page.answer.text;
    assert!(html.contains("scripted model"), "{html}");
    assert!(html.contains("Show me popular Next.js repositories about AI"));
    let policy = page.answer.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");

    let fields = with_text(&page, REPOSITORIES);
    let page = browser.post(&chat.server, "/console/chat", &fields).await;
    let page = browser.follow(&chat.server, page).await.unwrap();
    assert!(page.answer.text.contains("/account/connect?i=int_"), "{}", page.answer.text);
    assert!(page.answer.text.contains("Connect GitHub"));
    let address = page.path.clone();

    chat.connect().await;
    let page = browser.open(&chat.server, &address).await.unwrap();
    let page = match page.answer.text.contains("data-standing=\"over\"") {
        true => page,
        false => wait_for(&chat, &mut browser, &address, "data-standing=\"over\"").await,
    };
    assert!(page.answer.text.contains("These are the most popular"), "{}", page.answer.text);
    // The same form twice is one question.
    browser.post(&chat.server, "/console/chat", &fields).await;
    assert_eq!(chat.provider.count("GET", "/search/repositories"), 1);
    chat.assert_no_secret(&[&page.answer.text]);

    // The other person does not see the thread.
    let mut other = world::signed_in_as(&chat.server, "other").await;
    let page = other.open(&chat.server, &address).await.unwrap();
    assert!(!page.answer.text.contains("These are the most popular"));
}

#[tokio::test]
async fn connecting_from_a_card_leads_back_to_the_chat() {
    let chat = Chat::start().await;
    let mut browser = world::signed_in(&chat.server).await;
    let page = browser.open(&chat.server, "/console/chat").await.unwrap();
    let page = browser.post(&chat.server, "/console/chat", &with_text(&page, REPOSITORIES)).await;
    let page = browser.follow(&chat.server, page).await.unwrap();
    let address = page.path.clone();
    let (_, link) = page.answer.text.split_once("href=\"/account/connect?").unwrap();
    let (query, _) = link.split_once('"').unwrap();
    let link = format!("/account/connect?{}", query.replace("&#38;", "&").replace("&amp;", "&"));

    for decision in [None, Some("olive")] {
        let page = browser.open(&chat.server, &link).await.unwrap();
        let fields = page.form_to("/account/connect");
        let page = browser.post(&chat.server, "/account/connect", &fields).await;
        let callback = decide_at_provider(page.answer.header(header::LOCATION), decision).await;
        let callback = callback.strip_prefix(ISSUER).unwrap();
        let page = browser.open(&chat.server, &format!("/{callback}")).await.unwrap();
        match decision {
            None => assert!(page.answer.text.contains("return_to=%2Fconsole%2Fchat%3Fid%3D")),
            Some(_) => assert_eq!(page.path, address),
        }
    }
    wait_for(&chat, &mut browser, &address, "These are the most popular").await;
}

#[tokio::test]
async fn an_approval_can_be_taken_back_from_its_card() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let mut browser = world::signed_in(&chat.server).await;
    let page = browser.open(&chat.server, "/console/chat").await.unwrap();
    let fields = with_text(&page, GIST);
    let page = browser.post(&chat.server, "/console/chat", &fields).await;
    let page = browser.follow(&chat.server, page).await.unwrap();
    assert!(page.answer.text.contains("Waiting for your approval"), "{}", page.answer.text);
    assert!(page.answer.text.contains("/account/approvals/apr_"));
    assert!(page.answer.text.contains("one line"), "what will be sent is shown");
    let address = page.path.clone();
    let waiting = "/console/traces?status=waiting";
    let runs = browser.open(&chat.server, waiting).await.unwrap().answer.text;
    assert!(runs.contains(">Create a public Gist</a>"), "the run waits for her: {runs}");
    let fields = page.form_to("/console/chat/cancel");
    let page = browser.post(&chat.server, "/console/chat/cancel", &fields).await;
    assert_eq!(page.answer.status, 303);
    let page = wait_for(&chat, &mut browser, &address, "data-standing=\"over\"").await;
    assert!(!page.answer.text.contains("/account/approvals/apr_"));
    let runs = browser.open(&chat.server, waiting).await.unwrap().answer.text;
    assert!(runs.contains("No run fits these filters"), "nothing waits any more: {runs}");
    assert_eq!(chat.posted_gists(), 0);
}

#[tokio::test]
async fn what_the_model_says_is_text() {
    let evil = "<script>alert(1)</script> [x](javascript:alert(1)) **<img src=x onerror=y>**";
    let chat = Chat::with(vec![Rule::always(vec![Emit::text(evil)])]).await;
    let mut browser = world::signed_in(&chat.server).await;
    let page = browser.open(&chat.server, "/console/chat").await.unwrap();
    let fields = with_text(&page, "<b>hi</b>");
    let page = browser.post(&chat.server, "/console/chat", &fields).await;
    let page = browser.follow(&chat.server, page).await.unwrap();
    let html = &page.answer.text;
    assert!(html.contains("&#60;script&#62;alert(1)") || html.contains("&lt;script&gt;"), "{html}");
    for raw in ["<script>alert", "<img src=x", "<b>hi", "href=\"javascript"] {
        assert!(!html.contains(raw), "{raw}");
    }
}

/// The composer's fields with a text.
fn with_text(page: &behalf_tests::Page, text: &str) -> Vec<(String, String)> {
    let mut fields = page.forms().pop().unwrap().1;
    assert!(fields.iter().any(|(name, _)| name == "message_id"), "{fields:?}");
    fields.retain(|(name, _)| name != "text");
    fields.push(("text".to_owned(), text.to_owned()));
    fields
}

/// Looks again until the page says so.
async fn wait_for(
    chat: &Chat,
    browser: &mut behalf_tests::Browser,
    address: &str,
    sign: &str,
) -> behalf_tests::Page {
    for _look in 0..200 {
        let page = browser.open(&chat.server, address).await.unwrap();
        if page.answer.text.contains(sign) {
            return page;
        }
        tokio::task::yield_now().await;
    }
    panic!("{address} never says {sign}");
}
