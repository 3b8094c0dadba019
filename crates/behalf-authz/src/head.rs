//! Reads of a store's head that requests share: one read answers everybody who asked before it
//! began, and nobody is answered by a read that began before he asked.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;

use crate::error::AuthzError;

/// The reads of one store.
#[derive(Debug, Default)]
pub(crate) struct HeadReads {
    /// How many have asked.
    asked: AtomicU64,
    /// How many of them the last successful read has answered, and with what.
    answered: Mutex<(u64, bool)>,
}

impl HeadReads {
    /// The outcome of a `read` that began after this was called: the caller's own, or one that
    /// somebody began who waited with him.
    pub(crate) async fn after_now(
        &self,
        read: impl AsyncFnOnce() -> Result<bool, AuthzError>,
    ) -> Result<bool, AuthzError> {
        let ticket = self.asked.fetch_add(1, Ordering::SeqCst);
        let mut answered = self.answered.lock().await;
        if answered.0 > ticket {
            return Ok(answered.1);
        }
        let covers = self.asked.load(Ordering::SeqCst);
        let outcome = read().await?;
        *answered = (covers, outcome);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU32;

    use tokio::sync::{Notify, oneshot};

    use super::*;

    #[tokio::test]
    async fn who_asks_during_a_read_gets_the_next_one_together_with_the_others() {
        let reads = Arc::new(HeadReads::default());
        let count = Arc::new(AtomicU32::new(0));
        let (began, has_begun) = oneshot::channel();
        let release = Arc::new(Notify::new());
        let first = {
            let (reads, count, release) =
                (Arc::clone(&reads), Arc::clone(&count), Arc::clone(&release));
            tokio::spawn(async move {
                let read = async || {
                    count.fetch_add(1, Ordering::SeqCst);
                    began.send(()).unwrap();
                    release.notified().await;
                    Ok(true)
                };
                reads.after_now(read).await
            })
        };
        has_begun.await.unwrap();
        let late: Vec<_> = (0..10)
            .map(|_| {
                let (reads, count) = (Arc::clone(&reads), Arc::clone(&count));
                tokio::spawn(async move {
                    let read = async || {
                        count.fetch_add(1, Ordering::SeqCst);
                        Ok(true)
                    };
                    reads.after_now(read).await
                })
            })
            .collect();
        while reads.asked.load(Ordering::SeqCst) < 11 {
            tokio::task::yield_now().await;
        }
        assert_eq!(count.load(Ordering::SeqCst), 1, "the others wait");
        release.notify_one();
        assert!(first.await.unwrap().unwrap());
        for task in late {
            assert!(task.await.unwrap().unwrap());
        }
        assert_eq!(count.load(Ordering::SeqCst), 2, "one read answered all ten");
    }

    #[tokio::test]
    async fn a_failed_read_answers_nobody_else() {
        let reads = HeadReads::default();
        let failed = reads.after_now(async || Err(AuthzError::Contention)).await;
        assert!(failed.is_err());
        assert!(reads.after_now(async || Ok(true)).await.unwrap());
    }
}
