//! A small store for the samples of the pages, asked through the engine itself.

use behalf_authz::engine::{
    AuthorizationModel, CheckRequest, Explanation, FgaStore, TupleKey, WriteRequest,
};

use super::question::Question;

/// The model.
pub(super) const MODEL: &str = "model
  schema 1.1

type user

type group
  relations
    define member: [user, group#member]

type folder
  relations
    define viewer: [user, group#member]

type doc
  relations
    define blocked: [user]
    define can_view: viewer but not blocked
    define owner: [user]
    define parent: [folder]
    define viewer: [user, user:*] or owner or viewer from parent
";

/// The question of the samples.
pub(super) fn question() -> Question {
    Question {
        user: "user:ann".to_owned(),
        relation: "can_view".to_owned(),
        object: "doc:plan".to_owned(),
        ..Question::default()
    }
}

/// The tuples.
pub(super) fn tuples() -> Vec<TupleKey> {
    vec![
        TupleKey::new("user:ann", "member", "group:eng"),
        TupleKey::new("group:eng#member", "viewer", "folder:<i>hi"),
        TupleKey::new("folder:<i>hi", "parent", "doc:plan"),
    ]
}

/// Why she may.
pub(super) fn allowed() -> Explanation {
    explain("user:ann")
}

/// Why somebody else may not.
pub(super) fn denied() -> Explanation {
    explain("user:ben")
}

fn explain(user: &str) -> Explanation {
    let nothing = Explanation {
        allowed: false,
        revision: 0,
        because: None,
        path: Vec::new(),
        missing: Vec::new(),
        is_truncated: false,
    };
    let mut store = FgaStore::new();
    let model = AuthorizationModel::from_dsl(MODEL).unwrap_or_default();
    let Ok(model) = store.add_model(model) else { return nothing };
    let request = WriteRequest { writes: tuples(), ..WriteRequest::default() };
    if store.write(&model, &request).is_err() {
        return nothing;
    }
    let check =
        CheckRequest { user, relation: "can_view", object: "doc:plan", ..Default::default() };
    store.snapshot().explain(&model, &check).unwrap_or(nothing)
}
