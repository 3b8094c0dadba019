//! Documents: what one may be, and how it is written with its passages.

use behalf_core::{Actor, Event, EventKind, Timestamp};
use behalf_store::documents::{self, ChunkRow, DocumentRow};
use behalf_store::{StoreError, UnitOfWork};
use behalf_verify::sha256_hex;
use thiserror::Error;

use crate::Retrieval;
use crate::chunk::chunks;
use crate::convert::blocks;

/// The largest content, in bytes.
pub const MAX_CONTENT_BYTES: usize = 10 * 1024 * 1024;
/// The longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 300;
/// The longest document id, in characters.
const MAX_ID_CHARS: usize = 200;
/// Contents above this are cut into passages on a thread of their own.
const INLINE_BYTES: usize = 64 * 1024;

/// What a document's content is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentType {
    /// `text/plain`.
    Plain,
    /// `text/markdown`.
    Markdown,
    /// `text/html`.
    Html,
    /// `text/troff`: manual pages.
    Troff,
}

impl ContentType {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Markdown, Self::Html, Self::Troff];

    /// The media type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Troff => "text/troff",
        }
    }

    /// The type that a media type names; its only parameter may be `charset=utf-8`.
    pub fn parse(text: &str) -> Option<Self> {
        let (media, parameter) = text.split_once(';').unwrap_or((text, ""));
        let parameter = parameter.trim();
        let is_utf8 = parameter.is_empty()
            || parameter.eq_ignore_ascii_case("charset=utf-8")
            || parameter.eq_ignore_ascii_case("charset=\"utf-8\"");
        let known = Self::ALL.into_iter().find(|t| media.trim().eq_ignore_ascii_case(t.as_str()));
        known.filter(|_| is_utf8)
    }
}

/// A document as somebody brings it.
#[derive(Clone, Debug)]
pub struct NewDocument {
    /// Its title.
    pub title: String,
    /// What its content is written in.
    pub content_type: ContentType,
    /// Its content.
    pub content: String,
}

/// Why a document is refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InvalidDocument {
    /// The id could not stand in an object or an address.
    #[error(
        "a document id is 1 to {MAX_ID_CHARS} of the characters A-Z a-z 0-9 and `._~@+=,|-`, and \
         not only dots"
    )]
    Id,
    /// The title is blank, too long, or not a line of text.
    #[error(
        "`title` is 1 to {MAX_TITLE_CHARS} characters of one line, without control characters and \
         changes of direction"
    )]
    Title,
    /// There is nothing to find.
    #[error("`content` is empty")]
    Empty,
    /// The content is larger than 10 MiB.
    #[error("`content` is larger than {MAX_CONTENT_BYTES} bytes")]
    TooLarge,
    /// The content has NUL characters.
    #[error("`content` is not text")]
    NotText,
}

/// Checks an id that a client chose. Server-made ones always fit.
///
/// # Errors
/// `Id`.
pub fn check_document_id(id: &str) -> Result<(), InvalidDocument> {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._~@+=,|-".contains(&b);
    let is_plain = !id.is_empty() && id.len() <= MAX_ID_CHARS && id.bytes().all(is_allowed);
    if is_plain && id.bytes().any(|b| b != b'.') { Ok(()) } else { Err(InvalidDocument::Id) }
}

/// A document ready to be stored: checked, and cut into passages.
#[derive(Clone, Debug)]
pub struct Draft {
    title: String,
    content_type: ContentType,
    content: String,
    content_sha256: String,
    chunks: Vec<ChunkRow>,
}

impl Draft {
    /// Checks a document and cuts it into passages, which takes a while if it is large.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn new(new: NewDocument) -> Result<Self, InvalidDocument> {
        let title = new.title.trim();
        let is_line = |c: char| {
            !c.is_control()
                && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        let length = title.chars().count();
        if length == 0 || length > MAX_TITLE_CHARS || !title.chars().all(is_line) {
            return Err(InvalidDocument::Title);
        }
        if new.content.len() > MAX_CONTENT_BYTES {
            return Err(InvalidDocument::TooLarge);
        }
        if new.content.trim().is_empty() {
            return Err(InvalidDocument::Empty);
        }
        if new.content.contains('\0') {
            return Err(InvalidDocument::NotText);
        }
        Ok(Self {
            chunks: chunks(title, blocks(new.content_type, &new.content)),
            content_sha256: sha256_hex(new.content.as_bytes()),
            title: title.to_owned(),
            content_type: new.content_type,
            content: new.content,
        })
    }

    /// True if `document` has this title, type and content already.
    pub fn is(&self, document: &Document) -> bool {
        self.title == document.title
            && self.content_type.as_str() == document.content_type
            && self.content_sha256 == document.content_sha256
    }

    /// How many passages it has.
    pub const fn passage_count(&self) -> usize {
        self.chunks.len()
    }
}

/// A document without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id.
    pub document_id: String,
    /// The FGA user who uploaded it.
    pub owner: Option<String>,
    /// Its title.
    pub title: String,
    /// Its media type.
    pub content_type: String,
    /// SHA-256 of its content, in hexadecimal digits.
    pub content_sha256: String,
    /// Counts its contents from 1.
    pub revision: i64,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When its content last changed.
    pub updated_at: Timestamp,
}

impl From<DocumentRow> for Document {
    fn from(row: DocumentRow) -> Self {
        Self {
            document_id: row.document_id,
            owner: row.owner,
            title: row.title,
            content_type: row.content_type,
            content_sha256: row.content_sha256,
            revision: row.revision,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl Retrieval {
    /// Checks a document and cuts it into passages; a large one not on the caller's thread.
    ///
    /// # Errors
    /// Why it is refused.
    pub async fn draft(
        &self,
        new: NewDocument,
    ) -> Result<Result<Draft, InvalidDocument>, StoreError> {
        if new.content.len() <= INLINE_BYTES {
            return Ok(Draft::new(new));
        }
        let cut = tokio::task::spawn_blocking(|| Draft::new(new)).await;
        cut.map_err(|error| StoreError::Internal { reason: format!("cutting a document: {error}") })
    }

    /// Adds to `unit` what stores a document, in the place of one with the same id, which keeps its
    /// owner. The unit's `document_revision` is its revision then.
    pub fn plan_put(
        &self,
        unit: &mut UnitOfWork,
        document_id: &str,
        owner: Option<&str>,
        draft: &Draft,
        actor: &Actor,
    ) -> Document {
        let row = DocumentRow {
            document_id: document_id.to_owned(),
            owner: owner.map(str::to_owned),
            title: draft.title.clone(),
            content_type: draft.content_type.as_str().to_owned(),
            content_sha256: draft.content_sha256.clone(),
            revision: 1,
            created_at: unit.now(),
            updated_at: unit.now(),
        };
        unit.add(documents::put(self.tenant(), &row, &draft.content));
        for statement in documents::replace_chunks(self.tenant(), document_id, &draft.chunks) {
            unit.add(statement);
        }
        unit.record(
            &Event::new(self.tenant(), EventKind::DocumentWritten, actor.clone())
                .with("document_id", document_id)
                .with("content_sha256", draft.content_sha256.as_str())
                .with("passages", draft.chunks.len()),
        );
        row.into()
    }

    /// Adds to `unit` what deletes a document with its passages; `Conflict("document is gone")` when
    /// there is none.
    pub fn plan_delete(&self, unit: &mut UnitOfWork, document_id: &str, actor: &Actor) {
        unit.add(documents::delete(self.tenant(), document_id));
        for statement in documents::delete_chunks(self.tenant(), document_id) {
            unit.add(statement);
        }
        unit.record(
            &Event::new(self.tenant(), EventKind::DocumentDeleted, actor.clone())
                .with("document_id", document_id),
        );
    }

    /// The document with that id, whoever may read it: for use cases that decide by themselves.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_any(&self, document_id: &str) -> Result<Option<Document>, StoreError> {
        let row = documents::find(self.storage(), self.tenant(), document_id).await?;
        Ok(row.map(Document::from))
    }

    /// Those of `document_ids` that exist, whoever may read them, by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_any(&self, document_ids: &[&str]) -> Result<Vec<Document>, StoreError> {
        let rows = documents::list(self.storage(), self.tenant(), document_ids).await?;
        Ok(rows.into_iter().map(Document::from).collect())
    }

    /// Adds to `unit` that the document is still there when it is committed.
    pub fn plan_expect(&self, unit: &mut UnitOfWork, document_id: &str) {
        unit.add(documents::expect(self.tenant(), document_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(title: &str, content: &str) -> Result<Draft, InvalidDocument> {
        let content_type = ContentType::Plain;
        Draft::new(NewDocument {
            title: title.to_owned(),
            content_type,
            content: content.to_owned(),
        })
    }

    #[test]
    fn ids_fit_objects_and_addresses() {
        for good in ["1", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "a.b-c_d~e", "auth0|x", "..a"] {
            assert!(check_document_id(good).is_ok(), "{good}");
        }
        let long = "x".repeat(201);
        for bad in ["", ".", "..", "a/b", "a:b", "a#b", "*", "a b", "ä", "a%2f", "a\nb", &long] {
            assert!(check_document_id(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn titles_are_one_line_of_text() {
        assert_eq!(draft("  Plan ", "x").unwrap().title, "Plan");
        for bad in ["", " ", "a\nb", "a\u{0}b", "a\u{202e}b", "\u{2066}a", &"x".repeat(301)] {
            assert_eq!(draft(bad, "x").unwrap_err(), InvalidDocument::Title, "{bad:?}");
        }
    }

    #[test]
    fn content_is_text_within_bounds() {
        assert_eq!(draft("t", " \n").unwrap_err(), InvalidDocument::Empty);
        assert_eq!(draft("t", "a\u{0}").unwrap_err(), InvalidDocument::NotText);
        let large = "x".repeat(MAX_CONTENT_BYTES + 1);
        assert_eq!(draft("t", &large).unwrap_err(), InvalidDocument::TooLarge);
        let words = draft("t", "word ".repeat(1000).as_str()).unwrap();
        assert!(words.passage_count() > 1);
    }

    #[test]
    fn media_types_are_known_or_refused() {
        assert_eq!(ContentType::parse("Text/Markdown; charset=UTF-8"), Some(ContentType::Markdown));
        for bad in ["", "text", "application/pdf", "text/plain; charset=latin1", "text/html;x"] {
            assert_eq!(ContentType::parse(bad), None, "{bad}");
        }
    }
}
