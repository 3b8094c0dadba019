//! Interned names: dense numbers that are never reused, and the way back.
//!
//! The texts are in shared pages, which do not change once they are full. The hash index is shared
//! by all versions, also by hypothetical ones: its slots are atomic, whoever makes a version fills
//! free ones, and readers look without locking. A slot only ever claims that a name may have a
//! number; whether it has is for the texts of the version to say, so a number of a newer version, or
//! of one that was given up, is absent.

use std::hash::BuildHasher;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

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
    /// The texts behind the last full page, and where each ends.
    tail: String,
    tail_ends: Vec<u32>,
    count: u32,
    index: Arc<Index>,
}

/// A name that is being looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sought {
    hash: u64,
    /// What the first slot holds.
    slot: u32,
}

/// The texts of 64 names, back to back.
#[derive(Clone, Debug, Default)]
struct NamePage {
    text: Arc<str>,
    /// The length of every name, if all have the same; or else where each ends.
    length: u32,
    ends: Option<Arc<[u32; PER_PAGE]>>,
}

/// Open addressing; a slot holds the number plus one in as many bits as number the slots, and above
/// them a tag of the hash.
#[derive(Debug)]
struct Index {
    hasher: DefaultHashBuilder,
    slots: Box<[AtomicU32]>,
    /// How many bits of a slot the number has.
    number_bits: u32,
    /// Slots in use, also those of versions that were given up.
    used: AtomicUsize,
}

impl Default for Names {
    fn default() -> Self {
        let index = Index::new(DefaultHashBuilder::default(), FEWEST_SLOTS);
        Self {
            pages: Paged::default(),
            tail: String::new(),
            tail_ends: Vec::new(),
            count: 0,
            index: Arc::new(index),
        }
    }
}

impl Names {
    /// No names yet, and an index for so many.
    pub(super) fn with_room_for(count: usize) -> Self {
        let slots = (count * 3 / 2).next_power_of_two().max(FEWEST_SLOTS);
        let index = Arc::new(Index::new(DefaultHashBuilder::default(), slots));
        Self { index, ..Self::default() }
    }

    /// Puts the next names in, a page of them or the last ones, back to back and with the length of
    /// each; they are found only after [`Self::fill_index`]. False if that is not what they are.
    pub(super) fn push_page(&mut self, text: &str, lengths: impl Iterator<Item = u32>) -> bool {
        let (mut ends, mut count, mut end) = ([0; PER_PAGE], 0, 0_u32);
        for length in lengths {
            let (Some(place), Some(sum)) = (ends.get_mut(count), end.checked_add(length)) else {
                return false;
            };
            (*place, end) = (sum, sum);
            count += 1;
            if !text.is_char_boundary(sum as usize) {
                return false;
            }
        }
        if end as usize != text.len() || !self.tail_ends.is_empty() {
            return false;
        }
        if count == PER_PAGE {
            let Some(page) = self.pages.make_mut(self.count as usize / PER_PAGE) else {
                return false;
            };
            *page = NamePage::new(text, ends);
        } else {
            self.tail.push_str(text);
            self.tail_ends.extend(ends.iter().take(count));
        }
        self.count += u32::try_from(count).unwrap_or_default();
        true
    }

    /// Puts every name into the index, which has room for them and none of them yet. False when a
    /// name comes twice.
    pub(super) fn fill_index(&self) -> bool {
        let mut hashes = Vec::with_capacity(PER_PAGE);
        for first in (0..self.count).step_by(PER_PAGE) {
            let names =
                (first..self.count).take(PER_PAGE).map(|number| (number, self.name(number)));
            let hash = |name: &str| self.index.hasher.hash_one(name);
            hashes.clear();
            hashes.extend(names.filter_map(|(number, name)| Some((number, hash(name?)))));
            // Where they go is read for all of them first, so that waiting for memory overlaps.
            black_box(hashes.iter().fold(0, |sum, (_, hash)| sum ^ self.index.first(*hash)));
            for (number, hash) in &hashes {
                let is_it = |other| self.name(other) == self.name(*number);
                if !self.index.insert_new(*hash, *number, is_it) {
                    return false;
                }
            }
        }
        true
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

    /// Begins a search that [`Self::find_sought`] ends: hashes, and reads the first slot, whatever it
    /// says, so that the next search need not wait for it.
    #[inline]
    pub(super) fn seek(&self, name: &str) -> Sought {
        let hash = self.index.hasher.hash_one(name);
        Sought { hash, slot: self.index.first(hash) }
    }

    /// Reads the text that the search most likely ends at.
    #[inline]
    pub(super) fn touch(&self, sought: Sought) -> u8 {
        let likely = self.index.likely(sought);
        let text = likely.and_then(|number| self.name(number)).unwrap_or_default();
        // The text may begin in one line of the cache and end in the next.
        let ends = [text.as_bytes().first(), text.as_bytes().last()];
        ends.into_iter().flatten().fold(0, |sum, byte| sum ^ byte)
    }

    /// The number of the name that was sought.
    #[inline]
    pub(super) fn find_sought(&self, sought: Sought, name: &str) -> Option<u32> {
        self.index.find(sought.hash, |number| self.name(number) == Some(name))
    }

    /// The name with a number.
    #[inline]
    pub(crate) fn name(&self, number: u32) -> Option<&str> {
        if number >= self.count {
            return None;
        }
        let (page, at) = (number as usize / PER_PAGE, number as usize % PER_PAGE);
        match self.pages.get(page) {
            Some(page) => page.name(at),
            None => slice(&self.tail, &self.tail_ends, at),
        }
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
        let end = u32::try_from(self.tail.len() + name.len()).ok()?;
        self.tail.push_str(name);
        self.tail_ends.push(end);
        if let Ok(ends) = <[u32; PER_PAGE]>::try_from(self.tail_ends.as_slice()) {
            *self.pages.make_mut(number as usize / PER_PAGE)? = NamePage::new(&self.tail, ends);
            self.tail.clear();
            self.tail_ends.clear();
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
        let ends = |page: &NamePage| page.ends.as_ref().map_or(0, |_| 16 + PER_PAGE * 4);
        let pages = self.pages.pages().map(|page| 16 + page.text.len() + ends(page));
        let tail = self.tail.capacity() + self.tail_ends.capacity() * 4;
        let texts = self.pages.directory_bytes() + pages.sum::<usize>() + tail;
        texts + self.index.slots.len() * 4
    }
}

impl NamePage {
    fn new(text: &str, ends: [u32; PER_PAGE]) -> Self {
        let length = ends.first().copied().unwrap_or_default();
        let is_even = (1..).zip(ends).all(|(n, end)| n * u64::from(length) == u64::from(end));
        let ends = (!is_even).then(|| Arc::new(ends));
        Self { text: Arc::from(text), length, ends }
    }

    #[inline]
    fn name(&self, at: usize) -> Option<&str> {
        match &self.ends {
            Some(ends) => slice(&self.text, ends.as_slice(), at),
            None => {
                let length = self.length as usize;
                self.text.get(at * length..(at + 1) * length)
            }
        }
    }
}

#[inline]
fn slice<'a>(text: &'a str, ends: &[u32], at: usize) -> Option<&'a str> {
    let start = if at == 0 { 0 } else { *ends.get(at - 1)? };
    text.get(start as usize..*ends.get(at)? as usize)
}

impl Index {
    /// What the first slot of a hash holds.
    #[inline]
    fn first(&self, hash: u64) -> u32 {
        let slot = self.slots.get(place(hash, self.slots.len() - 1));
        slot.map_or(0, |slot| slot.load(Ordering::Acquire))
    }

    /// The number that a name most likely has: that of the first slot, if its tag fits.
    #[inline]
    fn likely(&self, sought: Sought) -> Option<u32> {
        let slot = u64::from(sought.slot);
        self.number(slot).filter(|_| slot >> self.number_bits == self.tag(sought.hash))
    }

    #[inline]
    fn find(&self, hash: u64, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let tag = self.tag(hash);
        let mut at = place(hash, mask);
        loop {
            let slot = u64::from(self.slots.get(at)?.load(Ordering::Acquire));
            let number = self.number(slot)?;
            if slot >> self.number_bits == tag && is_it(number) {
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
        let packed = self.tag(hash) << self.number_bits | (u64::from(number) + 1);
        // A number of more bits is of a version whose names are not all in here.
        if (u64::from(number) + 1) >> self.number_bits != 0 {
            return false;
        }
        u32::try_from(packed).is_ok_and(|packed| self.put(hash, packed))
    }

    /// As [`Self::insert`] of a number whose name is not in; false when it is.
    fn insert_new(&self, hash: u64, number: u32, is_it: impl Fn(u32) -> bool) -> bool {
        self.find(hash, is_it).is_none() && self.insert(hash, number)
    }

    /// Puts a slot's content in the first free place after the hash's own.
    fn put(&self, hash: u64, packed: u32) -> bool {
        let mask = self.slots.len() - 1;
        let mut at = place(hash, mask);
        while let Some(slot) = self.slots.get(at) {
            if slot.compare_exchange(0, packed, Ordering::Release, Ordering::Relaxed).is_ok() {
                return true;
            }
            at = (at + 1) & mask;
        }
        false
    }

    /// An index of so many slots, a power of two.
    fn new(hasher: DefaultHashBuilder, count: usize) -> Self {
        let slots: Box<[AtomicU32]> = (0..count).map(|_| AtomicU32::new(0)).collect();
        Self { hasher, number_bits: count.trailing_zeros(), slots, used: AtomicUsize::new(0) }
    }

    /// As many bits of the hash as a slot has room for beside the number.
    #[inline]
    fn tag(&self, hash: u64) -> u64 {
        (hash & 0xffff_ffff) >> self.number_bits
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "a slot has 32 bits")]
    fn number(&self, slot: u64) -> Option<u32> {
        ((slot & ((1 << self.number_bits) - 1)) as u32).checked_sub(1)
    }
}

/// The home of a hash: decided by its upper half, as the tag is by the lower.
#[inline]
fn place(hash: u64, mask: usize) -> usize {
    (hash >> 32) as usize & mask
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
    fn pages_of_names_are_found_once_they_are_indexed() {
        let texts: Vec<String> = (0..150).map(|n| format!("näme {n}")).collect();
        let read = |texts: &[String]| {
            let mut names = Names::with_room_for(texts.len());
            for page in texts.chunks(64) {
                let lengths = page.iter().map(|name| u32::try_from(name.len()).unwrap());
                assert!(names.push_page(&page.concat(), lengths));
            }
            names.fill_index().then_some(names)
        };
        let mut names = read(&texts).unwrap();
        for (number, name) in (0..).zip(&texts) {
            assert_eq!((names.find(name), names.name(number)), (Some(number), Some(&**name)));
        }
        assert_eq!((names.count(), names.find("absent")), (150, None));
        assert_eq!((names.intern("another"), names.intern("näme 3")), (Some(150), Some(3)));
        assert!(read(&[&texts[..], &texts[70..71]].concat()).is_none(), "a name twice");
        let push = |text: &str, lengths: &[u32]| {
            Names::with_room_for(9).push_page(text, lengths.iter().copied())
        };
        assert!(push("äb", &[2, 1]));
        assert!(!push("äb", &[1, 2]), "a letter in two");
        assert!(!push("äb", &[2]) && !push("äb", &[2, 2]) && !push("a", &[u32::MAX, 2]));
        assert!(!push(&"a".repeat(65), &[1; 65]), "more than a page");
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

    #[test]
    fn the_bytes_are_those_of_the_texts_the_directory_and_the_index() {
        let mut names = Names::default();
        // Two pages of names of one length, a page of two lengths, and a few names behind them.
        for n in 0..200_usize {
            let width = if (128..192).contains(&n) { 3 + n % 2 } else { 3 };
            names.intern(&format!("{n:0width$}"));
        }
        let even = 2 * (16 + 64 * 3);
        let uneven = 16 + 32 * 3 + 32 * 4 + 16 + 64 * 4;
        let tail = names.tail.capacity() + names.tail_ends.capacity() * 4;
        assert!(tail >= 8 * 3 + 8 * 4);
        // Of 200 names, in a table that is at most three quarters full.
        assert_eq!(names.index.slots.len(), 512);
        let others = names.pages.directory_bytes() + tail + 512 * 4;
        assert_eq!(names.bytes(), even + uneven + others);
    }
}
