//! Whose answers a store gives to checks: v1, or v2 as under OpenFGA's `weighted_graph_check`; and
//! what the other would answer.

use axum::extract::Path;
use behalf_authz::engine::{CheckRequest, Compared, RequestError, Semantics};
use behalf_authz::{AuthzError, Query};
use http::StatusCode;
use serde_json::{Value, json};

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::error::FgaError;
use crate::fga::json::{Explain, FgaBody, SemanticsName};
use crate::fga::ops::in_the_background;
use crate::fga::rules::{self, In};

pub(super) async fn get(call: Call, Path(store_id): Path<String>) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    call.enter(&store_id).await?;
    describe(&call, store_id).await
}

pub(super) async fn put(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(SemanticsName(name)): FgaBody<SemanticsName>,
) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    let semantics = Semantics::find(&name)
        .ok_or_else(|| FgaError::validation("`semantics` is neither `v1` nor `v2`"))?;
    call.enter(&store_id).await?;
    call.context.authz.set_semantics(&store_id, semantics, &call.caller.actor).await?;
    describe(&call, store_id).await
}

/// What the store is set to, whether v2 takes the latest model, if there is one, and which of its
/// relations may then be answered otherwise.
async fn describe(call: &Call, store_id: String) -> Answered {
    let authz = &call.context.authz;
    let semantics = authz.load_store(&store_id).await?.semantics;
    let (json, stamp) = match authz.at(Query { store_id: &store_id, model_id: None }).await {
        Ok(at) => {
            let changes = at.model().semantic_changes();
            let relations: Vec<_> = changes
                .into_iter()
                .map(|(relation, reasons)| json!({"relation": relation, "reasons": reasons}))
                .collect();
            let json = json!({
                "semantics": semantics,
                "authorization_model_id": *at.model_id,
                "unfit": at.model().unfit(),
                "relations": relations,
            });
            (json, Stamp::of(store_id, &at))
        }
        Err(AuthzError::NoModel(_)) => (json!({"semantics": semantics}), Stamp::store(store_id)),
        Err(error) => return Err(error.into()),
    };
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

/// Both answers to one check.
pub(super) async fn compare(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<Explain>,
) -> Answered {
    let is = In("CompareRequest");
    let key = is.required("TupleKey", body.key)?;
    is.nested("TupleKey", rules::check_key(&key))?;
    let ask = body.ask;
    let at = ask.at(&call, &store_id).await?;
    let stamp = Stamp::of(store_id, &at);
    let unfit = at.model().unfit().cloned();
    let compared = in_the_background(move || {
        Ok(at.compare_semantics(&CheckRequest {
            user: &key.user,
            relation: &key.relation,
            object: &key.object,
            request: ask.request(),
        }))
    });
    let Compared { v1, v2, change, is_fallback } = compared.await?;
    let json = json!({
        "v1": said(v1),
        "v2": said(v2),
        "reason": change,
        "v2_asks_v1": is_fallback,
        "unfit": unfit,
    });
    Ok(Answer::new(json, stamp).http(StatusCode::OK, Value::clone))
}

fn said(answer: Result<bool, RequestError>) -> Value {
    match answer {
        Ok(is_allowed) => json!({"allowed": is_allowed}),
        Err(error) => {
            let error = FgaError::from(AuthzError::from(error));
            json!({"error": {"code": error.code(), "message": error.message()}})
        }
    }
}
