//! Checks as OpenFGA's weighted graph answers them: each was asked of an OpenFGA v1.18.1 with
//! `weighted_graph_check`.

use std::sync::Arc;

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, OnConflict, RequestContext, RequestError,
    SemanticChange as Change, Semantics, Snapshot, StoreModel, TupleCondition, TupleError,
    TupleKey, Unfit, WriteRequest,
};
use serde_json::json;

fn key(text: &str) -> TupleKey {
    let mut words = text.split(' ');
    let mut next = || words.next().unwrap().to_owned();
    TupleKey::new(next(), next(), next())
}

/// A store of types and relations, each tuple written `user relation object`.
fn store(types: &str, tuples: &[&str]) -> (Arc<Snapshot>, Arc<StoreModel>) {
    let model = AuthorizationModel::from_dsl(&format!("model\n  schema 1.1\n{types}")).unwrap();
    let mut fga = FgaStore::new();
    let model = fga.add_model(model).unwrap();
    if !tuples.is_empty() {
        let writes = tuples.iter().map(|text| key(text)).collect();
        let on_duplicate = OnConflict::Ignore;
        let write = WriteRequest { writes, on_duplicate, ..WriteRequest::default() };
        fga.write(&model, &write).unwrap();
    }
    (fga.snapshot(), model)
}

/// What v1 and v2 say, and why they differ.
#[track_caller]
fn compare(
    (snapshot, model): &(Arc<Snapshot>, Arc<StoreModel>),
    question: &str,
    expected: (bool, bool, Option<Change>),
) {
    let TupleKey { user, relation, object, .. } = key(question);
    let check = CheckRequest {
        user: &user,
        relation: &relation,
        object: &object,
        request: RequestContext::default(),
    };
    let compared = snapshot.compare_semantics(model, &check);
    let answers = (compared.v1.clone().unwrap(), compared.v2.clone().unwrap(), compared.change);
    assert_eq!(answers, expected, "{question}");
    assert_eq!(snapshot.check_v2(model, &check), compared.v2, "{question}");
    assert_eq!(snapshot.batch_check_v2(model, &[check]), [compared.v2], "{question}");
}

const USERSETS: &str = "
type user
type folder
  relations
    define viewer: [user]
type doc
  relations
    define parent: [folder]
    define reader: [user]
    define allowed: reader
    define viewer: [user, doc#allowed]
    define written: [user] or reader
    define inherited: viewer from parent
    define through: inherited
    define nested: [doc#nested, user]
";

#[test]
fn a_userset_has_what_stored_tuples_give_it() {
    let store = store(
        USERSETS,
        &[
            "doc:s#allowed viewer doc:t",
            "folder:f parent doc:t",
            "doc:1#nested nested doc:2",
            "doc:2#nested nested doc:3",
            "user:a reader doc:s",
            "user:a viewer folder:f",
        ],
    );
    let check = |question: &str, v1: bool, v2: bool, change: Option<Change>| {
        compare(&store, question, (v1, v2, change));
    };
    check("doc:t#viewer viewer doc:t", true, false, Some(Change::SelfReferentialUserset));
    check("folder:f#viewer viewer folder:f", true, false, Some(Change::SelfReferentialUserset));
    check("doc:s#allowed viewer doc:t", true, true, None);
    check("doc:s#reader viewer doc:t", true, false, Some(Change::AliasUserset));
    check("doc:t#reader allowed doc:t", true, false, Some(Change::ComputedUsersetSelfObject));
    check("doc:t#reader written doc:t", true, false, Some(Change::ComputedUsersetSelfObject));
    check("folder:f#viewer inherited doc:t", true, false, Some(Change::TtuUserset));
    check("folder:f#viewer through doc:t", true, false, Some(Change::TtuUserset));
    check("folder:g#viewer inherited doc:t", false, false, None);
    // In a recursive relation the tuples lead on.
    check("doc:1#nested nested doc:1", true, false, Some(Change::SelfReferentialUserset));
    check("doc:1#nested nested doc:2", true, true, None);
    check("doc:1#nested nested doc:3", true, true, None);
    check("doc:3#nested nested doc:1", false, false, None);
    // Users are answered as ever.
    check("user:a viewer doc:t", true, true, None);
    check("user:a inherited doc:t", true, true, None);
    check("user:b viewer doc:t", false, false, None);
}

const EXCLUSIONS: &str = "
type user
type group
  relations
    define member: [user]
type doc
  relations
    define banned: [user, group#member]
    define gone: [user]
    define public: [user:*]
    define viewer: [user, group#member] but not gone
    define editor: [user, group#member] but not banned
    define open: public but not gone
    define shown: [user:*] or open
    define both: open and public
    define none: [user:*] and gone
    define parent: [group]
    define guarded: [user, group#member] but not member from parent
";

#[test]
fn v2_asks_v1_where_a_but_not_leaves_it_without_an_answer() {
    let store = store(
        EXCLUSIONS,
        &[
            "group:1#member viewer doc:1",
            "group:1#member editor doc:1",
            "group:2#member editor doc:1",
            "group:2#member banned doc:1",
            "group:1#member guarded doc:1",
            "group:1#member guarded doc:2",
            "group:1 parent doc:2",
            "user:* public doc:1",
            "user:* shown doc:2",
            "user:* none doc:1",
            "user:a gone doc:1",
        ],
    );
    let check = |question: &str, both: bool, change: Option<Change>| {
        compare(&store, question, (both, both, change));
    };
    let (userset, wildcard) = (Change::UsersetWithExclusion, Change::WildcardWithExclusion);
    check("group:1#member viewer doc:1", true, Some(userset));
    check("group:9#member viewer doc:1", false, Some(userset));
    // Here what is subtracted could name the userset, which is an answer.
    check("group:1#member editor doc:1", true, None);
    check("group:2#member editor doc:1", false, None);
    check("user:* open doc:1", true, Some(wildcard));
    check("user:* open doc:2", false, Some(wildcard));
    check("user:* both doc:1", true, Some(wildcard));
    check("user:* shown doc:1", true, Some(wildcard));
    // That of a parent could, though no tuple does.
    check("group:1#member guarded doc:1", true, None);
    compare(&store, "group:1#member guarded doc:2", (false, true, Some(userset)));
    // A tuple that grants by itself, and an operand that cannot name everybody.
    check("user:* shown doc:2", true, None);
    check("user:* none doc:1", false, None);
    check("user:a open doc:1", false, None);
    check("user:b open doc:1", true, None);
    let (snapshot, model) = &store;
    let request = RequestContext::default();
    let check = CheckRequest { user: "user:*", relation: "open", object: "doc:1", request };
    assert!(snapshot.compare_semantics(model, &check).is_fallback);
}

#[test]
fn models_that_v2_does_not_take() {
    let unfit = |types: &str| store(types, &[]).1.unfit().cloned();
    assert_eq!(unfit(USERSETS), None);
    assert_eq!(unfit(EXCLUSIONS), None);
    let relation = || "doc#viewer".to_owned();
    let missing = "
type user
type org
  relations
    define member: [user]
type folder
  relations
    define viewer: [user]
type doc
  relations
    define parent: [org, folder]
    define viewer: member from parent
";
    let is_missing =
        Unfit::MissingRelation { relation: relation(), missing: "folder#member".to_owned() };
    assert_eq!(unfit(missing), Some(is_missing));
    let circle = "
type user
type doc
  relations
    define blocked: [user, doc#viewer]
    define viewer: [user, doc#viewer] but not blocked
";
    let Some(Unfit::Circle { relation: of }) = unfit(circle) else { panic!("a circle") };
    assert!(["doc#viewer", "doc#blocked"].contains(&&*of));
    let apart = "
type user
type bot
type doc
  relations
    define owner: [bot]
    define viewer: [user] and owner
";
    assert_eq!(unfit(apart), Some(Unfit::NothingInCommon { relation: relation() }));
    let same = "
type user
type doc
  relations
    define owner: [user]
    define parent: [doc]
    define viewer: owner from parent but not owner from parent
";
    assert_eq!(unfit(same), Some(Unfit::SameOperands { relation: relation() }));
    let store = store(missing, &["org:1 parent doc:1"]);
    compare(&store, "org:1#member viewer doc:1", (true, true, None));
}

#[test]
fn the_shape_of_a_model_says_what_may_change() {
    let changes = |types: &str| store(types, &[]).1.semantic_changes();
    let expected = |relations: &[(&str, &[Change])]| {
        let of = relations.iter();
        of.map(|(name, changes)| ((*name).to_owned(), changes.iter().copied().collect()))
            .collect::<Vec<(String, std::collections::BTreeSet<Change>)>>()
    };
    let computed = Change::ComputedUsersetSelfObject;
    assert_eq!(
        changes(USERSETS),
        expected(&[
            ("doc#allowed", &[computed]),
            ("doc#inherited", &[Change::TtuUserset]),
            ("doc#through", &[computed, Change::TtuUserset]),
            ("doc#viewer", &[Change::AliasUserset]),
            ("doc#written", &[computed]),
        ])
    );
    let (userset, wildcard) = (Change::UsersetWithExclusion, Change::WildcardWithExclusion);
    assert_eq!(
        changes(EXCLUSIONS),
        expected(&[
            ("doc#both", &[computed, wildcard]),
            ("doc#editor", &[computed, userset]),
            ("doc#guarded", &[userset, Change::TtuUserset]),
            ("doc#none", &[computed]),
            ("doc#open", &[computed, wildcard]),
            ("doc#shown", &[computed, wildcard]),
            ("doc#viewer", &[computed, userset]),
        ])
    );
    let circle = "
type user
type doc
  relations
    define blocked: [user, doc#viewer]
    define viewer: [user, doc#viewer] but not blocked
";
    assert_eq!(changes(circle), []);
}

#[test]
fn each_semantics_has_its_name() {
    for semantics in [Semantics::V1, Semantics::V2] {
        assert_eq!(Semantics::find(semantics.as_str()), Some(semantics));
    }
    assert_eq!((Semantics::V2.as_str(), Semantics::find("v3")), ("v2", None));
}

#[test]
fn v2_counts_no_hops() {
    let types = "
type user
type t0
  relations
    define r: [user]
";
    let links =
        (1..30).map(|at| format!("type t{at}\n  relations\n    define r: [t{}#r]\n", at - 1));
    let types = links.fold(types.to_owned(), |all, link| all + &link);
    let tuples: Vec<String> = (1..30).map(|at| format!("t{}:1#r r t{at}:1", at - 1)).collect();
    let mut tuples: Vec<&str> = tuples.iter().map(String::as_str).collect();
    tuples.push("user:a r t0:1");
    let (snapshot, model) = store(&types, &tuples);
    for user in ["user:a", "t0:1#r"] {
        let request = RequestContext::default();
        let check = CheckRequest { user, relation: "r", object: "t29:1", request };
        let compared = snapshot.compare_semantics(&model, &check);
        assert_eq!(compared.v1, Err(RequestError::TooComplex), "{user}");
        assert_eq!(compared.v2, Ok(true), "{user}");
        assert_eq!(compared.change, Some(Change::Depth), "{user}");
    }
}

#[test]
fn what_v2_refuses_it_refuses_in_its_words() {
    let (snapshot, model) = store(EXCLUSIONS, &[]);
    let check = |user, relation, object| {
        let request = RequestContext::default();
        snapshot.check_v2(&model, &CheckRequest { user, relation, object, request })
    };
    let of_object = Err(RequestError::InvalidInput(TupleError::NoObjectRelation));
    let of_user = Err(RequestError::InvalidInput(TupleError::MalformedUser));
    assert_eq!(check("user:a", "nothing", "doc:1"), of_object);
    assert_eq!(check("user:a", "viewer", "nothing:1"), of_object);
    assert_eq!(check("user:a", "viewer", "doc"), of_object);
    assert_eq!(check("nobody:a", "viewer", "doc:1"), of_user);
    assert_eq!(check("group:1#nothing", "viewer", "doc:1"), of_user);
    assert_eq!(check("user", "viewer", "doc:1"), of_user);
    // A batch has the words of v1.
    let request = RequestContext::default();
    let check = CheckRequest { user: "user:a", relation: "nothing", object: "doc:1", request };
    assert_eq!(snapshot.batch_check_v2(&model, &[check]), [snapshot.check(&model, &check)]);
}

#[test]
fn a_condition_counts_for_the_kind_of_user_that_has_it() {
    let types = "
type user
type doc
  relations
    define viewer: [user, user:* with small]
condition small(x: int) {
  x < 10
}
";
    let (snapshot, model) = store(types, &["user:b viewer doc:1"]);
    let context = json!({"x": 5}).as_object().cloned().unwrap();
    let small = |user: &str| TupleKey {
        condition: Some(TupleCondition { name: "small".to_owned(), ..TupleCondition::default() }),
        ..TupleKey::new(user, "viewer", "doc:1")
    };
    let ask = |user: &str, tuple: TupleKey| {
        let request = RequestContext {
            contextual_tuples: &[tuple],
            context: Some(&context),
            ..RequestContext::default()
        };
        let check = CheckRequest { user, relation: "viewer", object: "doc:1", request };
        // Where v2 has an error, a batch has the answer of v1.
        assert_eq!(snapshot.batch_check_v2(&model, &[check]), [Ok(true)], "{user}");
        snapshot.compare_semantics(&model, &check)
    };
    let everybody = ask("user:a", small("user:*"));
    assert_eq!((everybody.v1, everybody.v2), (Ok(true), Ok(true)));
    let one = ask("user:a", small("user:a"));
    assert_eq!(one.v1, Ok(true));
    assert!(matches!(one.v2, Err(RequestError::InvalidContextualTuple { .. })), "{:?}", one.v2);
}

#[test]
fn a_contextual_wildcard_hides_the_stored_one() {
    let types = "
type user
type doc
  relations
    define viewer: [user:*, user:* with small]
condition small(x: int) {
  x < 10
}
";
    let (snapshot, model) = store(types, &["user:* viewer doc:1"]);
    let context = json!({"x": 50}).as_object().cloned().unwrap();
    let tuple = TupleKey {
        condition: Some(TupleCondition { name: "small".to_owned(), ..TupleCondition::default() }),
        ..TupleKey::new("user:*", "viewer", "doc:1")
    };
    let request = RequestContext {
        contextual_tuples: &[tuple],
        context: Some(&context),
        ..RequestContext::default()
    };
    let check = CheckRequest { user: "user:a", relation: "viewer", object: "doc:1", request };
    let compared = snapshot.compare_semantics(&model, &check);
    assert_eq!((compared.v1, compared.v2), (Ok(true), Ok(false)));
    assert_eq!(compared.change, Some(Change::Tuples));
}

#[test]
fn bounds_hold_in_v2() {
    let (snapshot, model) =
        store(USERSETS, &["doc:1#nested nested doc:2", "doc:2#nested nested doc:3"]);
    let mut request = RequestContext::default();
    request.limits.max_steps = 1;
    let check = CheckRequest { user: "doc:1#nested", relation: "nested", object: "doc:3", request };
    let refused = Err(RequestError::BudgetExceeded(1));
    assert_eq!(snapshot.check_v2(&model, &check), refused);
    assert_eq!(snapshot.batch_check_v2(&model, &[check]), [refused]);
}
