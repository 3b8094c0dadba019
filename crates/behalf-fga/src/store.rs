//! A store's tuples in memory: one writer, any number of readers, one revision per request.
//!
//! # Structure
//! Names are interned: types, relations, and object ids per type, each to a dense number. A tuple
//! lives in the table of its class, (object type, relation, subject class), where the subject class
//! is a type, a type's wildcard, or a userset `type#relation`; so a model's type restrictions pick
//! tables and a table needs no type in its edges. Each table has the edges both ways: object →
//! subjects and subject → objects. What a tuple under a condition or for a time depends on is
//! in a map beside them, and its edges say so; equal guards are kept once.
//!
//! # Versions
//! A [`Snapshot`] is immutable. Rows and names are in pages of 64 that versions share; a write
//! copies the pages it touches and the pointers above them, never the store. Rows with more than a
//! few hundred edges are split in chunks, so a hub costs no more to change than another row. This
//! was chosen over a large base with a delta because reads need no second probe and there is no
//! merge to schedule; the price is about 2 bytes per row. A group closure can be added per table as
//! one more shared structure kept in [`Snapshot`] by the same writer.
//!
//! Readers hold an `Arc<Snapshot>` and take no lock. There are no result caches.

mod changes;
mod codec;
mod fetch;
mod guards;
mod history;
mod names;
mod paged;
mod read;
mod rows;
mod snapshot;
mod write;

pub use changes::Change;
pub use codec::{SnapshotError, SnapshotReader};
pub use history::History;
pub use read::TupleFilter;
pub use snapshot::{Footprint, Revision, Snapshot};
pub use write::{
    DeleteKey, MAX_CONDITION_CONTEXT_BYTES, MAX_TUPLES_PER_WRITE, OnConflict, WriteRequest,
};

pub(crate) use fetch::Fetch;
pub(crate) use names::SCRATCH;
pub(crate) use rows::{Edge, Row};
pub(crate) use snapshot::{Identity, SubjectKind, TableKey};

use std::sync::Arc;

use crate::engine::StoreModel;
use crate::error::WriteError;
use crate::model::{AuthorizationModel, InvalidModel};
use crate::tuple::TupleKey;

/// The writer's side of a store.
///
/// The service that owns it serialises writes, and publishes [`FgaStore::snapshot`] to readers
/// after each one.
#[derive(Debug, Default)]
pub struct FgaStore {
    head: Arc<Snapshot>,
}

impl FgaStore {
    /// An empty store at revision 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store that goes on from a version that was read back. Models are bound to it anew.
    pub fn from_snapshot(snapshot: Snapshot) -> Self {
        Self { head: Arc::new(snapshot) }
    }

    /// The newest version.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.head)
    }

    /// Checks a model, compiles it, and binds it to this store's numbers.
    ///
    /// Binding does not advance the revision. Models stay usable with every later snapshot.
    ///
    /// # Errors
    /// When the model breaks a rule of the type system or a condition does not compile.
    pub fn add_model(
        &mut self,
        model: AuthorizationModel,
    ) -> Result<Arc<StoreModel>, InvalidModel> {
        let head = Arc::make_mut(&mut self.head);
        StoreModel::bind(model, head).map(Arc::new)
    }

    /// Validates a write against a model and the newest version, without applying it.
    ///
    /// The result is what [`FgaStore::apply`] takes; tuples that `ignore` skips are not in it.
    ///
    /// # Errors
    /// The first rule of OpenFGA's Write that the request breaks.
    pub fn plan_write(
        &self,
        model: &StoreModel,
        request: &WriteRequest,
    ) -> Result<Vec<Change>, WriteError> {
        write::plan(&self.head, model, request)
    }

    /// As [`FgaStore::plan_write`] for many tuples to add: those that exist are passed over, and of
    /// several with one key the last counts. How many there may be is for the caller to say.
    ///
    /// # Errors
    /// As [`FgaStore::plan_write`].
    pub fn plan_import(
        &self,
        model: &StoreModel,
        tuples: Vec<TupleKey>,
        now_micros: Option<i64>,
    ) -> Result<Vec<Change>, WriteError> {
        write::plan_import(&self.head, model, tuples, now_micros)
    }

    /// Applies changes in order, as one new revision.
    ///
    /// A change that is already in effect changes nothing, so a log can be replayed.
    ///
    /// # Errors
    /// When a field has no parts, or the store has run out of numbers; nothing is applied then.
    pub fn apply(&mut self, changes: &[Change]) -> Result<Revision, WriteError> {
        let next = self.head.with_changes(changes)?;
        let revision = next.revision();
        self.head = Arc::new(next);
        Ok(revision)
    }

    /// As [`FgaStore::apply`], in place: cheaper for a long log, of which nobody needs the versions
    /// between.
    ///
    /// # Errors
    /// As [`FgaStore::apply`]; but a part may be applied then, and the store must be given up.
    pub fn replay(&mut self, changes: &[Change]) -> Result<Revision, WriteError> {
        let head = Arc::make_mut(&mut self.head);
        head.apply(changes)?;
        Ok(head.revision())
    }

    /// Validates and applies: [`FgaStore::plan_write`], then [`FgaStore::apply`].
    ///
    /// # Errors
    /// Those of the two.
    pub fn write(
        &mut self,
        model: &StoreModel,
        request: &WriteRequest,
    ) -> Result<Revision, WriteError> {
        let changes = self.plan_write(model, request)?;
        self.apply(&changes)
    }
}
