//! The agent of one tenant: takes what people write, and keeps their threads.

mod settling;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use behalf_core::{
    Actor, Clock, ConnectionName, Event, EventKind, Rng, TenantId, Timestamp, UserId, new_ulid,
    random_bytes,
};
use behalf_crypto::envelope::Keyring;
use behalf_egress::Egress;
use behalf_gate::{Gate, GateError, Mandate};
use behalf_retrieval::{Retrieval, RetrievalError};
use behalf_store::agent::threads::{self, ThreadRow};
use behalf_store::agent::turns::{self, TurnRow};
use behalf_store::{Storage, StoreError, UnitOfWork};
use behalf_traces::Traces;
use behalf_vault::Vault;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use crate::dialect::request::{ChatHeaders, ChatRequest};
use crate::event::TurnEvent;
use crate::model::{Message, ModelClient, ModelEndpoint};
use crate::redact::{self, Redactor};
use crate::tools::Tools;
use crate::turn::live::{Follower, Live, Standing};
use crate::turn::run::{drive, withdrawn};
use crate::turn::state::{Phase, TraceIds, TurnState};

/// Turns of one thread that run or wait at once.
const OPEN_MAX: usize = 50;
/// Turns that run or wait at once in this process.
const LIVE_MAX: usize = 20_000;
/// Turns of one thread.
const TURNS_MAX: usize = 1_000;
/// How much of a thread the model is told, in characters; the oldest turns are left out first.
const HISTORY_MAX: usize = 200_000;
/// How often a question is stored again because another one of the thread came between.
const ATTEMPTS: u32 = 5;
/// Threads in a list.
const THREADS_MAX: u32 = 100;
/// The longest title, in characters.
const TITLE_MAX: usize = 80;
/// How long turns may take to reach a place where they can be left, when the server stops.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent; clones share it.
#[derive(Clone, Debug)]
pub struct Agent(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    keyring: Arc<Keyring>,
    gate: Gate,
    vault: Vault,
    traces: Traces,
    tools: Tools,
    model: Option<ModelClient>,
    /// The turns that run or wait in this process.
    live: Mutex<BTreeMap<String, Arc<Live>>>,
    /// Calls whose end is unknown, and when to look at each again.
    looks: Mutex<BTreeMap<String, Timestamp>>,
    tasks: TaskTracker,
    stopping: watch::Sender<bool>,
}

/// What an [`Agent`] is built from.
#[derive(Debug)]
pub struct AgentParts {
    /// Where it remembers.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids.
    pub rng: Arc<dyn Rng>,
    /// The tenant it serves.
    pub tenant: TenantId,
    /// Seals what was said.
    pub keyring: Arc<Keyring>,
    /// Decides about every call.
    pub gate: Gate,
    /// Knows the connections.
    pub vault: Vault,
    /// Keeps the spans.
    pub traces: Traces,
    /// Finds documents.
    pub retrieval: Retrieval,
    /// The way out.
    pub egress: Egress,
    /// The audience of the scopes that approvals are for: `{issuer}api/`.
    pub audience: String,
    /// The connection that GitHub's tools use.
    pub github: ConnectionName,
    /// The model, if there is one.
    pub model: Option<ModelEndpoint>,
}

/// The agent cannot answer; nothing that it says was not done is done later.
#[derive(Debug, Error)]
pub enum AgentError {
    /// No model is configured.
    #[error("no model is configured")]
    NoModel,
    /// Too many turns are under way.
    #[error("too many questions are under way")]
    TooMany,
    /// The thread has as many turns as one holds.
    #[error("the thread is full")]
    Full,
    /// What she wrote is empty or too long.
    #[error("the message is empty or too long")]
    Text,
    /// The server is stopping; the turn is taken up at the next start.
    #[error("the server is stopping")]
    Stopping,
    /// The gate failed.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Nobody could say which documents may be read.
    #[error(transparent)]
    Retrieval(#[from] RetrievalError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A turn as its driver holds it.
#[derive(Debug)]
pub(crate) struct Turn {
    pub(crate) turn_id: String,
    pub(crate) thread_id: String,
    pub(crate) user_id: UserId,
    pub(crate) ordinal: i64,
    pub(crate) status: String,
    pub(crate) version: i64,
    /// How many events are stored.
    pub(crate) events: i64,
    pub(crate) state: TurnState,
}

/// A thread in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadSummary {
    /// Its name.
    pub thread_id: String,
    /// Its first words.
    pub title: String,
    /// When something last happened in it.
    pub updated_at: Timestamp,
}

/// A turn as a page shows it.
#[derive(Clone, Debug)]
pub struct TurnView {
    /// Its id.
    pub turn_id: String,
    /// What she wrote.
    pub text: String,
    /// What came of it, as far as she may still see it.
    pub events: Vec<TurnEvent>,
    /// Whether more will come.
    pub standing: Standing,
    /// Its trace, in hexadecimal.
    pub trace_id: String,
    /// When she wrote it.
    pub created_at: Timestamp,
}

impl Agent {
    /// The agent of one tenant. [`Agent::start`] takes up what an earlier process left.
    pub fn new(parts: AgentParts) -> Self {
        let tools =
            Tools::new(parts.egress.clone(), parts.retrieval, &parts.audience, &parts.github);
        let (stopping, _) = watch::channel(false);
        Self(Arc::new(Inner {
            storage: parts.storage,
            clock: parts.clock,
            rng: parts.rng,
            tenant: parts.tenant,
            keyring: parts.keyring,
            gate: parts.gate,
            vault: parts.vault,
            traces: parts.traces,
            tools,
            model: parts.model.map(|endpoint| ModelClient::new(parts.egress, endpoint)),
            live: Mutex::new(BTreeMap::new()),
            looks: Mutex::new(BTreeMap::new()),
            tasks: TaskTracker::new(),
            stopping,
        }))
    }

    /// The model, if there is one.
    pub fn model_endpoint(&self) -> Option<&ModelEndpoint> {
        self.0.model.as_ref().map(ModelClient::endpoint)
    }

    /// Takes up what an earlier process left: intents without an outcome are settled by looking,
    /// and turns that ran or waited go on.
    pub fn start(&self) {
        let agent = self.clone();
        self.0.tasks.spawn(async move {
            if let Err(error) = agent.take_up().await {
                tracing::error!(%error, "what an earlier process left could not be taken up");
            }
        });
    }

    async fn take_up(&self) -> Result<(), AgentError> {
        for intent in self.gate().unsettled().await? {
            if self.tools().find(&intent.spec.label()).is_none() {
                continue;
            }
            self.look_up(&intent).await;
        }
        for row in turns::list_open(&self.0.storage, &self.0.tenant).await? {
            let turn_id = row.turn_id.clone();
            if let Err(error) = self.live_of(row).await {
                tracing::error!(%error, turn_id, "a turn could not be taken up");
            }
        }
        Ok(())
    }

    /// Lets turns come to a place where they can be left, and leaves them there.
    pub async fn stop(&self) {
        self.0.stopping.send_replace(true);
        self.0.tasks.close();
        if tokio::time::timeout(STOP_TIMEOUT, self.0.tasks.wait()).await.is_err() {
            tracing::warn!("some turns were left in the middle; the next start takes them up");
        }
    }

    /// Someone wrote. The same history again is the same turn, and nothing of it is done again.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn post(
        &self,
        mandate: Mandate,
        request: &ChatRequest,
    ) -> Result<Follower, AgentError> {
        let user_id = mandate.subject().clone();
        let (storage, tenant) = (&self.0.storage, &self.0.tenant);
        let history_key = request.history_key();
        for _attempt in 0..ATTEMPTS {
            let rows = turns::list(storage, tenant, &user_id, &request.thread_id).await?;
            if let Some(row) = rows.iter().find(|row| row.history_key == history_key) {
                return self.attach(row.clone()).await;
            }
            match self.begin(mandate.clone(), request, &history_key, &rows).await {
                Err(AgentError::Store(StoreError::Conflict { .. })) => {}
                Ok(row) => return self.attach(row).await,
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict { what: "turn exists" }.into())
    }

    /// Someone wrote on our own page, which sends no history: what she wrote comes after what the
    /// thread holds. The same `message_id` again is the same turn.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn write(
        &self,
        mandate: Mandate,
        thread_id: &str,
        message_id: Option<String>,
        text: &str,
    ) -> Result<Follower, AgentError> {
        let mut message = json!({"role": "user", "parts": [{"type": "text", "text": text}]});
        if let (Some(message_id), Some(message)) = (message_id, message.as_object_mut()) {
            message.insert("id".to_owned(), message_id.into());
        }
        let body = json!({"id": thread_id, "trigger": "submit-message", "messages": [message]});
        let request = ChatRequest::read(&body, ChatHeaders::default());
        self.post(mandate, &request.map_err(|_bad| AgentError::Text)?).await
    }

    /// Takes back a call of hers that waits.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn cancel(
        &self,
        user_id: &UserId,
        thread_id: &str,
        call_id: &str,
    ) -> Result<(), AgentError> {
        let rows = turns::list(&self.0.storage, &self.0.tenant, user_id, thread_id).await?;
        for row in rows.into_iter().filter(|row| row.status == "waiting") {
            if self.open_state(&row)?.open_calls().iter().any(|call| call.id == call_id) {
                self.gate().cancel(&format!("{}/{call_id}", row.turn_id)).await?;
                self.attach(row).await?;
            }
        }
        Ok(())
    }

    /// A fresh id, for a thread or a message of our own page.
    pub fn new_id(&self) -> String {
        new_ulid(self.now(), self.rng())
    }

    async fn begin(
        &self,
        mandate: Mandate,
        request: &ChatRequest,
        history_key: &str,
        rows: &[TurnRow],
    ) -> Result<TurnRow, AgentError> {
        if self.0.model.is_none() {
            return Err(AgentError::NoModel);
        }
        let is_open = |row: &&TurnRow| matches!(row.status.as_str(), "running" | "waiting");
        if rows.iter().filter(is_open).count() >= OPEN_MAX || self.registry().len() >= LIVE_MAX {
            return Err(AgentError::TooMany);
        }
        if rows.len() >= TURNS_MAX {
            return Err(AgentError::Full);
        }
        let replaced = self.replaced(request, rows)?;
        let Some(last) = request.written.last() else { return Err(AgentError::NoModel) };
        let trace = TraceIds {
            trace_id: random_bytes(self.rng()),
            run: random_bytes(self.rng()),
            step: random_bytes(self.rng()),
        };
        let mut unit = self.unit();
        let now = unit.now();
        let user_id = mandate.subject().clone();
        let actor = Actor::Client {
            client_id: mandate.agent().to_string(),
            sub: Some(user_id.to_string()),
        };
        let turn_id = new_ulid(now, self.rng());
        let event = Event::new(&self.0.tenant, EventKind::ChatTurnStarted, actor)
            .with("turn_id", turn_id.as_str())
            .with("client_id", mandate.client().as_str())
            .with("trace_id", behalf_verify::hex(&trace.trace_id));
        let state = TurnState::new(mandate, trace, now, last);
        let row = TurnRow {
            turn_id: turn_id.clone(),
            user_id: user_id.clone(),
            thread_id: request.thread_id.clone(),
            ordinal: rows.last().map_or(1, |last| last.ordinal.saturating_add(1)),
            history_key: history_key.to_owned(),
            is_current: true,
            status: "running".to_owned(),
            state: self.seal(&turn_id, &state)?,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        let title = title_of(&last.text);
        let thread = ThreadRow {
            thread_id: request.thread_id.clone(),
            title: self.seal(&request.thread_id, &title)?,
            created_at: now,
            updated_at: now,
        };
        unit.add(threads::touch(&self.0.tenant, &user_id, &thread));
        unit.add(turns::insert(&self.0.tenant, &row));
        for (turn_id, _) in &replaced {
            unit.add(turns::replace(&self.0.tenant, turn_id));
        }
        unit.record(&event);
        self.commit(unit).await?;
        for (turn_id, state) in replaced {
            self.take_back(&turn_id, &state).await;
        }
        Ok(row)
    }

    /// The turns that what she wrote takes the place of: she went back and wrote something else.
    fn replaced(
        &self,
        request: &ChatRequest,
        rows: &[TurnRow],
    ) -> Result<Vec<(String, TurnState)>, AgentError> {
        let mut current = Vec::new();
        for row in rows.iter().filter(|row| row.is_current) {
            current.push((row.turn_id.clone(), self.open_state(row)?));
        }
        let Some((last, before)) = request.written.split_last() else { return Ok(Vec::new()) };
        let is_same = before.len() < current.len()
            && before.iter().zip(&current).all(|(said, (_, state))| state.text() == said.text);
        // One message alone may also be a client that sends no history: only its own name tells.
        let is_edit = is_same
            && match before {
                [] => current
                    .first()
                    .is_some_and(|(_, first)| last.id.is_some() && first.message_id == last.id),
                _ => true,
            };
        Ok(if is_edit { current.split_off(before.len()) } else { Vec::new() })
    }

    /// What a replaced turn still waits for is not asked any more.
    async fn take_back(&self, turn_id: &str, state: &TurnState) {
        for call in state.open_calls() {
            let key = format!("{turn_id}/{}", call.id);
            if let Err(error) = self.gate().cancel(&key).await {
                tracing::warn!(%error, key, "a call of a replaced turn could not be taken back");
            }
        }
        let live = self.registry().get(turn_id).cloned();
        if let Some(live) = live {
            live.nudge().await;
        }
    }

    /// The newest turn of the thread that runs or waits.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn follow(
        &self,
        user_id: &UserId,
        thread_id: &str,
    ) -> Result<Option<Follower>, AgentError> {
        let rows = turns::list(&self.0.storage, &self.0.tenant, user_id, thread_id).await?;
        let is_open =
            |row: &TurnRow| row.is_current && matches!(row.status.as_str(), "running" | "waiting");
        match rows.into_iter().rfind(is_open) {
            Some(row) => Ok(Some(self.attach(row).await?)),
            None => Ok(None),
        }
    }

    /// The person's threads, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_threads(&self, user_id: &UserId) -> Result<Vec<ThreadSummary>, AgentError> {
        let rows = threads::list(&self.0.storage, &self.0.tenant, user_id, THREADS_MAX).await?;
        let threads = rows.into_iter().map(|row| {
            let title = self.unseal(&row.thread_id, &row.title)?;
            Ok(ThreadSummary { thread_id: row.thread_id, title, updated_at: row.updated_at })
        });
        threads.collect()
    }

    /// The turns of the person's thread, oldest first; none when there is no such thread.
    ///
    /// # Errors
    /// See [`AgentError`].
    pub async fn load_thread(
        &self,
        user_id: &UserId,
        thread_id: &str,
    ) -> Result<Vec<TurnView>, AgentError> {
        let rows = turns::list(&self.0.storage, &self.0.tenant, user_id, thread_id).await?;
        let mut loaded = Vec::new();
        for row in rows.into_iter().filter(|row| row.is_current) {
            let state = self.open_state(&row)?;
            let (turn_id, created_at) = (row.turn_id.clone(), row.created_at);
            let live = self.live_of(row).await?;
            live.nudge().await;
            loaded.push((turn_id, created_at, state, live.events(), live.standing()));
        }
        let sources = loaded.iter().flat_map(|(.., events, _)| sources_of(events)).collect();
        let withdrawn = withdrawn(self, user_id, &sources).await?;
        let views = loaded.into_iter().map(|(turn_id, created_at, state, events, standing)| {
            let mut redactor = Redactor::new(withdrawn.clone());
            TurnView {
                turn_id,
                text: state.text().to_owned(),
                events: events.iter().filter_map(|event| redactor.event(event)).collect(),
                standing,
                trace_id: behalf_verify::hex(&state.trace.trace_id),
                created_at,
            }
        });
        Ok(views.collect())
    }

    async fn attach(&self, row: TurnRow) -> Result<Follower, AgentError> {
        let message_id = format!("msg_{}", row.turn_id);
        let user_id = row.user_id.clone();
        let live = self.live_of(row).await?;
        // A look at a waiting turn makes it ask again, so that what she sees is how it stands.
        live.nudge().await;
        let sources = sources_of(&live.events()).collect();
        let withdrawn = withdrawn(self, &user_id, &sources).await?;
        Ok(Follower::new(live, withdrawn, message_id))
    }

    /// The turn's log: the one that is written here now; else the stored one, and a turn that is
    /// not over goes on.
    async fn live_of(&self, row: TurnRow) -> Result<Arc<Live>, AgentError> {
        if let Some(live) = self.registry().get(&row.turn_id) {
            return Ok(Arc::clone(live));
        }
        let sealed = turns::list_events(&self.0.storage, &self.0.tenant, &row.turn_id).await?;
        let mut events: Vec<TurnEvent> = Vec::new();
        for batch in sealed {
            let batch: Vec<TurnEvent> = self.unseal(&row.turn_id, &batch)?;
            events.extend(batch);
        }
        let state = self.open_state(&row)?;
        if matches!(state.phase, Phase::Ended { .. }) {
            return Ok(Live::new(events, Standing::Over));
        }
        let turn = Turn {
            turn_id: row.turn_id.clone(),
            thread_id: row.thread_id,
            user_id: row.user_id,
            ordinal: row.ordinal,
            status: row.status,
            version: row.version,
            events: i64::try_from(events.len()).unwrap_or(i64::MAX),
            state,
        };
        if *self.0.stopping.borrow() {
            return Err(AgentError::Stopping);
        }
        let live = {
            let mut registry = self.registry();
            if let Some(live) = registry.get(&row.turn_id) {
                return Ok(Arc::clone(live));
            }
            let live = Live::new(events, Standing::Running);
            registry.insert(row.turn_id, Arc::clone(&live));
            live
        };
        self.0.tasks.spawn(Box::pin(drive(self.clone(), turn, Arc::clone(&live))));
        Ok(live)
    }

    fn registry(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Arc<Live>>> {
        self.0.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn forget(&self, turn_id: &str) {
        self.registry().remove(turn_id);
    }

    /// What the model is told: the thread up to here, without what the person may not read any
    /// more. Asked before every call of the model, so that nothing outlives a permission.
    pub(crate) async fn history(&self, turn: &mut Turn) -> Result<Vec<Message>, AgentError> {
        let (storage, tenant) = (&self.0.storage, &self.0.tenant);
        let rows = turns::list(storage, tenant, &turn.user_id, &turn.thread_id).await?;
        let mut earlier = Vec::new();
        for row in rows.iter().filter(|row| row.is_current && row.ordinal < turn.ordinal) {
            earlier.push(self.open_state(row)?.told());
        }
        let own = turn.state.told();
        let inherited: BTreeSet<String> =
            earlier.iter().flatten().flat_map(sources_in).map(str::to_owned).collect();
        let mut all = inherited.clone();
        all.extend(own.iter().flat_map(sources_in).map(str::to_owned));
        let withdrawn = withdrawn(self, &turn.user_id, &all).await?;
        turn.state.inherited = inherited.difference(&withdrawn).cloned().collect();
        let told = |messages: &[Message]| -> Vec<Message> {
            messages.iter().map(|message| redact::message(message, &withdrawn)).collect()
        };
        let mut history = told(&own);
        turn.state.withdrawn.clone_from(&withdrawn);
        let mut size = weight(&history);
        for messages in earlier.iter().rev() {
            let messages = told(messages);
            size = size.saturating_add(weight(&messages));
            if size > HISTORY_MAX {
                break;
            }
            history.splice(0..0, messages);
        }
        Ok(history)
    }

    /// The provider's name for people.
    pub(crate) async fn display_name(&self, name: &ConnectionName) -> Result<String, AgentError> {
        let connection = self.0.vault.find_connection(name).await?;
        Ok(connection.map_or_else(|| name.to_string(), |known| known.title().to_owned()))
    }

    pub(crate) fn seal(&self, place: &str, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
        let internal = |reason: String| StoreError::Internal { reason };
        let json = serde_json::to_vec(value).map_err(|error| internal(error.to_string()))?;
        let context = ["agent", self.0.tenant.as_str(), place];
        self.0
            .keyring
            .seal(&context, &json, self.rng())
            .map_err(|error| internal(error.to_string()))
    }

    fn unseal<T: DeserializeOwned>(&self, place: &str, sealed: &[u8]) -> Result<T, StoreError> {
        let corrupt = |what: String| StoreError::Corrupt { what };
        let context = ["agent", self.0.tenant.as_str(), place];
        let json = self.0.keyring.open(&context, sealed);
        let json = json.map_err(|error| corrupt(format!("a chat: {error}")))?;
        serde_json::from_slice(json.expose()).map_err(|error| corrupt(format!("a chat: {error}")))
    }

    fn open_state(&self, row: &TurnRow) -> Result<TurnState, StoreError> {
        self.unseal(&row.turn_id, &row.state)
    }

    pub(crate) async fn commit(&self, unit: UnitOfWork) -> Result<(), StoreError> {
        self.0.storage.commit(unit).await.map(drop)
    }

    pub(crate) fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.now(), self.rng())
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn tools(&self) -> &Tools {
        &self.0.tools
    }

    pub(crate) fn traces(&self) -> &Traces {
        &self.0.traces
    }

    pub(crate) fn model(&self) -> Option<&ModelClient> {
        self.0.model.as_ref()
    }

    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.0.stopping.subscribe()
    }
}

/// The documents behind a log.
fn sources_of(events: &[TurnEvent]) -> impl Iterator<Item = String> {
    events.iter().flat_map(|event| match event {
        TurnEvent::TextStart { sources, .. } | TurnEvent::ToolInput { sources, .. } => {
            sources.clone()
        }
        TurnEvent::ToolOutput { output, .. } => {
            redact::sources_of(output).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    })
}

/// The documents behind a message.
fn sources_in(message: &Message) -> Vec<&str> {
    match message {
        Message::User { .. } => Vec::new(),
        Message::Assistant { sources, .. } => sources.iter().map(String::as_str).collect(),
        Message::Tool { output, .. } => redact::sources_of(output).collect(),
    }
}

/// A thread's title: the beginning of its first question, as long as a list has room for.
fn title_of(text: &str) -> String {
    let text = text.trim();
    let head: String = text.chars().take(TITLE_MAX).collect();
    if head.len() == text.len() { head } else { format!("{}…", head.trim_end()) }
}

fn weight(messages: &[Message]) -> usize {
    let weights = messages.iter().map(|message| match message {
        Message::User { content } => content.len(),
        Message::Assistant { content, calls, .. } => calls
            .iter()
            .map(|call| call.arguments.len())
            .sum::<usize>()
            .saturating_add(content.len()),
        Message::Tool { output, .. } => output.to_string().len(),
    });
    weights.fold(0, usize::saturating_add)
}
