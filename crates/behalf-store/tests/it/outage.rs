//! PostgreSQL crashes under load and comes back: writes fail meanwhile, then succeed again, by
//! themselves; what was acknowledged is there, what was refused is not, nothing is half there.
//!
//! It runs where the other tests of PostgreSQL do, on a cluster of its own that it may stop.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behalf_core::{Actor, ClientId, DangerousSeededRng, Event, EventKind, TenantId, Timestamp};
use behalf_store::identity::clients;
use behalf_store::{Phase, Storage, StoreError, UnitOfWork, outbox};

const WRITERS: usize = 8;
/// Acknowledged writes to wait for, before the crash and after it.
const ENOUGH: usize = 100;

/// A cluster that is stopped and removed with this.
struct Cluster(PathBuf);

impl Cluster {
    fn run(&self, action: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/postgres/cluster.sh");
        let output =
            Command::new(script).arg(action).arg(&self.0).env("PG_FSYNC", "on").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.0.join("postmaster.pid").exists() {
            self.run("stop");
        }
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// What the writers were told.
#[derive(Default)]
struct Told {
    stored: BTreeSet<usize>,
    refused: BTreeSet<usize>,
    unknown: BTreeSet<usize>,
}

fn client(number: usize) -> ClientId {
    format!("client-{number}").parse().unwrap()
}

fn unit(number: usize) -> UnitOfWork {
    let (tenant, now) = (TenantId::default_tenant(), Timestamp::from_secs(1));
    let rng = DangerousSeededRng::new(u64::try_from(number).unwrap());
    let mut unit = UnitOfWork::new(now, &rng);
    unit.add(clients::insert(&tenant, &client(number), None, "{}", now));
    let event = Event::new(&tenant, EventKind::ClientCreated, Actor::System);
    unit.record(&event.with("client_id", client(number).as_str()));
    unit
}

async fn write(storage: Storage, writer: usize, told: Arc<Mutex<Told>>, stop: Arc<AtomicBool>) {
    let mut number = writer;
    while !stop.load(Ordering::Relaxed) {
        let result = storage.commit(unit(number)).await;
        let is_refused = result.is_err();
        {
            let mut told = told.lock().unwrap();
            match result {
                Ok(_) => told.stored.insert(number),
                Err(error) if error.may_be_stored() => told.unknown.insert(number),
                Err(StoreError::Unavailable { .. }) => told.refused.insert(number),
                Err(error) => panic!("{error}"),
            };
        }
        if is_refused {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        number += WRITERS;
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), wait).await.is_ok(), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_of_postgresql_loses_nothing_acknowledged_and_ends_by_itself() {
    if crate::postgres::schema().await.is_none() {
        return;
    }
    let dir = std::env::temp_dir().join(format!("behalf-outage-{}", std::process::id()));
    let cluster = Cluster(dir);
    let url = cluster.run("start");
    Storage::migrate_postgres(&url, Phase::Expand, Timestamp::from_secs(1)).await.unwrap();
    let storage = Storage::open_postgres(&url).await.unwrap();

    let told = Arc::new(Mutex::new(Told::default()));
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        writers.spawn(write(storage.clone(), writer, Arc::clone(&told), Arc::clone(&stop)));
    }
    let stored = || told.lock().unwrap().stored.len();
    until("the first writes are stored", || stored() >= ENOUGH).await;
    cluster.run("stop");
    until("writes are refused", || told.lock().unwrap().refused.len() >= WRITERS).await;
    let before = stored();
    cluster.run("start");
    until("writes are stored again", || stored() >= before + ENOUGH).await;
    stop.store(true, Ordering::Relaxed);
    writers.join_all().await;

    let tenant = TenantId::default_tenant();
    let told = std::mem::take(&mut *told.lock().unwrap());
    let present: BTreeSet<String> = clients::list(&storage, &tenant)
        .await
        .unwrap()
        .into_iter()
        .map(|row| row.client_id.as_str().to_owned())
        .collect();
    for number in &told.stored {
        assert!(present.contains(client(*number).as_str()), "{number} was acknowledged");
    }
    for number in &told.refused {
        assert!(!present.contains(client(*number).as_str()), "{number} was refused");
    }
    let events = outbox::list(&storage, 1_000_000).await.unwrap();
    assert_eq!(events.len(), present.len(), "each has its event");
    assert!(present.len() <= told.stored.len() + told.unknown.len());
    storage.close().await;
}
