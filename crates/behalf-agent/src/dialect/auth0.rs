//! Interrupts as Auth0's client libraries read them: the text of an error, a prefix and JSON.

use serde_json::{Value, json};

use crate::interrupt::{Interrupt, InterruptStatus};

const PREFIX: &str = "AUTH0_AI_INTERRUPTION:";

/// The error that stands for `interrupt`, whose call has these arguments.
pub(super) fn error_text(interrupt: &Interrupt, args: Option<&Value>) -> String {
    let call = json!({"id": interrupt.call_id, "name": interrupt.tool,
                      "args": args.cloned().unwrap_or_else(|| json!({}))});
    let mut body = match (&interrupt.connection, &interrupt.approval) {
        (Some(connection), None) => json!({
            "code": "TOKEN_VAULT_ERROR",
            "message": format!(
                "Authorization required to access the Token Vault: {}", connection.name
            ),
            "connection": connection.name,
            "scopes": connection.required_scopes,
            "requiredScopes": connection.required_scopes,
            "authorizationParams": {},
            "behavior": "resume",
        }),
        (_, Some(approval)) => {
            let (code, message) = match interrupt.status {
                InterruptStatus::Denied => {
                    ("ASYNC_AUTHORIZATION_ACCESS_DENIED", "The request was denied.")
                }
                InterruptStatus::Expired => (
                    "ASYNC_AUTHORIZATION_AUTHORIZATION_REQUEST_EXPIRED",
                    "The request expired before it was decided.",
                ),
                _ => (
                    "ASYNC_AUTHORIZATION_AUTHORIZATION_PENDING",
                    "The request waits for a decision.",
                ),
            };
            json!({"code": code, "message": message, "request": {
                "id": approval.id, "requestedAt": approval.created_at,
                "expiresIn": approval.expires_in_secs, "interval": 5}})
        }
        (None, None) => json!({
            "code": "ASYNC_AUTHORIZATION_ACCESS_DENIED",
            "message": interrupt.reason,
        }),
    };
    if let Some(body) = body.as_object_mut() {
        body.insert("name".into(), "AUTH0_AI_INTERRUPT".into());
        body.insert("toolCall".into(), call);
    }
    format!("{PREFIX}{body}")
}
