//! Questions about a store: check, batch check, list objects, filter.
//!
//! A model is bound to a store once ([`StoreModel`]): names become numbers, type restrictions
//! become tables, rewrites become expressions over nodes (a type's relation), nodes are grouped
//! into components of mutual recursion, and for every node it is known which kinds of user can
//! reach it at all. A request runs on one snapshot and one bound model, remembers what it has
//! worked out, and forgets it at the end.

mod bind;
mod components;
mod evaluate;
mod list;
mod overlay;
mod plan;
mod request;
mod search;
mod tuples;

pub use plan::StoreModel;
pub use request::{
    CheckRequest, FilterRequest, Limits, ListObjectsRequest, MAX_CONTEXTUAL_TUPLES, RequestContext,
};
