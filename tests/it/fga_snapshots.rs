//! Snapshot files of FGA stores: what is read from a file and the log's tail is what the whole log
//! says, and a file that the log does not bear out is never believed.

mod times;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use behalf_authz::engine::{
    AuthorizationModel, Change, DeleteKey, FgaStore, Limits, RequestContext, Snapshot,
    SnapshotReader, TupleKey, WriteRequest,
};
use behalf_authz::{Author, Authz, AuthzParts, Query, TupleFilter};
use behalf_core::{Actor, ManualClock, TenantId, Timestamp};
use behalf_crypto::SystemRng;
use behalf_store::{SqliteOptions, Storage};
use behalf_tests::START;
use serde_json::{Value, json};

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define owner: [user]
    define viewer: [user, user:*, group#member, user with in_time] or owner
condition in_time(now: timestamp, until: timestamp) {
  now < until
}
";
const PLENTY: u64 = 1 << 30;
pub(crate) const ACTOR: Actor = Actor::Anonymous;

/// A database in a folder, and services that are opened on it one after the other.
pub(crate) struct World {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) storage: Storage,
    clock: Arc<ManualClock>,
}

impl World {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (storage, clock) = (database(folder.path()), Arc::new(ManualClock::new(START)));
        Self { folder, storage, clock }
    }

    pub(crate) async fn open(&self) -> Authz {
        self.open_within(PLENTY).await
    }

    async fn open_within(&self, memory_bytes: u64) -> Authz {
        let snapshots = Some(self.folder.path().join("fga"));
        open_at(&self.clock, &self.storage, snapshots, memory_bytes).await
    }

    /// A service that knows of no files.
    pub(crate) async fn replayed(&self) -> Authz {
        open_at(&self.clock, &self.storage, None, PLENTY).await
    }

    fn file(&self, store: &str) -> PathBuf {
        self.folder.path().join("fga/default").join(format!("{store}.snapshot"))
    }
}

pub(crate) fn database(folder: &Path) -> Storage {
    Storage::open_sqlite(folder, SqliteOptions::default(), START).unwrap()
}

pub(crate) async fn open(
    storage: &Storage,
    snapshots: Option<PathBuf>,
    memory_bytes: u64,
) -> Authz {
    open_at(&Arc::new(ManualClock::new(START)), storage, snapshots, memory_bytes).await
}

async fn open_at(
    clock: &Arc<ManualClock>,
    storage: &Storage,
    snapshots: Option<PathBuf>,
    memory_bytes: u64,
) -> Authz {
    let parts = AuthzParts {
        storage: storage.clone(),
        clock: Arc::<ManualClock>::clone(clock),
        rng: Arc::new(SystemRng),
        tenant: TenantId::default_tenant(),
        snapshots,
        memory_bytes,
        limits: Limits::default(),
    };
    Authz::open(parts).await.unwrap()
}

pub(crate) async fn store(authz: &Authz) -> String {
    let id = authz.create_store("documents", &ACTOR).await.unwrap().id;
    authz.write_model(&id, AuthorizationModel::validate_dsl(MODEL).unwrap(), &ACTOR).await.unwrap();
    id
}

pub(crate) fn tuple(user: &str, relation: &str, object: &str) -> TupleKey {
    TupleKey::new(user, relation, object)
}

async fn write(authz: &Authz, store: &str, tuple: TupleKey) {
    let request = WriteRequest { writes: vec![tuple], ..WriteRequest::default() };
    authz.write(store, None, &request, &ACTOR).await.unwrap();
}

async fn delete(authz: &Authz, store: &str, tuple: &TupleKey) {
    let request = WriteRequest { deletes: vec![tuple.delete_key()], ..WriteRequest::default() };
    authz.write(store, None, &request, &ACTOR).await.unwrap();
}

async fn import(authz: &Authz, store: &str, tuples: impl IntoIterator<Item = TupleKey>) {
    let tuples = tuples.into_iter().collect();
    authz.import(store, tuples, Author::from(&ACTOR)).await.unwrap();
}

pub(crate) async fn check(authz: &Authz, store: &str, user: &str, object: &str) -> bool {
    let query = Query { store_id: store, model_id: None };
    let request = RequestContext::default();
    authz.check(query, user, "viewer", object, request).await.unwrap().value
}

/// Every page of a read.
async fn read(authz: &Authz, store: &str, filter: &TupleFilter, limit: usize) -> Vec<TupleKey> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let page = authz.read(store, filter, limit, &token).await.unwrap();
        found.extend(page.items);
        match page.next {
            Some(next) => token = next,
            None => return found,
        }
    }
}

/// What a service says of a store: its revision and its tuples, in the order of pages.
pub(crate) async fn told(authz: &Authz, store: &str) -> (u64, Vec<TupleKey>) {
    let revision = authz.snapshot(store).await.unwrap().revision().0;
    (revision, read(authz, store, &TupleFilter::default(), 7).await)
}

#[tokio::test]
async fn a_file_and_the_tail_are_the_whole_log() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    import(
        &authz,
        &store,
        (0..700).map(|n| tuple(&format!("user:{}", n % 50), "viewer", &format!("doc:{n}"))),
    )
    .await;
    for n in 0..30 {
        delete(&authz, &store, &tuple(&format!("user:{n}"), "viewer", &format!("doc:{n}"))).await;
        write(&authz, &store, tuple(&format!("user:{n}"), "member", &format!("group:{}", n % 4)))
            .await;
    }
    let until = json!({"until": "2030-01-01T00:00:00Z"});
    let conditioned = TupleKey {
        condition: Some(behalf_authz::engine::TupleCondition {
            name: "in_time".to_owned(),
            context: until.as_object().unwrap().clone(),
        }),
        ..tuple("user:timed", "viewer", "doc:timed")
    };
    write(&authz, &store, conditioned.clone()).await;
    authz.close().await;
    assert!(world.file(&store).exists());

    // Behind the file: names given anew, tuples gone, a model that knows more.
    write(&authz, &store, tuple("user:1", "viewer", "doc:1")).await;
    delete(&authz, &store, &conditioned).await;
    write(&authz, &store, tuple("group:1#member", "viewer", "doc:behind")).await;
    let more = format!("{MODEL}\n")
        .replace("define owner: [user]", "define owner: [user]\n    define reader: [user]");
    let more = AuthorizationModel::validate_dsl(&more).unwrap();
    authz.write_model(&store, more, &ACTOR).await.unwrap();
    write(&authz, &store, tuple("user:9", "reader", "doc:behind")).await;
    let before = told(&authz, &store).await;
    drop(authz);

    let (restarted, replayed) = (world.open().await, world.replayed().await);
    let again = told(&restarted, &store).await;
    assert_eq!(again, told(&replayed, &store).await);
    assert_eq!(again, before);
    for (user, object) in [("user:1", "doc:1"), ("user:5", "doc:behind"), ("user:2", "doc:2")] {
        let answer = check(&restarted, &store, user, object).await;
        assert_eq!(answer, check(&replayed, &store, user, object).await, "{user} {object}");
    }
    // A file written from there, and the write after it, go on in the same way.
    restarted.close().await;
    write(&restarted, &store, tuple("user:10", "reader", "doc:behind")).await;
    assert_eq!(
        told(&world.open().await, &store).await,
        told(&world.replayed().await, &store).await
    );
}

/// The file with one more tuple in it than the log has: whoever believes it says so.
fn forged(file: &Path, relabel: impl FnOnce(&mut Value)) -> Vec<u8> {
    let bytes = std::fs::read(file).unwrap();
    let reader = SnapshotReader::open(&bytes[..], bytes.len() as u64).unwrap();
    let mut label: Value = serde_json::from_str(reader.label()).unwrap();
    let snapshot = reader.read().unwrap();
    let mut tuples: Vec<Change> = snapshot.tuples().map(Change::Write).collect();
    tuples.push(Change::Write(tuple("user:mallory", "viewer", "doc:secret")));
    let mut store = FgaStore::new();
    // One revision after the other, until it is the same one.
    store.apply(&tuples).unwrap();
    while store.snapshot().revision() < snapshot.revision() {
        store.apply(&[]).unwrap();
    }
    relabel(&mut label);
    store.snapshot().encode(&label.to_string())
}

/// Puts `bytes` in place of a store's file and asks what a service on it believes.
async fn believes(world: &World, store: &str, bytes: &[u8]) -> bool {
    std::fs::write(world.file(store), bytes).unwrap();
    let authz = world.open().await;
    let is_allowed = check(&authz, store, "user:mallory", "doc:secret").await;
    // Whatever became of the file, the store is whole.
    assert!(check(&authz, store, "user:1", "doc:1").await);
    is_allowed
}

async fn world_with_a_file() -> (World, String) {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    for n in 0..3 {
        write(&authz, &store, tuple(&format!("user:{n}"), "viewer", &format!("doc:{n}"))).await;
    }
    authz.close().await;
    (world, store)
}

#[tokio::test]
async fn a_file_that_is_cut_or_changed_anywhere_is_not_believed() {
    let (world, store) = world_with_a_file().await;
    let whole = forged(&world.file(&store), |_| ());
    assert!(believes(&world, &store, &whole).await, "the whole file is read");
    for end in 0..whole.len() {
        assert!(!believes(&world, &store, &whole[..end]).await, "cut at {end}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(!believes(&world, &store, &changed).await, "changed at {at}");
    }
    let mut longer = whole.clone();
    longer.push(0);
    assert!(!believes(&world, &store, &longer).await, "longer");
    let old_format = [&whole[..8], &1_u32.to_le_bytes(), &whole[12..]].concat();
    assert!(!believes(&world, &store, &old_format).await, "another format");
    assert!(!believes(&world, &store, b"SQLite format 3\0").await, "no snapshot");
    // What the service then writes itself is read again.
    let authz = world.open().await;
    write(&authz, &store, tuple("user:4", "viewer", "doc:4")).await;
    authz.close().await;
    let mended = forged(&world.file(&store), |_| ());
    assert!(believes(&world, &store, &mended).await);
}

#[tokio::test]
async fn a_file_of_another_store_tenant_time_or_log_is_not_believed() {
    let (world, store) = world_with_a_file().await;
    let file = world.file(&store);
    let original = std::fs::read(&file).unwrap();
    let relabelled = |name: &'static str, value: Value| {
        std::fs::write(&file, &original).unwrap();
        forged(&file, move |label| {
            assert!(!label[name].is_null(), "{label}");
            label[name] = value;
        })
    };
    let authz = world.open().await;
    let other = authz.create_store("documents", &ACTOR).await.unwrap().id;
    for (name, value) in [
        ("store_id", json!(other)),
        ("tenant", json!("another")),
        ("created_at", json!(1)),
        ("txn", json!("01ARZ3NDEKTSV4RRFFQ69G5FAV")),
        ("txn", json!("")),
        ("revision", json!(2)),
        ("revision", json!(4)),
        ("revision", json!(-1)),
    ] {
        let bytes = relabelled(name, value.clone());
        assert!(!believes(&world, &store, &bytes).await, "{name} {value}");
    }
    // A store's file under another's name.
    std::fs::write(&file, &original).unwrap();
    std::fs::copy(&file, world.file(&other)).unwrap();
    assert!(told(&world.open().await, &other).await.1.is_empty());
    // Another kind of thing in its place.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(check(&world.open().await, &store, "user:1", "doc:1").await);
}

#[tokio::test]
async fn a_restored_database_does_not_believe_the_files_of_the_one_before() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    write(&authz, &store, tuple("user:1", "viewer", "doc:1")).await;
    drop(authz);
    world.storage.close().await;
    let back_up = std::fs::read(world.folder.path().join("behalf.db")).unwrap();

    let storage = database(world.folder.path());
    let files = Some(world.folder.path().join("fga"));
    let authz = open(&storage, files.clone(), PLENTY).await;
    write(&authz, &store, tuple("user:lost", "viewer", "doc:1")).await;
    authz.close().await;
    storage.close().await;

    for file in ["behalf.db-wal", "behalf.db-shm"] {
        let path = world.folder.path().join(file);
        assert!(!path.exists() || std::fs::remove_file(path).is_ok());
    }
    std::fs::write(world.folder.path().join("behalf.db"), back_up).unwrap();
    let storage = database(world.folder.path());
    // The file is newer than the log.
    let authz = open(&storage, files.clone(), PLENTY).await;
    assert!(!check(&authz, &store, "user:lost", "doc:1").await);
    // And then of the same revision, with another history.
    write(&authz, &store, tuple("user:2", "viewer", "doc:2")).await;
    drop(authz);
    let authz = open(&storage, files, PLENTY).await;
    assert_eq!(authz.snapshot(&store).await.unwrap().revision().0, 2);
    assert!(!check(&authz, &store, "user:lost", "doc:1").await);
    assert!(check(&authz, &store, "user:2", "doc:2").await);
}

#[tokio::test]
async fn files_are_private_and_go_with_their_stores() {
    use std::os::unix::fs::PermissionsExt as _;
    let (world, store) = world_with_a_file().await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let file = world.file(&store);
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let authz = world.open().await;
    authz.delete_store(&store, &ACTOR).await.unwrap();
    assert!(!file.exists());
    // What a crash left, and a file whose store went away while no service ran.
    let unfinished = file.with_extension("unfinished");
    for path in [&file, &unfinished] {
        std::fs::write(path, "left").unwrap();
    }
    let foreign = file.with_file_name("notes.txt");
    std::fs::write(&foreign, "kept").unwrap();
    drop(world.open().await);
    assert!(!file.exists() && !unfinished.exists() && foreign.exists());
}

#[tokio::test]
async fn many_changes_are_saved_without_being_told() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    import(&authz, &store, (0..2_000).map(|n| tuple("user:1", "viewer", &format!("doc:{n}"))))
        .await;
    while !world.file(&store).exists() {
        tokio::task::yield_now().await;
    }
    let bytes = std::fs::read(world.file(&store)).unwrap();
    let snapshot = SnapshotReader::open(&bytes[..], bytes.len() as u64).unwrap().read().unwrap();
    assert_eq!(snapshot.tuple_count(), 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stores_let_go_under_readers_and_writers_never_go_back() {
    const STORES: usize = 6;
    const WRITES: usize = 40;
    let world = World::new();
    // Room for none: whatever nobody holds is let go when another is asked.
    let authz = world.open_within(1).await;
    let mut stores = Vec::new();
    for _ in 0..STORES {
        stores.push(store(&authz).await);
    }
    let stores = Arc::new(stores);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4_usize {
        let (authz, stores) = (authz.clone(), Arc::clone(&stores));
        tasks.spawn(async move {
            let mut seen = [0; STORES];
            for n in 0..WRITES {
                for (number, store) in stores.iter().enumerate() {
                    let object = format!("doc:{task}-{n}");
                    write(&authz, store, tuple("user:1", "viewer", &object)).await;
                    // What was written is seen, by whatever copy answers, and nothing goes back.
                    assert!(check(&authz, store, "user:1", &object).await, "{object}");
                    let revision = authz.snapshot(store).await.unwrap().revision().0;
                    assert!(revision > seen[number], "{revision} after {}", seen[number]);
                    seen[number] = revision;
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let files = stores.iter().filter(|store| world.file(store).exists()).count();
    assert!(files >= STORES - 1, "only {files} were let go");
    let replayed = world.replayed().await;
    for store in stores.iter() {
        let (revision, mut tuples) = told(&authz, store).await;
        assert_eq!((revision, tuples.len()), (4 * WRITES as u64, 4 * WRITES));
        let (_, mut expected) = told(&replayed, store).await;
        tuples.sort_by(|a, b| a.object.cmp(&b.object));
        expected.sort_by(|a, b| a.object.cmp(&b.object));
        assert_eq!(tuples, expected);
    }
}

#[tokio::test]
async fn a_store_that_is_written_to_is_not_let_go() {
    let world = World::new();
    let authz = world.open_within(1).await;
    let (held, other) = (store(&authz).await, store(&authz).await);
    let request = |object: &str| WriteRequest {
        writes: vec![tuple("user:1", "viewer", object)],
        ..WriteRequest::default()
    };
    let planned = authz.plan_write(&held, None, &request("doc:1"), &ACTOR).await.unwrap().unwrap();
    write(&authz, &other, tuple("user:1", "viewer", "doc:1")).await;
    assert!(!world.file(&held).exists());
    let unit = behalf_store::UnitOfWork::new(START, &SystemRng);
    authz.commit(unit, vec![planned]).await.unwrap();
    assert!(check(&authz, &held, "user:1", "doc:1").await);
}

#[tokio::test]
async fn a_model_that_no_longer_fits_the_tuples_is_asked_as_before_and_after_a_restart() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    let query = Query { store_id: &store, model_id: None };
    let first = authz.at(query).await.unwrap().model_id.to_string();
    import(
        &authz,
        &store,
        [
            tuple("user:1", "owner", "doc:1"),
            tuple("group:1#member", "viewer", "doc:2"),
            tuple("user:2", "member", "group:1"),
            tuple("user:3", "viewer", "doc:3"),
        ],
    )
    .await;
    let narrow =
        "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n";
    let narrow = AuthorizationModel::validate_dsl(narrow).unwrap();
    authz.write_model(&store, narrow, &ACTOR).await.unwrap();
    let ask = async |authz: &Authz| {
        let mut answers = Vec::new();
        for (user, object) in [("user:1", "doc:1"), ("user:2", "doc:2"), ("user:3", "doc:3")] {
            for model_id in [None, Some(first.as_str())] {
                let query = Query { store_id: &store, model_id };
                let request = RequestContext::default();
                let answer = authz.check(query, user, "viewer", object, request).await;
                answers.push(answer.unwrap().value);
            }
        }
        answers
    };
    let expected = [false, true, false, true, true, true];
    assert_eq!(ask(&authz).await, expected);
    authz.close().await;
    let restarted = world.open().await;
    assert_eq!(ask(&restarted).await, expected);
    assert_eq!(told(&restarted, &store).await.1.len(), 4);
    assert_eq!(ask(&world.replayed().await).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_huge_group_is_removed_under_load() {
    #[expect(clippy::disallowed_methods, reason = "soak runs ask for a million")]
    let members: usize =
        std::env::var("BEHALF_GROUP_MEMBERS").ok().and_then(|n| n.parse().ok()).unwrap_or(20_000);
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    write(&authz, &store, tuple("group:all#member", "viewer", "doc:1")).await;
    write(&authz, &store, tuple("user:owner", "owner", "doc:1")).await;
    for first in (0..members).step_by(5_000) {
        let numbers = first..members.min(first + 5_000);
        import(&authz, &store, numbers.map(|n| tuple(&format!("user:{n}"), "member", "group:all")))
            .await;
    }
    let removal = {
        let (authz, store) = (authz.clone(), store.clone());
        tokio::spawn(async move {
            let filter = TupleFilter { object: "group:all".to_owned(), ..TupleFilter::default() };
            authz.delete_by(&store, &filter, Author::from(&ACTOR)).await.unwrap().0
        })
    };
    // Whoever was found removed stays so, others write, and the owner is never touched.
    let mut removed = BTreeSet::new();
    let mut n = 0;
    while !removal.is_finished() {
        n = (n + 7_919) % members;
        let is_member = check(&authz, &store, &format!("user:{n}"), "doc:1").await;
        assert!(!(is_member && removed.contains(&n)), "user:{n} came back");
        if !is_member {
            removed.insert(n);
        }
        assert!(check(&authz, &store, "user:owner", "doc:1").await);
        write(&authz, &store, tuple("user:1", "viewer", &format!("doc:{}", n + 10))).await;
        delete(&authz, &store, &tuple("user:1", "viewer", &format!("doc:{}", n + 10))).await;
    }
    assert_eq!(removal.await.unwrap(), members);
    for n in (0..members).step_by(97) {
        assert!(!check(&authz, &store, &format!("user:{n}"), "doc:1").await);
    }
    let left = [told(&authz, &store).await.1, told(&world.replayed().await, &store).await.1];
    assert_eq!(left[0].len(), 2);
    assert_eq!(left[0], left[1]);
}

fn filter(user: &str, relation: &str, object: &str) -> TupleFilter {
    let [user, relation, object] = [user, relation, object].map(str::to_owned);
    TupleFilter { user, relation, object }
}

/// What a filter admits, by definition.
fn admits(filter: &TupleFilter, tuple: &TupleKey) -> bool {
    let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let is_object = match filter.object.strip_suffix(':') {
        Some(_) => tuple.object.starts_with(&filter.object),
        None => is(&filter.object, &tuple.object),
    };
    is_object && is(&filter.relation, &tuple.relation) && is(&filter.user, &tuple.user)
}

#[tokio::test]
async fn a_filtered_read_finds_each_tuple_once_whatever_is_written_between_the_pages() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    let users = ["user:0", "user:1", "user:2", "user:*", "group:1#member"];
    let mut all = Vec::new();
    for n in 0..400 {
        all.push(tuple(users[n % 5], "viewer", &format!("doc:{}", n % 83)));
        all.push(tuple(users[n % 3], "owner", &format!("doc:{}", n % 17)));
        all.push(tuple(&format!("user:{n}"), "member", &format!("group:{}", n % 2)));
    }
    import(&authz, &store, all).await;
    let filters = [
        filter("", "", ""),
        filter("", "viewer", ""),
        filter("", "", "doc:"),
        filter("", "owner", "doc:"),
        filter("", "", "doc:5"),
        filter("", "viewer", "doc:5"),
        filter("user:1", "", ""),
        filter("user:*", "", ""),
        filter("group:1#member", "", "doc:"),
        filter("user:1", "", "doc:"),
        filter("user:2", "owner", "doc:"),
        filter("user:1", "owner", "doc:4"),
        filter("user:1", "nothing", "doc:4"),
        filter("user:nobody", "", ""),
        filter("nonsense", "", ""),
        filter("", "", "group:1"),
        filter("", "", "nonsense:"),
    ];
    for (round, filter) in filters.iter().enumerate() {
        let whole = read(&authz, &store, &TupleFilter::default(), 1_000).await;
        let expected: Vec<&TupleKey> = whole.iter().filter(|t| admits(filter, t)).collect();
        let key =
            |tuple: &TupleKey| (tuple.object.clone(), tuple.relation.clone(), tuple.user.clone());
        let sorted = |tuples: &[TupleKey]| {
            let mut keys: Vec<_> = tuples.iter().map(key).collect();
            keys.sort();
            keys
        };
        let expected = sorted(&expected.into_iter().cloned().collect::<Vec<_>>());
        for limit in [1, 3, 50, 5_000] {
            assert_eq!(sorted(&read(&authz, &store, filter, limit).await), expected, "{filter:?}");
        }
        // Between the pages: others come and go, and the last one of each page goes too.
        let (mut found, mut gone, mut token) = (Vec::new(), BTreeSet::new(), String::new());
        for n in 0.. {
            let page = authz.read(&store, filter, 5, &token).await.unwrap();
            found.extend(page.items.iter().map(key));
            let Some(next) = page.next else { break };
            token = next;
            let last = page.items.last().unwrap();
            delete(&authz, &store, last).await;
            gone.insert(key(last));
            let new = tuple("user:2", "viewer", &format!("doc:new-{round}-{n}"));
            write(&authz, &store, new).await;
        }
        let unique: BTreeSet<_> = found.iter().cloned().collect();
        assert_eq!(unique.len(), found.len(), "{filter:?}: a tuple came twice");
        assert!(expected.iter().all(|key| unique.contains(key)), "{filter:?}: a tuple is missing");
        for (object, relation, user) in gone {
            write(&authz, &store, tuple(&user, &relation, &object)).await;
        }
    }
    assert!(authz.read(&store, &filters[0], 5, "00ff").await.is_err());
    let never = serde_json::to_string(&("doc:never", "viewer", "user:never")).unwrap();
    let never: String = never.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert!(authz.read(&store, &filters[0], 5, &never).await.is_err());
}

#[test]
fn deletes_by_a_filter_are_what_it_finds() {
    let mut store = FgaStore::new();
    let tuples = [("user:1", "doc:1"), ("user:2", "doc:1"), ("user:1", "doc:2")];
    let changes = tuples.map(|(user, object)| Change::Write(tuple(user, "viewer", object)));
    store.apply(&changes).unwrap();
    let snapshot: Arc<Snapshot> = store.snapshot();
    let found: Vec<Change> = snapshot.deletes(&filter("user:1", "", "")).collect();
    let key = |user: &str, object: &str| {
        let [user, relation, object] = [user, "viewer", object].map(str::to_owned);
        Change::Delete(DeleteKey { user, relation, object })
    };
    assert_eq!(found, [key("user:1", "doc:1"), key("user:1", "doc:2")]);
}
