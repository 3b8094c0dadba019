//! Import: many documents under ids that the importer chose, and perhaps their owner's tuples, in
//! one unit of work.

use std::collections::BTreeMap;

use behalf_authz::AuthzError;
use behalf_authz::engine::{OnConflict, TupleKey, WriteRequest};
use behalf_core::Actor;
use behalf_identity::User;
use behalf_retrieval::{Document, Draft, InvalidDocument, NewDocument, check_document_id};
use serde::{Deserialize, Serialize};

use super::{ATTEMPTS, DocumentError, DocumentParts, OWNER, object};
use crate::readers::name_in;

/// Documents in one unit of work at most.
pub const MAX_IMPORT: usize = 64;

/// A document to import.
#[derive(Clone, Debug)]
pub struct ImportedDocument {
    /// Its id.
    pub document_id: String,
    /// The document.
    pub new: NewDocument,
}

/// What an import did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportOutcome {
    /// How many documents are new.
    pub created: usize,
    /// How many had another content or title before.
    pub replaced: usize,
    /// How many were there already, just so.
    pub unchanged: usize,
    /// Ids of documents that were refused, and why.
    pub refused: Vec<(String, String)>,
}

/// Imports documents, of which the owner, if one is given, becomes `owner`. Of an id that occurs
/// twice the last counts.
///
/// # Errors
/// When the owner has no name in the store, or something failed: then nothing was stored.
pub async fn import(
    parts: DocumentParts<'_>,
    batch: Vec<ImportedDocument>,
    owner: Option<&User>,
    actor: &Actor,
) -> Result<ImportOutcome, DocumentError> {
    let DocumentParts { authz, retrieval, .. } = parts;
    let store = parts.store().await?;
    let owner = match owner {
        Some(user) => Some(name_in(&store, user).ok_or(DocumentError::NoName)?),
        None => None,
    };
    let mut outcome = ImportOutcome::default();
    let mut drafts: BTreeMap<String, Draft> = BTreeMap::new();
    for item in batch.into_iter().take(MAX_IMPORT) {
        let draft = match check_document_id(&item.document_id) {
            Ok(()) => retrieval.draft(item.new).await?,
            Err(error) => Err::<Draft, InvalidDocument>(error),
        };
        match draft {
            Ok(draft) => {
                drafts.insert(item.document_id, draft);
            }
            Err(error) => outcome.refused.push((item.document_id, error.to_string())),
        }
    }
    let ids: Vec<&str> = drafts.keys().map(String::as_str).collect();
    let known = retrieval.list_any(&ids).await?;
    let known: BTreeMap<&str, &Document> =
        known.iter().map(|document| (document.document_id.as_str(), document)).collect();
    let changed: Vec<(&String, &Draft)> = drafts
        .iter()
        .filter(|(id, draft)| known.get(id.as_str()).is_none_or(|known| !draft.is(known)))
        .collect();
    outcome.unchanged = drafts.len().saturating_sub(changed.len());
    outcome.replaced = changed.iter().filter(|(id, _)| known.contains_key(id.as_str())).count();
    outcome.created = changed.len().saturating_sub(outcome.replaced);

    let request = owner.as_deref().filter(|_| !ids.is_empty()).map(|owner| WriteRequest {
        writes: ids.iter().map(|id| TupleKey::new(owner, OWNER, object(id))).collect(),
        on_duplicate: OnConflict::Ignore,
        ..WriteRequest::default()
    });
    for _attempt in 0..ATTEMPTS {
        let mut unit = retrieval.unit();
        for (id, draft) in &changed {
            retrieval.plan_put(&mut unit, id, owner.as_deref(), draft, actor);
        }
        let planned = match &request {
            Some(request) => authz.plan_write(&store.id, None, request, actor).await?,
            None => None,
        };
        if unit.is_empty() && planned.is_none() {
            return Ok(outcome);
        }
        if parts.commit(unit, planned.into_iter().collect()).await?.is_some() {
            return Ok(outcome);
        }
    }
    Err(AuthzError::Contention.into())
}
