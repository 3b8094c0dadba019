//! The connection breaks around COMMIT: the caller is told what became of the unit, or that nobody
//! knows. Between store and server stands something that passes everything on until it is told to
//! break, and that can claim of a transaction that it committed: after a crash of the server its
//! number may be another's, who did.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use behalf_core::{Actor, ClientId, DangerousSeededRng, Event, EventKind, TenantId, Timestamp};
use behalf_store::identity::clients;
use behalf_store::{Phase, Storage, UnitOfWork, outbox};

const SOCKET: &str = ".s.PGSQL.5432";
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0";
/// The answer of `pg_xact_status`, and what is claimed in its stead.
const ABORTED: &[u8] = b"D\0\0\0\x11\0\x01\0\0\0\x07aborted";
const CLAIMED: &[u8] = b"D\0\0\0\x13\0\x01\0\0\0\x09committed";

/// When the next connection that commits breaks.
#[derive(Clone, Copy, PartialEq)]
enum Breaks {
    BeforeCommit,
    AfterCommit,
}

#[derive(Default)]
struct Orders {
    breaks: Option<Breaks>,
    claims: bool,
}

fn position(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

fn end(streams: [&UnixStream; 2]) {
    for stream in streams {
        // The other side may have ended it before.
        drop(stream.shutdown(Shutdown::Both));
    }
}

fn to_server(mut from: UnixStream, mut to: UnixStream, orders: &Mutex<Orders>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let is_commit = position(&buffer[..read], COMMIT).is_some();
        let breaks = orders.lock().unwrap().breaks == Some(Breaks::BeforeCommit);
        if is_commit && breaks {
            orders.lock().unwrap().breaks = None;
            break;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    end([&from, &to]);
}

fn to_store(mut from: UnixStream, mut to: UnixStream, orders: &Mutex<Orders>) {
    let mut buffer = vec![0; 65_536];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut bytes = buffer[..read].to_vec();
        {
            let mut orders = orders.lock().unwrap();
            let is_committed = position(&bytes, COMMITTED).is_some();
            if is_committed && orders.breaks == Some(Breaks::AfterCommit) {
                orders.breaks = None;
                break;
            }
            if let Some(at) = position(&bytes, ABORTED).filter(|_| orders.claims) {
                bytes.splice(at..at + ABORTED.len(), CLAIMED.iter().copied());
            }
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    end([&from, &to]);
}

/// Passes connections on to the server whose socket lies in `server`.
fn serve(dir: &Path, server: PathBuf, orders: Arc<Mutex<Orders>>) {
    let listener = UnixListener::bind(dir.join(SOCKET)).unwrap();
    std::thread::spawn(move || {
        for store in listener.incoming() {
            let (store, server) = (store.unwrap(), UnixStream::connect(&server).unwrap());
            let back = (server.try_clone().unwrap(), store.try_clone().unwrap());
            let (forth, watch) = (Arc::clone(&orders), Arc::clone(&orders));
            std::thread::spawn(move || to_server(store, server, &forth));
            std::thread::spawn(move || to_store(back.0, back.1, &watch));
        }
    });
}

fn unit(name: &str, has_event: bool) -> UnitOfWork {
    let (tenant, now) = (TenantId::default_tenant(), Timestamp::from_secs(1));
    let seed = name.bytes().map(u64::from).sum();
    let mut unit = UnitOfWork::new(now, &DangerousSeededRng::new(seed));
    let client: ClientId = name.parse().unwrap();
    unit.add(clients::insert(&tenant, &client, None, "{}", now));
    if has_event {
        unit.record(&Event::new(&tenant, EventKind::ClientCreated, Actor::System));
    }
    unit
}

async fn is_stored(storage: &Storage, name: &str) -> bool {
    let tenant = TenantId::default_tenant();
    clients::find(storage, &tenant, &name.parse().unwrap()).await.unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_looked_up_and_never_guessed() {
    let Some(url) = crate::postgres::schema().await else { return };
    Storage::migrate_postgres(&url, Phase::Expand, Timestamp::from_secs(1)).await.unwrap();
    let host = url.split(['?', '&']).find_map(|pair| pair.strip_prefix("host=/"));
    let host = host.expect("a server on a Unix socket");
    let dir = tempfile::tempdir().unwrap();
    let orders = Arc::new(Mutex::new(Orders::default()));
    serve(dir.path(), Path::new("/").join(host).join(SOCKET), Arc::clone(&orders));
    let url = url.replace(&format!("host=/{host}"), &format!("host={}", dir.path().display()));
    let storage = Storage::open_postgres(&url).await.unwrap();

    use Breaks::{AfterCommit, BeforeCommit};
    for (name, breaks, claims, has_event, is_known) in [
        ("committed", AfterCommit, false, true, true),
        ("again", BeforeCommit, false, true, true),
        ("number-of-another", BeforeCommit, true, true, true),
        ("again-without-event", BeforeCommit, false, false, true),
        ("unknown", AfterCommit, false, false, false),
        ("unknown-and-not-stored", BeforeCommit, true, false, false),
    ] {
        *orders.lock().unwrap() = Orders { breaks: Some(breaks), claims };
        let result = storage.commit(unit(name, has_event)).await;
        assert!(orders.lock().unwrap().breaks.is_none(), "{name}: nothing broke");
        match result {
            Ok(_) => assert!(is_known && is_stored(&storage, name).await, "{name}"),
            Err(error) => assert!(!is_known && error.may_be_stored(), "{name}: {error}"),
        }
    }
    let events = outbox::list(&storage, 100).await.unwrap();
    assert_eq!(events.len(), 3, "each once");
    storage.close().await;
}
