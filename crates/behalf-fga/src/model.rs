//! The authorization model: OpenFGA's JSON shape, the DSL in both directions, and validation.
//!
//! [`AuthorizationModel`] is the JSON shape and the type the rest of the crate passes around.
//! The DSL is parsed to a positioned tree ([`ast`]), which validation reads so that an error can
//! point at its text; the tree becomes the model. Nothing here knows tuples or stores.

pub(crate) mod ast;
mod dsl_error;
mod entry;
mod json;
mod lexer;
mod parser;
mod printer;
mod typesystem;
mod validate;

pub use dsl_error::{DslError, ModelErrors, SemanticErrorKind, Span};
pub use json::{
    AuthorizationModel, Condition, ConditionMetadata, ConditionParamTypeRef, Difference, Empty,
    Metadata, ObjectRelation, RelationMetadata, RelationReference, SourceInfo, TupleToUserset,
    TypeDefinition, TypeName, Userset, Usersets,
};
pub use printer::UnsupportedByDsl;
pub use typesystem::{InvalidModel, MAX_REWRITE_DEPTH};
pub(crate) use typesystem::{check as check_model, collect_tuplesets};

impl AuthorizationModel {
    /// Parses the DSL, schema 1.1 or 1.2, and converts it to a model.
    ///
    /// This accepts what the grammar accepts; [`AuthorizationModel::validate_dsl`] says whether
    /// the model makes sense, and binding a model to a store refuses one that does not.
    ///
    /// # Errors
    /// All duplicate definitions, and the first syntax error, with zero-based positions.
    pub fn from_dsl(text: &str) -> Result<Self, ModelErrors> {
        Ok(parser::parse(text)?.to_model())
    }

    /// Parses the DSL and applies the language's semantic rules, as an editor would.
    ///
    /// # Errors
    /// Syntax errors, or all semantic errors with kind and position.
    pub fn validate_dsl(text: &str) -> Result<Self, ModelErrors> {
        let document = parser::parse(text)?;
        let errors = validate::validate(&document);
        if errors.is_empty() { Ok(document.to_model()) } else { Err(ModelErrors { errors }) }
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// When the text is not JSON or not a model.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// Writes the JSON form.
    ///
    /// # Errors
    /// Does not fail for a model that was read; serialisation is fallible by type only.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }

    /// Writes the DSL form: types in order, relations and conditions by name.
    ///
    /// # Errors
    /// When a relation has a shape the DSL cannot say.
    pub fn to_dsl(&self) -> Result<String, UnsupportedByDsl> {
        printer::print(self)
    }
}
