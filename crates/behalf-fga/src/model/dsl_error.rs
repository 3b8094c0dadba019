//! Errors of the model language, each with the place it points at.

use std::fmt;

use thiserror::Error;

/// A place in DSL text: zero-based line, and zero-based columns counted in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The line.
    pub line: u32,
    /// The first column.
    pub start: u32,
    /// The column after the last.
    pub end: u32,
}

/// What a semantic error is about; the names are those of OpenFGA's language tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the language's own name for the error")]
pub enum SemanticErrorKind {
    SchemaVersionRequired,
    InvalidSchema,
    ReservedTypeKeywords,
    ReservedRelationKeywords,
    InvalidName,
    MissingDefinition,
    InvalidType,
    InvalidRelationType,
    InvalidRelationOnTupleset,
    TupleUsersetNotDirect,
    AssignableRelationsMustHaveType,
    DuplicatedError,
    RelationNoEntryPoint,
    ConditionNotDefined,
    ConditionNotUsed,
    DifferentNestedConditionName,
}

impl SemanticErrorKind {
    /// The name in OpenFGA's language tools.
    pub fn name(self) -> &'static str {
        match self {
            Self::SchemaVersionRequired => "schema-version-required",
            Self::InvalidSchema => "invalid-schema",
            Self::ReservedTypeKeywords => "reserved-type-keywords",
            Self::ReservedRelationKeywords => "reserved-relation-keywords",
            Self::InvalidName => "invalid-name",
            Self::MissingDefinition => "missing-definition",
            Self::InvalidType => "invalid-type",
            Self::InvalidRelationType => "invalid-relation-type",
            Self::InvalidRelationOnTupleset => "invalid-relation-on-tupleset",
            Self::TupleUsersetNotDirect => "tupleuserset-not-direct",
            Self::AssignableRelationsMustHaveType => "assignable-relation-must-have-type",
            Self::DuplicatedError => "duplicated-error",
            Self::RelationNoEntryPoint => "relation-no-entry-point",
            Self::ConditionNotDefined => "condition-not-defined",
            Self::ConditionNotUsed => "condition-not-used",
            Self::DifferentNestedConditionName => "different-nested-condition-name",
        }
    }
}

/// One error in a model's text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}:{}: {message}", span.line, span.start)]
pub struct DslError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The kind of a semantic error; `None` for a syntax error.
    pub kind: Option<SemanticErrorKind>,
}

/// All errors found in a model's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelErrors {
    /// The errors, in the order they were found; never empty.
    pub errors: Vec<DslError>,
}

impl fmt::Display for ModelErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for error in &self.errors {
            write!(f, "{separator}{error}")?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for ModelErrors {}
