//! Documents as text and passages, and the search that shows only what may be read.
//!
//! A document is kept as it was given; it is found by *passages*: plain text cut where paragraphs
//! end, with the headings above each. What a person may read is asked of [`MayRead`]: once before
//! anything is ranked, for a set that may be too large and is never too small, and once more for
//! each document whose text is about to be handed over, from what is committed then. There is no
//! memory of either answer, so a permission that was taken away is gone from the next search.
//!
//! **Invariant:** what does not exist and what may not be read look the same from outside.
//! **Invariant:** no passage is handed over before the record of it is durable.
//!
//! Words are weighed by how rare they are in all documents of the deployment, not only in those
//! that the person may read; from scores one could guess at that.

mod chunk;
mod convert;
mod document;
mod error;
mod read;
mod search;
mod terms;

use std::sync::Arc;

use behalf_core::{Clock, MayRead, Rng, TenantId, new_ulid};
use behalf_store::{Storage, UnitOfWork};

pub use convert::{as_text, title_of};
pub use document::{
    ContentType, Document, Draft, InvalidDocument, MAX_CONTENT_BYTES, MAX_TITLE_CHARS, NewDocument,
    check_document_id,
};
pub use error::RetrievalError;
pub use read::{DocumentPage, ListDocuments};
pub use search::{Found, MAX_K, MAX_QUERY_CHARS, Passage, Reader};

/// The documents of one tenant; clones share them.
#[derive(Clone, Debug)]
pub struct Retrieval(Arc<RetrievalParts>);

/// What a [`Retrieval`] is built from.
#[derive(Debug)]
pub struct RetrievalParts {
    /// Where it remembers.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub rng: Arc<dyn Rng>,
    /// The tenant it serves.
    pub tenant: TenantId,
    /// Who may read what.
    pub may_read: Arc<dyn MayRead>,
}

impl Retrieval {
    /// The tenant's documents.
    pub fn new(parts: RetrievalParts) -> Self {
        Self(Arc::new(parts))
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    /// An empty unit of work that happens now.
    pub fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.0.clock.now(), &*self.0.rng)
    }

    /// An id for a new document.
    pub fn new_document_id(&self) -> String {
        new_ulid(self.0.clock.now(), &*self.0.rng)
    }
}
