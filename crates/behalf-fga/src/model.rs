//! The authorization model: OpenFGA's JSON shape, the DSL in both directions, and validation.
//!
//! [`AuthorizationModel`] is the JSON shape and the type the rest of the crate passes around.
//! The DSL is parsed to a positioned tree ([`ast`]), which validation reads so that an error can
//! point at its text; the tree becomes the model. Nothing here knows tuples or stores.
//!
//! Comments (`#`) belong to the text, not to the model: parsing drops them, and printing writes
//! none but, when asked, where each part of a model of modules comes from. Comments of the
//! condition language (`//`) are part of a condition's expression and stay.

pub(crate) mod ast;
mod dsl_error;
mod entry;
mod json;
mod lexer;
mod mod_file;
mod modules;
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
pub use mod_file::{Located, ModFile, ModFileError, ModFileErrors};
pub use modules::ModuleFile;
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
        none_of(validate::validate(&document))?;
        Ok(document.to_model())
    }

    /// Combines the files of a model of modules and applies the language's semantic rules.
    ///
    /// Files are taken in the order given, which becomes the order of the types.
    ///
    /// # Errors
    /// All errors of all files, each with its file and position.
    pub fn from_modules(
        schema_version: &str,
        files: &[ModuleFile<'_>],
    ) -> Result<Self, ModelErrors> {
        let (document, mut errors) = modules::merge(schema_version, files);
        errors.extend(validate::validate(&document));
        none_of(errors)?;
        Ok(document.to_model())
    }

    /// Applies the language's semantic rules to a model that has no text, as one read from JSON.
    ///
    /// # Errors
    /// All semantic errors with their kind; their positions mean nothing.
    pub fn validate(&self) -> Result<(), ModelErrors> {
        none_of(validate::validate(&ast::Document::of_model(self)))
    }

    /// The modules that the model is made of, by name.
    pub fn modules(&self) -> Vec<String> {
        let types = self.type_definitions.iter().filter_map(|of| of.metadata.as_ref());
        let relations = types.clone().filter_map(|of| of.relations.as_ref());
        let relations = relations.flat_map(|relations| relations.values());
        let conditions = self.conditions.values().filter_map(|of| of.metadata.as_ref());
        let named: std::collections::BTreeSet<&str> = types
            .map(|of| of.module.as_str())
            .chain(relations.map(|of| of.module.as_str()))
            .chain(conditions.map(|of| of.module.as_str()))
            .filter(|module| !module.is_empty())
            .collect();
        named.into_iter().map(ToOwned::to_owned).collect()
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
        printer::print(self, false)
    }

    /// Writes the DSL form, with a comment behind each part of a model of modules that says which
    /// module and file it comes from.
    ///
    /// # Errors
    /// When a relation has a shape the DSL cannot say.
    pub fn to_dsl_with_sources(&self) -> Result<String, UnsupportedByDsl> {
        printer::print(self, true)
    }
}

fn none_of(errors: Vec<DslError>) -> Result<(), ModelErrors> {
    if errors.is_empty() { Ok(()) } else { Err(ModelErrors { errors }) }
}

#[cfg(test)]
mod tests;
