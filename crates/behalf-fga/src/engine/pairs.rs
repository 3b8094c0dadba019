//! A small map from pairs to numbers, without allocation until it has grown.

use super::evaluate::Pair;

const INLINE: usize = 16;

/// Open addressing; a key of zero is a free slot, so keys are one more than the pair.
#[derive(Debug)]
pub(super) struct PairMap {
    inline: [(u64, u32); INLINE],
    heap: Vec<(u64, u32)>,
    count: usize,
}

impl Default for PairMap {
    fn default() -> Self {
        Self { inline: [(0, 0); INLINE], heap: Vec::new(), count: 0 }
    }
}

fn key((node, object): Pair) -> u64 {
    (u64::from(node.0) << 32 | u64::from(object)).wrapping_add(1)
}

fn home(key: u64, mask: usize) -> usize {
    (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & mask
}

impl PairMap {
    fn slots(&self) -> &[(u64, u32)] {
        if self.heap.is_empty() { &self.inline } else { &self.heap }
    }

    fn slots_mut(&mut self) -> &mut [(u64, u32)] {
        if self.heap.is_empty() { &mut self.inline } else { &mut self.heap }
    }

    /// Where the key is, or the free slot where it would be.
    fn place(slots: &[(u64, u32)], key: u64) -> usize {
        let mask = slots.len() - 1;
        let mut at = home(key, mask);
        while let Some((known, _)) = slots.get(at)
            && *known != 0
            && *known != key
        {
            at = (at + 1) & mask;
        }
        at
    }

    pub(super) fn get(&self, pair: Pair) -> Option<u32> {
        let key = key(pair);
        let slots = self.slots();
        let (known, value) = slots.get(Self::place(slots, key))?;
        (*known == key).then_some(*value)
    }

    /// Puts a value in and says what was there.
    pub(super) fn insert(&mut self, pair: Pair, value: u32) -> Option<u32> {
        self.put(key(pair), value, true)
    }

    /// The pair's value, which is this one if it had none.
    pub(super) fn get_or_insert(&mut self, pair: Pair, value: u32) -> u32 {
        self.put(key(pair), value, false).unwrap_or(value)
    }

    fn put(&mut self, key: u64, value: u32, replaces: bool) -> Option<u32> {
        if self.count * 4 >= self.slots().len() * 3 {
            self.grow();
        }
        let slots = self.slots_mut();
        let at = Self::place(slots, key);
        let slot = slots.get_mut(at)?;
        if slot.0 == key {
            let was = slot.1;
            if replaces {
                slot.1 = value;
            }
            return Some(was);
        }
        *slot = (key, value);
        self.count += 1;
        None
    }

    fn grow(&mut self) {
        let mut grown = vec![(0, 0); self.slots().len() * 4];
        for (key, value) in self.slots().iter().filter(|(key, _)| *key != 0) {
            let at = Self::place(&grown, *key);
            if let Some(slot) = grown.get_mut(at) {
                *slot = (*key, *value);
            }
        }
        self.heap = grown;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::plan::NodeId;
    use super::PairMap;

    #[test]
    fn a_pair_map_behaves_like_a_map_however_large() {
        let mut pairs = PairMap::default();
        let mut model = BTreeMap::new();
        for n in 0..5_000_u32 {
            let pair = (NodeId(n % 3), n.wrapping_mul(2_654_435_761) % 1_000);
            assert_eq!(pairs.insert(pair, n), model.insert(pair, n));
        }
        for node in 0..4 {
            for object in 0..1_100 {
                let pair = (NodeId(node), object);
                assert_eq!(pairs.get(pair), model.get(&pair).copied());
                let value = *model.entry(pair).or_insert(object);
                assert_eq!(pairs.get_or_insert(pair, object), value);
                assert_eq!(pairs.get(pair), Some(value));
            }
        }
    }
}
