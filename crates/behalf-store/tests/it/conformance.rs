//! What every engine must do alike. Each storage defect adds a case here first. Here is what holds
//! for any statement; the modules below hold what the SQL of a domain relies on.

mod agent;
mod documents;
mod fga;
mod gate;
mod identity;
mod ledger;
mod traces;
mod vault;

use behalf_core::{
    Actor, ClientId, DangerousSeededRng, Event, EventKind, TenantId, Timestamp, UserId,
};
use behalf_store::identity::users::UserParams;
use behalf_store::identity::{clients, grants, users};
use behalf_store::{Statement, Storage, StoreError, UnitOfWork, Value, outbox};

/// Runs every case on `storage`, each in a tenant of its own.
pub(crate) async fn run_all(storage: &Storage) {
    a_unit_is_stored_whole_or_not_at_all(storage).await;
    a_failed_precondition_is_a_conflict_with_its_name(storage).await;
    a_unique_key_is_a_conflict_with_its_name(storage).await;
    a_returned_value_reaches_later_statements_and_the_caller(storage).await;
    values_round_trip(storage).await;
    identifiers_keep_their_case_and_their_unicode(storage).await;
    tenants_do_not_see_each_other(storage).await;
    events_wait_in_the_order_of_their_commits(storage).await;
    concurrent_units_lose_nothing_and_a_version_admits_one(storage).await;
    a_code_is_redeemed_once_by_many(storage).await;
    texts_come_back_whatever_they_hold(storage).await;
    big_values_round_trip(storage).await;
    text_is_ordered_by_its_bytes_and_pages_follow_each_other(storage).await;
    nulls_are_no_values_and_are_not_unique(storage).await;
    an_absent_precondition_and_a_failed_unit_leave_nothing(storage).await;
    counts_and_sums_are_numbers(storage).await;
    a_precondition_that_reads_holds_until_the_commit(storage).await;
    a_later_commit_is_never_listed_before_an_earlier_one(storage).await;
    documents::run(storage).await;
    vault::run(storage).await;
    fga::run(storage).await;
    gate::run(storage).await;
    identity::run(storage).await;
    ledger::run(storage).await;
    traces::run(storage).await;
    agent::run(storage).await;
}

/// Commits `count` units at once, each of the statements that `make` makes for its number, and says
/// how many were stored; the others must have failed with `Conflict(refused)`.
async fn race(
    storage: &Storage,
    count: u64,
    refused: &str,
    make: impl Fn(u64) -> Vec<Statement>,
) -> usize {
    let commits = (0..count).map(|n| {
        let mut unit = unit(50_000 + n);
        for statement in make(n) {
            unit.add(statement);
        }
        storage.commit(unit)
    });
    let mut stored = 0;
    for result in futures_util::future::join_all(commits).await {
        match result {
            Ok(_) => stored += 1,
            Err(error) => assert!(error.is_conflict(refused), "{error} instead of {refused}"),
        }
    }
    stored
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn unit(seed: u64) -> UnitOfWork {
    UnitOfWork::new(at(1_000), &DangerousSeededRng::new(seed))
}

fn user<'a>(user_id: &'a UserId, email: &'a str) -> UserParams<'a> {
    let (email_key, username_key) = (Some(email), None);
    UserParams { user_id, email_key, username_key, profile: "{}", blocked: false, roles: "" }
}

async fn a_unit_is_stored_whole_or_not_at_all(storage: &Storage) {
    let tenant = tenant("whole");
    let (ann, bob): (UserId, UserId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
    let mut first = unit(1);
    first.add(users::insert(&tenant, &user(&ann, "ann@example.com"), at(1)));
    storage.commit(first).await.unwrap();

    let mut second = unit(2);
    second.add(users::insert(&tenant, &user(&bob, "bob@example.com"), at(2)));
    second.record(&Event::new(&tenant, EventKind::UserCreated, Actor::System));
    second.add(users::insert(&tenant, &user(&ann, "other@example.com"), at(2)));
    let refused = storage.commit(second).await.unwrap_err();
    assert!(refused.is_conflict("user exists"), "{refused}");
    assert!(users::find(storage, &tenant, &bob).await.unwrap().is_none());
    let waiting = outbox::list(storage, 10_000).await.unwrap();
    assert!(waiting.iter().all(|event| event.tenant_id != tenant.as_str()));
}

async fn a_failed_precondition_is_a_conflict_with_its_name(storage: &Storage) {
    let tenant = tenant("precondition");
    let ann: UserId = "ann".parse().unwrap();
    let mut create = unit(3);
    create.add(users::insert(&tenant, &user(&ann, "a@example.com"), at(1)));
    storage.commit(create).await.unwrap();
    for (version, expected) in [(7, Err("user changed")), (1, Ok(())), (1, Err("user changed"))] {
        let mut change = unit(4);
        change.add(users::update(&tenant, &user(&ann, "b@example.com"), version, at(2)));
        match (storage.commit(change).await, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(name)) => assert!(error.is_conflict(name), "{error}"),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }
}

async fn a_unique_key_is_a_conflict_with_its_name(storage: &Storage) {
    let tenant = tenant("unique");
    let (ann, bob): (UserId, UserId) = ("ann".parse().unwrap(), "bob".parse().unwrap());
    let mut twice = unit(5);
    twice.add(users::insert(&tenant, &user(&ann, "same@example.com"), at(1)));
    twice.add(users::insert(&tenant, &user(&bob, "same@example.com"), at(1)));
    let refused = storage.commit(twice).await.unwrap_err();
    assert_eq!(refused, StoreError::Conflict { what: "user exists" });
}

async fn a_returned_value_reaches_later_statements_and_the_caller(storage: &Storage) {
    let tenant = tenant("returned");
    let mut count = unit(6);
    count.add(users::count_failure(&tenant, "ann", "::1", at(0), at(1)));
    count.add(
        Statement::new(
            "INSERT INTO sign_in_failures (tenant_id, account, address, failures, last_at)
             VALUES ($1, $2, $2, $3, $4)",
        )
        .bind(&tenant)
        .bind("copy")
        .bind_returned("failures")
        .bind(at(1)),
    );
    let committed = storage.commit(count).await.unwrap();
    assert_eq!(committed.value::<i64>("failures").unwrap(), 1);
    let copy = users::find_failures(storage, &tenant, "copy", "copy").await.unwrap().unwrap();
    assert_eq!(copy.failures, 1);

    let mut unknown = unit(7);
    unknown.add(Statement::new("SELECT $1").bind_returned("nothing"));
    let refused = storage.commit(unknown).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal { .. }), "{refused}");
}

async fn values_round_trip(storage: &Storage) {
    let tenant = tenant("values");
    let client: ClientId = "app".parse().unwrap();
    let hash: [u8; 32] = std::array::from_fn(|i| u8::try_from(i * 8).unwrap());
    let settings = "{\"name\":\"Zoë \u{1F511} \\u0000\"}";
    let mut create = unit(8);
    create.add(clients::insert(&tenant, &client, Some(hash), settings, at(i64::MAX / 2_000_000)));
    storage.commit(create).await.unwrap();
    let found = clients::find(storage, &tenant, &client).await.unwrap().unwrap();
    assert_eq!(found.secret_hash.as_deref(), Some(hash.as_slice()));
    assert_eq!(found.settings, settings);

    const READ: &str = "SELECT created_at FROM clients WHERE tenant_id = $1";
    let row = storage.find(READ, [(&tenant).into()]).await.unwrap();
    assert!(row.unwrap().take::<String>(0).is_err(), "a number is not text");
    let null = storage.find("SELECT NULL WHERE $1 = $1", [Value::Int(1)]).await.unwrap();
    assert_eq!(null.unwrap().take::<Option<String>>(0).unwrap(), None);
}

/// CVE-2026-55170 was an engine whose collation folded case.
async fn identifiers_keep_their_case_and_their_unicode(storage: &Storage) {
    let tenant = tenant("case");
    // Composed and decomposed é, dotted and dotless i, and plain case are different people.
    let names = ["ann", "Ann", "\u{e9}", "e\u{301}", "\u{130}", "i", "ann\u{200b}"];
    let mut create = unit(9);
    for name in names {
        let user_id = name.parse().unwrap();
        let params = UserParams { username_key: Some(name), email_key: None, ..user(&user_id, "") };
        create.add(users::insert(&tenant, &params, at(1)));
    }
    storage.commit(create).await.unwrap();
    for name in names {
        let found = users::find(storage, &tenant, &name.parse().unwrap()).await.unwrap().unwrap();
        assert_eq!(found.user_id.as_str(), name);
        let found = users::find_by_sign_in_name(storage, &tenant, name).await.unwrap().unwrap();
        assert_eq!(found.user_id.as_str(), name);
    }
    assert!(users::find(storage, &tenant, &"ANN".parse().unwrap()).await.unwrap().is_none());
}

async fn tenants_do_not_see_each_other(storage: &Storage) {
    let (mine, yours) = (tenant("mine"), tenant("yours"));
    let ann: UserId = "ann".parse().unwrap();
    let mut create = unit(10);
    create.add(users::insert(&mine, &user(&ann, "ann@example.com"), at(1)));
    create.add(users::insert(&yours, &user(&ann, "ann@example.com"), at(1)));
    storage.commit(create).await.unwrap();
    let mut change = unit(11);
    change.add(users::set_password(&mine, &ann, "hash", false, at(2)));
    storage.commit(change).await.unwrap();
    let other = users::find(storage, &yours, &ann).await.unwrap().unwrap();
    assert_eq!((other.password_hash, other.version), (None, 1));
    assert_eq!(users::count(storage, &mine).await.unwrap(), 1);
}

async fn events_wait_in_the_order_of_their_commits(storage: &Storage) {
    let tenant = tenant("events");
    let mut ids = Vec::new();
    for seed in 0..5_i64 {
        let rng = DangerousSeededRng::new(100 + seed.unsigned_abs());
        let mut unit = UnitOfWork::new(at(2_000 + seed), &rng);
        for step in 0..3 {
            let event = Event::new(&tenant, EventKind::UserUpdated, Actor::System);
            ids.push(unit.record(&event.with("step", step)));
        }
        storage.commit(unit).await.unwrap();
    }
    let waiting = outbox::list(storage, 10_000).await.unwrap();
    let mine: Vec<_> = waiting.iter().filter(|row| row.tenant_id == tenant.as_str()).collect();
    assert_eq!(mine.iter().map(|row| row.event_id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(mine[4].facts, "{\"step\":1}");
    assert_eq!(mine[4].kind, "user.updated");
    assert_eq!(mine[4].at, at(2_001));
}

async fn concurrent_units_lose_nothing_and_a_version_admits_one(storage: &Storage) {
    let tenant = tenant("concurrent");
    let ann: UserId = "ann".parse().unwrap();
    let mut create = unit(12);
    create.add(users::insert(&tenant, &user(&ann, "ann@example.com"), at(1)));
    storage.commit(create).await.unwrap();

    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..64_u64 {
        let (storage, tenant, ann) = (storage.clone(), tenant.clone(), ann.clone());
        tasks.spawn(async move {
            let mut counted = UnitOfWork::new(at(3), &DangerousSeededRng::new(1_000 + writer));
            counted.add(users::count_failure(&tenant, "ann", "::1", at(0), at(3)));
            storage.commit(counted).await.unwrap();
            let mut versioned = UnitOfWork::new(at(3), &DangerousSeededRng::new(2_000 + writer));
            versioned.add(users::update(&tenant, &user(&ann, "ann@example.com"), 1, at(3)));
            storage.commit(versioned).await.is_ok()
        });
    }
    let won = tasks.join_all().await.into_iter().filter(|won| *won).count();
    assert_eq!(won, 1, "exactly one update of version 1");
    let failures = users::find_failures(storage, &tenant, "ann", "::1").await.unwrap().unwrap();
    assert_eq!(failures.failures, 64);
}

async fn a_code_is_redeemed_once_by_many(storage: &Storage) {
    let tenant = tenant("codes");
    let code = grants::CodeRow {
        client_id: "app".parse().unwrap(),
        details: "{}".to_owned(),
        family_id: "family".to_owned(),
        expires_at: at(2_000),
        used_at: None,
    };
    let mut issue = unit(13);
    issue.add(grants::insert_code(&tenant, &[7; 32], &code));
    storage.commit(issue).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for racer in 0..32_u64 {
        let (storage, tenant) = (storage.clone(), tenant.clone());
        tasks.spawn(async move {
            let mut unit = UnitOfWork::new(at(1_001), &DangerousSeededRng::new(3_000 + racer));
            unit.add(grants::use_code(&tenant, &[7; 32], at(1_001)));
            match storage.commit(unit).await {
                Ok(_) => true,
                Err(error) => {
                    assert!(error.is_conflict("code was used"), "{error}");
                    false
                }
            }
        });
    }
    assert_eq!(tasks.join_all().await.into_iter().filter(|won| *won).count(), 1);
    let mut late = unit(14);
    late.add(grants::insert_code(&tenant, &[8; 32], &code));
    late.add(grants::use_code(&tenant, &[8; 32], at(2_000)));
    assert!(storage.commit(late).await.is_err(), "a code that ran out is not redeemed");
}

async fn texts_come_back_whatever_they_hold(storage: &Storage) {
    let tenant = tenant("texts");
    let texts = [
        "",
        " ",
        "\u{0}",
        "a\u{0}b\u{0}",
        "\u{fdd0}0\u{0}\u{fdd0}1",
        "\u{7f}\u{85}\u{feff}\u{ffff}\u{10ffff}",
        "'; DROP TABLE users; --",
        "$1 ?1 \\ \" %",
    ];
    let mut count = unit(20);
    for text in texts {
        count.add(users::count_failure(&tenant, text, "::1", at(0), at(1)));
    }
    // Once more for one of them: the same text is the same row.
    count.add(users::count_failure(&tenant, "a\u{0}b\u{0}", "::1", at(0), at(1)));
    storage.commit(count).await.unwrap();
    const LIST: &str = "SELECT account FROM sign_in_failures WHERE tenant_id = $1";
    let rows = storage.query(LIST, [(&tenant).into()]).await.unwrap();
    let mut found: Vec<String> = rows.into_iter().map(|mut row| row.take(0).unwrap()).collect();
    found.sort();
    let mut expected = texts.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    let twice = users::find_failures(storage, &tenant, "a\u{0}b\u{0}", "::1").await.unwrap();
    assert_eq!(twice.unwrap().failures, 2);
}

async fn big_values_round_trip(storage: &Storage) {
    let tenant = tenant("big");
    let client: ClientId = "app".parse().unwrap();
    let settings = "0123456789é🔑".repeat(200_000);
    let mut create = unit(21);
    create.add(clients::insert(&tenant, &client, Some([255; 32]), &settings, at(1)));
    storage.commit(create).await.unwrap();
    let found = clients::find(storage, &tenant, &client).await.unwrap().unwrap();
    assert!(found.settings == settings, "3 MB of text came back changed");

    const ECHO: &str = "SELECT CAST($1 AS BIGINT), CAST($2 AS DOUBLE PRECISION)";
    for (int, real) in
        [(i64::MAX, f64::MAX), (i64::MIN, f64::MIN_POSITIVE), (-1, 0.1), (0, -1.5e-300)]
    {
        let mut row = storage.find(ECHO, [int.into(), real.into()]).await.unwrap().unwrap();
        assert_eq!(row.take::<i64>(0).unwrap(), int);
        assert_eq!(row.take::<f64>(1).unwrap().to_bits(), real.to_bits());
    }
    let blob: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251).to_le_bytes()[0]).collect();
    let mut keep = unit(22);
    keep.add(
        Statement::new(
            "INSERT INTO encryption_keys (tenant_id, version, wrapped, created_at)
             VALUES ($1, 1, $2, 1)",
        )
        .bind(&tenant)
        .bind(blob.clone()),
    );
    storage.commit(keep).await.unwrap();
    const READ: &str = "SELECT wrapped FROM encryption_keys WHERE tenant_id = $1";
    let row = storage.find(READ, [(&tenant).into()]).await.unwrap();
    assert!(row.unwrap().take::<Vec<u8>>(0).unwrap() == blob, "1 MB of bytes came back changed");
}

async fn text_is_ordered_by_its_bytes_and_pages_follow_each_other(storage: &Storage) {
    let tenant = tenant("order");
    let names = ["Zoe", "_x", "a", "a-b", "a.b", "ab", "b", "é", "ä", "z", "0", "10", "9", "Ω"];
    let mut create = unit(23);
    for name in names {
        let client = name.parse().unwrap();
        create.add(clients::insert(&tenant, &client, None, "{}", at(1)));
    }
    storage.commit(create).await.unwrap();
    let mut expected = names.map(str::to_owned);
    expected.sort();
    let listed = clients::list(storage, &tenant).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|row| row.client_id.as_str().to_owned()).collect();
    assert_eq!(listed, expected);

    const PAGE: &str = "SELECT client_id FROM clients
         WHERE tenant_id = $1 AND client_id > $2 ORDER BY client_id LIMIT $3";
    let (mut paged, mut after) = (Vec::new(), String::new());
    loop {
        let params: [Value; 3] = [(&tenant).into(), (&after).into(), 3_u32.into()];
        let rows = storage.query(PAGE, params).await.unwrap();
        let page: Vec<String> = rows.into_iter().map(|mut row| row.take(0).unwrap()).collect();
        let Some(last) = page.last() else { break };
        after = last.clone();
        paged.extend(page);
    }
    assert_eq!(paged, expected);
}

async fn nulls_are_no_values_and_are_not_unique(storage: &Storage) {
    let tenant = tenant("nulls");
    let mut create = unit(24);
    for name in ["ann", "bob"] {
        let user_id = name.parse().unwrap();
        create.add(users::insert(
            &tenant,
            &UserParams { email_key: None, ..user(&user_id, "") },
            at(1),
        ));
    }
    storage.commit(create).await.unwrap();
    assert_eq!(users::count(storage, &tenant).await.unwrap(), 2);
    const COUNT: &str = "SELECT COUNT(*) FROM users WHERE tenant_id = $1 AND email_key = $2";
    let params: [Value; 2] = [(&tenant).into(), Value::Null];
    let mut row = storage.find(COUNT, params).await.unwrap().unwrap();
    assert_eq!(row.take::<i64>(0).unwrap(), 0, "nothing equals NULL");
}

async fn an_absent_precondition_and_a_failed_unit_leave_nothing(storage: &Storage) {
    let tenant = tenant("absent");
    let nobody = || {
        Statement::new("SELECT 1 FROM users WHERE tenant_id = $1")
            .bind(&tenant)
            .expect_rows(0, "somebody is there")
    };
    let ann: UserId = "ann".parse().unwrap();
    for expected in [Ok(()), Err("somebody is there")] {
        let mut first = unit(25);
        first.add(nobody());
        first.add(users::insert(&tenant, &user(&ann, "ann@example.com"), at(1)));
        match (storage.commit(first).await, expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(name)) => assert!(error.is_conflict(name), "{error}"),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }
    // A defect in the last of many statements undoes them all, and the store serves on.
    let mut broken = unit(26);
    for n in 0..50 {
        let name = format!("user-{n}").parse().unwrap();
        broken.add(users::insert(&tenant, &user(&name, &format!("{n}@example.com")), at(1)));
    }
    broken.add(Statement::new("INSERT INTO no_such_table (x) VALUES ($1)").bind(1_i64));
    let refused = storage.commit(broken).await.unwrap_err();
    assert!(matches!(refused, StoreError::Internal { .. }), "{refused}");
    assert_eq!(users::count(storage, &tenant).await.unwrap(), 1);
}

async fn counts_and_sums_are_numbers(storage: &Storage) {
    let tenant = tenant("sums");
    let mut count = unit(27);
    for address in ["::1", "::2", "::3"] {
        count.add(users::count_failure(&tenant, "ann", address, at(0), at(1)));
    }
    storage.commit(count).await.unwrap();
    const SUM: &str = "SELECT COUNT(*), SUM(failures), MAX(last_at) FROM sign_in_failures
         WHERE tenant_id = $1";
    let mut row = storage.find(SUM, [(&tenant).into()]).await.unwrap().unwrap();
    assert_eq!(row.take::<i64>(0).unwrap(), 3);
    assert_eq!(row.take::<i64>(1).unwrap(), 3);
    assert_eq!(row.take::<Timestamp>(2).unwrap(), at(1));
}

/// Two units that each read what the other writes: one of them must fail, as it would if they ran
/// one after the other (write skew).
async fn a_precondition_that_reads_holds_until_the_commit(storage: &Storage) {
    let on_duty = |tenant: &TenantId, name: &str| {
        Statement::new("SELECT 1 FROM users WHERE tenant_id = $1 AND user_id = $2 AND blocked = 0")
            .bind(tenant)
            .bind(name)
            .expect_rows(1, "nobody would be left")
    };
    for round in 0..20_u64 {
        let tenant = tenant(&format!("skew-{round}"));
        let mut create = unit(500 + round);
        for name in ["ann", "bob"] {
            let user_id = name.parse().unwrap();
            create.add(users::insert(&tenant, &user(&user_id, name), at(1)));
        }
        storage.commit(create).await.unwrap();
        let leave = async |me: &str, other: &str, seed: u64| {
            let mut unit = unit(seed);
            unit.add(on_duty(&tenant, other));
            unit.add(
                Statement::new(
                    "UPDATE users SET blocked = 1 WHERE tenant_id = $1 AND user_id = $2",
                )
                .bind(&tenant)
                .bind(me)
                .expect_rows(1, "gone"),
            );
            storage.commit(unit).await.is_ok()
        };
        let left = tokio::join!(leave("ann", "bob", 600 + round), leave("bob", "ann", 700 + round));
        assert!(left.0 != left.1, "round {round}: exactly one may leave: {left:?}");
    }
}

/// The ledger reads the outbox while others write. What it has seen must stay the beginning of what
/// it sees later, or a leaf would be missing for ever. The slow unit takes its place before the
/// quick ones and commits after them unless they wait.
async fn a_later_commit_is_never_listed_before_an_earlier_one(storage: &Storage) {
    const SLOW: behalf_store::Sql =
        behalf_store::Sql::each("SELECT 1", "SELECT 1 FROM pg_sleep(0.02)");
    let tenant = tenant("outbox-order");
    let mine = async || -> Vec<String> {
        let waiting = outbox::list(storage, 100_000).await.unwrap();
        let mine = waiting.into_iter().filter(|row| row.tenant_id == tenant.as_str());
        mine.map(|row| row.event_id).collect()
    };
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..8_u64 {
        let (storage, tenant) = (storage.clone(), tenant.clone());
        writers.spawn(async move {
            for step in 0..8_u64 {
                let rng = DangerousSeededRng::new(10_000 + writer * 100 + step);
                // The clock of each node is its own, so ids do not grow with the commits.
                let mut unit = UnitOfWork::new(at(9_000 - i64::try_from(writer).unwrap()), &rng);
                let event = Event::new(&tenant, EventKind::UserUpdated, Actor::System);
                unit.record(&event);
                if writer % 2 == 0 {
                    unit.add(Statement::new(SLOW));
                }
                storage.commit(unit).await.unwrap();
            }
        });
    }
    let writers = tokio::spawn(writers.join_all());
    let mut seen: Vec<String> = Vec::new();
    loop {
        let is_last = writers.is_finished();
        let now = mine().await;
        assert!(now.starts_with(&seen), "{seen:?} is not the beginning of {now:?}");
        seen = now;
        if is_last {
            break;
        }
        tokio::task::yield_now().await;
    }
    writers.await.unwrap();
    assert_eq!(seen.len(), 64);
}
