//! When tuples were written, and how the store was long ago: what files say of it is what the log
//! says, and the log is not read again for what a file has.

use std::collections::BTreeMap;
use std::time::Duration;

use behalf_authz::{TableFilter, Written};
use behalf_store::{Statement, UnitOfWork};

use super::*;

/// More writes than are read at once.
const WRITES: usize = 230;

/// A store with a history of tuples that were written, deleted and written anew, a second apart,
/// after some other writes.
async fn history(world: &World, others: usize) -> String {
    let authz = world.open().await;
    let store = store(&authz).await;
    for n in 0..others {
        world.clock.advance(Duration::from_secs(1));
        write(&authz, &store, tuple("user:3", "owner", &format!("doc:{n}"))).await;
    }
    for n in 0..WRITES {
        world.clock.advance(Duration::from_secs(1));
        let of =
            |n: usize| tuple(&format!("user:{}", n % 60), "viewer", &format!("doc:{}", n % 60));
        match n {
            0..60 => write(&authz, &store, of(n)).await,
            60..120 if n % 3 == 0 => delete(&authz, &store, &of(n)).await,
            60..120 => write(&authz, &store, tuple("user:1", "owner", &format!("doc:{n}"))).await,
            120..180 if n % 6 == 0 => write(&authz, &store, of(n)).await,
            _ => write(&authz, &store, tuple("user:2", "owner", &format!("doc:{n}"))).await,
        }
    }
    times(&authz, &store).await;
    authz.close().await;
    store
}

/// The time of each tuple's writing, by its key; the table says the same.
async fn times(authz: &Authz, store: &str) -> BTreeMap<(String, String, String), Timestamp> {
    let filter = TupleFilter::default();
    let (page, _) = authz.read_with_times(store, &filter, 1_000, "").await.unwrap();
    let key = |tuple: &TupleKey| (tuple.user.clone(), tuple.relation.clone(), tuple.object.clone());
    let times: BTreeMap<_, _> = page.items.iter().map(|(of, at)| (key(of), *at)).collect();
    let table = authz.tuple_table(store, &TableFilter::default(), 1_000, "").await.unwrap();
    let written = |written: &Option<Written>| written.as_ref().map(|written| written.at);
    let of_table: BTreeMap<_, _> =
        table.rows.iter().map(|row| (key(&row.tuple), written(&row.written))).collect();
    let expected: BTreeMap<_, _> = times.iter().map(|(key, at)| (key.clone(), Some(*at))).collect();
    assert_eq!(of_table, expected);
    times
}

/// Makes the first writes of the log unreadable.
async fn spoil_log(world: &World, until: usize) {
    let mut unit = UnitOfWork::new(START, &SystemRng);
    let sql = "UPDATE fga_log SET changes = 'spoiled' WHERE revision <= $1";
    unit.add(Statement::new(sql).bind(i64::try_from(until).unwrap()));
    world.storage.commit(unit).await.unwrap();
}

#[tokio::test]
async fn times_come_from_the_file_and_the_log_behind_it() {
    let world = World::new();
    let store = history(&world, 0).await;
    let before = times(&world.replayed().await, &store).await;
    let unique: BTreeSet<_> = before.values().collect();
    assert_eq!(unique.len(), before.len(), "each was written by its own write");
    // Behind the file: one is new, one is written anew, one is gone.
    let authz = world.open().await;
    world.clock.advance(Duration::from_secs(1));
    let (known, new) = (tuple("user:1", "viewer", "doc:1"), tuple("user:1", "viewer", "doc:new"));
    write(&authz, &store, new.clone()).await;
    delete(&authz, &store, &known).await;
    delete(&authz, &store, &tuple("user:2", "viewer", "doc:2")).await;
    world.clock.advance(Duration::from_secs(1));
    write(&authz, &store, known.clone()).await;
    drop(authz);
    let expected = times(&world.replayed().await, &store).await;
    assert_ne!(expected, before);
    spoil_log(&world, WRITES).await;
    let restarted = world.open().await;
    assert_eq!(times(&restarted, &store).await, expected);
    // And so from a file that was made of the file before it.
    restarted.close().await;
    spoil_log(&world, WRITES + 4).await;
    assert_eq!(times(&world.open().await, &store).await, expected);
}

#[tokio::test]
async fn a_file_of_times_that_is_damaged_or_anothers_is_not_believed() {
    let world = World::new();
    let store = history(&world, 0).await;
    let file = world.file(&store).with_extension("times");
    let whole = std::fs::read(&file).unwrap();
    let expected = times(&world.replayed().await, &store).await;
    let cuts = (0..whole.len()).step_by(97).map(|end| whole[..end].to_vec());
    let flips = (0..whole.len()).step_by(89).map(|at| {
        let mut changed = whole.clone();
        changed[at] ^= 1 << (at % 8);
        changed
    });
    let longer = [whole.as_slice(), &[0]].concat();
    for bytes in cuts.chain(flips).chain([longer]) {
        std::fs::write(&file, &bytes).unwrap();
        assert_eq!(times(&world.open().await, &store).await, expected);
    }
    // Of a store that had another log: the other's revisions would be other times.
    let other = World::new();
    let theirs = history(&other, 5).await;
    std::fs::write(other.file(&theirs).with_extension("times"), &whole).unwrap();
    let expected = times(&other.replayed().await, &theirs).await;
    assert_eq!(times(&other.open().await, &theirs).await, expected);
    // It goes with its store.
    let authz = world.open().await;
    times(&authz, &store).await;
    authz.delete_store(&store, &ACTOR).await.unwrap();
    assert!(!file.exists() && !world.file(&store).exists());
}

#[tokio::test]
async fn the_past_is_made_again_from_the_nearest_version_before() {
    let world = World::new();
    let store = history(&world, 0).await;
    let authz = world.open().await;
    for n in 0..20 {
        write(&authz, &store, tuple("user:late", "viewer", &format!("doc:late-{n}"))).await;
    }
    drop(authz);
    let has = async |authz: &Authz, revision: usize| {
        let query = Query { store_id: &store, model_id: None };
        let at = authz.at_revision(query, revision as u64).await.map_err(|e| e.to_string())?;
        assert_eq!(at.revision(), revision as u64);
        Ok::<_, String>(at.snapshot().tuple_count())
    };
    let replayed = world.replayed().await;
    let mut expected = BTreeMap::new();
    for revision in [WRITES + 9, 3, 130, 131, 2, WRITES + 1, WRITES] {
        expected.insert(revision, has(&replayed, revision).await.unwrap());
    }
    let authz = world.open().await;
    for (revision, count) in &expected {
        assert_eq!(has(&authz, *revision).await.unwrap(), *count, "{revision}");
    }
    // What the file has need not be read again, and what lies before it must be.
    spoil_log(&world, WRITES).await;
    let authz = world.open().await;
    for revision in [WRITES, WRITES + 9, WRITES + 1] {
        assert_eq!(has(&authz, revision).await.unwrap(), expected[&revision], "{revision}");
    }
    let error = has(&authz, 130).await.unwrap_err();
    assert!(error.contains("corrupt"), "{error}");
}
