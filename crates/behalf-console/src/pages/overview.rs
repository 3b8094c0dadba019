//! The first page at work.

#[expect(clippy::module_inception, reason = "the area has one page of its own name")]
pub(crate) mod overview;
