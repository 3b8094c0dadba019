//! Data Stream v1: lines of a code and JSON. 3.4 to 4.1 throw at `f`; 4.2 and newer want it.

use serde_json::{Value, json};

use crate::event::TurnEvent;

pub(super) fn error(text: &str) -> String {
    line('3', &Value::from(text))
}

/// The turn waits on the server, and this stream ends.
pub(super) fn pause(finishes_step: bool) -> String {
    let step = if finishes_step {
        let usage = json!({"promptTokens": 0, "completionTokens": 0});
        line('e', &json!({"finishReason": "tool-calls", "usage": usage, "isContinued": false}))
    } else {
        String::new()
    };
    step + &finish("tool-calls", 0, 0)
}

pub(super) fn encode(event: &TurnEvent, is_legacy: bool, message_id: &str) -> String {
    match event {
        TurnEvent::StepStart if is_legacy => String::new(),
        TurnEvent::StepStart => line('f', &json!({"messageId": message_id})),
        TurnEvent::TextDelta { delta, .. } => line('0', &Value::from(delta.as_str())),
        TurnEvent::TextStart { .. } | TurnEvent::TextEnd { .. } => String::new(),
        TurnEvent::ToolInput { call_id, tool, input, .. } => {
            let text = Value::Object(input.clone()).to_string();
            line('b', &json!({"toolCallId": call_id, "toolName": tool}))
                + &line('c', &json!({"toolCallId": call_id, "argsTextDelta": text}))
                + &line('9', &json!({"toolCallId": call_id, "toolName": tool, "args": input}))
        }
        TurnEvent::Interrupt(interrupt) => line('2', &json!([interrupt.to_part()])),
        TurnEvent::ToolOutput { call_id, output, .. } => {
            line('a', &json!({"toolCallId": call_id, "result": output}))
        }
        TurnEvent::StepFinish { reason, input_tokens, output_tokens } => line(
            'e',
            &json!({"finishReason": reason, "isContinued": false, "usage":
                    {"promptTokens": input_tokens, "completionTokens": output_tokens}}),
        ),
        TurnEvent::Error { text } => error(text),
        TurnEvent::Finish { reason, input_tokens, output_tokens } => {
            finish(reason, *input_tokens, *output_tokens)
        }
    }
}

fn finish(reason: &str, input_tokens: u64, output_tokens: u64) -> String {
    let usage = json!({"promptTokens": input_tokens, "completionTokens": output_tokens});
    line('d', &json!({"finishReason": reason, "usage": usage}))
}

fn line(code: char, value: &Value) -> String {
    format!("{code}:{value}\n")
}
