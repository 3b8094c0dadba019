//! Modules: the files of one model (schema 1.2) are parsed one by one and merged.
//!
//! Each file begins with `module name`. `extend type` adds relations to a type that another file
//! defines. Types and conditions remember their module and file, relations that came by an
//! extension theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::ast::{Document, Origin, Spanned, TypeDecl};
use super::dsl_error::{DslError, Span};
use super::parser;

/// One file of a model of modules.
#[derive(Clone, Copy, Debug)]
pub struct ModuleFile<'a> {
    /// The name by which errors and the model's metadata call it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
}

/// Merges files into one document. Where there are errors, it holds what could be merged, so that
/// validation can go on.
pub(crate) fn merge(schema_version: &str, files: &[ModuleFile<'_>]) -> (Document, Vec<DslError>) {
    let mut merger = Merger {
        merged: Document {
            schema: Some(Spanned { text: schema_version.to_owned(), span: Span::default() }),
            ..Document::default()
        },
        conditions: BTreeSet::new(),
        extensions: Vec::new(),
        errors: Vec::new(),
    };
    for file in files {
        merger.add(file);
    }
    merger.extend();
    (merger.merged, merger.errors)
}

struct Merger {
    merged: Document,
    conditions: BTreeSet<String>,
    extensions: Vec<TypeDecl>,
    errors: Vec<DslError>,
}

impl Merger {
    fn add(&mut self, file: &ModuleFile<'_>) {
        let document = match parser::parse(file.text) {
            Ok(document) => document,
            Err(errors) => {
                let named = errors
                    .errors
                    .into_iter()
                    .map(|error| DslError { file: Some(file.name.to_owned()), ..error });
                self.errors.extend(named);
                return;
            }
        };
        if document.module.is_none() {
            let nothing = Spanned::default();
            self.complain("file is not a module".to_owned(), &nothing, Some(file.name));
            return;
        }
        let name: Arc<str> = Arc::from(file.name);
        for mut decl in document.types {
            decl.origin.file = Some(Arc::clone(&name));
            for relation in &mut decl.relations {
                if let Some(origin) = &mut relation.extended_by {
                    origin.file = Some(Arc::clone(&name));
                }
            }
            if decl.extends {
                self.extensions.push(decl);
            } else {
                self.merged.types.push(decl);
            }
        }
        for mut condition in document.conditions {
            condition.origin.file = Some(Arc::clone(&name));
            if self.conditions.insert(condition.name.text.clone()) {
                self.merged.conditions.push(condition);
            } else {
                let message = format!("duplicate condition {}", condition.name.text);
                self.complain(message, &condition.name, Some(file.name));
            }
        }
    }

    fn extend(&mut self) {
        let mut places: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
        for (place, decl) in self.merged.types.iter().enumerate() {
            let relations = decl.relations.iter().map(|relation| relation.name.text.clone());
            places.entry(decl.name.text.clone()).or_insert_with(|| (place, relations.collect()));
        }
        for extension in std::mem::take(&mut self.extensions) {
            let Origin { file, .. } = &extension.origin;
            let file = file.as_deref();
            let name = &extension.name;
            let Some((place, known)) = places.get_mut(&name.text) else {
                self.complain(format!("extended type {} does not exist", name.text), name, file);
                continue;
            };
            for relation in extension.relations {
                if !known.insert(relation.name.text.clone()) {
                    let message = format!(
                        "relation {} already exists on type {}",
                        relation.name.text, name.text
                    );
                    self.complain(message, &relation.name, file);
                } else if let Some(decl) = self.merged.types.get_mut(*place) {
                    decl.relations.push(relation);
                }
            }
        }
    }

    fn complain(&mut self, message: String, about: &Spanned, file: Option<&str>) {
        self.errors.push(DslError {
            message,
            span: about.span,
            file: file.map(ToOwned::to_owned),
            symbol: about.text.clone(),
            kind: None,
        });
    }
}
