//! Chats: a history is one turn, a turn moves on for one, events keep their order.

use behalf_core::UserId;
use behalf_store::Storage;
use behalf_store::agent::{threads, turns};

use super::{at, race, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    a_history_is_one_turn_and_moves_on_for_one(storage).await;
    events_keep_their_order_and_their_place(storage).await;
    threads_are_listed_from_the_latest(storage).await;
}

fn turn(id: &str, ordinal: i64, key: &str, status: &str) -> turns::TurnRow {
    turns::TurnRow {
        turn_id: id.to_owned(),
        user_id: "ann".parse().unwrap(),
        thread_id: "thread\u{0}".to_owned(),
        ordinal,
        history_key: key.to_owned(),
        is_current: true,
        status: status.to_owned(),
        state: vec![0, 1, 255],
        version: 1,
        created_at: at(1),
        updated_at: at(1),
    }
}

async fn a_history_is_one_turn_and_moves_on_for_one(storage: &Storage) {
    let tenant = tenant("turns");
    let begin = |n| vec![turns::insert(&tenant, &turn(&format!("turn-{n}"), 1, "key", "running"))];
    assert_eq!(race(storage, 16, "turn exists", begin).await, 1);
    let mut more = unit(3_400);
    for (id, ordinal) in [("z", 10), ("Z", 9), ("a", 2)] {
        let status = if ordinal == 9 { "done" } else { "waiting" };
        more.add(turns::insert(&tenant, &turn(id, ordinal, id, status)));
    }
    more.add(turns::replace(&tenant, "z"));
    storage.commit(more).await.unwrap();
    let ann: UserId = "ann".parse().unwrap();
    let list = async || turns::list(storage, &tenant, &ann, "thread\u{0}").await.unwrap();
    let rows = list().await;
    assert_eq!(rows.iter().map(|row| row.ordinal).collect::<Vec<_>>(), [1, 2, 9, 10]);
    assert_eq!(
        rows.iter().map(|row| row.is_current).collect::<Vec<_>>(),
        [true, true, true, false]
    );
    let open = turns::list_open(storage, &tenant).await.unwrap();
    assert_eq!(open.iter().map(|row| row.ordinal).collect::<Vec<_>>(), [2, 1, 10]);

    let first = &rows[0].turn_id;
    let move_on = |n: u64| {
        let state = n.to_le_bytes().to_vec();
        vec![
            turns::update(&tenant, first, 1, "done", state.clone(), at(2)),
            turns::add_events(&tenant, first, 0, state),
        ]
    };
    assert_eq!(race(storage, 16, "turn moved on", move_on).await, 1);
    let moved = &list().await[0];
    assert_eq!((moved.version, moved.status.as_str()), (2, "done"));
    let events = turns::list_events(storage, &tenant, first).await.unwrap();
    assert_eq!(events, std::slice::from_ref(&moved.state), "the events of the one that moved it");
}

async fn events_keep_their_order_and_their_place(storage: &Storage) {
    let tenant = tenant("turn-events");
    for ordinal in [10, 0, 9, 100] {
        let mut add = unit(3_410);
        add.add(turns::add_events(&tenant, "t", ordinal, ordinal.to_le_bytes().to_vec()));
        storage.commit(add).await.unwrap();
    }
    let again = |_| vec![turns::add_events(&tenant, "t", 9, Vec::new())];
    assert_eq!(race(storage, 1, "turn moved on", again).await, 0);
    let events = turns::list_events(storage, &tenant, "t").await.unwrap();
    let ordinals: Vec<u8> = events.iter().map(|events| events[0]).collect();
    assert_eq!(ordinals, [0, 9, 10, 100]);
}

async fn threads_are_listed_from_the_latest(storage: &Storage) {
    let tenant = tenant("threads");
    let ann: UserId = "ann".parse().unwrap();
    let touch = |id: &str, title: u8, time: i64| {
        let (title, created_at, updated_at) = (vec![title], at(time), at(time));
        let thread = threads::ThreadRow { thread_id: id.to_owned(), title, created_at, updated_at };
        threads::touch(&tenant, &ann, &thread)
    };
    let mut write = unit(3_420);
    for statement in [touch("b", 1, 5), touch("a", 2, 5), touch("\u{0}", 3, 1), touch("é", 4, 5)] {
        write.add(statement);
    }
    write.add(touch("\u{0}", 9, 7));
    storage.commit(write).await.unwrap();
    let rows = threads::list(storage, &tenant, &ann, 3).await.unwrap();
    assert_eq!(
        rows.iter().map(|row| row.thread_id.as_str()).collect::<Vec<_>>(),
        ["\u{0}", "a", "b"]
    );
    assert_eq!((rows[0].title.as_slice(), rows[0].created_at), ([3].as_slice(), at(1)));
}
