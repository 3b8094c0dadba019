//! The stream dialects of chat clients: one log of events, written as each client reads it.
//!
//! A client is told apart by the shape of what it posts (see [`request`]); every encoder writes
//! whole frames, and what a client says it has seen is not sent to it again.

mod auth0;
mod data;
pub mod request;
mod text;
mod ui;

use std::collections::BTreeSet;

use crate::event::{CallEnding, TurnEvent};
use crate::interrupt::{Interrupt, InterruptStatus};

/// How a stream is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// UI Message Stream v1 (AI SDK 5, 6, 7): only what every version reads, unless the client
    /// says which it is.
    Ui {
        /// The client's major version, when it said so: 6 or 7.
        sdk: Option<u8>,
    },
    /// Data Stream v1 (AI SDK 3.4 to 4).
    Data {
        /// True for 3.4 to 4.1, which know fewer codes.
        is_legacy: bool,
    },
    /// Nothing but the text.
    Text,
}

/// How a call that waits for a person is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptStyle {
    /// As parts `data-behalf-interrupt`, updated in place.
    #[default]
    Native,
    /// As Auth0's client libraries expect it: an error that ends the stream.
    Auth0,
}

/// What the client's last message says that it has already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Steps begun.
    pub steps: usize,
    /// Texts.
    pub texts: usize,
    /// Calls whose input it has.
    pub inputs: BTreeSet<String>,
    /// Calls whose output it has.
    pub outputs: BTreeSet<String>,
}

/// Writes one stream.
#[derive(Debug)]
pub struct Encoder {
    dialect: Dialect,
    style: InterruptStyle,
    seen: Seen,
    message_id: String,
    issuer: String,
    /// The text that is being left out.
    skipped_text: Option<String>,
    is_in_step: bool,
    has_approval_request: BTreeSet<String>,
    /// Interrupts for which Auth0's style owes an error at the stream's end.
    owed: Vec<Interrupt>,
    inputs: Vec<(String, serde_json::Value)>,
}

impl Encoder {
    /// An encoder for the message `message_id`; `issuer` makes links absolute where a dialect has
    /// nothing but text.
    pub fn new(
        dialect: Dialect,
        style: InterruptStyle,
        seen: Seen,
        message_id: &str,
        issuer: &str,
    ) -> Self {
        Self {
            dialect,
            style,
            seen,
            message_id: message_id.to_owned(),
            issuer: issuer.to_owned(),
            skipped_text: None,
            is_in_step: false,
            has_approval_request: BTreeSet::new(),
            owed: Vec::new(),
            inputs: Vec::new(),
        }
    }

    /// True if the stream must end as soon as a call waits.
    pub const fn ends_at_interrupts(&self) -> bool {
        matches!(self.style, InterruptStyle::Auth0)
    }

    /// What stands before everything else.
    pub fn begin(&self) -> String {
        match self.dialect {
            Dialect::Ui { .. } => ui::begin(&self.message_id),
            Dialect::Data { .. } | Dialect::Text => String::new(),
        }
    }

    /// Keeps the connection open and says nothing.
    pub fn ping(&self) -> &'static str {
        match self.dialect {
            Dialect::Ui { .. } => ": ping\n\n",
            Dialect::Data { .. } => "2:[]\n",
            Dialect::Text => "",
        }
    }

    /// The event's frames, or nothing when the client has it or its dialect cannot say it.
    pub fn encode(&mut self, event: &TurnEvent) -> String {
        if self.leaves_out(event) {
            return String::new();
        }
        match event {
            TurnEvent::StepStart => self.is_in_step = true,
            TurnEvent::StepFinish { .. } => self.is_in_step = false,
            TurnEvent::ToolInput { call_id, input, .. } => {
                self.inputs.push((call_id.clone(), serde_json::Value::Object(input.clone())));
            }
            TurnEvent::Interrupt(interrupt) if self.style == InterruptStyle::Auth0 => {
                self.owed.retain(|known| known.id != interrupt.id);
                let owes = interrupt.is_open()
                    || matches!(
                        interrupt.status,
                        InterruptStatus::Denied | InterruptStatus::Expired
                    );
                if owes {
                    self.owed.push((**interrupt).clone());
                }
                return String::new();
            }
            _ => {}
        }
        match self.dialect {
            Dialect::Ui { sdk } => {
                let asks = match event {
                    TurnEvent::Interrupt(interrupt) if sdk.is_some() && interrupt.is_open() => {
                        self.has_approval_request.insert(interrupt.id.clone())
                    }
                    _ => false,
                };
                ui::encode(event, sdk, asks)
            }
            Dialect::Data { is_legacy } => data::encode(event, is_legacy, &self.message_id),
            Dialect::Text => text::encode(event, &self.issuer),
        }
    }

    /// The stream's end: after the turn's, or while the turn waits on the server.
    pub fn end(&mut self, is_waiting: bool) -> String {
        let mut out = String::new();
        if is_waiting {
            let finishes = std::mem::take(&mut self.is_in_step);
            match self.dialect {
                Dialect::Ui { .. } => out.push_str(&ui::pause(finishes)),
                Dialect::Data { .. } => out.push_str(&data::pause(finishes)),
                Dialect::Text => {}
            }
        }
        // One error ends a stream for every client, so the oldest that is owed stands for all.
        if let Some(interrupt) = self.owed.first() {
            let args = self.inputs.iter().find(|(id, _)| *id == interrupt.call_id);
            let text = auth0::error_text(interrupt, args.map(|(_, input)| input));
            match self.dialect {
                Dialect::Ui { .. } => out.push_str(&ui::error(&text)),
                Dialect::Data { .. } => out.push_str(&data::error(&text)),
                Dialect::Text => {}
            }
        }
        if let Dialect::Ui { .. } = self.dialect {
            out.push_str(ui::DONE);
        }
        out
    }

    /// True if the client has shown that it knows this.
    fn leaves_out(&mut self, event: &TurnEvent) -> bool {
        match event {
            TurnEvent::StepStart => match self.seen.steps.checked_sub(1) {
                Some(rest) => {
                    self.seen.steps = rest;
                    self.is_in_step = true;
                    true
                }
                None => false,
            },
            TurnEvent::TextStart { id, .. } => match self.seen.texts.checked_sub(1) {
                Some(rest) => {
                    self.seen.texts = rest;
                    self.skipped_text = Some(id.clone());
                    true
                }
                None => false,
            },
            TurnEvent::TextDelta { id, .. } | TurnEvent::TextEnd { id } => {
                self.skipped_text.as_ref() == Some(id)
            }
            TurnEvent::ToolInput { call_id, input, .. } => {
                let is_known = self.seen.inputs.contains(call_id);
                if is_known {
                    let input = serde_json::Value::Object(input.clone());
                    self.inputs.push((call_id.clone(), input));
                }
                is_known
            }
            TurnEvent::ToolOutput { call_id, .. } => self.seen.outputs.contains(call_id),
            TurnEvent::Interrupt(_)
            | TurnEvent::StepFinish { .. }
            | TurnEvent::Error { .. }
            | TurnEvent::Finish { .. } => false,
        }
    }
}

/// The sentence of an output that says why nothing came of the call.
fn reason_of(output: &serde_json::Value) -> &str {
    output.get("reason").and_then(serde_json::Value::as_str).unwrap_or("The call failed.")
}

/// True if the output is the fixed one of a refusal.
const fn is_refusal(ending: CallEnding) -> bool {
    matches!(ending, CallEnding::Denied | CallEnding::Expired)
}

#[cfg(test)]
mod tests;
