//! Exports: which records, recorded as an event of its own; and the bundle, made again from the log
//! whenever it is fetched.

mod bundle;

use behalf_core::{Actor, Event, EventKind, ProjectId, Timestamp, new_ulid};
use behalf_store::ledger::exports::{self, ExportRow};
use behalf_store::ledger::leaves;

use crate::Ledger;
use crate::error::LedgerError;
use crate::sequencer::as_row_number;

/// The most records of one export.
pub const EXPORT_RECORDS_MAX: i64 = 1_000_000;

/// What is to be exported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportRequest {
    /// The project whose log it is of.
    pub project: ProjectId,
    /// Not earlier than this.
    pub from: Option<Timestamp>,
    /// Earlier than this.
    pub to: Option<Timestamp>,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub request: ExportRequest,
    /// The first record's place in the log.
    pub first: u64,
    /// How many records there are: a run without gaps, so that a missing line shows.
    pub count: u64,
    /// How many leaves the tree has that the bundle is checked against.
    pub tree_size: u64,
    /// Who asked.
    pub actor: Actor,
    /// When.
    pub created_at: Timestamp,
}

impl Ledger {
    /// Exports the records of a window: everything that was committed before is in, and that it was
    /// exported is an event itself.
    ///
    /// # Errors
    /// `NotFound` when the project has no log, `Window` when the window is none.
    pub async fn export(
        &self,
        request: &ExportRequest,
        actor: &Actor,
    ) -> Result<Export, LedgerError> {
        let ExportRequest { project, from, to } = request;
        if from.zip(*to).is_some_and(|(from, to)| from >= to) {
            return Err(LedgerError::Window("the window ends before it begins".to_owned()));
        }
        self.flush().await?;
        let checkpoint = self.checkpoint(project).await?;
        let size = as_row_number(checkpoint.size)?;
        let span = match (from, to) {
            (None, None) => Some((0, size)),
            _ => leaves::span(self.storage(), self.tenant(), project, size, *from, *to).await?,
        };
        let (first, end) = span.unwrap_or((0, 0));
        let count = end.saturating_sub(first);
        if count > EXPORT_RECORDS_MAX {
            let text = format!(
                "the window holds {count} records; one export holds at most {EXPORT_RECORDS_MAX}"
            );
            return Err(LedgerError::Window(text));
        }
        let now = self.now();
        let row = ExportRow {
            export_id: new_ulid(now, self.rng()),
            project_id: project.clone(),
            tree_size: size,
            first_leaf: first,
            leaf_count: count,
            from_at: *from,
            to_at: *to,
            actor: serde_json::to_string(actor).unwrap_or_default(),
            created_at: now,
        };
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
        let mut event = Event::new(self.tenant(), EventKind::RecordsExported, actor.clone())
            .with("export_id", row.export_id.as_str())
            .with("from", time(*from))
            .with("to", time(*to))
            .with("first_entry", first)
            .with("record_count", count)
            .with("tree_size", size);
        event.project = project.clone();
        let mut unit = self.unit();
        unit.add(exports::insert(self.tenant(), &row));
        unit.record(&event);
        self.storage().commit(unit).await?;
        export(row)
    }

    /// The export of that id.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub async fn load_export(&self, id: &str) -> Result<Export, LedgerError> {
        let row = exports::find(self.storage(), self.tenant(), id).await?;
        export(row.ok_or(LedgerError::NotFound)?)
    }

    /// The latest exports before the one of id `before`, the latest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_exports(&self, before: &str, limit: u32) -> Result<Vec<Export>, LedgerError> {
        let rows = exports::list(self.storage(), self.tenant(), before, limit).await?;
        rows.into_iter().map(export).collect()
    }
}

fn export(row: ExportRow) -> Result<Export, LedgerError> {
    let number = |number: i64| {
        u64::try_from(number)
            .map_err(|_range| LedgerError::fault("an export has a negative number"))
    };
    Ok(Export {
        id: row.export_id,
        request: ExportRequest { project: row.project_id, from: row.from_at, to: row.to_at },
        first: number(row.first_leaf)?,
        count: number(row.leaf_count)?,
        tree_size: number(row.tree_size)?,
        actor: serde_json::from_str(&row.actor)
            .map_err(|_unknown| LedgerError::fault("an export's actor cannot be read"))?,
        created_at: row.created_at,
    })
}
