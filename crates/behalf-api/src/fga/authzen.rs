//! AuthZEN 1.0 over HTTP: `/stores/{store_id}/access/v1/…`.

use axum::extract::{Path, State};
use axum::response::Response;
use behalf_authz::ApiRight as Right;
use behalf_http::{HttpContext, Routes, Rule};
use http::{Method, StatusCode};

use super::call::{Call, json};
use super::error::FgaError;
use super::json::{
    FgaBody, actions_json, configuration_json, evaluation_json, evaluations_json, resources_json,
    subjects_json,
};
use super::ops::authzen;
use super::wire::authzen_v1 as az;

type Answered = Result<Response, FgaError>;

pub(super) fn routes(routes: Routes) -> Routes {
    const EVALUATION: &str = "/stores/{store_id}/access/v1/evaluation";
    const EVALUATIONS: &str = "/stores/{store_id}/access/v1/evaluations";
    const SUBJECT: &str = "/stores/{store_id}/access/v1/search/subject";
    const RESOURCE: &str = "/stores/{store_id}/access/v1/search/resource";
    const ACTION: &str = "/stores/{store_id}/access/v1/search/action";
    const CONFIGURATION: &str = "/.well-known/authzen-configuration/{store_id}";
    let check = |right| Rule::Fga("check:fga", right);
    routes
        .route(Method::POST, EVALUATION, check(Right::Check), evaluation)
        .route(Method::POST, EVALUATIONS, check(Right::Check), evaluations)
        .route(Method::POST, SUBJECT, check(Right::ListUsers), subject_search)
        .route(Method::POST, RESOURCE, check(Right::ListObjects), resource_search)
        .route(Method::POST, ACTION, check(Right::Check), action_search)
        .route(Method::GET, CONFIGURATION, Rule::Public, configuration)
}

async fn evaluation(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<az::EvaluationRequest>,
) -> Answered {
    let answer = call.evaluation(az::EvaluationRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, evaluation_json))
}

async fn evaluations(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<az::EvaluationsRequest>,
) -> Answered {
    let answer = call.evaluations(az::EvaluationsRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, evaluations_json))
}

async fn resource_search(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<az::ResourceSearchRequest>,
) -> Answered {
    let answer = call.resource_search(az::ResourceSearchRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, resources_json))
}

async fn subject_search(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<az::SubjectSearchRequest>,
) -> Answered {
    let answer = call.subject_search(az::SubjectSearchRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, subjects_json))
}

async fn action_search(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(request): FgaBody<az::ActionSearchRequest>,
) -> Answered {
    let answer = call.action_search(az::ActionSearchRequest { store_id, ..request }).await?;
    Ok(answer.http(StatusCode::OK, actions_json))
}

/// It says nothing about the store, not even whether it is there.
async fn configuration(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
) -> Answered {
    let request = az::GetConfigurationRequest { store_id };
    let answer = authzen::configuration(context.identity.issuer().as_str(), &request)?;
    Ok(json(StatusCode::OK, &configuration_json(&answer)))
}
