//! OpenFGA's error codes and the errors of each family of operations.
//!
//! Every error knows its [`ErrorCode`], so a server can answer with OpenFGA's number and name and
//! with a message of the same form. Numbers and names: `openfga.v1` error enums.

use thiserror::Error;

/// The codes this crate can answer with; the number is what OpenFGA puts in `grpc-status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum ErrorCode {
    /// A request value is invalid, or a condition could not be evaluated.
    ValidationError = 2000,
    /// The resolution of a request went deeper, or took more work, than allowed.
    AuthorizationModelResolutionTooComplex = 2002,
    /// A write names no tuple at all.
    InvalidWriteInput = 2003,
    /// A tuple occurs twice in one write.
    CannotAllowDuplicateTuplesInOneRequest = 2004,
    /// A page token is of no page.
    InvalidContinuationToken = 2007,
    /// A write meets a tuple that exists, or misses one that does not.
    WriteFailedDueToInvalidInput = 2017,
    /// The model has no such type.
    TypeNotFound = 2021,
    /// The type has no such relation.
    RelationNotFound = 2022,
    /// A contextual tuple is invalid under the model.
    InvalidTuple = 2027,
    /// A request has more items than allowed.
    ExceededEntityLimit = 2053,
    /// The model is invalid.
    InvalidAuthorizationModel = 2056,
    /// The model's schema version is not supported.
    UnsupportedSchemaVersion = 2057,
    /// Something that must not happen happened.
    InternalError = 4000,
    /// The request took longer than it may.
    DeadlineExceeded = 4004,
    /// A write conflicts with a stored tuple that has another condition (HTTP 409).
    Aborted = 10,
}

impl ErrorCode {
    /// The number, as it travels in `grpc-status`.
    pub fn number(self) -> u16 {
        self as u16
    }

    /// The name, as it travels in the `code` field of an HTTP body.
    pub fn name(self) -> &'static str {
        match self {
            Self::ValidationError => "validation_error",
            Self::AuthorizationModelResolutionTooComplex => {
                "authorization_model_resolution_too_complex"
            }
            Self::InvalidWriteInput => "invalid_write_input",
            Self::CannotAllowDuplicateTuplesInOneRequest => {
                "cannot_allow_duplicate_tuples_in_one_request"
            }
            Self::InvalidContinuationToken => "invalid_continuation_token",
            Self::WriteFailedDueToInvalidInput => "write_failed_due_to_invalid_input",
            Self::TypeNotFound => "type_not_found",
            Self::RelationNotFound => "relation_not_found",
            Self::InvalidTuple => "invalid_tuple",
            Self::ExceededEntityLimit => "exceeded_entity_limit",
            Self::InvalidAuthorizationModel => "invalid_authorization_model",
            Self::UnsupportedSchemaVersion => "unsupported_schema_version",
            Self::InternalError => "internal_error",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::Aborted => "Aborted",
        }
    }

    /// The HTTP status OpenFGA's gateway gives to the code.
    pub fn http_status(self) -> u16 {
        match self.number() {
            10 => 409,
            1000..=1999 => 401,
            2000..=3499 => 400,
            3500..=3999 => 422,
            5000.. => 404,
            _ => 500,
        }
    }
}

/// Why a tuple is not valid under a model.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TupleError {
    /// The user is neither an object, nor a userset, nor a typed wildcard.
    #[error("the 'user' field is malformed")]
    MalformedUser,
    /// The user is only an id.
    #[error(
        "the 'user' field must be an object (e.g. document:1) or an 'object#relation' or a typed wildcard (e.g. group:*)"
    )]
    UntypedUser,
    /// The object is not `type:id`.
    #[error("invalid 'object' field format")]
    MalformedObject,
    /// The object is `type:*`.
    #[error("the 'object' field cannot reference a typed wildcard")]
    WildcardObject,
    /// The relation holds a reserved character.
    #[error("the 'relation' field is malformed")]
    MalformedRelation,
    /// The model has no such type.
    #[error("type '{0}' not found")]
    TypeNotFound(String),
    /// The type has no such relation.
    #[error("relation '{object_type}#{relation}' not found")]
    RelationNotFound {
        /// The type that lacks the relation.
        object_type: String,
        /// The relation that is missing.
        relation: String,
    },
    /// The model has no such relation, or it does not admit such a tuple: v2 says no more.
    #[error("object relation does not exist")]
    NoObjectRelation,
    /// The relation does not admit this kind of user.
    #[error("{0}")]
    TypeRestriction(String),
    /// A tupleset relation got something that is not a plain object.
    #[error("unexpected {0} with tupleset relation '{1}'")]
    Tupleset(String, String),
    /// The condition is missing, unknown, not admitted, or its context does not fit.
    #[error("{0}")]
    Condition(String),
    /// The tuple would expire before it begins to hold.
    #[error("a tuple cannot expire before it starts")]
    NeverValid,
    /// The tuple says what every userset says of itself.
    #[error("cannot write a tuple that is implicit")]
    Implicit,
    /// The tuple's condition context is too large.
    #[error("condition context size limit exceeded: {size} bytes exceeds {limit} bytes")]
    ContextTooLarge {
        /// Bytes found.
        size: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// Why a check or a list could not be answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// The tuple asked about is not valid under the model.
    #[error("{0}")]
    InvalidInput(TupleError),
    /// A contextual tuple is not valid under the model.
    #[error("Invalid tuple '{tuple}'. Reason: {reason}")]
    InvalidContextualTuple {
        /// The tuple in string form.
        tuple: String,
        /// What is wrong with it.
        reason: TupleError,
    },
    /// The model has no such type.
    #[error("type '{0}' not found")]
    TypeNotFound(String),
    /// The type has no such relation.
    #[error("relation '{object_type}#{relation}' not found")]
    RelationNotFound {
        /// The type that lacks the relation.
        object_type: String,
        /// The relation that is missing.
        relation: String,
    },
    /// A condition could not be evaluated.
    #[error("failed to evaluate relationship condition: '{condition}' - {reason}")]
    Condition {
        /// The condition's name.
        condition: String,
        /// What went wrong.
        reason: String,
    },
    /// A tuple that holds for a time was met, and the request does not say what time it is.
    #[error("a tuple holds for a time only, and the request has no time")]
    NoTime,
    /// The caller's own check ended the request.
    #[error("the request was stopped before it was answered")]
    Stopped,
    /// A page token that no page of this list gave.
    #[error("invalid continuation token")]
    PageToken,
    /// The depth limit was reached.
    #[error(
        "Authorization Model resolution required too many rewrite rules to be resolved. Check your authorization model for infinite recursion or too much nesting"
    )]
    TooComplex,
    /// The work budget of the request was used up.
    #[error("the request needs more work than its budget of {0} steps allows")]
    BudgetExceeded(u64),
    /// The request has too many items.
    #[error("The number of {what} exceeds the allowed limit of {limit}")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// The model was bound to another store.
    #[error("the model belongs to another store")]
    ForeignModel,
}

impl RequestError {
    /// True if a bound of the request was reached, so that with another the answer might be another.
    pub(crate) fn is_bound(&self) -> bool {
        matches!(self, Self::TooComplex) || self.is_end()
    }

    /// True if the request may do no more work.
    pub(crate) fn is_end(&self) -> bool {
        matches!(self, Self::Stopped | Self::BudgetExceeded(_))
    }

    /// The code OpenFGA answers with.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InvalidInput(_) | Self::Condition { .. } | Self::NoTime => {
                ErrorCode::ValidationError
            }
            Self::Stopped => ErrorCode::DeadlineExceeded,
            Self::PageToken => ErrorCode::InvalidContinuationToken,
            Self::InvalidContextualTuple { .. } => ErrorCode::InvalidTuple,
            Self::TypeNotFound(_) => ErrorCode::TypeNotFound,
            Self::RelationNotFound { .. } => ErrorCode::RelationNotFound,
            Self::TooComplex | Self::BudgetExceeded(_) => {
                ErrorCode::AuthorizationModelResolutionTooComplex
            }
            Self::TooMany { .. } => ErrorCode::ExceededEntityLimit,
            Self::ForeignModel => ErrorCode::InternalError,
        }
    }
}

/// Why a write was refused; nothing of a refused write is applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WriteError {
    /// Neither writes nor deletes were given.
    #[error("Invalid input. Make sure you provide at least one write, or at least one delete")]
    Empty,
    /// A tuple is not valid under the model.
    #[error("Invalid tuple '{tuple}'. Reason: {reason}")]
    InvalidTuple {
        /// The tuple in string form.
        tuple: String,
        /// What is wrong with it.
        reason: TupleError,
    },
    /// A key occurs twice in the request.
    #[error("duplicate tuple in write: user: '{user}', relation: '{relation}', object: '{object}'")]
    Duplicate {
        /// The user of the key.
        user: String,
        /// The relation of the key.
        relation: String,
        /// The object of the key.
        object: String,
    },
    /// More tuples than one request may hold.
    #[error("The number of write operations exceeds the allowed limit of {0}")]
    TooMany(usize),
    /// The tuple to write exists.
    #[error(
        "cannot write a tuple which already exists: user: '{user}', relation: '{relation}', object: '{object}': tuple to be written already existed or the tuple to be deleted did not exist"
    )]
    AlreadyExists {
        /// The user of the key.
        user: String,
        /// The relation of the key.
        relation: String,
        /// The object of the key.
        object: String,
    },
    /// The tuple to delete does not exist.
    #[error(
        "cannot delete a tuple which does not exist: user: '{user}', relation: '{relation}', object: '{object}': tuple to be written already existed or the tuple to be deleted did not exist"
    )]
    DoesNotExist {
        /// The user of the key.
        user: String,
        /// The relation of the key.
        relation: String,
        /// The object of the key.
        object: String,
    },
    /// The tuple exists with another condition, so `ignore` does not apply.
    #[error(
        "transactional write failed due to conflict: tuple '{0}' exists with another condition"
    )]
    Conflict(String),
    /// The store cannot number any more names.
    #[error("the store is full: it cannot number more {0}")]
    Full(&'static str),
    /// The model was bound to another store.
    #[error("the model belongs to another store")]
    ForeignModel,
}

impl WriteError {
    /// The code OpenFGA answers with.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Empty => ErrorCode::InvalidWriteInput,
            Self::InvalidTuple { .. } => ErrorCode::ValidationError,
            Self::Duplicate { .. } => ErrorCode::CannotAllowDuplicateTuplesInOneRequest,
            Self::TooMany(_) => ErrorCode::ExceededEntityLimit,
            Self::AlreadyExists { .. } | Self::DoesNotExist { .. } => {
                ErrorCode::WriteFailedDueToInvalidInput
            }
            Self::Conflict(_) => ErrorCode::Aborted,
            Self::Full(_) | Self::ForeignModel => ErrorCode::InternalError,
        }
    }
}
