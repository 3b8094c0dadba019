//! Dry runs: what a change of tuples or of the model would give and take, without making it.

use axum::extract::Path;
use behalf_authz::engine::{AccessDiff, Change, ListObjectsRequest, ListUsersRequest, Side};
use behalf_authz::{At, AuthzError};
use http::StatusCode;
use serde_json::{Value, json};

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::json::{Ask, Diff, FgaBody};
use crate::fga::ops::in_the_background;

/// Changes in one dry run at most.
const MAX_CHANGES: usize = 10_000;

pub(super) async fn diff(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Diff>,
) -> Answered {
    if body.writes.len().saturating_add(body.deletes.len()) > MAX_CHANGES {
        let text = format!("The number of changes exceeds the allowed limit of {MAX_CHANGES}");
        return Err(FgaError::new(2053, text));
    }
    let none = Ask::default();
    let ask = match (&body.objects, &body.users) {
        (Some(of), None) => &of.ask,
        (None, Some(of)) => &of.ask,
        _ => &none,
    };
    let at = ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let diff = in_the_background(move || Ok(compare(&at, body))).await??;
    let json = json!({"gained": diff.gained, "lost": diff.lost});
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

fn compare(at: &At, body: Diff) -> Result<AccessDiff, FgaError> {
    let deletes = body.deletes.iter().map(|tuple| Change::Delete(tuple.delete_key()));
    let changes: Vec<Change> =
        deletes.chain(body.writes.iter().cloned().map(Change::Write)).collect();
    let after = at.snapshot().with_changes(&changes).map_err(AuthzError::from)?;
    let (after, model) = match body.model {
        None => (after, None),
        Some(model) => {
            let (after, model) = after.with_model(model).map_err(AuthzError::from)?;
            (after, Some(model))
        }
    };
    let before = Side { snapshot: at.snapshot(), model: at.model() };
    let after = Side { snapshot: &after, model: model.as_ref().unwrap_or_else(|| at.model()) };
    for tuple in &body.writes {
        after.model.validate_tuple(tuple).map_err(|reason| {
            FgaError::validation(format!("Invalid tuple '{tuple}'. Reason: {reason}"))
        })?;
    }
    let diff = match (&body.objects, &body.users) {
        (Some(of), None) => {
            let list = ListObjectsRequest {
                user: &of.user,
                relation: &of.relation,
                object_type: &of.object_type,
                request: at.timed(of.ask.request()),
            };
            AccessDiff::of_objects(before, after, &list)
        }
        (None, Some(of)) => {
            let list = ListUsersRequest { request: at.timed(of.ask.request()), ..of.list() };
            AccessDiff::of_users(before, after, &list)
        }
        _ => return Err(FgaError::validation("ask for either list_objects or list_users")),
    };
    Ok(diff.map_err(AuthzError::from)?)
}
