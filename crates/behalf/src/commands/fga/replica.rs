//! A copy of the stores of another server: their models and assertions, their tuples, and then what
//! their logs say has changed since. It can be stopped at any time and goes on where it was.
//!
//! The log is read from a time before the first tuple was read. What was written meanwhile comes
//! twice, or in an order of its own, and is taken in as it is in the end: of each tuple the last
//! change counts, and a copy that has caught up equals the original.

mod dry_run;
mod plain;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, bail};
use behalf_core::{Timestamp, counted, grouped};
use http::{StatusCode, header};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::state::{StateFile, StoreState};
use crate::output::{complain, plain};
use crate::server_client::{ServerAnswer, ServerCall, ServerClient, is_ulid};
use dry_run::Trial;

/// Items of a page; OpenFGA gives no more.
const PAGE: &str = "100";
/// Changes that are taken in together.
const BATCH: usize = 1_000;
/// The same in bytes; a request has at most 616,448.
const BATCH_BYTES: usize = 400_000;
/// Tuples that fit no model and are told.
const MAX_TOLD: u64 = 100;
/// How far before the source's time its log is read from: its nodes' clocks may differ.
const MARGIN: Duration = Duration::from_mins(1);
/// How often a call to the source is made, and how long the first pause between is.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(200);
/// Names that Behalf's own stores have.
const OWN_NAMES: [&str; 2] = ["behalf", "documents"];

/// What was copied since the command began.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) stores: u64,
    pub(super) models: u64,
    pub(super) assertions: u64,
    pub(super) tuples: u64,
    pub(super) changes: u64,
    /// Tuples written and deleted here.
    pub(super) written: u64,
    pub(super) refused: u64,
}

/// A copy under way.
pub(super) struct Replica {
    source: ServerClient,
    target: ServerClient,
    /// Only what changed from this time on is copied.
    since: Option<Timestamp>,
    /// The stores to copy; every store when there is none.
    stores: Vec<String>,
    state: StateFile,
    bar: ProgressBar,
    is_quiet: bool,
    /// What is known of the target, if nothing is to be written there.
    trial: Option<Trial>,
    pub(super) totals: Totals,
}

impl Replica {
    pub(super) fn new(
        source: ServerClient,
        target: ServerClient,
        stores: Vec<String>,
        state: StateFile,
    ) -> anyhow::Result<Self> {
        if let Some(wrong) = stores.iter().find(|store| !is_ulid(store)) {
            bail!("`{wrong}` is no store's id");
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        let (since, is_quiet, trial, totals) = (None, false, None, Totals::default());
        Ok(Self { source, target, since, stores, state, bar, is_quiet, trial, totals })
    }

    /// The same, of the changes from this time on only.
    #[must_use]
    pub(super) fn since(self, since: Option<Timestamp>) -> Self {
        Self { since, ..self }
    }

    /// The same, which says beside this bar what it says, and nothing of how far it is.
    #[must_use]
    pub(super) fn beside(self, bar: &ProgressBar) -> Self {
        Self { bar: bar.clone(), is_quiet: true, ..self }
    }

    /// The stores of which every tuple was read.
    pub(super) fn copied(&self) -> BTreeSet<String> {
        let stores = self.state.state.stores.iter().filter(|(_, store)| store.tuples_done);
        stores.map(|(id, _)| id.clone()).collect()
    }

    /// Says something beside the progress.
    pub(super) fn tell(&self, text: &str) {
        let text = plain(text);
        self.bar.suspend(|| complain!("{text}"));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Copies what is missing, up to the end of each store's log; true if there was anything.
    ///
    /// # Errors
    /// When the source or the target fails; the next round goes on.
    pub(super) async fn round(&mut self) -> anyhow::Result<bool> {
        let before = self.totals;
        for store in self.list().await? {
            self.copy(&store).await.with_context(|| format!("store {store}"))?;
        }
        let Totals { models, tuples, changes, stores, .. } = self.totals;
        Ok((models, tuples, changes, stores)
            != (before.models, before.tuples, before.changes, before.stores))
    }

    async fn list(&self) -> anyhow::Result<Vec<String>> {
        if !self.stores.is_empty() {
            return Ok(self.stores.clone());
        }
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let call = ServerCall::get(&["stores"]).query("page_size", PAGE);
            let page = self.ask(&call.query("continuation_token", &token)).await;
            let page = page.context("the stores cannot be listed; --from-store names one")?;
            let stores = page.get("stores").and_then(Value::as_array).into_iter().flatten();
            ids.extend(stores.map(|store| text(store, "id").to_owned()));
            let next = text(&page, "continuation_token");
            if next.is_empty() || next == token {
                break;
            }
            next.clone_into(&mut token);
        }
        match ids.iter().find(|id| !is_ulid(id)) {
            Some(wrong) => bail!("the source names a store `{wrong}`, which is no store's id"),
            None => Ok(ids),
        }
    }

    async fn copy(&mut self, store: &str) -> anyhow::Result<()> {
        let is_new = !self.state.state.stores.contains_key(store);
        if is_new {
            self.begin(store).await?;
        }
        let is_first = !self.state.of(store)?.tuples_done;
        self.models(store).await?;
        if is_first {
            self.all_assertions(store).await?;
            self.tuples(store).await?;
            // Its log would say again what was read just now.
            if self.trial.is_some() {
                return Ok(());
            }
        }
        self.changes(store).await
    }

    /// Makes the store, and notes from when on its log is to be read.
    async fn begin(&mut self, store: &str) -> anyhow::Result<()> {
        let answer = self.call(&ServerCall::get(&["stores", store])).await?;
        let name = text(&answer.json()?, "name").to_owned();
        let now = source_time(&answer).context("the source says no time (`Date`)")?;
        let since = now.minus(MARGIN).to_rfc3339();
        let mut own_name = name.clone();
        if OWN_NAMES.contains(&name.as_str())
            && self.target.find_store(&name).await?.is_some_and(|other| other != store)
        {
            // Two stores of these names would be an error in a set-up file.
            own_name.push_str("-imported");
            self.tell(&format!(
                "store {store}: `{name}` is here already, so it becomes `{own_name}`"
            ));
        }
        if self.trial.is_some() {
            return self.try_store(store, name, since).await;
        }
        let path = ["stores", store, "behalf", "store"];
        let made = self.target.call(&ServerCall::put(&path, &json!({"name": own_name}))).await?;
        // A server with OpenFGA's own routes only must have the store: it cannot be given an id.
        let is_plain = made.status == StatusCode::NOT_FOUND;
        if is_plain {
            let there = self.target.ask(&ServerCall::get(&["stores", store])).await;
            there.context("the target takes no ids, so it must have the store")?;
        } else {
            made.json()?;
        }
        if made.status == StatusCode::CREATED {
            self.totals.stores = self.totals.stores.saturating_add(1);
        }
        let tuples_done = self.since.is_some();
        let since = self.since.map_or(since, Timestamp::to_rfc3339);
        let state = StoreState { name, since, is_plain, tuples_done, ..StoreState::default() };
        self.state.state.stores.insert(store.to_owned(), state);
        self.state.save()
    }

    /// Writes the models that the target does not have, oldest first, under their ids.
    async fn models(&mut self, store: &str) -> anyhow::Result<()> {
        let known = self.state.of(store)?.latest_model.clone();
        let mut missing = Vec::new();
        let mut token = String::new();
        let path = ["stores", store, "authorization-models"];
        'pages: loop {
            // Most rounds find nothing new: then one model is enough to see it.
            let size = if known.is_empty() || !missing.is_empty() { "50" } else { "1" };
            let call = ServerCall::get(&path).query("page_size", size);
            let page = self.ask(&call.query("continuation_token", &token)).await?;
            let models = page.get("authorization_models").and_then(Value::as_array);
            for model in models.into_iter().flatten() {
                let id = text(model, "id");
                if id == known {
                    break 'pages;
                }
                if !is_ulid(id) {
                    bail!("the source names a model `{id}`, which is no model's id");
                }
                missing.push(id.to_owned());
            }
            let next = text(&page, "continuation_token");
            if next.is_empty() || next == token {
                break;
            }
            next.clone_into(&mut token);
        }
        let newest = missing.first().cloned();
        // Only their ids were kept: there may be thousands.
        while let Some(id) = missing.pop() {
            self.model(store, &id, newest.as_ref() == Some(&id)).await?;
            self.state.of(store)?.latest_model.clone_from(&id);
            self.state.save()?;
        }
        Ok(())
    }

    async fn model(&mut self, store: &str, id: &str, is_newest: bool) -> anyhow::Result<()> {
        if self.trial.is_some() {
            return self.try_model(store, id).await;
        }
        let path = ["stores", store, "authorization-models", id];
        let answer = self.ask(&ServerCall::get(&path)).await?;
        let mut model = answer.get("authorization_model").cloned().unwrap_or_default();
        if let Some(members) = model.as_object_mut() {
            members.remove("id");
        }
        if self.state.of(store)?.is_plain {
            let path = ["stores", store, "authorization-models", id];
            if !self.target.call(&ServerCall::get(&path)).await?.status.is_success() {
                self.tell(&format!("store {store}: the target lacks model {id}, and takes no ids"));
            }
            return Ok(());
        }
        let path = ["stores", store, "behalf", "authorization-models", id];
        let put = self.target.call(&ServerCall::put(&path, &model)).await?;
        match put.json() {
            Ok(_) if put.status == StatusCode::CREATED => {
                self.totals.models = self.totals.models.saturating_add(1);
            }
            Ok(_) => {}
            // An old one of a schema that no server takes any more answers nobody.
            Err(error) if !is_newest && put.status == StatusCode::BAD_REQUEST => {
                self.tell(&format!("store {store}: model {id} was left out: {error}"));
            }
            Err(error) => return Err(error.context(format!("model {id}"))),
        }
        Ok(())
    }

    /// Reads every tuple, from where an earlier run stopped.
    async fn tuples(&mut self, store: &str) -> anyhow::Result<()> {
        let path = ["stores", store, "read"];
        let mut batch = Batch::default();
        let mut token = self.state.of(store)?.read_token.clone();
        loop {
            let mut body = json!({"page_size": 100});
            if !token.is_empty()
                && let Some(body) = body.as_object_mut()
            {
                body.insert("continuation_token".to_owned(), token.as_str().into());
            }
            let answer = self.call(&ServerCall::post(&path, &body)).await?;
            if !token.is_empty() && answer.code() == "invalid_continuation_token" {
                self.tell(&format!("store {store}: the place to go on is gone; reading again"));
                token.clear();
                continue;
            }
            let page = answer.json()?;
            let tuples = page.get("tuples").and_then(Value::as_array).into_iter().flatten();
            for tuple in tuples {
                batch.push(json!({"tuple_key": tuple.get("key")}));
            }
            let next = text(&page, "continuation_token").to_owned();
            let is_last = next.is_empty() || next == token;
            token = next;
            if is_last || batch.is_full() {
                let count = batch.take_in(self, store).await?;
                self.totals.tuples = self.totals.tuples.saturating_add(count);
                let state = self.state.of(store)?;
                state.read_token.clone_from(&token);
                state.tuples_done = is_last;
                let name = state.name.clone();
                self.state.save()?;
                self.show(&name);
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Follows the log to its end.
    async fn changes(&mut self, store: &str) -> anyhow::Result<()> {
        let StoreState { mut changes_token, since, .. } = self.state.of(store)?.clone();
        let path = ["stores", store, "changes"];
        let mut batch = Batch::default();
        loop {
            let call = ServerCall::get(&path).query("page_size", PAGE);
            let call = match changes_token.as_str() {
                "" => call.query("start_time", &since),
                token => call.query("continuation_token", token),
            };
            let page = self.ask(&call).await?;
            let changes = page.get("changes").and_then(Value::as_array).into_iter().flatten();
            let before = batch.changes.len();
            for change in changes {
                batch.push(json!({
                    "operation": change.get("operation"),
                    "tuple_key": change.get("tuple_key"),
                }));
            }
            let next = text(&page, "continuation_token").to_owned();
            let is_last = batch.changes.len() == before || next.is_empty();
            if !next.is_empty() {
                changes_token = next;
            }
            if is_last || batch.is_full() {
                let count = batch.take_in(self, store).await?;
                self.totals.changes = self.totals.changes.saturating_add(count);
                let state = self.state.of(store)?;
                if state.changes_token != changes_token {
                    state.changes_token.clone_from(&changes_token);
                    let name = state.name.clone();
                    self.state.save()?;
                    self.show(&name);
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    async fn all_assertions(&mut self, store: &str) -> anyhow::Result<()> {
        let path = ["stores", store, "authorization-models"];
        let mut token = String::new();
        loop {
            let call = ServerCall::get(&path).query("page_size", "50");
            let page = self.ask(&call.query("continuation_token", &token)).await?;
            let models = page.get("authorization_models").and_then(Value::as_array);
            for model in models.into_iter().flatten() {
                self.assertions(store, text(model, "id")).await?;
            }
            let next = text(&page, "continuation_token");
            if next.is_empty() || next == token {
                return Ok(());
            }
            next.clone_into(&mut token);
        }
    }

    /// Copies the assertions of a model; those that do not fit here are told and left out.
    ///
    /// # Errors
    /// When the source or the target fails.
    pub(super) async fn assertions(&mut self, store: &str, model: &str) -> anyhow::Result<()> {
        let path = ["stores", store, "assertions", model];
        let answer = self.ask(&ServerCall::get(&path)).await?;
        let assertions = answer.get("assertions").and_then(Value::as_array);
        let assertions = assertions.filter(|assertions| !assertions.is_empty());
        let Some(assertions) = assertions else { return Ok(()) };
        if self.trial.is_some() {
            let count = u64::try_from(assertions.len()).unwrap_or(u64::MAX);
            self.totals.assertions = self.totals.assertions.saturating_add(count);
            return Ok(());
        }
        let body = json!({"assertions": assertions});
        let put = self.target.call(&ServerCall::put(&path, &body)).await?;
        match put.json() {
            Ok(_) => {
                let count = u64::try_from(assertions.len()).unwrap_or(u64::MAX);
                self.totals.assertions = self.totals.assertions.saturating_add(count);
                Ok(())
            }
            Err(error) if put.status.is_client_error() => {
                self.tell(&format!("store {store}: assertions of model {model}: {error}"));
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    async fn merge(&mut self, store: &str, changes: &[Value]) -> anyhow::Result<Value> {
        if self.trial.is_some() {
            return self.try_changes(store, changes).await;
        }
        if self.state.of(store)?.is_plain {
            return plain::write(&self.target, store, changes).await;
        }
        let body = json!({"changes": changes, "copy": true});
        self.target.ask(&ServerCall::post(&["stores", store, "behalf", "merge"], &body)).await
    }

    fn show(&self, store: &str) {
        if self.is_quiet {
            return;
        }
        let Totals { tuples, changes, .. } = self.totals;
        let secs = self.bar.elapsed().as_secs().max(1);
        let rate = tuples.saturating_add(changes).checked_div(secs).unwrap_or_default();
        self.bar.set_message(format!(
            "{store}: {}, {}  {}/s",
            counted(tuples, "tuple", "tuples"),
            counted(changes, "change", "changes"),
            grouped(rate)
        ));
        self.bar.tick();
    }

    async fn ask(&self, call: &ServerCall<'_>) -> anyhow::Result<Value> {
        self.call(call).await?.json()
    }

    /// Asks the source, again when it has no time.
    async fn call(&self, call: &ServerCall<'_>) -> anyhow::Result<ServerAnswer> {
        let mut pause = PAUSE;
        for _again in 1..ATTEMPTS {
            match self.source.call(call).await {
                Ok(answer) if !is_busy(answer.status) => return Ok(answer),
                Ok(_) | Err(_) => tokio::time::sleep(pause).await,
            }
            pause = pause.saturating_mul(3);
        }
        self.source.call(call).await
    }
}

/// Changes that are gathered.
#[derive(Default)]
struct Batch {
    changes: Vec<Value>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, mut change: Value) {
        // OpenFGA writes a condition that is not there as null; some versions, empty times too.
        if let Some(key) = change.get_mut("tuple_key").and_then(Value::as_object_mut) {
            key.retain(|_, value| !value.is_null());
        }
        self.bytes = self.bytes.saturating_add(change.to_string().len()).saturating_add(1);
        self.changes.push(change);
    }

    /// True if another page might not fit.
    fn is_full(&self) -> bool {
        self.changes.len().saturating_add(100) > BATCH || self.bytes > BATCH_BYTES / 2
    }

    /// Has the target take everything in; how many changes there were.
    async fn take_in(&mut self, replica: &mut Replica, store: &str) -> anyhow::Result<u64> {
        let changes = std::mem::take(&mut self.changes);
        self.bytes = 0;
        for part in parts(&changes) {
            let mut merged = replica.merge(store, part).await?;
            if number(&merged, "refused_count") > 0 {
                // A model may have come after the models were read. Taking the whole in again
                // changes nothing else.
                replica.models(store).await?;
                merged = replica.merge(store, part).await?;
            }
            replica.count(store, part, &merged);
        }
        Ok(u64::try_from(changes.len()).unwrap_or(u64::MAX))
    }
}

impl Replica {
    fn count(&mut self, store: &str, part: &[Value], merged: &Value) {
        let written = number(merged, "written").saturating_add(number(merged, "deleted"));
        self.totals.written = self.totals.written.saturating_add(written);
        for refusal in merged.get("refused").and_then(Value::as_array).into_iter().flatten() {
            self.totals.refused = self.totals.refused.saturating_add(1);
            if self.totals.refused <= MAX_TOLD {
                let index = usize::try_from(number(refusal, "index")).unwrap_or(usize::MAX);
                let key = part.get(index).and_then(|change| change.get("tuple_key"));
                let key = key.map(Value::to_string).unwrap_or_default();
                self.tell(&format!("store {store}: {key}: {}", text(refusal, "reason")));
            }
        }
        let told = merged.get("refused").and_then(Value::as_array).map_or(0, Vec::len);
        let told = u64::try_from(told).unwrap_or_default();
        let more = number(merged, "refused_count").saturating_sub(told);
        self.totals.refused = self.totals.refused.saturating_add(more);
    }
}

/// Parts that each fit into one request.
fn parts(changes: &[Value]) -> Vec<&[Value]> {
    let (mut parts, mut from, mut bytes) = (Vec::new(), 0, 0_usize);
    for (at, change) in changes.iter().enumerate() {
        let size = change.to_string().len().saturating_add(1);
        let is_full = bytes.saturating_add(size) > BATCH_BYTES || at.saturating_sub(from) == BATCH;
        if is_full && at > from {
            parts.extend(changes.get(from..at));
            (from, bytes) = (at, 0);
        }
        bytes = bytes.saturating_add(size);
    }
    parts.extend(changes.get(from..).filter(|rest| !rest.is_empty()));
    parts
}

fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// The source's own time (RFC 9110 §6.6.1).
fn source_time(answer: &ServerAnswer) -> Option<Timestamp> {
    let date = answer.headers.get(header::DATE)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::parse(date).ok()?;
    Some(Timestamp::from_secs(time.timestamp().as_second()))
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn number(of: &Value, name: &str) -> u64 {
    of.get(name).and_then(Value::as_u64).unwrap_or_default()
}
