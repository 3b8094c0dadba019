//! What lies beside the way to an answer: circles, bounds and undecided tuples that must not leak
//! into it, and what a list, a difference or a validation says of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use behalf_fga::{
    AccessDiff, AuthorizationModel, Change, CheckRequest, FgaStore, Limits, ListObjectsRequest,
    ListUsersRequest, PageRequest, RequestContext, RequestError, Side, Stop, StoreModel,
    TupleCondition, TupleError, TupleKey, User, UserFilter,
};
use serde_json::{Map, json};

fn store(model: &str, tuples: impl IntoIterator<Item = TupleKey>) -> (FgaStore, Arc<StoreModel>) {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(model).unwrap()).unwrap();
    let changes: Vec<Change> = tuples.into_iter().map(Change::Write).collect();
    store.apply(&changes).unwrap();
    (store, model)
}

fn tuple((user, relation, object): (&str, &str, &str)) -> TupleKey {
    TupleKey::new(user, relation, object)
}

/// The same under the condition `small`, with no value of its own.
fn small(key: (&str, &str, &str)) -> TupleKey {
    let condition = Some(TupleCondition { name: "small".to_owned(), context: Map::new() });
    TupleKey { condition, ..tuple(key) }
}

fn hops(resolve_node_limit: u32) -> RequestContext<'static> {
    let limits = Limits { resolve_node_limit, ..Limits::default() };
    RequestContext { limits, ..RequestContext::default() }
}

type World = (FgaStore, Arc<StoreModel>);

fn check(
    (store, model): &World,
    (user, relation, object): (&str, &str, &str),
    request: RequestContext<'_>,
) -> Result<bool, RequestError> {
    store.snapshot().check(model, &CheckRequest { user, relation, object, request })
}

fn users(
    (store, model): &World,
    (type_name, relation, object): (&str, &str, &str),
    request: RequestContext<'_>,
) -> Result<Vec<String>, RequestError> {
    let filter = UserFilter { type_name, relation: None };
    let list = ListUsersRequest { object, relation, filter, request };
    let listed = store.snapshot().list_users(model, &list, &PageRequest::default())?;
    Ok(listed.items.iter().map(User::to_string).collect())
}

#[test]
fn an_and_beside_a_circle_leaves_its_hops_free_and_one_in_it_does_not() {
    const FOLDERS: &str = "model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define link: [folder]
    define open: [user:*]
    define viewer: ([user] and open) or viewer from parent
    define reader: [user] or reader from parent or (reader from link and open)
";
    let mut tuples = Vec::new();
    for n in 0..40 {
        let (below, above) = (format!("folder:{}", n + 1), format!("folder:{n}"));
        tuples.push(tuple(("user:*", "open", &above)));
        tuples.push(tuple((&above, "parent", &below)));
    }
    tuples.push(tuple(("user:1", "viewer", "folder:0")));
    tuples.push(tuple(("user:1", "reader", "folder:0")));
    let world = store(FOLDERS, tuples);
    let request = RequestContext::default();
    for far in [0, 1, 24, 25, 39] {
        let object = &format!("folder:{far}");
        assert_eq!(check(&world, ("user:1", "viewer", object), request), Ok(true), "{far}");
        assert_eq!(check(&world, ("user:2", "viewer", object), request), Ok(false), "{far}");
        let listed = users(&world, ("user", "viewer", object), request);
        assert_eq!(listed, Ok(vec!["user:1".to_owned()]), "{far}");
        let is_far = far >= Limits::default().resolve_node_limit;
        let expected = if is_far { Err(RequestError::TooComplex) } else { Ok(true) };
        assert_eq!(check(&world, ("user:1", "reader", object), request), expected, "{far}");
    }
}

#[test]
fn an_and_is_undecided_by_a_bound_and_not_by_what_a_circle_denies() {
    const DOCS: &str = "model
  schema 1.1
type user
type doc
  relations
    define parent: [doc]
    define granted: [user]
    define small: [user with small]
    define round: [user] or round from parent
    define far: granted from parent
    define far_round: far and round
    define small_round: small and round
    define small_far_round: small and far and round
    define far_small_round: far and small and round
condition small(x: int) {
  x < 10
}
";
    let world = store(
        DOCS,
        [
            tuple(("doc:1", "parent", "doc:1")),
            tuple(("user:1", "granted", "doc:1")),
            small(("user:1", "small", "doc:1")),
        ],
    );
    // The parent is one hop away, which is too far; the circle needs no hops.
    let too_far = Err(RequestError::TooComplex);
    for (relation, expected) in [
        ("far", too_far.clone()),
        ("round", Ok(false)),
        ("far_round", too_far.clone()),
        ("small_round", Ok(false)),
        ("small_far_round", too_far.clone()),
        ("far_small_round", too_far),
    ] {
        assert_eq!(check(&world, ("user:1", relation, "doc:1"), hops(1)), expected, "{relation}");
    }
}

#[test]
fn what_leads_into_a_circle_known_before_is_no_plain_false() {
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
    let world = store(
        DOCS,
        [
            ("group:c2#member", "member", "group:c1"),
            ("group:c1#member", "member", "group:c2"),
            ("group:c1#member", "member", "group:w"),
            ("group:w#member", "member", "group:y"),
            ("group:c1#member", "first", "doc:1"),
            ("group:y#member", "second", "doc:1"),
            ("group:w#member", "third", "doc:1"),
            ("user:1", "own", "doc:1"),
        ]
        .map(tuple),
    );
    let request = RequestContext::default();
    assert_eq!(check(&world, ("user:1", "viewer", "doc:1"), request), Ok(false));
}

#[test]
fn a_group_that_could_not_be_decided_is_undecided_again_beside_a_but_not() {
    const DOCS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user with small, group#member]
type doc
  relations
    define first: [group#member]
    define second: [group#member]
    define own: [user]
    define viewer: (first or own) but not second
    define reader: own but not second
condition small(x: int) {
  x < 10
}
";
    let world = store(
        DOCS,
        [
            small(("user:1", "member", "group:1")),
            tuple(("group:1#member", "member", "group:2")),
            tuple(("group:2#member", "first", "doc:1")),
            tuple(("group:1#member", "second", "doc:1")),
            tuple(("user:1", "own", "doc:1")),
            tuple(("user:2", "own", "doc:1")),
        ],
    );
    // What `first` says does not matter beside `own`, and is nothing that `second` may build upon.
    for relation in ["viewer", "reader"] {
        let asked = check(&world, ("user:1", relation, "doc:1"), RequestContext::default());
        assert!(matches!(asked, Err(RequestError::Condition { .. })), "{relation}: {asked:?}");
        let asked = check(&world, ("user:2", relation, "doc:1"), RequestContext::default());
        assert_eq!(asked, Ok(true), "{relation}");
    }
}

#[test]
fn a_list_of_users_ends_at_the_hop_limit_though_nobody_is_there() {
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
type doc
  relations
    define near: [folder]
    define viewer: viewer from near
";
    let world = store(
        FOLDERS,
        [
            ("group:empty#member", "viewer", "folder:0"),
            ("folder:0", "parent", "folder:1"),
            ("folder:1", "near", "doc:1"),
        ]
        .map(tuple),
    );
    for (object, count) in [("folder:0", 1), ("folder:1", 1), ("doc:1", 2)] {
        for limit in 1..4 {
            let is_far = count >= limit;
            let expected = if is_far { Err(RequestError::TooComplex) } else { Ok(Vec::new()) };
            let listed = users(&world, ("user", "viewer", object), hops(limit));
            assert_eq!(listed, expected, "{object} within {limit}");
        }
    }
}

#[test]
fn only_users_of_the_kind_that_a_tuple_names_come_by_it() {
    const DOCS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type agent
type team
  relations
    define member: [agent]
type doc
  relations
    define viewer: [user, group#member with small]
    define by_team: [team#member with small]
condition small(x: int) {
  x < 10
}
";
    let world = store(
        DOCS,
        [
            tuple(("user:1", "member", "group:1")),
            small(("group:1#member", "viewer", "doc:1")),
            tuple(("agent:1", "member", "team:1")),
            small(("team:1#member", "by_team", "doc:1")),
        ],
    );
    let request = RequestContext::default();
    for user in ["group:1", "agent:1", "group:*", "agent:*"] {
        assert_eq!(check(&world, (user, "viewer", "doc:1"), request), Ok(false), "{user}");
    }
    for user in ["user:1", "group:1", "group:1#member"] {
        assert_eq!(check(&world, (user, "by_team", "doc:1"), request), Ok(false), "{user}");
    }
    for (user, relation) in [
        ("user:1", "viewer"),
        ("group:1#member", "viewer"),
        ("agent:1", "by_team"),
        ("team:1#member", "by_team"),
    ] {
        let answer = check(&world, (user, relation, "doc:1"), request);
        assert!(matches!(answer, Err(RequestError::Condition { .. })), "{user}: {answer:?}");
    }
}

#[test]
fn candidates_are_there_whatever_their_conditions_say() {
    const DOCS: &str = "model
  schema 1.1
type user
type doc
  relations
    define blocked: [user]
    define direct: [user with small]
    define viewer: direct but not blocked
condition small(x: int) {
  x < 10
}
";
    let (store, model) = store(
        DOCS,
        [
            small(("user:1", "direct", "doc:1")),
            small(("user:1", "direct", "doc:2")),
            tuple(("user:1", "blocked", "doc:2")),
            small(("user:2", "direct", "doc:3")),
        ],
    );
    let high = json!({"x": 11}).as_object().unwrap().clone();
    let request = RequestContext { context: Some(&high), ..RequestContext::default() };
    let list =
        ListObjectsRequest { user: "user:1", relation: "viewer", object_type: "doc", request };
    let snapshot = store.snapshot();
    let mut candidates = snapshot.list_candidates(&model, &list).unwrap();
    candidates.sort_unstable();
    assert_eq!(candidates, ["1", "2"]);
    assert_eq!(snapshot.list_objects(&model, &list), Ok(Vec::new()));
}

#[test]
fn who_gains_and_who_loses_is_said_of_whole_lists_only() {
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
        ("user:1", "open", "doc:1"),
        ("user:2", "open", "doc:1"),
        ("user:3", "open", "doc:1"),
        ("user:3", "blocked", "doc:1"),
    ];
    let (store, model) = store(DOCS, tuples.map(tuple));
    let before = store.snapshot();
    let changes = [
        Change::Delete(tuple(("user:1", "open", "doc:1")).delete_key()),
        Change::Delete(tuple(("user:3", "blocked", "doc:1")).delete_key()),
        Change::Write(tuple(("user:4", "open", "doc:1"))),
    ];
    let after = before.with_changes(&changes).unwrap();
    let side = |snapshot| Side { snapshot, model: &model };
    let filter = UserFilter { type_name: "user", relation: None };
    let (object, relation, request) = ("doc:1", "viewer", RequestContext::default());
    let list = ListUsersRequest { object, relation, filter, request };
    let diff = AccessDiff::of_users(side(&before), side(&after), &list).unwrap();
    assert_eq!(diff.gained, ["user:3", "user:4"]);
    assert_eq!(diff.lost, ["user:1"]);

    let calls = AtomicUsize::new(0);
    let is_over = || calls.fetch_add(1, Ordering::Relaxed) > 0;
    let request = RequestContext { stop: Some(Stop(&is_over)), ..request };
    let list = ListUsersRequest { request, ..list };
    let diff = AccessDiff::of_users(side(&before), side(&after), &list);
    assert_eq!(diff, Err(RequestError::Stopped));
}

#[test]
fn who_is_let_in_beside_a_wildcard_is_not_left_out_of_it() {
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
        ("user:1", "open", "doc:1"),
        ("user:2", "open", "doc:1"),
        ("user:2", "blocked", "doc:1"),
        ("user:3", "blocked", "doc:1"),
    ];
    let (store, model) = store(DOCS, tuples.map(tuple));
    let filter = UserFilter { type_name: "user", relation: None };
    let (object, relation, request) = ("doc:1", "viewer", RequestContext::default());
    let list = ListUsersRequest { object, relation, filter, request };
    let excluded = store.snapshot().list_excluded_users(&model, &list).unwrap();
    let excluded: Vec<String> = excluded.iter().map(User::to_string).collect();
    assert_eq!(excluded, ["user:2", "user:3"]);
}

#[test]
fn a_tuple_and_a_question_can_be_looked_at_by_themselves() {
    const DOCS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type doc
  relations
    define viewer: [user, group#member]
";
    let (_, model) = store(DOCS, []);
    let not_found = |name: &str| TupleError::TypeNotFound(name.to_owned());
    let no_relation = |object_type: &str, relation: &str| TupleError::RelationNotFound {
        object_type: object_type.to_owned(),
        relation: relation.to_owned(),
    };
    for (key, question, is_tuple) in [
        (("user:1", "viewer", "doc:1"), Ok(()), true),
        (("group:1#member", "viewer", "doc:1"), Ok(()), true),
        // May be asked, and never be written.
        (("user:*", "viewer", "doc:1"), Ok(()), false),
        (("group:1", "viewer", "doc:1"), Ok(()), false),
        (("group:1#member", "member", "group:1"), Ok(()), false),
        (("user", "viewer", "doc:1"), Err(TupleError::UntypedUser), false),
        (("none:1", "viewer", "doc:1"), Err(not_found("none")), false),
        (("group:1#none", "viewer", "doc:1"), Err(no_relation("group", "none")), false),
        (("user:1", "viewer", "none:1"), Err(not_found("none")), false),
        (("user:1", "none", "doc:1"), Err(no_relation("doc", "none")), false),
        (("user:1", "viewer", "doc"), Err(TupleError::MalformedObject), false),
    ] {
        let (user, relation, object) = key;
        assert_eq!(model.validate_question(user, relation, object), question, "{key:?}");
        assert_eq!(model.validate_tuple(&tuple(key)).is_ok(), is_tuple, "{key:?}");
        assert_eq!(model.validate_write(&tuple(key)).is_ok(), is_tuple, "{key:?}");
    }
    // What only a write refuses.
    let validity = behalf_fga::Validity { not_before_micros: Some(5), expires_at_micros: Some(5) };
    let never = TupleKey { validity, ..tuple(("user:1", "viewer", "doc:1")) };
    assert_eq!(model.validate_write(&never), Err(TupleError::NeverValid));
}

#[test]
fn neither_usersets_nor_objects_come_by_ways_of_the_other() {
    const DOCS: &str = "model
  schema 1.1
type user
type agent
type team
  relations
    define lead: [user, agent]
type group
  relations
    define member: [user, agent]
    define guest: [team#lead]
type doc
  relations
    define viewer: [team#lead, group#member with small]
    define reader: [team, group#guest with small]
condition small(x: int) {
  x < 10
}
";
    let world = store(
        DOCS,
        [
            tuple(("team:1#lead", "viewer", "doc:2")),
            small(("group:1#member", "viewer", "doc:1")),
            tuple(("team:1", "reader", "doc:2")),
            small(("group:1#guest", "reader", "doc:1")),
        ],
    );
    // Users are members; a team's leads are guests, a team is not.
    for (user, relation) in [("team:1#lead", "viewer"), ("team:1", "reader")] {
        let [first, second] = ["doc:1", "doc:2"]
            .map(|object| check(&world, (user, relation, object), RequestContext::default()));
        assert_eq!((first, second), (Ok(false), Ok(true)), "{user}");
    }
    for (user, relation) in [("user:1", "viewer"), ("team:1#lead", "reader")] {
        let asked = check(&world, (user, relation, "doc:1"), RequestContext::default());
        assert!(matches!(asked, Err(RequestError::Condition { .. })), "{user}");
    }
}

#[test]
fn a_relation_grants_what_each_of_many_relations_below_it_grants() {
    // More relations than are looked at as one, each of the two before.
    let mut model = String::from("model\n  schema 1.1\ntype user\ntype doc\n  relations\n");
    model += "    define r0: [user]\n    define r1: [user] or r0\n";
    for n in 2..70 {
        model += &format!("    define r{n}: [user, user:*] or r{} or r{}\n", n - 1, n - 2);
    }
    let given = [0, 1, 20, 31, 32, 33, 50, 69];
    let own = given.map(|n| TupleKey::new(format!("user:{n}"), format!("r{n}"), "doc:1"));
    let everybody = TupleKey::new("user:*", "r34", "doc:2");
    let world = store(&model, own.into_iter().chain([everybody]));
    let has = |user: usize, n: usize, object: &str| {
        let (user, relation) = (format!("user:{user}"), format!("r{n}"));
        check(&world, (&user, &relation, object), hops(0)).unwrap()
    };
    for n in 0..70 {
        for user in given {
            assert_eq!(has(user, n, "doc:1"), user <= n, "user:{user} r{n}");
        }
        assert!(!has(2, n, "doc:1"), "r{n}");
        assert_eq!(has(2, n, "doc:2"), n >= 34, "r{n}");
    }
}
