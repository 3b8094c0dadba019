//! A file of times: for each tuple a hash of its key and the revision of its writing, in the order of
//! the hashes, so that one is found by reading one page.
//!
//! It says as a snapshot does which commit it was read up to, and is believed only if the log has
//! that commit there. A sum over everything ends it.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher as _, DefaultHasher, Hash as _, Hasher as _, RandomState};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use behalf_fga::DeleteKey;
use serde::{Deserialize, Serialize};

use crate::files::{Origin, SnapshotFiles};

const MAGIC: [u8; 12] = *b"behalftimes1";
/// A hash and a revision.
const RECORD: usize = 16;
/// Records that are read to find one.
const PAGE: usize = 256;
/// The sum at the end.
const SUM: usize = 8;
/// The longest label.
const MAX_LABEL: u32 = 4096;
/// What is hashed to see whether hashes are still made as when the file was written.
const PROBE: &str = "a tuple";

/// How keys become hashes: nobody outside knows the seed, so nobody can make two that collide.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keys {
    seed: u64,
}

/// What a file says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    origin: Origin,
    seed: u64,
    /// The hash of [`PROBE`]: another version of the program may hash in another way.
    probe: u64,
}

/// An open file.
#[derive(Debug)]
pub(super) struct TimesFile {
    file: File,
    /// Where the records begin, and how many there are.
    start: u64,
    count: u64,
    /// The first hash of each page.
    firsts: Vec<u64>,
}

impl Keys {
    /// With a seed drawn by chance.
    pub(super) fn new() -> Self {
        Self { seed: RandomState::new().hash_one(PROBE) }
    }

    pub(super) fn hash(self, key: &DeleteKey) -> u64 {
        let mut hasher = self.hasher();
        (&key.user, &key.relation, &key.object).hash(&mut hasher);
        hasher.finish()
    }

    fn probe(self) -> u64 {
        let mut hasher = self.hasher();
        PROBE.hash(&mut hasher);
        hasher.finish()
    }

    fn hasher(self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.seed);
        hasher
    }
}

impl TimesFile {
    /// Reads the whole file once, and says what it is of.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Keys, Origin)> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut input = Summed::new(BufReader::with_capacity(1 << 18, file));
        if input.take_array()? != MAGIC {
            return Err(damaged());
        }
        let label_length = u32::from_le_bytes(input.take_array()?);
        if label_length > MAX_LABEL {
            return Err(damaged());
        }
        let mut label = vec![0; label_length as usize];
        input.fill(&mut label)?;
        let Label { origin, seed, probe } = serde_json::from_slice(&label)?;
        let keys = Keys { seed };
        let start = (MAGIC.len() + size_of::<u32>() + label.len()) as u64;
        let records = length.checked_sub(start + SUM as u64).ok_or_else(damaged)?;
        let count = records / RECORD as u64;
        if probe != keys.probe() || records % RECORD as u64 != 0 {
            return Err(damaged());
        }
        let firsts = read_firsts(&mut input, count)?;
        let file = input.end()?.into_inner();
        Ok((Self { file, start, count, firsts }, keys, origin))
    }

    /// How many tuples it has.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What it takes in memory.
    pub(super) fn bytes(&self) -> u64 {
        (self.firsts.capacity() as u64).saturating_mul(8)
    }

    /// The revision that stands beside a hash.
    pub(super) fn find(&self, hash: u64) -> io::Result<Option<i64>> {
        let page = self.firsts.partition_point(|first| *first <= hash);
        let Some(first) = page.checked_sub(1).map(|page| (page * PAGE) as u64) else {
            return Ok(None);
        };
        let count = self.count.saturating_sub(first).min(PAGE as u64);
        let mut bytes = vec![0; usize::try_from(count).unwrap_or(PAGE) * RECORD];
        self.file.read_exact_at(&mut bytes, self.start + first * RECORD as u64)?;
        let (records, _) = bytes.as_chunks::<RECORD>();
        let found = records.binary_search_by_key(&hash, |bytes| record(bytes).0);
        Ok(found.ok().and_then(|at| records.get(at)).map(|bytes| record(bytes).1))
    }

    /// Every record, in order.
    fn records(&self) -> impl Iterator<Item = io::Result<(u64, i64)>> + '_ {
        let mut page = Vec::new();
        let pages = (0..self.count).step_by(PAGE * 16).map(move |first| {
            let count = (self.count - first).min(PAGE as u64 * 16);
            page.resize(usize::try_from(count).unwrap_or_default() * RECORD, 0);
            self.file.read_exact_at(&mut page, self.start + first * RECORD as u64)?;
            let (records, _) = page.as_chunks::<RECORD>();
            Ok(records.iter().map(record).collect::<Vec<_>>())
        });
        pages.flat_map(|page: io::Result<Vec<_>>| match page {
            Ok(records) => records.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        })
    }
}

/// Writes a file in place of the one before: what that had, changed by what came since.
pub(super) fn merge(
    files: &SnapshotFiles,
    origin: &Origin,
    keys: Keys,
    before: Option<&TimesFile>,
    since: &HashMap<u64, Option<i64>>,
) -> io::Result<TimesFile> {
    let path = files.times_path(&origin.store_id).ok_or_else(damaged)?;
    let label = Label { origin: origin.clone(), seed: keys.seed, probe: keys.probe() };
    let label = serde_json::to_vec(&label)?;
    let mut since: Vec<(u64, Option<i64>)> = since.iter().map(|(hash, at)| (*hash, *at)).collect();
    since.sort_unstable();
    files.replace(&path, |file| {
        let mut out = Summed::new(BufWriter::with_capacity(1 << 18, file));
        out.put(&MAGIC)?;
        out.put(&u32::try_from(label.len()).map_err(io::Error::other)?.to_le_bytes())?;
        out.put(&label)?;
        let mut since = since.into_iter().peekable();
        let mut put = |(hash, revision): (u64, i64)| {
            out.put(&(u128::from(revision.cast_unsigned()) << 64 | u128::from(hash)).to_le_bytes())
        };
        for old in before.into_iter().flat_map(TimesFile::records) {
            let old = old?;
            while let Some((hash, revision)) = since.next_if(|(hash, _)| *hash < old.0) {
                revision.map_or(Ok(()), |revision| put((hash, revision)))?;
            }
            match since.next_if(|(hash, _)| *hash == old.0) {
                Some((hash, revision)) => revision.map_or(Ok(()), |at| put((hash, at)))?,
                None => put(old)?,
            }
        }
        for (hash, revision) in since {
            revision.map_or(Ok(()), |revision| put((hash, revision)))?;
        }
        out.finish()
    })?;
    // What was written is read once, as after a start.
    TimesFile::open(&path).map(|(file, _, _)| file)
}

/// The first hash of each page; the hashes rise.
fn read_firsts(input: &mut Summed<BufReader<File>>, count: u64) -> io::Result<Vec<u64>> {
    let mut firsts = Vec::new();
    let mut last = None;
    for number in 0..count {
        let (hash, _) = record(&input.take_array()?);
        if number.is_multiple_of(PAGE as u64) {
            firsts.push(hash);
        }
        if last >= Some(hash) {
            return Err(damaged());
        }
        last = Some(hash);
    }
    Ok(firsts)
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half, then the upper")]
fn record(bytes: &[u8; RECORD]) -> (u64, i64) {
    let both = u128::from_le_bytes(*bytes);
    (both as u64, ((both >> 64) as u64).cast_signed())
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the file is damaged, or of another version")
}

/// Reads or writes bytes and sums them.
struct Summed<I> {
    inner: I,
    sum: DefaultHasher,
}

impl<I> Summed<I> {
    fn new(inner: I) -> Self {
        Self { inner, sum: DefaultHasher::new() }
    }
}

impl<R: Read> Summed<R> {
    fn fill(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.inner.read_exact(bytes)?;
        self.sum.write(bytes);
        Ok(())
    }

    fn take_array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The sum is right, and nothing follows.
    fn end(mut self) -> io::Result<R> {
        let mut sum = [0; SUM];
        self.inner.read_exact(&mut sum)?;
        let is_end = self.inner.read(&mut [0])? == 0;
        let is_whole = is_end && u64::from_le_bytes(sum) == self.sum.finish();
        if is_whole { Ok(self.inner) } else { Err(damaged()) }
    }
}

impl<W: Write> Summed<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum.write(bytes);
        self.inner.write_all(bytes)
    }

    fn finish(mut self) -> io::Result<()> {
        let sum = self.sum.finish();
        self.inner.write_all(&sum.to_le_bytes())?;
        self.inner.flush()
    }
}
