//! Interned names: dense numbers that are never reused, and the way back.
//!
//! The texts are in shared pages. The hash index is shared by all versions: its slots are atomic,
//! the single writer fills them and readers look without locking. A reader of an older version may
//! see a number its version does not know yet; such a number counts as absent.

use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::DefaultHashBuilder;

use super::paged::Paged;

/// Numbers from here on belong to one request (names the store does not know).
pub(crate) const SCRATCH: u32 = 1 << 31;

const PER_PAGE: usize = 64;

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
}

impl Default for Names {
    fn default() -> Self {
        let index = Index { hasher: DefaultHashBuilder::default(), slots: empty_slots(16) };
        Self { pages: Paged::default(), count: 0, index: Arc::new(index) }
    }
}

impl Names {
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
        if (self.count as usize) * 4 > self.index.slots.len() * 3 {
            self.index = Arc::new(self.index.doubled());
        }
        let hash = self.index.hasher.hash_one(name);
        self.index.insert(hash, number);
        Some(number)
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

    fn insert(&self, hash: u64, number: u32) {
        self.put((hash & !0xffff_ffff) | (u64::from(number) + 1));
    }

    /// Puts a packed slot in the first free place after its home, which its upper half decides.
    fn put(&self, packed: u64) {
        let mask = self.slots.len() - 1;
        let mut at = place(packed, mask);
        while let Some(slot) = self.slots.get(at) {
            if slot.load(Ordering::Relaxed) == 0 {
                slot.store(packed, Ordering::Release);
                return;
            }
            at = (at + 1) & mask;
        }
    }

    fn doubled(&self) -> Self {
        let doubled =
            Self { hasher: self.hasher.clone(), slots: empty_slots(self.slots.len() * 2) };
        for slot in &self.slots {
            let packed = slot.load(Ordering::Relaxed);
            if packed != 0 {
                doubled.put(packed);
            }
        }
        doubled
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

fn empty_slots(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
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
}
