//! Bodies: any content type, as OpenFGA's gateway does not look at it either.

use axum::extract::{FromRequest, Request};
use behalf_http::HttpContext;
use bytes::Bytes;
use http::StatusCode;

use super::object::Object;
use super::value::Json;
use crate::fga::error::FgaError;

/// A JSON body, read as a message by `T::read`.
#[derive(Debug)]
pub(in crate::fga) struct FgaBody<T>(pub(in crate::fga) T);

/// What a body can be read as.
pub(in crate::fga) trait Read: Sized {
    fn read(body: &Object<'_>) -> Result<Self, FgaError>;
}

impl<T: Read> FromRequest<HttpContext> for FgaBody<T> {
    type Rejection = FgaError;

    async fn from_request(request: Request, context: &HttpContext) -> Result<Self, FgaError> {
        let body =
            Bytes::from_request(request, context).await.map_err(|rejection| {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => FgaError::too_large(),
                    _ => FgaError::validation("the body could not be read"),
                }
            })?;
        let text: &[u8] = if body.is_empty() { b"{}" } else { &body };
        let json = serde_json::from_slice(text).map_err(|error| {
            let text =
                if error.is_data() { error.to_string() } else { "malformed JSON".to_owned() };
            FgaError::validation(text)
        })?;
        let Json::Object(members) = json else {
            return Err(FgaError::validation("the body is no JSON object"));
        };
        T::read(&Object::new(&members)).map(Self)
    }
}
