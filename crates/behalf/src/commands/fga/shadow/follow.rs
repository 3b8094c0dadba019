//! The copy beside the proxy: it follows the log of the server whose answers clients get, sooner when
//! one has written, and tells when it has caught up with a moment.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use super::super::replica::Replica;
use super::figures::Summary;

/// How often the log is looked at when nothing seems to happen.
const INTERVAL: Duration = Duration::from_secs(1);
/// How long after an error it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(2);
/// How long to wait for the copy.
const WAIT: Duration = Duration::from_secs(10);
/// Models whose assertions wait to be copied.
const MAX_ASSERTIONS: usize = 1_000;

/// What the others know of the copy.
#[derive(Debug)]
pub(super) struct Follower {
    kick: Notify,
    /// Rounds that began.
    begun: AtomicU64,
    /// The newest round that ended well.
    ended: watch::Sender<u64>,
    copied: RwLock<BTreeSet<String>>,
    assertions: Mutex<BTreeSet<(String, String)>>,
    summary: Arc<Summary>,
}

impl Follower {
    pub(super) fn new(summary: Arc<Summary>) -> Arc<Self> {
        Arc::new(Self {
            kick: Notify::new(),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
            copied: RwLock::default(),
            assertions: Mutex::default(),
            summary,
        })
    }

    /// Something has changed: a new round begins at once.
    pub(super) fn kick(&self, assertions: Option<(String, String)>) {
        if let Some(of) = assertions {
            let mut waiting = self.assertions.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() < MAX_ASSERTIONS {
                waiting.insert(of);
            }
        }
        self.kick.notify_one();
    }

    /// True if every tuple of the store was read.
    pub(super) fn is_copied(&self, store: &str) -> bool {
        self.copied.read().unwrap_or_else(PoisonError::into_inner).contains(store)
    }

    /// Waits until the copy has all that the log has now; false if that takes too long.
    pub(super) async fn catch_up(&self) -> bool {
        // The round under way may have passed the store already.
        let wanted = self.begun.load(Ordering::SeqCst).saturating_add(1);
        let mut ended = self.ended.subscribe();
        self.kick.notify_one();
        let caught_up = ended.wait_for(|ended| *ended >= wanted);
        matches!(tokio::time::timeout(WAIT, caught_up).await, Ok(Ok(_)))
    }

    /// Follows until `stopped`.
    pub(super) async fn run(
        self: Arc<Self>,
        mut replica: Replica,
        mut stopped: watch::Receiver<bool>,
    ) -> Replica {
        loop {
            let round = self.begun.fetch_add(1, Ordering::SeqCst).saturating_add(1);
            let outcome = tokio::select! {
                outcome = self.round(&mut replica) => outcome,
                _ = stopped.wait_for(|is_over| *is_over) => return replica,
            };
            self.summary.copy_refused.set(replica.totals.refused);
            let pause = match outcome {
                Ok(()) => {
                    self.ended.send_replace(round);
                    INTERVAL
                }
                Err(error) => {
                    self.summary.copy_failures.add();
                    replica.tell(&format!("the copy stopped, and tries again: {error:#}"));
                    AFTER_ERROR
                }
            };
            tokio::select! {
                () = self.kick.notified(), if pause == INTERVAL => {}
                () = tokio::time::sleep(pause) => {}
                _ = stopped.wait_for(|is_over| *is_over) => return replica,
            }
        }
    }

    async fn round(&self, replica: &mut Replica) -> anyhow::Result<()> {
        replica.round().await?;
        let copied = replica.copied();
        *self.copied.write().unwrap_or_else(PoisonError::into_inner) = copied;
        let waiting =
            std::mem::take(&mut *self.assertions.lock().unwrap_or_else(PoisonError::into_inner));
        for (store, model) in waiting {
            if self.is_copied(&store) {
                replica.assertions(&store, &model).await?;
            }
        }
        Ok(())
    }
}
