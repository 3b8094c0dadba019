//! Requests from JSON.

use serde_json::Value;

use super::body::Read;
use super::object::Object;
use crate::fga::convert::struct_of;
use crate::fga::error::FgaError;
use crate::fga::wire::openfga_v1 as pb;

type Result<T> = std::result::Result<T, FgaError>;

pub(super) fn tuple(of: &Object<'_>) -> Result<pb::TupleKey> {
    let condition = of.object("condition")?.map(|condition| {
        Ok::<_, FgaError>(pb::RelationshipCondition {
            name: condition.text("name")?,
            context: context(&condition, "context")?,
        })
    });
    Ok(pb::TupleKey {
        user: of.text("user")?,
        relation: of.text("relation")?,
        object: of.text("object")?,
        condition: condition.transpose()?,
        not_before: of.time("not_before")?,
        expires_at: of.time("expires_at")?,
    })
}

pub(super) fn context(of: &Object<'_>, name: &str) -> Result<Option<prost_types::Struct>> {
    Ok(of.object(name)?.map(|object| struct_of(object.to_map())))
}

pub(super) fn contextual(of: &Object<'_>) -> Result<Option<pb::ContextualTupleKeys>> {
    let tuples = of.object("contextual_tuples")?.map(|tuples| {
        Ok::<_, FgaError>(pb::ContextualTupleKeys { tuple_keys: tuples.list("tuple_keys", tuple)? })
    });
    tuples.transpose()
}

fn consistency(of: &Object<'_>) -> Result<i32> {
    of.variant("consistency", |name| {
        pb::ConsistencyPreference::from_str_name(name).map(|preference| preference as i32)
    })
}

pub(super) fn check_key(of: &Object<'_>) -> Result<Option<pb::CheckRequestTupleKey>> {
    let key = of.object("tuple_key")?.map(|key| {
        Ok::<_, FgaError>(pb::CheckRequestTupleKey {
            user: key.text("user")?,
            relation: key.text("relation")?,
            object: key.text("object")?,
        })
    });
    key.transpose()
}

impl Read for pb::CheckRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            store_id: String::new(),
            tuple_key: check_key(of)?,
            contextual_tuples: contextual(of)?,
            authorization_model_id: of.text("authorization_model_id")?,
            trace: of.bool("trace")?,
            context: context(of, "context")?,
            consistency: consistency(of)?,
        })
    }
}

impl Read for pb::BatchCheckRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let item = |of: &Object<'_>| {
            Ok(pb::BatchCheckItem {
                tuple_key: check_key(of)?,
                contextual_tuples: contextual(of)?,
                context: context(of, "context")?,
                correlation_id: of.text("correlation_id")?,
            })
        };
        Ok(Self {
            store_id: String::new(),
            checks: of.list("checks", item)?,
            authorization_model_id: of.text("authorization_model_id")?,
            consistency: consistency(of)?,
        })
    }
}

impl Read for pb::ListObjectsRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            store_id: String::new(),
            authorization_model_id: of.text("authorization_model_id")?,
            r#type: of.text("type")?,
            relation: of.text("relation")?,
            user: of.text("user")?,
            contextual_tuples: contextual(of)?,
            context: context(of, "context")?,
            consistency: consistency(of)?,
        })
    }
}

impl Read for pb::StreamedListObjectsRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let list = pb::ListObjectsRequest::read(of)?;
        Ok(Self {
            store_id: list.store_id,
            authorization_model_id: list.authorization_model_id,
            r#type: list.r#type,
            relation: list.relation,
            user: list.user,
            contextual_tuples: list.contextual_tuples,
            context: list.context,
            consistency: list.consistency,
        })
    }
}

impl Read for pb::ListUsersRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let object = of.object("object")?.map(|object| {
            Ok::<_, FgaError>(pb::Object { r#type: object.text("type")?, id: object.text("id")? })
        });
        let filter = |filter: &Object<'_>| {
            let (r#type, relation) = (filter.text("type")?, filter.text("relation")?);
            Ok(pb::UserTypeFilter { r#type, relation })
        };
        Ok(Self {
            store_id: String::new(),
            authorization_model_id: of.text("authorization_model_id")?,
            object: object.transpose()?,
            relation: of.text("relation")?,
            user_filters: of.list("user_filters", filter)?,
            contextual_tuples: of.list("contextual_tuples", tuple)?,
            context: context(of, "context")?,
            consistency: consistency(of)?,
        })
    }
}

impl Read for pb::ExpandRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let key = of.object("tuple_key")?.map(|key| {
            Ok::<_, FgaError>(pb::ExpandRequestTupleKey {
                relation: key.text("relation")?,
                object: key.text("object")?,
            })
        });
        Ok(Self {
            store_id: String::new(),
            tuple_key: key.transpose()?,
            authorization_model_id: of.text("authorization_model_id")?,
            consistency: consistency(of)?,
            contextual_tuples: contextual(of)?,
        })
    }
}

impl Read for pb::ReadRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let key = of.object("tuple_key")?.map(|key| {
            Ok::<_, FgaError>(pb::ReadRequestTupleKey {
                user: key.text("user")?,
                relation: key.text("relation")?,
                object: key.text("object")?,
            })
        });
        Ok(Self {
            store_id: String::new(),
            tuple_key: key.transpose()?,
            page_size: of.int("page_size")?,
            continuation_token: of.text("continuation_token")?,
            consistency: consistency(of)?,
        })
    }
}

impl Read for pb::WriteRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let writes = of.object("writes")?.map(|writes| {
            Ok::<_, FgaError>(pb::WriteRequestWrites {
                tuple_keys: writes.list("tuple_keys", tuple)?,
                on_duplicate: writes.text("on_duplicate")?,
            })
        });
        let key = |key: &Object<'_>| {
            Ok(pb::TupleKeyWithoutCondition {
                user: key.text("user")?,
                relation: key.text("relation")?,
                object: key.text("object")?,
            })
        };
        let deletes = of.object("deletes")?.map(|deletes| {
            Ok::<_, FgaError>(pb::WriteRequestDeletes {
                tuple_keys: deletes.list("tuple_keys", key)?,
                on_missing: deletes.text("on_missing")?,
            })
        });
        Ok(Self {
            store_id: String::new(),
            writes: writes.transpose()?,
            deletes: deletes.transpose()?,
            authorization_model_id: of.text("authorization_model_id")?,
        })
    }
}

impl Read for pb::WriteAssertionsRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        let assertion = |of: &Object<'_>| {
            let key = of.object("tuple_key")?.map(|key| {
                Ok::<_, FgaError>(pb::AssertionTupleKey {
                    object: key.text("object")?,
                    relation: key.text("relation")?,
                    user: key.text("user")?,
                })
            });
            Ok(pb::Assertion {
                tuple_key: key.transpose()?,
                expectation: of.bool("expectation")?,
                contextual_tuples: of.list("contextual_tuples", tuple)?,
                context: context(of, "context")?,
            })
        };
        Ok(Self {
            store_id: String::new(),
            authorization_model_id: String::new(),
            assertions: of.list("assertions", assertion)?,
        })
    }
}

impl Read for pb::CreateStoreRequest {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self { name: of.text("name")? })
    }
}

impl Read for Value {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self::Object(of.to_map()))
    }
}
