//! A store's version as bytes: a file that a start reads instead of the whole log.
//!
//! The file begins with a magic text, the format's number, and the id of the store it is of; it
//! ends with a checksum over everything before. Names are kept in the order of their numbers and
//! rows as they are in memory, so that a version read back gives the same numbers, pages of lists
//! go on, and the changes after it are applied as if it had never been away.
//!
//! Everything is checked before it is believed: lengths against what is there, numbers against what
//! there is. A file that does not pass is refused as a whole, and the log is read instead.

use std::sync::Arc;

use thiserror::Error;

use super::names::{Names, SCRATCH};
use super::rows::Rows;
use super::snapshot::{
    BackEdge, GuardedEdge, HeldGuard, Revision, Snapshot, SubjectKind, Table, TableKey,
};
use crate::tuple::{TupleCondition, Validity};

const MAGIC: &[u8; 8] = b"behalfga";
/// Raised with every change of the format; other numbers are refused.
const FORMAT: u32 = 1;
/// No number: a wildcard's or a plain object's place in a table key.
const NONE: u32 = u32::MAX;
const WILDCARD: u32 = u32::MAX - 1;

/// Why bytes are not the snapshot that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// They are no snapshot.
    #[error("the file is no snapshot")]
    NotASnapshot,
    /// They are of another version of the format.
    #[error("the snapshot has format {0}, and only {FORMAT} can be read")]
    Format(u32),
    /// They are of another store.
    #[error("the snapshot is of another store")]
    AnotherStore,
    /// They were cut off or changed.
    #[error("the snapshot is damaged")]
    Damaged,
}

impl Snapshot {
    /// The version as bytes; `store_id` says which store's it is.
    pub fn encode(&self, store_id: &str) -> Vec<u8> {
        let mut out = Writer { bytes: Vec::new() };
        out.bytes.extend_from_slice(MAGIC);
        out.number(FORMAT);
        out.text(store_id);
        out.long(self.revision().0);
        out.names(&self.types);
        out.names(&self.relations);
        self.objects.iter().for_each(|names| out.names(names));
        out.count(self.tables.len());
        self.tables.iter().for_each(|table| out.table(table));
        let checksum = checksum(&out.bytes);
        out.long(checksum);
        out.bytes
    }

    /// Reads a version back.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot of this store in this format.
    pub fn decode(bytes: &[u8], store_id: &str) -> Result<Self, SnapshotError> {
        let mut head = Reader { bytes };
        if head.take(MAGIC.len()) != Ok(MAGIC.as_slice()) {
            return Err(SnapshotError::NotASnapshot);
        }
        let format = head.number()?;
        if format != FORMAT {
            return Err(SnapshotError::Format(format));
        }
        let body = bytes.len().checked_sub(8).and_then(|end| bytes.split_at_checked(end));
        let (body, sum) = body.ok_or(SnapshotError::Damaged)?;
        if (Reader { bytes: sum }).long()? != checksum(body) {
            return Err(SnapshotError::Damaged);
        }
        let mut reader = Reader { bytes: body };
        reader.take(MAGIC.len() + FORMAT.to_le_bytes().len())?;
        if reader.text()? != store_id {
            return Err(SnapshotError::AnotherStore);
        }
        let snapshot = reader.snapshot()?;
        if reader.bytes.is_empty() { Ok(snapshot) } else { Err(SnapshotError::Damaged) }
    }
}

struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn number(&mut self, number: u32) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn long(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn count(&mut self, count: usize) {
        self.long(count as u64);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn names(&mut self, names: &Names) {
        self.number(names.count());
        for number in 0..names.count() {
            let name = names.name(number).unwrap_or_default();
            self.number(u32::try_from(name.len()).unwrap_or(u32::MAX));
            self.bytes.extend_from_slice(name.as_bytes());
        }
    }

    fn table(&mut self, table: &Table) {
        let TableKey { object_type, relation, subject_type, subject } = table.key;
        let kind = match subject {
            SubjectKind::Object => NONE,
            SubjectKind::Wildcard => WILDCARD,
            SubjectKind::Userset(relation) => relation,
        };
        [object_type, relation, subject_type, kind].into_iter().for_each(|n| self.number(n));
        self.count(table.plain.len());
        for (object, subject) in table.plain.all() {
            self.number(object);
            self.number(*subject);
        }
        self.count(table.reverse.len());
        for (subject, edge) in table.reverse.all() {
            self.number(subject);
            self.number(edge.bits());
        }
        self.count(table.guarded.len());
        for (object, edge) in table.guarded.all() {
            self.number(object);
            self.number(edge.subject);
            let HeldGuard { condition, validity } = &*edge.held;
            let guard = (condition, validity);
            self.text(&serde_json::to_string(&guard).unwrap_or_default());
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

type Read<T> = Result<T, SnapshotError>;

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Read<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(SnapshotError::Damaged)?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number(&mut self) -> Read<u32> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        self.bytes = rest;
        Ok(u32::from_le_bytes(*taken))
    }

    fn long(&mut self) -> Read<u64> {
        let (taken, rest) = self.bytes.split_first_chunk().ok_or(SnapshotError::Damaged)?;
        self.bytes = rest;
        Ok(u64::from_le_bytes(*taken))
    }

    /// A number of things that take at least so many bytes each, all of which must be there.
    fn count(&mut self, bytes_each: usize) -> Read<usize> {
        let count = usize::try_from(self.long()?).map_err(|_| SnapshotError::Damaged)?;
        match count.checked_mul(bytes_each) {
            Some(bytes) if bytes <= self.bytes.len() => Ok(count),
            _ => Err(SnapshotError::Damaged),
        }
    }

    fn text(&mut self) -> Read<&'a str> {
        let length = self.count(1)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| SnapshotError::Damaged)
    }

    fn names(&mut self) -> Read<Names> {
        let count = self.number()?;
        if count as usize * 4 > self.bytes.len() || count > SCRATCH {
            return Err(SnapshotError::Damaged);
        }
        let mut names = Names::with_room_for(count as usize);
        for number in 0..count {
            let length = self.number()? as usize;
            let name = std::str::from_utf8(self.take(length)?);
            let name = name.map_err(|_| SnapshotError::Damaged)?;
            // A name that comes twice would get its first number.
            if names.intern(name) != Some(number) {
                return Err(SnapshotError::Damaged);
            }
        }
        Ok(names)
    }

    fn snapshot(&mut self) -> Read<Snapshot> {
        let revision = Revision(self.long()?);
        let (types, relations) = (self.names()?, self.names()?);
        let mut objects = Vec::new();
        for _ in 0..types.count() {
            objects.push(Arc::new(self.names()?));
        }
        let mut snapshot = Snapshot::of_parts(revision, types, relations, objects);
        for number in 0..self.count(4 * 4)? {
            let table = self.table(&snapshot)?;
            let expected = u32::try_from(number).ok();
            if expected.is_none() || snapshot.add_table(table) != expected {
                return Err(SnapshotError::Damaged);
            }
        }
        Ok(snapshot)
    }

    fn table(&mut self, snapshot: &Snapshot) -> Read<Table> {
        let (object_type, relation) = (self.number()?, self.number()?);
        let (subject_type, kind) = (self.number()?, self.number()?);
        let subject = match kind {
            NONE => SubjectKind::Object,
            WILDCARD => SubjectKind::Wildcard,
            relation => SubjectKind::Userset(relation),
        };
        let key = TableKey { object_type, relation, subject_type, subject };
        let count_of = |of_type: u32| snapshot.objects.get(of_type as usize).map(|n| n.count());
        let is_relation = |number| snapshot.relations.name(number).is_some();
        let is_known = is_relation(relation)
            && !matches!(subject, SubjectKind::Userset(relation) if !is_relation(relation));
        let (Some(objects), Some(subjects), true) =
            (count_of(object_type), count_of(subject_type), is_known)
        else {
            return Err(SnapshotError::Damaged);
        };
        let subjects = if subject == SubjectKind::Wildcard { 1 } else { subjects };
        let mut table = Table {
            key,
            plain: Rows::default(),
            guarded: Rows::default(),
            reverse: Rows::default(),
        };
        let mut last = None;
        for _ in 0..self.count(8)? {
            let (object, subject) = (self.number()?, self.number()?);
            if object >= objects || subject >= subjects || last >= Some((object, subject)) {
                return Err(SnapshotError::Damaged);
            }
            last = Some((object, subject));
            table.plain.push_last(object, subject);
        }
        let mut last = None;
        for _ in 0..self.count(8)? {
            let (subject, edge) = (self.number()?, BackEdge::of_bits(self.number()?));
            let object = super::rows::Edge::key(&edge);
            if object >= objects || subject >= subjects || last >= Some((subject, object)) {
                return Err(SnapshotError::Damaged);
            }
            last = Some((subject, object));
            table.reverse.push_last(subject, edge);
        }
        let mut last = None;
        for _ in 0..self.count(16)? {
            let (object, subject) = (self.number()?, self.number()?);
            if object >= objects || subject >= subjects || last >= Some((object, subject)) {
                return Err(SnapshotError::Damaged);
            }
            last = Some((object, subject));
            let guard: Result<(Option<TupleCondition>, Validity), _> =
                serde_json::from_str(self.text()?);
            let (condition, validity) = guard.map_err(|_| SnapshotError::Damaged)?;
            let held = Arc::new(HeldGuard { condition, validity });
            table.guarded.push_last(object, GuardedEdge { subject, held });
        }
        table.plain.shrink();
        table.reverse.shrink();
        table.guarded.shrink();
        if table.plain.len() + table.guarded.len() == table.reverse.len() {
            Ok(table)
        } else {
            Err(SnapshotError::Damaged)
        }
    }
}

/// Detects damage, not malice: eight lanes of multiply and rotate, so that it keeps up with memory.
fn checksum(bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x9E37_79B1_85EB_CA87;
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(PRIME).rotate_left(29);
    let mut lanes = [1_u64, 2, 3, 4, 5, 6, 7, 8];
    let (blocks, rest) = bytes.as_chunks::<64>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        for (lane, word) in lanes.iter_mut().zip(words) {
            *lane = mix(*lane, u64::from_le_bytes(*word));
        }
    }
    let sum = lanes.into_iter().fold(bytes.len() as u64, mix);
    rest.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}
