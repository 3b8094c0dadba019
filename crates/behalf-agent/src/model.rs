//! The model: any endpoint that speaks `OpenAI`'s chat completions. What it says is input that
//! nobody trusts: bounded here, validated before a tool sees it, decided on by the gate.

mod client;
mod message;
mod sse;

use behalf_core::Secret;
use behalf_egress::OperatorAddress;

pub use message::{Message, SpokenCall};

pub(crate) use client::{Completion, ModelClient, ModelError, Usage};
pub(crate) use message::to_wire;

/// Which model answers, as the operator configured it.
#[derive(Clone, Debug)]
pub struct ModelEndpoint {
    /// The API's address, e.g. `https://api.openai.com/v1`.
    pub url: OperatorAddress,
    /// Its key.
    pub key: Option<Secret<String>>,
    /// The model's name there.
    pub name: String,
    /// True if it is the demo's script, which pages say.
    pub is_scripted: bool,
}
