//! What was said in a span, as a page shows it: messages, arguments, results.

use serde_json::Value;

/// The longest text that a page shows of one message.
const TEXT_MAX: usize = 20_000;

/// A message, or another piece of what went in or came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    /// Who said it, or what it is.
    pub(crate) who: String,
    /// What was said.
    pub(crate) text: String,
    /// True if it is data, not prose.
    pub(crate) is_code: bool,
}

/// The messages of a value, or the value itself under the name `what`.
pub(crate) fn said(what: &str, value: &Value) -> Vec<Said> {
    let messages = match value {
        Value::Array(items) if items.iter().all(is_message) => items.iter().map(message).collect(),
        Value::String(text) => {
            vec![Said { who: what.to_owned(), text: text.clone(), is_code: false }]
        }
        Value::Null => Vec::new(),
        other => vec![Said { who: what.to_owned(), text: pretty(other), is_code: true }],
    };
    messages.into_iter().map(shortened).collect()
}

fn is_message(item: &Value) -> bool {
    item.get("role").is_some_and(Value::is_string)
}

fn message(item: &Value) -> Said {
    let role = item.get("role").and_then(Value::as_str).unwrap_or_default();
    let mut parts = Vec::new();
    for name in ["content", "parts"] {
        match item.get(name) {
            Some(Value::String(text)) if !text.is_empty() => parts.push(text.clone()),
            Some(Value::Array(items)) => parts.extend(items.iter().map(part)),
            Some(Value::Object(_)) => parts.extend(item.get(name).map(pretty)),
            _ => {}
        }
    }
    if let Some(Value::Array(calls)) = item.get("tool_calls") {
        parts.extend(calls.iter().map(call));
    }
    let is_code = role == "tool";
    Said { who: role.to_owned(), text: parts.join("\n\n"), is_code }
}

fn part(part: &Value) -> String {
    let text = |name| part.get(name).and_then(Value::as_str).map(str::to_owned);
    match part {
        Value::String(text) => text.clone(),
        part if part.get("type").and_then(Value::as_str) == Some("tool_call") => call(part),
        part => text("text").or_else(|| text("content")).unwrap_or_else(|| pretty(part)),
    }
}

/// A call that a model asked for, in the form of OpenTelemetry or of chat completions.
fn call(call: &Value) -> String {
    let inner = call.get("function").unwrap_or(call);
    let name = inner.get("name").and_then(Value::as_str).unwrap_or("a tool");
    let arguments = match inner.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(value) => pretty(value),
        None => String::new(),
    };
    format!("calls {name} {arguments}").trim_end().to_owned()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn shortened(mut said: Said) -> Said {
    if said.text.chars().count() > TEXT_MAX {
        said.text = said.text.chars().take(TEXT_MAX).chain("… (shortened)".chars()).collect();
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(value: &Value, expected: &[(&str, &str)]) {
        let said = said("Input", value);
        let found = said.iter().map(|said| (said.who.as_str(), said.text.as_str()));
        assert_eq!(found.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn messages_of_every_form_are_read() {
        check(&json!([{"role": "user", "content": "hello"}]), &[("user", "hello")]);
        check(
            &json!([{"role": "user", "parts": [{"type": "text", "content": "a"}, {"text": "b"}]}]),
            &[("user", "a\n\nb")],
        );
        check(
            &json!([{"role": "assistant", "content": null, "tool_calls":
                [{"function": {"name": "f", "arguments": "{\"q\":1}"}}, {"name": "g"}]}]),
            &[("assistant", "calls f {\"q\":1}\n\ncalls g")],
        );
        check(&json!("plain"), &[("Input", "plain")]);
        check(&json!({"a": 1}), &[("Input", "{\n  \"a\": 1\n}")]);
        check(&Value::Null, &[]);
    }
}
