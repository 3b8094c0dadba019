//! Errors of the dialect: OpenFGA's numbers, their names, and what HTTP and gRPC make of them.
//!
//! gRPC carries the number itself in `grpc-status`. A field that breaks its rule is plain
//! `InvalidArgument` there, and on HTTP gets a number by its message, as OpenFGA's gateway does.

use axum::response::{IntoResponse, Response};
use behalf_authz::AuthzError;
use behalf_http::Denial;
use behalf_store::StoreError;
use http::StatusCode;
use http::header::{self, HeaderValue};
use serde_json::{Value, json};

use super::BODY_LIMIT;

/// gRPC's own `InvalidArgument`.
const INVALID_ARGUMENT: u16 = 3;
/// gRPC's own `Unavailable`.
const UNAVAILABLE: u16 = 14;

/// The numbers that have names (`openfga.v1`'s error enums), and gRPC's that HTTP shows.
const NAMES: [(u16, &str); 45] = [
    (10, "Aborted"),
    (1010, "bearer_token_missing"),
    (1500, "unauthenticated"),
    (1600, "forbidden"),
    (2000, "validation_error"),
    (2001, "authorization_model_not_found"),
    (2002, "authorization_model_resolution_too_complex"),
    (2003, "invalid_write_input"),
    (2004, "cannot_allow_duplicate_tuples_in_one_request"),
    (2007, "invalid_continuation_token"),
    (2010, "invalid_expand_input"),
    (2017, "write_failed_due_to_invalid_input"),
    (2020, "latest_authorization_model_not_found"),
    (2021, "type_not_found"),
    (2022, "relation_not_found"),
    (2027, "invalid_tuple"),
    (2030, "store_id_invalid_length"),
    (2033, "assertions_too_many_items"),
    (2034, "id_too_long"),
    (2036, "authorization_model_id_too_long"),
    (2037, "tuple_key_value_not_specified"),
    (2038, "tuple_keys_too_many_or_too_few_items"),
    (2039, "page_size_invalid"),
    (2040, "param_missing_value"),
    (2041, "difference_base_missing_value"),
    (2042, "subtract_base_missing_value"),
    (2043, "object_too_long"),
    (2044, "relation_too_long"),
    (2045, "type_definitions_too_few_items"),
    (2046, "type_invalid_length"),
    (2047, "type_invalid_pattern"),
    (2048, "relations_too_few_items"),
    (2049, "relations_too_long"),
    (2050, "relations_invalid_pattern"),
    (2052, "query_string_type_continuation_token_mismatch"),
    (2053, "exceeded_entity_limit"),
    (2056, "invalid_authorization_model"),
    (2057, "unsupported_schema_version"),
    (2059, "invalid_start_time"),
    (4004, "deadline_exceeded"),
    (4006, "resource_exhausted"),
    (4010, "unavailable"),
    (5000, "undefined_endpoint"),
    (5002, "store_id_not_found"),
    (5004, "unimplemented"),
];

/// An error of the dialect.
#[derive(Clone, Debug)]
pub(super) struct FgaError {
    /// What HTTP makes a name and a status of.
    number: u16,
    /// What gRPC carries.
    grpc: u16,
    message: String,
    /// What gRPC says before the message: the fields that the bad one lies in.
    trail: String,
    /// Where HTTP's status is not the number's.
    status: Option<StatusCode>,
}

impl FgaError {
    /// The error with that number.
    pub(super) fn new(number: u16, message: impl Into<String>) -> Self {
        Self { number, grpc: number, message: message.into(), trail: String::new(), status: None }
    }

    /// Something is wrong with the request, and there is no number for it.
    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(2000, message)
    }

    /// A field breaks its rule.
    pub(super) fn field(message: &str, field: &str, reason: &str) -> Self {
        let text = format!("invalid {message}.{field}: {reason}");
        Self { grpc: INVALID_ARGUMENT, ..Self::new(number_of_rule(&text), text) }
    }

    /// The bad field lies in this field of another message.
    #[must_use]
    pub(super) fn within(mut self, message: &str, field: &str) -> Self {
        let outer =
            format!("invalid {message}.{field}: embedded message failed validation | caused by: ");
        self.trail.insert_str(0, &outer);
        self
    }

    /// A feature that OpenFGA does not have either.
    pub(super) fn unimplemented(message: impl Into<String>) -> Self {
        Self { grpc: 12, ..Self::new(5004, message) }
    }

    /// A gRPC service or what it names is not there.
    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { grpc: 5, ..Self::new(5000, message) }
    }

    /// A message is larger than allowed. OpenFGA's gateway says 500, upon which its clients ask
    /// again and again; the fault is the caller's (docs/decisions/0016).
    pub(super) fn too_large() -> Self {
        let text = format!("received message larger than max ({BODY_LIMIT} bytes)");
        let status = Some(StatusCode::PAYLOAD_TOO_LARGE);
        Self { grpc: 8, status, ..Self::new(4006, text) }
    }

    /// A message breaks gRPC's own rules.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self { grpc: 13, ..Self::new(4000, message) }
    }

    /// The caller's deadline came first.
    pub(super) fn late() -> Self {
        Self { grpc: 4, ..Self::new(4004, "Request Deadline Exceeded") }
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self { status: Some(StatusCode::FORBIDDEN), ..Self::new(1600, message) }
    }

    fn unavailable(name_of: u16, message: impl Into<String>) -> Self {
        Self {
            grpc: UNAVAILABLE,
            status: Some(StatusCode::SERVICE_UNAVAILABLE),
            ..Self::new(name_of, message)
        }
    }

    /// The number that `grpc-status` carries.
    pub(super) const fn grpc_number(&self) -> u16 {
        self.grpc
    }

    /// What `grpc-message` carries.
    pub(super) fn grpc_message(&self) -> String {
        format!("{}{}", self.trail, self.message)
    }

    /// OpenFGA's number, which HTTP shows by its name.
    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    /// The number's name.
    pub(super) fn code(&self) -> &'static str {
        let named = NAMES.iter().find(|(number, _)| *number == self.number);
        named.map_or("internal_error", |(_, name)| name)
    }

    pub(super) fn message(&self) -> &str {
        &self.message
    }

    pub(super) const fn is_input(&self) -> bool {
        matches!(self.number, 2000..=3499)
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status.unwrap_or(match self.number {
            10 => StatusCode::CONFLICT,
            1000..=1999 => StatusCode::UNAUTHORIZED,
            2000..=3499 => StatusCode::BAD_REQUEST,
            3500..=3999 => StatusCode::UNPROCESSABLE_ENTITY,
            5000.. => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        })
    }

    fn body(&self) -> Value {
        json!({"code": self.code(), "message": self.message})
    }

    /// The error as a line of a stream carries it: with gRPC's number for its class.
    pub(super) fn stream_body(&self) -> Value {
        let class = match self.number {
            10 => 10,
            1000..=1999 => 16,
            2000..=3499 => 3,
            3500..=3999 => 8,
            5000.. => 5,
            _ => 13,
        };
        json!({"error": {"code": class, "message": self.message, "details": []}})
    }

    /// The answer with another body.
    pub(super) fn response(&self, body: &Value) -> Response {
        let status = self.status();
        let headers =
            [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
        let mut response = (status, headers, body.to_string()).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The number that HTTP gives to a field that breaks its rule: OpenFGA's gateway reads it off the
/// text, by the field and by what the reason starts with.
fn number_of_rule(text: &str) -> u16 {
    let Some((place, reason)) = text.split_once(": ") else { return 2000 };
    let mut parts = place.split('.');
    let (Some(_), Some(field), None) = (parts.next(), parts.next(), parts.next()) else {
        return 2000;
    };
    let field = if field.starts_with("Relations[") { "Relations[" } else { field };
    let of = |&&(of, start, _): &&(&str, &str, u16)| of == field && reason.starts_with(start);
    RULES.iter().find(of).map_or(2000, |(_, _, number)| *number)
}

/// The fields that have numbers of their own, what the reason starts with, and the number.
const RULES: [(&str, &str, u16); 18] = [
    ("Assertions", "value must contain no more than", 2033),
    ("AuthorizationModelId", "value length must be at most", 2036),
    ("Base", "value is required", 2041),
    ("Id", "value length must be at most", 2034),
    ("Object", "value length must be at most", 2043),
    ("PageSize", "value must be inside range", 2039),
    ("Params", "value is required", 2040),
    ("Relation", "value length must be at most", 2044),
    ("Relations", "value must contain at least", 2048),
    ("Relations[", "value length must be at most", 2049),
    ("Relations[", "value does not match regex pattern", 2050),
    ("StoreId", "value length must be", 2030),
    ("Subtract", "value is required", 2042),
    ("TupleKey", "value is required", 2037),
    ("TupleKeys", "value must contain between", 2038),
    ("Type", "value length must be at", 2046),
    ("Type", "value does not match regex pattern", 2047),
    ("TypeDefinitions", "value must contain at least", 2045),
];

impl From<AuthzError> for FgaError {
    fn from(error: AuthzError) -> Self {
        let text = error.to_string();
        let failed = |error: &dyn std::fmt::Display| {
            tracing::error!(%error, "an authorization request failed");
            Self { grpc: 4000, ..Self::new(4000, "Internal Server Error") }
        };
        match error {
            AuthzError::StoreNotFound => Self::new(5002, "Store ID not found"),
            AuthzError::NoModel(_) => Self::new(2020, text),
            AuthzError::ModelNotFound(_) => Self::new(2001, text),
            AuthzError::Model(error) => Self::new(error.code().number(), text),
            AuthzError::Write(error) => Self::new(error.code().number(), text),
            AuthzError::Request(error) => Self::new(error.code().number(), text),
            AuthzError::BadContinuationToken => Self::new(2007, text),
            AuthzError::TokenOfAnotherType => Self::new(2052, text),
            AuthzError::TooMany { .. } => Self::new(2053, text),
            AuthzError::Invalid(_) => Self::validation(text),
            AuthzError::NotReached { .. } => Self::unavailable(4010, text),
            AuthzError::Store(StoreError::Unavailable { reason, .. }) => {
                let Self { number, message, .. } = failed(&reason);
                Self::unavailable(number, message)
            }
            AuthzError::Contention => {
                let Self { number, message, .. } = failed(&error);
                Self::unavailable(number, message)
            }
            AuthzError::Store(error) => failed(&error),
        }
    }
}

impl From<&Denial> for FgaError {
    fn from(denial: &Denial) -> Self {
        let number = match denial {
            Denial::Unauthenticated(None) => 1010,
            Denial::Unauthenticated(Some(_)) => 1500,
            Denial::Scope(_) | Denial::Role | Denial::FgaStore | Denial::ForeignOrigin => 1600,
            Denial::Store(_) => 4000,
        };
        let grpc = if matches!(denial, Denial::Store(_)) { UNAVAILABLE } else { number };
        Self { grpc, status: Some(denial.status()), ..Self::new(number, denial.message()) }
    }
}

impl IntoResponse for FgaError {
    fn into_response(self) -> Response {
        self.response(&self.body())
    }
}

/// A denial by the rule table, in this dialect.
pub(super) fn denied(denial: &Denial) -> Response {
    FgaError::from(denial).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_rule_has_the_number_that_openfgas_gateway_reads_off_its_text() {
        let pattern = "value does not match regex pattern \"^x$\"";
        for (field, reason, name) in [
            (
                "Assertions",
                "value must contain no more than 100 item(s)",
                "assertions_too_many_items",
            ),
            (
                "AuthorizationModelId",
                "value length must be at most 26 bytes",
                "authorization_model_id_too_long",
            ),
            ("Base", "value is required", "difference_base_missing_value"),
            ("Id", "value length must be at most 26 bytes", "id_too_long"),
            ("Object", "value length must be at most 256 bytes", "object_too_long"),
            ("PageSize", "value must be inside range [1, 100]", "page_size_invalid"),
            ("Params", "value is required", "param_missing_value"),
            ("Relation", "value length must be at most 50 bytes", "relation_too_long"),
            ("Relations", "value must contain at least 1 pair(s)", "relations_too_few_items"),
            ("Relations[a b]", "value length must be at most 50 bytes", "relations_too_long"),
            ("Relations[a b]", pattern, "relations_invalid_pattern"),
            ("StoreId", "value length must be 26 bytes", "store_id_invalid_length"),
            ("Subtract", "value is required", "subtract_base_missing_value"),
            ("TupleKey", "value is required", "tuple_key_value_not_specified"),
            (
                "TupleKeys",
                "value must contain between 1 and 10 items",
                "tuple_keys_too_many_or_too_few_items",
            ),
            ("Type", "value length must be at most 254 bytes", "type_invalid_length"),
            ("Type", pattern, "type_invalid_pattern"),
            (
                "TypeDefinitions",
                "value must contain at least 1 item(s)",
                "type_definitions_too_few_items",
            ),
            // Other reasons, other fields, and what the gateway cannot take apart.
            ("Type", "value is required", "validation_error"),
            ("Relations[a.b]", pattern, "validation_error"),
            ("Relations[a: b]", pattern, "validation_error"),
            ("User", pattern, "validation_error"),
        ] {
            let error = FgaError::field("Message", field, reason);
            assert_eq!((error.code(), error.grpc_number()), (name, 3), "{field}: {reason}");
            assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        }
    }

    #[test]
    fn numbers_have_the_status_of_their_range() {
        for (error, code, status) in [
            (FgaError::new(10, ""), "Aborted", 409),
            (FgaError::new(1010, ""), "bearer_token_missing", 401),
            (FgaError::forbidden(""), "forbidden", 403),
            (FgaError::new(2000, ""), "validation_error", 400),
            (FgaError::new(5002, ""), "store_id_not_found", 404),
            (FgaError::unimplemented(""), "unimplemented", 404),
            (FgaError::too_large(), "resource_exhausted", 413),
            (FgaError::late(), "deadline_exceeded", 500),
            (FgaError::internal(""), "internal_error", 500),
        ] {
            assert_eq!((error.code(), error.status().as_u16()), (code, status));
        }
    }
}
