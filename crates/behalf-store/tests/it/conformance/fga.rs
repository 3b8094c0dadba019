//! Authorization stores: a log without gaps, and a head that says whether a reader's past is this
//! log's.

use behalf_store::{Statement, Storage, fga};

use super::{at, race, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    a_log_has_no_gaps_and_its_head_knows_each_commit(storage).await;
    versions_of_a_model_know_their_author(storage).await;
    assertions_are_swapped_once(storage).await;
}

async fn assertions_are_swapped_once(storage: &Storage) {
    let tenant = tenant("fga-assertions");
    let place = ("store", "model");
    for (before, round) in [(None, 1), (Some("[1]"), 2), (Some("[2]"), 3)] {
        let after = format!("[{round}]");
        let swapped = race(storage, 8, "assertions changed", |_| {
            vec![fga::swap_assertions(&tenant, place, before, &after, at(round))]
        });
        assert_eq!(swapped.await, 1, "round {round}");
        let stored = fga::find_assertions(storage, &tenant, "store", "model").await.unwrap();
        assert_eq!(stored, Some(after));
    }
}

fn row(revision: i64, txn: &str) -> fga::FgaLogRow {
    fga::FgaLogRow {
        revision,
        changes: "[]".to_owned(),
        actor: "{}".to_owned(),
        reason: String::new(),
        txn: txn.to_owned(),
        at: at(1),
    }
}

async fn a_log_has_no_gaps_and_its_head_knows_each_commit(storage: &Storage) {
    let tenant = tenant("fga-log");
    let mut create = unit(9_100);
    create.add(fga::insert_store(
        &tenant,
        &fga::FgaStoreRow {
            store_id: "store".to_owned(),
            name: "documents".to_owned(),
            subject: "sub".to_owned(),
            semantics: "v1".to_owned(),
            revision: 0,
            created_at: at(7),
            updated_at: at(7),
        },
    ));
    storage.commit(create).await.unwrap();
    let head = async |seen| fga::find_head(storage, &tenant, "store", seen).await.unwrap().unwrap();
    assert_eq!(head(0).await.seen_txn, "", "nothing was written yet");

    // A setting is seen by whoever looks at the head, and touches nothing else.
    let mut set = unit(9_102);
    set.add(fga::set_semantics(&tenant, "store", "v2"));
    storage.commit(set).await.unwrap();
    let read = fga::find_store(storage, &tenant, "store").await.unwrap().unwrap();
    assert_eq!((read.semantics.as_str(), read.revision, read.updated_at), ("v2", 0, at(7)));
    assert_eq!(head(0).await.semantics, "v2");
    let mut missing = unit(9_103);
    missing.add(fga::set_semantics(&tenant, "other", "v2"));
    assert!(storage.commit(missing).await.is_err_and(|error| error.is_conflict("store is gone")));

    // Of many who write behind the same revision, one does.
    for revision in 1..=3 {
        let appended = race(storage, 8, "store moved", |n| {
            fga::append_log(&tenant, "store", &row(revision, &format!("{revision}-{n}"))).to_vec()
        });
        assert_eq!(appended.await, 1);
    }
    assert_eq!(
        race(storage, 1, "store moved", |_| {
            fga::append_log(&tenant, "store", &row(5, "gap")).to_vec()
        })
        .await,
        0
    );

    let log = fga::list_log(storage, &tenant, "store", 0, 10).await.unwrap();
    assert_eq!(log.iter().map(|row| row.revision).collect::<Vec<_>>(), [1, 2, 3]);
    for row in &log {
        let revision = row.revision;
        let seen = head(revision).await;
        assert_eq!((seen.revision, seen.created_at, seen.model), (3, at(7), 0));
        assert_eq!(seen.seen_txn, row.txn);
        let txn = fga::find_log_txn(storage, &tenant, "store", revision).await.unwrap();
        assert_eq!(txn.as_deref(), Some(row.txn.as_str()));
    }
    let writes = async |revisions: &[i64]| {
        fga::list_writes(storage, &tenant, "store", revisions).await.unwrap()
    };
    let found = writes(&[3, 9, 1, -1]).await;
    assert_eq!(found.iter().map(|row| row.revision).collect::<Vec<_>>(), [1, 3]);
    for row in &found {
        let of_log = log.iter().find(|of| of.revision == row.revision).unwrap();
        let expected = (&of_log.actor, &of_log.reason, of_log.at);
        assert_eq!((&row.actor, &row.reason, row.at), expected);
    }
    assert_eq!(writes(&[]).await, []);
    for other in [0, 4, -1] {
        assert_eq!(head(other).await.seen_txn, "", "the log has no revision {other}");
        assert_eq!(fga::find_log_txn(storage, &tenant, "store", other).await.unwrap(), None);
    }
    assert_eq!(fga::find_head(storage, &tenant, "another", 1).await.unwrap(), None);
}

async fn versions_of_a_model_know_their_author(storage: &Storage) {
    let tenant = tenant("models");
    let model = |number: i64| fga::FgaModelRow {
        number,
        model_id: format!("model-{number}"),
        model: "{}".to_owned(),
    };
    let mut write = unit(3_400);
    let by = ("{\"kind\":\"system\"}", "because 'x' — é", "# é\nmodel\n");
    write.add(fga::insert_model(&tenant, "store", &model(2), by, at(7)));
    // As a server before these columns writes it.
    write.add(
        Statement::new(
            "INSERT INTO fga_models (tenant_id, store_id, number, model_id, model, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(&tenant)
        .bind("store")
        .bind(1_i64)
        .bind("model-1")
        .bind("{}")
        .bind(at(6)),
    );
    storage.commit(write).await.unwrap();
    for (id, expected) in [("model-2", 1), ("model-1", 0), ("model-3", 0)] {
        let required = race(storage, 1, "model replaced", |_| {
            vec![fga::require_latest_model(&tenant, "store", id)]
        });
        assert_eq!(required.await, expected, "{id}");
    }
    let source = async |id| fga::find_model_source(storage, &tenant, "store", id).await.unwrap();
    assert_eq!(source("model-2").await.as_deref(), Some(by.2));
    assert_eq!(source("model-1").await.as_deref(), Some(""));
    assert_eq!(source("model-3").await, None);
    let list = async |before, limit| {
        fga::list_model_versions(storage, &tenant, "store", before, limit).await.unwrap()
    };
    let all = list(i64::MAX, 10).await;
    let told: Vec<_> = all
        .iter()
        .map(|row| (row.number, row.actor.as_str(), row.reason.as_str(), row.created_at))
        .collect();
    assert_eq!(told, [(2, by.0, by.1, at(7)), (1, "", "", at(6))]);
    assert_eq!(list(i64::MAX, 1).await, all[..1]);
    assert_eq!(list(2, 10).await, all[1..]);
}
