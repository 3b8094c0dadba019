//! What went wrong with documents, as problems.

use behalf_authz::AuthzError;
use behalf_core::MayReadError;
use behalf_gate::flows::documents::DocumentError;
use behalf_retrieval::{InvalidDocument, RetrievalError};
use behalf_store::StoreError;
use http::StatusCode;

use crate::json_body::too_large;
use crate::problem::Problem;

impl From<RetrievalError> for Problem {
    fn from(error: RetrievalError) -> Self {
        match error {
            RetrievalError::EmptyQuery
            | RetrievalError::QueryTooLong(_)
            | RetrievalError::ResultCount(_)
            | RetrievalError::PageToken => Self::invalid(error.to_string()),
            RetrievalError::MayRead(MayReadError::Unavailable(reason)) => {
                StoreError::unavailable(reason).into()
            }
            RetrievalError::MayRead(MayReadError::Failed(reason)) => {
                StoreError::Internal { reason }.into()
            }
            RetrievalError::Store(error) => error.into(),
        }
    }
}

impl From<InvalidDocument> for Problem {
    fn from(error: InvalidDocument) -> Self {
        match error {
            InvalidDocument::TooLarge => too_large(&error.to_string()),
            _ => Self::invalid(error.to_string()),
        }
    }
}

impl From<DocumentError> for Problem {
    fn from(error: DocumentError) -> Self {
        let text = error.to_string();
        match error {
            DocumentError::NotFound => Self::not_found(),
            DocumentError::NotOwner => Self::new(StatusCode::FORBIDDEN, "not_owner", text),
            DocumentError::NoName => Self::new(StatusCode::FORBIDDEN, "no_name", text),
            DocumentError::LastOwner => Self::new(StatusCode::CONFLICT, "last_owner", text),
            DocumentError::InvalidShare(_) => Self::invalid(text),
            DocumentError::Invalid(error) => error.into(),
            DocumentError::Retrieval(error) => error.into(),
            DocumentError::Store(error) => error.into(),
            DocumentError::Authz(AuthzError::Contention) => StoreError::unavailable(text).into(),
            DocumentError::NoStore | DocumentError::Authz(_) => {
                StoreError::Internal { reason: text }.into()
            }
        }
    }
}
