//! Rows and statements of retrieval: documents, passages, the lexical index.
//!
//! Lists of ids and of passages travel as one JSON parameter, so that a statement's text stays the
//! same however many there are.

use behalf_core::{TenantId, Timestamp};
use serde_json::{Value as Json, json};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::{Sql, Statement};
use crate::value::{Row, Value};

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentRow {
    /// Its id.
    pub document_id: String,
    /// The FGA user who uploaded it; none for one that was imported without an owner.
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
    /// The document's revision.
    pub revision: i64,
    /// Its text.
    pub text: String,
    /// How well it matches, higher is better: BM25 in SQLite, cover density in PostgreSQL.
    pub score: f64,
}

macro_rules! select_documents {
    ($rest:literal) => {
        concat!(
            "SELECT document_id, owner, title, content_type, content_sha256, revision, ",
            "created_at, updated_at FROM documents WHERE tenant_id = $1 ",
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
        content_sha256: row.take(4)?,
        revision: row.take(5)?,
        created_at: row.take(6)?,
        updated_at: row.take(7)?,
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

/// The document with that id and its content.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_with_content(
    storage: &Storage,
    tenant: &TenantId,
    document_id: &str,
) -> Result<Option<(DocumentRow, String)>, StoreError> {
    const FIND: &str = "SELECT document_id, owner, title, content_type, content_sha256, revision,
             created_at, updated_at, content
         FROM documents WHERE tenant_id = $1 AND document_id = $2";
    let Some(mut row) = storage.find(FIND, [tenant.into(), document_id.into()]).await? else {
        return Ok(None);
    };
    let content = row.take(8)?;
    Ok(Some((document(row)?, content)))
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
    const LIST: Sql = Sql::each(
        select_documents!(
            "AND document_id IN (SELECT value FROM json_each($2)) ORDER BY document_id"
        ),
        select_documents!(
            "AND document_id IN (SELECT json_array_elements_text($2::json)) ORDER BY document_id"
        ),
    );
    let params: [Value; 2] = [tenant.into(), Json::from(ids).into()];
    storage.query(LIST, params).await?.into_iter().map(document).collect()
}

/// Which documents of a list to read.
#[derive(Clone, Copy, Debug)]
pub struct PageOf<'a> {
    /// Only these.
    pub ids: &'a [&'a str],
    /// Only those with this in their title, whatever the case; empty for all.
    pub title: &'a str,
    /// Only those that stand behind the document with this time and id.
    pub after: Option<(Timestamp, &'a str)>,
    /// How many at most.
    pub limit: u32,
}

/// The documents of a page, newest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_page(
    storage: &Storage,
    tenant: &TenantId,
    page: &PageOf<'_>,
) -> Result<Vec<DocumentRow>, StoreError> {
    const LIST: Sql = Sql::each(
        select_documents!(
            "AND document_id IN (SELECT value FROM json_each($2))
             AND ($3 = '' OR instr(lower(title), $3) > 0)
             AND (created_at < $4 OR (created_at = $4 AND document_id < $5))
             ORDER BY created_at DESC, document_id DESC LIMIT $6"
        ),
        select_documents!(
            "AND document_id IN (SELECT json_array_elements_text($2::json))
             AND ($3 = '' OR strpos(lower(title), $3) > 0)
             AND (created_at < $4 OR (created_at = $4 AND document_id COLLATE \"C\" < $5))
             ORDER BY created_at DESC, document_id COLLATE \"C\" DESC LIMIT $6"
        ),
    );
    let (time, id) = page.after.unwrap_or((Timestamp::from_micros(i64::MAX), ""));
    let params: [Value; 6] = [
        tenant.into(),
        Json::from(page.ids).into(),
        // Both engines fold ASCII alike; SQLite folds nothing else.
        page.title.to_ascii_lowercase().into(),
        time.into(),
        id.into(),
        page.limit.into(),
    ];
    storage.query(LIST, params).await?.into_iter().map(document).collect()
}

/// Those of `ids` that exist and have `title` in their title, in no order.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_ids(
    storage: &Storage,
    tenant: &TenantId,
    ids: &[&str],
    title: &str,
) -> Result<Vec<String>, StoreError> {
    const LIST: Sql = Sql::each(
        "SELECT document_id FROM documents WHERE tenant_id = $1
         AND document_id IN (SELECT value FROM json_each($2))
         AND ($3 = '' OR instr(lower(title), $3) > 0)",
        "SELECT document_id FROM documents WHERE tenant_id = $1
         AND document_id IN (SELECT json_array_elements_text($2::json))
         AND ($3 = '' OR strpos(lower(title), $3) > 0)",
    );
    let params: [Value; 3] =
        [tenant.into(), Json::from(ids).into(), title.to_ascii_lowercase().into()];
    storage.query(LIST, params).await?.into_iter().map(|mut row| row.take(0)).collect()
}

/// Stores a document, replacing the content of one with the same id.
pub fn put(tenant: &TenantId, row: &DocumentRow, content: &str) -> Statement {
    Statement::new(
        "INSERT INTO documents (tenant_id, document_id, owner, title, content_type, content,
             content_sha256, revision, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (tenant_id, document_id) DO UPDATE SET title = excluded.title,
             content_type = excluded.content_type, content = excluded.content,
             content_sha256 = excluded.content_sha256,
             revision = documents.revision + 1, updated_at = excluded.updated_at
         RETURNING revision",
    )
    .bind(tenant)
    .bind(&row.document_id)
    .bind(row.owner.as_ref())
    .bind(&row.title)
    .bind(&row.content_type)
    .bind(content)
    .bind(&row.content_sha256)
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

/// The unit fails with `Conflict("document is gone")` unless the document is there.
pub fn expect(tenant: &TenantId, document_id: &str) -> Statement {
    Statement::new("SELECT 1 FROM documents WHERE tenant_id = $1 AND document_id = $2")
        .bind(tenant)
        .bind(document_id)
        .expect_rows(1, "document is gone")
}

/// Puts `chunks` in the place of a document's passages, in the index too. The document itself is
/// stored before, so that two who replace it take turns.
pub fn replace_chunks(tenant: &TenantId, document_id: &str, chunks: &[ChunkRow]) -> Vec<Statement> {
    const INSERT: Sql = Sql::each(
        "INSERT INTO chunks (tenant_id, document_id, ordinal, heading, text)
         SELECT $1, $2, value ->> 0, value ->> 1, value ->> 2 FROM json_each($3)",
        "INSERT INTO chunks (tenant_id, document_id, ordinal, heading, text)
         SELECT $1, $2, (value ->> 0)::bigint, value ->> 1, value ->> 2
         FROM json_array_elements($3::json) AS chunk (value)",
    );
    // PostgreSQL's index is a generated column, so there it is only asked for.
    const INDEX: Sql = Sql::each(
        "INSERT INTO chunk_index (rowid, heading, text)
         SELECT number, heading, text FROM chunks WHERE tenant_id = $1 AND document_id = $2",
        "SELECT 1 FROM chunks WHERE tenant_id = $1 AND document_id = $2 LIMIT 1",
    );
    let rows = chunks.iter().map(|chunk| json!([chunk.ordinal, chunk.heading, chunk.text]));
    let rows = Json::Array(rows.collect());
    let mut statements = delete_chunks(tenant, document_id);
    statements.push(Statement::new(INSERT).bind(tenant).bind(document_id).bind(rows));
    statements.push(Statement::new(INDEX).bind(tenant).bind(document_id));
    statements
}

/// Takes a document's passages out of the index and away.
pub fn delete_chunks(tenant: &TenantId, document_id: &str) -> Vec<Statement> {
    const UNINDEX: Sql = Sql::each(
        "INSERT INTO chunk_index (chunk_index, rowid, heading, text)
         SELECT 'delete', number, heading, text FROM chunks
         WHERE tenant_id = $1 AND document_id = $2",
        "SELECT 1 FROM chunks WHERE tenant_id = $1 AND document_id = $2 LIMIT 1",
    );
    let statement = |sql: Sql| Statement::new(sql).bind(tenant).bind(document_id);
    let delete = "DELETE FROM chunks WHERE tenant_id = $1 AND document_id = $2";
    vec![statement(UNINDEX), statement(delete.into())]
}

/// The best `limit` passages of the documents `ids` that match `expression`, best first. Only those
/// documents are ranked.
///
/// The expression is words in double quotes with `OR` between them, which both engines read alike.
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
    const SEARCH: Sql = Sql::each(
        "SELECT c.document_id, c.ordinal, d.title, d.revision, c.text,
             -bm25(chunk_index, 2.0, 1.0) AS score
         FROM chunk_index
         JOIN chunks c ON c.number = chunk_index.rowid
         JOIN documents d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id
         WHERE chunk_index MATCH $2 AND c.tenant_id = $1
           AND c.document_id IN (SELECT value FROM json_each($3))
         ORDER BY score DESC, c.document_id, c.ordinal LIMIT $4",
        "SELECT c.document_id, c.ordinal, d.title, d.revision, c.text,
             ts_rank_cd(c.words, q.query)::double precision AS score
         FROM websearch_to_tsquery('passages'::regconfig, passage_words($2)) AS q (query)
         JOIN chunks c ON c.words @@ q.query
         JOIN documents d ON d.tenant_id = c.tenant_id AND d.document_id = c.document_id
         WHERE c.tenant_id = $1
           AND c.document_id IN (SELECT json_array_elements_text($3::json))
         ORDER BY score DESC, c.document_id, c.ordinal LIMIT $4",
    );
    let params: [Value; 4] =
        [tenant.into(), expression.into(), Json::from(ids).into(), limit.into()];
    let passage = |mut row: Row| {
        Ok(PassageRow {
            document_id: row.take(0)?,
            ordinal: row.take(1)?,
            title: row.take(2)?,
            revision: row.take(3)?,
            text: row.take(4)?,
            score: row.take(5)?,
        })
    };
    storage.query(SEARCH, params).await?.into_iter().map(passage).collect()
}
