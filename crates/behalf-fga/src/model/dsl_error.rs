//! Errors of the model language, each with the place it points at.

use std::fmt;

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
    MultipleModulesInFile,
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
            Self::MultipleModulesInFile => "multiple-modules-in-file",
        }
    }

    /// What to do about it, in a sentence.
    pub fn hint(self) -> &'static str {
        match self {
            Self::SchemaVersionRequired => "begin with `model` and `schema 1.1` below it",
            Self::InvalidSchema => "use schema 1.1, or 1.2 with modules",
            Self::ReservedTypeKeywords | Self::ReservedRelationKeywords => "choose another name",
            Self::InvalidName => "shorten the name, or leave out `:`, `#`, `@`, `*` and blanks",
            Self::MissingDefinition => "define the relation on this type, or correct its name",
            Self::InvalidType => "define the type, or correct its name",
            Self::InvalidRelationType => {
                "define the relation on that type, or name another after `#` or `from`"
            }
            Self::InvalidRelationOnTupleset => {
                "define the relation on one of the types that the relation after `from` admits"
            }
            Self::TupleUsersetNotDirect => {
                "the relation after `from` must be `[type, …]` without `#relation`, `:*` or operators"
            }
            Self::AssignableRelationsMustHaveType => "list the types it admits, as in `[user]`",
            Self::DuplicatedError => "leave one of them out",
            Self::RelationNoEntryPoint => {
                "admit a type directly, as in `[user]`, so that some tuple can ever make it true"
            }
            Self::ConditionNotDefined => {
                "define the condition below the types, or correct its name"
            }
            Self::ConditionNotUsed => {
                "use it in a relation, as in `[user with name]`, or leave it out"
            }
            Self::DifferentNestedConditionName => "give key and `name` the same text",
            Self::MultipleModulesInFile => "put each module in files of its own",
        }
    }
}

/// One error in a model's text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DslError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// The file, when the model comes from several.
    pub file: Option<String>,
    /// The text that is wrong; empty if it is missing.
    pub symbol: String,
    /// The kind of a semantic error; `None` for a syntax error.
    pub kind: Option<SemanticErrorKind>,
}

impl DslError {
    /// What to do about it, if the message does not say it.
    pub fn hint(&self) -> Option<&'static str> {
        if let Some(kind) = self.kind {
            return Some(kind.hint());
        }
        let is = |start: &str| self.message.starts_with(start);
        if is("mismatched input ' ' expecting {<EOF>, NEWLINE}") {
            Some("end the line here, or put parentheses around operators of one kind")
        } else if is("extraneous input '['") {
            Some("types in `[…]` stand once, and first")
        } else if is("missing ':'") {
            Some("write `define relation: …`")
        } else {
            None
        }
    }
}

/// As compilers say it: file, line and column from one.
impl fmt::Display for DslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        write!(f, "{}:{}: {}", self.span.line + 1, self.span.start + 1, self.message)
    }
}

impl std::error::Error for DslError {}

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
