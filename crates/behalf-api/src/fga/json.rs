//! Messages as JSON, as OpenFGA's gateway reads and writes them: unknown members of a request are
//! passed over, `null` is absent, names are understood in either case; members of an answer without
//! a value are there all the same.

mod authzen;
mod body;
mod extensions;
mod object;
mod query;
mod read;
mod value;
mod write;

pub(super) use authzen::{
    actions_json, configuration_json, evaluation_json, evaluations_json, resources_json,
    subjects_json,
};
pub(super) use body::FgaBody;
pub(super) use extensions::{
    AllObjects, Ask, DeleteBy, Diff, Explain, Filter, MergeBody, ObjectsPage, Page, SemanticsName,
    StoreName, UsersPage, tuple_line,
};
pub(super) use query::QueryString;
pub(super) use write::{
    assertions_json, batch_json, changes_json, check_json, created_json, expand_json, objects_json,
    read_json, store_json, stores_json, tuple_json, users_json,
};
