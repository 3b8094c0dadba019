//! `searchInternalDocuments {question}`: passages that the person may read, and no others.

use behalf_core::Actor;
use behalf_gate::{BUILT_IN_SERVER, Effect, ResourceRule, Started, ToolSpec};
use behalf_retrieval::{Reader, Retrieval, RetrievalError};
use serde_json::{Map, Value, json};

use super::{Worked, text};

/// How many passages an answer holds.
const COUNT: usize = 5;

pub(super) fn spec() -> ToolSpec {
    ToolSpec {
        server: BUILT_IN_SERVER.to_owned(),
        name: "searchInternalDocuments".to_owned(),
        title: "Search internal documents".to_owned(),
        description: "Searches the organisation's internal documents and returns passages that \
                      the person may read."
            .to_owned(),
        connection: None,
        approval: None,
        resource: ResourceRule::Filtered,
    }
}

pub(super) fn schema() -> Value {
    json!({"type": "object", "additionalProperties": false, "required": ["question"],
        "properties": {"question": {"type": "string", "minLength": 1, "maxLength": 500,
                       "description": "What to look for"}}})
}

pub(super) async fn run(retrieval: &Retrieval, started: &Started) -> Worked {
    let reader = Reader {
        user_id: started.mandate.subject().clone(),
        actor: Actor::Client {
            client_id: started.mandate.agent().to_string(),
            sub: Some(started.mandate.subject().to_string()),
        },
    };
    match retrieval.search(&reader, text(&started.arguments, "question"), COUNT).await {
        Ok(found) => {
            let results = found.results.iter().map(|passage| {
                json!({"document_id": passage.document_id, "chunk_id": passage.chunk_id,
                       "title": passage.title, "text": passage.text})
            });
            let results: Vec<_> = results.collect();
            let mut facts = Map::new();
            facts.insert("behalf.record.id".into(), found.record_id.into());
            facts.insert("behalf.fga.revision".into(), found.decided_at.revision.into());
            facts.insert("behalf.retrieval.count".into(), results.len().into());
            Worked { effect: Effect::Done { result: json!({"results": results}) }, facts }
        }
        Err(error) => {
            let reason = match &error {
                RetrievalError::EmptyQuery => "The question is empty.",
                RetrievalError::QueryTooLong(_) => "The question is too long.",
                _ => {
                    tracing::warn!(%error, "documents could not be searched");
                    "The documents cannot be searched right now."
                }
            };
            Effect::NotDone { reason: reason.to_owned() }.into()
        }
    }
}
