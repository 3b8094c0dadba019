//! OpenFGA's and AuthZEN's methods over gRPC, on the same port. Each method is a route with a rule like any other
//! (`/openfga.v1.OpenFGAService/Check`), so one table says who may call what; only the framing of
//! messages is gRPC's own. Errors carry OpenFGA's numbers in `grpc-status`, which has room for more
//! than gRPC's sixteen.

mod frame;
mod health;
mod reflection;

use ::http::{HeaderMap, Method, header};
use axum::extract::{Request, State};
use axum::response::Response;
use behalf_authz::ApiRight as Right;
use behalf_http::{Denial, HttpContext, Routes, Rule};

use super::call::{Answer, Stamp};
use super::error::FgaError;
use super::wire::openfga_v1 as pb;
use frame::{Incoming, refuse, reply, reply_all};

macro_rules! methods {
    ($unary:ident $service:literal $($path:literal $scope:literal $right:ident $name:ident,)*) => {
        $(async fn $name(State(context): State<HttpContext>, request: Request) -> Response {
            let incoming = Incoming::new(request);
            let deadline = incoming.deadline();
            let answer = async {
                let (call, message) = incoming.call(&context).await?;
                call.$name(message).await
            };
            reply(within(deadline, answer).await)
        })*

        /// The methods of the service that answer with one message.
        fn $unary(routes: Routes) -> Routes {
            routes$(.route(
                Method::POST,
                concat!("/", $service, "/", $path),
                Rule::Fga($scope, Right::$right),
                $name,
            ))*
        }
    };
}

methods! {
    openfga "openfga.v1.OpenFGAService"
    "Read" "read:fga" Read read,
    "Write" "write:fga" Write write,
    "Check" "check:fga" Check check,
    "BatchCheck" "check:fga" Check batch_check,
    "ReadAuthorizationModels" "read:fga" ReadModels read_models,
    "ReadAuthorizationModel" "read:fga" ReadModels read_model,
    "WriteAuthorizationModel" "admin:fga" WriteModels write_model_message,
    "WriteAssertions" "write:fga" WriteAssertions write_assertions,
    "ReadAssertions" "read:fga" ReadAssertions read_assertions,
    "ReadChanges" "read:fga" ReadChanges read_changes,
    "CreateStore" "admin:fga" CreateStores create_store,
    "DeleteStore" "admin:fga" DeleteStore delete_store,
    "GetStore" "read:fga" GetStore get_store,
    "ListStores" "read:fga" ListStores list_stores,
    "ListObjects" "read:fga" ListObjects list_objects,
    "ListUsers" "read:fga" ListUsers list_users,
    "Expand" "read:fga" Expand expand,
}

methods! {
    authzen "authzen.v1.AuthZenService"
    "Evaluation" "check:fga" Check evaluation,
    "Evaluations" "check:fga" Check evaluations,
    "SubjectSearch" "check:fga" ListUsers subject_search,
    "ResourceSearch" "check:fga" ListObjects resource_search,
    "ActionSearch" "check:fga" Check action_search,
}

/// Every gRPC method of the dialect.
pub(super) fn routes(context: &HttpContext) -> Routes {
    const STREAM: &str = "/openfga.v1.OpenFGAService/StreamedListObjects";
    const CONFIGURATION: &str = "/authzen.v1.AuthZenService/GetConfiguration";
    const UPDATE: &str = "/openfga.v1.OpenFGAService/UpdateStore";
    let routes = Routes::new(context.clone(), denied)
        .headers(super::http::name_request)
        .route(
            Method::POST,
            STREAM,
            Rule::Fga("read:fga", Right::ListObjects),
            streamed_list_objects,
        )
        .route(Method::POST, UPDATE, Rule::Fga("admin:fga", Right::DeleteStore), update_store);
    let routes = authzen(openfga(routes))
        .route(Method::POST, CONFIGURATION, Rule::Public, configuration)
        .route(Method::POST, "/grpc.health.v1.Health/Check", Rule::Public, health::check)
        .route(Method::POST, "/grpc.health.v1.Health/Watch", Rule::Public, health::watch);
    reflection::routes(routes)
}

async fn streamed_list_objects(State(context): State<HttpContext>, request: Request) -> Response {
    let incoming = Incoming::new(request);
    let deadline = incoming.deadline();
    let answer = async {
        let (call, message) = incoming.call(&context).await?;
        call.streamed_list_objects(message).await
    };
    reply_all(within(deadline, answer).await, |object| pb::StreamedListObjectsResponse { object })
}

async fn configuration(State(context): State<HttpContext>, request: Request) -> Response {
    let answer = Incoming::new(request).message().await.and_then(|request| {
        let issuer = context.identity.issuer().as_str();
        let answer = super::ops::authzen::configuration(issuer, &request)?;
        Ok(Answer::new(answer, Stamp::default()))
    });
    reply(answer)
}

/// OpenFGA declares the method and does not have it.
async fn update_store(State(context): State<HttpContext>, request: Request) -> Response {
    let incoming = Incoming::new(request);
    let called = incoming.call::<pb::UpdateStoreRequest>(&context).await;
    let refused = match called {
        Ok((call, message)) => call.update_store(&message.store_id).await,
        Err(error) => error,
    };
    refuse(&refused)
}

/// The answer, unless the caller's deadline comes first.
async fn within<T>(
    deadline: Option<std::time::Duration>,
    answer: impl Future<Output = Result<T, FgaError>>,
) -> Result<T, FgaError> {
    match deadline {
        None => answer.await,
        Some(deadline) => tokio::time::timeout(deadline, answer)
            .await
            .unwrap_or_else(|_late| Err(FgaError::late())),
    }
}

/// A denial by the rule table, as gRPC says it.
fn denied(denial: &Denial) -> Response {
    refuse(&FgaError::from(denial))
}

/// The answer to a method that is not there; `None` when the request is no gRPC call.
pub(super) fn not_found(path: &str, headers: &HeaderMap) -> Option<Response> {
    let content_type = headers.get(header::CONTENT_TYPE)?.as_bytes();
    content_type
        .starts_with(b"application/grpc")
        .then(|| refuse(&FgaError::unimplemented(format!("unknown method `{path}`"))))
}
