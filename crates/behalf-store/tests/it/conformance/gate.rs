//! The gate: each step of a call and of an approval is taken once, on what still holds.

use behalf_store::gate::{approvals, calls, interrupts};
use behalf_store::identity::{clients, users};
use behalf_store::{Storage, StoreError, fga};

use super::{at, race, tenant, unit, user};

pub(super) async fn run(storage: &Storage) {
    a_call_is_made_and_started_once(storage).await;
    a_mandate_that_moved_stops_the_unit(storage).await;
    an_approval_is_decided_and_redeemed_once(storage).await;
    approvals_are_filtered_and_paged(storage).await;
    waits_end_once_in_the_order_of_their_time(storage).await;
}

fn call(id: &str, key: &str) -> calls::CallRow {
    calls::CallRow {
        call_id: id.to_owned(),
        call_key: key.to_owned(),
        user_id: "ann".parse().unwrap(),
        agent_id: "agent".parse().unwrap(),
        client_id: "app".parse().unwrap(),
        tool: "behalf/gist".to_owned(),
        digest: "d".to_owned(),
        details: "{\"arguments\":\"\u{0}\"}".to_owned(),
        state: "open".to_owned(),
        approval_id: None,
        interrupt_id: None,
        ending: None,
        created_at: at(1),
        started_at: None,
        ended_at: None,
        account: None,
    }
}

fn approval(id: &str, status: &str, lapses: i64) -> approvals::ApprovalRow {
    approvals::ApprovalRow {
        approval_id: id.to_owned(),
        source: "gate".to_owned(),
        status: status.to_owned(),
        user_id: "ann".parse().unwrap(),
        client_id: "app".parse().unwrap(),
        agent_id: None,
        call_id: None,
        digest: "d".to_owned(),
        details: "{}".to_owned(),
        level: "L1".to_owned(),
        created_at: at(1),
        expires_at: at(lapses),
        lapses_at: at(lapses),
        decided_at: None,
        decided_by: None,
        decision: None,
        redeemed_at: None,
        interval_secs: 5,
        polled_at: None,
    }
}

async fn a_call_is_made_and_started_once(storage: &Storage) {
    let tenant = tenant("calls");
    let make = |n| vec![calls::insert(&tenant, &call(&format!("call-{n}"), "key\u{0}"))];
    assert_eq!(race(storage, 16, "call exists", make).await, 1);
    let row = calls::find_by_key(storage, &tenant, "key\u{0}").await.unwrap().unwrap();
    assert_eq!(row, call(&row.call_id, "key\u{0}"));
    let wait = |_| vec![calls::await_account(&tenant, &row.call_id, None, "interrupt")];
    assert_eq!(race(storage, 8, "call moved", wait).await, 1, "no interrupt is not another one");
    let start = |_| vec![calls::start(&tenant, &row.call_id, "d", Some("acc_1/7"), at(2))];
    assert_eq!(race(storage, 16, "call has started", start).await, 1);
    let settle = |n| {
        let ending = format!("{{\"by\":{n}}}");
        vec![calls::settle(&tenant, &row.call_id, "done", &ending, at(3))]
    };
    assert_eq!(race(storage, 16, "call is settled", settle).await, 1);
    let row = calls::find(storage, &tenant, &row.call_id).await.unwrap().unwrap();
    assert_eq!((row.started_at, row.ended_at), (Some(at(2)), Some(at(3))));

    let mut more = unit(3_200);
    for id in ["b", "B", "é", "a", "_"] {
        more.add(calls::insert(&tenant, &call(id, id)));
    }
    storage.commit(more).await.unwrap();
    let page = async |after: &'static str| {
        let rows = calls::list_in_state(storage, &tenant, "open", after, 3).await.unwrap();
        rows.into_iter().map(|row| row.call_id).collect::<Vec<_>>()
    };
    assert_eq!(page("").await, ["B", "_", "a"]);
    assert_eq!(page("a").await, ["b", "é"]);
}

async fn a_mandate_that_moved_stops_the_unit(storage: &Storage) {
    let tenant = tenant("mandate");
    let (ann, app) = ("ann".parse().unwrap(), "app".parse().unwrap());
    let params = user(&ann, "ann@example.com");
    let mut create = unit(3_210);
    create.add(users::insert(&tenant, &params, at(1)));
    create.add(clients::insert(&tenant, &app, None, "{}", at(1)));
    create.add(fga::insert_store(
        &tenant,
        &fga::FgaStoreRow {
            store_id: "store".to_owned(),
            name: "behalf".to_owned(),
            subject: "sub".to_owned(),
            semantics: "v1".to_owned(),
            revision: 0,
            created_at: at(1),
            updated_at: at(1),
        },
    ));
    storage.commit(create).await.unwrap();
    let holds = |revision| {
        vec![
            calls::require_active_user(&tenant, &ann),
            calls::require_client(&tenant, &app),
            calls::require_revision(&tenant, "store", revision),
        ]
    };
    // Many may rely on the same rows at once.
    assert_eq!(race(storage, 16, "nothing moved", |_| holds(0)).await, 16);
    assert_eq!(race(storage, 1, "relations moved", |_| holds(1)).await, 0);

    // Whoever is blocked first is not acted for; whoever is acted for first was not blocked.
    let blocked = users::UserParams { blocked: true, ..params };
    let mut block = unit(3_211);
    block.add(users::update(&tenant, &blocked, 1, at(2)));
    let acting = race(storage, 16, "mandate moved", |n| {
        let mut statements = holds(0);
        statements.push(calls::insert(&tenant, &call(&format!("c{n}"), &format!("k{n}"))));
        statements
    });
    let (done, blocked) = tokio::join!(acting, storage.commit(block));
    blocked.unwrap();
    let made = calls::list_in_state(storage, &tenant, "open", "", 100).await.unwrap().len();
    assert_eq!(made, done, "a call is there exactly if its unit was stored");
    assert_eq!(race(storage, 1, "mandate moved", |_| holds(0)).await, 0);
}

async fn an_approval_is_decided_and_redeemed_once(storage: &Storage) {
    let tenant = tenant("approve");
    let mut create = unit(3_220);
    create.add(approvals::insert(&tenant, &approval("one", "pending", 100), Some([1; 32])));
    // Requests of tool calls have no such hash, and any number may have none.
    create.add(approvals::insert(&tenant, &approval("two", "pending", 100), None));
    create.add(approvals::insert(&tenant, &approval("three", "pending", 100), None));
    storage.commit(create).await.unwrap();
    let mut same = unit(3_221);
    same.add(approvals::insert(&tenant, &approval("four", "pending", 100), Some([1; 32])));
    assert!(matches!(storage.commit(same).await, Err(StoreError::Conflict { .. })));
    let found = approvals::find_by_request(storage, &tenant, &[1; 32]).await.unwrap();
    assert_eq!(found, Some(approval("one", "pending", 100)));

    let ann = "ann".parse().unwrap();
    let decide = |status: &'static str, now| {
        let params = approvals::DecisionParams {
            approval_id: "one",
            digest: "d",
            status,
            decided_by: &ann,
            decision: "{}",
            lapses_at: at(200),
        };
        vec![approvals::decide(&tenant, &params, at(now))]
    };
    assert_eq!(race(storage, 1, "approval is decided", |_| decide("approved", 100)).await, 0);
    let either = |n: u64| decide(if n.is_multiple_of(2) { "approved" } else { "denied" }, 99);
    assert_eq!(race(storage, 16, "approval is decided", either).await, 1);
    let status = approvals::find(storage, &tenant, "one").await.unwrap().unwrap().status;
    let redeem = |_| vec![approvals::redeem(&tenant, "one", "d", at(150))];
    let redeemed = race(storage, 16, "approval is spent", redeem).await;
    assert_eq!(redeemed, usize::from(status == "approved"), "{status}");
}

async fn approvals_are_filtered_and_paged(storage: &Storage) {
    let tenant = tenant("inbox");
    let mut create = unit(3_230);
    for (id, status, lapses) in [
        ("1", "pending", 100),
        ("2", "pending", 50),
        ("3", "approved", 100),
        ("4", "approved", 50),
        ("5", "denied", 50),
        ("6", "expired", 40),
        ("a", "pending", 50),
    ] {
        create.add(approvals::insert(&tenant, &approval(id, status, lapses), None));
    }
    storage.commit(create).await.unwrap();
    let ann = "ann".parse().unwrap();
    let list = async |filter, before: &'static str, limit| {
        let rows = approvals::list(storage, &tenant, &ann, filter, before, at(50), limit).await;
        rows.unwrap().into_iter().map(|row| row.approval_id).collect::<Vec<_>>()
    };
    use approvals::StatusFilter::{All, Expired, Is, NotPending};
    assert_eq!(list(All, "", 3).await, ["a", "6", "5"]);
    assert_eq!(list(All, "5", 9).await, ["4", "3", "2", "1"]);
    assert_eq!(list(Is("pending"), "", 9).await, ["1"]);
    assert_eq!(list(Is("approved"), "", 9).await, ["3"]);
    assert_eq!(list(Is("denied"), "", 9).await, ["5"]);
    assert_eq!(list(Expired, "", 9).await, ["a", "6", "4", "2"]);
    assert_eq!(list(NotPending, "", 9).await, ["a", "6", "5", "4", "3", "2"]);
    let count = approvals::count_pending(storage, &tenant, &ann, None, at(50)).await.unwrap();
    assert_eq!(count, 1);
    let other = "other".parse().unwrap();
    let none = approvals::count_pending(storage, &tenant, &ann, Some(&other), at(50)).await;
    assert_eq!(none.unwrap(), 0);
    let lapsed = approvals::list_lapsed(storage, &tenant, at(50), 9).await.unwrap();
    let lapsed: Vec<_> = lapsed.iter().map(|row| row.approval_id.as_str()).collect();
    assert_eq!(lapsed, ["2", "4", "a"]);
}

async fn waits_end_once_in_the_order_of_their_time(storage: &Storage) {
    let tenant = tenant("waits");
    let row = |id: &str, expires: i64| interrupts::InterruptRow {
        interrupt_id: id.to_owned(),
        call_id: "call".to_owned(),
        user_id: "ann".parse().unwrap(),
        connection: "github".parse().unwrap(),
        scopes: "gist".to_owned(),
        created_at: at(1),
        expires_at: at(expires),
        ended_at: None,
        outcome: None,
    };
    let mut create = unit(3_240);
    for (id, expires) in [("c", 10), ("b", 20), ("a", 20), ("d", 30)] {
        create.add(interrupts::insert(&tenant, &row(id, expires)));
    }
    storage.commit(create).await.unwrap();
    let (ann, github) = ("ann".parse().unwrap(), "github".parse().unwrap());
    let open = interrupts::list_open(storage, &tenant, &ann, &github).await.unwrap();
    assert_eq!(open, [row("a", 20), row("b", 20), row("c", 10), row("d", 30)]);
    let lapsed = interrupts::list_lapsed(storage, &tenant, at(20), 2).await.unwrap();
    assert_eq!(lapsed, [row("c", 10), row("a", 20)]);
    let end = |_| vec![interrupts::end(&tenant, "c", "expired", at(20))];
    assert_eq!(race(storage, 8, "wait is over", end).await, 1);
    let again = |_| vec![interrupts::end_if_open(&tenant, "c", "cancelled", at(21))];
    assert_eq!(race(storage, 1, "no precondition", again).await, 1);
    let ended = interrupts::find(storage, &tenant, "c").await.unwrap().unwrap();
    assert_eq!((ended.ended_at, ended.outcome.as_deref()), (Some(at(20)), Some("expired")));
}
