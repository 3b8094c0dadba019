//! Reading: one document, and lists of them; only what the person may read, without a sign of
//! anything else.

use behalf_core::{Timestamp, UserId};
use behalf_store::documents::{self, PageOf};

use crate::Retrieval;
use crate::document::{Document, check_document_id};
use crate::error::RetrievalError;

/// Rows that are looked at in one step of filling a page.
const STEP: u32 = 200;

/// Which documents to list.
#[derive(Clone, Debug)]
pub struct ListDocuments {
    /// Only those with this in their title; empty for all.
    pub title: String,
    /// The `next` of the page before; empty for the first.
    pub page_token: String,
    /// How many.
    pub size: usize,
}

/// A page of the list, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPage {
    /// The documents.
    pub documents: Vec<Document>,
    /// What to ask for the next page; `None` at the end.
    pub next: Option<String>,
}

impl Retrieval {
    /// The document with that id, if the person may read it.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn find(
        &self,
        user_id: &UserId,
        document_id: &str,
    ) -> Result<Option<Document>, RetrievalError> {
        if check_document_id(document_id).is_err() {
            return Ok(None);
        }
        // The row first, then the check: between them it can only become unreadable.
        let found = self.find_any(document_id).await?;
        let may_read = self.may_read(user_id, &[document_id]).await?;
        Ok(found.filter(|_| may_read == [true]))
    }

    /// The document with its content, if the person may read it.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn find_with_content(
        &self,
        user_id: &UserId,
        document_id: &str,
    ) -> Result<Option<(Document, String)>, RetrievalError> {
        if check_document_id(document_id).is_err() {
            return Ok(None);
        }
        let (storage, tenant) = (self.storage(), self.tenant());
        let found = documents::find_with_content(storage, tenant, document_id).await?;
        let may_read = self.may_read(user_id, &[document_id]).await?;
        let found = found.filter(|_| may_read == [true]);
        Ok(found.map(|(row, content)| (row.into(), content)))
    }

    /// A page of the documents that the person may read.
    ///
    /// # Errors
    /// When the token is no page's, or nobody could say.
    pub async fn list(
        &self,
        user_id: &UserId,
        list: &ListDocuments,
    ) -> Result<DocumentPage, RetrievalError> {
        let mut after = match list.page_token.as_str() {
            "" => None,
            token => Some(decode(token).ok_or(RetrievalError::PageToken)?),
        };
        let readable = self.0.may_read.list_readable(user_id).await?;
        let ids: Vec<&str> = readable.document_ids.iter().map(String::as_str).collect();
        let mut documents: Vec<Document> = Vec::new();
        loop {
            let page = PageOf {
                ids: &ids,
                title: &list.title,
                after: after.as_ref().map(|(time, id)| (*time, id.as_str())),
                limit: STEP,
            };
            let rows = documents::list_page(self.storage(), self.tenant(), &page).await?;
            let is_last = rows.len() < STEP as usize;
            after = rows.last().map(|row| (row.created_at, row.document_id.clone()));
            let asked: Vec<&str> = rows.iter().map(|row| row.document_id.as_str()).collect();
            let may_read = self.may_read(user_id, &asked).await?;
            let kept = rows.into_iter().zip(may_read).filter(|(_, may_read)| *may_read);
            documents.extend(kept.map(|(row, _)| Document::from(row)));
            // One more than asked for says whether there is a next page.
            if is_last || documents.len() > list.size {
                break;
            }
        }
        let has_more = documents.len() > list.size;
        documents.truncate(list.size);
        let next = documents.last().filter(|_| has_more).map(encode);
        Ok(DocumentPage { documents, next })
    }

    /// How many documents the person may read, of those with `title` in their title.
    ///
    /// # Errors
    /// When nobody could say.
    pub async fn count(&self, user_id: &UserId, title: &str) -> Result<usize, RetrievalError> {
        let readable = self.0.may_read.list_readable(user_id).await?;
        let ids: Vec<&str> = readable.document_ids.iter().map(String::as_str).collect();
        let known = documents::list_ids(self.storage(), self.tenant(), &ids, title).await?;
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let may_read = self.may_read(user_id, &known).await?;
        Ok(may_read.into_iter().filter(|may_read| *may_read).count())
    }
}

/// The place behind a document in the list: nothing but what the caller has seen.
fn encode(document: &Document) -> String {
    format!("{}.{}", document.created_at.as_micros(), document.document_id)
}

fn decode(token: &str) -> Option<(Timestamp, String)> {
    let (micros, id) = token.split_once('.')?;
    check_document_id(id).ok()?;
    Some((Timestamp::from_micros(micros.parse().ok()?), id.to_owned()))
}
