//! Who asks, how far she sees, and what of a span she sees.

use std::sync::LazyLock;

use behalf_core::UserId;
use regex::Regex;
use serde_json::{Map, Value};

/// How much of what was said she sees in traces that are not her own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ContentRight {
    /// Nothing: names, times, tokens, cost and decisions only.
    Withheld,
    /// With what names people taken out.
    Masked,
    /// All of it.
    Full,
}

impl ContentRight {
    /// The right as answers carry it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Withheld => "withheld",
            Self::Masked => "masked",
            Self::Full => "full",
        }
    }
}

/// Who asks, made from a verified token or session.
#[derive(Clone, Debug)]
pub struct Reader {
    /// Who she is; nobody, when a machine asks for itself.
    pub user_id: Option<UserId>,
    /// True if a role of hers lets her see everybody's traces.
    pub sees_all: bool,
    /// What she sees of what was said in those.
    pub content: ContentRight,
}

impl Reader {
    /// The one owner whose traces she sees; `""` when she sees all, `None` when she sees none.
    pub(crate) fn only_owner(&self) -> Option<&str> {
        if self.sees_all { Some("") } else { self.user_id.as_ref().map(UserId::as_str) }
    }

    /// What she sees of what was said in a trace of that owner.
    pub(crate) fn content_of(&self, owner: &str) -> ContentRight {
        let is_own = self.user_id.as_ref().is_some_and(|user_id| user_id.as_str() == owner);
        match self.sees_all {
            _ if is_own => ContentRight::Full,
            true => self.content,
            false => ContentRight::Withheld,
        }
    }
}

/// Attributes that say nothing of what was said. Whatever is not among them may.
const METADATA: &[&str] = &[
    "gen_ai.operation.name",
    "gen_ai.provider.name",
    "gen_ai.system",
    "gen_ai.conversation.id",
    "gen_ai.output.type",
    "gen_ai.data_source.id",
    "gen_ai.tool.name",
    "gen_ai.tool.type",
    "gen_ai.tool.call.id",
    "gen_ai.response.id",
    "gen_ai.response.model",
    "gen_ai.response.finish_reasons",
    "gen_ai.request.model",
    "gen_ai.request.max_tokens",
    "gen_ai.request.temperature",
    "gen_ai.request.top_p",
    "gen_ai.request.stream",
    "gen_ai.request.seed",
    "error.type",
    "http.request.method",
    "http.response.status_code",
    "mcp.method.name",
    "server.address",
    "server.port",
    "openinference.span.kind",
    "llm.model_name",
    "llm.provider",
    "llm.system",
    "ai.operationId",
    "ai.model.id",
    "ai.model.provider",
    "ai.response.model",
    "ai.response.finishReason",
    "ai.toolCall.name",
    "ai.toolCall.id",
    "traceloop.span.kind",
    "langfuse.observation.type",
    "langfuse.observation.model.name",
    "langfuse.observation.usage_details",
];

/// Beginnings of such attributes' names.
const METADATA_PREFIXES: &[&str] = &[
    "behalf.",
    "gen_ai.usage.",
    "gen_ai.agent.id",
    "gen_ai.agent.name",
    "llm.token_count.",
    "ai.usage.",
    "service.",
];

/// What she sees of a span's attributes.
pub(crate) fn visible(
    mut attributes: Map<String, Value>,
    right: ContentRight,
) -> Map<String, Value> {
    match right {
        ContentRight::Full => attributes,
        ContentRight::Masked => {
            for (name, value) in &mut attributes {
                if !is_metadata(name) {
                    mask(value);
                }
            }
            attributes
        }
        ContentRight::Withheld => {
            attributes.retain(|name, _| is_metadata(name));
            attributes
        }
    }
}

fn is_metadata(name: &str) -> bool {
    METADATA.contains(&name) || METADATA_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What names people: mail addresses, bank accounts, card and telephone numbers.
static PERSONAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let patterns = [
        r"[A-Za-z0-9._%+\-]+@[A-Za-z0-9.\-]+\.[A-Za-z]{2,}",
        r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        r"\b(?:[0-9][ \-]?){13,19}\b",
        r"\+?[0-9][0-9 ()/\-]{7,}[0-9]",
    ];
    Regex::new(&patterns.join("|")).ok()
});

fn mask(value: &mut Value) {
    match value {
        Value::String(text) => {
            *text = match &*PERSONAL {
                Some(personal) => personal.replace_all(text, "[masked]").into_owned(),
                None => "[masked]".to_owned(),
            };
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        Value::Object(members) => members.values_mut().for_each(mask),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(attributes: Value, right: ContentRight) -> Value {
        let Value::Object(members) = attributes else { unreachable!("an object") };
        Value::Object(visible(members, right))
    }

    #[test]
    fn what_was_said_is_withheld_masked_or_shown() {
        let attributes = json!({
            "behalf.outcome": "allowed",
            "gen_ai.usage.input_tokens": 7,
            "gen_ai.input.messages": [{"content": "write to ann@example.com, +49 30 901820"}],
            "unheard.of": "call 0301234567",
        });
        assert_eq!(shown(attributes.clone(), ContentRight::Full), attributes);
        assert_eq!(
            shown(attributes.clone(), ContentRight::Withheld),
            json!({"behalf.outcome": "allowed", "gen_ai.usage.input_tokens": 7})
        );
        let masked = shown(attributes, ContentRight::Masked);
        assert_eq!(masked["gen_ai.input.messages"][0]["content"], "write to [masked], [masked]");
        assert_eq!(masked["unheard.of"], "call [masked]");
        assert_eq!(masked["behalf.outcome"], "allowed");
    }

    #[test]
    fn ones_own_is_shown_and_others_by_right_alone() {
        let ann = Reader {
            user_id: "auth0|ann".parse().ok(),
            sees_all: false,
            content: ContentRight::Full,
        };
        assert_eq!(ann.content_of("auth0|ann"), ContentRight::Full);
        assert_eq!(ann.content_of("auth0|pat"), ContentRight::Withheld);
        assert_eq!(ann.content_of(""), ContentRight::Withheld);
        let machine = Reader { user_id: None, sees_all: false, content: ContentRight::Withheld };
        assert_eq!(machine.only_owner(), None);
        assert_eq!(machine.content_of(""), ContentRight::Withheld);
    }
}
