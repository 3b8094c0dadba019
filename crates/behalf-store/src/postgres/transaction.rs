//! One unit of work as one transaction.
//!
//! Statements that do not wait for each other's values are sent without waiting for their answers,
//! so most units cost two round trips: everything, then COMMIT.

use std::pin::pin;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::future::{join, join_all};
use futures_util::{StreamExt as _, TryStreamExt as _};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::error::{self, Failure};
use super::value::type_of;
use super::{OUTCOME_SEARCH, Postgres};
use crate::error::StoreError;
use crate::unit::{Committed, Param, Statement, UnitOfWork, resolve};
use crate::value::{Row, Value};

/// How often a unit is tried when others are in its way.
const ATTEMPTS: u32 = 8;
/// The pause after the first attempt; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(4);

/// Preconditions are re-checked under the row's lock, and whoever reads first waits for a turn, so
/// this level is enough; a stricter one would fail every second unit that waits.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";
/// The transaction's own number, by which its outcome is looked up when the answer is lost.
const NUMBER: &str = "SELECT pg_current_xact_id()::text";
/// The same, after everybody who had a turn has committed. Locking the row leaves no dead version.
const TURN: &str = "SELECT pg_current_xact_id()::text FROM turn FOR UPDATE";
const OUTCOME: &str = "SELECT pg_xact_status($1::text::xid8)";
/// Whether an event is stored: it waits in the outbox or is a leaf of a log.
const RECORDED: &str = "SELECT EXISTS (SELECT 1 FROM outbox WHERE tenant_id = $1 AND event_id = $2)
     OR EXISTS (SELECT 1 FROM leaves WHERE tenant_id = $1 AND event_id = $2)";

/// Stores `unit`, trying again while that may help.
pub(super) async fn commit(store: &Postgres, unit: &UnitOfWork) -> Result<Committed, StoreError> {
    let waits = needs_turn(unit);
    let _place = match waits {
        true => Some(store.shared.turn.acquire().await.map_err(|_closed| closed())?),
        false => None,
    };
    let _writer = store.shared.writers.acquire().await.map_err(|_closed| closed())?;
    let mut pause = FIRST_PAUSE;
    let mut attempt: u32 = 1;
    loop {
        let failure = match attempt_unit(store, unit, waits).await {
            Ok(committed) => return Ok(committed),
            Err(failure) => failure,
        };
        // A lost connection may be one that died in the pool: another is tried once.
        let is_worth_it = match &failure {
            Failure::Again(_) => attempt < ATTEMPTS,
            Failure::Lost(_) => attempt < 2,
            Failure::Constraint | Failure::Store(_) => false,
        };
        if !is_worth_it {
            return Err(failure.into_store());
        }
        tokio::time::sleep(pause).await;
        pause = pause.saturating_mul(2);
        attempt = attempt.saturating_add(1);
    }
}

/// True for a unit that records events, which must lie in the order of their commits, and for one
/// whose preconditions read rows that it does not write.
fn needs_turn(unit: &UnitOfWork) -> bool {
    let reads = |statement: &Statement| {
        statement.expected.is_some() && statement.sql.postgres().trim_start().starts_with("SELECT")
    };
    unit.first_event().is_some() || unit.statements.iter().any(reads)
}

async fn attempt_unit(
    store: &Postgres,
    unit: &UnitOfWork,
    waits: bool,
) -> Result<Committed, Failure> {
    let client = store.client().await?;
    let (number, committed) = match run(&client, unit, waits).await {
        Ok(done) => done,
        Err(failure) => {
            let is_ready = !failure.is_lost() && client.batch_execute("ROLLBACK").await.is_ok();
            if !is_ready {
                drop(Object::take(client));
            }
            return Err(failure);
        }
    };
    let Err(error) = client.batch_execute("COMMIT").await else { return Ok(committed) };
    drop(Object::take(client));
    match error::of(&error) {
        // The server says itself that it did not commit.
        failure @ (Failure::Again(_) | Failure::Constraint) => Err(failure),
        failure => match find_outcome(store, &number, unit).await {
            Some(true) => Ok(committed),
            Some(false) => Err(failure),
            None => Err(Failure::Store(StoreError::Unavailable {
                reason: format!(
                    "whether transaction {number} was stored is not known: {}",
                    failure.into_store()
                ),
                may_be_stored: true,
            })),
        },
    }
}

/// What became of a transaction whose COMMIT got no answer; `None` when that cannot be told.
async fn find_outcome(store: &Postgres, number: &str, unit: &UnitOfWork) -> Option<bool> {
    let search = async {
        loop {
            if let Ok(client) = store.client().await
                && let Ok(outcome) = look_up(&client, number, unit).await
            {
                match outcome {
                    Outcome::Stored => return Some(true),
                    Outcome::NotStored => return Some(false),
                    Outcome::Unknown => return None,
                    Outcome::Open => {}
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(OUTCOME_SEARCH, search).await.ok().flatten()
}

enum Outcome {
    Stored,
    NotStored,
    Open,
    Unknown,
}

/// That a transaction of that number committed does not say that it was ours: the number of one
/// that a crash swept away is given to another. An event of the unit's own says it.
async fn look_up(
    client: &Object,
    number: &str,
    unit: &UnitOfWork,
) -> Result<Outcome, tokio_postgres::Error> {
    let row = match client.query_one(OUTCOME, &[&number]).await {
        // The crash swept it away, and nobody has the number yet.
        Err(error) if error.code() == Some(&SqlState::INVALID_PARAMETER_VALUE) => {
            return Ok(Outcome::NotStored);
        }
        answer => answer?,
    };
    Ok(match row.try_get::<_, Option<String>>(0)?.as_deref() {
        Some("in progress") => Outcome::Open,
        Some("aborted") => Outcome::NotStored,
        Some("committed") => {
            let Some((tenant, id)) = unit.first_event() else { return Ok(Outcome::Unknown) };
            let row = client.query_one(RECORDED, &[&tenant.as_str(), id]).await?;
            if row.try_get(0)? { Outcome::Stored } else { Outcome::NotStored }
        }
        _ => Outcome::Unknown,
    })
}

/// Runs everything but the COMMIT; the transaction's number and what the statements returned.
async fn run(
    client: &Object,
    unit: &UnitOfWork,
    waits: bool,
) -> Result<(String, Committed), Failure> {
    let mut committed = Committed::default();
    let (first, mut rest) = split(&unit.statements);
    let first = prepare(client, first, &committed).await?;
    let first_lines = if waits { TURN } else { NUMBER };
    let first_lines = client.prepare_cached(first_lines).await.map_err(|e| error::of(&e))?;
    let begin = async {
        let (begun, number) =
            join(client.batch_execute(BEGIN), client.query_one(&first_lines, &[])).await;
        begun?;
        number?.try_get::<_, String>(0)
    };
    let (number, answers) = join(begin, send(client, &first)).await;
    let number = number.map_err(|e| error::of(&e))?;
    take(&first, answers, &mut committed)?;
    while !rest.is_empty() {
        let (next, later) = split(rest);
        let next = prepare(client, next, &committed).await?;
        let answers = send(client, &next).await;
        take(&next, answers, &mut committed)?;
        rest = later;
    }
    Ok((number, committed))
}

/// The statements that bind nothing which one among them returns, and the others.
fn split(statements: &[Statement]) -> (&[Statement], &[Statement]) {
    let mut returned: Vec<&'static str> = Vec::new();
    let waits = |statement: &Statement| {
        let waits = statement
            .params
            .iter()
            .any(|param| matches!(param, Param::Returned(name) if returned.contains(name)));
        returned.extend(statement.returning);
        waits
    };
    let ready = statements.iter().position(waits).unwrap_or(statements.len());
    statements.split_at(ready)
}

struct Prepared<'u> {
    statement: &'u Statement,
    text: tokio_postgres::Statement,
    params: Vec<Value>,
}

async fn prepare<'u>(
    client: &Object,
    statements: &'u [Statement],
    committed: &Committed,
) -> Result<Vec<Prepared<'u>>, Failure> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        let params = resolve(statement, committed)?;
        let text = prepare_one(client, statement.sql.postgres(), &params).await?;
        prepared.push(Prepared { statement, text, params });
    }
    Ok(prepared)
}

async fn prepare_one(
    client: &Object,
    sql: &'static str,
    params: &[Value],
) -> Result<tokio_postgres::Statement, Failure> {
    let types: Vec<Type> = params.iter().map(type_of).collect();
    let text = client.prepare_typed_cached(sql, &types).await.map_err(|e| error::of(&e))?;
    if text.params().len() != params.len() {
        let reason = "a statement has another number of parameters than it was given".to_owned();
        return Err(StoreError::Internal { reason }.into());
    }
    Ok(text)
}

type Answer = Result<(Vec<Row>, u64), tokio_postgres::Error>;

async fn send(client: &Object, prepared: &[Prepared<'_>]) -> Vec<Answer> {
    join_all(prepared.iter().map(|one| execute(client, &one.text, &one.params))).await
}

/// Goes through the answers in the order of the statements: the first that is wrong counts, as if
/// the later ones had not been sent.
fn take(
    prepared: &[Prepared<'_>],
    answers: Vec<Answer>,
    committed: &mut Committed,
) -> Result<(), Failure> {
    for (Prepared { statement, .. }, answer) in prepared.iter().zip(answers) {
        let (rows, touched) = answer.map_err(|error| match error::of(&error) {
            Failure::Constraint => Failure::Store(StoreError::Conflict { what: statement.unique }),
            failure => failure,
        })?;
        if let Some((expected, what)) = statement.expected
            && touched != expected
        {
            return Err(StoreError::Conflict { what }.into());
        }
        if let Some(name) = statement.returning {
            let value = match rows.into_iter().next() {
                Some(mut row) => row.take(0)?,
                None => Value::Null,
            };
            committed.values.insert(name, value);
        }
    }
    Ok(())
}

/// Runs a read by itself.
pub(super) async fn query(
    client: &Object,
    sql: &'static str,
    params: &[Value],
) -> Result<(Vec<Row>, u64), Failure> {
    let text = prepare_one(client, sql, params).await?;
    execute(client, &text, params).await.map_err(|error| error::of(&error))
}

async fn execute(client: &Object, text: &tokio_postgres::Statement, params: &[Value]) -> Answer {
    let mut stream = pin!(client.query_raw(text, params).await?);
    let rows = stream.by_ref().and_then(|row| std::future::ready(from_postgres(&row)));
    let rows = rows.try_collect().await?;
    Ok((rows, stream.rows_affected().unwrap_or_default()))
}

fn from_postgres(row: &tokio_postgres::Row) -> Result<Row, tokio_postgres::Error> {
    (0..row.len()).map(|column| row.try_get(column)).collect::<Result<_, _>>().map(Row::new)
}

fn closed() -> StoreError {
    StoreError::Internal { reason: "the database is closed".to_owned() }
}
