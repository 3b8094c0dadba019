//! Where a request ends early, to the step and the hop; and that neighbours in a batch share only
//! what is the same for both.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use behalf_fga::{
    AccessDiff, AuthorizationModel, Change, CheckRequest, FgaStore, FilterRequest, Limits,
    ListObjectsRequest, ListUsersRequest, PageRequest, RequestContext, RequestError, Side, Stop,
    StoreModel, TupleCondition, TupleKey, User, UserFilter, Validity,
};
use serde_json::{Map, Value, json};

fn store(model: &str, tuples: impl IntoIterator<Item = TupleKey>) -> (FgaStore, Arc<StoreModel>) {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(model).unwrap()).unwrap();
    let changes: Vec<Change> = tuples.into_iter().map(Change::Write).collect();
    store.apply(&changes).unwrap();
    (store, model)
}

fn limited(resolve_node_limit: u32, max_steps: u64) -> RequestContext<'static> {
    let limits = Limits { resolve_node_limit, max_steps, ..Limits::default() };
    RequestContext { limits, ..RequestContext::default() }
}

const LADDER: &str = "model
  schema 1.1
type user
type a
  relations
    define top: [user]
type b
  relations
    define up: [a]
    define mid: top from up
type c
  relations
    define up: [b]
    define same: [c]
    define low: mid from up
    define twice: low and low from same
type d
  relations
    define up: [c]
    define low: low from up
type e
  relations
    define near: [c]
    define far: [d]
    define near_first: low from near and low from far
    define far_first: low from far and low from near
";

#[test]
fn a_way_may_have_fewer_hops_than_the_limit_whoever_asks() {
    let tuples = [
        ("user:1", "top", "a:1"),
        ("a:1", "up", "b:1"),
        ("b:1", "up", "c:1"),
        ("c:1", "up", "d:1"),
        ("c:1", "same", "c:1"),
        ("c:1", "near", "e:1"),
        ("d:1", "far", "e:1"),
    ];
    let (store, model) = store(LADDER, tuples.map(|(u, r, o)| TupleKey::new(u, r, o)));
    let snapshot = store.snapshot();
    let questions = [
        ("a:1", "top", 0),
        ("b:1", "mid", 1),
        ("c:1", "low", 2),
        // The same pair twice, the second time one hop further.
        ("c:1", "twice", 3),
        ("d:1", "low", 3),
        ("e:1", "near_first", 4),
        ("e:1", "far_first", 4),
    ];
    for (object, relation, hops) in questions {
        for limit in 0..8 {
            let request = limited(limit, 1_000);
            let is_far = limit != 0 && hops >= limit && hops > 0;
            let says = |answer: Result<bool, RequestError>| {
                let expected = if is_far { Err(RequestError::TooComplex) } else { Ok(true) };
                assert_eq!(answer, expected, "{relation} of {object} within {limit}");
            };
            let check = CheckRequest { user: "user:1", relation, object, request };
            says(snapshot.check(&model, &check));
            snapshot.batch_check(&model, &[check, check]).into_iter().for_each(says);
            let (object_type, id) = object.split_once(':').unwrap();
            let user = "user:1";
            let filter = FilterRequest { user, relation, object_type, ids: &[id], request };
            says(snapshot.filter(&model, &filter).map(|answers| answers == [true]));
            let list = ListObjectsRequest { user, relation, object_type, request };
            says(snapshot.list_objects(&model, &list).map(|objects| objects == [object]));
            let filter = UserFilter { type_name: "user", relation: None };
            let list = ListUsersRequest { object, relation, filter, request };
            let users = snapshot.list_users(&model, &list, &PageRequest::default());
            says(users.map(|users| users.is_complete && users.items.len() == 1));
        }
    }
}

const DOCS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define viewer: [user, user with small, group#member]
    define blocked: [user]
    define can_read: viewer but not blocked
condition small(x: int) {
  x < 10
}
";

fn views(count: usize) -> impl Iterator<Item = TupleKey> {
    (0..count).map(|n| TupleKey::new("user:1", "viewer", format!("doc:{n}")))
}

#[test]
fn a_budget_is_for_so_many_steps_of_each_question() {
    let (store, model) = store(DOCS, views(10));
    let snapshot = store.snapshot();
    let list = |max_steps| {
        let request = limited(0, max_steps);
        let (user, relation, object_type) = ("user:1", "viewer", "doc");
        let list = ListObjectsRequest { user, relation, object_type, request };
        snapshot.list_objects(&model, &list).map(|objects| objects.len())
    };
    assert_eq!(list(10), Ok(10));
    assert_eq!(list(9), Err(RequestError::BudgetExceeded(9)));

    let names: Vec<String> = (0..10).map(|n| format!("doc:{n}")).collect();
    let all = |max_steps| {
        let request = limited(0, max_steps);
        let check = |object| CheckRequest { user: "user:1", relation: "can_read", object, request };
        let checks: Vec<CheckRequest<'_>> = names.iter().map(|name| check(name)).collect();
        let single: Vec<_> = checks.iter().map(|check| snapshot.check(&model, check)).collect();
        assert_eq!(snapshot.batch_check(&model, &checks), single);
        single
    };
    // The relation, the two it is made of, and the user's tuple in both.
    assert_eq!(all(5), vec![Ok(true); 10]);
    assert_eq!(all(4), vec![Err(RequestError::BudgetExceeded(4)); 10]);
}

#[test]
fn a_caller_is_asked_now_and_then_whether_to_go_on() {
    // The second document is long to decide: one of its many groups has the user.
    let mut tuples = vec![TupleKey::new("user:1", "viewer", "doc:first")];
    for n in 0..3_000 {
        tuples.push(TupleKey::new(format!("group:{n}#member"), "viewer", "doc:second"));
    }
    tuples.push(TupleKey::new("user:1", "member", "group:2999"));
    let (store, model) = store(DOCS, tuples);
    let snapshot = store.snapshot();
    let list = |relation: &str, stop_at: usize, after: Option<&str>| {
        let calls = AtomicUsize::new(0);
        let is_over = || calls.fetch_add(1, Ordering::Relaxed) + 1 == stop_at;
        let request = RequestContext { stop: Some(Stop(&is_over)), ..RequestContext::default() };
        let list = ListObjectsRequest { user: "user:1", relation, object_type: "doc", request };
        let page = PageRequest { after, max_results: None };
        let listing = snapshot.list_objects_page(&model, &list, &page).unwrap();
        let whole = snapshot.list_objects(&model, &list);
        (listing, calls.into_inner(), whole.is_ok())
    };
    let (whole, calls, _) = list("can_read", 0, None);
    assert_eq!(whole.items, ["doc:first", "doc:second"]);
    assert!(whole.is_complete && whole.next.is_none());
    // Twice: once before each walk, and every 1,024 steps of the long check.
    assert!((16..=20).contains(&calls), "{calls}");

    let (none, _, _) = list("can_read", 1, None);
    assert!(none.items.is_empty() && !none.is_complete && none.next.is_none());
    let (some, _, _) = list("can_read", calls / 2, None);
    assert_eq!((some.items, some.is_complete), (vec!["doc:first".to_owned()], false));
    assert_eq!(some.next.as_deref(), Some("doc:first"));
    let (rest, _, _) = list("can_read", 0, Some("doc:first"));
    assert_eq!((rest.items, rest.is_complete), (vec!["doc:second".to_owned()], true));

    // A check that is ended does no more: whoever is asked once is not asked again.
    let check = |stop_at: usize, max_steps: u64| {
        let calls = AtomicUsize::new(0);
        let is_over = || calls.fetch_add(1, Ordering::Relaxed) + 1 >= stop_at;
        let limits = Limits { max_steps, ..Limits::default() };
        let stop = Some(Stop(&is_over));
        let request = RequestContext { stop, limits, ..RequestContext::default() };
        let (user, relation, object) = ("user:1", "can_read", "doc:second");
        let check = CheckRequest { user, relation, object, request };
        (snapshot.check(&model, &check), calls.into_inner())
    };
    assert!(matches!(check(100, 1_000_000), (Ok(true), 6..=9)));
    for stop_at in 1..=5 {
        assert_eq!(check(stop_at, 1_000_000), (Err(RequestError::Stopped), stop_at));
    }
    let exceeded = RequestError::BudgetExceeded(2_500);
    assert_eq!(check(100, 2_500), (Err(exceeded), 2));

    let user_list = |stop_at: usize| {
        let calls = AtomicUsize::new(0);
        let is_over = || calls.fetch_add(1, Ordering::Relaxed) + 1 == stop_at;
        let request = RequestContext { stop: Some(Stop(&is_over)), ..RequestContext::default() };
        let filter = UserFilter { type_name: "user", relation: None };
        let (object, relation) = ("doc:second", "viewer");
        let list = ListUsersRequest { object, relation, filter, request };
        let users = snapshot.list_users(&model, &list, &PageRequest::default()).unwrap();
        (users, calls.into_inner())
    };
    let (users, calls) = user_list(0);
    let one = User::Object { type_name: "user".to_owned(), id: "1".to_owned() };
    assert_eq!((users.items, users.is_complete), (vec![one], true));
    assert!((4..=10).contains(&calls), "{calls}");
    let (users, _) = user_list(1);
    assert!(users.items.is_empty() && !users.is_complete && users.next.is_none());
}

#[test]
fn a_page_begins_only_where_a_page_may_end() {
    let (store, model) = store(DOCS, views(3));
    let snapshot = store.snapshot();
    let request = RequestContext::default();
    let objects = |after: &str| {
        let (user, relation, object_type) = ("user:1", "viewer", "doc");
        let list = ListObjectsRequest { user, relation, object_type, request };
        let page = PageRequest { after: Some(after), max_results: None };
        snapshot.list_objects_page(&model, &list, &page).map(|listing| listing.items)
    };
    assert_eq!(objects("doc:1"), Ok(vec!["doc:2".to_owned()]));
    for token in ["doc:unheard", "doc1", "group:1", "1", ""] {
        assert_eq!(objects(token), Err(RequestError::PageToken), "{token}");
    }
    let users = |relation: Option<&str>, after: &str| {
        let filter = UserFilter { type_name: "user", relation: None };
        let of_groups = UserFilter { type_name: "group", relation };
        let filter = if relation.is_some() { of_groups } else { filter };
        let list = ListUsersRequest { object: "doc:1", relation: "viewer", filter, request };
        let page = PageRequest { after: Some(after), max_results: None };
        snapshot.list_users(&model, &list, &page).map(|listing| listing.items.len())
    };
    assert_eq!(users(None, "user:*"), Ok(1));
    assert_eq!(users(None, "user:1"), Ok(0));
    for token in ["user:2", "user1", "user:1#member", "doc:1", ""] {
        assert_eq!(users(None, token), Err(RequestError::PageToken), "{token}");
    }
    for token in ["group:*#member", "group:*", "group:1#member", "group:1"] {
        assert_eq!(users(Some("member"), token), Err(RequestError::PageToken), "{token}");
    }
}

fn context(x: i64) -> Map<String, Value> {
    json!({ "x": x }).as_object().unwrap().clone()
}

#[test]
fn neighbours_of_a_batch_share_only_what_is_the_same_for_both() {
    let condition = Some(TupleCondition { name: "small".to_owned(), context: Map::new() });
    let validity = Validity { not_before_micros: Some(5), expires_at_micros: None };
    let stored = [
        TupleKey { condition, ..TupleKey::new("user:1", "viewer", "doc:0") },
        TupleKey { validity, ..TupleKey::new("user:1", "viewer", "doc:1") },
        TupleKey::new("user:2", "viewer", "doc:2"),
    ];
    let (store, model) = store(DOCS, stored);
    let snapshot = store.snapshot();
    let (low, again, high) = (context(1), context(1), context(11));
    let along = [TupleKey::new("user:1", "viewer", "doc:2")];
    let other = [TupleKey::new("user:1", "blocked", "doc:0")];
    let invalid = [TupleKey::new("user:1", "none", "doc:0")];
    let plain = RequestContext::default();
    let few = Limits { max_steps: 2, ..Limits::default() };
    let none_along = Limits { max_contextual_tuples: 0, ..Limits::default() };
    let requests = [
        plain,
        RequestContext { context: Some(&low), ..plain },
        RequestContext { context: Some(&again), ..plain },
        RequestContext { context: Some(&high), ..plain },
        RequestContext { context: Some(&low), now_micros: Some(4), ..plain },
        RequestContext { context: Some(&low), now_micros: Some(5), ..plain },
        RequestContext { context: Some(&low), contextual_tuples: &along, ..plain },
        RequestContext { context: Some(&low), contextual_tuples: &other, ..plain },
        RequestContext { context: Some(&low), contextual_tuples: &invalid, ..plain },
        RequestContext { context: Some(&low), limits: few, ..plain },
        RequestContext { contextual_tuples: &along, limits: none_along, ..plain },
        RequestContext { limits: none_along, ..plain },
    ];
    let mut checks = Vec::new();
    for request in requests {
        for user in ["user:1", "user:2", "user", "none:1", "group:1#none"] {
            for relation in ["can_read", "viewer", "none"] {
                for object in ["doc:0", "doc:1", "doc:2", "doc:3", "doc", "group:1"] {
                    checks.push(CheckRequest { user, relation, object, request });
                }
            }
        }
    }
    let single: Vec<_> = checks.iter().map(|check| snapshot.check(&model, check)).collect();
    assert_eq!(snapshot.batch_check(&model, &checks), single);
    let is = |answer: &Result<bool, RequestError>| single.contains(answer);
    assert!(is(&Ok(true)) && is(&Ok(false)) && is(&Err(RequestError::NoTime)));
    assert!(is(&Err(RequestError::BudgetExceeded(2))));
    assert!(is(&Err(RequestError::TooMany { what: "contextual tuples", limit: 0 })));
    // Each beside each other.
    let of_one: Vec<CheckRequest<'_>> = requests
        .iter()
        .flat_map(|request| {
            ["doc:0", "doc:1", "doc:2"].map(|object| CheckRequest {
                user: "user:1",
                relation: "can_read",
                object,
                request: *request,
            })
        })
        .collect();
    for first in &of_one {
        for second in &of_one {
            let both = [*first, *second];
            let each = both.map(|check| snapshot.check(&model, &check));
            assert_eq!(snapshot.batch_check(&model, &both), each, "{both:?}");
        }
    }
    // More than are looked for together, of two types by turns.
    let names: Vec<String> = (0..150).map(|n| format!("doc:{n}")).collect();
    let mut many: Vec<CheckRequest<'_>> = Vec::new();
    for (n, object) in names.iter().enumerate() {
        let check = CheckRequest { user: "user:2", relation: "viewer", object, request: plain };
        many.push(check);
        if n % 70 == 69 {
            many.push(CheckRequest { relation: "member", object: "group:1", ..check });
        }
    }
    let single: Vec<_> = many.iter().map(|check| snapshot.check(&model, check)).collect();
    assert_eq!(snapshot.batch_check(&model, &many), single);
}

#[test]
fn a_user_in_very_many_groups_has_what_they_have() {
    for count in [4_095_usize, 4_096, 4_097, 5_000] {
        let mut tuples: Vec<TupleKey> =
            (0..count).map(|n| TupleKey::new("user:1", "member", format!("group:{n}"))).collect();
        for (n, group) in [0, 7, count - 1, count].into_iter().enumerate() {
            let user = format!("group:{group}#member");
            tuples.push(TupleKey::new(user, "viewer", format!("doc:{n}")));
        }
        let (store, model) = store(DOCS, tuples);
        let snapshot = store.snapshot();
        let (user, relation, request) = ("user:1", "viewer", RequestContext::default());
        let ids = ["0", "1", "2", "3"];
        let filter = FilterRequest { user, relation, object_type: "doc", ids: &ids, request };
        assert_eq!(snapshot.filter(&model, &filter), Ok(vec![true, true, true, false]), "{count}");
        for (id, expected) in ids.into_iter().zip([true, true, true, false]) {
            let object = &format!("doc:{id}");
            let check = CheckRequest { user, relation, object, request };
            assert_eq!(snapshot.check(&model, &check), Ok(expected), "{count}");
        }
    }
}

#[test]
fn expressions_lie_in_each_other_so_deep_and_no_deeper() {
    // r0 is r1 is r2 and so on; the last takes one relation from another.
    let asked = |relations: usize| {
        let mut model = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n".to_owned();
        for n in 0..relations {
            model += &format!("    define r{n}: r{}\n", n + 1);
        }
        model += &format!("    define r{relations}: yes but not no\n");
        model += "    define yes: [user]\n    define no: [user]\n";
        let (store, model) = store(&model, [TupleKey::new("user:1", "yes", "doc:1")]);
        let request = limited(0, 10_000);
        let check = CheckRequest { user: "user:1", relation: "r0", object: "doc:1", request };
        store.snapshot().check(&model, &check)
    };
    // Each of the chain, the `but not`, its operand, and the relation's own tuples.
    assert_eq!(asked(397), Ok(true));
    assert_eq!(asked(398), Err(RequestError::TooComplex));
}

#[test]
fn a_circle_with_a_tuple_that_cannot_be_decided_ends() {
    const FOLDERS: &str = "model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define viewer: [user, user with small] or viewer from parent
condition small(x: int) {
  x < 10
}
";
    let condition = Some(TupleCondition { name: "small".to_owned(), context: Map::new() });
    let mut tuples = vec![TupleKey { condition, ..TupleKey::new("user:1", "viewer", "folder:2") }];
    for n in 0..3 {
        let parent = format!("folder:{}", (n + 1) % 3);
        tuples.push(TupleKey::new(parent, "parent", format!("folder:{n}")));
    }
    tuples.push(TupleKey::new("user:2", "viewer", "folder:1"));
    let (store, model) = store(FOLDERS, tuples);
    let snapshot = store.snapshot();
    let (low, high) = (context(1), context(11));
    for (context, user, expected) in [
        (None, "user:1", None),
        (None, "user:2", Some(true)),
        (None, "user:3", Some(false)),
        (Some(&low), "user:1", Some(true)),
        (Some(&high), "user:1", Some(false)),
    ] {
        let request = RequestContext { context, ..RequestContext::default() };
        for object in ["folder:0", "folder:1", "folder:2"] {
            let check = CheckRequest { user, relation: "viewer", object, request };
            assert_eq!(snapshot.check(&model, &check).ok(), expected, "{check:?}");
        }
    }
}

/// What one user may do to an object, asked in every way; all say the same, or the test fails.
fn ask(
    (store, model): &(FgaStore, Arc<StoreModel>),
    (user, relation, object): (&str, &str, &str),
    request: RequestContext<'_>,
) -> Result<bool, RequestError> {
    let snapshot = store.snapshot();
    let check = CheckRequest { user, relation, object, request };
    let answer = snapshot.check(model, &check);
    assert_eq!(snapshot.batch_check(model, &[check, check]), [answer.clone(), answer.clone()]);
    let (object_type, id) = object.split_once(':').unwrap();
    let filter = FilterRequest { user, relation, object_type, ids: &[id], request };
    assert_eq!(snapshot.filter(model, &filter).map(|answers| answers == [true]), answer);
    let list = ListObjectsRequest { user, relation, object_type, request };
    let listed = snapshot.list_objects(model, &list);
    if let (Ok(objects), Ok(is_allowed)) = (&listed, &answer) {
        assert_eq!(objects.iter().any(|listed| listed == object), *is_allowed, "{check:?}");
        let candidates = snapshot.list_candidates(model, &list).unwrap();
        let is_candidate = |object: &String| {
            candidates.iter().any(|id| object.strip_prefix(object_type) == Some(&format!(":{id}")))
        };
        assert!(objects.iter().all(is_candidate), "{objects:?} of {candidates:?}");
    }
    let filter = UserFilter { type_name: "user", relation: None };
    let list = ListUsersRequest { object, relation, filter, request };
    let users = snapshot.list_users(model, &list, &PageRequest::default());
    let is_user = |listed: &User| [user, "user:*"].contains(&listed.to_string().as_str());
    let is_listed = users.map(|users| users.items.iter().any(is_user));
    assert_eq!(is_listed, answer, "{check:?}");
    answer
}

#[test]
fn a_circle_of_unions_costs_no_hops_and_one_with_an_and_does() {
    const FOLDERS: &str = "model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define open: [user:*]
    define viewer: [user] or viewer from parent
    define reader: [user] or (reader from parent and open)
    define visitor: viewer but not reader
";
    let mut tuples = Vec::new();
    for n in 0..40 {
        tuples.push(TupleKey::new("user:*", "open", format!("folder:{n}")));
        tuples.push(TupleKey::new(format!("folder:{n}"), "parent", format!("folder:{}", n + 1)));
    }
    tuples.push(TupleKey::new("user:1", "viewer", "folder:0"));
    tuples.push(TupleKey::new("user:1", "reader", "folder:0"));
    let world = store(FOLDERS, tuples);
    // With a tuple of its own, a request is answered in another way.
    let along = [TupleKey::new("user:9", "viewer", "folder:none")];
    for contextual_tuples in [&[][..], &along] {
        let request = RequestContext { contextual_tuples, ..RequestContext::default() };
        for hops in [0, 1, 23, 24, 25, 39] {
            let object = &format!("folder:{hops}");
            assert_eq!(ask(&world, ("user:1", "viewer", object), request), Ok(true), "{hops}");
            assert_eq!(ask(&world, ("user:2", "viewer", object), request), Ok(false), "{hops}");
            let (store, model) = &world;
            let check = CheckRequest { user: "user:1", relation: "reader", object, request };
            let is_far = hops >= Limits::default().resolve_node_limit;
            let expected = if is_far { Err(RequestError::TooComplex) } else { Ok(true) };
            assert_eq!(store.snapshot().check(model, &check), expected, "{hops}");
            let filter = UserFilter { type_name: "user", relation: None };
            let list = ListUsersRequest { object, relation: "reader", filter, request };
            let users = store.snapshot().list_users(model, &list, &PageRequest::default());
            assert_eq!(users.map(|users| users.items.len() == 1), expected, "{hops}");
        }
    }
}

#[test]
fn a_tuple_sent_along_stands_before_the_stored_one_of_the_same_user() {
    const DOCS: &str = "model
  schema 1.1
type user
type doc
  relations
    define viewer: [user, user with small, user:*, user:* with small]
    define can_read: viewer
    define can_see: viewer and can_read
condition small(x: int) {
  x < 10
}
";
    let small = |user: &str| {
        let condition = Some(TupleCondition { name: "small".to_owned(), context: Map::new() });
        TupleKey { condition, ..TupleKey::new(user, "viewer", "doc:1") }
    };
    let plain = |user: &str| TupleKey::new(user, "viewer", "doc:1");
    let high = context(11);
    // A user's tuple hides the stored one; a wildcard's is one more.
    for (stored, along, expected) in [
        (plain("user:1"), small("user:1"), false),
        (small("user:1"), plain("user:1"), true),
        (plain("user:2"), small("user:1"), false),
        (plain("user:*"), small("user:*"), true),
        (small("user:*"), plain("user:*"), true),
        (small("user:*"), small("user:*"), false),
        (plain("user:*"), small("user:1"), true),
    ] {
        let world = store(DOCS, [stored.clone()]);
        let contextual_tuples = std::slice::from_ref(&along);
        let request =
            RequestContext { context: Some(&high), contextual_tuples, ..RequestContext::default() };
        for relation in ["viewer", "can_read", "can_see"] {
            let answer = ask(&world, ("user:1", relation, "doc:1"), request);
            assert_eq!(answer, Ok(expected), "{relation} by {stored} and {along}");
        }
    }
}

#[test]
fn what_one_part_of_a_request_left_open_is_looked_at_by_the_next() {
    const DOCS: &str = "model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
type doc
  relations
    define parent: [folder]
    define own: [user]
    define viewer: viewer from parent or own
";
    // The first documents have the user themselves, so the folders above theirs need not be looked
    // at; those after them, more than are worked on together, have the user by those alone.
    let mut tuples = Vec::new();
    for n in 0..256 {
        let (doc, folder) = (format!("doc:{n}"), format!("folder:{}", n % 128));
        tuples.push(TupleKey::new(&*folder, "parent", &*doc));
        let above = format!("folder:above-{}", n % 128);
        if n < 128 {
            tuples.push(TupleKey::new("user:1", "own", doc));
            tuples.push(TupleKey::new(above, "parent", folder));
        } else if n % 3 > 0 {
            tuples.push(TupleKey::new("user:1", "viewer", above));
        }
    }
    let (store, model) = store(DOCS, tuples);
    let ids: Vec<String> = (0..256).map(|n| n.to_string()).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let (user, relation, request) = ("user:1", "viewer", RequestContext::default());
    let filter = FilterRequest { user, relation, object_type: "doc", ids: &ids, request };
    let expected: Vec<bool> = (0..256).map(|n| n < 128 || n % 3 > 0).collect();
    assert_eq!(store.snapshot().filter(&model, &filter), Ok(expected));
}

#[test]
fn a_circle_stays_one_for_what_is_asked_after_it() {
    const DOCS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type doc
  relations
    define first: [group#member]
    define second: [group#member]
    define third: [group#member]
    define own: [user]
    define viewer: (first or second or own) but not third
";
    // The second group leads into a circle, and then to the group that is known from the first.
    let tuples = [
        ("group:y#member", "member", "group:x"),
        ("group:x#member", "member", "group:y"),
        ("group:known#member", "member", "group:x"),
        ("user:9", "member", "group:known"),
        ("group:known#member", "first", "doc:1"),
        ("group:x#member", "second", "doc:1"),
        ("group:y#member", "third", "doc:1"),
        ("user:1", "own", "doc:1"),
    ];
    let world = store(DOCS, tuples.map(|(u, r, o)| TupleKey::new(u, r, o)));
    let request = RequestContext::default();
    assert_eq!(ask(&world, ("user:1", "viewer", "doc:1"), request), Ok(false));
}

#[test]
fn a_hop_out_of_a_circle_counts_and_one_within_does_not() {
    const FOLDERS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
";
    let tuples = [
        ("folder:0", "parent", "folder:1"),
        ("user:1", "viewer", "folder:0"),
        ("folder:2", "parent", "folder:3"),
        ("group:1#member", "viewer", "folder:2"),
        ("user:1", "member", "group:1"),
    ];
    let world = store(FOLDERS, tuples.map(|(u, r, o)| TupleKey::new(u, r, o)));
    for (object, hops) in [("folder:0", 0), ("folder:1", 0), ("folder:2", 1), ("folder:3", 1)] {
        for limit in 1..4 {
            let (store, model) = &world;
            let request = limited(limit, 1_000);
            let check = CheckRequest { user: "user:1", relation: "viewer", object, request };
            let is_far = hops >= limit;
            let expected = if is_far { Err(RequestError::TooComplex) } else { Ok(true) };
            assert_eq!(store.snapshot().check(model, &check), expected, "{object} {limit}");
        }
    }
}

#[test]
fn who_is_left_out_of_a_wildcard_is_said_and_what_a_change_gives() {
    const DOCS: &str = "model
  schema 1.1
type user
type doc
  relations
    define blocked: [user]
    define open: [user, user:*]
    define viewer: open but not blocked
";
    let tuples = [
        ("user:*", "open", "doc:1"),
        ("user:1", "blocked", "doc:1"),
        ("user:2", "blocked", "doc:2"),
        ("user:2", "open", "doc:2"),
    ];
    let (store, model) = store(DOCS, tuples.map(|(u, r, o)| TupleKey::new(u, r, o)));
    let (before, request) = (store.snapshot(), RequestContext::default());
    let excluded = |object: &str| {
        let filter = UserFilter { type_name: "user", relation: None };
        let list = ListUsersRequest { object, relation: "viewer", filter, request };
        let users = before.list_excluded_users(&model, &list).unwrap();
        users.iter().map(User::to_string).collect::<Vec<_>>()
    };
    assert_eq!(excluded("doc:1"), ["user:1"]);
    assert_eq!(excluded("doc:2"), Vec::<String>::new());

    let changes = ["doc:2", "doc:3"].map(|object| {
        let tuple = TupleKey::new("user:1", "open", object);
        Change::Write(tuple)
    });
    let delete = TupleKey::new("user:1", "blocked", "doc:1").delete_key();
    let after = before.with_changes(&[&changes[..], &[Change::Delete(delete)]].concat()).unwrap();
    let side = |snapshot| Side { snapshot, model: &model };
    let (user, relation, object_type) = ("user:1", "viewer", "doc");
    let list = ListObjectsRequest { user, relation, object_type, request };
    let gained = AccessDiff::of_objects(side(&before), side(&after), &list).unwrap();
    assert_eq!(gained.gained, ["doc:1", "doc:2", "doc:3"]);
    assert_eq!(gained.lost, Vec::<String>::new());
    let lost = AccessDiff::of_objects(side(&after), side(&before), &list).unwrap();
    assert_eq!((lost.gained, lost.lost), (gained.lost, gained.gained));
}

#[test]
fn what_unions_decide_takes_no_step_of_the_budget() {
    const DOCS: &str = "model
  schema 1.1
type user
type agent
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
    define editor: [user]
    define viewer: editor or viewer from parent
";
    let tuples = [
        ("user:1", "member", "group:inner"),
        ("group:inner#member", "member", "group:outer"),
        ("group:outer#member", "viewer", "folder:top"),
        ("folder:top", "parent", "folder:below"),
        ("folder:below", "parent", "doc:0"),
        ("user:1", "editor", "doc:1"),
        ("user:2", "viewer", "folder:other"),
        ("folder:other", "parent", "doc:2"),
        ("user:*", "viewer", "folder:open"),
        ("folder:open", "parent", "doc:3"),
    ];
    let (store, model) = store(DOCS, tuples.map(|(u, r, o)| TupleKey::new(u, r, o)));
    let snapshot = store.snapshot();
    // These are found without the evaluator, which would say at its first step that it may not.
    let request = limited(0, 0);
    for (user, expected) in [
        ("user:1", [true, true, false, true]),
        ("user:2", [false, false, true, true]),
        ("user:3", [false, false, false, true]),
        ("agent:1", [false; 4]),
    ] {
        let relation = "viewer";
        let ids = ["0", "1", "2", "3"];
        for (id, expected) in ids.into_iter().zip(expected) {
            let object = &format!("doc:{id}");
            let check = CheckRequest { user, relation, object, request };
            assert_eq!(snapshot.check(&model, &check), Ok(expected), "{user} {object}");
        }
        let filter = FilterRequest { user, relation, object_type: "doc", ids: &ids, request };
        assert_eq!(snapshot.filter(&model, &filter), Ok(expected.to_vec()), "{user}");
    }
}

#[test]
fn a_condition_on_a_way_that_leads_to_no_such_user_is_not_looked_at() {
    const DOCS: &str = "model
  schema 1.1
type user
type agent
type doc
  relations
    define by_agent: [agent with small]
    define viewer: [user] or by_agent
condition small(x: int) {
  x < 10
}
";
    let condition = Some(TupleCondition { name: "small".to_owned(), context: Map::new() });
    let (store, model) = store(
        DOCS,
        [
            TupleKey::new("user:1", "viewer", "doc:1"),
            TupleKey { condition, ..TupleKey::new("agent:1", "by_agent", "doc:1") },
        ],
    );
    let users = |type_name| {
        let filter = UserFilter { type_name, relation: None };
        let (object, relation, request) = ("doc:1", "viewer", RequestContext::default());
        let list = ListUsersRequest { object, relation, filter, request };
        let users = store.snapshot().list_users(&model, &list, &PageRequest::default());
        users.map(|users| users.items.len())
    };
    assert_eq!(users("user"), Ok(1));
    assert!(matches!(users("agent"), Err(RequestError::Condition { .. })));
}
