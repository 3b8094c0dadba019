//! Claims about the person behind an access token (OpenID Connect Core §5.3).

use axum::Extension;
use axum::response::{IntoResponse, Response};
use behalf_http::{Caller, Denial};
use behalf_identity::TokenError;
use http::StatusCode;
use serde_json::Value;

use super::error::{answer, denied};

pub(super) async fn get(Extension(caller): Extension<Caller>) -> Response {
    match caller {
        Caller::Token(token, Some(user)) => {
            answer(StatusCode::OK, &Value::Object(user.claims(&token.scopes)))
        }
        Caller::Token(_, None) | Caller::Person(_) | Caller::Fga(..) | Caller::Project(_) => {
            denied(&Denial::Unauthenticated(Some(TokenError::Invalid))).into_response()
        }
    }
}
