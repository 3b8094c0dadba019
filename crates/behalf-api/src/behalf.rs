//! Our own API, `/api/v1/*`: JSON, errors as problem documents (RFC 9457).

mod documents;

use behalf_http::{HttpContext, Routes};

use crate::problem;

/// Every route of the dialect.
pub fn routes(context: &HttpContext) -> Routes {
    documents::routes(Routes::new(context.clone(), problem::denied))
}
