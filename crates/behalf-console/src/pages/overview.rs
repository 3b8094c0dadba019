//! The first page.

mod charts;
#[expect(clippy::module_inception, reason = "the area has one page of its own name")]
pub(crate) mod overview;
