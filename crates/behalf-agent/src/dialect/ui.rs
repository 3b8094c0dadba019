//! UI Message Stream v1: server-sent events, one JSON chunk each.
//!
//! Versions 5.0.0, 6.0.0 and 7.0.0 refuse a chunk with one key too many, so everything here is
//! what all of them read; what only newer ones know is sent to clients that said so.

use serde_json::{Value, json};

use super::{is_refusal, reason_of};
use crate::event::{CallEnding, TurnEvent};
use crate::interrupt::InterruptKind;

/// The stream's last frame.
pub(super) const DONE: &str = "data: [DONE]\n\n";

pub(super) fn begin(message_id: &str) -> String {
    frame(&json!({"type": "start", "messageId": message_id}))
}

pub(super) fn error(text: &str) -> String {
    frame(&json!({"type": "error", "errorText": text}))
}

/// The turn waits on the server, and this stream ends.
pub(super) fn pause(finishes_step: bool) -> String {
    let step = if finishes_step { frame(&json!({"type": "finish-step"})) } else { String::new() };
    step + &frame(&json!({"type": "finish"}))
}

pub(super) fn encode(event: &TurnEvent, sdk: Option<u8>, asks_approval: bool) -> String {
    match event {
        TurnEvent::StepStart => frame(&json!({"type": "start-step"})),
        TurnEvent::TextStart { id, .. } => frame(&json!({"type": "text-start", "id": id})),
        TurnEvent::TextDelta { id, delta } => {
            frame(&json!({"type": "text-delta", "id": id, "delta": delta}))
        }
        TurnEvent::TextEnd { id } => frame(&json!({"type": "text-end", "id": id})),
        TurnEvent::ToolInput { call_id, tool, input, .. } => {
            let text = Value::Object(input.clone()).to_string();
            frame(&json!({"type": "tool-input-start", "toolCallId": call_id, "toolName": tool}))
                + &frame(&json!({"type": "tool-input-delta", "toolCallId": call_id,
                                 "inputTextDelta": text}))
                + &frame(&json!({"type": "tool-input-available", "toolCallId": call_id,
                                 "toolName": tool, "input": input}))
        }
        TurnEvent::Interrupt(interrupt) => {
            let mut out = frame(&interrupt.to_part());
            let approval = interrupt.approval.as_ref();
            let approval = approval.filter(|_| interrupt.kind == InterruptKind::Approval);
            if let Some(approval) = approval.filter(|_| asks_approval) {
                out.push_str(&frame(&json!({"type": "tool-approval-request",
                    "approvalId": approval.id, "toolCallId": interrupt.call_id})));
            }
            out
        }
        TurnEvent::ToolOutput { call_id, output, ending } => match ending {
            _ if is_refusal(*ending) && sdk.is_some() => {
                frame(&json!({"type": "tool-output-denied", "toolCallId": call_id}))
            }
            CallEnding::Invalid => frame(&json!({"type": "tool-output-error",
                "toolCallId": call_id, "errorText": reason_of(output)})),
            _ => frame(&json!({"type": "tool-output-available", "toolCallId": call_id,
                               "output": output})),
        },
        TurnEvent::StepFinish { .. } => frame(&json!({"type": "finish-step"})),
        TurnEvent::Error { text } => error(text),
        TurnEvent::Finish { .. } => frame(&json!({"type": "finish"})),
    }
}

fn frame(chunk: &Value) -> String {
    format!("data: {chunk}\n\n")
}
