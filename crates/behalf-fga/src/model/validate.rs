//! The language's semantic rules over a parsed document, each error with its kind and place.
//!
//! The rules run in four groups, as OpenFGA's editors run them: names; references; duplicates;
//! entry points. A group runs only if the groups before it found nothing. Unused conditions are
//! always reported once names and references were looked at.

use std::collections::{BTreeMap, BTreeSet};

use super::ast::{Document, RelationDecl, Rewrite, Spanned, TypeDecl};
use super::dsl_error::{DslError, SemanticErrorKind, Span};
use super::entry::EntryPoints;

/// Finds all semantic errors.
pub(crate) fn validate(document: &Document) -> Vec<DslError> {
    let mut validator = Validator {
        document,
        types: document.types.iter().map(|decl| (decl.name.text.as_str(), decl)).collect(),
        errors: Vec::new(),
    };
    validator.schema();
    validator.names();
    if validator.errors.is_empty() {
        for decl in &document.types {
            validator.references(decl);
        }
        if validator.errors.is_empty() {
            validator.duplicates();
        }
        if validator.errors.is_empty() {
            validator.entry_points();
        }
        validator.conditions();
    }
    validator.errors
}

struct Validator<'a> {
    document: &'a Document,
    /// The last definition of each type.
    types: BTreeMap<&'a str, &'a TypeDecl>,
    errors: Vec<DslError>,
}

impl<'a> Validator<'a> {
    fn schema(&mut self) {
        match &self.document.schema {
            None => self.push(
                SemanticErrorKind::SchemaVersionRequired,
                Span::default(),
                "schema version required".to_owned(),
            ),
            Some(version) if version.text != "1.1" && version.text != "1.2" => {
                let message = format!("invalid schema {}", version.text);
                self.push(SemanticErrorKind::InvalidSchema, version.span, message);
            }
            Some(_) => {}
        }
    }

    fn names(&mut self) {
        let is_reserved = |name: &Spanned| name.text == "self" || name.text == "this";
        let is_valid = |name: &Spanned, max: usize| {
            let forbidden = |c: char| matches!(c, ':' | '#' | '@' | '*') || c.is_whitespace();
            (1..=max).contains(&name.text.chars().count()) && !name.text.contains(forbidden)
        };
        for decl in &self.document.types {
            let name = &decl.name;
            if is_reserved(name) {
                let message = "a type cannot be named 'self' or 'this'.".to_owned();
                self.push(SemanticErrorKind::ReservedTypeKeywords, name.span, message);
            }
            if !is_valid(name, 254) {
                let message = format!(
                    r"type '{}' does not match naming rule: '^[^:#@\*\s]{{1,254}}$'.",
                    name.text
                );
                self.push(SemanticErrorKind::InvalidName, name.span, message);
            }
            for RelationDecl { name, .. } in &decl.relations {
                if is_reserved(name) {
                    let message = "a relation cannot be named 'self' or 'this'.".to_owned();
                    self.push(SemanticErrorKind::ReservedRelationKeywords, name.span, message);
                }
                if !is_valid(name, 50) {
                    let message = format!(
                        r"relation '{}' of type '{}' does not match naming rule: '^[^:#@\*\s]{{1,50}}$'.",
                        name.text, decl.name.text
                    );
                    self.push(SemanticErrorKind::InvalidName, name.span, message);
                }
            }
        }
    }

    fn references(&mut self, decl: &'a TypeDecl) {
        for relation in &decl.relations {
            // Operands are visited breadth first, which is the order errors come in.
            let mut queue = std::collections::VecDeque::from([&relation.rewrite]);
            while let Some(rewrite) = queue.pop_front() {
                match rewrite {
                    Rewrite::This => self.restrictions(relation),
                    Rewrite::Computed(name) => {
                        if find(decl, &name.text).is_none() {
                            let message = format!("the relation `{}` does not exist.", name.text);
                            let kind = SemanticErrorKind::MissingDefinition;
                            self.push(kind, name.span, message);
                        }
                    }
                    Rewrite::TupleToUserset { computed, tupleset, span } => {
                        self.tuple_to_userset(decl, computed, tupleset, *span);
                    }
                    Rewrite::Union(children) | Rewrite::Intersection(children) => {
                        queue.extend(children);
                    }
                    Rewrite::Difference(base, subtract) => queue.extend([&**base, &**subtract]),
                }
            }
        }
    }

    fn restrictions(&mut self, relation: &RelationDecl) {
        for restriction in &relation.restrictions {
            let reference = &restriction.reference;
            let target = self.types.get(reference.type_name.as_str()).copied();
            if target.is_none() {
                let message = format!("`{}` is not a valid type.", reference.type_name);
                self.push(SemanticErrorKind::InvalidType, restriction.type_span, message);
            }
            let condition = &reference.condition;
            let is_known = self.document.conditions.iter().any(|c| c.name.text == *condition);
            if !condition.is_empty() && !is_known {
                let message = format!("`{condition}` is not a defined condition in the model.");
                let kind = SemanticErrorKind::ConditionNotDefined;
                self.push(kind, restriction.condition_span, message);
            }
            let is_related = target.is_some_and(|t| find(t, &reference.relation).is_some());
            if !reference.relation.is_empty() && !is_related {
                let message = format!(
                    "`{}` is not a valid relation for `{}`.",
                    reference.relation, reference.type_name
                );
                self.push(SemanticErrorKind::InvalidRelationType, restriction.span, message);
            }
        }
    }

    fn tuple_to_userset(
        &mut self,
        decl: &TypeDecl,
        computed: &Spanned,
        tupleset: &Spanned,
        span: Span,
    ) {
        let Some(relation) = find(decl, &tupleset.text) else {
            let message =
                format!("`{}` is not a valid relation for `{}`.", tupleset.text, decl.name.text);
            self.push(SemanticErrorKind::InvalidRelationType, span, message);
            return;
        };
        let not_direct =
            format!("`{}` relation used inside from allows only direct relation.", tupleset.text);
        if !matches!(relation.rewrite, Rewrite::This) {
            self.push(SemanticErrorKind::TupleUsersetNotDirect, tupleset.span, not_direct);
            return;
        }
        let mut missing = Vec::new();
        for restriction in &relation.restrictions {
            let reference = &restriction.reference;
            if reference.wildcard.is_some() || !reference.relation.is_empty() {
                let kind = SemanticErrorKind::TupleUsersetNotDirect;
                self.push(kind, tupleset.span, not_direct.clone());
                continue;
            }
            let parent = self.types.get(reference.type_name.as_str());
            if parent.is_none_or(|parent| find(parent, &computed.text).is_none()) {
                missing.push(&reference.type_name);
            }
        }
        if missing.len() < relation.restrictions.len() {
            return;
        }
        for type_name in missing {
            let message = format!(
                "the `{0}` relation definition on type `{1}` is not valid: `{0}` does not exist on `{2}`, which is of type `{type_name}`.",
                computed.text, decl.name.text, tupleset.text
            );
            self.push(SemanticErrorKind::InvalidRelationOnTupleset, span, message);
        }
    }

    fn duplicates(&mut self) {
        let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
        for decl in &self.document.types {
            if let Some(&first) = seen.get(decl.name.text.as_str()) {
                let message = format!("the type `{}` is a duplicate.", decl.name.text);
                self.push(SemanticErrorKind::DuplicatedError, first, message);
            }
            seen.entry(&decl.name.text).or_insert(decl.name.span);
            for relation in &decl.relations {
                self.duplicate_restrictions(relation);
                self.duplicate_operands(relation);
            }
        }
    }

    fn duplicate_restrictions(&mut self, relation: &RelationDecl) {
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for restriction in &relation.restrictions {
            let text = restriction.reference.to_dsl();
            if let Some(&first) = seen.get(&text) {
                let message = format!(
                    "the type restriction `{text}` is a duplicate in the relation `{}`.",
                    relation.name.text
                );
                self.push(SemanticErrorKind::DuplicatedError, first, message);
            }
            seen.entry(text).or_insert(restriction.span);
        }
    }

    fn duplicate_operands(&mut self, relation: &RelationDecl) {
        let operands: Vec<&Rewrite> = match &relation.rewrite {
            Rewrite::Union(children) | Rewrite::Intersection(children) => children.iter().collect(),
            Rewrite::Difference(base, subtract) => vec![&**base, &**subtract],
            _ => return,
        };
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for operand in operands {
            let (text, span) = match operand {
                Rewrite::Computed(name) => (name.text.clone(), name.span),
                Rewrite::TupleToUserset { computed, tupleset, span } => {
                    (format!("{} from {}", computed.text, tupleset.text), *span)
                }
                _ => continue,
            };
            if let Some(&first) = seen.get(&text) {
                let message = format!(
                    "the partial relation definition `{text}` is a duplicate in the relation `{}`.",
                    relation.name.text
                );
                self.push(SemanticErrorKind::DuplicatedError, first, message);
            }
            seen.entry(text).or_insert(span);
        }
    }

    fn entry_points(&mut self) {
        let model = self.document.to_model();
        let entries = EntryPoints::new(&model);
        for decl in &self.document.types {
            for relation in &decl.relations {
                let (type_name, name) = (&decl.name.text, &relation.name.text);
                if entries.has_entry(type_name, name) {
                    continue;
                }
                let reason = if entries.is_loop(type_name, name) {
                    "potential loop"
                } else {
                    "no entrypoint"
                };
                let message =
                    format!("`{name}` is an impossible relation for `{type_name}` ({reason}).");
                self.push(SemanticErrorKind::RelationNoEntryPoint, relation.name.span, message);
            }
        }
    }

    fn conditions(&mut self) {
        let used: BTreeSet<&str> = self
            .document
            .types
            .iter()
            .flat_map(|decl| &decl.relations)
            .flat_map(|relation| &relation.restrictions)
            .map(|restriction| restriction.reference.condition.as_str())
            .collect();
        for condition in &self.document.conditions {
            if !used.contains(condition.name.text.as_str()) {
                let message =
                    format!("`{}` condition is not used in the model.", condition.name.text);
                self.push(SemanticErrorKind::ConditionNotUsed, condition.name.span, message);
            }
        }
    }

    fn push(&mut self, kind: SemanticErrorKind, span: Span, message: String) {
        self.errors.push(DslError { message, span, kind: Some(kind) });
    }
}

fn find<'a>(decl: &'a TypeDecl, relation: &str) -> Option<&'a RelationDecl> {
    decl.relations.iter().find(|known| known.name.text == relation)
}
