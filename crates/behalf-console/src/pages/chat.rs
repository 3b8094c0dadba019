//! The chat with the built-in agent.

mod card;
#[expect(clippy::module_inception, reason = "the area has one page of its own name")]
pub(crate) mod chat;
mod prose;
