//! Sorted edge rows by dense row number, in shared pages.
//!
//! A page holds 64 rows back to back. A row that outgrows [`BIG`] edges moves into chunks of its
//! own, so that one new edge of a hub copies a chunk and not the hub.

use std::sync::Arc;

use super::paged::Paged;

const ROWS: usize = 64;
const BIG: usize = 256;
const CHUNK: usize = 256;

/// Something a row is sorted by.
pub(crate) trait Edge: Clone {
    fn key(&self) -> u32;
}

impl Edge for u32 {
    fn key(&self) -> u32 {
        *self
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Rows<E> {
    pages: Paged<Page<E>>,
    edges: usize,
}

impl<E> Default for Rows<E> {
    fn default() -> Self {
        Self { pages: Paged::default(), edges: 0 }
    }
}

#[derive(Clone, Debug)]
struct Page<E> {
    /// Where each row ends in `edges`.
    ends: [u16; ROWS],
    edges: Vec<E>,
    /// Rows that live in chunks; their part of `edges` is empty.
    big: Vec<(u8, BigRow<E>)>,
}

impl<E> Default for Page<E> {
    fn default() -> Self {
        Self { ends: [0; ROWS], edges: Vec::new(), big: Vec::new() }
    }
}

#[derive(Clone, Debug)]
struct BigRow<E> {
    chunks: Vec<Arc<Vec<E>>>,
}

impl<E: Edge> Rows<E> {
    /// How many edges all rows have together.
    pub(crate) fn len(&self) -> usize {
        self.edges
    }

    /// The edge of the row with this key.
    pub(crate) fn find(&self, row: u32, key: u32) -> Option<&E> {
        let (page, at) = self.locate(row)?;
        let slice = page.slice(at);
        if let Ok(found) = slice.binary_search_by_key(&key, Edge::key) {
            return slice.get(found);
        }
        let chunk = page.big_row(at)?.chunk(key)?;
        chunk.get(chunk.binary_search_by_key(&key, Edge::key).ok()?)
    }

    /// The edges of the row, in order of their keys.
    pub(crate) fn row(&self, row: u32) -> impl Iterator<Item = &E> {
        let located = self.locate(row);
        let small = located.map_or(&[][..], |(page, at)| page.slice(at));
        let big = located.and_then(|(page, at)| page.big_row(at));
        small.iter().chain(big.into_iter().flat_map(|big| big.chunks.iter().flat_map(|c| c.iter())))
    }

    /// The edges of the row as one slice, unless there are too many for that.
    pub(crate) fn small_row(&self, row: u32) -> Option<&[E]> {
        let Some((page, at)) = self.locate(row) else { return Some(&[]) };
        let slice = page.slice(at);
        if slice.is_empty() && page.big_row(at).is_some() { None } else { Some(slice) }
    }

    /// The edges of the row with the key `from` or a later one.
    pub(crate) fn row_from(&self, row: u32, from: u32) -> impl Iterator<Item = &E> {
        let located = self.locate(row);
        let small = located.map_or(&[][..], |(page, at)| page.slice(at));
        let small = small.get(small.partition_point(|edge| edge.key() < from)..).unwrap_or(&[]);
        let chunks = located
            .and_then(|(page, at)| page.big_row(at))
            .map_or(&[][..], |big| big.chunks.get(big.chunk_at(from)..).unwrap_or(&[]));
        let big = chunks.iter().flat_map(|chunk| chunk.iter());
        small.iter().chain(big.skip_while(move |edge| edge.key() < from))
    }

    /// The first row from `row` on that has edges.
    pub(crate) fn next_row(&self, row: u32) -> Option<u32> {
        let (first, at) = split(row);
        let pages = first..self.pages.len();
        for (number, page) in pages.filter_map(|number| Some((number, self.pages.get(number)?))) {
            let from = if number == first { at } else { 0 };
            let is_empty = page.edges.is_empty() && page.big.is_empty();
            let rows = if is_empty { 0..0 } else { from..ROWS };
            let found = rows.into_iter().find(|at| {
                let (start, end) = page.range(*at);
                start < end || page.big_row(*at).is_some()
            });
            if let Some(at) = found {
                return u32::try_from(number * ROWS + at).ok();
            }
        }
        None
    }

    /// All rows that have edges, with their edges.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, &E)> {
        let rows = self.pages.len() * ROWS;
        (0..u32::try_from(rows).unwrap_or(u32::MAX))
            .flat_map(move |row| self.row(row).map(move |edge| (row, edge)))
    }

    /// Puts an edge in; false if one with its key was replaced.
    pub(crate) fn insert(&mut self, row: u32, edge: E) -> bool {
        let (number, at) = split(row);
        let Some(page) = self.pages.make_mut(number) else { return false };
        let is_new = page.insert(at, edge);
        self.edges += usize::from(is_new);
        is_new
    }

    /// Puts an edge in behind all others, in the order of rows and keys; the caller sees to it.
    pub(crate) fn push_last(&mut self, row: u32, edge: E) {
        let (number, at) = split(row);
        if let Some(page) = self.pages.make_mut(number) {
            page.push_last(at, edge);
            self.edges += 1;
        }
    }

    /// Gives back room that [`Self::push_last`] has left over.
    pub(crate) fn shrink(&mut self) {
        self.pages.unshared().for_each(|page| page.edges.shrink_to_fit());
    }

    /// Takes the edge with this key out; false if there is none.
    pub(crate) fn remove(&mut self, row: u32, key: u32) -> bool {
        if self.find(row, key).is_none() {
            return false;
        }
        let (number, at) = split(row);
        let removed = self.pages.make_mut(number).is_some_and(|page| page.remove(at, key));
        self.edges -= usize::from(removed);
        removed
    }

    /// Bytes in use, allocator overhead not counted.
    pub(crate) fn bytes(&self) -> usize {
        let of_page = |page: &Page<E>| {
            let big: usize = page
                .big
                .iter()
                .map(|(_, big)| {
                    let edges: usize =
                        big.chunks.iter().map(|c| c.capacity() * size_of::<E>()).sum();
                    edges + big.chunks.len() * 48
                })
                .sum();
            page.edges.capacity() * size_of::<E>() + big
        };
        self.pages.directory_bytes() + self.pages.pages().map(of_page).sum::<usize>()
    }

    fn locate(&self, row: u32) -> Option<(&Page<E>, usize)> {
        let (number, at) = split(row);
        self.pages.get(number).map(|page| (page, at))
    }
}

fn split(row: u32) -> (usize, usize) {
    let row = row as usize;
    (row / ROWS, row % ROWS)
}

impl<E: Edge> Page<E> {
    fn range(&self, at: usize) -> (usize, usize) {
        let start = if at == 0 { 0 } else { self.ends.get(at - 1).copied().unwrap_or(0) };
        (usize::from(start), usize::from(self.ends.get(at).copied().unwrap_or(0)))
    }

    fn slice(&self, at: usize) -> &[E] {
        let (start, end) = self.range(at);
        self.edges.get(start..end).unwrap_or(&[])
    }

    fn big_row(&self, at: usize) -> Option<&BigRow<E>> {
        self.big.iter().find(|(row, _)| usize::from(*row) == at).map(|(_, big)| big)
    }

    fn insert(&mut self, at: usize, edge: E) -> bool {
        if let Some((_, big)) = self.big.iter_mut().find(|(row, _)| usize::from(*row) == at) {
            return big.insert(edge);
        }
        let (start, end) = self.range(at);
        match self.slice(at).binary_search_by_key(&edge.key(), Edge::key) {
            Ok(found) => {
                if let Some(slot) = self.edges.get_mut(start + found) {
                    *slot = edge;
                }
                false
            }
            Err(place) => {
                // Growth by an eighth instead of doubling keeps slack small.
                if self.edges.len() == self.edges.capacity() {
                    self.edges.reserve_exact(4 + self.edges.len() / 8);
                }
                self.edges.insert(start + place, edge);
                self.ends.iter_mut().skip(at).for_each(|end| *end += 1);
                if end + 1 - start > BIG {
                    self.spill(at);
                }
                true
            }
        }
    }

    fn push_last(&mut self, at: usize, edge: E) {
        match self.big.iter_mut().find(|(row, _)| usize::from(*row) == at) {
            Some((_, big)) => big.push_last(edge),
            None => {
                self.edges.push(edge);
                self.ends.iter_mut().skip(at).for_each(|end| *end += 1);
                if self.slice(at).len() > BIG {
                    self.spill(at);
                }
            }
        }
    }

    fn remove(&mut self, at: usize, key: u32) -> bool {
        if let Some((_, big)) = self.big.iter_mut().find(|(row, _)| usize::from(*row) == at) {
            return big.remove(key);
        }
        let Ok(found) = self.slice(at).binary_search_by_key(&key, Edge::key) else { return false };
        let (start, _) = self.range(at);
        self.edges.remove(start + found);
        self.ends.iter_mut().skip(at).for_each(|end| *end -= 1);
        true
    }

    /// Moves a row into chunks.
    fn spill(&mut self, at: usize) {
        let Ok(row) = u8::try_from(at) else { return };
        let (start, end) = self.range(at);
        let moved: Vec<E> = self.edges.drain(start..end).collect();
        let Ok(count) = u16::try_from(moved.len()) else { return };
        self.ends.iter_mut().skip(at).for_each(|end| *end -= count);
        let chunks = moved.chunks(CHUNK / 2).map(|chunk| Arc::new(chunk.to_vec())).collect();
        self.big.push((row, BigRow { chunks }));
    }
}

impl<E: Edge> BigRow<E> {
    /// The chunk that holds the key, if any holds it.
    fn chunk(&self, key: u32) -> Option<&[E]> {
        self.chunks.get(self.chunk_at(key)).map(|chunk| chunk.as_slice())
    }

    fn chunk_at(&self, key: u32) -> usize {
        let starts_after = |chunk: &Arc<Vec<E>>| chunk.first().is_some_and(|e| e.key() > key);
        self.chunks.partition_point(|chunk| !starts_after(chunk)).saturating_sub(1)
    }

    fn insert(&mut self, edge: E) -> bool {
        let at = self.chunk_at(edge.key());
        let Some(shared) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(vec![edge]));
            return true;
        };
        let chunk = Arc::make_mut(shared);
        match chunk.binary_search_by_key(&edge.key(), Edge::key) {
            Ok(found) => {
                if let Some(slot) = chunk.get_mut(found) {
                    *slot = edge;
                }
                false
            }
            Err(place) => {
                chunk.insert(place, edge);
                if chunk.len() > CHUNK {
                    let upper = chunk.split_off(chunk.len() / 2);
                    self.chunks.insert(at + 1, Arc::new(upper));
                }
                true
            }
        }
    }

    fn push_last(&mut self, edge: E) {
        match self.chunks.last_mut().filter(|chunk| chunk.len() < CHUNK) {
            Some(chunk) => Arc::make_mut(chunk).push(edge),
            None => self.chunks.push(Arc::new(vec![edge])),
        }
    }

    fn remove(&mut self, key: u32) -> bool {
        let at = self.chunk_at(key);
        let Some(shared) = self.chunks.get_mut(at) else { return false };
        let chunk = Arc::make_mut(shared);
        let Ok(found) = chunk.binary_search_by_key(&key, Edge::key) else { return false };
        chunk.remove(found);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Rows;

    /// A small generator: the test must not depend on another crate's stream.
    fn next(seed: &mut u64) -> u32 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(*seed >> 40).unwrap()
    }

    #[test]
    fn rows_behave_like_a_set_and_old_versions_stay() {
        let mut rows: Rows<u32> = Rows::default();
        let mut model: BTreeSet<(u32, u32)> = BTreeSet::new();
        let mut seed = 7;
        let mut old = Vec::new();
        for step in 0..40_000 {
            let row = next(&mut seed) % 130;
            let row = if row > 100 { 5 } else { row };
            let key = next(&mut seed) % 3_000;
            if next(&mut seed).is_multiple_of(3) {
                assert_eq!(rows.remove(row, key), model.remove(&(row, key)));
            } else {
                assert_eq!(rows.insert(row, key), model.insert((row, key)));
            }
            if step % 10_000 == 0 {
                old.push((rows.clone(), model.clone()));
            }
        }
        old.push((rows, model));
        for (rows, model) in old {
            assert_eq!(rows.len(), model.len());
            let all: Vec<(u32, u32)> = rows.all().map(|(row, edge)| (row, *edge)).collect();
            assert_eq!(all, model.iter().copied().collect::<Vec<_>>());
            assert!(model.iter().all(|&(row, key)| rows.find(row, key).is_some()));
        }
    }

    #[test]
    fn rows_far_apart_are_all_found() {
        let mut rows: Rows<u32> = Rows::default();
        let far = [3, 70, 5_000, 5_001, 9_000, 300_000, 4_000_000];
        for row in far {
            rows.insert(row, row + 1);
        }
        let all: Vec<(u32, u32)> = rows.all().map(|(row, edge)| (row, *edge)).collect();
        assert_eq!(all, far.map(|row| (row, row + 1)));
        let next = |row: Option<u32>| rows.next_row(row.map_or(0, |row| row + 1));
        let found: Vec<u32> = std::iter::successors(next(None), |row| next(Some(*row))).collect();
        assert_eq!(found, far);
        assert_eq!(rows.row_from(9_000, 9_001).copied().collect::<Vec<_>>(), [9_001]);
        assert_eq!(rows.row_from(9_000, 9_002).count(), 0);
    }
}
