//! Rows and statements of fine-grained authorization: stores, models, the log of tuple writes.

use behalf_core::{TenantId, Timestamp};
use serde_json::Value as Json;

use crate::error::StoreError;
use crate::storage::Storage;
use crate::unit::{Sql, Statement};
use crate::value::{Row, Value};

/// A store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaStoreRow {
    /// Its ULID.
    pub store_id: String,
    /// Its name.
    pub name: String,
    /// `sub` or `email`.
    pub subject: String,
    /// `v1` or `v2`: whose answers it gives to checks.
    pub semantics: String,
    /// The head: how many writes it has had.
    pub revision: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its name last changed.
    pub updated_at: Timestamp,
}

/// A model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaModelRow {
    /// Counts from 1 in its store.
    pub number: i64,
    /// Its ULID.
    pub model_id: String,
    /// The model as JSON.
    pub model: String,
}

/// A model in a list of versions, without its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaModelVersionRow {
    /// Counts from 1 in its store.
    pub number: i64,
    /// Its ULID.
    pub model_id: String,
    /// Who wrote it, as JSON; empty when that was not kept.
    pub actor: String,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
    /// When it was written.
    pub created_at: Timestamp,
}

/// A write in a store's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaLogRow {
    /// Its revision.
    pub revision: i64,
    /// The changes as JSON.
    pub changes: String,
    /// Who wrote, as JSON.
    pub actor: String,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
    /// The commit that it was a part of.
    pub txn: String,
    /// When it happened.
    pub at: Timestamp,
}

/// Who made a write in a store's log, why and when, without what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaWriteRow {
    /// Its revision.
    pub revision: i64,
    /// Who wrote, as JSON.
    pub actor: String,
    /// Why, in the writer's words; may be empty.
    pub reason: String,
    /// When it happened.
    pub at: Timestamp,
}

/// How far a store has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FgaHead {
    /// How many writes it has had.
    pub revision: i64,
    /// The number of its latest model, or 0.
    pub model: i64,
    /// When it was created: another store with the same id has another time.
    pub created_at: Timestamp,
    /// The commit of the revision that the reader has seen; empty when the log does not have it.
    pub seen_txn: String,
    /// Whose answers it gives to checks.
    pub semantics: String,
}

macro_rules! select_stores {
    ($rest:literal) => {
        concat!(
            "SELECT store_id, name, subject, revision, created_at, updated_at, semantics ",
            "FROM fga_stores WHERE tenant_id = $1 ",
            $rest
        )
    };
}

fn store(mut row: Row) -> Result<FgaStoreRow, StoreError> {
    Ok(FgaStoreRow {
        store_id: row.take(0)?,
        name: row.take(1)?,
        subject: row.take(2)?,
        revision: row.take(3)?,
        created_at: row.take(4)?,
        updated_at: row.take(5)?,
        semantics: row.take(6)?,
    })
}

fn model(mut row: Row) -> Result<FgaModelRow, StoreError> {
    Ok(FgaModelRow { number: row.take(0)?, model_id: row.take(1)?, model: row.take(2)? })
}

fn log(mut row: Row) -> Result<FgaLogRow, StoreError> {
    Ok(FgaLogRow {
        revision: row.take(0)?,
        changes: row.take(1)?,
        actor: row.take(2)?,
        reason: row.take(3)?,
        txn: row.take(4)?,
        at: row.take(5)?,
    })
}

/// The store with that id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_store(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
) -> Result<Option<FgaStoreRow>, StoreError> {
    const FIND: &str = select_stores!("AND store_id = $2");
    storage.find(FIND, [tenant.into(), store_id.into()]).await?.map(store).transpose()
}

/// How far the store with that id has come, for a reader who has seen the revision `seen`.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_head(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    seen: i64,
) -> Result<Option<FgaHead>, StoreError> {
    const FIND: &str = "SELECT revision, created_at,
             (SELECT COALESCE(MAX(number), 0) FROM fga_models m
              WHERE m.tenant_id = s.tenant_id AND m.store_id = s.store_id),
             COALESCE((SELECT txn FROM fga_log l WHERE l.tenant_id = s.tenant_id
              AND l.store_id = s.store_id AND l.revision = $3), ''), semantics
         FROM fga_stores s WHERE tenant_id = $1 AND store_id = $2";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), seen.into()]).await?;
    row.map(|mut row| {
        Ok(FgaHead {
            revision: row.take(0)?,
            created_at: row.take(1)?,
            model: row.take(2)?,
            seen_txn: row.take(3)?,
            semantics: row.take(4)?,
        })
    })
    .transpose()
}

/// The commit that a write was a part of, if the log has it.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_log_txn(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    revision: i64,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT txn FROM fga_log
         WHERE tenant_id = $1 AND store_id = $2 AND revision = $3";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), revision.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// The stores with that name, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_stores_by_name(
    storage: &Storage,
    tenant: &TenantId,
    name: &str,
) -> Result<Vec<FgaStoreRow>, StoreError> {
    const LIST: &str = select_stores!("AND name = $2 ORDER BY store_id LIMIT 100");
    storage.query(LIST, [tenant.into(), name.into()]).await?.into_iter().map(store).collect()
}

/// `limit` stores with an id greater than `after`, by id.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_stores(
    storage: &Storage,
    tenant: &TenantId,
    after: &str,
    limit: u32,
) -> Result<Vec<FgaStoreRow>, StoreError> {
    const LIST: &str = select_stores!("AND store_id > $2 ORDER BY store_id LIMIT $3");
    let params: [Value; 3] = [tenant.into(), after.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(store).collect()
}

/// Creates a store.
pub fn insert_store(tenant: &TenantId, store: &FgaStoreRow) -> Statement {
    Statement::new(
        "INSERT INTO fga_stores (tenant_id, store_id, name, subject, revision,
             created_at, updated_at, semantics)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(tenant)
    .bind(&store.store_id)
    .bind(&store.name)
    .bind(&store.subject)
    .bind(store.revision)
    .bind(store.created_at)
    .bind(store.updated_at)
    .bind(&store.semantics)
    .or_conflict("store exists")
}

/// Writes whose answers a store gives to checks.
pub fn set_semantics(tenant: &TenantId, store_id: &str, semantics: &str) -> Statement {
    Statement::new("UPDATE fga_stores SET semantics = $3 WHERE tenant_id = $1 AND store_id = $2")
        .bind(tenant)
        .bind(store_id)
        .bind(semantics)
        .expect_rows(1, "store is gone")
}

/// Writes a store's name and how people are named in it.
pub fn update_store(
    tenant: &TenantId,
    store_id: &str,
    name: &str,
    subject: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "UPDATE fga_stores SET name = $3, subject = $4, updated_at = $5
         WHERE tenant_id = $1 AND store_id = $2",
    )
    .bind(tenant)
    .bind(store_id)
    .bind(name)
    .bind(subject)
    .bind(now)
    .expect_rows(1, "store is gone")
}

/// Deletes a store with its models, their assertions and its log.
pub fn delete_store(tenant: &TenantId, store_id: &str) -> [Statement; 4] {
    let delete = |sql: &'static str| Statement::new(sql).bind(tenant).bind(store_id);
    [
        delete("DELETE FROM fga_stores WHERE tenant_id = $1 AND store_id = $2")
            .expect_rows(1, "store is gone"),
        delete("DELETE FROM fga_models WHERE tenant_id = $1 AND store_id = $2"),
        delete("DELETE FROM fga_assertions WHERE tenant_id = $1 AND store_id = $2"),
        delete("DELETE FROM fga_log WHERE tenant_id = $1 AND store_id = $2"),
    ]
}

/// The model with that id; with an empty id, the latest.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_model(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    model_id: &str,
) -> Result<Option<FgaModelRow>, StoreError> {
    const FIND: &str = "SELECT number, model_id, model FROM fga_models
         WHERE tenant_id = $1 AND store_id = $2 AND ($3 = '' OR model_id = $3)
         ORDER BY number DESC LIMIT 1";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), model_id.into()]).await?;
    row.map(model).transpose()
}

/// `limit` models with a number below `before`, newest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_models_before(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<FgaModelRow>, StoreError> {
    const LIST: &str = "SELECT number, model_id, model FROM fga_models
         WHERE tenant_id = $1 AND store_id = $2 AND number < $3 ORDER BY number DESC LIMIT $4";
    let params: [Value; 4] = [tenant.into(), store_id.into(), before.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(model).collect()
}

/// Every model of the store, oldest first.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_models(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
) -> Result<Vec<FgaModelRow>, StoreError> {
    const LIST: &str = "SELECT number, model_id, model FROM fga_models
         WHERE tenant_id = $1 AND store_id = $2 ORDER BY number";
    storage.query(LIST, [tenant.into(), store_id.into()]).await?.into_iter().map(model).collect()
}

/// `limit` models with a number below `before`, newest first, with who wrote them.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_model_versions(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    before: i64,
    limit: u32,
) -> Result<Vec<FgaModelVersionRow>, StoreError> {
    const LIST: &str = "SELECT number, model_id, actor, reason, created_at FROM fga_models
         WHERE tenant_id = $1 AND store_id = $2 AND number < $3 ORDER BY number DESC LIMIT $4";
    let params: [Value; 4] = [tenant.into(), store_id.into(), before.into(), limit.into()];
    let version = |mut row: Row| {
        Ok(FgaModelVersionRow {
            number: row.take(0)?,
            model_id: row.take(1)?,
            actor: row.take(2)?,
            reason: row.take(3)?,
            created_at: row.take(4)?,
        })
    };
    storage.query(LIST, params).await?.into_iter().map(version).collect()
}

/// The text that a model's author wrote; empty if there is none.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_model_source(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    model_id: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT source FROM fga_models
         WHERE tenant_id = $1 AND store_id = $2 AND model_id = $3";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), model_id.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Adds a model as the latest, written by `actor` (JSON) for `reason` as the text `source`;
/// `Conflict("model exists")` when another was faster.
pub fn insert_model(
    tenant: &TenantId,
    store_id: &str,
    model: &FgaModelRow,
    (actor, reason, source): (&str, &str, &str),
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO fga_models (tenant_id, store_id, number, model_id, model, actor, reason,
             source, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(tenant)
    .bind(store_id)
    .bind(model.number)
    .bind(&model.model_id)
    .bind(&model.model)
    .bind(actor)
    .bind(reason)
    .bind(source)
    .bind(now)
    .or_conflict("model exists")
}

/// `limit` writes after `revision`, in order.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_log(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    revision: i64,
    limit: u32,
) -> Result<Vec<FgaLogRow>, StoreError> {
    const LIST: &str = "SELECT revision, changes, actor, reason, txn, at FROM fga_log
         WHERE tenant_id = $1 AND store_id = $2 AND revision > $3 ORDER BY revision LIMIT $4";
    let params: [Value; 4] = [tenant.into(), store_id.into(), revision.into(), limit.into()];
    storage.query(LIST, params).await?.into_iter().map(log).collect()
}

/// The writes with these revisions, in order; those that the log does not have are left out.
///
/// # Errors
/// As [`Storage::query`].
pub async fn list_writes(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    revisions: &[i64],
) -> Result<Vec<FgaWriteRow>, StoreError> {
    const LIST: Sql = Sql::each(
        "SELECT revision, actor, reason, at FROM fga_log
         WHERE tenant_id = $1 AND store_id = $2
           AND revision IN (SELECT value FROM json_each($3)) ORDER BY revision",
        "SELECT revision, actor, reason, at FROM fga_log
         WHERE tenant_id = $1 AND store_id = $2
           AND revision IN (SELECT json_array_elements_text($3::json)::bigint) ORDER BY revision",
    );
    if revisions.is_empty() {
        return Ok(Vec::new());
    }
    let params: [Value; 3] = [tenant.into(), store_id.into(), Json::from(revisions).into()];
    let write = |mut row: Row| {
        Ok(FgaWriteRow {
            revision: row.take(0)?,
            actor: row.take(1)?,
            reason: row.take(2)?,
            at: row.take(3)?,
        })
    };
    storage.query(LIST, params).await?.into_iter().map(write).collect()
}

/// Appends a write: the head advances from `row.revision - 1`, or the unit is
/// `Conflict("store moved")`.
pub fn append_log(tenant: &TenantId, store_id: &str, row: &FgaLogRow) -> [Statement; 2] {
    [
        Statement::new(
            "UPDATE fga_stores SET revision = revision + 1
             WHERE tenant_id = $1 AND store_id = $2 AND revision = $3 - 1",
        )
        .bind(tenant)
        .bind(store_id)
        .bind(row.revision)
        .expect_rows(1, "store moved")
        .held_nowhere(),
        Statement::new(
            "INSERT INTO fga_log (tenant_id, store_id, revision, changes, actor, reason, txn, at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(tenant)
        .bind(store_id)
        .bind(row.revision)
        .bind(&row.changes)
        .bind(&row.actor)
        .bind(&row.reason)
        .bind(&row.txn)
        .bind(row.at)
        .held_nowhere(),
    ]
}

/// When the first write after `revision` happened, if there is one.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_log_time(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    revision: i64,
) -> Result<Option<Timestamp>, StoreError> {
    const FIND: &str = "SELECT at FROM fga_log
         WHERE tenant_id = $1 AND store_id = $2 AND revision > $3 ORDER BY revision LIMIT 1";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), revision.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// The assertions of a model as JSON, if any were written.
///
/// # Errors
/// As [`Storage::query`].
pub async fn find_assertions(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    model_id: &str,
) -> Result<Option<String>, StoreError> {
    const FIND: &str = "SELECT assertions FROM fga_assertions
         WHERE tenant_id = $1 AND store_id = $2 AND model_id = $3";
    let row = storage.find(FIND, [tenant.into(), store_id.into(), model_id.into()]).await?;
    row.map(|mut row| row.take(0)).transpose()
}

/// Writes the assertions of a model in place of those before.
pub fn put_assertions(
    tenant: &TenantId,
    store_id: &str,
    model_id: &str,
    assertions: &str,
    now: Timestamp,
) -> Statement {
    Statement::new(
        "INSERT INTO fga_assertions (tenant_id, store_id, model_id, assertions, updated_at)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, store_id, model_id)
         DO UPDATE SET assertions = excluded.assertions, updated_at = excluded.updated_at",
    )
    .bind(tenant)
    .bind(store_id)
    .bind(model_id)
    .bind(assertions)
    .bind(now)
}

/// Changes nothing; `Conflict("model replaced")` when the model is no longer the latest.
pub fn require_latest_model(tenant: &TenantId, store_id: &str, model_id: &str) -> Statement {
    Statement::new(
        "UPDATE fga_models SET model_id = model_id
         WHERE tenant_id = $1 AND store_id = $2 AND model_id = $3 AND number =
             (SELECT MAX(number) FROM fga_models WHERE tenant_id = $1 AND store_id = $2)",
    )
    .bind(tenant)
    .bind(store_id)
    .bind(model_id)
    .expect_rows(1, "model replaced")
}

/// Writes the assertions of a model in place of `before`, as they were read, none if there were
/// none; `Conflict("assertions changed")` when somebody else was faster.
pub fn swap_assertions(
    tenant: &TenantId,
    (store_id, model_id): (&str, &str),
    before: Option<&str>,
    assertions: &str,
    now: Timestamp,
) -> Statement {
    let statement = match before {
        Some(_) => Statement::new(
            "UPDATE fga_assertions SET assertions = $4, updated_at = $5
             WHERE tenant_id = $1 AND store_id = $2 AND model_id = $3 AND assertions = $6",
        ),
        None => Statement::new(
            "INSERT INTO fga_assertions (tenant_id, store_id, model_id, assertions, updated_at)
             VALUES ($1, $2, $3, $4, $5)",
        ),
    };
    let statement = statement.bind(tenant).bind(store_id).bind(model_id).bind(assertions).bind(now);
    match before {
        Some(before) => statement.bind(before).expect_rows(1, "assertions changed"),
        None => statement.or_conflict("assertions changed"),
    }
}
