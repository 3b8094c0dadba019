//! What a person sees and does with her own account.

pub(crate) mod home;
