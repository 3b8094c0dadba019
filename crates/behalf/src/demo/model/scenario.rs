//! The script: when the last message looks like this, say that.

use std::time::Duration;

use serde_json::{Value, json};

use super::words;

/// When a rule applies. What is not set does not matter.
#[derive(Clone, Debug, Default)]
pub struct When {
    /// The role of the last message: `user` or `tool`.
    pub last_role: Option<&'static str>,
    /// One of these stands in the last message, in whatever case.
    pub contains: Vec<&'static str>,
    /// The tool whose output the last message is.
    pub name: Option<&'static str>,
}

/// What the model does. In texts and arguments `{{…}}` is replaced, see the module `words`.
#[derive(Clone, Debug)]
pub enum Emit {
    /// It says this, word by word.
    Text(String),
    /// It says this letter by letter, this far apart.
    Drip {
        /// What it says.
        text: String,
        /// How far apart.
        every: Duration,
    },
    /// It wants a tool called, with arguments that need not be JSON.
    Call {
        /// The call's id; `None`: one that counts up, and so repeats in every answer.
        id: Option<String>,
        /// The tool.
        name: String,
        /// The arguments.
        arguments: String,
    },
    /// The connection breaks.
    BreakOff,
    /// It answers with this status instead.
    Status(u16),
    /// It answers with a page instead of a stream.
    Page(String),
}

impl Emit {
    /// A call with these arguments.
    pub fn call(name: &str, arguments: &Value) -> Self {
        Self::Call { id: None, name: name.to_owned(), arguments: arguments.to_string() }
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// When this, then that.
#[derive(Clone, Debug)]
pub struct Rule {
    /// When.
    pub when: When,
    /// What.
    pub emit: Vec<Emit>,
}

impl Rule {
    /// A rule for what a person wrote.
    pub fn asked(contains: &[&'static str], emit: Vec<Emit>) -> Self {
        let when = When { last_role: Some("user"), contains: contains.to_vec(), ..When::default() };
        Self { when, emit }
    }

    /// A rule for what a tool brought.
    pub fn after(name: &'static str, contains: &[&'static str], emit: Vec<Emit>) -> Self {
        let when = When { last_role: Some("tool"), contains: contains.to_vec(), name: Some(name) };
        Self { when, emit }
    }

    /// A rule that always applies.
    pub fn always(emit: Vec<Emit>) -> Self {
        Self { when: When::default(), emit }
    }
}

/// What the first rule that applies emits, with its placeholders filled.
pub(super) fn choose(script: &[Rule], body: &Value) -> Vec<Emit> {
    let messages = body.get("messages").and_then(Value::as_array).map(Vec::as_slice);
    let messages = messages.unwrap_or_default();
    let last = messages.last();
    let role = last.and_then(|last| last.get("role")).and_then(Value::as_str).unwrap_or_default();
    let content = last.and_then(|last| last.get("content")).and_then(Value::as_str);
    let content = content.unwrap_or_default();
    let name = last.and_then(|last| tool_name(messages, last));
    let lower = content.to_lowercase();
    let rule = script.iter().find(|rule| {
        let When { last_role, contains, name: wanted } = &rule.when;
        last_role.is_none_or(|wanted| wanted == role)
            && (contains.is_empty() || contains.iter().any(|part| lower.contains(part)))
            && wanted.is_none_or(|wanted| Some(wanted) == name)
    });
    let asked = messages.iter().rev().find(|message| message.get("role") == Some(&json!("user")));
    let asked = asked.and_then(|asked| asked.get("content")).and_then(Value::as_str);
    let fill = |text: &str| words::fill(text, asked.unwrap_or_default(), content);
    let Some(rule) = rule else {
        return vec![Emit::text("My script has no answer to this.")];
    };
    let filled = rule.emit.iter().map(|emit| match emit {
        Emit::Text(text) => Emit::Text(fill(text)),
        Emit::Call { id, name, arguments } => Emit::Call {
            id: id.clone(),
            name: name.clone(),
            arguments: words::fill_json(arguments, asked.unwrap_or_default()),
        },
        other => other.clone(),
    });
    filled.collect()
}

/// The tool whose call the message answers.
fn tool_name<'a>(messages: &'a [Value], last: &Value) -> Option<&'a str> {
    let id = last.get("tool_call_id")?;
    let calls = messages.iter().filter_map(|message| message.get("tool_calls")?.as_array());
    let call = calls.flatten().rev().find(|call| call.get("id") == Some(id))?;
    call.pointer("/function/name")?.as_str()
}

/// The script of the demo: the three questions of the journey, and what comes of them.
pub fn journey() -> Vec<Rule> {
    const REPOSITORIES: &str = "searchGitHubRepositories";
    const GIST: &str = "createPublicGist";
    const DOCUMENTS: &str = "searchInternalDocuments";
    let gist = json!({"description": "{{title}}", "content": "{{body}}", "filename": "note.md"});
    vec![
        Rule::after(
            REPOSITORIES,
            &["\"repositories\":[{"],
            vec![Emit::text("These are the most popular repositories that I found:\n\n{{list}}")],
        ),
        Rule::after(
            REPOSITORIES,
            &["\"repositories\":[]"],
            vec![Emit::text("GitHub knows no repository that fits. Try other words.")],
        ),
        Rule::after(
            GIST,
            &["\"status\":\"done\""],
            vec![Emit::text("The Gist is public: {{url}}")],
        ),
        Rule::after(
            DOCUMENTS,
            &["\"results\":[{"],
            vec![Emit::text("This is what the documents that you may read say:\n\n{{list}}")],
        ),
        Rule::after(
            DOCUMENTS,
            &["\"results\":[]"],
            vec![Emit::text("None of the documents that you may read says anything about this.")],
        ),
        Rule {
            when: When {
                last_role: Some("tool"),
                contains: vec!["\"status\":\"denied\""],
                name: None,
            },
            emit: vec![Emit::text("That was denied, so nothing was done.")],
        },
        Rule {
            when: When {
                last_role: Some("tool"),
                contains: vec!["\"status\":\"expired\""],
                name: None,
            },
            emit: vec![Emit::text("Nobody answered in time, so nothing was done.")],
        },
        Rule {
            when: When {
                last_role: Some("tool"),
                contains: vec!["\"status\":\"unknown\""],
                name: None,
            },
            emit: vec![Emit::text("I cannot tell whether that was done. {{reason}}")],
        },
        Rule {
            when: When { last_role: Some("tool"), ..When::default() },
            emit: vec![Emit::text("That did not work: {{reason}}")],
        },
        Rule::asked(&["gist"], vec![Emit::call(GIST, &gist)]),
        Rule::asked(
            &["repositor", "github", "repos "],
            vec![Emit::call(REPOSITORIES, &json!({"query": "{{keywords}}"}))],
        ),
        Rule::asked(
            &["document", "internal", "polic", "handbook", "what do", "how many", "when "],
            vec![Emit::call(DOCUMENTS, &json!({"question": "{{asked}}"}))],
        ),
        Rule::always(vec![Emit::text(
            "I am a script, not a model. I can search GitHub for repositories, publish a Gist, and \
             look into the internal documents. Ask me for one of these.",
        )]),
    ]
}
