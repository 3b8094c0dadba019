//! One SQLite connection: how it is opened, and how values cross into and out of it.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value as SqliteValue, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, OpenFlags, ToSql, ffi};

use super::{DangerSynchronous, SqliteOptions};
use crate::error::StoreError;
use crate::value::{Row, Value};

/// Prepared statements kept by each connection.
const STATEMENT_CACHE: usize = 256;
/// Pages (of 4 KiB) that the log may hold before a commit moves them, should it come so far.
const AUTOCHECKPOINT_PAGES: i64 = 16_000;

pub(super) fn open_writer(path: &Path, options: SqliteOptions) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if options.vfs.is_none() {
        make_private(path)?;
    }
    let connection = open(path, flags, options)?;
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|e| driver(&e))?;
    if mode != "wal" {
        return Err(unavailable(&format!("the file system refuses WAL mode (it says `{mode}`)")));
    }
    set_up(&connection, options)?;
    connection
        .pragma_update(None, "wal_autocheckpoint", AUTOCHECKPOINT_PAGES)
        .map_err(|e| driver(&e))?;
    Ok(connection)
}

/// Makes the file, if it is absent, so that only its owner reads it: the folder may be one that
/// others can look into. SQLite gives the log beside it the same permissions.
fn make_private(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    file.map(|_made| ()).map_err(|error| unavailable(&format!("{}: {error}", path.display())))
}

pub(super) fn open_reader(path: &Path, options: SqliteOptions) -> Result<Connection, StoreError> {
    let connection = open_checkpointer(path, options)?;
    connection.pragma_update(None, "query_only", true).map_err(|e| driver(&e))?;
    Ok(connection)
}

/// For the thread that moves the log's pages.
pub(super) fn open_checkpointer(
    path: &Path,
    options: SqliteOptions,
) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = open(path, flags, options)?;
    set_up(&connection, options)?;
    Ok(connection)
}

fn open(path: &Path, flags: OpenFlags, options: SqliteOptions) -> Result<Connection, StoreError> {
    match options.vfs {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags, vfs),
        None => Connection::open_with_flags(path, flags),
    }
    .map_err(|e| driver(&e))
}

fn set_up(connection: &Connection, options: SqliteOptions) -> Result<(), StoreError> {
    let synchronous = match options.danger_synchronous {
        DangerSynchronous::Full => "FULL",
        DangerSynchronous::Normal => "NORMAL",
    };
    let set_up = || -> rusqlite::Result<()> {
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        // A schema from a hostile file must not reach functions with side effects.
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
        Ok(())
    };
    set_up().map_err(|e| driver(&e))
}

/// Runs `sql` and returns its rows.
pub(super) fn query(
    connection: &Connection,
    sql: &'static str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    let mut statement = prepare(connection, sql)?;
    bind(&mut statement, params)?;
    fetch(&mut statement).map_err(|e| driver(&e))
}

/// Runs `sql` and returns its rows and how many rows it changed.
pub(super) fn execute(
    connection: &Connection,
    sql: &'static str,
    params: &[Value],
) -> Result<(Vec<Row>, u64), Failure> {
    let mut statement = prepare(connection, sql)?;
    bind(&mut statement, params)?;
    let is_readonly = statement.readonly();
    let rows = fetch(&mut statement).map_err(|e| Failure::of(&e))?;
    let touched = if is_readonly { rows.len() as u64 } else { connection.changes() };
    Ok((rows, touched))
}

/// Why a statement of a unit failed.
pub(super) enum Failure {
    /// A unique key, a primary key or a foreign key stands against it.
    Constraint,
    /// Anything else.
    Store(StoreError),
}

impl Failure {
    fn of(error: &rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(cause) if is_key_violation(cause) => Self::Constraint,
            _ => Self::Store(driver(error)),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const fn is_key_violation(error: &ffi::Error) -> bool {
    matches!(
        error.extended_code,
        ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_FOREIGNKEY
    )
}

fn prepare<'c>(
    connection: &'c Connection,
    sql: &'static str,
) -> Result<CachedStatement<'c>, StoreError> {
    // In SQLite a bare `$1` is a *named* parameter, numbered by first appearance; `?1` is not.
    connection.prepare_cached(&sql.replace('$', "?")).map_err(|e| driver(&e))
}

fn bind(statement: &mut CachedStatement<'_>, params: &[Value]) -> Result<(), StoreError> {
    if statement.parameter_count() != params.len() {
        return Err(internal("a statement has another number of parameters than it was given"));
    }
    for (index, value) in params.iter().enumerate() {
        statement.raw_bind_parameter(index.saturating_add(1), value).map_err(|e| driver(&e))?;
    }
    Ok(())
}

fn fetch(statement: &mut CachedStatement<'_>) -> rusqlite::Result<Vec<Row>> {
    let columns = statement.column_count();
    let mut rows = statement.raw_query();
    let mut fetched = Vec::new();
    while let Some(row) = rows.next()? {
        let values = (0..columns)
            .map(|column| row.get_ref(column).map(from_sqlite))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        fetched.push(Row::new(values));
    }
    Ok(fetched)
}

fn from_sqlite(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(v) => Value::Int(v),
        ValueRef::Real(v) => Value::Real(v),
        ValueRef::Text(v) => match std::str::from_utf8(v) {
            Ok(text) => Value::Text(text.to_owned()),
            // Not text that we wrote; as a blob it fails the column's type, which says `Corrupt`.
            Err(_) => Value::Blob(v.to_vec()),
        },
        ValueRef::Blob(v) => Value::Blob(v.to_vec()),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(SqliteValue::Null),
            Self::Int(v) => ToSqlOutput::Owned(SqliteValue::Integer(*v)),
            Self::Real(v) => ToSqlOutput::Owned(SqliteValue::Real(*v)),
            Self::Text(v) => ToSqlOutput::Borrowed(ValueRef::Text(v.as_bytes())),
            Self::Blob(v) => ToSqlOutput::Borrowed(ValueRef::Blob(v)),
            Self::Json(v) => ToSqlOutput::Owned(SqliteValue::Text(v.to_string())),
        })
    }
}

/// Sorts an error of the engine into ours.
pub(crate) fn driver(error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(
            ErrorCode::DiskFull
            | ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => unavailable(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Corrupt { what: error.to_string() }
        }
        _ => internal(&error.to_string()),
    }
}

pub(super) fn unavailable(reason: &impl ToString) -> StoreError {
    StoreError::unavailable(reason.to_string())
}

pub(super) fn internal(reason: &str) -> StoreError {
    StoreError::Internal { reason: reason.to_owned() }
}
