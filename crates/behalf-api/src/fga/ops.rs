//! What OpenFGA's methods do, on messages: the same behind HTTP and gRPC. Each checks the rules of
//! its fields, makes its call into the service, and words the answer.

mod assertions;
pub(super) mod authzen;
mod changes;
mod check;
mod expand;
mod list;
mod models;
mod stores;
mod tuples;

pub(super) use list::in_the_background;
