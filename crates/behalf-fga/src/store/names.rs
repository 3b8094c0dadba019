//! Interned names: dense numbers that are never reused, and the way back.
//!
//! The texts are in shared pages. The hash index is shared by all versions, also by hypothetical
//! ones: its slots are atomic, whoever makes a version fills free ones, and readers look without
//! locking. A slot only ever claims that a name may have a number; whether it has is for the texts
//! of the version to say, so a number of a newer version, or of one that was given up, is absent.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use hashbrown::DefaultHashBuilder;

use super::paged::Paged;

/// Numbers from here on belong to one request (names the store does not know).
pub(crate) const SCRATCH: u32 = 1 << 31;

const PER_PAGE: usize = 64;

/// How many slots an index has at least.
const FEWEST_SLOTS: usize = 16;

#[derive(Clone, Debug)]
pub(crate) struct Names {
    pages: Paged<NamePage>,
    count: u32,
    index: Arc<Index>,
}

#[derive(Clone, Debug, Default)]
struct NamePage {
    ends: Vec<u32>,
    text: String,
}

/// Open addressing; a slot holds the upper half of the hash and the number plus one.
#[derive(Debug)]
struct Index {
    hasher: DefaultHashBuilder,
    slots: Box<[AtomicU64]>,
    /// Slots in use, also those of versions that were given up.
    used: AtomicUsize,
}

impl Default for Names {
    fn default() -> Self {
        let index = Index::new(DefaultHashBuilder::default(), FEWEST_SLOTS);
        Self { pages: Paged::default(), count: 0, index: Arc::new(index) }
    }
}

impl Names {
    /// No names yet, and an index for so many.
    pub(super) fn with_room_for(count: usize) -> Self {
        let slots = (count * 3 / 2).next_power_of_two().max(16);
        let index = Arc::new(Index::new(DefaultHashBuilder::default(), slots));
        Self { index, ..Self::default() }
    }

    /// How many names there are; their numbers are those below.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The number of a name.
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        let hash = self.index.hasher.hash_one(name);
        self.index.find(hash, |number| self.name(number) == Some(name))
    }

    /// The name with a number.
    pub(crate) fn name(&self, number: u32) -> Option<&str> {
        if number >= self.count {
            return None;
        }
        let number = number as usize;
        let page = self.pages.get(number / PER_PAGE)?;
        let at = number % PER_PAGE;
        let start = if at == 0 { 0 } else { *page.ends.get(at - 1)? };
        page.text.get(start as usize..*page.ends.get(at)? as usize)
    }

    /// The number of a name, given now if it has none; `None` when numbers have run out.
    pub(crate) fn intern(&mut self, name: &str) -> Option<u32> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        if self.count >= SCRATCH {
            return None;
        }
        let number = self.count;
        let page = self.pages.make_mut(number as usize / PER_PAGE)?;
        page.text.push_str(name);
        page.ends.push(u32::try_from(page.text.len()).ok()?);
        if page.ends.len() == PER_PAGE {
            page.text.shrink_to_fit();
            page.ends.shrink_to_fit();
        }
        self.count += 1;
        let hash = self.index.hasher.hash_one(name);
        if !self.index.insert(hash, number) {
            self.index = Arc::new(self.indexed());
        }
        Some(number)
    }

    /// A roomy index of this version's names, without what versions that were given up have left in
    /// the one they shared: their slots may claim the same numbers.
    fn indexed(&self) -> Index {
        let slots = (self.count as usize * 2).next_power_of_two().max(FEWEST_SLOTS);
        let index = Index::new(self.index.hasher.clone(), slots);
        for number in 0..self.count {
            if let Some(name) = self.name(number) {
                index.insert(index.hasher.hash_one(name), number);
            }
        }
        index
    }

    /// Bytes in use, allocator overhead not counted.
    pub(crate) fn bytes(&self) -> usize {
        let pages = self.pages.pages().map(|p| p.text.capacity() + p.ends.capacity() * 4);
        self.pages.directory_bytes() + pages.sum::<usize>() + self.index.slots.len() * 8
    }
}

impl Index {
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = place(hash, mask);
        loop {
            let slot = self.slots.get(at)?.load(Ordering::Acquire);
            let number = unpack(slot)?;
            if slot >> 32 == hash >> 32 && is_it(number) {
                return Some(number);
            }
            at = (at + 1) & mask;
        }
    }

    /// Puts a number in; false when the index has become too full.
    fn insert(&self, hash: u64, number: u32) -> bool {
        if self.used.fetch_add(1, Ordering::Relaxed) * 4 > self.slots.len() * 3 {
            return false;
        }
        self.put((hash & !0xffff_ffff) | (u64::from(number) + 1));
        true
    }

    /// Puts a packed slot in the first free place after its home, which its upper half decides.
    fn put(&self, packed: u64) {
        let mask = self.slots.len() - 1;
        let mut at = place(packed, mask);
        while let Some(slot) = self.slots.get(at) {
            if slot.compare_exchange(0, packed, Ordering::Release, Ordering::Relaxed).is_ok() {
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn new(hasher: DefaultHashBuilder, count: usize) -> Self {
        let slots = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { hasher, slots, used: AtomicUsize::new(0) }
    }
}

/// The home of a hash: decided by its upper half, which the slot keeps.
fn place(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
fn unpack(slot: u64) -> Option<u32> {
    (slot as u32).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::Names;

    #[test]
    fn names_are_found_again_and_old_versions_do_not_know_new_ones() {
        let mut names = Names::default();
        for n in 0..1_000 {
            assert_eq!(names.intern(&format!("name-{n}")), Some(n));
        }
        let old = names.clone();
        for n in 1_000..5_000 {
            assert_eq!(names.intern(&format!("name-{n}")), Some(n));
        }
        assert_eq!(names.intern("name-3"), Some(3));
        assert_eq!(old.find("name-999"), Some(999));
        assert_eq!(old.find("name-1000"), None);
        assert_eq!(names.find("name-4999"), Some(4999));
        assert_eq!(names.name(1234), Some("name-1234"));
        assert_eq!(names.find("absent"), None);
    }

    #[test]
    fn versions_that_were_given_up_leave_nothing_behind() {
        let mut names = Names::default();
        assert_eq!(names.intern("first"), Some(0));
        for round in 0..5_000 {
            let mut given_up = names.clone();
            assert_eq!(given_up.intern(&format!("given up {round}")), Some(1));
            assert_eq!(given_up.find(&format!("given up {round}")), Some(1));
        }
        assert_eq!(names.find("given up 7"), None);
        assert_eq!(names.intern("second"), Some(1));
        assert_eq!(names.find("second"), Some(1));
        assert_eq!(names.find("given up 7"), None);
    }
}
