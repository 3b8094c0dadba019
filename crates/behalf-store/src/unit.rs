//! The unit of work: what belongs together is written together, with the events that record it.

use std::collections::BTreeMap;

use behalf_core::{Event, Rng, TenantId, Timestamp, new_ulid};

use crate::error::StoreError;
use crate::value::Value;

/// A statement's text for both engines, with `$n` parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sql {
    pub(crate) sqlite: &'static str,
    pub(crate) postgres: &'static str,
}

impl Sql {
    /// Texts that differ between the engines, side by side.
    pub const fn each(sqlite: &'static str, postgres: &'static str) -> Self {
        Self { sqlite, postgres }
    }

    /// The text for PostgreSQL.
    pub const fn postgres(self) -> &'static str {
        self.postgres
    }
}

impl From<&'static str> for Sql {
    fn from(common: &'static str) -> Self {
        Self { sqlite: common, postgres: common }
    }
}

/// A parameter: a value, or what an earlier statement of the unit returned.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Param {
    Value(Value),
    Returned(&'static str),
}

/// A statement of a unit of work.
#[derive(Clone, Debug)]
#[must_use = "a statement does nothing until it is added to a unit of work"]
pub struct Statement {
    pub(crate) sql: Sql,
    pub(crate) params: Vec<Param>,
    pub(crate) expected: Option<(u64, &'static str)>,
    pub(crate) unique: &'static str,
    pub(crate) returning: Option<&'static str>,
    pub(crate) is_held_nowhere: bool,
}

impl Statement {
    /// The statement `sql` without parameters yet.
    pub fn new(sql: impl Into<Sql>) -> Self {
        Self {
            sql: sql.into(),
            params: Vec::new(),
            expected: None,
            unique: "already exists",
            returning: None,
            is_held_nowhere: false,
        }
    }

    /// Binds the next `$n` to `value`.
    pub fn bind(mut self, value: impl Into<Value>) -> Self {
        self.params.push(Param::Value(value.into()));
        self
    }

    /// Binds the next `$n` to what an earlier statement of the unit returned under `name`.
    pub fn bind_returned(mut self, name: &'static str) -> Self {
        self.params.push(Param::Returned(name));
        self
    }

    /// The unit fails with `Conflict { what }` unless the statement touches (or, for a SELECT,
    /// finds) exactly `rows` rows. A version check is an UPDATE with `… AND version = $n` and one.
    pub const fn expect_rows(mut self, rows: u64, what: &'static str) -> Self {
        self.expected = Some((rows, what));
        self
    }

    /// What a `Conflict` is called when a unique key exists already.
    pub const fn or_conflict(mut self, what: &'static str) -> Self {
        self.unique = what;
        self
    }

    /// Keeps the first column of the first row (`RETURNING …`) under `name`, for later statements
    /// and for [`Committed::value`].
    pub const fn returning(mut self, name: &'static str) -> Self {
        self.returning = Some(name);
        self
    }

    /// Nothing that the statement writes is [`Held`](crate::Held) in memory: what is stays, however
    /// often this is written.
    pub const fn held_nowhere(mut self) -> Self {
        self.is_held_nowhere = true;
        self
    }
}

/// Statements and events that are stored together or not at all.
#[derive(Clone, Debug)]
pub struct UnitOfWork {
    id: String,
    now: Timestamp,
    pub(crate) statements: Vec<Statement>,
    events: usize,
    first_event: Option<(TenantId, String)>,
}

impl UnitOfWork {
    /// An empty unit that happens at `now`; its events get ids of its own.
    pub fn new(now: Timestamp, rng: &dyn Rng) -> Self {
        let (id, statements) = (new_ulid(now, rng), Vec::new());
        Self { id, now, statements, events: 0, first_event: None }
    }

    /// The unit's own id, which the ids of its events begin with.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// When the unit happens.
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Adds a statement.
    pub fn add(&mut self, statement: Statement) {
        self.statements.push(statement);
    }

    /// Records `event` in the same commit and returns the id that its record will have.
    pub fn record(&mut self, event: &Event) -> String {
        let id = format!("{}{:02}", self.id, self.events);
        self.events = self.events.saturating_add(1);
        self.put(id.clone(), event);
        id
    }

    /// Records the event of a write that shares this commit with others; `write_id` is the write's
    /// own ULID, which the event's id begins with.
    pub fn record_of(&mut self, write_id: &str, event: &Event) {
        self.put(format!("{write_id}00"), event);
    }

    fn put(&mut self, id: String, event: &Event) {
        self.statements.push(crate::outbox::insert(&id, self.now, event));
        self.first_event.get_or_insert_with(|| (event.tenant.clone(), id));
    }

    /// The tenant and the id of the first event that it records, if it records any.
    pub(crate) const fn first_event(&self) -> Option<&(TenantId, String)> {
        self.first_event.as_ref()
    }

    /// True when there is nothing to store.
    pub const fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }
}

/// The statement's parameters, with the values that earlier statements returned.
pub(crate) fn resolve(
    statement: &Statement,
    committed: &Committed,
) -> Result<Vec<Value>, StoreError> {
    let missing = |name: &str| StoreError::Internal {
        reason: format!("no earlier statement of the unit returned `{name}`"),
    };
    statement
        .params
        .iter()
        .map(|param| match param {
            Param::Value(value) => Ok(value.clone()),
            Param::Returned(name) => {
                committed.values.get(name).cloned().ok_or_else(|| missing(name))
            }
        })
        .collect()
}

/// What a committed unit's statements returned.
#[derive(Clone, Debug, Default)]
pub struct Committed {
    pub(crate) values: BTreeMap<&'static str, Value>,
}

impl Committed {
    /// The value returned under `name`, as a `T`.
    ///
    /// # Errors
    /// `Corrupt` when no statement returned such a value.
    pub fn value<T: crate::FromValue>(&self, name: &'static str) -> Result<T, StoreError> {
        self.values
            .get(name)
            .cloned()
            .and_then(T::from_value)
            .ok_or_else(|| StoreError::Corrupt { what: format!("returned value `{name}`") })
    }
}
