//! Fine-grained authorization with OpenFGA's language and semantics, in memory and usable alone.
//!
//! What is here: the model language (DSL and JSON), conditions, tuples, the store, and the
//! questions check, batch check, expand, list objects, list users, filter and explain. What is not:
//! any IO, clock, thread or server; time enters with the request. The public types are
//! [`AuthorizationModel`] (the language), [`FgaStore`] (the writer), [`Snapshot`] (the readers'
//! view, one revision per request), [`StoreModel`] (a model bound to a store), [`History`] (past
//! versions) and [`AccessDiff`] (what a change gives and takes). `examples/library.rs` is a whole
//! program.
//!
//! **Invariant:** an error or a bound that is reached is never an "allowed".
//! **Invariant:** there is no result cache; what a request works out ends with the request.

mod condition;
mod engine;
mod error;
mod model;
mod store;
mod store_file;
mod tuple;
mod yaml;

pub use condition::MAX_CONDITION_COST;
pub use engine::{
    AccessDiff, CheckRequest, Compared, ComputedLeaf, Explanation, FilterRequest, Lack, Leaf,
    Limits, ListObjectsRequest, ListUsersRequest, Listing, MAX_CONTEXTUAL_TUPLES, Missing,
    PageRequest, Proof, Reason, RequestContext, SemanticChange, Semantics, Side, Stop, StoreModel,
    TreeNode, TreeValue, Unfit, User, UserFilter, UsersetTree,
};
pub use error::{ErrorCode, RequestError, TupleError, WriteError};
pub use model::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Difference, DslError,
    Empty, InvalidModel, Located, MAX_REWRITE_DEPTH, Metadata, ModFile, ModFileError,
    ModFileErrors, ModelErrors, ModuleFile, ObjectRelation, RelationMetadata, RelationReference,
    SemanticErrorKind, SourceInfo, Span, TupleToUserset, TypeDefinition, TypeName,
    UnsupportedByDsl, Userset, Usersets,
};
pub use store::{
    Change, DeleteKey, FgaStore, Footprint, History, MAX_CONDITION_CONTEXT_BYTES,
    MAX_TUPLES_PER_WRITE, OnConflict, Revision, Snapshot, SnapshotError, SnapshotReader,
    TupleFilter, WriteRequest,
};
pub use store_file::{
    Assertion, CheckTest, Failure, ListObjectsTest, ListUsersTest, LoadedStore, ModelSource,
    Passed, PlacedTuple, ReadFile, Report, StoreFile, StoreFileError, StoreFileErrors, StoreTest,
    TupleFileError, TupleSource, is_valid_object_id, load_model, parse_tuples,
};
pub use tuple::{TupleCondition, TupleKey, Validity};
pub use yaml::{Position, Region};
