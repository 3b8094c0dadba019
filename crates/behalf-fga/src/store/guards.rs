//! What guarded tuples depend on, beside the rows: a map from a tuple's two ends to its guard.
//!
//! The map is in buckets that versions share. Tuples with the same guard share one, across tables
//! and versions: the pool knows every guard that is in use, and forgets one that no version needs.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use hashbrown::{DefaultHashBuilder, HashTable};
use serde_json::{Map, Value as Json};

use super::paged::Paged;
use crate::tuple::{Guard, TupleCondition, Validity};

/// Entries per bucket, on average at most.
const LOAD: usize = 8;

/// Members that a map has places for as soon as it has one.
const MAP_NODE: usize = 11;

/// A [`Guard`] as the store keeps it.
#[derive(Clone, Debug)]
pub(crate) struct HeldGuard {
    pub(crate) condition: Option<TupleCondition>,
    pub(crate) validity: Validity,
}

impl HeldGuard {
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard { condition: self.condition.as_ref(), validity: self.validity }
    }

    /// Bytes in use with what lies behind pointers, about.
    fn bytes(&self) -> usize {
        let condition = self.condition.as_ref();
        let condition = condition.map_or(0, |of| of.name.capacity() + map_bytes(&of.context));
        // Two counters in front of everything shared.
        16 + size_of::<Self>() + condition
    }

    /// The guard as text: the same text, the same guard, to the last sign of a number.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(&(&self.condition, &self.validity)).unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Guards {
    buckets: Paged<Bucket>,
    /// A power of two, or zero.
    bucket_count: usize,
    count: usize,
}

type Bucket = Option<Arc<[Entry]>>;

#[derive(Clone, Debug)]
struct Entry {
    object: u32,
    subject: u32,
    held: Arc<HeldGuard>,
}

impl Guards {
    /// No guards yet, and buckets for so many.
    pub(super) fn with_room_for(count: usize) -> Self {
        let mut bucket_count = 0;
        while count > bucket_count * LOAD {
            bucket_count = (bucket_count * 4).max(1);
        }
        Self { bucket_count, ..Self::default() }
    }

    /// How many tuples are guarded.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// The guard of the tuple of these two ends.
    pub(crate) fn find(&self, object: u32, subject: u32) -> Option<&HeldGuard> {
        let bucket = self.buckets.get(self.place(object, subject))?.as_deref()?;
        let entry = bucket.iter().find(|entry| entry.is_of(object, subject))?;
        Some(&entry.held)
    }

    /// All tuples' ends with their guards, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, u32, &HeldGuard)> {
        let entries = self.buckets.pages().flat_map(|bucket| bucket.iter().flat_map(|b| b.iter()));
        entries.map(|entry| (entry.object, entry.subject, &*entry.held))
    }

    /// Puts a guard in, in place of one of the same tuple.
    pub(super) fn insert(&mut self, object: u32, subject: u32, held: Arc<HeldGuard>) {
        self.remove(object, subject);
        if self.count >= self.bucket_count * LOAD {
            self.grow();
        }
        self.put(Entry { object, subject, held });
        self.count += 1;
    }

    /// Takes the guard of a tuple out, if there is one.
    pub(super) fn remove(&mut self, object: u32, subject: u32) {
        if self.find(object, subject).is_none() {
            return;
        }
        let place = self.place(object, subject);
        let Some(bucket) = self.buckets.make_mut(place) else { return };
        let others = bucket.iter().flat_map(|bucket| bucket.iter());
        let others: Vec<Entry> =
            others.filter(|entry| !entry.is_of(object, subject)).cloned().collect();
        *bucket = (!others.is_empty()).then(|| Arc::from(others));
        self.count -= 1;
    }

    fn put(&mut self, entry: Entry) {
        let place = self.place(entry.object, entry.subject);
        let Some(bucket) = self.buckets.make_mut(place) else { return };
        let others = bucket.iter().flat_map(|bucket| bucket.iter()).cloned();
        *bucket = Some(others.chain([entry]).collect());
    }

    fn grow(&mut self) {
        let grown = (self.bucket_count * 4).max(1);
        let old = std::mem::replace(self, Self { bucket_count: grown, ..Self::default() });
        for bucket in old.buckets.pages().flatten() {
            bucket.iter().for_each(|entry| self.put(entry.clone()));
        }
        self.count = old.count;
    }

    fn place(&self, object: u32, subject: u32) -> usize {
        let key = u64::from(object) << 32 | u64::from(subject);
        let hash = (key ^ key >> 29).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (hash >> 32) as usize & self.bucket_count.wrapping_sub(1)
    }

    /// Bytes in use without the guards themselves, which many share.
    pub(crate) fn bytes(&self) -> usize {
        let entries = |bucket: &Arc<[Entry]>| 16 + bucket.len() * size_of::<Entry>();
        let buckets = self.buckets.pages().flatten().map(entries);
        self.buckets.directory_bytes() + buckets.sum::<usize>()
    }
}

impl Entry {
    fn is_of(&self, object: u32, subject: u32) -> bool {
        self.object == object && self.subject == subject
    }
}

/// The guards in use, each once; shared by all versions of a store.
#[derive(Debug, Default)]
pub(super) struct GuardPool {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    hasher: DefaultHashBuilder,
    guards: HashTable<(u64, Weak<HeldGuard>)>,
}

impl GuardPool {
    /// Bytes of the guards in use, each counted once whatever number of tuples and versions has it.
    pub(super) fn bytes(&self) -> usize {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = known.guards.capacity() * (size_of::<(u64, Weak<HeldGuard>)>() + 1);
        let held = known.guards.iter().filter_map(|(_, known)| known.upgrade());
        slots + held.map(|held| held.bytes()).sum::<usize>()
    }

    /// The guard that is in use already, or this one.
    pub(super) fn share(&self, guard: HeldGuard) -> Arc<HeldGuard> {
        let text = guard.text();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Known { hasher, guards } = &mut *known;
        let hash = hasher.hash_one(&text);
        let of_text = |(_, known): &(u64, Weak<HeldGuard>)| {
            known.upgrade().filter(|known| known.text() == text)
        };
        if let Some(known) = guards.find(hash, |known| of_text(known).is_some()).and_then(of_text) {
            return known;
        }
        if guards.len() == guards.capacity() {
            guards.retain(|(_, known)| known.strong_count() > 0);
        }
        let held = Arc::new(guard);
        guards.insert_unique(hash, (hash, Arc::downgrade(&held)), |(hash, _)| *hash);
        held
    }
}

/// Bytes behind a value's pointers.
fn value_bytes(value: &Json) -> usize {
    match value {
        Json::String(text) => text.capacity(),
        Json::Array(items) => {
            let behind: usize = items.iter().map(value_bytes).sum();
            items.capacity() * size_of::<Json>() + behind
        }
        Json::Object(members) => map_bytes(members),
        Json::Null | Json::Bool(_) | Json::Number(_) => 0,
    }
}

fn map_bytes(members: &Map<String, Json>) -> usize {
    let places = if members.is_empty() { 0 } else { members.len().max(MAP_NODE) };
    let member = |(name, value): (&String, &Json)| name.capacity() + value_bytes(value);
    let behind: usize = members.iter().map(member).sum();
    places * (size_of::<String>() + size_of::<Json>()) + behind
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use serde_json::json;

    use super::{Entry, GuardPool, Guards, HeldGuard};
    use crate::tuple::{TupleCondition, Validity};

    fn until(micros: u32) -> HeldGuard {
        let validity = Validity { expires_at_micros: Some(micros.into()), ..Validity::default() };
        HeldGuard { condition: None, validity }
    }

    #[test]
    fn guards_behave_like_a_map_and_old_versions_stay() {
        let (pool, mut guards, mut model) =
            (GuardPool::default(), Guards::default(), BTreeMap::new());
        let mut old = Vec::new();
        for n in 0..3_000_u32 {
            let (object, subject) = (n.wrapping_mul(2_654_435_761) % 500, n % 3);
            if n.is_multiple_of(4) {
                guards.remove(object, subject);
                model.remove(&(object, subject));
            } else {
                guards.insert(object, subject, pool.share(until(n % 10)));
                model.insert((object, subject), until(n % 10).validity);
            }
            if n.is_multiple_of(1_000) {
                old.push((guards.clone(), model.clone()));
            }
        }
        old.push((guards, model));
        for (guards, model) in old {
            assert_eq!(guards.len(), model.len());
            let all: BTreeMap<_, _> =
                guards.all().map(|(o, s, held)| ((o, s), held.validity)).collect();
            assert_eq!(all, model);
            for ((object, subject), validity) in model {
                let found = guards.find(object, subject);
                assert_eq!(found.map(|held| held.validity), Some(validity));
            }
        }
    }

    #[test]
    fn a_pool_gives_the_same_guard_once_and_forgets_what_nobody_holds() {
        let pool = GuardPool::default();
        let kept = pool.share(until(1));
        assert!(Arc::ptr_eq(&kept, &pool.share(until(1))));
        assert!(!Arc::ptr_eq(&kept, &pool.share(until(2))));
        for n in 0..10_000 {
            pool.share(until(n + 10));
        }
        assert!(pool.known.lock().unwrap().guards.len() < 1_000);
        assert!(Arc::ptr_eq(&kept, &pool.share(until(1))));
    }

    #[test]
    fn the_bytes_of_guards_are_those_of_each_in_use_once() {
        let pool = GuardPool::default();
        let slots = |pool: &GuardPool| pool.known.lock().unwrap().guards.capacity() * 17;
        let timed = pool.share(until(1));
        let same = pool.share(until(1));
        assert_eq!(pool.bytes() - slots(&pool), 16 + size_of::<HeldGuard>());
        drop(same);
        let text = |length: usize| String::from_utf8(vec![b'x'; length]).unwrap();
        let conditioned = |value: serde_json::Value| {
            let context = serde_json::Map::from_iter([(text(3), value)]);
            let condition = Some(TupleCondition { name: text(5), context });
            pool.share(HeldGuard { condition, validity: Validity::default() })
        };
        let before = pool.bytes() - slots(&pool);
        let held = conditioned(json!([text(1_000), {"a": 1}]));
        let (value, member) = (size_of::<serde_json::Value>(), size_of::<String>());
        let nodes = 2 * 11 * (member + value);
        let expected = 16 + size_of::<HeldGuard>() + 5 + 3 + 2 * value + 1_000 + 1 + nodes;
        let bytes = pool.bytes() - slots(&pool) - before;
        assert!((expected..expected + 64).contains(&bytes), "{bytes} of {expected}");
        drop((timed, held));
        assert_eq!(pool.bytes(), slots(&pool), "what no version holds is not counted");
    }

    #[test]
    fn the_bytes_are_those_of_the_buckets_and_their_directory() {
        let (pool, mut guards) = (GuardPool::default(), Guards::default());
        for n in 0..100 {
            guards.insert(n, 1, pool.share(until(1)));
        }
        // At most eight to a bucket on average, four times as many when that is not enough.
        assert_eq!(guards.bucket_count, 16);
        let buckets = guards.buckets.pages().flatten().count();
        assert!(buckets > 8);
        let entries = buckets * 16 + 100 * size_of::<Entry>();
        assert_eq!(guards.bytes(), guards.buckets.directory_bytes() + entries);
    }
}
