//! A power cut, simulated: of what was written after a file's last sync, any part may be on the
//! disk, in any order, or torn in the middle. Whatever was acknowledged before the cut must be
//! there, and no unit may be half there.
//!
//! `BEHALF_POWER_CUTS` asks for more cuts, `BEHALF_SEED` for others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use behalf_core::{ClientId, DangerousSeededRng, Rng, TenantId, Timestamp};
use behalf_store::fga::{self, FgaLogRow, FgaStoreRow};
use behalf_store::identity::{clients, users};
use behalf_store::{DangerSynchronous, SqliteOptions, Storage, UnitOfWork};

use crate::vfs::{self, File, Operation, Watch};

/// Units that are written.
const UNITS: usize = 120;
/// Units that wait for their commit at once.
const WRITERS: usize = 4;
/// What a disk writes whole.
const SECTOR: usize = 512;

#[expect(clippy::disallowed_methods, reason = "a soak run asks for more, or for a seed again")]
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_loses_nothing_acknowledged_and_halves_nothing() {
    let outcome = cut_the_power(DangerSynchronous::Full).await;
    assert_eq!((outcome.lost, outcome.halved), (0, 0), "{outcome:?}");
}

/// Were the cuts harmless, or the images complete, this would hold as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncing_commits_a_power_cut_loses_some() {
    let outcome = cut_the_power(DangerSynchronous::Normal).await;
    assert!(outcome.lost > 0, "{outcome:?}");
    assert_eq!(outcome.halved, 0, "a unit is whole even then");
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Outcome {
    cuts: u64,
    /// Acknowledged units that were gone.
    lost: usize,
    /// Units of which a part was there.
    halved: usize,
}

#[expect(clippy::print_stdout, reason = "the seed is needed to see a failure again")]
async fn cut_the_power(danger_synchronous: DangerSynchronous) -> Outcome {
    let seed = setting("BEHALF_SEED", 1);
    let cuts = setting("BEHALF_POWER_CUTS", 40);
    let rng = DangerousSeededRng::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::folder(dir.path());
    let options = SqliteOptions { danger_synchronous, vfs: Some(vfs::NAME) };
    let storage = Storage::open_sqlite(dir.path(), options, Timestamp::from_secs(1)).unwrap();
    for writer in 0..WRITERS {
        create_store(&storage, writer).await;
    }
    let begun = watch.len();
    write_units(&storage, &watch, dir.path()).await;
    let operations = watch.operations();
    storage.close().await;

    let mut outcome = Outcome { cuts, lost: 0, halved: 0 };
    for number in 0..cuts {
        if number.is_multiple_of(20) {
            println!("progress: power cuts ({danger_synchronous:?}) {number} of {cuts}");
        }
        let at = begun + below(&rng, operations.len() - begun + 1);
        let image = tempfile::tempdir().unwrap();
        write_image(&operations[..at], &rng, image.path());
        let acknowledged: Vec<usize> = operations[..at]
            .iter()
            .filter_map(|operation| match operation {
                Operation::Mark(number) => Some(*number),
                _ => None,
            })
            .collect();
        let (lost, halved) = check(image.path(), &acknowledged).await;
        outcome.lost += lost;
        outcome.halved += halved;
    }
    println!("power cut: seed {seed}, {} operations, {outcome:?}", operations.len());
    outcome
}

fn tenant() -> TenantId {
    TenantId::default_tenant()
}

fn client(number: usize) -> ClientId {
    format!("client-{number}").parse().unwrap()
}

fn account(number: usize) -> String {
    format!("account-{number}")
}

/// The store of tuples that only this writer writes to.
fn store_of(writer: usize) -> String {
    format!("store-{writer}")
}

/// A write of tuples as the log has it.
fn log_row(number: usize) -> FgaLogRow {
    FgaLogRow {
        revision: i64::try_from(number / WRITERS + 1).unwrap(),
        changes: format!("[{number}]"),
        actor: String::new(),
        reason: String::new(),
        txn: number.to_string(),
        at: Timestamp::from_secs(1),
    }
}

async fn create_store(storage: &Storage, writer: usize) {
    let now = Timestamp::from_secs(1);
    let row = FgaStoreRow {
        store_id: store_of(writer),
        name: store_of(writer),
        subject: String::new(),
        semantics: String::new(),
        revision: 0,
        created_at: now,
        updated_at: now,
    };
    let rng = DangerousSeededRng::new(u64::try_from(writer).unwrap());
    let mut unit = UnitOfWork::new(now, &rng);
    unit.add(fga::insert_store(&tenant(), &row));
    storage.commit(unit).await.unwrap();
}

/// Writes units, several at once, marks each when it is acknowledged, and checkpoints in between as
/// a busy server does.
async fn write_units(storage: &Storage, watch: &Arc<Watch>, dir: &Path) {
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (storage, watch, dir) = (storage.clone(), Arc::clone(watch), dir.to_owned());
        writers.spawn(async move {
            for number in (writer..UNITS).step_by(WRITERS) {
                let rng = DangerousSeededRng::new(u64::try_from(number).unwrap());
                let now = Timestamp::from_secs(1);
                let mut unit = UnitOfWork::new(now, &rng);
                // Pages of two tables, some of them many.
                let settings = "x".repeat(if number % 7 == 0 { 40_000 } else { 900 });
                unit.add(clients::insert(&tenant(), &client(number), None, &settings, now));
                let epoch = Timestamp::from_secs(0);
                unit.add(users::count_failure(&tenant(), &account(number), "::1", epoch, now));
                for statement in fga::append_log(&tenant(), &store_of(writer), &log_row(number)) {
                    unit.add(statement);
                }
                storage.commit(unit).await.unwrap();
                watch.mark(number);
                if number % 30 == 29 {
                    checkpoint(&dir);
                }
            }
        });
    }
    writers.join_all().await;
}

fn checkpoint(dir: &Path) {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let path = dir.join("behalf.db");
    let connection = rusqlite::Connection::open_with_flags_and_vfs(path, flags, vfs::NAME).unwrap();
    connection.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_row| Ok(())).unwrap();
}

fn below(rng: &dyn Rng, bound: usize) -> usize {
    let mut bytes = [0; 8];
    rng.fill(&mut bytes);
    usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(bound.max(1)).unwrap()).unwrap()
}

/// The files as a power cut after `operations` may leave them.
fn write_image(operations: &[Operation], rng: &dyn Rng, dir: &Path) {
    let mut files: BTreeMap<File, Vec<u8>> = BTreeMap::new();
    // What each file's last sync is; only later operations are uncertain.
    let mut synced: BTreeMap<File, usize> = BTreeMap::new();
    for (index, operation) in operations.iter().enumerate() {
        if let Operation::Sync(file) = operation {
            synced.insert(*file, index);
        }
    }
    let mut uncertain = Vec::new();
    for (index, operation) in operations.iter().enumerate() {
        let file = match operation {
            Operation::Write(file, ..) | Operation::Truncate(file, _) => *file,
            Operation::Sync(_) | Operation::Mark(_) => continue,
        };
        if synced.get(&file).is_some_and(|last| index < *last) {
            apply(&mut files, operation, usize::MAX);
        } else {
            uncertain.push(operation);
        }
    }
    // Three kinds of disk: one that wrote nothing, one that wrote everything in another order, one
    // that wrote some of it and tore some.
    match below(rng, 3) {
        0 => {}
        1 => {
            for last in (1..uncertain.len()).rev() {
                uncertain.swap(last, below(rng, last + 1));
            }
            uncertain.iter().for_each(|operation| apply(&mut files, operation, usize::MAX));
        }
        _ => {
            for operation in uncertain {
                match below(rng, 3) {
                    0 => {}
                    1 => apply(&mut files, operation, usize::MAX),
                    _ => apply(&mut files, operation, SECTOR * below(rng, 9)),
                }
            }
        }
    }
    for (file, bytes) in files {
        let name = match file {
            File::Database => "behalf.db",
            File::Log => "behalf.db-wal",
        };
        std::fs::write(dir.join(name), bytes).unwrap();
    }
}

/// Does the operation, of a write only the first `limit` bytes.
fn apply(files: &mut BTreeMap<File, Vec<u8>>, operation: &Operation, limit: usize) {
    match operation {
        Operation::Write(file, offset, bytes) => {
            let bytes = &bytes[..bytes.len().min(limit)];
            let content = files.entry(*file).or_default();
            let end = offset + bytes.len();
            if content.len() < end {
                content.resize(end, 0);
            }
            content[*offset..end].copy_from_slice(bytes);
        }
        Operation::Truncate(file, length) => files.entry(*file).or_default().truncate(*length),
        Operation::Sync(_) | Operation::Mark(_) => {}
    }
}

/// How many acknowledged units are gone, and of how many units only a part is there.
async fn check(dir: &Path, acknowledged: &[usize]) -> (usize, usize) {
    let options = SqliteOptions::default();
    let storage = Storage::open_sqlite(dir, options, Timestamp::from_secs(1)).unwrap();
    let (mut lost, mut halved) = (0, 0);
    let mut logged = BTreeSet::new();
    for writer in 0..WRITERS {
        let log = fga::list_log(&storage, &tenant(), &store_of(writer), 0, 1_000).await.unwrap();
        let written: Vec<_> = (writer..UNITS).step_by(WRITERS).take(log.len()).collect();
        // What is there is how the writer's history began, and the head stands at its end.
        assert_eq!(log, written.iter().map(|number| log_row(*number)).collect::<Vec<_>>());
        let head = fga::find_head(&storage, &tenant(), &store_of(writer), 0).await.unwrap();
        // The stores were there before the first unit.
        lost += usize::from(head.is_none());
        assert_eq!(head.map_or(0, |head| head.revision), i64::try_from(log.len()).unwrap());
        logged.extend(written);
    }
    for number in 0..UNITS {
        let has_client = clients::find(&storage, &tenant(), &client(number)).await.unwrap();
        let has_account =
            users::find_failures(&storage, &tenant(), &account(number), "::1").await.unwrap();
        match (has_client.is_some(), has_account.is_some(), logged.contains(&number)) {
            (true, true, true) => {}
            (false, false, false) => lost += usize::from(acknowledged.contains(&number)),
            _ => halved += 1,
        }
    }
    storage.close().await;
    (lost, halved)
}
