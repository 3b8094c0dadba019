//! Search: the readable set first, then the ranking of its passages, then the exact check of every
//! document whose text is about to be handed over, then the record, then the passages.

use std::collections::BTreeMap;

use behalf_core::{Actor, DecidedAt, Event, EventKind, UserId};
use behalf_store::StoreError;
use behalf_store::documents::{self, PassageRow};
use behalf_verify::sha256_hex;
use serde_json::{Value as Json, json};

use crate::Retrieval;
use crate::error::RetrievalError;
use crate::terms::expression;

/// The most passages that a search gives.
pub const MAX_K: usize = 50;
/// The longest query, in characters.
pub const MAX_QUERY_CHARS: usize = 4_000;
/// How much further the ranking is followed each time too few passages survive the check.
const WIDEN: usize = 4;

/// Who reads.
#[derive(Clone, Debug)]
pub struct Reader {
    /// The person whose permissions count.
    pub user_id: UserId,
    /// Whom the record names: the person herself, or the agent that acts for her.
    pub actor: Actor,
}

impl Reader {
    /// A person who reads for herself.
    pub fn person(user_id: &UserId) -> Self {
        Self { user_id: user_id.clone(), actor: Actor::User { sub: user_id.to_string() } }
    }
}

/// A passage that may be handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// Its document.
    pub document_id: String,
    /// Its own id: the document's, the document's revision, and its place in it.
    pub chunk_id: String,
    /// The document's title.
    pub title: String,
    /// Its text.
    pub text: String,
    /// How well it matches, higher is better; comparable within one answer only.
    pub score: f64,
}

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The passages, best first.
    pub results: Vec<Passage>,
    /// The record of this search.
    pub record_id: String,
    /// From what it was decided that they may be read.
    pub decided_at: DecidedAt,
}

impl Retrieval {
    /// The `k` passages that match `query` best among those of documents that the reader may read.
    ///
    /// # Errors
    /// When the question is out of bounds, or something failed: then nothing is handed over.
    pub async fn search(
        &self,
        reader: &Reader,
        query: &str,
        k: usize,
    ) -> Result<Found, RetrievalError> {
        if query.trim().is_empty() {
            return Err(RetrievalError::EmptyQuery);
        }
        if query.chars().count() > MAX_QUERY_CHARS {
            return Err(RetrievalError::QueryTooLong(MAX_QUERY_CHARS));
        }
        if k == 0 || k > MAX_K {
            return Err(RetrievalError::ResultCount(MAX_K));
        }
        let readable = self.0.may_read.list_readable(&reader.user_id).await?;
        let mut decided_at = readable.decided_at;
        let mut kept: Vec<PassageRow> = Vec::new();
        if let Some(words) = expression(query).filter(|_| !readable.document_ids.is_empty()) {
            let mut limit = k;
            loop {
                // A ranking by vectors would stand beside this one and see the same documents only.
                let ranked = self.rank(&words, &readable.document_ids, limit).await?;
                let is_all = ranked.len() < limit;
                (kept, decided_at) = self.keep_readable(reader, ranked).await?;
                if kept.len() >= k || is_all {
                    break;
                }
                limit = limit.saturating_mul(WIDEN);
            }
        }
        kept.truncate(k);
        self.hand_over(reader, query, readable.document_ids.len(), kept, decided_at).await
    }

    /// For each document whether the person may read it now: what was handed over before is shown
    /// again only then.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn may_read(
        &self,
        user_id: &UserId,
        document_ids: &[&str],
    ) -> Result<Vec<bool>, RetrievalError> {
        if document_ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.0.may_read.check(user_id, document_ids).await?.may_read)
    }

    /// The best passages of these documents. It may take long, so not on the caller's thread.
    async fn rank(
        &self,
        words: &str,
        document_ids: &[String],
        limit: usize,
    ) -> Result<Vec<PassageRow>, StoreError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let (storage, tenant) = (self.storage().clone(), self.tenant().clone());
        let (words, ids) = (words.to_owned(), document_ids.to_vec());
        let handle = tokio::runtime::Handle::current();
        let ranking = tokio::task::spawn_blocking(move || {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            handle.block_on(documents::search(&storage, &tenant, &words, &ids, limit))
        });
        ranking.await.unwrap_or_else(|error| {
            Err(StoreError::Internal { reason: format!("ranking passages: {error}") })
        })
    }

    /// Those passages whose document the reader may read, decided from what is committed now.
    async fn keep_readable(
        &self,
        reader: &Reader,
        ranked: Vec<PassageRow>,
    ) -> Result<(Vec<PassageRow>, DecidedAt), RetrievalError> {
        let mut allowed: BTreeMap<&str, bool> =
            ranked.iter().map(|row| (row.document_id.as_str(), false)).collect();
        let ids: Vec<&str> = allowed.keys().copied().collect();
        let checked = self.0.may_read.check(&reader.user_id, &ids).await?;
        for (id, may_read) in ids.iter().zip(&checked.may_read) {
            allowed.insert(id, *may_read);
        }
        let keep: Vec<bool> = ranked
            .iter()
            .map(|row| allowed.get(row.document_id.as_str()).copied().unwrap_or(false))
            .collect();
        let kept = ranked.into_iter().zip(keep).filter(|(_, keep)| *keep).map(|(row, _)| row);
        Ok((kept.collect(), checked.decided_at))
    }

    /// Records what is handed over, and only then hands it over.
    async fn hand_over(
        &self,
        reader: &Reader,
        query: &str,
        readable: usize,
        kept: Vec<PassageRow>,
        decided_at: DecidedAt,
    ) -> Result<Found, RetrievalError> {
        let passages: Vec<Json> = kept
            .iter()
            .map(|row| {
                json!({
                    "document_id": row.document_id,
                    "document_revision": row.revision,
                    "chunk": row.ordinal,
                    "text_sha256": sha256_hex(row.text.as_bytes()),
                })
            })
            .collect();
        let mut unit = self.unit();
        let record_id = unit.record(
            &Event::new(self.tenant(), EventKind::DocumentsSearched, reader.actor.clone())
                .with("user_id", reader.user_id.as_str())
                .with("query_sha256", sha256_hex(query.as_bytes()))
                .with("store_id", decided_at.store_id.as_str())
                .with("model_id", decided_at.model_id.as_str())
                .with("revision", decided_at.revision)
                .with("readable_documents", readable)
                .with("passages", passages),
        );
        self.storage().commit(unit).await?;
        let results = kept.into_iter().map(|row| Passage {
            chunk_id: format!("{}:{}:{}", row.document_id, row.revision, row.ordinal),
            document_id: row.document_id,
            title: row.title,
            text: row.text,
            score: row.score,
        });
        Ok(Found { results: results.collect(), record_id, decided_at })
    }
}
