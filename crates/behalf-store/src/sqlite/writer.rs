//! The writer's thread: takes what is queued, runs each unit in a savepoint, syncs once.

use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::checkpoint::Checkpoints;
use super::connection::{self, Failure};
use crate::error::StoreError;
use crate::unit::{Committed, UnitOfWork, resolve};
use crate::value::Value;

/// Units that share one commit at most, so that the first of them does not wait for ever.
const GROUP: usize = 256;

/// What the writer is asked to do.
#[derive(Debug)]
pub(super) enum Job {
    /// Store the unit.
    Commit { unit: UnitOfWork, reply: oneshot::Sender<Result<Committed, StoreError>> },
    /// Store what came before, then close.
    Close { reply: oneshot::Sender<()> },
}

type Reply = oneshot::Sender<Result<Committed, StoreError>>;

/// Serves `queue` until it is closed. It leaves by returning only, so a dropped reply always means
/// that the unit was not acknowledged.
pub(super) fn run(
    connection: Connection,
    mut checkpoints: Checkpoints,
    mut queue: mpsc::Receiver<Job>,
    version: &AtomicU64,
) {
    while let Some(job) = queue.blocking_recv() {
        let mut group = Vec::new();
        let mut closing = None;
        let mut next = Some(job);
        while let Some(job) = next {
            match job {
                Job::Commit { unit, reply } => group.push((unit, reply)),
                Job::Close { reply } => {
                    closing = Some(reply);
                    break;
                }
            }
            next = if group.len() < GROUP { queue.try_recv().ok() } else { None };
        }
        commit_group(&connection, group, version);
        checkpoints.after_group(&connection);
        if let Some(reply) = closing {
            queue.close();
            // Whoever waits may put another file in the database's place next.
            checkpoints.close();
            drop(connection);
            if reply.send(()).is_err() {
                tracing::debug!("nobody waits for the database to close");
            }
            return;
        }
    }
}

fn commit_group(connection: &Connection, group: Vec<(UnitOfWork, Reply)>, version: &AtomicU64) {
    if group.is_empty() {
        return;
    }
    let statements = || group.iter().flat_map(|(unit, _reply)| &unit.statements);
    let is_new = !statements().all(|statement| statement.is_held_nowhere);
    let mut done: Vec<(Reply, Result<Committed, StoreError>)> = Vec::with_capacity(group.len());
    let outcome = batch(connection, "BEGIN IMMEDIATE").and_then(|()| {
        for (unit, reply) in group {
            let result = run_unit(connection, &unit);
            done.push((reply, result));
            if connection.is_autocommit() {
                // The engine rolled the whole transaction back (disk full, say), so earlier units
                // of the group are gone too.
                return Err(lost());
            }
        }
        batch(connection, "COMMIT")
    });
    if let Err(error) = &outcome {
        tracing::error!(%error, "a group of writes was not stored");
        if !connection.is_autocommit()
            && let Err(error) = batch(connection, "ROLLBACK")
        {
            tracing::error!(%error, "the writer could not roll back");
        }
    }
    // Whatever became of it, and before anybody hears: see `Storage::version`.
    if is_new {
        version.fetch_add(1, Ordering::Release);
    }
    for (reply, result) in done {
        let result = match (&outcome, result) {
            (Err(group_error), Ok(_)) => Err(group_error.clone()),
            (_, result) => result,
        };
        if reply.send(result).is_err() {
            tracing::debug!("the caller of a write has gone");
        }
    }
}

fn lost() -> StoreError {
    StoreError::unavailable("the transaction was rolled back")
}

fn run_unit(connection: &Connection, unit: &UnitOfWork) -> Result<Committed, StoreError> {
    batch(connection, "SAVEPOINT unit")?;
    let result = run_statements(connection, unit);
    if connection.is_autocommit() {
        return result.and_then(|_| Err(lost()));
    }
    if result.is_err() {
        batch(connection, "ROLLBACK TO unit")?;
    }
    batch(connection, "RELEASE unit")?;
    result
}

fn run_statements(connection: &Connection, unit: &UnitOfWork) -> Result<Committed, StoreError> {
    let mut committed = Committed::default();
    for statement in &unit.statements {
        let params = resolve(statement, &committed)?;
        let (rows, touched) = connection::execute(connection, statement.sql.sqlite, &params)
            .map_err(|failure| match failure {
                Failure::Constraint => StoreError::Conflict { what: statement.unique },
                Failure::Store(error) => error,
            })?;
        if let Some((expected, what)) = statement.expected
            && touched != expected
        {
            return Err(StoreError::Conflict { what });
        }
        if let Some(name) = statement.returning {
            let value = match rows.into_iter().next() {
                Some(mut row) => row.take(0)?,
                None => Value::Null,
            };
            committed.values.insert(name, value);
        }
    }
    Ok(committed)
}

fn batch(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(|_rows| ())
        .map_err(|error| connection::driver(&error))
}
