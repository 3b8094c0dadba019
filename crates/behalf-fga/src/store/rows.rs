//! Sorted edge rows by dense row number, in shared pages.
//!
//! A page holds 64 rows back to back and is one immutable block: a head that says where each row
//! ends, then the edges, with no room left over. A look into a row touches two places of memory. A
//! row that outgrows [`BIG`] edges moves into chunks of its own, so that one new edge of a hub
//! copies a chunk and not the hub.

use std::slice;
use std::sync::Arc;

use super::paged::Paged;

const ROWS: usize = 64;
const BIG: usize = 256;
const CHUNK: usize = 256;

/// The bit that says that a tuple is guarded; numbers do not use it.
const GUARDED: u32 = 1 << 31;

/// In the first word of a page: ends are of 16 bits, not of 8.
const WIDE: u32 = 1;
/// In the first word of a page: some of its rows are in chunks.
const HAS_BIG: u32 = 2;
/// Words of ends, four and two to a word.
const NARROW_ENDS: usize = ROWS / 4;
const WIDE_ENDS: usize = ROWS / 2;

/// The other end of a tuple, and whether the tuple is guarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edge(u32);

impl Edge {
    pub(crate) fn new(end: u32, is_guarded: bool) -> Self {
        Self(end | if is_guarded { GUARDED } else { 0 })
    }

    pub(super) fn bits(self) -> u32 {
        self.0
    }

    pub(super) fn of_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(crate) fn is_guarded(self) -> bool {
        self.0 & GUARDED != 0
    }

    /// The number of the other end, by which rows are sorted.
    #[inline]
    pub(crate) fn end(self) -> u32 {
        self.0 & !GUARDED
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Rows {
    pages: Paged<Page>,
    /// Rows in chunks, by page; most pages have none.
    big: Paged<BigPage>,
    edges: usize,
}

/// A word of flags, the ends, the edges.
type Page = Option<Arc<[u32]>>;
type BigPage = Option<Arc<Vec<(u32, BigRow)>>>;

#[derive(Clone, Debug)]
struct BigRow {
    chunks: Vec<Arc<Vec<u32>>>,
}

/// The edges of one row, in order of their ends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Row<'a> {
    small: &'a [u32],
    big: Option<&'a BigRow>,
}

impl<'a> Row<'a> {
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.small.is_empty() && self.big.is_none()
    }

    /// True if the row has few enough edges to be in one place.
    #[inline]
    pub(crate) fn is_small(self) -> bool {
        self.big.is_none()
    }

    /// The edge to this end.
    #[inline]
    pub(crate) fn find(self, end: u32) -> Option<Edge> {
        let edges = match self.big {
            Some(big) => big.chunk(end)?,
            None => self.small,
        };
        edges.get(search(edges, end).ok()?).copied().map(Edge)
    }

    #[inline]
    pub(crate) fn iter(self) -> RowIter<'a> {
        let chunks = self.big.map_or(&[][..], |big| big.chunks.as_slice());
        RowIter { edges: self.small.iter(), chunks: chunks.iter() }
    }

    /// The edges to `from` and to later ends.
    pub(crate) fn iter_from(self, from: u32) -> RowIter<'a> {
        let (first, later) = match self.big {
            Some(big) => {
                let at = big.chunk_at(from);
                let chunk = big.chunks.get(at).map_or(&[][..], |chunk| chunk.as_slice());
                (chunk, big.chunks.get(at + 1..).unwrap_or(&[]))
            }
            None => (self.small, &[][..]),
        };
        let start = search(first, from).unwrap_or_else(|place| place);
        RowIter { edges: first.get(start..).unwrap_or(&[]).iter(), chunks: later.iter() }
    }
}

/// Goes through the edges of a row.
#[derive(Clone, Debug)]
pub(crate) struct RowIter<'a> {
    edges: slice::Iter<'a, u32>,
    chunks: slice::Iter<'a, Arc<Vec<u32>>>,
}

impl Iterator for RowIter<'_> {
    type Item = Edge;

    #[inline]
    fn next(&mut self) -> Option<Edge> {
        loop {
            if let Some(bits) = self.edges.next() {
                return Some(Edge(*bits));
            }
            self.edges = self.chunks.next()?.iter();
        }
    }
}

impl Rows {
    /// How many edges all rows have together.
    pub(crate) fn len(&self) -> usize {
        self.edges
    }

    /// The edge of the row to this end.
    #[inline]
    pub(crate) fn find(&self, row: u32, end: u32) -> Option<Edge> {
        self.row(row).find(end)
    }

    /// The edges of a row.
    #[inline]
    pub(crate) fn row(&self, row: u32) -> Row<'_> {
        self.row_of(self.page(row), row)
    }

    /// The page of a row.
    #[inline]
    pub(super) fn page(&self, row: u32) -> &[u32] {
        self.pages.get(split(row).0).and_then(Option::as_deref).unwrap_or(&[])
    }

    /// The edges of a row, given its page.
    #[inline]
    pub(super) fn row_of<'a>(&'a self, page: &'a [u32], row: u32) -> Row<'a> {
        let small = edges_of(page, split(row).1);
        let may_be_big = flags(page) & HAS_BIG != 0 && small.is_empty();
        Row { small, big: if may_be_big { self.big_row(row) } else { None } }
    }

    /// Reads what says where the row is in its page, and at the same time where it would begin if all
    /// rows of the page were equally long: mostly it is near.
    #[inline]
    pub(super) fn touch_head(page: &[u32], row: u32) -> u32 {
        let at = split(row).1;
        let first_edge = 1 + NARROW_ENDS;
        let likely = first_edge + page.len().saturating_sub(first_edge) * at / ROWS;
        let word = |at: usize| page.get(at).copied().unwrap_or_default();
        flags(page) ^ word(1 + at / 4) ^ word(likely)
    }

    /// Reads where the row begins, also if it is empty: so there is nothing to decide.
    #[inline]
    pub(super) fn touch_row(page: &[u32], row: u32) -> u32 {
        let start = range(page, split(row).1).0;
        page.get(first_edge(page) + start).copied().unwrap_or_default()
    }

    /// The first row from `row` on that has edges.
    pub(crate) fn next_row(&self, row: u32) -> Option<u32> {
        let (first, at) = split(row);
        for number in first..self.pages.len() {
            if let Some(Some(page)) = self.pages.get(number)
                && (end(page, ROWS - 1) > 0 || flags(page) & HAS_BIG != 0)
            {
                let from = if number == first { at } else { 0 };
                let rows = (from..ROWS).filter_map(|at| u32::try_from(number * ROWS + at).ok());
                let mut with_edges = rows.filter(|row| self.row(*row).iter().next().is_some());
                if let Some(row) = with_edges.next() {
                    return Some(row);
                }
            }
        }
        None
    }

    /// All rows that have edges, with their edges, in order.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, Edge)> {
        self.numbers().flat_map(move |row| self.row(row).iter().map(move |edge| (row, edge)))
    }

    /// The numbers of the rows, in order; not all have edges.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.pages.len() * ROWS).unwrap_or(u32::MAX)
    }

    /// Puts an edge in; false if one to the same end was replaced.
    pub(crate) fn insert(&mut self, row: u32, edge: Edge) -> bool {
        if let Some(big) = self.big_row_mut(row) {
            let is_new = big.insert(edge);
            self.edges += usize::from(is_new);
            return is_new;
        }
        let (number, at) = split(row);
        let Some(page) = self.pages.make_mut(number) else { return false };
        let old = page.as_deref().unwrap_or(&[]);
        let (start, end) = range(old, at);
        let place = search(edges_of(old, at), edge.end());
        let is_new = place.is_err();
        let mut words = match place {
            Ok(_) => old.to_vec(),
            Err(_) => with_room(old),
        };
        match place {
            Ok(found) => {
                if let Some(word) = words.get_mut(first_edge(old) + start + found) {
                    *word = edge.bits();
                }
            }
            Err(place) => {
                words.insert(first_edge(&words) + start + place, edge.bits());
                shift_ends(&mut words, at, u32::wrapping_add);
                self.edges += 1;
            }
        }
        *page = Some(Arc::from(words));
        if is_new && end + 1 - start > BIG {
            self.spill(row);
        }
        is_new
    }

    /// Takes the edge to this end out; false if there is none.
    pub(crate) fn remove(&mut self, row: u32, end: u32) -> bool {
        if self.find(row, end).is_none() {
            return false;
        }
        self.edges -= 1;
        if let Some(big) = self.big_row_mut(row) {
            return big.remove(end);
        }
        let (number, at) = split(row);
        let Some(Some(page)) = self.pages.make_mut(number) else { return false };
        let Ok(found) = search(edges_of(page, at), end) else { return false };
        let mut words = page.to_vec();
        words.remove(first_edge(page) + range(page, at).0 + found);
        shift_ends(&mut words, at, u32::wrapping_sub);
        *page = Arc::from(words);
        true
    }

    /// Bytes in use, allocator overhead not counted.
    pub(crate) fn bytes(&self) -> usize {
        let page = |page: &Page| page.as_ref().map_or(0, |words| 16 + words.len() * 4);
        let row = |(_, big): &(u32, BigRow)| {
            let edges: usize = big.chunks.iter().map(|chunk| chunk.capacity() * 4).sum();
            size_of::<(u32, BigRow)>() + edges + big.chunks.len() * 48
        };
        let big = |page: &BigPage| page.iter().flat_map(|rows| rows.iter()).map(row).sum::<usize>();
        self.pages.directory_bytes()
            + self.pages.pages().map(page).sum::<usize>()
            + self.big.directory_bytes()
            + self.big.pages().map(big).sum::<usize>()
    }

    fn big_row(&self, row: u32) -> Option<&BigRow> {
        let rows = self.big.get(split(row).0)?.as_deref()?;
        rows.iter().find(|(number, _)| *number == row).map(|(_, big)| big)
    }

    /// The row for change, if it is in chunks.
    fn big_row_mut(&mut self, row: u32) -> Option<&mut BigRow> {
        self.big_row(row)?;
        let rows = Arc::make_mut(self.big.make_mut(split(row).0)?.as_mut()?);
        rows.iter_mut().find(|(number, _)| *number == row).map(|(_, big)| big)
    }

    /// Moves a row into chunks.
    fn spill(&mut self, row: u32) {
        let (number, at) = split(row);
        let Some(Some(page)) = self.pages.make_mut(number) else { return };
        let (start, end) = range(page, at);
        let mut words = page.to_vec();
        let from = first_edge(page);
        let moved: Vec<u32> = words.drain(from + start..from + end).collect();
        moved.iter().for_each(|_| shift_ends(&mut words, at, u32::wrapping_sub));
        if let Some(flags) = words.first_mut() {
            *flags |= HAS_BIG;
        }
        *page = Arc::from(words);
        let chunks = moved.chunks(CHUNK / 2).map(|chunk| Arc::new(chunk.to_vec())).collect();
        if let Some(page) = self.big.make_mut(number) {
            let rows = page.get_or_insert_default();
            Arc::make_mut(rows).push((row, BigRow { chunks }));
        }
    }
}

/// Makes rows of edges that come in the order of rows and ends.
#[derive(Debug)]
pub(super) struct RowsBuilder {
    rows: Rows,
    /// The page that is being made: its number, how many edges each of its rows has, and the edges.
    number: usize,
    counts: [usize; ROWS],
    edges: Vec<u32>,
    /// The words of a page, kept for the next one.
    words: Vec<u32>,
}

impl Default for RowsBuilder {
    fn default() -> Self {
        let (rows, edges, words) = (Rows::default(), Vec::new(), Vec::new());
        Self { rows, number: 0, counts: [0; ROWS], edges, words }
    }
}

impl RowsBuilder {
    /// Puts edges of a row in behind all others; the caller sees to the order.
    pub(super) fn push(&mut self, row: u32, edges: impl Iterator<Item = Edge>) {
        let (number, at) = split(row);
        if number != self.number {
            self.finish_page();
            self.number = number;
        }
        let before = self.edges.len();
        self.edges.extend(edges.map(Edge::bits));
        if let Some(count) = self.counts.get_mut(at) {
            *count += self.edges.len() - before;
        }
    }

    pub(super) fn finish(mut self) -> Rows {
        self.finish_page();
        self.rows
    }

    fn finish_page(&mut self) {
        if self.edges.is_empty() {
            return;
        }
        let big = self.take_big();
        let is_wide = self.edges.len() > usize::from(u8::MAX);
        let flags = if is_wide { WIDE } else { 0 } | if big.is_empty() { 0 } else { HAS_BIG };
        self.words.clear();
        self.words.push(flags);
        let (per_word, bits) = if is_wide { (2, 16_u32) } else { (4, 8) };
        let mut end: u32 = 0;
        for counts in self.counts.chunks(per_word) {
            let mut word = 0;
            for (place, count) in (0..).zip(counts) {
                // A page's small rows have fewer edges than an end has room for.
                end += u32::try_from(*count).unwrap_or_default();
                word |= end << (place * bits);
            }
            self.words.push(word);
        }
        self.words.extend_from_slice(&self.edges);
        if let Some(page) = self.rows.pages.make_mut(self.number) {
            *page = Some(Arc::from(self.words.as_slice()));
        }
        self.rows.edges += self.edges.len();
        if !big.is_empty()
            && let Some(page) = self.rows.big.make_mut(self.number)
        {
            *page = Some(Arc::new(big));
        }
        self.edges.clear();
        self.counts = [0; ROWS];
    }

    /// Takes the rows out of the page that are too long for it.
    fn take_big(&mut self) -> Vec<(u32, BigRow)> {
        let mut big = Vec::new();
        let mut start = 0;
        for (at, count) in self.counts.iter_mut().enumerate() {
            if *count <= BIG {
                start += *count;
                continue;
            }
            let edges: Vec<u32> = self.edges.drain(start..start + *count).collect();
            self.rows.edges += edges.len();
            *count = 0;
            let chunks = edges.chunks(CHUNK).map(|chunk| Arc::new(chunk.to_vec())).collect();
            let row = u32::try_from(self.number * ROWS + at).unwrap_or(u32::MAX);
            big.push((row, BigRow { chunks }));
        }
        big
    }
}

#[inline]
fn split(row: u32) -> (usize, usize) {
    let row = row as usize;
    (row / ROWS, row % ROWS)
}

/// Where the edge to this end is among sorted ones, or would be.
#[inline]
fn search(edges: &[u32], end: u32) -> Result<usize, usize> {
    edges.binary_search_by_key(&end, |bits| Edge(*bits).end())
}

#[inline]
fn flags(page: &[u32]) -> u32 {
    page.first().copied().unwrap_or_default()
}

/// The index of the word with a page's first edge.
#[inline]
fn first_edge(page: &[u32]) -> usize {
    1 + if flags(page) & WIDE == 0 { NARROW_ENDS } else { WIDE_ENDS }
}

/// Where a row's part of the edges ends.
#[inline]
fn end(page: &[u32], at: usize) -> usize {
    let word = |per_word: usize| page.get(1 + at / per_word).copied().unwrap_or_default();
    let end = if flags(page) & WIDE == 0 {
        word(4) >> (at % 4 * 8) & 0xff
    } else {
        word(2) >> (at % 2 * 16) & 0xffff
    };
    end as usize
}

#[inline]
fn range(page: &[u32], at: usize) -> (usize, usize) {
    (if at == 0 { 0 } else { end(page, at - 1) }, end(page, at))
}

#[inline]
fn edges_of(page: &[u32], at: usize) -> &[u32] {
    let (start, end) = range(page, at);
    let first = first_edge(page);
    page.get(first + start..first + end).unwrap_or(&[])
}

/// A copy of a page with room for one more edge, also in its ends.
fn with_room(page: &[u32]) -> Vec<u32> {
    if page.is_empty() {
        let mut words = Vec::with_capacity(1 + NARROW_ENDS + 1);
        words.resize(1 + NARROW_ENDS, 0);
        return words;
    }
    let mut words = Vec::with_capacity(page.len() + 1 + NARROW_ENDS);
    if flags(page) & WIDE == 0 && end(page, ROWS - 1) >= usize::from(u8::MAX) {
        words.push(flags(page) | WIDE);
        let ends = page.iter().skip(1).take(NARROW_ENDS);
        for [a, b, c, d] in ends.map(|word| word.to_le_bytes()) {
            words.extend([[a, b], [c, d]].map(|[a, b]| u32::from(a) | u32::from(b) << 16));
        }
        words.extend_from_slice(page.get(first_edge(page)..).unwrap_or(&[]));
    } else {
        words.extend_from_slice(page);
    }
    words
}

/// Moves the ends of a row and of all behind it by one. No end leaves its lane: it is below the
/// lane's highest when one is added, and above zero when one is taken away.
fn shift_ends(page: &mut [u32], at: usize, by_lane: fn(u32, u32) -> u32) {
    let (per_word, ones) =
        if flags(page) & WIDE == 0 { (4, 0x0101_0101) } else { (2, 0x0001_0001) };
    let ends = first_edge(page);
    let words = page.get_mut(1 + at / per_word..ends).unwrap_or(&mut []);
    let mut lanes = ones << (at % per_word * (32 / per_word));
    for word in words {
        *word = by_lane(*word, lanes);
        lanes = ones;
    }
}

impl BigRow {
    /// The chunk that holds the end, if any holds it.
    fn chunk(&self, end: u32) -> Option<&[u32]> {
        self.chunks.get(self.chunk_at(end)).map(|chunk| chunk.as_slice())
    }

    fn chunk_at(&self, end: u32) -> usize {
        let starts_after =
            |chunk: &Arc<Vec<u32>>| chunk.first().is_some_and(|bits| Edge(*bits).end() > end);
        self.chunks.partition_point(|chunk| !starts_after(chunk)).saturating_sub(1)
    }

    fn insert(&mut self, edge: Edge) -> bool {
        let at = self.chunk_at(edge.end());
        let Some(shared) = self.chunks.get_mut(at) else {
            self.chunks.push(Arc::new(vec![edge.bits()]));
            return true;
        };
        let chunk = Arc::make_mut(shared);
        match search(chunk, edge.end()) {
            Ok(found) => {
                if let Some(slot) = chunk.get_mut(found) {
                    *slot = edge.bits();
                }
                false
            }
            Err(place) => {
                chunk.insert(place, edge.bits());
                if chunk.len() > CHUNK {
                    let upper = chunk.split_off(chunk.len() / 2);
                    self.chunks.insert(at + 1, Arc::new(upper));
                }
                true
            }
        }
    }

    fn remove(&mut self, end: u32) -> bool {
        let at = self.chunk_at(end);
        let Some(shared) = self.chunks.get_mut(at) else { return false };
        let chunk = Arc::make_mut(shared);
        let Ok(found) = search(chunk, end) else { return false };
        chunk.remove(found);
        if chunk.is_empty() {
            self.chunks.remove(at);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{BigRow, Edge, Rows, RowsBuilder};

    /// A small generator: the test must not depend on another crate's stream.
    fn next(seed: &mut u64) -> u32 {
        *seed =
            seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from(*seed >> 40).unwrap()
    }

    #[test]
    fn rows_behave_like_a_map_and_old_versions_stay() {
        let mut rows = Rows::default();
        let mut model: BTreeMap<(u32, u32), bool> = BTreeMap::new();
        let mut seed = 7;
        let mut old = Vec::new();
        for step in 0..40_000_u32 {
            let row = next(&mut seed) % 130;
            let row = if row > 100 { 5 } else { row };
            let key = next(&mut seed) % 3_000;
            if next(&mut seed).is_multiple_of(3) {
                assert_eq!(rows.remove(row, key), model.remove(&(row, key)).is_some());
            } else {
                let is_guarded = key.is_multiple_of(7) ^ step.is_multiple_of(50);
                let was = model.insert((row, key), is_guarded);
                assert_eq!(rows.insert(row, Edge::new(key, is_guarded)), was.is_none());
            }
            if step % 10_000 == 100 {
                old.push((rows.clone(), model.clone()));
            }
        }
        old.push((rows, model));
        for (rows, model) in old {
            assert_eq!(rows.len(), model.len());
            let as_model = |(row, edge): (u32, Edge)| ((row, edge.end()), edge.is_guarded());
            let all: Vec<_> = rows.all().map(as_model).collect();
            assert_eq!(
                all,
                model.iter().map(|(key, guarded)| (*key, *guarded)).collect::<Vec<_>>()
            );
            for (&(row, key), &is_guarded) in &model {
                assert_eq!(rows.find(row, key), Some(Edge::new(key, is_guarded)));
            }
            for row in [0, 5, 77, 129] {
                let next = model.range((row, 0)..).next().map(|((row, _), _)| *row);
                assert_eq!(rows.next_row(row), next);
                for from in (0..3_100).step_by(155) {
                    let ends: Vec<u32> = rows.row(row).iter_from(from).map(Edge::end).collect();
                    let model = model.range((row, from)..(row + 1, 0));
                    assert_eq!(ends, model.map(|((_, end), _)| *end).collect::<Vec<_>>());
                }
            }
            let mut builder = RowsBuilder::default();
            rows.all().for_each(|(row, edge)| builder.push(row, std::iter::once(edge)));
            let mut built = builder.finish();
            assert!(built.all().eq(rows.all()));
            assert_eq!(built.len(), rows.len());
            let taken: Vec<_> = built.all().step_by(2).collect();
            for (row, edge) in taken {
                assert!(built.remove(row, edge.end()));
                assert!(built.insert(row, edge));
            }
            assert!(built.all().eq(rows.all()));
        }
    }
    #[test]
    fn rows_far_apart_are_all_found() {
        let mut rows = Rows::default();
        let far = [3, 70, 5_000, 5_001, 9_000, 300_000, 4_000_000];
        for row in far {
            rows.insert(row, Edge::new(row + 1, false));
        }
        let all: Vec<(u32, u32)> = rows.all().map(|(row, edge)| (row, edge.end())).collect();
        assert_eq!(all, far.map(|row| (row, row + 1)));
        let next = |row: Option<u32>| rows.next_row(row.map_or(0, |row| row + 1));
        let found: Vec<u32> = std::iter::successors(next(None), |row| next(Some(*row))).collect();
        assert_eq!(found, far);
        assert_eq!(rows.row(9_000).iter_from(9_001).map(Edge::end).collect::<Vec<_>>(), [9_001]);
        assert_eq!(rows.row(9_000).iter_from(9_002).count(), 0);
    }

    #[test]
    fn the_bytes_are_those_of_the_pages_the_chunks_and_the_directories() {
        let mut rows = Rows::default();
        for end in 0..3 {
            rows.insert(0, Edge::new(end, false));
        }
        for end in 0..300 {
            rows.insert(70, Edge::new(end, false));
        }
        // A word of flags, sixteen of ends and three edges; flags, thirty-two and no edge.
        let pages = 16 + (1 + 16 + 3) * 4 + 16 + (1 + 32) * 4;
        let chunks = &rows.big_row(70).unwrap().chunks;
        let edges: usize = chunks.iter().map(|chunk| chunk.capacity() * 4).sum();
        assert!(edges >= 300 * 4 && chunks.len() >= 2);
        let big = size_of::<(u32, BigRow)>() + edges + chunks.len() * 48;
        let directories = rows.pages.directory_bytes() + rows.big.directory_bytes();
        assert_eq!(rows.bytes(), pages + big + directories);
    }

    #[test]
    fn a_row_is_small_until_it_is_in_chunks() {
        let mut rows = Rows::default();
        assert!(rows.row(0).is_empty() && rows.row(0).is_small());
        for end in 0..256 {
            rows.insert(0, Edge::new(end, false));
            assert!(!rows.row(0).is_empty() && rows.row(0).is_small());
        }
        rows.insert(0, Edge::new(256, false));
        assert!(!rows.row(0).is_empty() && !rows.row(0).is_small());
        let chunks = |rows: &Rows| rows.big_row(0).unwrap().chunks.len();
        assert_eq!(chunks(&rows), 3);
        for end in 0..257 {
            assert!(rows.remove(0, end));
        }
        assert_eq!((chunks(&rows), rows.len(), rows.next_row(0)), (0, 0, None));
        assert!(rows.insert(0, Edge::new(9, true)));
        assert_eq!(rows.find(0, 9), Some(Edge::new(9, true)));
    }
}
