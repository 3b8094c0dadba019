//! Loads under way, each store's by itself: whoever asks for a store that is being loaded waits for
//! that load, and nobody waits for another store's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// A gate for each store that somebody loads or waits for.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    gates: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl Loads {
    /// Waits until nobody loads the store, and keeps others from it until the guard is dropped.
    pub(crate) async fn enter(&self, store_id: &str) -> OwnedMutexGuard<()> {
        self.gate(store_id).lock_owned().await
    }

    fn gate(&self, store_id: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(gate) = gates.get(store_id).and_then(Weak::upgrade) {
            return gate;
        }
        gates.retain(|_, gate| gate.strong_count() > 0);
        let gate = Arc::default();
        gates.insert(store_id.to_owned(), Arc::downgrade(&gate));
        gate
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn a_store_is_entered_by_one_at_a_time_and_others_do_not_wait() {
        let loads = Loads::default();
        let first = loads.enter("one").await;
        let mut second = Box::pin(loads.enter("one"));
        let is_waiting = |poll: Poll<OwnedMutexGuard<()>>| poll.is_pending();
        assert!(is_waiting(std::future::poll_fn(|cx| Poll::Ready(second.as_mut().poll(cx))).await));
        drop(loads.enter("another").await);
        drop(first);
        drop(second.await);
        drop(loads.enter("a third").await);
        assert_eq!(loads.gates.lock().unwrap().len(), 1, "gates that nobody needs are forgotten");
    }
}
