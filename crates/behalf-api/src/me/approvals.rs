//! `/me/v1/approvals`: what a person is asked, and her decisions through an approver application.

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse, Response};
use behalf_gate::{Approval, ApprovalFilter, DecideError, Decider, Status, Verdict, Via};
use behalf_http::{BrowserOf, Caller, HttpContext, Params};
use behalf_identity::{AccessToken, User};
use bytes::Bytes;
use http::StatusCode;
use http::header;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::problem::Problem;

/// Approvals on a page, unless fewer are asked for.
const LIMIT: u32 = 50;
/// Approvals on a page at most.
const LIMIT_MAX: u32 = 100;

pub(super) async fn list(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let (_, user) = person(caller)?;
    let mut params = Params::from_urlencoded(query.unwrap_or_default().as_bytes())
        .map_err(|error| Problem::invalid(error.to_string()))?;
    let filter = match params.take("status") {
        None => ApprovalFilter::All,
        Some(text) => ApprovalFilter::Is(Status::from_text(&text).ok_or_else(|| {
            let known = Status::ALL.map(Status::as_str).join(", ");
            Problem::invalid(format!("`status` is one of {known}"))
        })?),
    };
    let limit = match params.take("limit") {
        None => LIMIT,
        Some(text) => text
            .parse::<u32>()
            .ok()
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(|| Problem::invalid(format!("`limit` is 1 to {LIMIT_MAX}")))?,
    };
    let before = params.take("next").unwrap_or_default();
    let page = context.gate.list_approvals(&user.user_id, filter, &before, limit).await?;
    let approvals: Vec<Value> = page.items.iter().map(shape).collect();
    Ok(answer(&json!({"approvals": approvals, "next": page.next})))
}

pub(super) async fn get(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (_, user) = person(caller)?;
    let approval = context.gate.find_approval(&user.user_id, &id).await?;
    Ok(answer(&shape(&approval.ok_or_else(Problem::not_found)?)))
}

pub(super) async fn approve(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    BrowserOf(peer): BrowserOf,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    decide(&context, caller, peer.address, &id, Verdict::Approve, &body).await
}

pub(super) async fn deny(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    BrowserOf(peer): BrowserOf,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Response, Problem> {
    decide(&context, caller, peer.address, &id, Verdict::Deny, &body).await
}

/// The body of a decision; it may be absent.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DecisionBody {
    digest: Option<String>,
    reason: Option<String>,
}

async fn decide(
    context: &HttpContext,
    caller: Caller,
    address: String,
    id: &str,
    verdict: Verdict,
    body: &[u8],
) -> Result<Response, Problem> {
    let (token, user) = person(caller)?;
    let body: Result<DecisionBody, Problem> = match body {
        [] => Ok(DecisionBody::default()),
        body => serde_json::from_slice(body)
            .map_err(|_| Problem::invalid("send {\"digest\"?, \"reason\"?} as JSON, or nothing")),
    };
    let decider = Decider {
        user: user.user_id,
        via: Via::Client { client_id: token.client_id, address },
        act: token.act,
    };
    // Whether there is such an approval, and whether this client may decide it, comes before what
    // the body says.
    let gate = &context.gate;
    gate.check_decider(id, &decider).await.map_err(refused)?;
    let DecisionBody { digest, reason } = body?;
    let decided = gate.decide(id, verdict, digest.as_deref(), reason.as_deref(), &decider).await;
    Ok(answer(&shape(&decided.map_err(refused)?)))
}

/// The person behind the token. A client's own token is about nobody, who has no approvals.
fn person(caller: Caller) -> Result<(AccessToken, User), Problem> {
    match caller {
        Caller::Token(token, Some(user)) => Ok((token, user)),
        _ => Err(Problem::new(StatusCode::FORBIDDEN, "forbidden", "this token is about no person")),
    }
}

fn refused(error: DecideError) -> Problem {
    let conflict = |code, error: &DecideError| {
        Problem::new(StatusCode::CONFLICT, code, format!("{error}; nothing was changed"))
    };
    match error {
        DecideError::NotFound => Problem::not_found(),
        DecideError::SelfApproval => Problem::new(
            StatusCode::FORBIDDEN,
            "self_approval",
            "whoever asks for an approval cannot give it; decide in another application",
        ),
        DecideError::Digest => conflict("digest_mismatch", &error),
        DecideError::Over(_) => conflict("already_decided", &error),
        DecideError::Tampered => {
            tracing::error!(%error, "an approval was altered in the store");
            let detail = "the server cannot answer now; nothing was changed";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", detail)
        }
        DecideError::Store(error) => error.into(),
    }
}

fn answer(body: &Value) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (StatusCode::OK, headers, body.to_string()).into_response()
}

/// An approval on the wire (DESIGN §7). The `auth_req_id` is never among it: whoever holds it can
/// redeem.
fn shape(approval: &Approval) -> Value {
    let question = &approval.question;
    let decision = approval.decision.as_ref();
    json!({
        "id": approval.id,
        "source": approval.source.as_str(),
        "status": approval.status.as_str(),
        "client": {"client_id": approval.client.as_str(), "name": question.client_name},
        "agent": approval.agent.as_ref().map(|agent| agent.as_str()),
        "binding_message": question.words.as_ref().map(|words| words.text.as_str()),
        "scopes": question.scopes,
        "audience": question.audience,
        "authorization_details": question.authorization_details,
        "tool": question.tool,
        "arguments": question.arguments,
        "digest": approval.digest,
        "level": approval.level,
        "created_at": approval.created_at.to_rfc3339(),
        "expires_at": approval.expires_at.to_rfc3339(),
        "decided_at": decision.map(|decision| decision.at.to_rfc3339()),
        "decided_by": decision.map(|decision| decision.by.as_str()),
        "reason": decision.and_then(|decision| decision.reason.as_deref()),
    })
}
