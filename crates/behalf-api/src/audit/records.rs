//! Receipts of records, and whether something that somebody shows is one.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_http::HttpContext;
use behalf_ledger::Verdict;
use bytes::Bytes;
use http::{StatusCode, header};
use serde_json::{Value, json};

use super::json as answer;
use crate::problem::Problem;

/// `GET /api/v1/records/{id}/receipt`: C2SP tlog-proof, which `behalf verify` checks offline.
pub(super) async fn receipt(
    State(context): State<HttpContext>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let receipt = context.ledger.receipt(&id).await?;
    // The id named a record, so it is plain text of ours.
    let disposition = format!("attachment; filename=\"{id}.tlog-proof\"");
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CONTENT_DISPOSITION, &disposition),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((StatusCode::OK, headers, receipt.to_string()).into_response())
}

/// `POST /api/v1/verify`: a receipt or the line of a record, as it is or as the member `receipt` or
/// `record` of a JSON object. Keeps nothing.
pub(super) async fn verify(
    State(context): State<HttpContext>,
    body: Bytes,
) -> Result<Response, Problem> {
    let text = std::str::from_utf8(&body).map_err(|_not_utf8| {
        Problem::invalid("send a receipt, or the line of a record, as UTF-8 text")
    })?;
    let wrapped = wrapped(text);
    let verdict = context.ledger.check(wrapped.as_deref().unwrap_or(text)).await?;
    Ok(answer(
        StatusCode::OK,
        &match verdict {
            Verdict::Valid { record, origin, size } => json!({
                "valid": true,
                "log": origin,
                "tree_size": size,
                "record": {
                    "id": record.id,
                    "project": record.project,
                    "entry": record.index,
                    "type": record.kind,
                    "ts": record.at.to_rfc3339(),
                },
            }),
            Verdict::Invalid { reason } => json!({"valid": false, "reason": reason}),
        },
    ))
}

/// The only member of an object, when it is `receipt` or `record`.
fn wrapped(text: &str) -> Option<String> {
    let Ok(Value::Object(body)) = serde_json::from_str(text) else { return None };
    let mut members = body.into_iter();
    match (members.next()?, members.next()) {
        ((name, Value::String(inner)), None) if matches!(&*name, "receipt" | "record") => {
            Some(inner)
        }
        ((name, inner @ Value::Object(_)), None) if name == "record" => {
            behalf_verify::canonical_json::to_canonical(&inner).ok()
        }
        _ => None,
    }
}
