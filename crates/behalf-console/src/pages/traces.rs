//! The runs of agents: a list, and one as a waterfall.

pub(crate) mod list;
mod path;
mod said;
pub(crate) mod show;

use std::collections::BTreeMap;

use behalf_core::Timestamp;
use behalf_http::HttpContext;
use behalf_store::StoreError;
use behalf_traces::TraceSummary;

use crate::figures;
use crate::pages::tool_title;
use crate::time::Shown;

/// A run in a list.
#[derive(Clone, Debug)]
pub(crate) struct TraceRow {
    pub(crate) trace_id: String,
    pub(crate) name: String,
    pub(crate) tools: String,
    pub(crate) person: String,
    pub(crate) state: (&'static str, &'static str, &'static str),
    pub(crate) started: Shown,
    pub(crate) duration: String,
    pub(crate) tokens: String,
    pub(crate) cost: String,
}

impl TraceRow {
    pub(crate) fn new(
        trace: &TraceSummary,
        people: &BTreeMap<String, String>,
        now: Timestamp,
    ) -> Self {
        let tokens = trace.input_tokens + trace.output_tokens;
        Self {
            trace_id: trace.trace_id.clone(),
            name: headline(trace),
            tools: trace.tools.join(", "),
            person: people.get(&trace.owner).unwrap_or(&trace.owner).clone(),
            state: state_words(&trace.status),
            started: Shown::new(trace.started_at, now),
            duration: figures::duration(trace.duration()),
            tokens: if tokens == 0 { "–".to_owned() } else { figures::count(tokens) },
            cost: figures::cost(trace.cost),
        }
    }
}

/// What a run is called: what it did. Only a run that names no agent's turn keeps its own name.
fn headline(trace: &TraceSummary) -> String {
    if trace.tools.is_empty() || !trace.name.starts_with("invoke_agent ") {
        return trace.name.clone();
    }
    let titles: Vec<&str> = trace.tools.iter().map(|tool| tool_title(tool)).collect();
    titles.join(", ")
}

/// A run's state: colour, icon, words.
pub(crate) fn state_words(status: &str) -> (&'static str, &'static str, &'static str) {
    match status {
        "ok" => ("ok", "check", "done"),
        "error" => ("danger", "close", "failed"),
        "waiting" => ("wait", "wait", "waiting"),
        _ => ("info", "clock", "running"),
    }
}

/// What the owners of those runs are called.
pub(crate) async fn people(
    context: &HttpContext,
    traces: &[TraceSummary],
) -> Result<BTreeMap<String, String>, StoreError> {
    let mut people = BTreeMap::new();
    for trace in traces {
        if trace.owner.is_empty() || people.contains_key(&trace.owner) {
            continue;
        }
        let Ok(user_id) = trace.owner.parse() else { continue };
        if let Some(user) = context.identity.find_user(&user_id).await? {
            people.insert(trace.owner.clone(), user.display_name().to_owned());
        }
    }
    Ok(people)
}
