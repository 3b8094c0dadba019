//! Every page with its sample content: rendered the same each time, and built as LOOK and the
//! content security policy want it.

use std::collections::BTreeSet;

/// Each opening tag of a page, without its brackets.
fn tags(page: &str) -> impl Iterator<Item = &str> {
    page.split('<').skip(1).filter_map(|rest| {
        let tag = rest.split('>').next()?;
        (!tag.starts_with(['/', '!'])).then_some(tag)
    })
}

fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

fn name_of(tag: &str) -> &str {
    tag.split([' ', '\n', '/']).next().unwrap_or_default()
}

/// Names of a tag's attributes.
fn attributes(tag: &str) -> Vec<&str> {
    // What stands in quotes is content.
    let outside = tag.split('"').step_by(2);
    let words = outside.flat_map(str::split_whitespace).skip(1);
    words.map(|word| word.trim_end_matches(['=', '/'])).filter(|word| !word.is_empty()).collect()
}

#[test]
fn pages_are_rendered_the_same_each_time() {
    let (first, second) = (behalf_console::samples(), behalf_console::samples());
    assert!(first.len() > 15, "{}", first.len());
    assert_eq!(first, second);
    let names: BTreeSet<&String> = first.iter().map(|(name, _)| name).collect();
    assert_eq!(names.len(), first.len(), "each has a name of its own");
}

#[test]
fn pages_have_a_language_a_title_and_one_heading_of_the_first_rank() {
    for (name, page) in behalf_console::samples() {
        assert!(page.starts_with("<!doctype html>"), "{name}: {page}");
        assert!(page.contains("<html lang=\"en\""), "{name}");
        assert!(page.contains("name=\"viewport\""), "{name}");
        let title = page.split("<title>").nth(1).and_then(|rest| rest.split("</title>").next());
        let title = title.unwrap_or_default();
        assert!(title.ends_with(" · Behalf") && !title.starts_with(' '), "{name}: {title}");
        assert_eq!(tags(&page).filter(|tag| name_of(tag) == "h1").count(), 1, "{name}");
        assert_eq!(tags(&page).filter(|tag| name_of(tag) == "main").count(), 1, "{name}");
    }
}

#[test]
fn pages_carry_nothing_inline() {
    for (name, page) in behalf_console::samples() {
        for tag in tags(&page) {
            assert_ne!(name_of(tag), "style", "{name}: <{tag}>");
            for attribute in attributes(tag) {
                assert_ne!(attribute, "style", "{name}: <{tag}>");
                assert!(!attribute.starts_with("on"), "{name}: <{tag}>");
            }
            if name_of(tag) == "script" {
                let source = attribute(tag, "src").unwrap_or_default();
                assert!(source.starts_with("/assets/"), "{name}: <{tag}>");
            }
            for link in ["href", "src", "action"] {
                let address = attribute(tag, link).unwrap_or_default();
                assert!(!address.starts_with("javascript:"), "{name}: <{tag}>");
            }
        }
        for script in page.split("<script").skip(1) {
            let inside = script.split('>').nth(1).unwrap_or_default();
            assert_eq!(inside.split("</script").next().unwrap_or_default(), "", "{name}");
        }
        assert!(page.len() < 60_000, "{name} has {} bytes", page.len());
    }
}

#[test]
fn fields_have_labels_and_forms_their_token() {
    for (name, page) in behalf_console::samples() {
        let labels: BTreeSet<&str> = tags(&page)
            .filter(|tag| name_of(tag) == "label")
            .filter_map(|tag| attribute(tag, "for"))
            .collect();
        for tag in tags(&page) {
            let is_field = matches!(name_of(tag), "input" | "select" | "textarea");
            let kind = attribute(tag, "type").unwrap_or("text");
            if !is_field || matches!(kind, "hidden" | "submit") {
                continue;
            }
            let is_labelled = attribute(tag, "id").is_some_and(|id| labels.contains(id))
                || attribute(tag, "aria-label").is_some_and(|label| !label.is_empty())
                || matches!(kind, "checkbox" | "radio");
            assert!(is_labelled, "{name}: <{tag}>");
        }
        for form in page.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap_or_default();
            if form.starts_with(" method=\"post\"") {
                assert!(form.contains("name=\"csrf_token\""), "{name}: {form}");
            }
        }
    }
}

#[test]
fn ids_are_unique_and_what_is_referred_to_is_there() {
    for (name, page) in behalf_console::samples() {
        let mut ids = BTreeSet::new();
        for id in tags(&page).filter_map(|tag| attribute(tag, "id")) {
            assert!(ids.insert(id), "{name}: id {id} stands twice");
        }
        for tag in tags(&page) {
            if name_of(tag) == "use" {
                let symbol = attribute(tag, "href").unwrap_or_default();
                let is_there = symbol.strip_prefix('#').is_some_and(|id| ids.contains(id));
                assert!(is_there, "{name}: no icon {symbol}");
            }
            for reference in ["aria-labelledby", "aria-describedby", "for"] {
                let Some(targets) = attribute(tag, reference) else { continue };
                for target in targets.split_whitespace() {
                    assert!(ids.contains(target), "{name}: <{tag}> refers to no {target}");
                }
            }
            if name_of(tag) == "svg" {
                let is_named = attribute(tag, "aria-hidden") == Some("true")
                    || attribute(tag, "aria-labelledby").is_some()
                    || attribute(tag, "aria-label").is_some();
                assert!(is_named, "{name}: <{tag}> has neither a name nor is hidden");
            }
        }
    }
}

#[test]
fn content_is_escaped() {
    // Samples hold text that would be markup.
    let pages = behalf_console::samples();
    let hostile = ["<script>alert", "<i>hi", "\"alf\""];
    for (name, page) in &pages {
        assert!(hostile.iter().all(|text| !page.contains(text)), "{name}");
    }
    assert!(pages.iter().any(|(_, page)| page.contains("&#60;script&#62;alert")));
}
