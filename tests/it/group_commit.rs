//! Writes to one store that arrive together share a commit: each is acknowledged when it is durable
//! and seen, and what was planned on one that failed is planned again.

use std::collections::BTreeSet;

use behalf_authz::engine::{OnConflict, TupleKey, WriteRequest};
use behalf_authz::{Authz, AuthzError, ChangesQuery};
use futures_util::future::join_all;

use crate::fga_snapshots::{ACTOR, World, check, database, open, store, told, tuple};

const PLENTY: u64 = 1 << 30;

async fn write(authz: &Authz, store: &str, key: TupleKey) -> Result<i64, AuthzError> {
    let request = WriteRequest { writes: vec![key], ..WriteRequest::default() };
    authz.write(store, None, &request, &ACTOR).await
}

/// The same tuple, there already or not.
async fn ensure(authz: &Authz, store: &str, key: TupleKey) -> Result<i64, AuthzError> {
    let request = WriteRequest {
        writes: vec![key],
        on_duplicate: OnConflict::Ignore,
        ..WriteRequest::default()
    };
    authz.write(store, None, &request, &ACTOR).await
}

fn numbered(number: usize) -> TupleKey {
    tuple("user:ann", "viewer", &format!("doc:{number}"))
}

#[tokio::test]
async fn writes_that_arrive_together_share_commits_and_each_has_a_revision() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    let before = world.storage.version().unwrap();
    let writes = (0..250).map(|number| {
        let (authz, store) = (&authz, &store);
        async move {
            let revision = write(authz, store, numbered(number)).await.unwrap();
            assert!(check(authz, store, "user:ann", &format!("doc:{number}")).await, "{number}");
            revision
        }
    });
    let revisions: BTreeSet<i64> = join_all(writes).await.into_iter().collect();
    assert_eq!(revisions, (1..=250).collect(), "a revision each");
    let commits = world.storage.version().unwrap() - before;
    assert!(commits <= 10, "{commits} commits for 250 writes");
    assert_eq!(told(&authz, &store).await, told(&world.replayed().await, &store).await);
    let query = ChangesQuery { size: 300, ..ChangesQuery::default() };
    let changes = authz.read_changes(&store, query).await.unwrap().items;
    let transactions: BTreeSet<_> = changes.iter().map(|change| change.txn.as_str()).collect();
    assert_eq!(transactions.len(), 250, "a transaction each");
}

/// Another process writes to the database, as no other may: the groups planned before do not fit.
#[tokio::test]
async fn what_was_planned_on_a_commit_that_failed_is_planned_again() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    write(&authz, &store, numbered(1_000)).await.unwrap();
    let other = open(&database(world.folder.path()), None, PLENTY).await;
    for round in 0..5 {
        write(&other, &store, numbered(2_000 + round)).await.unwrap();
        let numbers = round * 50..(round + 1) * 50;
        let writes = numbers.map(|number| write(&authz, &store, numbered(number)));
        for written in join_all(writes).await {
            written.unwrap();
        }
        let (revision, tuples) = told(&authz, &store).await;
        let expected = (round + 1) * 51 + 1;
        assert_eq!((revision, tuples.len()), (expected as u64, expected));
        assert_eq!(told(&world.replayed().await, &store).await, (revision, tuples));
    }
}

#[tokio::test]
async fn nothing_to_do_is_said_of_what_is_stored() {
    let world = World::new();
    let authz = world.open().await;
    let store = store(&authz).await;
    let other = open(&database(world.folder.path()), None, PLENTY).await;
    // The first commit fails, so those who found its tuple there must not have believed it.
    write(&other, &store, numbered(1)).await.unwrap();
    let writes = (0..20).map(|_| ensure(&authz, &store, numbered(0)));
    let revisions: BTreeSet<i64> =
        join_all(writes).await.into_iter().map(|written| written.unwrap()).collect();
    assert_eq!(revisions, BTreeSet::from([2]), "one of them wrote it");
    assert_eq!(told(&authz, &store).await, told(&world.replayed().await, &store).await);
    // A refusal, too: of twenty who write the same, one does.
    let writes = (0..20).map(|_| write(&authz, &store, numbered(2)));
    let written = join_all(writes).await;
    assert_eq!(written.iter().filter(|written| written.is_ok()).count(), 1);
    assert_eq!(told(&authz, &store).await.0, 3);
}
