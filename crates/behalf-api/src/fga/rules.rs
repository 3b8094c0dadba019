//! The rules of fields, and what is said of one that breaks its rule.
//!
//! Clients and their tests look at these texts: `invalid <Message>.<Field>: <reason>`.

mod model;

use super::convert::timestamp_of;
use super::error::FgaError;
use super::wire::{authzen_v1 as az, openfga_v1 as pb};

pub(super) use model::model;

const ID: &str = r"^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$";
const TYPE: &str = r"^[^:#@\\s]{1,254}$";
const RELATION: &str = r"^[^:#@\\s]{1,50}$";
const OBJECT: &str = r"^[^\\s]{2,256}$";
const CHECK_USER: &str = r"^[^\\s]{2,512}$";
const READ_USER: &str = r"^[^\\s]{1,511}:[^\\s]{1,511}$";
const OBJECT_ID: &str = r"[^#:\\s]+$";
const CORRELATION_ID: &str = r"^[\\w\\d-]{1,36}$";
const TOKEN: &str = r"^$|^[A-Za-z0-9-_]+={0,2}$";
/// The longest name of a relation or a condition, in characters.
const NAME: usize = 50;
/// A continuation token in bytes.
const MAX_TOKEN: usize = 5120;
/// Contextual tuples of a request.
const MAX_CONTEXTUAL: usize = 100;

/// A message by its name; its methods check its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct In(pub(super) &'static str);

type Checked = Result<(), FgaError>;

impl In {
    fn matches(self, field: &str, is_match: bool, pattern: &str) -> Checked {
        let reason = || format!("value does not match regex pattern \"{pattern}\"");
        self.holds(field, is_match, reason)
    }

    /// The field breaks its rule for this reason, unless the rule holds.
    pub(super) fn holds<S: AsRef<str>>(
        self,
        field: &str,
        holds: bool,
        reason: impl FnOnce() -> S,
    ) -> Checked {
        if holds { Ok(()) } else { Err(FgaError::field(self.0, field, reason().as_ref())) }
    }

    pub(super) fn required<T>(self, field: &str, value: Option<T>) -> Result<T, FgaError> {
        value.ok_or_else(|| FgaError::field(self.0, field, "value is required"))
    }

    pub(super) fn store_id(self, id: &str) -> Checked {
        self.matches("StoreId", is_id(id), ID)
    }

    /// A model's id, or nothing for the latest.
    pub(super) fn model_id(self, id: &str) -> Checked {
        self.matches("AuthorizationModelId", id.is_empty() || is_id(id), ID)
    }

    /// An id that must be there.
    pub(super) fn id(self, field: &str, id: &str) -> Checked {
        self.matches(field, is_id(id), ID)
    }

    pub(super) fn type_name(self, name: &str) -> Checked {
        self.matches("Type", is_name(name, 254), TYPE)
    }

    pub(super) fn relation(self, name: &str) -> Checked {
        self.matches("Relation", is_name(name, 50), RELATION)
    }

    pub(super) fn optional_relation(self, name: &str) -> Checked {
        if name.is_empty() { Ok(()) } else { self.relation(name) }
    }

    pub(super) fn object(self, object: &str) -> Checked {
        self.matches("Object", is_text(object, 2, 256), OBJECT)
    }

    pub(super) fn optional_object(self, object: &str) -> Checked {
        if object.is_empty() { Ok(()) } else { self.object(object) }
    }

    pub(super) fn at_most_bytes(self, field: &str, value: &str, bytes: usize) -> Checked {
        let reason = || format!("value length must be at most {bytes} bytes");
        self.holds(field, value.len() <= bytes, reason)
    }

    /// A user of one to 512 bytes.
    pub(super) fn list_user(self, user: &str) -> Checked {
        let reason = || "value length must be between 1 and 512 bytes, inclusive";
        self.holds("User", (1..=512).contains(&user.len()), reason)
    }

    pub(super) fn at_most_items(self, field: &str, items: usize, most: usize) -> Checked {
        let reason = || format!("value must contain no more than {most} item(s)");
        self.holds(field, items <= most, reason)
    }

    pub(super) fn at_least_one(self, field: &str, items: usize) -> Checked {
        self.holds(field, items > 0, || "value must contain at least 1 item(s)")
    }

    /// 1 to 100, or nothing: then 50.
    pub(super) fn page_size(self, size: Option<i32>) -> Result<u32, FgaError> {
        let size = size.unwrap_or(50);
        let reason = || "value must be inside range [1, 100]";
        self.holds("PageSize", (1..=100).contains(&size), reason)?;
        Ok(size.unsigned_abs())
    }

    pub(super) fn token(self, token: &str) -> Checked {
        self.at_most_bytes("ContinuationToken", token, MAX_TOKEN)?;
        let body = token.trim_end_matches('=');
        let is_match = token.len() - body.len() <= 2
            && body.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
            && (!body.is_empty() || token.is_empty());
        self.matches("ContinuationToken", is_match, TOKEN)
    }

    pub(super) fn consistency(self, preference: i32) -> Checked {
        let is_defined = pb::ConsistencyPreference::try_from(preference).is_ok();
        self.holds("Consistency", is_defined, || "value must be one of the defined enum values")
    }

    /// The message lies in a field of another.
    pub(super) fn nested(self, field: &str, checked: Checked) -> Checked {
        checked.map_err(|error| error.within(self.0, field))
    }

    /// The message lies in a list of another.
    pub(super) fn item(self, list: &str, index: usize, checked: Checked) -> Checked {
        checked.map_err(|error| error.within(self.0, &format!("{list}[{index}]")))
    }

    pub(super) fn contextual(self, tuples: Option<&pb::ContextualTupleKeys>) -> Checked {
        let Some(tuples) = tuples else { return Ok(()) };
        let inner = Self("ContextualTupleKeys");
        let items = &tuples.tuple_keys;
        let checked = items
            .iter()
            .enumerate()
            .try_for_each(|(index, tuple)| inner.item("TupleKeys", index, tuple_key(tuple)));
        let checked = inner.at_most_items("TupleKeys", items.len(), MAX_CONTEXTUAL).and(checked);
        self.nested("ContextualTuples", checked)
    }

    /// Contextual tuples that stand in the message itself.
    pub(super) fn flat_contextual(self, tuples: &[pb::TupleKey], most: usize) -> Checked {
        self.at_most_items("ContextualTuples", tuples.len(), most)?;
        tuples
            .iter()
            .enumerate()
            .try_for_each(|(index, tuple)| self.item("ContextualTuples", index, tuple_key(tuple)))
    }
}

/// A tuple to write, or one that holds for a request.
pub(super) fn tuple_key(tuple: &pb::TupleKey) -> Checked {
    let is = In("TupleKey");
    is.at_most_bytes("User", &tuple.user, 512)?;
    is.optional_relation(&tuple.relation)?;
    is.optional_object(&tuple.object)?;
    for (field, time) in [("NotBefore", &tuple.not_before), ("ExpiresAt", &tuple.expires_at)] {
        let is_time = time.as_ref().is_none_or(|time| timestamp_of(time).is_some());
        is.holds(field, is_time, || "value is no time")?;
    }
    let Some(condition) = &tuple.condition else { return Ok(()) };
    let named = In("RelationshipCondition");
    let checked = named.matches("Name", is_text(&condition.name, 2, 256), OBJECT);
    is.nested("Condition", checked)
}

/// The key of a tuple to delete.
pub(super) fn delete_key(key: &pb::TupleKeyWithoutCondition) -> Checked {
    let is = In("TupleKeyWithoutCondition");
    is.at_most_bytes("User", &key.user, 512)?;
    is.optional_relation(&key.relation)?;
    is.optional_object(&key.object)
}

/// What a check asks.
pub(super) fn check_key(key: &pb::CheckRequestTupleKey) -> Checked {
    let is = In("CheckRequestTupleKey");
    is.matches("User", is_text(&key.user, 2, 512), CHECK_USER)?;
    is.relation(&key.relation)?;
    is.object(&key.object)
}

/// Which tuples to read.
pub(super) fn read_key(key: &pb::ReadRequestTupleKey) -> Checked {
    let is = In("ReadRequestTupleKey");
    let has_parts =
        key.user.char_indices().any(|(at, c)| c == ':' && at > 0 && key.user.len() > at + 1);
    if !key.user.is_empty() {
        is.at_most_bytes("User", &key.user, 512)?;
        is.matches("User", has_parts && is_text(&key.user, 3, 1023), READ_USER)?;
    }
    is.optional_relation(&key.relation)?;
    is.optional_object(&key.object)
}

/// A type and an id.
pub(super) fn object(object: &pb::Object) -> Checked {
    let is = In("Object");
    is.type_name(&object.r#type)?;
    let ends_well = object.id.chars().last().is_some_and(|c| !is_space(c) && !"#:".contains(c));
    is.matches("Id", ends_well, OBJECT_ID)
}

/// A batch item's name for its answer.
pub(super) fn correlation_id(id: &str) -> Checked {
    let is_match = (1..=36).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    In("BatchCheckItem").matches("CorrelationId", is_match, CORRELATION_ID)
}

/// What an evaluation is about, as far as it says.
pub(super) fn access(
    is: In,
    subject: Option<&az::Subject>,
    resource: Option<&az::Resource>,
    action: Option<&az::Action>,
) -> Checked {
    if let Some(subject) = subject {
        is.nested("Subject", entity(In("Subject"), &subject.r#type, &subject.id, 500))?;
    }
    if let Some(resource) = resource {
        is.nested("Resource", entity(In("Resource"), &resource.r#type, &resource.id, 256))?;
    }
    if let Some(action) = action {
        let checked = In("Action").matches("Name", is_name(&action.name, 50), RELATION);
        is.nested("Action", checked)?;
    }
    Ok(())
}

fn entity(is: In, type_name: &str, id: &str, longest: usize) -> Checked {
    filter(is, type_name)?;
    is.matches("Id", is_name(id, longest), &format!(r"^[^:#@\\s]{{1,{longest}}}$"))
}

/// The type that a search is about.
pub(super) fn filter(is: In, type_name: &str) -> Checked {
    is.matches("Type", is_name(type_name, 50), RELATION)
}

fn is_id(id: &str) -> bool {
    let is_digit = |b: u8| b.is_ascii_digit() || (b.is_ascii_uppercase() && !b"ILOU".contains(&b));
    id.len() == 26 && id.bytes().all(is_digit)
}

fn is_name(name: &str, longest: usize) -> bool {
    is_text(name, 1, longest) && !name.contains([':', '#', '@'])
}

/// Characters that are no white space, so many.
fn is_text(text: &str, shortest: usize, longest: usize) -> bool {
    let length = text.chars().count();
    (shortest..=longest).contains(&length) && !text.contains(is_space)
}

const fn is_space(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0c' | '\r' | ' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn broken(checked: Checked, name: &str, grpc: &str) {
        let error = checked.unwrap_err();
        assert_eq!((error.code(), error.grpc_number()), (name, 3));
        assert_eq!(error.grpc_message(), grpc);
    }

    #[test]
    fn a_broken_rule_has_openfgas_words_and_name() {
        let is = In("CheckRequest");
        broken(
            is.store_id("x"),
            "validation_error",
            "invalid CheckRequest.StoreId: value does not match regex pattern \
             \"^[ABCDEFGHJKMNPQRSTVWXYZ0-9]{26}$\"",
        );
        broken(
            is.required::<()>("TupleKey", None).map(drop),
            "tuple_key_value_not_specified",
            "invalid CheckRequest.TupleKey: value is required",
        );
        broken(
            In("ReadRequest").page_size(Some(101)).map(drop),
            "page_size_invalid",
            "invalid ReadRequest.PageSize: value must be inside range [1, 100]",
        );
        broken(
            In("ListObjectsRequest").type_name("a b"),
            "type_invalid_pattern",
            "invalid ListObjectsRequest.Type: value does not match regex pattern \
             \"^[^:#@\\\\s]{1,254}$\"",
        );
        broken(
            In("WriteAssertionsRequest").at_most_items("Assertions", 101, 100),
            "assertions_too_many_items",
            "invalid WriteAssertionsRequest.Assertions: value must contain no more than 100 item(s)",
        );
    }

    #[test]
    fn a_nested_field_names_its_way_on_grpc_only() {
        let key = pb::CheckRequestTupleKey { object: "x".to_owned(), ..valid() };
        let error = In("CheckRequest").nested("TupleKey", check_key(&key)).unwrap_err();
        let inner = "invalid CheckRequestTupleKey.Object: value does not match regex pattern \
                     \"^[^\\\\s]{2,256}$\"";
        assert_eq!(error.message(), inner);
        assert_eq!(
            error.grpc_message(),
            format!(
                "invalid CheckRequest.TupleKey: embedded message failed validation | caused by: \
                 {inner}"
            )
        );
    }

    #[test]
    fn lengths_are_counted_as_openfga_counts_them() {
        for (user, fits) in [("u", false), ("uu", true), (&"é".repeat(512), true)] {
            let key = pb::CheckRequestTupleKey { user: user.to_owned(), ..valid() };
            assert_eq!(check_key(&key).is_ok(), fits, "{user}");
        }
        let user = "é".repeat(257);
        assert!(tuple_key(&pb::TupleKey { user, ..Default::default() }).is_err(), "in bytes here");
        for (token, fits) in
            [("", true), ("ab_-9==", true), ("a===", false), ("a b", false), ("==", false)]
        {
            assert_eq!(In("ReadRequest").token(token).is_ok(), fits, "{token}");
        }
        for (user, fits) in [("user:ann", true), ("user:", false), (":ann", false), ("ann", false)]
        {
            let key = pb::ReadRequestTupleKey { user: user.to_owned(), ..Default::default() };
            assert_eq!(read_key(&key).is_ok(), fits, "{user}");
        }
    }

    fn valid() -> pb::CheckRequestTupleKey {
        pb::CheckRequestTupleKey {
            user: "user:ann".to_owned(),
            relation: "viewer".to_owned(),
            object: "doc:1".to_owned(),
        }
    }
}
