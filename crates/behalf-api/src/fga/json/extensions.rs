//! Requests that are Behalf's own, from JSON.

use behalf_authz::engine::{AuthorizationModel, Change, TupleKey};
use serde_json::{Map, Value};

use super::body::Read;
use super::object::Object;
use super::read::{check_key, contextual, tuple};
use super::value::Json;
use crate::fga::convert::{contextual_of, tuple_of};
use crate::fga::error::FgaError;
use crate::fga::wire::openfga_v1 as pb;

type Result<T> = std::result::Result<T, FgaError>;

/// What each question may carry.
#[derive(Debug, Default)]
pub(in crate::fga) struct Ask {
    pub(in crate::fga) contextual: Vec<TupleKey>,
    pub(in crate::fga) context: Option<Map<String, Value>>,
    pub(in crate::fga) model_id: String,
    /// The revision to ask; the newest when there is none.
    pub(in crate::fga) at_revision: Option<u64>,
}

fn ask(of: &Object<'_>) -> Result<Ask> {
    Ok(Ask {
        contextual: contextual_of(contextual(of)?),
        context: of.object("context")?.map(|object| object.to_map()),
        model_id: of.text("authorization_model_id")?,
        at_revision: of.number("at_revision")?,
    })
}

/// Why is this allowed, or not?
#[derive(Debug)]
pub(in crate::fga) struct Explain {
    pub(in crate::fga) key: Option<pb::CheckRequestTupleKey>,
    pub(in crate::fga) ask: Ask,
}

impl Read for Explain {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self { key: check_key(of)?, ask: ask(of)? })
    }
}

/// Which of these objects?
#[derive(Debug)]
pub(in crate::fga) struct Filter {
    pub(in crate::fga) user: String,
    pub(in crate::fga) relation: String,
    pub(in crate::fga) object_type: String,
    pub(in crate::fga) ids: Vec<String>,
    pub(in crate::fga) ask: Ask,
}

impl Read for Filter {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            user: of.text("user")?,
            relation: of.text("relation")?,
            object_type: of.text("type")?,
            ids: of.texts("ids")?,
            ask: ask(of)?,
        })
    }
}

/// Which objects, page by page?
#[derive(Debug)]
pub(in crate::fga) struct ObjectsPage {
    pub(in crate::fga) user: String,
    pub(in crate::fga) relation: String,
    pub(in crate::fga) object_type: String,
    pub(in crate::fga) page: Page,
    pub(in crate::fga) ask: Ask,
}

/// Which part of a list.
#[derive(Debug)]
pub(in crate::fga) struct Page {
    pub(in crate::fga) size: Option<i32>,
    pub(in crate::fga) token: String,
}

fn page(of: &Object<'_>) -> Result<Page> {
    Ok(Page { size: of.int("page_size")?, token: of.text("page_token")? })
}

impl Read for ObjectsPage {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            user: of.text("user")?,
            relation: of.text("relation")?,
            object_type: of.text("type")?,
            page: page(of)?,
            ask: ask(of)?,
        })
    }
}

/// Every object that a user has any of these relations to, page by page.
#[derive(Debug)]
pub(in crate::fga) struct AllObjects {
    pub(in crate::fga) user: String,
    /// Of these types only, unless there are none.
    pub(in crate::fga) types: Vec<String>,
    /// By these relations only, unless there are none.
    pub(in crate::fga) relations: Vec<String>,
    pub(in crate::fga) page: Page,
    pub(in crate::fga) ask: Ask,
}

impl Read for AllObjects {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self {
            user: of.text("user")?,
            types: of.texts("types")?,
            relations: of.texts("relations")?,
            page: page(of)?,
            ask: ask(of)?,
        })
    }
}

/// Which users, page by page?
#[derive(Debug)]
pub(in crate::fga) struct UsersPage {
    pub(in crate::fga) object: String,
    pub(in crate::fga) relation: String,
    pub(in crate::fga) user_type: String,
    /// The relation of usersets; empty for plain users.
    pub(in crate::fga) user_relation: String,
    pub(in crate::fga) page: Page,
    pub(in crate::fga) ask: Ask,
}

impl Read for UsersPage {
    fn read(of: &Object<'_>) -> Result<Self> {
        let filter = of.object("user_filter")?;
        let part = |name| filter.map_or(Ok(String::new()), |filter| filter.text(name));
        Ok(Self {
            object: of.text("object")?,
            relation: of.text("relation")?,
            user_type: part("type")?,
            user_relation: part("relation")?,
            page: page(of)?,
            ask: ask(of)?,
        })
    }
}

/// Which tuples to delete.
#[derive(Debug)]
pub(in crate::fga) struct DeleteBy {
    pub(in crate::fga) user: String,
    pub(in crate::fga) relation: String,
    pub(in crate::fga) object: String,
    /// Only count them.
    pub(in crate::fga) is_dry_run: bool,
}

impl Read for DeleteBy {
    fn read(of: &Object<'_>) -> Result<Self> {
        let filter = of.object("filter")?;
        let part = |name| filter.map_or(Ok(String::new()), |filter| filter.text(name));
        Ok(Self {
            user: part("user")?,
            relation: part("relation")?,
            object: part("object")?,
            is_dry_run: of.bool("dry_run")?,
        })
    }
}

/// What would a change give and take?
#[derive(Debug)]
pub(in crate::fga) struct Diff {
    pub(in crate::fga) writes: Vec<TupleKey>,
    pub(in crate::fga) deletes: Vec<TupleKey>,
    pub(in crate::fga) model: Option<AuthorizationModel>,
    pub(in crate::fga) objects: Option<ObjectsPage>,
    pub(in crate::fga) users: Option<UsersPage>,
}

impl Read for Diff {
    fn read(of: &Object<'_>) -> Result<Self> {
        let tuples = |name| of.list(name, |of| Ok(tuple_of(tuple(of)?)));
        let model = of.value("authorization_model")?.map(|model| {
            AuthorizationModel::from_json(&model.to_string())
                .map_err(|error| FgaError::new(2056, error.to_string()))
        });
        let objects = of.object("list_objects")?.map(|of| ObjectsPage::read(&of));
        let users = of.object("list_users")?.map(|of| UsersPage::read(&of));
        Ok(Self {
            writes: tuples("writes")?,
            deletes: tuples("deletes")?,
            model: model.transpose()?,
            objects: objects.transpose()?,
            users: users.transpose()?,
        })
    }
}

/// The name of a store to make.
#[derive(Debug)]
pub(in crate::fga) struct StoreName(pub(in crate::fga) String);

impl Read for StoreName {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self(of.text("name")?))
    }
}

/// `v1` or `v2`.
#[derive(Debug)]
pub(in crate::fga) struct SemanticsName(pub(in crate::fga) String);

impl Read for SemanticsName {
    fn read(of: &Object<'_>) -> Result<Self> {
        Ok(Self(of.text("semantics")?))
    }
}

/// Changes to take in, as `ReadChanges` tells them.
#[derive(Debug)]
pub(in crate::fga) struct MergeBody {
    /// Each change, and its tuple as it came.
    pub(in crate::fga) changes: Vec<(pb::TupleKey, Change)>,
    pub(in crate::fga) is_copy: bool,
    pub(in crate::fga) is_dry_run: bool,
}

impl Read for MergeBody {
    fn read(of: &Object<'_>) -> Result<Self> {
        let change = |of: &Object<'_>| {
            let key = of.object("tuple_key")?.map(|key| tuple(&key)).transpose()?;
            let key = key.ok_or_else(|| FgaError::validation("a change has no `tuple_key`"))?;
            let operation = of.text("operation")?;
            let of_key = tuple_of(key.clone());
            let change = match operation.as_str() {
                "" | "TUPLE_OPERATION_WRITE" => Change::Write(of_key),
                "TUPLE_OPERATION_DELETE" => Change::Delete(of_key.delete_key()),
                other => return Err(FgaError::validation(format!("unknown operation `{other}`"))),
            };
            Ok((key, change))
        };
        Ok(Self {
            changes: of.list("changes", change)?,
            is_copy: of.bool("copy")?,
            is_dry_run: of.bool("dry_run")?,
        })
    }
}

/// A tuple on a line of an import.
pub(in crate::fga) fn tuple_line(line: &str) -> Result<pb::TupleKey> {
    let json = serde_json::from_str(line).map_err(|_| FgaError::validation("malformed JSON"))?;
    match &json {
        Json::Object(members) => tuple(&Object::new(members)),
        _ => Err(FgaError::validation("the line is no JSON object")),
    }
}
