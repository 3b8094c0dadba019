//! A long history through the service and a real database: several writers at once, readers that
//! hold on to a revision, restarts in between. Every answer is compared with the plain definition
//! over what had been written by its revision.
#![expect(clippy::print_stdout, reason = "how long the history was is worth reading")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use behalf_authz::{At, Authz, AuthzParts, Query};
use behalf_core::{Actor, DangerousSeededRng, ManualClock, TenantId, Timestamp};
use behalf_fga::{
    AuthorizationModel, Change, CheckRequest, Limits, ListObjectsRequest, MAX_TUPLES_PER_WRITE,
    OnConflict, RequestContext, TupleKey, WriteRequest,
};
use behalf_store::{SqliteOptions, Storage};

use crate::dice::{Dice, number};
use crate::plain::{MODEL, Plain, Question};

const TUPLES: usize = 100_000;
const WRITERS: u64 = 4;
/// After the tuples are there, of all writers; `BEHALF_HISTORY_WRITES` asks for more, `BEHALF_SEED`
/// for others.
const WRITES: u64 = 600;
const STARTS: u64 = 3;
/// Questions asked of one version.
const QUESTIONS: usize = 15;

/// The service over the database in `dir`, as a process has it from its start to its end.
struct Life {
    storage: Storage,
    authz: Authz,
}

impl Life {
    async fn start(dir: &Path, number: u64) -> Self {
        let now = Timestamp::from_secs(1);
        let storage = Storage::open_sqlite(dir, SqliteOptions::default(), now).unwrap();
        let parts = AuthzParts {
            storage: storage.clone(),
            clock: Arc::new(ManualClock::new(now)),
            rng: Arc::new(DangerousSeededRng::new(number)),
            tenant: TenantId::default_tenant(),
            snapshots: Some(dir.join("fga")),
            memory_bytes: 1 << 30,
            limits: Limits::default(),
        };
        Self { storage, authz: Authz::open(parts).await.unwrap() }
    }

    /// Ends as a server does that is told to, with a snapshot file, or as one that is killed.
    async fn end(self, is_orderly: bool) {
        if is_orderly {
            self.authz.close().await;
        }
        drop(self.authz);
        self.storage.close().await;
    }
}

/// What was acknowledged, and what was answered.
#[derive(Default)]
struct Told {
    /// The changes of each revision.
    log: Mutex<BTreeMap<u64, Vec<Change>>>,
    /// Of each revision, questions and their answers.
    answers: Mutex<BTreeMap<u64, Vec<(Question, bool)>>>,
    /// The newest revision that was acknowledged.
    head: AtomicU64,
}

impl Told {
    fn written(&self, revision: u64, changes: Vec<Change>) {
        let before = self.log.lock().unwrap().insert(revision, changes);
        assert!(before.is_none(), "revision {revision} was given twice");
        self.head.fetch_max(revision, Ordering::SeqCst);
    }

    /// A question about a tuple of a write around `revision`.
    fn near(&self, revision: u64, dice: &mut Dice) -> Option<Question> {
        let wanted = (revision + 2).saturating_sub(u64::try_from(dice.below(5)).unwrap());
        let log = self.log.lock().unwrap();
        let changes = log.get(&wanted)?;
        let (object, relation, user) = match &changes[dice.below(changes.len())] {
            Change::Write(tuple) => (&tuple.object, &tuple.relation, &tuple.user),
            Change::Delete(key) => (&key.object, &key.relation, &key.user),
        };
        let relation = ["viewer", "blocked"].into_iter().find(|known| known == relation)?;
        let is_user = user.starts_with("user:") && object.starts_with("doc:");
        is_user.then(|| Question { user: user.clone(), relation, object: object.clone() })
    }

    fn ask(&self, at: &At, dice: &mut Dice) {
        let mut asked = Vec::new();
        for n in 0..QUESTIONS {
            // Half of them about what was written just before or after: a neighbour's answer.
            let near = (n % 2 == 0).then(|| self.near(at.revision(), dice)).flatten();
            let question = near.unwrap_or_else(|| Question::random(dice));
            let Question { user, relation, object } = &question;
            let request = RequestContext::default();
            let answer = at.check(&CheckRequest { user, relation, object, request }).unwrap();
            asked.push((question, answer));
        }
        self.answers.lock().unwrap().entry(at.revision()).or_default().extend(asked);
    }
}

/// A write of random tuples and deletes, one of which nobody else writes, so that it is never empty.
fn random_write(dice: &mut Dice, own: TupleKey, known: &mut Vec<TupleKey>) -> WriteRequest {
    let (mut seen, mut deletes) = (BTreeSet::new(), Vec::new());
    let mut writes = vec![own];
    for _ in 0..40 {
        let (object, relation, user) = dice.key();
        let tuple = match dice.below(3) {
            0 if !known.is_empty() => known.swap_remove(dice.below(known.len())),
            _ => TupleKey::new(user, relation, object),
        };
        let is_delete = dice.below(2) == 0;
        if seen.insert(tuple.delete_key()) {
            match is_delete {
                true => deletes.push(tuple.delete_key()),
                false => {
                    known.push(tuple.clone());
                    writes.push(tuple);
                }
            }
        }
    }
    let (on_duplicate, on_missing) = (OnConflict::Ignore, OnConflict::Ignore);
    WriteRequest { writes, deletes, on_duplicate, on_missing, ..WriteRequest::default() }
}

async fn write(authz: Authz, store: String, told: Arc<Told>, life: u64, writer: u64) {
    let mut dice = Dice(number("BEHALF_SEED", 1) * 10_000 + life * 100 + writer);
    let mut known = Vec::new();
    let writes = number("BEHALF_HISTORY_WRITES", WRITES) / WRITERS / STARTS;
    for n in 0..writes {
        if writer == 0 && n.is_multiple_of(20) {
            let (done, all) = (writes * (life - 1) + n, writes * STARTS);
            println!("progress: writes of the service's first writer {done} of {all}");
        }
        let own = TupleKey::new(
            format!("user:{}", dice.below(2_000)),
            "viewer",
            format!("doc:{life}-{writer}-{n}"),
        );
        let request = random_write(&mut dice, own, &mut known);
        let revision = authz.write(&store, None, &request, &Actor::System).await.unwrap();
        let deletes = request.deletes.into_iter().map(Change::Delete);
        let changes = deletes.chain(request.writes.into_iter().map(Change::Write)).collect();
        told.written(u64::try_from(revision).unwrap(), changes);
    }
}

/// Asks the newest version and older ones, those of this start, until the writers are done; what it
/// saw first it sees to the end.
async fn read(authz: Authz, store: String, told: Arc<Told>, done: Arc<AtomicBool>, seed: u64) {
    let mut dice = Dice(seed);
    let query = Query { store_id: &store, model_id: None };
    let first = told.head.load(Ordering::SeqCst);
    let pinned = authz.at_revision(query, first).await.unwrap();
    while !done.load(Ordering::SeqCst) {
        let head = told.head.load(Ordering::SeqCst);
        let back = u64::try_from(dice.below(100)).unwrap();
        let wanted = head.saturating_sub(back).max(first);
        let past = authz.at_revision(query, wanted).await.unwrap();
        assert_eq!((past.revision(), pinned.revision()), (wanted, first));
        let newest = authz.at(query).await.unwrap();
        assert!(newest.revision() >= head, "an acknowledged write is not seen");
        for at in [&past, &newest, &pinned] {
            told.ask(at, &mut dice);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    told.ask(&pinned, &mut dice);
}

async fn import(authz: Authz, store: String, told: Arc<Told>, writer: u64) {
    let mut dice = Dice(writer + 1_000);
    let mut left = TUPLES * 11 / 10 / usize::try_from(WRITERS).unwrap();
    let mut n = 0;
    while left > 0 {
        let own = TupleKey::new("user:0", "viewer", format!("doc:imported-{writer}-{n}"));
        let mut seen = BTreeSet::from([own.delete_key()]);
        let mut tuples = vec![own];
        while tuples.len() < MAX_TUPLES_PER_WRITE {
            let (object, relation, user) = dice.key();
            let tuple = TupleKey::new(user, relation, object);
            if seen.insert(tuple.delete_key()) {
                tuples.push(tuple);
            }
        }
        let changes = tuples.iter().cloned().map(Change::Write).collect();
        let author = (&Actor::System).into();
        let (_, revision) = authz.import(&store, tuples, author).await.unwrap();
        told.written(revision, changes);
        left = left.saturating_sub(MAX_TUPLES_PER_WRITE);
        n += 1;
    }
}

/// Goes through the history from its beginning and compares every answer that was given.
fn compare(told: &Told) -> (usize, usize, Plain) {
    let (log, answers) = (told.log.lock().unwrap(), told.answers.lock().unwrap());
    let revisions: Vec<u64> = log.keys().copied().collect();
    assert!(revisions.iter().copied().eq(1..=log.len() as u64), "revisions have gaps");
    let (mut plain, mut asked, mut allowed) = (Plain::default(), 0, 0);
    for (revision, changes) in &*log {
        for change in changes {
            plain.apply(change);
        }
        for (question, answer) in answers.get(revision).into_iter().flatten() {
            assert_eq!(*answer, plain.answer(question), "{question:?} at {revision}");
            asked += 1;
            allowed += usize::from(*answer);
        }
    }
    (asked, allowed, plain)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_history_with_restarts_is_answered_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Told::default());
    let life = Life::start(dir.path(), 0).await;
    let store = life.authz.create_store("history", &Actor::System).await.unwrap().id;
    let model = AuthorizationModel::validate_dsl(MODEL).unwrap();
    life.authz.write_model(&store, model, &Actor::System).await.unwrap();
    let mut importers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        importers.spawn(import(life.authz.clone(), store.clone(), Arc::clone(&told), writer));
    }
    importers.join_all().await;
    life.end(true).await;

    for number in 1..=STARTS {
        let life = Life::start(dir.path(), number).await;
        let query = Query { store_id: &store, model_id: None };
        let started = life.authz.at(query).await.unwrap();
        assert_eq!(started.revision(), told.head.load(Ordering::SeqCst));
        assert!(started.snapshot().tuple_count() >= TUPLES);
        // Versions from before this start are made again from the log.
        let mut dice = Dice(number);
        let past = started.revision() - u64::try_from(dice.below(200)).unwrap();
        told.ask(&life.authz.at_revision(query, past).await.unwrap(), &mut dice);
        let done = Arc::new(AtomicBool::new(false));
        let mut readers = tokio::task::JoinSet::new();
        for reader in 0..2 {
            let (authz, told, done) = (life.authz.clone(), Arc::clone(&told), Arc::clone(&done));
            readers.spawn(read(authz, store.clone(), told, done, number * 10 + reader));
        }
        let mut writers = tokio::task::JoinSet::new();
        for writer in 0..WRITERS {
            let (authz, told) = (life.authz.clone(), Arc::clone(&told));
            writers.spawn(write(authz, store.clone(), told, number, writer));
        }
        writers.join_all().await;
        done.store(true, Ordering::SeqCst);
        readers.join_all().await;
        told.ask(&life.authz.at(query).await.unwrap(), &mut dice);
        // Every other time the next start finds an older file, and more of the log to read.
        life.end(number % 2 == 0).await;
    }

    let (answers, allowed, plain) = compare(&told);
    let writes = told.head.load(Ordering::SeqCst);
    println!(
        "history: {writes} writes by {WRITERS} writers, {STARTS} restarts, {answers} answers, {allowed} \
         of them \"allowed\""
    );
    assert!(allowed > 30, "the questions say too little: {allowed}");
    // And the last version is what was written, to the tuple, and its lists are complete.
    let life = Life::start(dir.path(), 99).await;
    assert!(dir.path().join(format!("fga/default/{store}.snapshot")).exists());
    let at = life.authz.at(Query { store_id: &store, model_id: None }).await.unwrap();
    plain.check_tuples(at.snapshot());
    for user in ["user:1", "user:1000", "user:absent"] {
        let request = RequestContext::default();
        let list = ListObjectsRequest { user, relation: "can_read", object_type: "doc", request };
        plain.check_list(user, &at.list_objects(&list).unwrap(), &mut Dice(1));
    }
    life.end(true).await;
}
