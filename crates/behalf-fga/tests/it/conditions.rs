//! Conditions where OpenFGA's files do not look: every kind of direct relation, under every way on,
//! with the values given, not given and wrong, tuples stored and sent along.

use std::sync::Arc;

use behalf_fga::{
    AuthorizationModel, CheckRequest, ErrorCode, FgaStore, ListObjectsRequest, ListUsersRequest,
    PageRequest, RequestContext, Snapshot, StoreModel, TupleCondition, TupleKey, UserFilter,
    WriteRequest,
};
use serde_json::{Map, Value, json};

/// Each relation of a document comes down to `direct` of `doc:1`; `none` holds for nobody.
const MODEL: &str = "model
  schema 1.1
type user
type other
type group
  relations
    define direct: [user, user with c, user:*, user:* with c, other]
type doc
  relations
    define none: [user]
    define direct: [user, user with c, user:*, user:* with c, other]
    define computed: third
    define third: second
    define second: direct
    define any_of: none or computed
    define all_of: direct and computed
    define except: direct but not none
    define group: [group#direct, group#direct with d]
    define parent: [group, group with d]
    define inherited: direct from parent
    define mixed: (group and inherited) or (none but not direct)
condition c(x: int) {
  x < 10
}
condition d(y: bool) {
  y
}
";

const SAME: [&str; 6] = ["direct", "computed", "any_of", "all_of", "except", "third"];

fn with(name: &str, tuple: TupleKey) -> TupleKey {
    TupleKey {
        condition: Some(TupleCondition { name: name.to_owned(), context: Map::new() }),
        ..tuple
    }
}

/// A question's answer, or that it is OpenFGA's 2000.
type Answer<T> = Result<T, ErrorCode>;

struct World {
    snapshot: Arc<Snapshot>,
    model: Arc<StoreModel>,
    along: Vec<TupleKey>,
}

impl World {
    /// The same tuples, stored and sent along with each question.
    fn both(model: &str, tuples: &[TupleKey]) -> [Self; 2] {
        [true, false].map(|is_stored| {
            let mut fga = FgaStore::new();
            let model = fga.add_model(AuthorizationModel::from_dsl(model).unwrap()).unwrap();
            if is_stored {
                let writes = tuples.to_vec();
                fga.write(&model, &WriteRequest { writes, ..WriteRequest::default() }).unwrap();
            }
            let along = if is_stored { Vec::new() } else { tuples.to_vec() };
            Self { snapshot: fga.snapshot(), model, along }
        })
    }

    fn check(&self, user: &str, relation: &str, object: &str, context: &Value) -> Answer<bool> {
        let request = self.request(context);
        let check = CheckRequest { user, relation, object, request };
        self.snapshot.check(&self.model, &check).map_err(|error| error.code())
    }

    fn objects(&self, user: &str, relation: &str, context: &Value) -> Answer<Vec<String>> {
        let request = self.request(context);
        let list = ListObjectsRequest { user, relation, object_type: "doc", request };
        self.snapshot.list_objects(&self.model, &list).map_err(|error| error.code())
    }

    fn users(&self, relation: &str, object: &str, context: &Value) -> Answer<Vec<String>> {
        let request = self.request(context);
        let filter = UserFilter { type_name: "user", relation: None };
        let list = ListUsersRequest { object, relation, filter, request };
        let listed = self.snapshot.list_users(&self.model, &list, &PageRequest::default());
        let named = listed.map(|listed| listed.items.iter().map(ToString::to_string).collect());
        named.map_err(|error| error.code())
    }

    fn request<'a>(&'a self, context: &'a Value) -> RequestContext<'a> {
        RequestContext {
            contextual_tuples: &self.along,
            context: context.as_object(),
            ..RequestContext::default()
        }
    }
}

const REFUSED: ErrorCode = ErrorCode::ValidationError;

#[test]
fn every_kind_of_direct_relation_holds_under_every_way_on() {
    for (user, is_conditioned) in
        [("user:ann", false), ("user:ann", true), ("user:*", false), ("user:*", true)]
    {
        let tuple = |object: &str| {
            let tuple = TupleKey::new(user, "direct", object);
            if is_conditioned { with("c", tuple) } else { tuple }
        };
        let group = TupleKey::new("group:g#direct", "group", "doc:1");
        let parent = TupleKey::new("group:g", "parent", "doc:1");
        let tuples = [tuple("doc:1"), tuple("group:g"), group, parent];
        for world in World::both(MODEL, &tuples) {
            for (context, holds) in [
                (json!({}), if is_conditioned { Err(REFUSED) } else { Ok(true) }),
                (json!({"x": 1}), Ok(true)),
                (json!({"x": 11}), Ok(!is_conditioned)),
                (json!({"x": "many"}), if is_conditioned { Err(REFUSED) } else { Ok(true) }),
            ] {
                for relation in SAME.into_iter().chain(["group", "inherited", "mixed"]) {
                    let place = format!("{user} {is_conditioned} {relation} {context}");
                    let is = |user: &str| world.check(user, relation, "doc:1", &context);
                    assert_eq!(is("user:ann"), holds, "{place}");
                    // The wildcard itself is granted exactly where a tuple of it grants.
                    let (others, itself) =
                        if user == "user:*" { (holds, holds) } else { (Ok(false), Ok(false)) };
                    assert_eq!(is("user:bob"), others, "{place}");
                    assert_eq!(is("user:*"), itself, "{place}");
                    assert_eq!(is("other:x"), Ok(false), "{place}");
                    let listed = |holds: Answer<bool>, what: &str| {
                        holds.map(|h| if h { vec![what.to_owned()] } else { Vec::new() })
                    };
                    let objects = |user: &str| world.objects(user, relation, &context);
                    assert_eq!(objects("user:ann"), listed(holds, "doc:1"), "{place}");
                    assert_eq!(objects("other:x"), Ok(Vec::new()), "{place}");
                    let users = world.users(relation, "doc:1", &context);
                    assert_eq!(users, listed(holds, user), "{place}");
                }
            }
        }
    }
}

#[test]
fn a_condition_on_the_way_counts_like_one_at_its_end() {
    let tuples = [
        TupleKey::new("user:ann", "direct", "group:g"),
        with("d", TupleKey::new("group:g#direct", "group", "doc:1")),
        with("d", TupleKey::new("group:g", "parent", "doc:1")),
    ];
    for world in World::both(MODEL, &tuples) {
        for relation in ["group", "inherited", "mixed"] {
            let is = |context: Value| world.check("user:ann", relation, "doc:1", &context);
            assert_eq!(is(json!({"y": true})), Ok(true), "{relation}");
            assert_eq!(is(json!({"y": false})), Ok(false), "{relation}");
            assert_eq!(is(json!({})), Err(REFUSED), "{relation}");
            assert_eq!(is(json!({"y": 1})), Err(REFUSED), "{relation}");
        }
    }
}

#[test]
fn values_that_are_missing_matter_only_where_a_tuple_needs_them() {
    let tuples = [with("c", TupleKey::new("user:valid", "direct", "doc:1"))];
    for world in World::both(MODEL, &tuples) {
        let nothing = json!({});
        assert_eq!(world.check("user:valid", "direct", "doc:1", &nothing), Err(REFUSED));
        assert_eq!(world.check("user:other", "direct", "doc:1", &nothing), Ok(false));
        assert_eq!(world.users("direct", "doc:1", &nothing), Err(REFUSED));
        assert_eq!(world.objects("user:other", "direct", &nothing), Ok(Vec::new()));
    }
    // A conditioned wildcard needs them of every user, but only on its own object.
    let tuples = [with("c", TupleKey::new("user:*", "direct", "doc:1"))];
    for world in World::both(MODEL, &tuples) {
        let nothing = json!({});
        assert_eq!(world.objects("user:anybody", "direct", &nothing), Err(REFUSED));
        assert_eq!(world.check("user:anybody", "direct", "doc:2", &nothing), Ok(false));
    }
}

#[test]
fn values_that_nothing_asks_for_change_nothing() {
    let tuples = [TupleKey::new("user:ann", "direct", "doc:1")];
    for world in World::both(MODEL, &tuples) {
        for context in [json!({}), json!({"x": "many"}), json!({"z": [1, {"a": null}]})] {
            assert_eq!(world.check("user:ann", "direct", "doc:1", &context), Ok(true));
            assert_eq!(world.objects("user:ann", "direct", &context), Ok(vec!["doc:1".to_owned()]));
            let users = world.users("direct", "doc:1", &context);
            assert_eq!(users, Ok(vec!["user:ann".to_owned()]));
        }
    }
}

#[test]
fn any_is_compared_by_value() {
    let model = "model
  schema 1.1
type user
type doc
  relations
    define direct: [user with same]
condition same(a: any, b: any) {
  a == b
}
";
    let values = [
        json!("a"),
        json!(1),
        json!(true),
        json!(null),
        json!([1, 2]),
        json!([[1], ["a"]]),
        json!({"a": 1}),
        json!({"a": {"b": [1, null]}}),
        json!({"a": [1, {"b": "c"}], "d": false}),
    ];
    for (at, value) in values.iter().enumerate() {
        let context = json!({"a": value}).as_object().unwrap().clone();
        let condition = Some(TupleCondition { name: "same".to_owned(), context });
        let tuple = TupleKey { condition, ..TupleKey::new("user:ann", "direct", "doc:1") };
        for world in World::both(model, &[tuple]) {
            for (other, given) in values.iter().enumerate() {
                let context = json!({"b": given});
                let is = world.check("user:ann", "direct", "doc:1", &context);
                assert_eq!(is, Ok(at == other), "{value} and {given}");
                let objects = world.objects("user:ann", "direct", &context).unwrap();
                assert_eq!(!objects.is_empty(), at == other, "{value} and {given}");
            }
            assert_eq!(world.check("user:ann", "direct", "doc:1", &json!({})), Err(REFUSED));
            assert_eq!(world.users("direct", "doc:1", &json!({})), Err(REFUSED));
        }
    }
}
