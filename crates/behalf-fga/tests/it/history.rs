//! Long histories: a store of a hundred thousand tuples is written, deleted from, kept, saved and
//! read back, while readers hold on to the revisions they began with.
#![expect(clippy::print_stdout, reason = "how long the history was is worth reading")]

pub(crate) mod plain;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use behalf_fga::{
    AccessDiff, AuthorizationModel, Change, CheckRequest, FgaStore, History, ListObjectsRequest,
    RequestContext, Revision, Side, Snapshot, SnapshotError, StoreModel, TupleKey,
};

use crate::dice::{Dice, number};
use plain::{Key, MODEL, Plain, Question};

const TUPLES: usize = 100_000;
/// `BEHALF_HISTORY_WRITES` asks for more, `BEHALF_SEED` for others.
const WRITES: u64 = 600;
const PER_WRITE: usize = 40;
/// So many times on the way, what the store holds is kept as plain text.
const PINS: u64 = 6;

fn change(dice: &mut Dice, known: &mut Vec<Key>, plain: &mut Plain) -> Change {
    // As many deletes as writes, some of them of what is not there.
    let is_delete = dice.below(2) == 0 && !known.is_empty();
    let key = match is_delete && dice.below(10) > 0 {
        true => known.swap_remove(dice.below(known.len())),
        false => dice.key(),
    };
    let (object, relation, user) = &key;
    let tuple = TupleKey::new(user, relation, object);
    let change = match is_delete {
        true => Change::Delete(tuple.delete_key()),
        false => Change::Write(tuple),
    };
    if plain.apply(&change) && !is_delete {
        known.push(key);
    }
    change
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
        let question = Question::random(&mut dice);
        let Question { user, relation, object } = &question;
        let request = RequestContext::default();
        let check = CheckRequest { user, relation, object, request };
        let expected = pinned.plain.answer(&question);
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
    /// What it holds at its end.
    plain: Plain,
}

fn tell(seed: u64, writes: u64, mut after: impl FnMut(Pinned, Arc<StoreModel>)) -> Told {
    let mut dice = Dice(seed);
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL).unwrap()).unwrap();
    let (mut known, mut plain) = (Vec::new(), Plain::default());
    let mut log = Vec::new();
    let mut history = History::new(usize::try_from(writes).unwrap() + 1, i64::MAX);
    let first: Vec<Change> = (0..TUPLES * 12 / 10)
        .map(|_| {
            let (object, relation, user) = dice.key();
            let change = Change::Write(TupleKey::new(&*user, &*relation, &*object));
            if plain.apply(&change) {
                known.push((object, relation, user));
            }
            change
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
        if number.is_multiple_of(100) {
            println!("progress: engine's history {number} of {writes}");
        }
        if number.is_multiple_of((writes / PINS).max(1)) {
            let pin = Pinned { snapshot: store.snapshot(), plain: Arc::new(plain.clone()) };
            after(pin.clone(), Arc::clone(&model));
            pinned.push(pin);
        }
    }
    assert!(store.snapshot().tuple_count() >= TUPLES, "{}", store.snapshot().tuple_count());
    Told { store, model, log, history, pinned, plain }
}

/// What a change would give, looked at while the store is written to; the store never hears of it.
fn suppose(model: &StoreModel, pinned: &Pinned, seed: u64) {
    for n in 0..3 {
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
        tell(number("BEHALF_SEED", 1), number("BEHALF_HISTORY_WRITES", WRITES), |pin, model| {
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
    // Nothing of what was only supposed is there either.
    told.plain.check_tuples(&head);
    assert_eq!(told.history.find(Revision(head.revision().0 + 1)).map(|s| s.revision()), None);
    let allowed = allowed.load(Ordering::Relaxed);
    println!(
        "history: {} writes to {} tuples, {} versions pinned, {allowed} answers were \"allowed\"",
        told.log.len(),
        head.tuple_count(),
        told.pinned.len(),
    );
    assert!(allowed > 50, "the questions say too little: {allowed}");
}

#[test]
fn a_snapshot_and_the_changes_after_it_are_the_whole_history() {
    let writes = number("BEHALF_HISTORY_WRITES", WRITES) / 3;
    let told = tell(number("BEHALF_SEED", 1) + 1, writes, |_, _| ());
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
        let list = ListObjectsRequest {
            user: "user:1",
            relation: "can_read",
            object_type: "doc",
            request: RequestContext::default(),
        };
        let listed = store.snapshot().list_objects(&model, &list).unwrap();
        told.plain.check_list("user:1", &listed, &mut Dice(revision.0));
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
