//! A store's version as bytes: a file that a start reads instead of the whole log.
//!
//! The file begins with a magic text, the format's number, and a label in which its owner says what
//! it is of; then come blocks, each with a checksum. Names are kept in the order of their numbers
//! and rows as they are in memory, so that a version read back gives the same numbers, pages of
//! lists go on, and the changes after it are applied as if it had never been away.
//!
//! Everything is checked before it is believed: blocks against their sums, lengths against what is
//! there, numbers against what there is. A file that does not pass is refused as a whole, and the
//! log is read instead.

mod blocks;

use std::io;
use std::sync::{Arc, mpsc};
use std::thread;

use hashbrown::HashMap;
use thiserror::Error;

use self::blocks::{Reader, Writer};
use super::guards::{Guards, HeldGuard};
use super::names::{Names, SCRATCH};
use super::rows::{Edge, Rows, RowsBuilder};
use super::snapshot::{Revision, Snapshot, SubjectKind, Table, TableKey};
use crate::tuple::{TupleCondition, Validity};

const MAGIC: [u8; 8] = *b"behalfga";
/// Raised with every change of the format, and of what applying a change does: other numbers are
/// refused.
const FORMAT: u32 = 3;
/// No number: a wildcard's or a plain object's place in a table key.
const NONE: u32 = u32::MAX;
const WILDCARD: u32 = u32::MAX - 1;
/// Edges of one row that are kept together; a longer row comes in several runs.
const RUN: usize = 4096;
/// Names that are kept together.
const NAMES: u32 = 64;

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
    /// They could not be read.
    #[error("the snapshot cannot be read: {0}")]
    Unreadable(io::ErrorKind),
}

impl Snapshot {
    /// Writes the version to `out`, in many small pieces; `label` says what it is of.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(&self, label: &str, out: &mut dyn io::Write) -> io::Result<()> {
        let mut out = Writer::begin(out, &[&MAGIC[..], &FORMAT.to_le_bytes()].concat())?;
        out.text(label)?;
        out.end_block()?;
        out.long(self.revision().0);
        write_names(&mut out, &self.types)?;
        write_names(&mut out, &self.relations)?;
        for names in &self.objects {
            write_names(&mut out, names)?;
        }
        out.long(self.tables.len() as u64);
        for table in &self.tables {
            write_table(&mut out, table)?;
        }
        out.end()
    }

    /// The version as bytes; `label` says what it is of.
    pub fn encode(&self, label: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Memory takes whatever it is given, and a label is short.
        if self.write_to(label, &mut bytes).is_err() {
            bytes.clear();
        }
        bytes
    }

    /// Reads a version back that was given this label.
    ///
    /// # Errors
    /// When the bytes are not a whole snapshot with this label in this format.
    pub fn decode(bytes: &[u8], label: &str) -> Result<Self, SnapshotError> {
        let reader = SnapshotReader::open(bytes, bytes.len() as u64)?;
        if reader.label() != label {
            return Err(SnapshotError::AnotherStore);
        }
        reader.read()
    }
}

/// A snapshot of which only the label has been read.
pub struct SnapshotReader<R> {
    reader: Reader<R>,
    label: String,
}

impl<R> std::fmt::Debug for SnapshotReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SnapshotReader").field("label", &self.label).finish_non_exhaustive()
    }
}

impl<R: io::Read> SnapshotReader<R> {
    /// Reads the label of a snapshot; `input` gives `length` bytes.
    ///
    /// # Errors
    /// When they do not begin as a snapshot in this format.
    pub fn open(input: R, length: u64) -> Result<Self, SnapshotError> {
        let (mut reader, magic) =
            Reader::begin::<12>(input, length).map_err(|error| match error {
                SnapshotError::Damaged => SnapshotError::NotASnapshot,
                other => other,
            })?;
        let (name, format) = magic.split_at(MAGIC.len());
        if name != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let format = format.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        if format != Some(FORMAT) {
            return Err(SnapshotError::Format(format.unwrap_or_default()));
        }
        let label = reader.text()?.to_owned();
        Ok(Self { reader, label })
    }

    /// What the snapshot was said to be of.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Reads the version.
    ///
    /// # Errors
    /// When it is not whole.
    pub fn read(mut self) -> Result<Snapshot, SnapshotError> {
        let snapshot = read_snapshot(&mut self.reader)?;
        self.reader.end()?;
        Ok(snapshot)
    }
}

/// How many; then the lengths of some names, and the names.
fn write_names(out: &mut Writer<'_>, names: &Names) -> io::Result<()> {
    out.number(names.count());
    let name = |number| names.name(number).unwrap_or_default();
    for first in (0..names.count()).step_by(NAMES as usize) {
        let numbers = first..names.count().min(first + NAMES);
        for number in numbers.clone() {
            let length = u32::try_from(name(number).len());
            out.number(length.map_err(|_| io::ErrorKind::InvalidInput)?);
        }
        numbers.for_each(|number| out.bytes(name(number).as_bytes()));
        out.end_item()?;
    }
    Ok(())
}

fn write_table(out: &mut Writer<'_>, table: &Table) -> io::Result<()> {
    let TableKey { object_type, relation, subject_type, subject } = table.key;
    let kind = match subject {
        SubjectKind::Object => NONE,
        SubjectKind::Wildcard => WILDCARD,
        SubjectKind::Userset(relation) => relation,
    };
    [object_type, relation, subject_type, kind].into_iter().for_each(|n| out.number(n));
    write_rows(out, table.forward.len(), table.forward.all())?;
    write_rows(out, table.reverse.len(), table.reverse.all())?;
    write_guards(out, &table.guards)
}

/// Every guard once; then which tuples have which of them.
fn write_guards(out: &mut Writer<'_>, guards: &Guards) -> io::Result<()> {
    let mut guarded: Vec<(u32, u32, &HeldGuard)> = guards.all().collect();
    guarded.sort_unstable_by_key(|(object, subject, _)| (*object, *subject));
    let (mut numbers, mut texts) = (HashMap::new(), Vec::new());
    for (_, _, held) in &guarded {
        // Equal guards are one in memory.
        numbers.entry(std::ptr::from_ref(*held)).or_insert_with(|| {
            texts.push(held.text());
            texts.len() - 1
        });
    }
    out.long(texts.len() as u64);
    for text in texts {
        out.text(&text)?;
        out.end_item()?;
    }
    out.long(guarded.len() as u64);
    for (object, subject, held) in guarded {
        out.number(object);
        out.number(subject);
        let number = numbers.get(&std::ptr::from_ref(held)).copied().unwrap_or_default();
        out.number(u32::try_from(number).map_err(|_| io::ErrorKind::InvalidInput)?);
        out.end_item()?;
    }
    Ok(())
}

/// How many edges; then runs of a row's edges: the row, how many, and each as a number.
fn write_rows(
    out: &mut Writer<'_>,
    count: usize,
    edges: impl Iterator<Item = (u32, Edge)>,
) -> io::Result<()> {
    out.long(count as u64);
    let mut run: Vec<u32> = Vec::new();
    let mut end_run = |row: u32, run: &mut Vec<u32>| {
        out.number(row);
        out.number(u32::try_from(run.len()).unwrap_or_default());
        run.drain(..).for_each(|edge| out.number(edge));
        out.end_item()
    };
    let mut of_row = None;
    for (row, edge) in edges {
        if let Some(last) = of_row
            && (last != row || run.len() >= RUN)
        {
            end_run(last, &mut run)?;
        }
        of_row = Some(row);
        run.push(edge.bits());
    }
    if let Some(row) = of_row {
        end_run(row, &mut run)?;
    }
    // A run without edges ends the table's rows.
    end_run(0, &mut run)
}

type Read<T> = Result<T, SnapshotError>;

fn read_names<R: io::Read>(reader: &mut Reader<R>) -> Read<Names> {
    let count = reader.number()?;
    // The end of a name is a number.
    if count > SCRATCH || !reader.has(u64::from(count) * 4) {
        return Err(SnapshotError::Damaged);
    }
    let mut names = Names::with_room_for(count as usize);
    let mut lengths = Vec::new();
    while names.count() < count {
        let together = (count - names.count()).min(NAMES) as usize;
        lengths.clear();
        lengths.extend(numbers(reader.take(together * 4)?));
        let length = lengths.iter().map(|length| *length as usize).sum();
        let text = std::str::from_utf8(reader.take(length)?);
        let text = text.map_err(|_| SnapshotError::Damaged)?;
        if !names.push_page(text, lengths.iter().copied()) {
            return Err(SnapshotError::Damaged);
        }
    }
    Ok(names)
}

/// While the rows are read, another thread fills the names' indexes.
fn read_snapshot<R: io::Read>(reader: &mut Reader<R>) -> Read<Snapshot> {
    thread::scope(|scope| {
        let (sender, names) = mpsc::channel::<Arc<Names>>();
        // A name that comes twice would have two numbers.
        let index = move || names.into_iter().all(|names| names.fill_index());
        let indexer = thread::Builder::new().spawn_scoped(scope, index);
        let indexer = indexer.map_err(|error| SnapshotError::Unreadable(error.kind()))?;
        let read = read_parts(reader, sender);
        match indexer.join() {
            Ok(true) => read,
            _ => Err(SnapshotError::Damaged),
        }
    })
}

fn read_parts<R: io::Read>(
    reader: &mut Reader<R>,
    indexer: mpsc::Sender<Arc<Names>>,
) -> Read<Snapshot> {
    let revision = Revision(reader.long()?);
    let (types, relations) = (read_names(reader)?, read_names(reader)?);
    if !types.fill_index() || !relations.fill_index() {
        return Err(SnapshotError::Damaged);
    }
    let mut objects = Vec::new();
    for _ in 0..types.count() {
        let names = Arc::new(read_names(reader)?);
        // When nobody takes them any more, a name came twice.
        if indexer.send(Arc::clone(&names)).is_err() {
            return Err(SnapshotError::Damaged);
        }
        objects.push(names);
    }
    drop(indexer);
    let mut snapshot = Snapshot::of_parts(revision, types, relations, objects);
    for number in 0..reader.long()? {
        let table = read_table(reader, &snapshot)?;
        let expected = u32::try_from(number).ok();
        if expected.is_none() || snapshot.add_table(table) != expected {
            return Err(SnapshotError::Damaged);
        }
    }
    Ok(snapshot)
}

fn read_table<R: io::Read>(reader: &mut Reader<R>, snapshot: &Snapshot) -> Read<Table> {
    let (object_type, relation) = (reader.number()?, reader.number()?);
    let (subject_type, kind) = (reader.number()?, reader.number()?);
    let subject = match kind {
        NONE => SubjectKind::Object,
        WILDCARD => SubjectKind::Wildcard,
        relation => SubjectKind::Userset(relation),
    };
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
    let mut table = Table::new(TableKey { object_type, relation, subject_type, subject });
    let (forward, guarded) = read_rows(reader, objects, subjects)?;
    let (reverse, guarded_reverse) = read_rows(reader, subjects, objects)?;
    (table.forward, table.reverse) = (forward, reverse);
    table.guards = read_guards(reader, snapshot, &table)?;
    let is_same = table.forward.len() == table.reverse.len() && guarded == guarded_reverse;
    if is_same && guarded == table.guards.len() { Ok(table) } else { Err(SnapshotError::Damaged) }
}

/// Rows, and how many of their edges are guarded.
fn read_rows<R: io::Read>(
    reader: &mut Reader<R>,
    row_count: u32,
    end_count: u32,
) -> Read<(Rows, usize)> {
    let edge_count = reader.long()?;
    let mut rows = RowsBuilder::default();
    let mut last: Option<(u32, u32)> = None;
    let mut guarded = 0;
    loop {
        let (row, count) = (reader.number()?, reader.number()? as usize);
        if count == 0 {
            break;
        }
        if row >= row_count || count > RUN || last.is_some_and(|(before, _)| before > row) {
            return Err(SnapshotError::Damaged);
        }
        let mut last_end = last.filter(|(before, _)| *before == row).map(|(_, end)| end);
        let mut is_sorted = true;
        let edges = numbers(reader.take(count * 4)?).map(Edge::of_bits);
        rows.push(
            row,
            edges.inspect(|edge| {
                is_sorted &= edge.end() < end_count && last_end < Some(edge.end());
                last_end = Some(edge.end());
                guarded += usize::from(edge.is_guarded());
            }),
        );
        last = last_end.map(|end| (row, end)).filter(|_| is_sorted);
        if last.is_none() {
            return Err(SnapshotError::Damaged);
        }
    }
    let rows = rows.finish();
    if rows.len() as u64 == edge_count { Ok((rows, guarded)) } else { Err(SnapshotError::Damaged) }
}

/// What the table's guarded tuples, whose edges are there already, depend on.
fn read_guards<R: io::Read>(
    reader: &mut Reader<R>,
    snapshot: &Snapshot,
    table: &Table,
) -> Read<Guards> {
    let mut known = Vec::new();
    for _ in 0..reader.long()? {
        let guard: Result<(Option<TupleCondition>, Validity), _> =
            serde_json::from_str(reader.text()?);
        let (condition, validity) = guard.map_err(|_| SnapshotError::Damaged)?;
        known.push(snapshot.guard_pool.share(HeldGuard { condition, validity }));
    }
    let count = reader.long()?;
    if count > table.forward.len() as u64 {
        return Err(SnapshotError::Damaged);
    }
    let room = usize::try_from(count).map_err(|_| SnapshotError::Damaged)?;
    let mut guards = Guards::with_room_for(room);
    let mut last = None;
    for _ in 0..count {
        let (object, subject) = (reader.number()?, reader.number()?);
        let held = known.get(reader.number()? as usize).ok_or(SnapshotError::Damaged)?;
        let is_guarded = |edge: Option<Edge>| edge.is_some_and(Edge::is_guarded);
        let is_known = is_guarded(table.forward.find(object, subject))
            && is_guarded(table.reverse.find(subject, object));
        if !is_known || last >= Some((object, subject)) {
            return Err(SnapshotError::Damaged);
        }
        last = Some((object, subject));
        guards.insert(object, subject, Arc::clone(held));
    }
    Ok(guards)
}

fn numbers(bytes: &[u8]) -> impl Iterator<Item = u32> {
    let (numbers, _) = bytes.as_chunks::<4>();
    numbers.iter().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{FORMAT, MAGIC, NAMES, NONE, RUN, Snapshot, SnapshotError, WILDCARD, Writer};

    /// What a file says, with right sums whatever it is.
    #[derive(Clone)]
    struct File {
        types: Vec<&'static str>,
        relations: Vec<&'static str>,
        /// Of each type.
        objects: Vec<Vec<&'static str>>,
        tables: Vec<Table>,
    }

    #[derive(Clone)]
    struct Table {
        key: [u32; 4],
        forward: (u64, Vec<(u32, Vec<u32>)>),
        reverse: (u64, Vec<(u32, Vec<u32>)>),
        guards: Vec<&'static str>,
        /// Object, subject, and which guard.
        guarded: Vec<(u32, u32, u32)>,
    }

    const GUARDED: u32 = 1 << 31;
    const FOREVER: &str = "[null,{}]";

    impl File {
        /// Three documents, one of them guarded for its viewer.
        fn whole() -> Self {
            let table = Table {
                key: [0, 0, 1, NONE],
                forward: (4, vec![(0, vec![0, 1]), (1, vec![1]), (2, vec![1 | GUARDED])]),
                reverse: (4, vec![(0, vec![0]), (1, vec![0, 1, 2 | GUARDED])]),
                guards: vec![FOREVER],
                guarded: vec![(2, 1, 0)],
            };
            Self {
                types: vec!["doc", "user"],
                relations: vec!["viewer", "editor"],
                objects: vec![vec!["one", "two", "three"], vec!["anne", "bob"]],
                tables: vec![table],
            }
        }

        fn write(&self) -> io::Result<Vec<u8>> {
            fn names(out: &mut Writer<'_>, names: &[&str]) -> io::Result<()> {
                out.number(u32::try_from(names.len()).unwrap());
                for names in names.chunks(NAMES as usize) {
                    names.iter().for_each(|name| out.number(u32::try_from(name.len()).unwrap()));
                    names.iter().for_each(|name| out.bytes(name.as_bytes()));
                    out.end_item()?;
                }
                Ok(())
            }
            fn rows(
                out: &mut Writer<'_>,
                (count, rows): &(u64, Vec<(u32, Vec<u32>)>),
            ) -> io::Result<()> {
                out.long(*count);
                for (row, edges) in rows {
                    out.number(*row);
                    out.number(u32::try_from(edges.len()).unwrap());
                    edges.iter().for_each(|edge| out.number(*edge));
                    out.end_item()?;
                }
                [0, 0].into_iter().for_each(|n| out.number(n));
                out.end_item()
            }
            let mut bytes = Vec::new();
            let mut out = Writer::begin(&mut bytes, &[&MAGIC[..], &FORMAT.to_le_bytes()].concat())?;
            out.text("label")?;
            out.end_block()?;
            out.long(7);
            names(&mut out, &self.types)?;
            names(&mut out, &self.relations)?;
            self.objects.iter().try_for_each(|objects| names(&mut out, objects))?;
            out.long(self.tables.len() as u64);
            for table in &self.tables {
                table.key.into_iter().for_each(|n| out.number(n));
                rows(&mut out, &table.forward)?;
                rows(&mut out, &table.reverse)?;
                out.long(table.guards.len() as u64);
                for guard in &table.guards {
                    out.text(guard)?;
                    out.end_item()?;
                }
                out.long(table.guarded.len() as u64);
                for (object, subject, guard) in &table.guarded {
                    [*object, *subject, *guard].into_iter().for_each(|n| out.number(n));
                    out.end_item()?;
                }
            }
            out.end()?;
            Ok(bytes)
        }

        fn read(change: impl FnOnce(&mut Self, &mut Table)) -> Result<Snapshot, SnapshotError> {
            let mut file = Self::whole();
            let mut table = file.tables.remove(0);
            change(&mut file, &mut table);
            file.tables.insert(0, table);
            Snapshot::decode(&file.write().unwrap(), "label")
        }
    }

    #[test]
    fn a_file_may_say_only_what_can_be() {
        let whole = File::read(|_, _| ()).unwrap();
        assert_eq!((whole.tuple_count(), whole.revision().0), (4, 7));
        assert_eq!(whole.encode("label"), File::whole().write().unwrap());
        assert!(File::read(|_, table| table.key = [0, 0, 1, 1]).is_ok(), "usersets");
        let wildcard = File::read(|_, table| {
            table.key = [0, 0, 1, WILDCARD];
            table.forward = (2, vec![(0, vec![0]), (2, vec![0])]);
            table.reverse = (2, vec![(0, vec![0, 2])]);
            (table.guards, table.guarded) = (Vec::new(), Vec::new());
        });
        assert_eq!(wildcard.map(|read| read.tuple_count()).ok(), Some(2));
        let none = File::read(|_, table| {
            (table.forward, table.reverse) = ((0, Vec::new()), (0, Vec::new()));
            (table.guards, table.guarded) = (Vec::new(), Vec::new());
        });
        assert_eq!(none.map(|read| read.tuple_count()).ok(), Some(0));

        let refused = |what: &str, change: fn(&mut File, &mut Table)| {
            assert_eq!(File::read(change).err(), Some(SnapshotError::Damaged), "{what}");
        };
        refused("a type twice", |file, _| file.types = vec!["doc", "doc"]);
        refused("a relation twice", |file, _| file.relations.push("viewer"));
        refused("an object twice", |file, _| file.objects[0].push("one"));
        refused("a table twice", |file, table| file.tables.push(table.clone()));
        refused("no such object type", |_, table| table.key[0] = 2);
        refused("no such relation", |_, table| table.key[1] = 2);
        refused("no such subject type", |_, table| table.key[2] = 2);
        refused("no such relation of usersets", |_, table| table.key[3] = 2);
        refused("a wildcard's second number", |_, table| table.key[3] = WILDCARD);
        refused("no such object", |_, table| table.forward.1[2].0 = 3);
        refused("no such subject", |_, table| table.forward.1[1].1[0] = 2);
        refused("no such object behind", |_, table| table.reverse.1[1].1[2] = 3 | GUARDED);
        refused("no such subject behind", |_, table| table.reverse.1[1].0 = 2);
        refused("rows out of order", |_, table| table.forward.1.swap(0, 1));
        refused("edges out of order", |_, table| table.forward.1[0].1.swap(0, 1));
        refused("an edge twice", |_, table| table.forward.1[0].1[0] = 1);
        refused("an edge twice, in two runs", |_, table| table.forward.1[1].0 = 0);
        refused("fewer edges than there are", |_, table| table.forward.0 = 3);
        refused("more edges than there are", |_, table| table.forward.0 = 5);
        refused("fewer edges back than there are", |_, table| table.reverse.0 = 3);
        refused("an edge that has no way back", |_, table| {
            table.reverse = (3, vec![(1, vec![0, 1, 2 | GUARDED])]);
        });
        refused("a way back without its edge", |_, table| {
            table.forward = (3, vec![(0, vec![0, 1]), (2, vec![1 | GUARDED])]);
        });
        refused("an edge that is guarded only there", |_, table| {
            table.forward.1[1].1[0] |= GUARDED;
        });
        refused("an edge that is guarded only behind", |_, table| {
            table.reverse.1[0].1[0] |= GUARDED;
        });
        refused("another edge guarded there than behind", |_, table| {
            (table.forward.1[1].1[0], table.forward.1[2].1[0]) = (1 | GUARDED, 1);
        });
        refused("and the guard is that one's", |_, table| {
            (table.forward.1[1].1[0], table.forward.1[2].1[0]) = (1 | GUARDED, 1);
            table.guarded[0].0 = 1;
        });
        refused("a guarded edge without its guard", |_, table| table.guarded.clear());
        refused("a guard without an edge", |_, table| table.guarded.push((2, 0, 0)));
        refused("a guard of a plain edge", |_, table| table.guarded[0].0 = 1);
        refused("a guard twice", |_, table| table.guarded.push((2, 1, 0)));
        refused("a guard that is none", |_, table| table.guards[0] = "{}");
        refused("no such guard", |_, table| table.guarded[0].2 = 1);
        refused("guards out of order", |_, table| {
            table.forward.1[1].1[0] |= GUARDED;
            table.reverse.1[1].1[1] |= GUARDED;
            table.guarded.push((1, 1, 0));
        });
    }

    #[test]
    fn a_guard_is_written_once_however_many_have_it() {
        let read = |second: &'static str| {
            File::read(move |_, table| {
                table.forward.1[1].1[0] |= GUARDED;
                table.reverse.1[1].1[1] |= GUARDED;
                table.guards.push(second);
                table.guarded = vec![(1, 1, 0), (2, 1, 1)];
            })
        };
        let texts = |bytes: &[u8], text: &str| {
            bytes.windows(text.len()).filter(|found| *found == text.as_bytes()).count()
        };
        let another = r#"[null,{"expires_at_micros":7}]"#;
        for (second, count) in [(FOREVER, 1), (another, 2)] {
            let bytes = read(second).unwrap().encode("label");
            assert_eq!(texts(&bytes, FOREVER) + texts(&bytes, another), count);
            let again = Snapshot::decode(&bytes, "label").unwrap();
            assert_eq!(again.encode("label"), bytes);
        }
    }

    #[test]
    fn a_run_of_edges_has_so_many_and_may_be_followed_by_another() {
        let of_runs = |lengths: &[usize]| {
            let count: usize = lengths.iter().sum();
            let names = (0..count).map(|n| &*n.to_string().leak()).collect();
            let mut first = 0;
            let mut runs = Vec::new();
            for length in lengths {
                let until = first + u32::try_from(*length).unwrap();
                runs.push((0, (first..until).collect()));
                first = until;
            }
            let count = u64::from(first);
            File::read(move |file, table| {
                file.objects[1] = names;
                table.forward = (count, runs);
                table.reverse = (count, (0..first).map(|subject| (subject, vec![0])).collect());
                (table.guards, table.guarded) = (Vec::new(), Vec::new());
            })
        };
        for lengths in [&[RUN][..], &[3, 2], &[1]] {
            let read = of_runs(lengths).unwrap();
            assert_eq!(read.tuple_count(), lengths.iter().sum::<usize>());
        }
        assert_eq!(of_runs(&[RUN + 1]).err(), Some(SnapshotError::Damaged));
    }
}
