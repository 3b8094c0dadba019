//! What is asked of both servers, and whether they answer the same.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};

/// OpenFGA ends a list after this many results or this time, and does not say so.
const LIST_MAX: usize = 1_000;
const LIST_TIME: Duration = Duration::from_millis(2_900);
/// Results of a list that a difference names.
const MAX_NAMED: usize = 100;
/// Differences of one question that are explained.
const MAX_EXPLAINED: usize = 5;

/// A question that both servers understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Check,
    BatchCheck,
    ListObjects,
    StreamedListObjects,
    ListUsers,
    Expand,
    Read,
}

impl Operation {
    pub(super) const ALL: [Self; 7] = [
        Self::Check,
        Self::BatchCheck,
        Self::ListObjects,
        Self::StreamedListObjects,
        Self::ListUsers,
        Self::Expand,
        Self::Read,
    ];

    /// The last segment of its path.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::BatchCheck => "batch-check",
            Self::ListObjects => "list-objects",
            Self::StreamedListObjects => "streamed-list-objects",
            Self::ListUsers => "list-users",
            Self::Expand => "expand",
            Self::Read => "read",
        }
    }

    /// The same as a question that Behalf answers whole.
    pub(super) const fn asked_as(self) -> &'static str {
        match self {
            Self::StreamedListObjects => "list-objects",
            other => other.name(),
        }
    }
}

/// What a request does, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It asks something that can be compared.
    Question(Operation, String),
    /// It changes what is copied; with the store and the model whose assertions it writes.
    Change(Option<(String, String)>),
    /// Anything else.
    Other,
}

impl Kind {
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("POST", ["stores"] | ["stores", _, "write" | "authorization-models"]) => {
                Self::Change(None)
            }
            ("PUT", ["stores", store, "assertions", model]) => {
                Self::Change(Some(((*store).to_owned(), (*model).to_owned())))
            }
            ("POST", ["stores", store, name]) => {
                let operation = Operation::ALL.into_iter().find(|known| known.name() == *name);
                operation.map_or(Self::Other, |known| Self::Question(known, (*store).to_owned()))
            }
            _ => Self::Other,
        }
    }
}

/// What a server answered, and how long that took.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    pub(super) took: Duration,
    /// The revision of ours that answered.
    pub(super) revision: Option<u64>,
}

/// The revision that answered, if ours says one.
pub(super) fn revision_of(headers: &HeaderMap) -> Option<u64> {
    headers.get("behalf-revision")?.to_str().ok()?.parse().ok()
}

/// How two answers stand to each other.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    Same,
    /// What differs, and the checks that would explain it.
    Different {
        what: Value,
        explain: Vec<Value>,
    },
    /// The upstream's list ends at its limit; what it has is here as well.
    Truncated,
    /// The answers cannot be compared, for this reason.
    Incomparable(&'static str),
}

/// Compares the upstream's answer with ours.
pub(super) fn compare(
    operation: Operation,
    question: &Value,
    theirs: &Seen,
    ours: &Seen,
) -> Verdict {
    if theirs.status.is_server_error() || theirs.status == StatusCode::TOO_MANY_REQUESTS {
        return Verdict::Incomparable("the upstream had no answer");
    }
    // Each server's tokens are its own.
    if operation == Operation::Read && has_token(question) {
        return Verdict::Incomparable("a page of several");
    }
    if !theirs.status.is_success() || !ours.status.is_success() {
        return compare_errors(operation, theirs, ours);
    }
    if operation == Operation::StreamedListObjects {
        // Whichever was asked by a client came as a stream.
        let objects = |seen: &Seen| listed(seen).or_else(|| streamed(&seen.body));
        return compare_lists(operation, question, theirs, objects(theirs), objects(ours));
    }
    let (Some(one), Some(other)) = (json_of(&theirs.body), json_of(&ours.body)) else {
        return Verdict::Incomparable("an answer is no JSON");
    };
    match operation {
        Operation::Check => compare_check(question, &one, &other),
        Operation::BatchCheck => compare_batch(question, &one, &other),
        Operation::Expand => {
            let (one, other) = (tree(&one), tree(&other));
            different_unless(one == other, || json!({"upstream": one, "behalf": other}), Vec::new())
        }
        Operation::Read => compare_read(&one, &other),
        Operation::ListObjects | Operation::StreamedListObjects => {
            compare_lists(operation, question, theirs, members(&one, "objects"), listed(ours))
        }
        Operation::ListUsers => {
            let ours = members(&other, "users");
            compare_lists(operation, question, theirs, members(&one, "users"), ours)
        }
    }
}

fn different_unless(is_same: bool, what: impl FnOnce() -> Value, explain: Vec<Value>) -> Verdict {
    if is_same { Verdict::Same } else { Verdict::Different { what: what(), explain } }
}

/// Two refusals are the same when their codes are. A stream's has no name, only a class of gRPC's.
fn compare_errors(operation: Operation, theirs: &Seen, ours: &Seen) -> Verdict {
    let of = |seen: &Seen| {
        let code = json_of(&seen.body).and_then(|body| body.get("code").cloned());
        let code = code.filter(|_| operation != Operation::StreamedListObjects);
        json!({"status": seen.status.as_u16(), "code": code})
    };
    let (one, other) = (of(theirs), of(ours));
    different_unless(one == other, || json!({"upstream": one, "behalf": other}), Vec::new())
}

fn compare_check(question: &Value, one: &Value, other: &Value) -> Verdict {
    let (one, other) = (one.get("allowed"), other.get("allowed"));
    different_unless(
        one == other,
        || json!({"upstream": one, "behalf": other}),
        vec![check_of(question, question.get("tuple_key"))],
    )
}

/// A check that is asked beside what a question carries.
fn check_of(question: &Value, key: Option<&Value>) -> Value {
    let mut check = json!({"tuple_key": key});
    if let Some(check) = check.as_object_mut() {
        for name in ["context", "authorization_model_id"] {
            if let Some(value) = question.get(name) {
                check.insert(name.to_owned(), value.clone());
            }
        }
        // ListUsers carries a bare list.
        if let Some(tuples) = question.get("contextual_tuples") {
            let wrapped = json!({"tuple_keys": tuples});
            let tuples = if tuples.is_array() { wrapped } else { tuples.clone() };
            check.insert("contextual_tuples".to_owned(), tuples);
        }
    }
    check
}

fn compare_batch(question: &Value, one: &Value, other: &Value) -> Verdict {
    // Of an error only that there is one: its text is each server's own.
    let outcome = |answer: &Value, id: &str| match answer.get("result").and_then(|all| all.get(id))
    {
        None => Value::Null,
        Some(result) => match result.get("error").filter(|error| !error.is_null()) {
            Some(error) => error.get("input_error").cloned().unwrap_or_else(|| "error".into()),
            None => result.get("allowed").cloned().unwrap_or_else(|| false.into()),
        },
    };
    // A check that the upstream itself failed on, such as by its deadline, was not answered.
    let is_failed = |answer: &Value, id: &str| {
        answer
            .get("result")
            .and_then(|all| all.get(id)?.get("error")?.get("internal_error"))
            .is_some()
    };
    let checks = question.get("checks").and_then(Value::as_array);
    let (mut what, mut explain) = (Vec::new(), Vec::new());
    let mut has_failed = false;
    for check in checks.into_iter().flatten() {
        let id = check.get("correlation_id").and_then(Value::as_str).unwrap_or_default();
        if is_failed(one, id) {
            has_failed = true;
            continue;
        }
        let (one, other) = (outcome(one, id), outcome(other, id));
        if one != other {
            what.push(json!({"correlation_id": id, "upstream": one, "behalf": other}));
            let mut whole = check.clone();
            if let (Some(whole), Some(model)) =
                (whole.as_object_mut(), question.get("authorization_model_id"))
            {
                whole.insert("authorization_model_id".to_owned(), model.clone());
            }
            explain.push(check_of(&whole, check.get("tuple_key")));
        }
    }
    if what.is_empty() && has_failed {
        return Verdict::Incomparable("the upstream had no answer to some checks");
    }
    explain.truncate(MAX_EXPLAINED);
    different_unless(what.is_empty(), || what.clone().into(), explain)
}

fn compare_lists(
    operation: Operation,
    question: &Value,
    theirs: &Seen,
    one: Option<BTreeSet<String>>,
    other: Option<BTreeSet<String>>,
) -> Verdict {
    let (Some(one), Some(other)) = (one, other) else {
        return Verdict::Incomparable("an answer is no list");
    };
    let missing: Vec<&String> = one.difference(&other).collect();
    let more: Vec<&String> = other.difference(&one).collect();
    if missing.is_empty() && !more.is_empty() && (one.len() >= LIST_MAX || theirs.took >= LIST_TIME)
    {
        return Verdict::Truncated;
    }
    let named = missing.iter().chain(&more).take(MAX_EXPLAINED);
    let explain = named.filter_map(|result| explained(operation, question, result)).collect();
    let shown = |all: &[&String]| all.iter().take(MAX_NAMED).copied().cloned().collect::<Vec<_>>();
    different_unless(
        missing.is_empty() && more.is_empty(),
        || {
            json!({
                "only_upstream": shown(&missing),
                "only_upstream_count": missing.len(),
                "only_behalf": shown(&more),
                "only_behalf_count": more.len(),
            })
        },
        explain,
    )
}

/// The check behind one result of a list.
fn explained(operation: Operation, question: &Value, result: &str) -> Option<Value> {
    let relation = question.get("relation")?;
    let key = if operation == Operation::ListUsers {
        let of = question.get("object")?;
        let object = format!("{}:{}", of.get("type")?.as_str()?, of.get("id")?.as_str()?);
        json!({"user": user_of(&json_of(result.as_bytes())?)?, "relation": relation, "object": object})
    } else {
        json!({"user": question.get("user")?, "relation": relation, "object": result})
    };
    Some(check_of(question, Some(&key)))
}

fn user_of(user: &Value) -> Option<String> {
    let part = |of: &Value, name: &str| Some(of.get(name)?.as_str()?.to_owned());
    if let Some(object) = user.get("object") {
        return Some(format!("{}:{}", part(object, "type")?, part(object, "id")?));
    }
    if let Some(wildcard) = user.get("wildcard") {
        return Some(format!("{}:*", part(wildcard, "type")?));
    }
    let of = user.get("userset")?;
    Some(format!("{}:{}#{}", part(of, "type")?, part(of, "id")?, part(of, "relation")?))
}

/// Both must have one page: which tuples are on a page is each server's own.
/// True for a question that goes on from a page, and for an answer that another follows.
fn has_token(value: &Value) -> bool {
    let token = value.get("continuation_token").and_then(Value::as_str);
    token.is_some_and(|token| !token.is_empty())
}

fn compare_read(one: &Value, other: &Value) -> Verdict {
    if has_token(one) || has_token(other) {
        return Verdict::Incomparable("a page of several");
    }
    let tuples = |answer: &Value| -> BTreeSet<String> {
        let tuples = answer.get("tuples").and_then(Value::as_array).into_iter().flatten();
        tuples.map(|tuple| without_nothing(tuple.get("key")).to_string()).collect()
    };
    let (one, other) = (tuples(one), tuples(other));
    let only = |of: &BTreeSet<String>, not: &BTreeSet<String>| {
        let only = of.difference(not).filter_map(|text| json_of(text.as_bytes()));
        only.take(MAX_NAMED).collect::<Vec<Value>>()
    };
    let what = || json!({"only_upstream": only(&one, &other), "only_behalf": only(&other, &one)});
    different_unless(one == other, what, Vec::new())
}

/// The value without members that are null or empty: servers write nothing differently.
fn without_nothing(value: Option<&Value>) -> Value {
    match value {
        Some(Value::Object(members)) => {
            let kept =
                members.iter().map(|(name, value)| (name.clone(), without_nothing(Some(value))));
            let is_something = |value: &Value| {
                !value.is_null() && value.as_object().is_none_or(|members| !members.is_empty())
            };
            Value::Object(kept.filter(|(_, value)| is_something(value)).collect())
        }
        Some(value) => value.clone(),
        None => Value::Null,
    }
}

/// A tree in which users have no order, and what says nothing is absent.
fn tree(answer: &Value) -> Value {
    let mut tree = without_nothing(answer.get("tree"));
    sort_users(&mut tree);
    tree
}

fn sort_users(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(sort_users),
        Value::Object(members) => {
            for (name, value) in members {
                if let (true, Value::Array(users)) = (name == "users", &mut *value) {
                    users.sort_by_key(Value::to_string);
                }
                sort_users(value);
            }
        }
        _ => {}
    }
}

fn json_of(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

/// The items of a list as text; objects by their JSON.
fn members(answer: &Value, name: &str) -> Option<BTreeSet<String>> {
    let text = |item: &Value| item.as_str().map_or_else(|| item.to_string(), ToOwned::to_owned);
    Some(answer.get(name)?.as_array()?.iter().map(text).collect())
}

fn listed(seen: &Seen) -> Option<BTreeSet<String>> {
    members(&json_of(&seen.body)?, "objects")
}

/// The objects of a stream of lines; nothing if a line is an error.
fn streamed(body: &[u8]) -> Option<BTreeSet<String>> {
    let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let object = |line: &[u8]| {
        let line = json_of(line)?;
        Some(line.get("result")?.get("object")?.as_str()?.to_owned())
    };
    lines.map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(status: u16, body: &Value) -> Seen {
        let status = StatusCode::from_u16(status).unwrap();
        Seen { status, body: body.to_string().into(), took: Duration::ZERO, revision: None }
    }

    fn verdict(operation: Operation, question: &Value, one: &Value, other: &Value) -> Verdict {
        compare(operation, question, &seen(200, one), &seen(200, other))
    }

    #[test]
    fn what_a_server_may_choose_is_no_difference() {
        let none = json!({});
        for (operation, one, other) in [
            (
                Operation::Check,
                json!({"allowed": true, "resolution": ""}),
                json!({"allowed": true}),
            ),
            (
                Operation::ListObjects,
                json!({"objects": ["a:1", "a:2"]}),
                json!({"objects": ["a:2", "a:1"]}),
            ),
            (
                Operation::ListUsers,
                json!({"users": [{"object": {"type": "u", "id": "1"}}, {"wildcard": {"type": "u"}}]}),
                json!({"users": [{"wildcard": {"type": "u"}}, {"object": {"id": "1", "type": "u"}}]}),
            ),
            (
                Operation::Read,
                json!({"tuples": [{"key": {"user": "a:1", "condition": null}, "timestamp": "x"}]}),
                json!({"tuples": [{"key": {"user": "a:1"}, "timestamp": "y"}], "continuation_token": ""}),
            ),
            (
                Operation::Expand,
                json!({"tree": {"root": {"leaf": {"users": {"users": ["a:1", "a:2"]}}}}}),
                json!({"tree": {"root": {"leaf": {"users": {"users": ["a:2", "a:1"]}}}}}),
            ),
        ] {
            assert_eq!(verdict(operation, &none, &one, &other), Verdict::Same, "{operation:?}");
        }
    }

    #[test]
    fn what_differs_is_told_with_the_checks_that_explain_it() {
        let key = json!({"user": "u:1", "relation": "r", "object": "d:1"});
        let (yes, no) = (json!({"allowed": true}), json!({"allowed": false}));
        let question = json!({"tuple_key": key, "context": {"x": 1}, "consistency": "UNSPECIFIED"});
        assert_eq!(
            verdict(Operation::Check, &question, &yes, &no),
            Verdict::Different {
                what: json!({"upstream": true, "behalf": false}),
                explain: vec![json!({"tuple_key": key, "context": {"x": 1}})],
            }
        );
        let batch = json!({"checks": [
            {"correlation_id": "a", "tuple_key": key}, {"correlation_id": "b", "tuple_key": key}]});
        let one = json!({"result": {"a": yes, "b": yes}});
        let other = json!({"result": {"b": no, "a": yes}});
        assert_eq!(
            verdict(Operation::BatchCheck, &batch, &one, &other),
            Verdict::Different {
                what: json!([{"correlation_id": "b", "upstream": true, "behalf": false}]),
                explain: vec![json!({"tuple_key": key})],
            }
        );
        // A later page, by a token that only the upstream knows; a refusal inside a stream.
        let refused = |code: &str| json!({"code": code});
        let later = json!({"continuation_token": "abc"});
        let page = (seen(200, &json!({"tuples": []})), seen(400, &refused("invalid")));
        assert!(matches!(
            compare(Operation::Read, &later, &page.0, &page.1),
            Verdict::Incomparable(_)
        ));
        let stream = seen(400, &json!({"error": {"code": 3, "message": "no such type"}}));
        let ours = seen(400, &refused("type_not_found"));
        let none = json!({});
        let streamed = compare(Operation::StreamedListObjects, &none, &stream, &ours);
        assert_eq!(streamed, Verdict::Same);
        // Where the upstream failed there is nothing to compare; what it did answer still counts.
        let failed = json!({"error": {"internal_error": "deadline_exceeded", "message": "late"}});
        let one = json!({"result": {"a": yes, "b": failed}});
        assert!(matches!(
            verdict(Operation::BatchCheck, &batch, &one, &other),
            Verdict::Incomparable(_)
        ));
        let one = json!({"result": {"a": no, "b": failed}});
        let Verdict::Different { what, .. } = verdict(Operation::BatchCheck, &batch, &one, &other)
        else {
            panic!("an answer that differs is a difference")
        };
        assert_eq!(what[0]["correlation_id"], "a");
        let list =
            json!({"object": {"type": "d", "id": "1"}, "relation": "r", "contextual_tuples": []});
        let user = json!({"userset": {"type": "g", "id": "1", "relation": "m"}});
        let Verdict::Different { what, explain } =
            verdict(Operation::ListUsers, &list, &json!({"users": []}), &json!({"users": [user]}))
        else {
            panic!("a user more is a difference")
        };
        assert_eq!(
            (&what["only_upstream_count"], &what["only_behalf_count"]),
            (&json!(0), &json!(1))
        );
        assert_eq!(explain[0]["tuple_key"]["user"], "g:1#m");
        assert_eq!(explain[0]["contextual_tuples"], json!({"tuple_keys": []}));
    }

    #[test]
    fn a_list_at_the_upstreams_limit_is_no_difference_unless_it_has_what_we_have_not() {
        let objects = |range: std::ops::Range<usize>| json!({"objects": range.map(|n| format!("d:{n}")).collect::<Vec<_>>()});
        let none = json!({});
        let of =
            |one, other| verdict(Operation::ListObjects, &none, &objects(one), &objects(other));
        assert_eq!(of(0..1_000, 0..1_500), Verdict::Truncated);
        assert!(matches!(of(0..999, 0..1_500), Verdict::Different { .. }));
        assert!(matches!(of(0..1_000, 1..1_500), Verdict::Different { .. }));
        let lines = "{\"result\":{\"object\":\"d:1\"}}\n{\"result\":{\"object\":\"d:0\"}}\n";
        let stream = Seen { body: lines.into(), ..seen(200, &none) };
        let ours = seen(200, &objects(0..2));
        let same =
            |one: &Seen, other: &Seen| compare(Operation::StreamedListObjects, &none, one, other);
        assert_eq!(same(&stream, &ours), Verdict::Same);
        assert_eq!(same(&ours, &stream), Verdict::Same);
        let empty = Seen { body: Bytes::new(), ..seen(200, &none) };
        assert_eq!(same(&empty, &seen(200, &json!({"objects": []}))), Verdict::Same);
        assert!(matches!(same(&stream, &empty), Verdict::Different { .. }));
    }

    #[test]
    fn refusals_are_compared_by_their_codes() {
        let of = |code: &str| seen(400, &json!({"code": code, "message": code}));
        let ask = |one: &Seen, other: &Seen| compare(Operation::Check, &json!({}), one, other);
        assert_eq!(ask(&of("validation_error"), &of("validation_error")), Verdict::Same);
        assert!(matches!(ask(&of("a"), &of("b")), Verdict::Different { .. }));
        let yes = seen(200, &json!({"allowed": true}));
        assert!(matches!(ask(&of("a"), &yes), Verdict::Different { .. }));
        let busy = seen(503, &json!({}));
        assert!(matches!(ask(&busy, &yes), Verdict::Incomparable(_)));
    }

    #[test]
    fn requests_are_told_apart_by_method_and_path() {
        let of = |method: &str, path: &str| Kind::of(&method.parse().unwrap(), path);
        assert_eq!(of("POST", "/stores/S/check"), Kind::Question(Operation::Check, "S".to_owned()));
        assert_eq!(of("POST", "/stores/S/write"), Kind::Change(None));
        let assertions = Some(("S".to_owned(), "M".to_owned()));
        assert_eq!(of("PUT", "/stores/S/assertions/M"), Kind::Change(assertions));
        for other in ["/stores/S/changes", "/stores/S/check/x", "/healthz", "/"] {
            assert_eq!(of("POST", other), Kind::Other, "{other}");
        }
        assert_eq!(of("GET", "/stores/S/check"), Kind::Other);
    }
}
