//! The few words that a script takes from what was asked and from what a tool brought.
//!
//! `{{asked}}` the question, `{{keywords}}` its words that matter, `{{title}}` and `{{body}}` what
//! stands in quotes, `{{last_tool_output}}` the output as it came, `{{list}}` its repositories or
//! passages as a list, `{{url}}` and `{{reason}}` its members.

use serde_json::Value;

/// Fills a text's placeholders.
pub(super) fn fill(text: &str, asked: &str, output: &str) -> String {
    let value: Value = serde_json::from_str(output).unwrap_or_default();
    let member = |name: &str| {
        value.get(name).and_then(Value::as_str).unwrap_or("nothing more is known.").to_owned()
    };
    replace(text, |name| match name {
        "last_tool_output" => Some(output.to_owned()),
        "list" => Some(list(&value)),
        "url" => Some(member("url")),
        "reason" => Some(member("reason")),
        other => of_question(other, asked),
    })
}

/// Fills the placeholders of a JSON text.
pub(super) fn fill_json(text: &str, asked: &str) -> String {
    replace(text, |name| {
        let quoted = Value::from(of_question(name, asked)?).to_string();
        // Placeholders stand inside of strings.
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        Some(inner.to_owned())
    })
}

fn of_question(name: &str, asked: &str) -> Option<String> {
    match name {
        "asked" => Some(asked.to_owned()),
        "keywords" => Some(keywords(asked)),
        "title" => Some(quoted(asked).into_iter().next().unwrap_or_else(|| "A note".to_owned())),
        "body" => Some(quoted(asked).into_iter().next_back().unwrap_or_else(|| asked.to_owned())),
        _ => None,
    }
}

fn replace(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        match after.split_once("}}").and_then(|(name, tail)| Some((value(name)?, tail))) {
            Some((value, tail)) => {
                out.push_str(&value);
                rest = tail;
            }
            None => {
                out.push_str("{{");
                rest = after;
            }
        }
    }
    out + rest
}

/// What stands between quotation marks, in order.
fn quoted(text: &str) -> Vec<String> {
    let text = text.replace(['“', '”', '„'], "\"");
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The words that a search engine can use.
fn keywords(text: &str) -> String {
    const NOISE: [&str; 32] = [
        "a",
        "about",
        "an",
        "and",
        "are",
        "can",
        "find",
        "for",
        "from",
        "get",
        "github",
        "give",
        "in",
        "is",
        "list",
        "me",
        "most",
        "of",
        "on",
        "please",
        "popular",
        "repos",
        "repositories",
        "repository",
        "search",
        "show",
        "some",
        "the",
        "to",
        "what",
        "which",
        "you",
    ];
    let trimmed = |word: &str| {
        word.trim_matches(|c: char| !c.is_alphanumeric())
            .to_lowercase()
            .replace("next.js", "nextjs")
    };
    let words = text.split_whitespace().map(trimmed);
    let words: Vec<String> =
        words.filter(|word| !word.is_empty() && !NOISE.contains(&word.as_str())).collect();
    if words.is_empty() { "nextjs ai".to_owned() } else { words.join(" ") }
}

fn list(output: &Value) -> String {
    let text = |item: &Value, name: &str| {
        item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let items =
        |name: &str| output.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let repositories = items("repositories").into_iter().map(|item| {
        let stars = item.get("stars").and_then(Value::as_u64).unwrap_or_default();
        let about = text(&item, "description");
        format!("- **{}** ({stars} stars): {about} {}", text(&item, "name"), text(&item, "url"))
    });
    // The best three: more is not read.
    let passages = items("results").into_iter().filter(Value::is_object).take(3).map(|item| {
        let passage = text(&item, "text").split_whitespace().collect::<Vec<_>>().join(" ");
        format!("- **{}**: {passage}", text(&item, "title"))
    });
    repositories.chain(passages).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_and_foreign_ones_stay() {
        let asked = "Publish a Gist “My \\ title” with the text \"two\nlines\"";
        assert_eq!(
            fill("{{title}}|{{body}}|{{x}}|{{", asked, ""),
            "My \\ title|two\nlines|{{x}}|{{"
        );
        let filled = fill_json(r#"{"content":"{{body}}","title":"{{title}}"}"#, asked);
        let filled: Value = serde_json::from_str(&filled).unwrap();
        assert_eq!(filled["content"], "two\nlines");
        assert_eq!(
            fill("{{keywords}}", "Show me popular Next.js repositories about AI.", ""),
            "nextjs ai"
        );
    }

    #[test]
    fn lists_name_what_was_found() {
        let output =
            r#"{"repositories":[{"name":"a/b","stars":7,"description":"C","url":"https://d"}]}"#;
        assert_eq!(fill("{{list}}", "", output), "- **a/b** (7 stars): C https://d");
        let output = r#"{"results":[{"title":"T","text":"x\n y"},"[removed: access withdrawn]"]}"#;
        assert_eq!(fill("{{list}}", "", output), "- **T**: x y");
    }
}
