//! Rows and statements of retrieval: documents, passages, the lexical index.

use behalf_core::{TenantId, Timestamp};
use serde_json::Value as Json;

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::{Row, Value};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// Its id.
    pub document_id: String,
    /// The FGA user who uploaded it.
    pub owner: String,
    /// Its title.
    pub title: String,
    /// Its media type.
    pub content_type: String,
    /// Counts its contents from 1.
    pub revision: i64,
    /// When it was uploaded.
    pub created_at: Timestamp,
    /// When its content last changed.
    pub updated_at: Timestamp,
}

/// A passage to store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRow {
    /// Counts from 0 in its document.
    pub ordinal: i64,
    /// Title and headings above it.
    pub heading: String,
    /// Its text.
    pub text: String,
}

/// A passage that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct PassageRow {
    /// Its document.
    pub document_id: String,
    /// Counts from 0 in its document.
    pub ordinal: i64,
    /// The document's title.
    pub title: String,
    /// Its text.
    pub text: String,
    /// BM25, higher is better.
    pub score: f64,
}

macro_rules! select_documents {
    ($rest:literal) => {
        concat!(
            "SELECT document_id, owner, title, content_type, revision, created_at, updated_at ",
            "FROM documents WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn document(mut row: Row) -> Result<DocumentRow, StoreError> {
    Ok(DocumentRow {
        document_id: row.take(0)?,
        owner: row.take(1)?,
        title: row.take(2)?,
        content_type: row.take(3)?,
        revision: row.take(4)?,
        created_at: row.take(5)?,
        updated_at: row.take(6)?,
    })
}

/// The document with that id, without its content.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find(
    storage: &Storage,
    tenant: &TenantId,
    document_id: &str,
) -> Result<Option<DocumentRow>, StoreError> {
    const FIND: &str = select_documents!("AND document_id = $2");
    storage.find(FIND, [tenant.into(), document_id.into()]).await?.map(document).transpose()
}

/// The content of the document with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_content(
    storage: &Storage,
    tenant: &TenantId,
    document_id: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT content FROM documents WHERE tenant_id = $1 AND document_id = $2";
    let row = storage.find(FIND, [tenant.into(), document_id.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Those of `ids` that exist, by id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    ids: &[&str],
) -> Result<Vec<DocumentRow>, StoreError> {
    const LIST: crate::Sql = crate::Sql::each(
        select_documents!(
            "AND document_id IN (SELECT value FROM json_each($2)) ORDER BY document_id"
        ),
        select_documents!(
            "AND document_id IN (SELECT json_array_elements_text($2::json)) ORDER BY document_id"
        ),
    );
    let params: [Value; 2] = [tenant.into(), Json::from(ids).to_string().into()];
    storage.query(LIST, params).await?.into_iter().map(document).collect()
}

/// Stores a document, replacing the content of one with the same id.
pub fn put(tenant: &TenantId, row: &DocumentRow, content: &str) -> Statement {
    Statement::new(
        "INSERT INTO documents (tenant_id, document_id, owner, title, content_type, content,
             revision, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (tenant_id, document_id) DO UPDATE SET title = excluded.title,
             content_type = excluded.content_type, content = excluded.content,
             revision = documents.revision + 1, updated_at = excluded.updated_at
         RETURNING revision",
    )
    .bind(tenant)
    .bind(&row.document_id)
    .bind(&row.owner)
    .bind(&row.title)
    .bind(&row.content_type)
    .bind(content)
    .bind(row.revision)
    .bind(row.created_at)
    .bind(row.updated_at)
    .returning("document_revision")
}

/// Deletes a document; `Conflict("document is gone")` when there is none.
pub fn delete(tenant: &TenantId, document_id: &str) -> Statement {
    Statement::new("DELETE FROM documents WHERE tenant_id = $1 AND document_id = $2")
        .bind(tenant)
        .bind(document_id)
        .expect_rows(1, "document is gone")
}

/// Takes a document's passages out of the index and away.
pub fn delete_chunks(tenant: &TenantId, document_id: &str) -> [Statement; 2] {
    let statement = |sql: &'static str| Statement::new(sql).bind(tenant).bind(document_id);
    [
        statement(
            "INSERT INTO chunk_index (chunk_index, rowid, heading, text)
             SELECT 'delete', number, heading, text FROM chunks
             WHERE tenant_id = $1 AND document_id = $2",
        ),
        statement("DELETE FROM chunks WHERE tenant_id = $1 AND document_id = $2"),
    ]
}

/// Adds a passage and its index entry.
pub fn insert_chunk(tenant: &TenantId, document_id: &str, chunk: &ChunkRow) -> [Statement; 2] {
    [
        Statement::new(
            "INSERT INTO chunks (tenant_id, document_id, ordinal, heading, text)
             VALUES ($1, $2, $3, $4, $5) RETURNING number",
        )
        .bind(tenant)
        .bind(document_id)
        .bind(chunk.ordinal)
        .bind(&chunk.heading)
        .bind(&chunk.text)
        .returning("chunk_number"),
        Statement::new("INSERT INTO chunk_index (rowid, heading, text) VALUES ($1, $2, $3)")
            .bind_returned("chunk_number")
            .bind(&chunk.heading)
            .bind(&chunk.text),
    ]
}

/// The best `limit` passages of the documents `ids` that match `expression`, best first. Only those
/// documents are ranked.
///
/// # Errors
/// As [`Storage::query`].
pub async fn search(
    storage: &Storage,
    tenant: &TenantId,
    expression: &str,
    ids: &[&str],
    limit: u32,
) -> Result<Vec<PassageRow>, StoreError> {
    const SEARCH: &str = "SELECT c.document_id, c.ordinal, d.title, c.text,
             -bm25(chunk_index, 2.0, 1.0) AS score
         FROM chunk_index
         JOIN chunks c ON c.number = chunk_index.rowid
         JOIN documents d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id
         WHERE chunk_index MATCH $2 AND c.tenant_id = $1
           AND c.document_id IN (SELECT value FROM json_each($3))
         ORDER BY score DESC, c.document_id, c.ordinal LIMIT $4";
    let ids = Json::from(ids).to_string();
    let params: [Value; 4] = [tenant.into(), expression.into(), ids.into(), limit.into()];
    let passage = |mut row: Row| {
        Ok(PassageRow {
            document_id: row.take(0)?,
            ordinal: row.take(1)?,
            title: row.take(2)?,
            text: row.take(3)?,
            score: row.take(4)?,
        })
    };
    storage.query(SEARCH, params).await?.into_iter().map(passage).collect()
}
