//! Threads: a person's conversations, each under the name that the client gave it.

use behalf_core::{TenantId, Timestamp, UserId};

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::Statement;
use crate::value::Row;

/// A thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadRow {
    /// The client's name for it.
    pub thread_id: String,
    /// Its first words, sealed.
    pub title: Vec<u8>,
    /// When it began.
    pub created_at: Timestamp,
    /// When something last happened in it.
    pub updated_at: Timestamp,
}

fn thread(mut row: Row) -> Result<ThreadRow, StoreError> {
    Ok(ThreadRow {
        thread_id: row.take(0)?,
        title: row.take(1)?,
        created_at: row.take(2)?,
        updated_at: row.take(3)?,
    })
}

/// The person's threads, newest first; at most `limit`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list(
    storage: &Storage,
    tenant: &TenantId,
    user_id: &UserId,
    limit: u32,
) -> Result<Vec<ThreadRow>, StoreError> {
    const LIST: &str = "SELECT thread_id, title, created_at, updated_at FROM chat_threads
        WHERE tenant_id = $1 AND user_id = $2 ORDER BY updated_at DESC, thread_id LIMIT $3";
    let params = [tenant.into(), user_id.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(thread).collect()
}

/// Makes the thread, or says that something happened in it.
pub fn touch(tenant: &TenantId, user_id: &UserId, thread: &ThreadRow) -> Statement {
    Statement::new(
        "INSERT INTO chat_threads (tenant_id, user_id, thread_id, title, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (tenant_id, user_id, thread_id) DO UPDATE SET updated_at = excluded.updated_at",
    )
    .bind(tenant)
    .bind(user_id)
    .bind(&thread.thread_id)
    .bind(thread.title.as_slice())
    .bind(thread.created_at)
    .bind(thread.updated_at)
}
