//! The check of a bundle: files against the manifest, tiles against the signed root, records
//! against the tiles, and everything else against those.

use std::collections::{BTreeMap, BTreeSet};

use super::archive::Archive;
use super::fault::{Fault, Faults};
use super::manifest::Manifest;
use super::{
    BundleError, BundleReport, CHECKPOINT, HISTORY, KEY, MANIFEST, README, RECEIPT_SUFFIX,
    RECEIPTS, RECORDS,
};
use crate::canonical_json;
use crate::checkpoint::{Checkpoint, LogPolicy};
use crate::hash::hex;
use crate::merkle::tiles::{Tile, TileKind, TileReader};
use crate::merkle::{Hash, leaf_hash, range_root, root_of};
use crate::note::VerifierKey;
use crate::receipt::Receipt;
use crate::sha256_hex;

/// Checks a bundle, and that its tree begins with the one of an `older` checkpoint.
///
/// # Errors
/// `NotABundle` when it is no zip or has no manifest; `Invalid` with everything that is wrong.
pub fn verify(zip: &[u8], older: Option<&str>) -> Result<BundleReport, BundleError> {
    let mut faults = Faults::default();
    let mut archive = Archive::open(zip, &mut faults)?;
    let manifest = archive.read_manifest().and_then(|bytes| Manifest::parse(&bytes));
    let manifest = match manifest {
        Ok(manifest) => manifest,
        Err(why) => {
            faults.add(Fault::of(MANIFEST, why));
            return Err(BundleError::Invalid(faults));
        }
    };
    let mut check =
        Check { manifest: &manifest, files: BTreeMap::new(), altered: BTreeSet::new(), faults };
    check.read_files(&mut archive);
    check.read_run();
    let tree = check.read_log();
    check.check_tiles(tree.as_ref().map(|(_, checkpoint)| checkpoint));
    check.check_records();
    let mut report = BundleReport {
        origin: manifest.log.origin.clone(),
        key: manifest.log.key.clone(),
        size: manifest.log.size,
        root: [0; 32],
        first: manifest.first_entry,
        count: manifest.record_count,
        receipts: 0,
        checkpoints: 0,
        older: None,
    };
    if let Some((policy, checkpoint)) = &tree {
        report.root = checkpoint.root;
        report.checkpoints = check.check_history(policy);
        report.receipts = check.check_receipts(policy);
        if let Some(older) = older {
            report.older = check.check_older(policy, older);
        }
    }
    if check.faults.count() == 0 { Ok(report) } else { Err(BundleError::Invalid(check.faults)) }
}

struct Check<'m> {
    manifest: &'m Manifest,
    files: BTreeMap<String, Vec<u8>>,
    /// Files that are not what the manifest lists: what contradicts them is their fault.
    altered: BTreeSet<String>,
    faults: Faults,
}

impl Check<'_> {
    fn fault(&mut self, file: &str, what: impl std::fmt::Display) {
        self.faults.add(Fault::of(file, what));
    }

    /// Reads every listed file and compares it with the manifest.
    fn read_files(&mut self, archive: &mut Archive<'_>) {
        let listed: BTreeSet<&str> =
            self.manifest.files.iter().map(|file| file.path.as_str()).collect();
        if listed.len() != self.manifest.files.len() {
            self.fault(MANIFEST, "lists a file twice");
        }
        let extra: Vec<String> = archive
            .names()
            .filter(|name| *name != MANIFEST && !listed.contains(name))
            .map(str::to_owned)
            .collect();
        for name in extra {
            self.fault(&name, "is not listed in the manifest");
        }
        for file in &self.manifest.files {
            if !is_known(&file.path) {
                let shown: String = file.path.chars().take(80).collect();
                self.fault(&shown, "is no part of a bundle");
                continue;
            }
            match archive.read(&file.path, file.length) {
                Ok(bytes) => {
                    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                    if length != file.length || sha256_hex(&bytes) != file.sha256 {
                        self.altered.insert(file.path.clone());
                        let fault = Fault::of(&file.path, "is not what the manifest lists");
                        self.faults.add(fault.of_record(record_of(&file.path)));
                    }
                    self.files.insert(file.path.clone(), bytes);
                }
                Err(why) => {
                    self.altered.insert(file.path.clone());
                    self.faults.add(Fault::of(&file.path, why).of_record(record_of(&file.path)));
                }
            }
        }
    }

    /// The run of records lies in the tree, and without a window it is the whole of it.
    fn read_run(&mut self) {
        let Manifest { first_entry, record_count, log, window, .. } = self.manifest;
        let end = first_entry.checked_add(*record_count).filter(|end| *end <= log.size);
        if end.is_none() {
            self.fault(MANIFEST, "names entries that the tree does not have");
        }
        let is_whole = *first_entry == 0 && end == Some(log.size);
        if window.from.is_none() && window.to.is_none() && !is_whole {
            self.fault(MANIFEST, "names no window, but not every entry is there");
        }
    }

    /// The key and the signed tree, which the manifest must name as they are.
    fn read_log(&mut self) -> Option<(LogPolicy, Checkpoint)> {
        let log = &self.manifest.log;
        let key = self.text(KEY).and_then(|text| {
            text.trim_end_matches('\n').parse::<VerifierKey>().map_err(|error| error.to_string())
        });
        let key = match key {
            Ok(key) => key,
            Err(why) => {
                self.fault(KEY, why);
                return None;
            }
        };
        if key.to_string() != log.key {
            self.fault(KEY, "is not the key that the manifest names");
        }
        let policy = match LogPolicy::new(&log.origin, &[key], &[], 0) {
            Ok(policy) => policy,
            Err(error) => {
                self.fault(KEY, error);
                return None;
            }
        };
        let signed = self.text(CHECKPOINT).and_then(|note| {
            policy.verify(&note).map(|signed| signed.checkpoint).map_err(|error| error.to_string())
        });
        match signed {
            Ok(checkpoint) => {
                if (checkpoint.size, hex(&checkpoint.root)) != (log.size, log.root.clone()) {
                    self.fault(CHECKPOINT, "is not the tree that the manifest names");
                }
                Some((policy, checkpoint))
            }
            Err(why) => {
                self.fault(CHECKPOINT, why);
                None
            }
        }
    }

    fn text(&self, file: &str) -> Result<String, String> {
        let bytes = self.files.get(file).ok_or("is not there")?;
        String::from_utf8(bytes.clone()).map_err(|error| error.to_string())
    }

    /// Every tile of the tree is there, leads to the one above it, and all lead to the root.
    fn check_tiles(&mut self, signed: Option<&Checkpoint>) {
        let size = self.manifest.log.size;
        let mut needed = BTreeSet::new();
        let mut found = Vec::new();
        for tile in Tile::added(0, size).filter(|tile| tile.kind() != TileKind::Entries) {
            let path = tile.to_string();
            let expected = usize::from(tile.width()).saturating_mul(32);
            match self.files.get(&path).map(Vec::len) {
                Some(length) if length == expected => {}
                Some(_) => found.push(Fault::of(&path, "is shorter or longer than its name says")),
                None if self.altered.contains(&path) => {}
                None => found.push(Fault::of(&path, "is not there")),
            }
            if let Some(fault) = self.contradiction_above(&tile, &path) {
                found.push(fault);
            }
            needed.insert(path);
            // A tree whose size is a lie needs more tiles than could ever be there.
            if found.len() > 100 {
                break;
            }
        }
        let stray: Vec<String> = self
            .files
            .keys()
            .filter(|path| path.starts_with("tile/") && !needed.contains(*path))
            .cloned()
            .collect();
        found.extend(stray.into_iter().map(|path| Fault::of(path, "is no tile of the tree")));
        let is_sound =
            found.is_empty() && !self.altered.iter().any(|path| path.starts_with("tile/"));
        found.into_iter().for_each(|fault| self.faults.add(fault));
        if let (true, Some(signed)) = (is_sound, signed)
            && self.root_at(signed.size) != Some(signed.root)
        {
            self.fault(CHECKPOINT, "signs another tree than the tiles hold");
        }
    }

    /// A full tile's root stands in the tile above it.
    fn contradiction_above(&self, tile: &Tile, path: &str) -> Option<Fault> {
        let TileKind::Hashes { level } = tile.kind() else { return None };
        let below = self.files.get(path).filter(|_| tile.is_full())?;
        let kind = TileKind::Hashes { level: level.checked_add(1)? };
        let above = Tile::in_tree(kind, tile.index() / 256, self.manifest.log.size)?;
        let hashes = self.files.get(&above.to_string())?;
        let at = usize::try_from(tile.index() % 256).ok()?;
        let expected = hashes.as_chunks::<32>().0.get(at)?;
        let root = root_of(below.as_chunks::<32>().0);
        let is_blamed = self.altered.contains(&above.to_string());
        (root != *expected && !is_blamed)
            .then(|| Fault::of(path, format!("does not lead to {above}")))
    }

    /// The root of the tree as it was with `size` leaves, as the tiles have it.
    fn root_at(&self, size: u64) -> Option<Hash> {
        let read = |tile: &Tile| self.files.get(&tile.to_string()).ok_or(());
        range_root(&TileReader::new(self.manifest.log.size, read), 0, size).ok()
    }

    /// The hash of entry `index` in the tiles, and the tile's path.
    fn hash_of(&self, index: u64) -> Option<(Hash, String)> {
        let kind = TileKind::Hashes { level: 0 };
        let tile = Tile::in_tree(kind, index / 256, self.manifest.log.size)?.to_string();
        let at = usize::try_from(index % 256).ok()?;
        let hash = *self.files.get(&tile)?.as_chunks::<32>().0.get(at)?;
        Some((hash, tile))
    }

    /// Every line is the entry that the tree has at its place.
    fn check_records(&mut self) {
        let Some(bytes) = self.files.remove(RECORDS) else {
            if !self.altered.contains(RECORDS) {
                self.fault(RECORDS, "is not there");
            }
            return;
        };
        let (first, count) = (self.manifest.first_entry, self.manifest.record_count);
        let whole = bytes.strip_suffix(b"\n");
        if whole.is_none() && !bytes.is_empty() {
            let line = u64::try_from(bytes.split(|byte| *byte == b'\n').count()).unwrap_or(0);
            self.faults.add(Fault::of(RECORDS, "the last line has no end").at_line(line));
        }
        let mut lines = 0_u64;
        if !bytes.is_empty() {
            for line in whole.unwrap_or(&bytes).split(|byte| *byte == b'\n') {
                let entry = first.saturating_add(lines);
                lines = lines.saturating_add(1);
                if lines > count {
                    let what = format!("there are more lines than the {count} of the manifest");
                    self.faults.add(Fault::of(RECORDS, what).at_line(lines));
                    break;
                }
                self.check_record(line, lines, entry);
            }
        }
        if lines < count {
            let missing = first.saturating_add(lines);
            let what = format!("ends here, but {count} records are listed");
            let fault = Fault::of(RECORDS, what).at_line(lines.saturating_add(1));
            self.faults.add(fault.at_entry(missing));
        }
        self.files.insert(RECORDS.to_owned(), bytes);
    }

    fn check_record(&mut self, line: &[u8], number: u64, entry: u64) {
        let text = std::str::from_utf8(line).ok();
        let what = match self.hash_of(entry) {
            None => "the tiles have no hash for it".to_owned(),
            Some((hash, tile)) if hash != leaf_hash(line) => {
                if self.altered.contains(&tile) && !self.altered.contains(RECORDS) {
                    let fault = Fault::of(tile, "the hash is not the record's").at_entry(entry);
                    self.faults.add(fault.of_record(text.and_then(id_of)));
                    return;
                }
                "is not what the log holds".to_owned()
            }
            Some(_) => match text.filter(|text| canonical_json::is_canonical(text)) {
                Some(text) if log_of(text).as_ref() == Some(&self.manifest.log.origin) => return,
                Some(_) => "names another log".to_owned(),
                None => "is not canonical JSON".to_owned(),
            },
        };
        // The line itself is not believed about its id where a receipt knows better.
        let record = self.receipt_at(entry).or_else(|| text.and_then(id_of));
        let fault = Fault::of(RECORDS, what).at_line(number).at_entry(entry);
        self.faults.add(fault.of_record(record));
    }

    /// The id of the record that a receipt says is entry `entry`.
    fn receipt_at(&self, entry: u64) -> Option<String> {
        let index = format!("index {entry}");
        self.files.iter().find_map(|(path, bytes)| {
            let text = std::str::from_utf8(bytes).ok()?;
            let id = record_of(path)?;
            text.lines().take(3).any(|line| line == index).then_some(id)
        })
    }

    /// Each earlier checkpoint was signed by the log, and the tree begins with it.
    fn check_history(&mut self, policy: &LogPolicy) -> u64 {
        let paths: Vec<String> =
            self.files.keys().filter(|path| path.starts_with(HISTORY)).cloned().collect();
        for path in &paths {
            let note = self.text(path).unwrap_or_default();
            match policy.verify(&note) {
                Ok(signed) => {
                    let Checkpoint { size, root, .. } = signed.checkpoint;
                    if *path != format!("{HISTORY}{size}") {
                        self.fault(path, "is named by another size than its own");
                    } else if self.root_at(size) != Some(root) {
                        self.fault(path, "the tree does not begin with it");
                    }
                }
                Err(error) => self.fault(path, error),
            }
        }
        u64::try_from(paths.len()).unwrap_or(u64::MAX)
    }

    /// Each receipt proves one of the records, by itself.
    fn check_receipts(&mut self, policy: &LogPolicy) -> u64 {
        let paths: Vec<String> =
            self.files.keys().filter(|path| path.starts_with(RECEIPTS)).cloned().collect();
        if paths.is_empty() {
            return 0;
        }
        let records = self.files.get(RECORDS).cloned().unwrap_or_default();
        let lines: Vec<&[u8]> = records.split(|byte| *byte == b'\n').collect();
        for path in &paths {
            let id = record_of(path);
            let parsed = self
                .text(path)
                .and_then(|text| text.parse::<Receipt>().map_err(|error| error.to_string()));
            let checked = parsed.and_then(|receipt| {
                let index = receipt.index();
                let line = index
                    .checked_sub(self.manifest.first_entry)
                    .and_then(|at| lines.get(usize::try_from(at).ok()?))
                    .filter(|line| !line.is_empty())
                    .ok_or_else(|| format!("is for entry {index}, which is not exported"))?;
                // Its own entry counts where the line is not what it should be.
                let (extra, _) = receipt.verify_alone().map_err(|error| error.to_string())?;
                receipt
                    .verify(extra.entry.as_bytes(), policy)
                    .map_err(|error| error.to_string())?;
                if extra.entry.as_bytes() != *line && !self.altered.contains(RECORDS) {
                    return Err(format!("carries another entry {index} than {RECORDS}"));
                }
                if id_of(&extra.entry) != id {
                    return Err("is named by another record than its own".to_owned());
                }
                Ok(())
            });
            if let Err(why) = checked {
                self.faults.add(Fault::of(path, why).of_record(id));
            }
        }
        u64::try_from(paths.len()).unwrap_or(u64::MAX)
    }

    /// The tree begins with the one of an older checkpoint, which somebody kept elsewhere.
    fn check_older(&mut self, policy: &LogPolicy, older: &str) -> Option<u64> {
        const OLDER: &str = "the older checkpoint";
        let Checkpoint { size, root, .. } = match policy.verify(older) {
            Ok(signed) => signed.checkpoint,
            Err(error) => {
                self.fault(OLDER, format!("the bundle's log did not sign it: {error}"));
                return None;
            }
        };
        let own = self.manifest.log.size;
        if size > own {
            let what = format!("has {size} entries and the bundle only {own}: entries are missing");
            self.fault(OLDER, what);
            return None;
        }
        if self.root_at(size) != Some(root) {
            let what = format!("the bundle's first {size} entries are not the ones it signs");
            self.fault(OLDER, what);
            return None;
        }
        Some(size)
    }
}

fn is_known(path: &str) -> bool {
    let is_tile = path.parse::<Tile>().is_ok_and(|tile| tile.kind() != TileKind::Entries);
    matches!(path, RECORDS | CHECKPOINT | KEY | README)
        || is_tile
        || path.strip_prefix(HISTORY).is_some_and(|size| size.parse::<u64>().is_ok())
        || record_of(path).is_some()
}

/// The record whose receipt is at that path.
fn record_of(path: &str) -> Option<String> {
    let id = path.strip_prefix(RECEIPTS)?.strip_suffix(RECEIPT_SUFFIX)?;
    let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_id.then(|| id.to_owned())
}

fn member(line: &str, name: &str) -> Option<String> {
    let value = canonical_json::parse(line).ok()?;
    Some(value.get(name)?.as_str()?.to_owned())
}

fn id_of(line: &str) -> Option<String> {
    // It may be anything: the line was not believed yet.
    member(line, "id").map(|id| id.chars().take(80).collect())
}

fn log_of(line: &str) -> Option<String> {
    member(line, "log")
}
