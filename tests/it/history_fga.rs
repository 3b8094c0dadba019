//! Long histories: a store of a hundred thousand tuples is written, deleted from, kept, saved and
//! read back, while readers hold on to the revisions they began with.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use behalf_fga::{
    AccessDiff, AuthorizationModel, Change, CheckRequest, FgaStore, History, ListObjectsRequest,
    RequestContext, Revision, Side, Snapshot, SnapshotError, StoreModel, TupleKey,
};

use crate::dice::Dice;

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, user:*, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define blocked: [user, group#member]
    define viewer: [user, group#member] or viewer from parent
    define can_read: viewer but not blocked
";
const TUPLES: usize = 100_000;
const WRITES: usize = 600;
const PER_WRITE: usize = 40;
/// Every so many revisions, what the store holds is kept as plain text.
const PIN: usize = 100;

type Key = (String, String, String);

impl Dice {
    fn name(&mut self, kind: &str) -> String {
        let bound = match kind {
            "user" => 2_000,
            "group" => 300,
            "folder" => 1_000,
            _ => 20_000,
        };
        format!("{kind}:{}", self.below(bound))
    }

    fn key(&mut self) -> Key {
        let (object, relation) = match self.below(10) {
            0 | 1 => (self.name("group"), "member"),
            2 => (self.name("folder"), "parent"),
            3 => (self.name("folder"), "viewer"),
            4 | 5 => (self.name("doc"), "parent"),
            6 => (self.name("doc"), "blocked"),
            _ => (self.name("doc"), "viewer"),
        };
        let user = match (relation, self.below(4)) {
            ("parent", _) => self.name("folder"),
            (_, 0) => self.name("group") + "#member",
            ("viewer", 1) if object.starts_with("folder") && self.below(200) == 0 => {
                "user:*".to_owned()
            }
            _ => self.name("user"),
        };
        (object, relation.to_owned(), user)
    }
}

/// What a store holds, by object and relation.
type Plain = BTreeMap<(String, String), BTreeSet<String>>;

/// The definition of the model above, without any cleverness.
fn has(plain: &Plain, user: &str, relation: &str, object: &str, seen: &mut BTreeSet<Key>) -> bool {
    if relation == "can_read" {
        return has(plain, user, "viewer", object, &mut BTreeSet::new())
            && !has(plain, user, "blocked", object, &mut BTreeSet::new());
    }
    if !seen.insert((object.to_owned(), relation.to_owned(), user.to_owned())) {
        return false;
    }
    let users =
        |relation: &str| plain.get(&(object.to_owned(), relation.to_owned())).into_iter().flatten();
    users(relation).any(|named| match named.split_once('#') {
        Some((group, member)) => has(plain, user, member, group, seen),
        None => named == user || named == "user:*",
    }) || relation == "viewer"
        && users("parent").any(|parent| has(plain, user, "viewer", parent, seen))
}

fn change(dice: &mut Dice, known: &mut Vec<Key>, plain: &mut Plain) -> Change {
    // As many deletes as writes, some of them of what is not there.
    let is_delete = dice.below(2) == 0 && !known.is_empty();
    let key = match is_delete && dice.below(10) > 0 {
        true => known.swap_remove(dice.below(known.len())),
        false => dice.key(),
    };
    let (object, relation, user) = key.clone();
    let tuple = TupleKey::new(&*user, &*relation, &*object);
    let users = plain.entry((object, relation)).or_default();
    if is_delete {
        users.remove(&user);
        Change::Delete(tuple.delete_key())
    } else {
        if users.insert(user) {
            known.push(key);
        }
        Change::Write(tuple)
    }
}

#[derive(Clone)]
struct Pinned {
    snapshot: Arc<Snapshot>,
    plain: Arc<Plain>,
}

/// Compares random questions with the definition, at one revision.
fn compare(model: &StoreModel, pinned: &Pinned, seed: u64, questions: usize) -> usize {
    let mut dice = Dice(seed);
    let mut allowed = 0;
    for _ in 0..questions {
        let (user, object) = (dice.name("user"), dice.name("doc"));
        let relation = ["viewer", "blocked", "can_read"][dice.below(3)];
        let request = RequestContext::default();
        let check = CheckRequest { user: &user, relation, object: &object, request };
        let expected = has(&pinned.plain, &user, relation, &object, &mut BTreeSet::new());
        let revision = pinned.snapshot.revision();
        let answer = pinned.snapshot.check(model, &check);
        assert_eq!(answer, Ok(expected), "seed {seed}: {check:?} at {revision:?}");
        allowed += usize::from(expected);
    }
    allowed
}

/// A store's history: the store, its model, every change, and what was pinned.
struct Told {
    store: FgaStore,
    model: Arc<StoreModel>,
    log: Vec<Vec<Change>>,
    history: History,
    pinned: Vec<Pinned>,
}

fn tell(seed: u64, writes: usize, mut after: impl FnMut(Pinned, Arc<StoreModel>)) -> Told {
    let mut dice = Dice(seed);
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL).unwrap()).unwrap();
    let (mut known, mut plain) = (Vec::new(), Plain::new());
    let mut log = Vec::new();
    let mut history = History::new(WRITES * 2, i64::MAX);
    let first: Vec<Change> = (0..TUPLES * 12 / 10)
        .map(|_| {
            let (object, relation, user) = dice.key();
            let tuple = TupleKey::new(&*user, &*relation, &*object);
            if plain.entry((object.clone(), relation.clone())).or_default().insert(user.clone()) {
                known.push((object, relation, user));
            }
            Change::Write(tuple)
        })
        .collect();
    let mut pinned = Vec::new();
    for number in 0..=writes {
        let changes = match number {
            0 => first.clone(),
            _ => (0..PER_WRITE).map(|_| change(&mut dice, &mut known, &mut plain)).collect(),
        };
        store.apply(&changes).unwrap();
        log.push(changes);
        history.push(store.snapshot(), i64::try_from(number).unwrap());
        if number % PIN == 0 {
            let pin = Pinned { snapshot: store.snapshot(), plain: Arc::new(plain.clone()) };
            after(pin.clone(), Arc::clone(&model));
            pinned.push(pin);
        }
    }
    assert!(store.snapshot().tuple_count() >= TUPLES, "{}", store.snapshot().tuple_count());
    Told { store, model, log, history, pinned }
}

/// What a change would give, looked at while the store is written to; the store never hears of it.
fn suppose(model: &StoreModel, pinned: &Pinned, seed: u64) {
    for n in 0..20 {
        let user = format!("user:supposed-{seed}-{n}");
        let tuple = TupleKey::new(&*user, "viewer", "doc:supposed");
        let after = pinned.snapshot.with_changes(&[Change::Write(tuple)]).unwrap();
        let side = |snapshot| Side { snapshot, model };
        let request = RequestContext::default();
        let list =
            ListObjectsRequest { user: &user, relation: "can_read", object_type: "doc", request };
        let diff = AccessDiff::of_objects(side(&pinned.snapshot), side(&after), &list).unwrap();
        assert_eq!((diff.gained, diff.lost), (vec!["doc:supposed".to_owned()], Vec::new()));
    }
}

#[test]
fn readers_of_a_revision_see_it_whatever_is_written_meanwhile() {
    let allowed = AtomicUsize::new(0);
    let allowed = &allowed;
    let told = std::thread::scope(|scope| {
        tell(1, WRITES, |pin, model| {
            scope.spawn(move || {
                let seed = pin.snapshot.revision().0;
                suppose(&model, &pin, seed);
                allowed.fetch_add(compare(&model, &pin, seed, 200), Ordering::Relaxed);
            });
        })
    });
    // And again at the end, when all that was written since is there.
    for pin in &told.pinned {
        let revision = pin.snapshot.revision();
        let snapshot = Arc::clone(told.history.find(revision).unwrap());
        let pin = Pinned { snapshot, plain: Arc::clone(&pin.plain) };
        allowed.fetch_add(compare(&told.model, &pin, revision.0 + 7, 200), Ordering::Relaxed);
    }
    let head = told.store.snapshot();
    assert!(head.tuples().all(|tuple| !tuple.user.contains("supposed")));
    assert_eq!(told.history.find(Revision(head.revision().0 + 1)).map(|s| s.revision()), None);
    assert!(allowed.load(Ordering::Relaxed) > 50);
}

#[test]
fn a_snapshot_and_the_changes_after_it_are_the_whole_history() {
    let told = tell(2, 200, |_, _| ());
    let whole = told.store.snapshot().encode("store");
    for pin in &told.pinned {
        let bytes = pin.snapshot.encode("store");
        let mut store = FgaStore::from_snapshot(Snapshot::decode(&bytes, "store").unwrap());
        let model = store.add_model(told.model.model().clone()).unwrap();
        let revision = store.snapshot().revision();
        assert_eq!(revision, pin.snapshot.revision());
        let again = Pinned { snapshot: store.snapshot(), plain: Arc::clone(&pin.plain) };
        compare(&model, &again, revision.0 + 3, 100);
        for changes in told.log.iter().skip(usize::try_from(revision.0).unwrap()) {
            store.apply(changes).unwrap();
        }
        assert!(store.snapshot().encode("store") == whole, "from {revision:?} on");
        // A model of the old store is not one of this.
        let request = RequestContext::default();
        let check = CheckRequest { user: "user:1", relation: "viewer", object: "doc:1", request };
        assert!(store.snapshot().check(&told.model, &check).is_err());
    }
}

#[test]
fn a_damaged_snapshot_or_one_of_another_store_is_refused() {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL).unwrap()).unwrap();
    let mut dice = Dice(3);
    let tuples = (0..300).map(|_| dice.key());
    let changes: Vec<Change> =
        tuples.map(|(o, r, u)| Change::Write(TupleKey::new(u, r, o))).collect();
    store.apply(&changes).unwrap();
    let bytes = store.snapshot().encode("store");
    assert!(Snapshot::decode(&bytes, "store").is_ok());
    let refused = |bytes: &[u8], store_id| Snapshot::decode(bytes, store_id).err();
    assert_eq!(refused(&bytes, "other"), Some(SnapshotError::AnotherStore));
    for end in 0..bytes.len() {
        assert!(refused(&bytes[..end], "store").is_some(), "cut off at {end}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(refused(&changed, "store").is_some(), "changed at {at}");
    }
    let mut newer = bytes.clone();
    newer[8] = 9;
    assert_eq!(refused(&newer, "store"), Some(SnapshotError::Format(9)));
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(refused(&longer, "store"), Some(SnapshotError::Damaged));
    assert_eq!(refused(b"PK\x03\x04", "store"), Some(SnapshotError::NotASnapshot));
    drop(model);
}
