//! What was read and is held in memory until the database may say something else.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{PoisonError, RwLock};

use crate::storage::Storage;

/// Values that are held at once at most; then they are read again.
const MOST: usize = 4096;

/// Values by key, as the database has them: a change of one is seen with the write that made it.
/// Nothing is held when other processes may write, and what is not there is looked for each time.
#[derive(Debug)]
pub struct Held<K, V>(RwLock<AtVersion<K, V>>);

#[derive(Debug)]
struct AtVersion<K, V> {
    version: u64,
    values: HashMap<K, V>,
}

impl<K, V> Default for Held<K, V> {
    fn default() -> Self {
        Self(RwLock::new(AtVersion { version: 0, values: HashMap::new() }))
    }
}

impl<K: Eq + Hash, V: Clone> Held<K, V> {
    /// The value of `key`, held or read now. Of what `read` reads, nothing may be written by a
    /// statement that is [`held_nowhere`](crate::Statement::held_nowhere).
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn find<E>(
        &self,
        storage: &Storage,
        key: K,
        read: impl AsyncFnOnce(&K) -> Result<Option<V>, E>,
    ) -> Result<Option<V>, E> {
        // Before it is read: what is written meanwhile makes it old at once.
        let Some(version) = storage.version() else { return read(&key).await };
        if let Some(value) = self.at(version, &key) {
            return Ok(Some(value));
        }
        let found = read(&key).await?;
        if let Some(value) = &found {
            self.hold(version, key, value.clone());
        }
        Ok(found)
    }

    fn at(&self, version: u64, key: &K) -> Option<V> {
        let held = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (held.version == version).then(|| held.values.get(key).cloned()).flatten()
    }

    fn hold(&self, version: u64, key: K, value: V) {
        let mut held = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if version > held.version || held.values.len() >= MOST {
            *held = AtVersion { version: version.max(held.version), values: HashMap::new() };
        }
        if version == held.version {
            held.values.insert(key, value);
        }
    }
}
