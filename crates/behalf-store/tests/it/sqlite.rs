//! The embedded engine: the kit, and its files.

use std::sync::atomic::{AtomicU32, Ordering};

use behalf_core::{Actor, DangerousSeededRng, Event, EventKind, TenantId, Timestamp};
use behalf_store::identity::users;
use behalf_store::{Held, SqliteOptions, Storage, StoreError, UnitOfWork};

use crate::conformance;

fn open(dir: &std::path::Path) -> Result<Storage, StoreError> {
    Storage::open_sqlite(dir, SqliteOptions::default(), Timestamp::from_secs(1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_store_passes_the_conformance_kit() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).unwrap();
    conformance::run_all(&storage).await;
    storage.close().await;
}

#[tokio::test]
async fn only_the_owner_reads_the_files_wherever_they_lie() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let everybody = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(dir.path(), everybody).unwrap();
    let storage = open(dir.path()).unwrap();
    storage
        .commit(UnitOfWork::new(Timestamp::from_secs(1), &DangerousSeededRng::new(1)))
        .await
        .unwrap();
    let files: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(Result::unwrap).collect();
    assert!(files.len() >= 2, "the database and its log");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}", file.path().display());
    }
}

#[tokio::test]
async fn what_was_committed_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let tenant: TenantId = "default".parse().unwrap();
    let storage = open(dir.path()).unwrap();
    let mut unit = UnitOfWork::new(Timestamp::from_secs(1), &DangerousSeededRng::new(1));
    unit.add(users::count_failure(
        &tenant,
        "ann",
        "::1",
        Timestamp::from_secs(0),
        Timestamp::from_secs(1),
    ));
    storage.commit(unit).await.unwrap();
    storage.close().await;
    let reopened = open(dir.path()).unwrap();
    assert!(users::find_failures(&reopened, &tenant, "ann", "::1").await.unwrap().is_some());
}

#[tokio::test]
async fn the_version_changes_with_every_write_and_with_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let tenant: TenantId = "default".parse().unwrap();
    let storage = open(dir.path()).unwrap();
    let rng = DangerousSeededRng::new(1);
    let mut versions = vec![storage.version().unwrap()];
    for second in 1..5 {
        let now = Timestamp::from_secs(second);
        let mut unit = UnitOfWork::new(now, &rng);
        unit.add(users::count_failure(&tenant, "ann", "::1", Timestamp::from_secs(0), now));
        storage.commit(unit).await.unwrap();
        let version = storage.version().unwrap();
        assert!(users::find_failures(&storage, &tenant, "ann", "::1").await.unwrap().is_some());
        assert_eq!(storage.version(), Some(version), "reading is no write");
        versions.push(version);
    }
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
}

#[tokio::test]
async fn what_is_held_is_read_again_after_a_write_and_not_after_one_of_what_is_held_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let tenant: TenantId = "default".parse().unwrap();
    let storage = open(dir.path()).unwrap();
    let rng = DangerousSeededRng::new(1);
    let now = Timestamp::from_secs(1);
    let held = Held::<String, i64>::default();
    let reads = AtomicU32::new(0);
    let ask = async || {
        let read = async |name: &String| {
            reads.fetch_add(1, Ordering::Relaxed);
            let row = users::find_failures(&storage, &tenant, name, "::1").await?;
            Ok::<_, StoreError>(row.map(|row| row.failures))
        };
        held.find(&storage, "ann".to_owned(), read).await.unwrap()
    };
    assert_eq!((ask().await, ask().await), (None, None));
    assert_eq!(reads.load(Ordering::Relaxed), 2, "what is absent is looked for each time");
    for count in 1..4 {
        let mut unit = UnitOfWork::new(now, &rng);
        unit.add(users::count_failure(&tenant, "ann", "::1", Timestamp::from_secs(0), now));
        storage.commit(unit).await.unwrap();
        let mut unit = UnitOfWork::new(now, &rng);
        unit.record(&Event::new(&tenant, EventKind::TenantCreated, Actor::System));
        assert_eq!(ask().await, Some(count));
        storage.commit(unit).await.unwrap();
        assert_eq!(ask().await, Some(count));
    }
    assert_eq!(reads.load(Ordering::Relaxed), 5, "once after each write");
}

#[tokio::test]
async fn what_the_log_holds_moves_into_the_database_while_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let tenant: TenantId = "default".parse().unwrap();
    let storage = open(dir.path()).unwrap();
    let file = dir.path().join("behalf.db");
    let length = || std::fs::metadata(&file).unwrap().len();
    let (before, rng) = (length(), DangerousSeededRng::new(1));
    // It is looked at after some commits; without that it would move after far more pages.
    for turn in 0..10_000 {
        let now = Timestamp::from_secs(turn);
        let mut unit = UnitOfWork::new(now, &rng);
        unit.record(&Event::new(&tenant, EventKind::TenantCreated, Actor::System));
        storage.commit(unit).await.unwrap();
        if length() > before {
            return;
        }
    }
    panic!("nothing has moved");
}

#[tokio::test]
async fn a_closed_store_refuses_writes_instead_of_losing_them() {
    let dir = tempfile::tempdir().unwrap();
    let storage = open(dir.path()).unwrap();
    storage.close().await;
    let mut unit = UnitOfWork::new(Timestamp::from_secs(1), &DangerousSeededRng::new(1));
    unit.add(users::clear_failures(&"default".parse().unwrap(), "ann", "::1"));
    assert!(storage.commit(unit).await.is_err());
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("behalf.db");
    let text = "this is somebody's diary, not a database\n".repeat(100);
    std::fs::write(&path, &text).unwrap();
    assert!(matches!(open(dir.path()), Err(StoreError::Corrupt { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}
