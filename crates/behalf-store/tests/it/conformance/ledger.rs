//! The log: its head moves for one, and what is looked for in it is compared byte by byte.

use behalf_core::ProjectId;
use behalf_store::ledger::{checkpoints, exports, leaves, logs, tiles};
use behalf_store::{Storage, StoreError};

use super::{at, race, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    the_head_moves_for_one_sequencer(storage).await;
    leaves_are_found_by_kind_actor_and_time(storage).await;
    a_tile_grows_and_the_latest_checkpoint_is_found(storage).await;
    exports_come_back_with_and_without_a_window(storage).await;
}

fn project() -> ProjectId {
    "default".parse().unwrap()
}

fn leaf(index: i64, kind: &str, actor: &str, time: i64) -> leaves::LeafRow {
    leaves::LeafRow {
        project_id: project(),
        leaf_index: index,
        event_id: format!("event-{index}"),
        kind: kind.to_owned(),
        actor: actor.to_owned(),
        at: at(time),
        entry: format!("{{\"\u{1f511}\":\"\\u0000\u{0}\",\"n\":{index}}}"),
    }
}

async fn the_head_moves_for_one_sequencer(storage: &Storage) {
    let tenant = tenant("head");
    let log = logs::LogRow {
        project_id: project(),
        origin: "log".to_owned(),
        vkey: "key".to_owned(),
        sealed_key: vec![0; 48],
        size: 0,
        peaks: Vec::new(),
    };
    let make = |_| vec![logs::insert(&tenant, &log, at(1))];
    assert_eq!(race(storage, 8, "log exists", make).await, 1);
    let append = |n: u64| {
        let peaks = vec![n.to_le_bytes()[0]; 32];
        vec![
            logs::advance(&tenant, &project(), 0, 1, peaks),
            leaves::insert(&tenant, &leaf(0, &format!("kind.{n}"), "ann", 1)),
        ]
    };
    assert_eq!(race(storage, 16, "head moved", append).await, 1);
    let head = logs::find(storage, &tenant, &project()).await.unwrap().unwrap();
    let stored = leaves::find(storage, &tenant, "event-0").await.unwrap().unwrap();
    assert_eq!((head.size, format!("kind.{}", head.peaks[0])), (1, stored.kind.clone()));
    assert_eq!(stored.entry, leaf(0, "", "", 0).entry);
    let mut twice = unit(3_300);
    twice.add(leaves::insert(&tenant, &leaves::LeafRow { leaf_index: 1, ..stored }));
    let refused = storage.commit(twice).await.unwrap_err();
    assert_eq!(refused, StoreError::Conflict { what: "leaf exists" }, "an event is one leaf");
}

async fn leaves_are_found_by_kind_actor_and_time(storage: &Storage) {
    let tenant = tenant("leaves");
    let mut create = unit(3_310);
    for (index, kind, actor) in [
        (0, "user.created", "ann"),
        (1, "user.updated", "Ann"),
        (2, "users.listed", "ann"),
        (3, "User.created", "ann"),
        (4, "a_b.c", "ann"),
        (5, "axb.c", "ann"),
    ] {
        create.add(leaves::insert(&tenant, &leaf(index, kind, actor, 10 + index)));
    }
    storage.commit(create).await.unwrap();
    let list = async |kind: &str, actor: &str, from: Option<i64>, to: Option<i64>| {
        let (kind, actor) = (kind.to_owned(), actor.to_owned());
        let filter = leaves::LeafFilter { kind, actor, from: from.map(at), to: to.map(at) };
        let rows = leaves::list_latest(storage, &tenant, &project(), &filter, i64::MAX, 9).await;
        rows.unwrap().into_iter().map(|row| row.leaf_index).collect::<Vec<_>>()
    };
    assert_eq!(list("", "", None, None).await, [5, 4, 3, 2, 1, 0]);
    assert_eq!(list("user.created", "", None, None).await, [0]);
    assert_eq!(list("user.", "", None, None).await, [1, 0]);
    assert_eq!(list("USER.", "", None, None).await, [0_i64; 0]);
    assert_eq!(list("a_b.", "", None, None).await, [4], "an underscore is one");
    assert_eq!(list("%.", "", None, None).await, [0_i64; 0], "a percent sign is one");
    assert_eq!(list("", "Ann", None, None).await, [1]);
    assert_eq!(list("", "", Some(11), Some(13)).await, [2, 1]);
    assert_eq!(leaves::list_kinds(storage, &tenant, &project()).await.unwrap()[0], "User.created");
    let span = async |size, from, to| {
        let (from, to) = (Some(at(from)), Some(at(to)));
        leaves::span(storage, &tenant, &project(), size, from, to).await.unwrap()
    };
    assert_eq!(span(6, 11, 13).await, Some((1, 3)));
    assert_eq!(span(2, 11, 13).await, Some((1, 2)));
    assert_eq!(span(6, 99, 100).await, None);
}

async fn a_tile_grows_and_the_latest_checkpoint_is_found(storage: &Storage) {
    let tenant = tenant("tiles");
    for count in [1_usize, 256] {
        let mut grow = unit(3_320);
        grow.add(tiles::put(&tenant, &project(), 0, 0, vec![0; 32 * count]));
        storage.commit(grow).await.unwrap();
        let tile = tiles::find(storage, &tenant, &project(), 0, 0).await.unwrap().unwrap();
        assert_eq!(tile.len(), 32 * count);
    }
    assert_eq!(tiles::find(storage, &tenant, &project(), 1, 0).await.unwrap(), None);
    let mut sign = unit(3_321);
    for size in [9, 10, 100] {
        let note = format!("note {size}\n");
        let checkpoint = checkpoints::CheckpointRow { size, note, signed_at: at(size) };
        sign.add(checkpoints::insert(&tenant, &project(), &checkpoint));
    }
    storage.commit(sign).await.unwrap();
    for (max, expected) in [(8, None), (9, Some(9)), (99, Some(10)), (i64::MAX, Some(100))] {
        let found = checkpoints::find_latest(storage, &tenant, &project(), max).await.unwrap();
        assert_eq!(found.map(|checkpoint| checkpoint.size), expected);
    }
}

async fn exports_come_back_with_and_without_a_window(storage: &Storage) {
    let tenant = tenant("exports");
    let export = |id: &str, from: Option<i64>| exports::ExportRow {
        export_id: id.to_owned(),
        project_id: project(),
        tree_size: 3,
        first_leaf: 0,
        leaf_count: 3,
        from_at: from.map(at),
        to_at: None,
        actor: "{}".to_owned(),
        created_at: at(1),
    };
    let rows = [export("a", None), export("B", Some(0)), export("b", Some(-5))];
    let mut create = unit(3_330);
    for row in &rows {
        create.add(exports::insert(&tenant, row));
    }
    storage.commit(create).await.unwrap();
    for row in &rows {
        let found = exports::find(storage, &tenant, &row.export_id).await.unwrap();
        assert_eq!(found.map(|found| (found.from_at, found.to_at)), Some((row.from_at, None)));
    }
    let listed = exports::list(storage, &tenant, "b", 9).await.unwrap();
    assert_eq!(listed.iter().map(|row| row.export_id.as_str()).collect::<Vec<_>>(), ["a", "B"]);
}
