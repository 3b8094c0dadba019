//! What a question is about, in words for a person: a template per tool and per type of
//! authorization details. Facts come from what will be sent, never from what the agent says.

pub(super) mod samples;

use behalf_core::counted;
use behalf_gate::{Approval, Revealed, effect_mark, reveal};
use serde_json::{Map, Value};

/// Lines of a text that are shown at once; the rest is a click away.
const PREVIEW_LINES: usize = 20;
/// Characters of them.
const PREVIEW_CHARS: usize = 2_000;

/// What the mark that ends a Gist's title is called, wherever it is shown.
pub(crate) const MARK_LABEL: &str = "Ends the title";

/// A fact: what it is called, and what it is.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    pub(crate) label: String,
    pub(crate) value: String,
    pub(crate) is_code: bool,
    /// Said in a badge, because it matters most.
    pub(crate) is_loud: bool,
}

/// A text that will be sent.
#[derive(Clone, Debug)]
pub(crate) struct Preview {
    pub(crate) label: String,
    pub(crate) size: String,
    pub(crate) head: String,
    /// All of it, when the head is not.
    pub(crate) all: Option<String>,
}

/// Everything that will be done, and how to name it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// What is asked, e.g. "Create a public Gist".
    pub(crate) title: String,
    /// One line of it, for lists.
    pub(crate) about: String,
    /// What the buttons name, e.g. "Gist".
    pub(crate) noun: &'static str,
    pub(crate) facts: Vec<Fact>,
    pub(crate) previews: Vec<Preview>,
    /// What she should know before she approves.
    pub(crate) consequence: Option<&'static str>,
    /// What is added to what was asked, and why.
    pub(crate) note: Option<&'static str>,
    /// Characters that cannot be seen; they are spelled out.
    pub(crate) hidden: usize,
    pub(crate) mixes_alphabets: bool,
}

impl Facts {
    pub(crate) fn of(approval: &Approval, destination: Option<String>) -> Self {
        let question = &approval.question;
        match (&question.tool, &question.arguments, &question.authorization_details) {
            (Some(tool), Some(arguments), _) if tool == "createPublicGist" => {
                let mark = approval.call_id.as_deref().map(effect_mark);
                gist("Create a public Gist", arguments, mark, destination)
            }
            (Some(tool), arguments, _) => {
                let title = question.tool_title.clone().unwrap_or_else(|| tool.clone());
                other_tool(title, tool, arguments.as_ref(), destination)
            }
            (None, _, Some(Value::Array(details))) if !details.is_empty() => {
                from_details(details, approval)
            }
            (None, ..) => from_scopes(approval),
        }
    }

    fn add(&mut self, label: &str, value: &str) {
        let value = self.revealed(value);
        self.facts.push(Fact { label: label.to_owned(), value, is_code: false, is_loud: false });
    }

    fn add_code(&mut self, label: &str, value: &str) {
        let value = self.revealed(value);
        self.facts.push(Fact { label: label.to_owned(), value, is_code: true, is_loud: false });
    }

    fn add_loud(&mut self, label: &str, value: &str) {
        let value = value.to_owned();
        self.facts.push(Fact { label: label.to_owned(), value, is_code: false, is_loud: true });
    }

    fn add_text(&mut self, label: &str, text: &str) {
        let lines = counted(text.lines().count().max(1), "line", "lines");
        let bytes = counted(text.len(), "byte", "bytes");
        let text = self.revealed(text);
        let head: Vec<&str> = text.lines().take(PREVIEW_LINES).collect();
        let head: String = head.join("\n").chars().take(PREVIEW_CHARS).collect();
        let is_whole = head.len() >= text.trim_end_matches('\n').len();
        self.previews.push(Preview {
            label: label.to_owned(),
            size: format!("{lines}, {bytes}"),
            head,
            all: (!is_whole).then_some(text),
        });
    }

    /// A member of something unknown: short text as a fact, long text as a preview, the rest as
    /// JSON.
    fn add_member(&mut self, name: &str, value: &Value) {
        match value {
            Value::String(text) if text.contains('\n') || text.chars().count() > 200 => {
                self.add_text(name, text);
            }
            Value::String(text) => self.add(name, text),
            Value::Array(_) | Value::Object(_) => {
                let text = serde_json::to_string_pretty(value).unwrap_or_default();
                self.add_text(name, &text);
            }
            other => self.add_code(name, &other.to_string()),
        }
    }

    fn revealed(&mut self, text: &str) -> String {
        let Revealed { text, hidden, mixes_alphabets } = reveal(text);
        self.hidden = self.hidden.saturating_add(hidden);
        self.mixes_alphabets |= mixes_alphabets;
        text
    }
}

/// A Gist, by the tool or by details of that type.
fn gist(
    title: &str,
    members: &Map<String, Value>,
    mark: Option<String>,
    destination: Option<String>,
) -> Facts {
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let mut facts = Facts {
        title: title.to_owned(),
        about: line(text("description").or_else(|| text("title")).unwrap_or_default()),
        noun: "Gist",
        consequence: Some("Everybody on the internet can read a public Gist."),
        ..Facts::default()
    };
    facts.add_loud("Visibility", "PUBLIC");
    let mut rest = members.clone();
    for (name, label) in [("description", "Title"), ("title", "Title")] {
        if let Some(Value::String(text)) = rest.get(name).cloned() {
            rest.remove(name);
            facts.add(label, &text);
        }
    }
    if let Some(mark) = mark {
        facts.add_code(MARK_LABEL, &mark);
        facts.note = Some(
            "Behalf puts its mark at the end of the title, so that this Gist can be found again and \
             is never sent twice.",
        );
    }
    let file = ["filename", "file_name"].into_iter().find_map(|name| match rest.get(name) {
        Some(Value::String(text)) => Some((name, text.clone())),
        _ => None,
    });
    if let Some((name, file)) = file {
        rest.remove(name);
        facts.add_code("File", &file);
    }
    if let Some(destination) = destination {
        facts.add("Goes to", &destination);
    }
    if let Some(Value::String(text)) = rest.remove("content") {
        facts.add_text("Content", &text);
    }
    // Whatever else is sent is shown too: nothing is approved unseen.
    for (name, value) in &rest {
        if name != "type" {
            facts.add_member(name, value);
        }
    }
    facts
}

fn other_tool(
    title: String,
    tool: &str,
    arguments: Option<&Map<String, Value>>,
    destination: Option<String>,
) -> Facts {
    let mut facts = Facts { about: line(tool), title, noun: "request", ..Facts::default() };
    facts.add_code("Tool", tool);
    if let Some(destination) = destination {
        facts.add("Goes to", &destination);
    }
    for (name, value) in arguments.into_iter().flatten() {
        facts.add_member(name, value);
    }
    facts
}

/// Rich authorization details: each entry by its type (RFC 9396 §2).
fn from_details(details: &[Value], approval: &Approval) -> Facts {
    let kind =
        |detail: &Value| detail.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let [Value::Object(members)] = details
        && matches!(kind(&Value::Object(members.clone())).as_str(), "gist" | "create_gist")
        && members.get("visibility").and_then(Value::as_str).is_none_or(|text| text == "public")
    {
        let mut facts = gist("Create a public Gist", members, None, None);
        add_access(&mut facts, approval);
        return facts;
    }
    let mut facts = Facts { noun: "request", ..Facts::default() };
    (facts.title, facts.about) = match details {
        [only] => {
            let named = ["title", "name", "description"];
            let about = named.iter().find_map(|name| only.get(name).and_then(Value::as_str));
            (line(&in_words(&kind(only))), line(about.unwrap_or_default()))
        }
        many => {
            let kinds: Vec<String> = many.iter().map(kind).collect();
            (format!("{} requests at once", many.len()), line(&kinds.join(", ")))
        }
    };
    for detail in details {
        facts.add_code("Type", &kind(detail));
        for (name, value) in detail.as_object().into_iter().flatten() {
            if name != "type" {
                facts.add_member(&in_words(name), value);
            }
        }
    }
    add_access(&mut facts, approval);
    facts
}

/// An identifier as the beginning of a sentence: `release_notes` is "Release notes".
fn in_words(name: &str) -> String {
    let words = name.replace(['_', '-'], " ");
    let mut rest = words.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// Nothing but scopes.
fn from_scopes(approval: &Approval) -> Facts {
    let asked = own_scopes(approval);
    let title = match asked.as_slice() {
        [] => "Sign in to an application".to_owned(),
        [only] => format!("Allow {only}"),
        many => format!("Allow {} permissions", many.len()),
    };
    let about = line(&asked.join(", "));
    let mut facts = Facts { title, about, noun: "request", ..Facts::default() };
    add_access(&mut facts, approval);
    facts
}

fn add_access(facts: &mut Facts, approval: &Approval) {
    let asked = own_scopes(approval);
    if !asked.is_empty() {
        facts.add_code("Permission", &asked.join(", "));
    }
    if let Some(audience) = &approval.question.audience {
        facts.add_code("At", audience);
    }
}

/// The scopes beside OpenID Connect's own.
fn own_scopes(approval: &Approval) -> Vec<String> {
    let is_own = |scope: &&String| !behalf_identity::Scopes::is_openid(scope);
    approval.question.scopes.iter().filter(is_own).cloned().collect()
}

/// The text on one line, cut.
fn line(text: &str) -> String {
    let text = reveal(text).text.replace(['\n', '\t'], " ");
    if text.chars().count() <= 100 {
        return text;
    }
    let head: String = text.chars().take(99).collect();
    format!("{head}…")
}
