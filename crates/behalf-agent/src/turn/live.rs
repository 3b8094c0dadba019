//! The log of a turn that runs here: written by the turn, followed by any number of streams.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::event::TurnEvent;
use crate::redact::Redactor;

/// How long a turn may take to ask again before whoever looks is shown what there is.
const NUDGE: Duration = Duration::from_millis(400);

/// What a follower finds at the end of what has happened so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// More will come by itself.
    Running,
    /// A person is needed first.
    Waiting,
    /// Nothing more will come.
    Over,
}

#[derive(Debug)]
struct Log {
    events: Vec<TurnEvent>,
    standing: Standing,
}

/// A turn's log.
#[derive(Debug)]
pub(crate) struct Live {
    log: Mutex<Log>,
    changed: watch::Sender<u64>,
    /// Somebody looks at a waiting turn: it asks the gate again.
    pub(crate) nudged: Notify,
}

impl Live {
    pub(crate) fn new(events: Vec<TurnEvent>, standing: Standing) -> Arc<Self> {
        let (changed, _) = watch::channel(0);
        let log = Mutex::new(Log { events, standing });
        Arc::new(Self { log, changed, nudged: Notify::new() })
    }

    /// Makes a waiting turn ask again, and gives it a moment to do so.
    pub(crate) async fn nudge(&self) {
        if self.standing() != Standing::Waiting {
            return;
        }
        let mut changes = self.changed.subscribe();
        self.nudged.notify_one();
        let asked = async {
            while changes.changed().await.is_ok() && self.standing() == Standing::Running {}
        };
        if tokio::time::timeout(NUDGE, asked).await.is_err() {
            tracing::debug!("a turn has gone on, or takes long to ask");
        }
    }

    pub(crate) fn push(&self, events: impl IntoIterator<Item = TurnEvent>) {
        self.with(|log| log.events.extend(events));
    }

    pub(crate) fn stand(&self, standing: Standing) {
        self.with(|log| log.standing = standing);
    }

    fn with(&self, change: impl FnOnce(&mut Log)) {
        change(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.send_modify(|version| *version = version.wrapping_add(1));
    }

    pub(crate) fn standing(&self) -> Standing {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).standing
    }

    pub(crate) fn events(&self) -> Vec<TurnEvent> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).events.clone()
    }
}

/// Follows a turn from its beginning to its end; dropping it stops nothing but the stream.
#[derive(Debug)]
pub struct Follower {
    live: Arc<Live>,
    changes: watch::Receiver<u64>,
    next: usize,
    redactor: Redactor,
    message_id: String,
}

impl Follower {
    pub(crate) fn new(live: Arc<Live>, withdrawn: BTreeSet<String>, message_id: String) -> Self {
        let changes = live.changed.subscribe();
        Self { live, changes, next: 0, redactor: Redactor::new(withdrawn), message_id }
    }

    /// The answer's id, the same on every stream of the turn.
    pub fn message_id(&self) -> &str {
        &self.message_id
    }

    /// What has happened since the last call, and where the turn stands after it.
    pub fn take(&mut self) -> (Vec<TurnEvent>, Standing) {
        // First the mark, then the log: what comes between is seen again, never missed.
        self.changes.mark_unchanged();
        let (events, standing) = {
            let log = self.live.log.lock().unwrap_or_else(PoisonError::into_inner);
            (log.events.get(self.next..).unwrap_or_default().to_vec(), log.standing)
        };
        self.next = self.next.saturating_add(events.len());
        let events = events.iter().filter_map(|event| self.redactor.event(event)).collect();
        (events, standing)
    }

    /// Waits until something has happened since the last [`Follower::take`]; false when nothing
    /// ever will.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}
