//! The agent: durable turns, tools, the model client and the chat dialects.
//!
//! A person writes; a *turn* takes it to its end: the model is asked, its calls pass the gate, and
//! what they bring goes back to the model. Every transition is stored with the events that record
//! it before the next one begins, so a turn survives the process, and a client that goes away takes
//! nothing with it but its stream.
//!
//! **Invariant:** what a client posts is input, never authority: of its history only what the
//! person wrote is read. **Invariant:** what a model says is input too: nothing of it is executed
//! unless the gate lets exactly that call through.

mod agent;
pub mod dialect;
mod event;
mod interrupt;
mod model;
mod redact;
mod tools;
mod turn;

pub use agent::{Agent, AgentError, AgentParts, ThreadSummary, TurnView};
pub use event::{CallEnding, TurnEvent};
pub use interrupt::{ApprovalNeeded, ConnectionNeeded, Interrupt, InterruptKind, InterruptStatus};
pub use model::{Message, ModelEndpoint, SpokenCall};
pub use redact::REMOVED;
pub use turn::live::{Follower, Standing};
