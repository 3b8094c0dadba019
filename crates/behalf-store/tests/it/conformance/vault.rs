//! The vault: leases, and columns that may be NULL.

use behalf_core::{ConnectionName, UserId};
use behalf_store::vault::{accounts, connections, connects};
use behalf_store::{Storage, StoreError};

use super::{at, race, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    an_account_comes_back_as_it_was_and_is_one_per_person(storage).await;
    one_holder_refreshes_and_only_it_gives_the_lease_back(storage).await;
    accounts_are_listed_and_counted_by_connection(storage).await;
    a_connect_is_taken_once_and_runs_out(storage).await;
}

fn account(id: &str, user: &str, connection: &str) -> accounts::AccountRow {
    accounts::AccountRow {
        account_id: id.to_owned(),
        user_id: user.parse().unwrap(),
        connection: connection.parse().unwrap(),
        provider_user_id: None,
        provider_name: None,
        tokens: accounts::TokensRow {
            scopes: "[]".to_owned(),
            access_token: vec![0, 255, 0],
            refresh_token: None,
            issued_at: at(1),
            expires_at: None,
            version: 1,
        },
        state: "active".to_owned(),
        lease_holder: None,
        lease_until: None,
        retry_at: None,
        created_at: at(1),
        last_used_at: None,
    }
}

async fn an_account_comes_back_as_it_was_and_is_one_per_person(storage: &Storage) {
    let tenant = tenant("accounts");
    let bare = account("bare", "ann", "github");
    let full = accounts::AccountRow {
        provider_user_id: Some("1\u{0}2".to_owned()),
        provider_name: Some(String::new()),
        tokens: accounts::TokensRow {
            refresh_token: Some(Vec::new()),
            expires_at: Some(at(9)),
            ..bare.tokens.clone()
        },
        ..account("full", "bob", "github")
    };
    for row in [&bare, &full] {
        let mut create = unit(3_100);
        create.add(accounts::insert(&tenant, row));
        storage.commit(create).await.unwrap();
        let found = accounts::find(storage, &tenant, &row.account_id).await.unwrap();
        assert_eq!(found.as_ref(), Some(row));
    }
    let mut again = unit(3_101);
    again.add(accounts::insert(&tenant, &account("other", "ann", "github")));
    let refused = storage.commit(again).await.unwrap_err();
    assert_eq!(refused, StoreError::Conflict { what: "account exists" });
}

async fn one_holder_refreshes_and_only_it_gives_the_lease_back(storage: &Storage) {
    let tenant = tenant("lease");
    let mut create = unit(3_110);
    create.add(accounts::insert(&tenant, &account("a", "ann", "github")));
    storage.commit(create).await.unwrap();
    let begin = |holder: String, now: i64| {
        accounts::begin_refresh(&tenant, "a", 1, &holder, at(now + 10), at(now))
    };
    let refused = "account is refreshed elsewhere";
    let won = race(storage, 16, refused, |n| vec![begin(format!("holder-{n}"), 10)]).await;
    assert_eq!(won, 1);
    let row = accounts::find(storage, &tenant, "a").await.unwrap().unwrap();
    assert_eq!((row.state.as_str(), row.lease_until), ("refreshing", Some(at(20))));
    // The lease counts until its end, exclusive.
    let won = race(storage, 1, refused, |_| vec![begin("late".to_owned(), 19)]).await;
    assert_eq!(won, 0);
    let won = race(storage, 1, refused, |_| vec![begin("next".to_owned(), 20)]).await;
    assert_eq!(won, 1);
    let tokens = accounts::TokensRow { version: 2, ..row.tokens };
    for (holder, expected) in [("late", 0), ("next", 1), ("next", 0)] {
        let finish = |_| vec![accounts::finish_refresh(&tenant, "a", holder, &tokens)];
        assert_eq!(race(storage, 1, "lease was lost", finish).await, expected, "{holder}");
    }
    let row = accounts::find(storage, &tenant, "a").await.unwrap().unwrap();
    assert_eq!((row.lease_holder, row.lease_until, row.tokens.version), (None, None, 2));
}

async fn accounts_are_listed_and_counted_by_connection(storage: &Storage) {
    let tenant = tenant("listed");
    let mut create = unit(3_120);
    let rows = [("1", "ann", "b"), ("2", "ann", "a-b"), ("3", "bob", "b"), ("4", "ann", "ab")];
    for (id, user, connection) in rows {
        create.add(accounts::insert(&tenant, &account(id, user, connection)));
    }
    for name in ["b", "ab", "a-b"] {
        create.add(connections::insert(
            &tenant,
            &connections::ConnectionRow {
                name: name.parse().unwrap(),
                strategy: "oauth2".to_owned(),
                options: "{}".to_owned(),
                client_secret: None,
                version: 1,
                created_at: at(1),
            },
        ));
    }
    storage.commit(create).await.unwrap();
    let ann: UserId = "ann".parse().unwrap();
    let listed = accounts::list_of(storage, &tenant, &ann).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|row| row.connection.as_str()).collect();
    assert_eq!(listed, ["a-b", "ab", "b"]);
    let counted = accounts::count_by_connection(storage, &tenant).await.unwrap();
    let name = |name: &str| -> ConnectionName { name.parse().unwrap() };
    assert_eq!(counted, [(name("a-b"), 1), (name("ab"), 1), (name("b"), 2)]);
    let known = connections::list(storage, &tenant).await.unwrap();
    assert_eq!(known.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a-b", "ab", "b"]);
}

async fn a_connect_is_taken_once_and_runs_out(storage: &Storage) {
    let tenant = tenant("connects");
    let state = connects::ConnectStateRow {
        browser_hash: vec![1; 32],
        user_id: "ann".parse().unwrap(),
        connection: "github".parse().unwrap(),
        details: "{}".to_owned(),
        verifier: vec![0; 3],
        expires_at: at(20),
    };
    let mut create = unit(3_130);
    create.add(connects::insert_state(&tenant, &[7; 32], &state, at(10)));
    create.add(connects::insert_state(&tenant, &[8; 32], &state, at(10)));
    storage.commit(create).await.unwrap();
    let find = async |now| connects::find_state(storage, &tenant, &[7; 32], at(now)).await.unwrap();
    assert_eq!(find(19).await, Some(state));
    assert_eq!(find(20).await, None, "it has run out");
    let take = |_| vec![connects::take_state(&tenant, &[7; 32])];
    assert_eq!(race(storage, 16, "connect is over", take).await, 1);
    assert_eq!(find(19).await, None);
    let mut purge = unit(3_131);
    purge.add(connects::purge_states(at(21)));
    storage.commit(purge).await.unwrap();
    let take = |_| vec![connects::take_state(&tenant, &[8; 32])];
    assert_eq!(race(storage, 1, "connect is over", take).await, 0, "it was purged");
}
