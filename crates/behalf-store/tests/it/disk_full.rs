//! The disk runs full: writes are refused as unavailable, nothing that was acknowledged is lost,
//! reads go on, and writes too once there is space again.

use behalf_core::{ClientId, DangerousSeededRng, TenantId, Timestamp};
use behalf_store::identity::clients;
use behalf_store::{SqliteOptions, Storage, StoreError, UnitOfWork};

use crate::vfs::{self, Watch};

fn client(number: u64) -> ClientId {
    format!("client-{number}").parse().unwrap()
}

async fn write(storage: &Storage, number: u64) -> Result<(), StoreError> {
    let now = Timestamp::from_secs(1);
    let mut unit = UnitOfWork::new(now, &DangerousSeededRng::new(number));
    let settings = "x".repeat(20_000);
    let tenant = TenantId::default_tenant();
    unit.add(clients::insert(&tenant, &client(number), None, &settings, now));
    storage.commit(unit).await.map(|_committed| ())
}

async fn has(storage: &Storage, number: u64) -> bool {
    let tenant = TenantId::default_tenant();
    clients::find(storage, &tenant, &client(number)).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_writes_keeps_what_was_acknowledged_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let watch = Watch::folder(dir.path());
    let options = SqliteOptions { vfs: Some(vfs::NAME), ..SqliteOptions::default() };
    let storage = Storage::open_sqlite(dir.path(), options, Timestamp::from_secs(1)).unwrap();

    watch.leave_space(Some(500_000));
    let mut acknowledged = Vec::new();
    let mut refused = Vec::new();
    // Several at once, so that a group of commits fails in its middle.
    for round in 0..20_u64 {
        let numbers: Vec<u64> = (round * 4..round * 4 + 4).collect();
        let results =
            futures_util::future::join_all(numbers.iter().map(|n| write(&storage, *n))).await;
        for (number, result) in numbers.into_iter().zip(results) {
            match result {
                Ok(()) => acknowledged.push(number),
                Err(StoreError::Unavailable { .. }) => refused.push(number),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(acknowledged.len() >= 8, "there was space for some: {acknowledged:?}");
    assert!(refused.len() >= 8, "and not for all: {refused:?}");
    for number in &acknowledged {
        assert!(has(&storage, *number).await, "{number} was acknowledged and is gone");
    }
    for number in &refused {
        assert!(!has(&storage, *number).await, "{number} was refused and is there");
    }

    watch.leave_space(None);
    write(&storage, 1_000).await.unwrap();
    storage.close().await;
    let reopened =
        Storage::open_sqlite(dir.path(), SqliteOptions::default(), Timestamp::from_secs(1))
            .unwrap();
    for number in acknowledged.iter().chain([&1_000]) {
        assert!(has(&reopened, *number).await, "{number} is gone after a restart");
    }
    for number in &refused {
        assert!(!has(&reopened, *number).await, "{number} appeared after a restart");
    }
}
