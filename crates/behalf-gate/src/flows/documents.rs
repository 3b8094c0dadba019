//! Documents and the tuples that say who may read them, written in one unit of work.
//!
//! Whoever decides about a document is its `owner` in the store `documents`. What a caller may not
//! read is answered like what does not exist.

mod import;
mod share;
mod why;

use behalf_authz::engine::{CheckRequest, RequestContext, RequestError, TupleKey, WriteRequest};
use behalf_authz::{Authz, AuthzError, DOCUMENTS, FgaStoreInfo, PlannedWrite, Query};
use behalf_core::Actor;
use behalf_identity::{Identity, User};
use behalf_retrieval::{
    Document, InvalidDocument, NewDocument, Retrieval, RetrievalError, check_document_id,
};
use behalf_store::{Committed, StoreError, UnitOfWork};
use thiserror::Error;

use crate::readers::{DOCUMENT_TYPE, name_in};

pub use import::{ImportOutcome, ImportedDocument, MAX_IMPORT, import};
pub use share::{Share, ShareRelation, list_shares, share, unshare};
pub use why::{Reason, why};

/// How often a write is planned again because another one was faster: ownership is checked on the
/// version that the write is planned on, and a busy store moves on in between.
const ATTEMPTS: u32 = 50;
/// The relation of whoever decides about a document.
const OWNER: &str = "owner";

/// What these use cases work on.
#[derive(Clone, Copy, Debug)]
pub struct DocumentParts<'a> {
    /// The people.
    pub identity: &'a Identity,
    /// Who may do what.
    pub authz: &'a Authz,
    /// The documents.
    pub retrieval: &'a Retrieval,
}

/// Nothing was done.
#[derive(Debug, Error)]
pub enum DocumentError {
    /// There is no such document, or the caller may not read it.
    #[error("nothing with this id can be seen by you")]
    NotFound,
    /// The caller may read it, and it is somebody else's.
    #[error("only an owner of the document may do this")]
    NotOwner,
    /// The caller's name cannot stand in the store `documents`.
    #[error(
        "you have no name in the store `documents`, so you cannot own a document; an administrator \
         can verify your address"
    )]
    NoName,
    /// No store has the name `documents`.
    #[error("no authorization store is named `documents`")]
    NoStore,
    /// The document is refused.
    #[error(transparent)]
    Invalid(#[from] InvalidDocument),
    /// The share is refused.
    #[error("{0}")]
    InvalidShare(String),
    /// The document would have no owner.
    #[error("a document keeps at least one owner; make somebody else an owner first")]
    LastOwner,
    /// Authorization refused or failed.
    #[error(transparent)]
    Authz(AuthzError),
    /// What may be read could not be told.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for DocumentError {
    fn from(error: StoreError) -> Self {
        if error.is_conflict("document is gone") { Self::NotFound } else { Self::Store(error) }
    }
}

impl From<AuthzError> for DocumentError {
    fn from(error: AuthzError) -> Self {
        match error {
            AuthzError::Store(error) => error.into(),
            error => Self::Authz(error),
        }
    }
}

impl From<RequestError> for DocumentError {
    fn from(error: RequestError) -> Self {
        Self::Authz(error.into())
    }
}

impl DocumentParts<'_> {
    async fn store(&self) -> Result<FgaStoreInfo, DocumentError> {
        self.authz.find_store_by_name(DOCUMENTS).await?.ok_or(DocumentError::NoStore)
    }

    /// The revision at which the caller is the document's owner.
    ///
    /// # Errors
    /// `NotFound` when the caller may not even read it.
    async fn owned_at(
        &self,
        store: &FgaStoreInfo,
        user: &User,
        document_id: &str,
    ) -> Result<u64, DocumentError> {
        let at = self.authz.at(Query { store_id: &store.id, model_id: None }).await?;
        let found = self.retrieval.find(&user.user_id, document_id).await?;
        if found.is_none() {
            return Err(DocumentError::NotFound);
        }
        let Some(name) = name_in(store, user) else { return Err(DocumentError::NotOwner) };
        let is_owner = at.check(&CheckRequest {
            user: &name,
            relation: OWNER,
            object: &object(document_id),
            request: RequestContext::default(),
        })?;
        if is_owner { Ok(at.revision()) } else { Err(DocumentError::NotOwner) }
    }

    /// Commits the unit with the write; `None` when another write was faster.
    async fn commit(
        &self,
        unit: UnitOfWork,
        planned: Vec<PlannedWrite>,
    ) -> Result<Option<Committed>, DocumentError> {
        match self.authz.commit(unit, planned).await {
            Ok(committed) => Ok(Some(committed)),
            Err(error) if error.is_conflict("store moved") => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// True if the write was planned on the very version that was looked at.
fn fits(planned: &PlannedWrite, revision: u64) -> bool {
    u64::try_from(planned.revision()).ok() == revision.checked_add(1)
}

fn object(document_id: &str) -> String {
    format!("{DOCUMENT_TYPE}:{document_id}")
}

/// The name that the person has in the store `documents`, if she has one.
///
/// # Errors
/// See [`DocumentError`].
pub async fn own_name(
    parts: DocumentParts<'_>,
    user: &User,
) -> Result<Option<String>, DocumentError> {
    let store = parts.authz.find_store_by_name(DOCUMENTS).await?;
    Ok(store.and_then(|store| name_in(&store, user)))
}

/// Stores a new document, which the caller owns.
///
/// # Errors
/// See [`DocumentError`].
pub async fn upload(
    parts: DocumentParts<'_>,
    user: &User,
    new: NewDocument,
    actor: &Actor,
) -> Result<Document, DocumentError> {
    let DocumentParts { authz, retrieval, .. } = parts;
    let draft = retrieval.draft(new).await??;
    let store = parts.store().await?;
    let owner = name_in(&store, user).ok_or(DocumentError::NoName)?;
    let document_id = retrieval.new_document_id();
    let request = WriteRequest {
        writes: vec![TupleKey::new(owner.as_str(), OWNER, object(&document_id))],
        ..WriteRequest::default()
    };
    for _attempt in 0..ATTEMPTS {
        let mut unit = retrieval.unit();
        let document = retrieval.plan_put(&mut unit, &document_id, Some(&owner), &draft, actor);
        let planned = authz.plan_write(&store.id, None, &request, actor).await?;
        if parts.commit(unit, planned.into_iter().collect()).await?.is_some() {
            return Ok(document);
        }
    }
    Err(AuthzError::Contention.into())
}

/// Stores a document under an id that the caller chose, or replaces its content; no tuple changes.
/// True if it is new.
///
/// # Errors
/// See [`DocumentError`].
pub async fn put(
    parts: DocumentParts<'_>,
    document_id: &str,
    new: NewDocument,
    actor: &Actor,
) -> Result<(Document, bool), DocumentError> {
    check_document_id(document_id)?;
    let retrieval = parts.retrieval;
    let draft = retrieval.draft(new).await??;
    let mut unit = retrieval.unit();
    let mut document = retrieval.plan_put(&mut unit, document_id, None, &draft, actor);
    let committed = parts.authz.commit(unit, Vec::new()).await?;
    document.revision = committed.value("document_revision")?;
    let stored = retrieval.find_any(document_id).await?.filter(|d| d.revision == document.revision);
    let is_new = document.revision == 1;
    Ok((stored.unwrap_or(document), is_new))
}

/// Deletes a document of the caller's, with its passages and every tuple about it.
///
/// # Errors
/// See [`DocumentError`].
pub async fn delete(
    parts: DocumentParts<'_>,
    user: &User,
    document_id: &str,
    actor: &Actor,
) -> Result<(), DocumentError> {
    let DocumentParts { authz, retrieval, .. } = parts;
    let store = parts.store().await?;
    for _attempt in 0..ATTEMPTS {
        let revision = parts.owned_at(&store, user, document_id).await?;
        let mut unit = retrieval.unit();
        retrieval.plan_delete(&mut unit, document_id, actor);
        let object = object(document_id);
        let planned = authz.plan_delete_object(&store.id, &object, actor).await?;
        if planned.as_ref().is_some_and(|planned| !fits(planned, revision)) {
            continue;
        }
        if parts.commit(unit, planned.into_iter().collect()).await?.is_some() {
            return Ok(());
        }
    }
    Err(AuthzError::Contention.into())
}
