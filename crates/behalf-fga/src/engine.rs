//! Questions about a store: check, batch check, expand, list objects, list users, filter.
//!
//! A model is bound to a store once ([`StoreModel`]): names become numbers, type restrictions
//! become tables, rewrites become expressions over nodes (a type's relation), nodes are grouped
//! into components of mutual recursion, and for every node it is known which kinds of user can
//! reach it at all. A request runs on one snapshot and one bound model, remembers what it has
//! worked out, and forgets it at the end.

mod bind;
mod components;
mod diff;
mod evaluate;
mod expand;
mod explain;
mod list;
mod overlay;
mod pairs;
mod plain;
mod plan;
mod reach;
mod request;
mod scope;
mod search;
mod tuples;
mod users;
mod weighted;

pub use diff::{AccessDiff, Side};
pub use expand::{ComputedLeaf, Leaf, TreeNode, TreeValue, UsersetTree};
pub use explain::{Explanation, Lack, Missing, Proof, Reason};
pub use plan::StoreModel;
pub use request::{
    CheckRequest, FilterRequest, Limits, ListObjectsRequest, Listing, MAX_CONTEXTUAL_TUPLES,
    PageRequest, RequestContext, Stop,
};
pub use users::{ListUsersRequest, User, UserFilter};
pub use weighted::{Change as SemanticChange, Compared, Semantics, Unfit};
