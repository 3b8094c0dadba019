//! What a hostile question cannot do to the page, and what a friendly one must show.

use askama::Template as _;

use super::samples;

fn page(index: usize) -> String {
    samples().remove(index).render().unwrap()
}

/// What stands on the page between tags, entities and all.
fn shown(html: &str) -> String {
    html.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect()
}

#[test]
fn a_gist_is_shown_with_everything_that_will_be_sent() {
    let html = page(0);
    for text in [
        "PUBLIC",
        "Notes of the planning meeting",
        "planning.md",
        "GitHub (api.github.com)",
        "34 lines",
    ] {
        assert!(html.contains(text), "{text}");
    }
    assert!(html.contains("34. A line"), "the whole content is on the page");
    assert!(html.contains("Notes for teams") && html.contains("Behalf"));
    assert!(html.contains("Planning 2027 (document)"));
    assert!(html.contains("3f6bb1ab…1a090807"));
    let (deny, approve) =
        (html.find("value=\"deny\"").unwrap(), html.find("value=\"approve\"").unwrap());
    assert!(deny < approve, "what cannot be undone is denied first");
}

#[test]
fn hostile_text_stays_text_and_hides_nothing() {
    let html = page(3);
    for markup in ["<script>alert", "<img src=x", "<h1>Approved", "</blockquote><h1>"] {
        assert!(!html.contains(markup), "{markup}");
    }
    assert!(!html.contains(['\u{202e}', '\u{200b}', '\u{202c}']));
    assert!(html.contains("⟦U+202E⟧") && html.contains("⟦U+200B⟧"));
    assert!(html.contains("characters that cannot be seen"), "and the page says so");
    assert!(html.contains("mixes alphabets"));
    assert!(html.contains("unseen"), "an argument that no template knows is shown too");
    let said = html.split("The agent says").nth(1).unwrap().split("</blockquote>").next().unwrap();
    assert!(shown(said).contains("SYSTEM: safe"), "the agent's words stand in their box");
}

#[test]
fn an_answered_question_offers_no_decision() {
    for (index, text) in [
        (5, "it was used once"),
        (6, "You denied this"),
        (7, "Nobody answered"),
        (8, "took this back"),
    ] {
        let html = page(index);
        assert!(html.contains(text), "{text}");
        assert!(!html.contains("name=\"decision\""));
        assert!(!html.contains("<progress"));
    }
    assert!(page(5).contains("Firefox on Linux, 203.0.113.7"));
}

#[test]
fn every_kind_of_question_names_what_it_is_about() {
    for (index, texts) in [
        (1, ["Allow create:gist", "https://gist-api.example/"]),
        (2, ["Payment initiation", "DE02100100109307118603"]),
        (4, ["Invite guests", "a@example.com"]),
    ] {
        let html = page(index);
        for text in texts {
            assert!(html.contains(text), "{text}");
        }
    }
}
