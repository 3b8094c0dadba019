//! Circles beyond a bound: what lies there is never taken for an answer.

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, Limits, RequestContext, RequestError, TupleKey,
    WriteRequest,
};

const MODEL: &str = "model
  schema 1.1
type user
type doc
  relations
    define parent: [doc]
    define granted: [user]
    define removed: [user]
    define banned: [user]
    define blocked: (banned or blocked from parent) but not removed
    define can_view: granted but not blocked
    define can_edit: granted but not frozen
    define frozen: blocked from parent and (removed from parent or blocked from parent)
";

/// A circle of documents: `doc:1` in `doc:2` in … in `doc:1`.
fn circle(length: u32) -> (FgaStore, std::sync::Arc<behalf_fga::StoreModel>) {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL).unwrap()).unwrap();
    let mut writes: Vec<TupleKey> = (0..length)
        .map(|n| TupleKey::new(format!("doc:{}", (n + 1) % length), "parent", format!("doc:{n}")))
        .collect();
    writes.push(TupleKey::new("user:ann", "granted", "doc:0"));
    writes.push(TupleKey::new("user:ann", "removed", "doc:0"));
    let request = WriteRequest { writes, ..WriteRequest::default() };
    store.write(&model, &request).unwrap();
    (store, model)
}

#[test]
fn a_bound_before_a_circle_does_not_allow_what_the_circle_denies() {
    for length in [1, 2, 3, 10, 24, 25, 26, 40, 60] {
        let (store, model) = circle(length);
        let snapshot = store.snapshot();
        for relation in ["can_view", "can_edit"] {
            let check = |resolve_node_limit, max_steps| {
                let limits = Limits { resolve_node_limit, max_steps, ..Limits::default() };
                let request = RequestContext { limits, ..RequestContext::default() };
                let object = "doc:0";
                snapshot
                    .check(&model, &CheckRequest { user: "user:ann", relation, object, request })
            };
            let free = check(0, Limits::default().max_steps);
            assert_eq!(free, Ok(false), "{relation}, {length} documents");
            for limit in 1..30 {
                let question = format!("{relation}, {length} documents, limit {limit}");
                let few_hops = check(limit, Limits::default().max_steps);
                assert!(
                    matches!(few_hops, Ok(false) | Err(RequestError::TooComplex)),
                    "{question}"
                );
                let few_steps = check(0, u64::from(limit) * 3);
                let is_right =
                    matches!(few_steps, Ok(false) | Err(RequestError::BudgetExceeded(_)));
                assert!(is_right, "{question}");
            }
        }
    }
}

#[test]
fn a_circle_ends_where_it_closes() {
    for length in [1, 2, 10, 24] {
        let (store, model) = circle(length);
        let check = |resolve_node_limit| {
            let limits = Limits { resolve_node_limit, ..Limits::default() };
            let request = RequestContext { limits, ..RequestContext::default() };
            let (user, relation, object) = ("user:ann", "can_view", "doc:0");
            store.snapshot().check(&model, &CheckRequest { user, relation, object, request })
        };
        assert_eq!(check(length), Err(RequestError::TooComplex), "{length} documents");
        assert_eq!(check(length + 1), Ok(false), "{length} documents");
    }
}
