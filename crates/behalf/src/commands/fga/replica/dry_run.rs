//! A copy that only looks: it reads the source as a copy does, asks the target what it would do, and
//! writes nothing, not even how far it came.

use std::collections::BTreeSet;

use anyhow::bail;
use behalf_core::Timestamp;
use http::StatusCode;
use serde_json::{Value, json};

use super::Replica;
use crate::commands::fga::state::StoreState;
use crate::server_client::ServerCall;

/// What was found out about the target.
#[derive(Debug, Default)]
pub(super) struct Trial {
    /// Stores that are not there yet, or lack a model: what fits cannot be asked.
    unlike: BTreeSet<String>,
}

impl Replica {
    /// The same, which only says what it would write.
    #[must_use]
    pub(in crate::commands::fga) fn only_looking(self) -> Self {
        Self { state: self.state.forgetful(), trial: Some(Trial::default()), ..self }
    }

    fn is_unlike(&self, store: &str) -> bool {
        self.trial.as_ref().is_some_and(|trial| trial.unlike.contains(store))
    }

    fn note_unlike(&mut self, store: &str) {
        if let Some(trial) = &mut self.trial {
            trial.unlike.insert(store.to_owned());
        }
    }

    /// Whether the store would be made.
    pub(super) async fn try_store(
        &mut self,
        store: &str,
        name: String,
        since: String,
    ) -> anyhow::Result<()> {
        if self.target.find_store(store).await?.is_none() {
            self.totals.stores = self.totals.stores.saturating_add(1);
            self.note_unlike(store);
        }
        let tuples_done = self.since.is_some();
        let since = self.since.map_or(since, Timestamp::to_rfc3339);
        let state = StoreState { name, since, tuples_done, ..StoreState::default() };
        self.state.state.stores.insert(store.to_owned(), state);
        Ok(())
    }

    /// Whether the model would be written.
    pub(super) async fn try_model(&mut self, store: &str, id: &str) -> anyhow::Result<()> {
        let path = ["stores", store, "authorization-models", id];
        let answer = self.target.call(&ServerCall::get(&path)).await?;
        match answer.status {
            StatusCode::NOT_FOUND => {
                self.totals.models = self.totals.models.saturating_add(1);
                self.note_unlike(store);
                Ok(())
            }
            _ => answer.json().map(drop),
        }
    }

    /// What a merge would do, in the form of its answer.
    pub(super) async fn try_changes(
        &self,
        store: &str,
        changes: &[Value],
    ) -> anyhow::Result<Value> {
        if self.is_unlike(store) {
            return Ok(json!({"written": changes.len()}));
        }
        let body = json!({"changes": changes, "copy": true, "dry_run": true});
        let call = ServerCall::post(&["stores", store, "behalf", "merge"], &body);
        let answer = self.target.call(&call).await?;
        if answer.status == StatusCode::NOT_FOUND {
            bail!("the target has OpenFGA's own routes only: it cannot say what it would do");
        }
        answer.json()
    }
}
