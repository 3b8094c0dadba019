//! Nothing but the text, for clients that read no protocol. What a person must do stands in it as
//! a line with an absolute link.

use crate::event::TurnEvent;

pub(super) fn encode(event: &TurnEvent, issuer: &str) -> String {
    match event {
        TurnEvent::TextDelta { delta, .. } => delta.clone(),
        TurnEvent::TextEnd { .. } => "\n".to_owned(),
        TurnEvent::Interrupt(interrupt) if interrupt.is_open() => {
            let base = issuer.trim_end_matches('/');
            let path = match (&interrupt.connection, &interrupt.approval) {
                (_, Some(approval)) => format!("/account/approvals/{}", approval.id),
                (Some(connection), None) => connection.connect_url.clone(),
                (None, None) => return String::new(),
            };
            format!("[{} {base}{path}]\n", interrupt.reason)
        }
        TurnEvent::Error { text } => format!("[{text}]\n"),
        _ => String::new(),
    }
}
