//! The decision point, and the use cases that touch two domains.
//!
//! Every call of a tool passes [`Gate::ask`] and [`Gate::begin`]: mandate, relationship,
//! connection, approval, and then, at most once, the effect (DESIGN §3). There is no policy stage
//! yet: nothing decides by prompt, cost or taint. What the gate answers is a value; an error in any
//! stage is an error or a denial and never lets a call through.
//!
//! `flows` is where a use case that writes to two domains is one function and one unit of work.

mod approval;
mod backchannel;
mod call;
mod error;
pub mod flows;
mod gate;
mod inbox;
mod mandate;
mod outcome;
mod readers;
mod settling;
mod stages;
mod tool;
mod waits;
mod words;

pub use approval::{Approval, Decision, Question, Source, Status, Via};
pub use backchannel::{BackchannelAnswer, BackchannelRequest};
pub use call::{ToolCall, TraceContext};
pub use error::GateError;
pub use gate::{APPROVAL_LIFETIME, Gate, GateParts};
pub use inbox::{ApprovalFilter, DecideError, Decider, Verdict};
pub use mandate::Mandate;
pub use outcome::{
    Asked, Begun, CallEnd, ConnectNeeded, Denial, DenialReason, Effect, Ending, Facts, Intent,
    Outcome, Permit, Started,
};
pub use readers::{CAN_VIEW, DOCUMENT_TYPE, DocumentReaders, StoreSubject, name_in};
pub use stages::{BEHALF_MODEL, BEHALF_STORE};
pub use tool::{
    ApprovalNeed, BUILT_IN_SERVER, ConnectionNeed, ResourceRule, ToolSpec, effect_mark,
};
pub use waits::{ConnectWait, EndedWaits, Wake};
pub use words::{Revealed, Words, reveal};
