//! Messages to the engine's types, and back.

use behalf_authz::engine::{DeleteKey, TupleCondition, TupleKey, Validity};
use behalf_core::Timestamp;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct};
use serde_json::{Map, Number, Value};

use super::wire::openfga_v1 as pb;

/// The largest whole number that a double holds exactly.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

pub(super) fn tuple_of(tuple: pb::TupleKey) -> TupleKey {
    let pb::TupleKey { user, relation, object, condition, not_before, expires_at } = tuple;
    let condition = condition.map(|condition| TupleCondition {
        name: condition.name,
        context: condition.context.map(map_of).unwrap_or_default(),
    });
    let micros = |time: Option<prost_types::Timestamp>| {
        time.as_ref().and_then(timestamp_of).map(Timestamp::as_micros)
    };
    let validity =
        Validity { not_before_micros: micros(not_before), expires_at_micros: micros(expires_at) };
    TupleKey { user, relation, object, condition, validity }
}

pub(super) fn tuples_of(tuples: Vec<pb::TupleKey>) -> Vec<TupleKey> {
    tuples.into_iter().map(tuple_of).collect()
}

/// The contextual tuples of a request.
pub(super) fn contextual_of(tuples: Option<pb::ContextualTupleKeys>) -> Vec<TupleKey> {
    tuples_of(tuples.unwrap_or_default().tuple_keys)
}

pub(super) fn delete_key_of(key: pb::TupleKeyWithoutCondition) -> DeleteKey {
    DeleteKey { user: key.user, relation: key.relation, object: key.object }
}

pub(super) fn message_of(tuple: TupleKey) -> pb::TupleKey {
    let TupleKey { user, relation, object, condition, validity } = tuple;
    let condition = condition.map(|condition| pb::RelationshipCondition {
        name: condition.name,
        context: Some(struct_of(condition.context)),
    });
    let time = |micros: Option<i64>| micros.map(Timestamp::from_micros).map(time_of);
    pb::TupleKey {
        user,
        relation,
        object,
        condition,
        not_before: time(validity.not_before_micros),
        expires_at: time(validity.expires_at_micros),
    }
}

pub(super) fn time_of(time: Timestamp) -> prost_types::Timestamp {
    let nanos = time.as_micros().rem_euclid(1_000_000).saturating_mul(1_000);
    prost_types::Timestamp {
        seconds: time.as_secs(),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// The time that a message says, if it lies where times do.
pub(super) fn timestamp_of(time: &prost_types::Timestamp) -> Option<Timestamp> {
    let micros = time.seconds.checked_mul(1_000_000)?;
    Some(Timestamp::from_micros(micros.checked_add(i64::from(time.nanos / 1_000))?))
}

pub(super) fn map_of(fields: Struct) -> Map<String, Value> {
    fields.fields.into_iter().map(|(name, value)| (name, value_of(value))).collect()
}

fn value_of(value: prost_types::Value) -> Value {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Value::Null,
        Some(Kind::BoolValue(value)) => value.into(),
        Some(Kind::StringValue(text)) => text.into(),
        Some(Kind::NumberValue(number)) => number_of(number),
        Some(Kind::StructValue(fields)) => Value::Object(map_of(fields)),
        Some(Kind::ListValue(list)) => list.values.into_iter().map(value_of).collect(),
    }
}

/// Messages know doubles only; a whole number is one again, as JSON writes it.
#[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
fn number_of(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < MAX_EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

pub(super) fn struct_of(map: Map<String, Value>) -> Struct {
    Struct { fields: map.into_iter().map(|(name, value)| (name, kind_of(value))).collect() }
}

fn kind_of(value: Value) -> prost_types::Value {
    let kind = match value {
        Value::Null => Kind::NullValue(0),
        Value::Bool(value) => Kind::BoolValue(value),
        Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Value::String(text) => Kind::StringValue(text),
        Value::Array(items) => {
            Kind::ListValue(ListValue { values: items.into_iter().map(kind_of).collect() })
        }
        Value::Object(map) => Kind::StructValue(struct_of(map)),
    };
    prost_types::Value { kind: Some(kind) }
}
