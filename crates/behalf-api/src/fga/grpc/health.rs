//! gRPC's health protocol: the server is there, so it serves.

use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;

use super::frame::{Incoming, framed, refuse, stream};
use crate::fga::error::FgaError;
use crate::fga::wire::health_v1 as pb;
use pb::health_check_response::ServingStatus;

/// Services whose health may be asked; the empty name is the server itself.
const SERVICES: [&str; 3] = ["", "openfga.v1.OpenFGAService", "authzen.v1.AuthZenService"];

pub(super) async fn check(request: Request) -> Response {
    match asked(request).await {
        Ok(ServingStatus::ServiceUnknown) => refuse(&FgaError::not_found("unknown service")),
        Ok(status) => stream(futures_util::stream::iter([answer(status)])),
        Err(error) => refuse(&error),
    }
}

/// Says how it is, and goes on saying nothing, since nothing changes, until the caller goes away.
pub(super) async fn watch(request: Request) -> Response {
    match asked(request).await {
        Ok(status) => {
            let first = futures_util::stream::iter([answer(status)]);
            stream(first.chain(futures_util::stream::pending()))
        }
        Err(error) => refuse(&error),
    }
}

async fn asked(request: Request) -> Result<ServingStatus, FgaError> {
    let request: pb::HealthCheckRequest = Incoming::new(request).message().await?;
    let is_known = SERVICES.contains(&request.service.as_str());
    Ok(if is_known { ServingStatus::Serving } else { ServingStatus::ServiceUnknown })
}

fn answer(status: ServingStatus) -> Bytes {
    framed(&pb::HealthCheckResponse { status: status.into() })
}
