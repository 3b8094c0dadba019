//! What a person sees and does with her own account.

pub(crate) mod approval;
pub(crate) mod approvals;
pub(crate) mod callback;
pub(crate) mod connect;
pub(crate) mod connections;
pub(crate) mod home;
