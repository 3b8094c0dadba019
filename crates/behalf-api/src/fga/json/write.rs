//! Answers to JSON.

use std::collections::BTreeMap;

use behalf_core::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::fga::convert::{map_of, timestamp_of};
use crate::fga::wire::openfga_v1 as pb;
use pb::batch_check_single_result::CheckResult;
use pb::check_error::Code;
use pb::user::User;
use pb::userset_tree::leaf::Value as LeafValue;
use pb::userset_tree::node::Value as TreeValue;
use pb::userset_tree::{Leaf, Node, Nodes};

#[derive(Serialize)]
struct CheckJson<'a> {
    allowed: bool,
    resolution: &'a str,
}

pub(in crate::fga) fn check_json(answer: &pb::CheckResponse) -> impl Serialize {
    CheckJson { allowed: answer.allowed, resolution: &answer.resolution }
}

#[derive(Serialize)]
struct BatchJson<'a> {
    #[serde(serialize_with = "results_json")]
    result: &'a BTreeMap<String, pb::BatchCheckSingleResult>,
}

pub(in crate::fga) fn batch_json(answer: &pb::BatchCheckResponse) -> impl Serialize {
    BatchJson { result: &answer.result }
}

fn results_json<S: Serializer>(
    results: &BTreeMap<String, pb::BatchCheckSingleResult>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(results.iter().map(|(id, result)| (id, ResultJson::of(result))))
}

#[derive(Serialize)]
#[serde(untagged)]
enum ResultJson<'a> {
    None {},
    Allowed { allowed: bool },
    Error { error: ErrorJson<'a> },
}

#[derive(Serialize)]
struct ErrorJson<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    input_error: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_error: Option<&'static str>,
}

impl<'a> ResultJson<'a> {
    fn of(result: &'a pb::BatchCheckSingleResult) -> Self {
        match &result.check_result {
            None => Self::None {},
            Some(CheckResult::Allowed(allowed)) => Self::Allowed { allowed: *allowed },
            Some(CheckResult::Error(error)) => Self::Error { error: ErrorJson::of(error) },
        }
    }
}

impl<'a> ErrorJson<'a> {
    fn of(error: &'a pb::CheckError) -> Self {
        let (mut input_error, mut internal_error) = (None, None);
        match error.code {
            None => {}
            Some(Code::InputError(number)) => {
                input_error = pb::ErrorCode::try_from(number).ok().map(|code| code.as_str_name());
            }
            Some(Code::InternalError(number)) => {
                let code = pb::InternalErrorCode::try_from(number).ok();
                internal_error = code.map(|code| code.as_str_name());
            }
        }
        Self { message: &error.message, input_error, internal_error }
    }
}

#[derive(Serialize)]
struct ObjectsJson<'a> {
    objects: &'a [String],
}

pub(in crate::fga) fn objects_json(answer: &pb::ListObjectsResponse) -> impl Serialize {
    ObjectsJson { objects: &answer.objects }
}

#[derive(Serialize)]
struct UsersJson<'a> {
    #[serde(serialize_with = "list_of_users_json")]
    users: &'a [pb::User],
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum UserJson<'a> {
    Object { r#type: &'a str, id: &'a str },
    Userset { r#type: &'a str, id: &'a str, relation: &'a str },
    Wildcard { r#type: &'a str },
}

pub(in crate::fga) fn users_json(answer: &pb::ListUsersResponse) -> impl Serialize {
    UsersJson { users: &answer.users }
}

fn list_of_users_json<S: Serializer>(users: &[pb::User], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(users.iter().filter_map(|user| user.user.as_ref()).map(|user| match user {
        User::Object(pb::Object { r#type, id }) => UserJson::Object { r#type, id },
        User::Userset(pb::UsersetUser { r#type, id, relation }) => {
            UserJson::Userset { r#type, id, relation }
        }
        User::Wildcard(pb::TypedWildcard { r#type }) => UserJson::Wildcard { r#type },
    }))
}

pub(in crate::fga) fn expand_json(answer: &pb::ExpandResponse) -> Value {
    let root = answer.tree.as_ref().and_then(|tree| tree.root.as_ref()).map(node_json);
    json!({"tree": {"root": root}})
}

fn node_json(node: &Node) -> Value {
    let all =
        |nodes: &Nodes| json!({"nodes": nodes.nodes.iter().map(node_json).collect::<Vec<_>>()});
    let one = |node: &Option<Box<Node>>| node.as_deref().map_or(Value::Null, node_json);
    let value = match &node.value {
        None => None,
        Some(TreeValue::Leaf(leaf)) => Some(("leaf", leaf_json(leaf))),
        Some(TreeValue::Union(nodes)) => Some(("union", all(nodes))),
        Some(TreeValue::Intersection(nodes)) => Some(("intersection", all(nodes))),
        Some(TreeValue::Difference(of)) => {
            let json = json!({"base": one(&of.base), "subtract": one(&of.subtract)});
            Some(("difference", json))
        }
    };
    let mut json = json!({"name": node.name});
    if let (Some((name, value)), Some(json)) = (value, json.as_object_mut()) {
        json.insert(name.to_owned(), value);
    }
    json
}

fn leaf_json(leaf: &Leaf) -> Value {
    let computed = |computed: &pb::userset_tree::Computed| json!({"userset": computed.userset});
    match &leaf.value {
        None => json!({}),
        Some(LeafValue::Users(users)) => json!({"users": {"users": users.users}}),
        Some(LeafValue::Computed(of)) => json!({"computed": computed(of)}),
        Some(LeafValue::TupleToUserset(of)) => json!({"tupleToUserset": {
            "tupleset": of.tupleset,
            "computed": of.computed.iter().map(computed).collect::<Vec<_>>(),
        }}),
    }
}

pub(in crate::fga) fn tuple_json(tuple: &pb::TupleKey) -> Value {
    let condition = tuple.condition.as_ref().map(|condition| {
        json!({"name": condition.name, "context": condition.context.clone().map(map_of)})
    });
    let mut json = json!({
        "user": tuple.user,
        "relation": tuple.relation,
        "object": tuple.object,
        "condition": condition,
    });
    // Behalf's own members are there only when they say something.
    for (name, time) in [("not_before", &tuple.not_before), ("expires_at", &tuple.expires_at)] {
        if let (Some(time), Some(json)) = (time, json.as_object_mut()) {
            json.insert(name.to_owned(), time_json(Some(time)));
        }
    }
    json
}

fn time_json(time: Option<&prost_types::Timestamp>) -> Value {
    time.and_then(timestamp_of).map_or(Value::Null, |time| time.to_rfc3339().into())
}

pub(in crate::fga) fn read_json(answer: &pb::ReadResponse) -> Value {
    let tuple = |tuple: &pb::Tuple| {
        let key = tuple.key.as_ref().map(tuple_json);
        json!({"key": key, "timestamp": time_json(tuple.timestamp.as_ref())})
    };
    let tuples: Vec<Value> = answer.tuples.iter().map(tuple).collect();
    json!({"tuples": tuples, "continuation_token": answer.continuation_token})
}

pub(in crate::fga) fn changes_json(answer: &pb::ReadChangesResponse) -> Value {
    let change = |change: &pb::TupleChange| {
        json!({
            "tuple_key": change.tuple_key.as_ref().map(tuple_json),
            "operation": change.operation().as_str_name(),
            "timestamp": time_json(change.timestamp.as_ref()),
        })
    };
    let changes: Vec<Value> = answer.changes.iter().map(change).collect();
    json!({"changes": changes, "continuation_token": answer.continuation_token})
}

pub(in crate::fga) fn assertions_json(answer: &pb::ReadAssertionsResponse) -> Value {
    let assertion = |assertion: &pb::Assertion| {
        let key = assertion
            .tuple_key
            .as_ref()
            .map(|key| json!({"object": key.object, "relation": key.relation, "user": key.user}));
        let tuples: Vec<Value> = assertion.contextual_tuples.iter().map(tuple_json).collect();
        json!({
            "tuple_key": key,
            "expectation": assertion.expectation,
            "contextual_tuples": tuples,
            "context": assertion.context.clone().map(map_of),
        })
    };
    let assertions: Vec<Value> = answer.assertions.iter().map(assertion).collect();
    json!({"authorization_model_id": answer.authorization_model_id, "assertions": assertions})
}

/// A store as it is created.
pub(in crate::fga) fn created_json(store: &pb::Store) -> Value {
    json!({
        "id": store.id,
        "name": store.name,
        "created_at": time_json(store.created_at.as_ref()),
        "updated_at": time_json(store.updated_at.as_ref()),
    })
}

pub(in crate::fga) fn store_json(store: &pb::Store) -> Value {
    let mut json = created_json(store);
    if let Some(members) = json.as_object_mut() {
        let deleted_at = store.deleted_at.as_ref().and_then(timestamp_of);
        let text = deleted_at.map(Timestamp::to_rfc3339);
        members.insert("deleted_at".to_owned(), text.map_or(Value::Null, Value::from));
    }
    json
}

pub(in crate::fga) fn stores_json(answer: &pb::ListStoresResponse) -> Value {
    let stores: Vec<Value> = answer.stores.iter().map(store_json).collect();
    json!({"stores": stores, "continuation_token": answer.continuation_token})
}
