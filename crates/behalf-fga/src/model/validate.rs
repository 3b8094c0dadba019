//! The language's semantic rules over a parsed document, each error with its kind and place.
//!
//! The rules run in four groups, as OpenFGA's editors run them: names; references; duplicates;
//! entry points. A group runs only if the groups before it found nothing. Unused conditions are
//! always reported once names and references were looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::ast::{ConditionDecl, Document, Origin, RelationDecl, Rewrite, Spanned, TypeDecl};
use super::dsl_error::{DslError, SemanticErrorKind, Span};
use super::entry::EntryPoints;

/// Finds all semantic errors.
pub(crate) fn validate(document: &Document) -> Vec<DslError> {
    let mut validator = Validator {
        document,
        types: document
            .types
            .iter()
            .map(|decl| (decl.name.text.as_str(), Known::new(decl)))
            .collect(),
        conditions: document.conditions.iter().map(ConditionDecl::used_as).collect(),
        errors: Vec::new(),
    };
    validator.names();
    validator.schema();
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
    validator.files();
    validator.errors
}

struct Validator<'a> {
    document: &'a Document,
    /// The last definition of each type.
    types: BTreeMap<&'a str, Known<'a>>,
    conditions: BTreeSet<&'a str>,
    errors: Vec<DslError>,
}

/// A type and its relations by name.
struct Known<'a> {
    relations: BTreeMap<&'a str, &'a RelationDecl>,
}

impl<'a> Known<'a> {
    fn new(decl: &'a TypeDecl) -> Self {
        let relations = decl.relations.iter().map(|r| (r.name.text.as_str(), r)).collect();
        Self { relations }
    }
}

/// The relation that an error is about, to say which file it stands in.
#[derive(Clone, Copy)]
struct Place<'a> {
    decl: &'a TypeDecl,
    relation: Option<&'a RelationDecl>,
}

impl<'a> Place<'a> {
    fn new(decl: &'a TypeDecl, relation: &'a RelationDecl) -> Self {
        Self { decl, relation: Some(relation) }
    }

    fn file(self) -> Option<String> {
        let extended = self.relation.and_then(|relation| relation.extended_by.as_ref());
        file_of(extended.unwrap_or(&self.decl.origin))
    }
}

fn file_of(origin: &Origin) -> Option<String> {
    origin.file.as_ref().map(ToString::to_string)
}

impl<'a> Validator<'a> {
    fn schema(&mut self) {
        match &self.document.schema {
            None => {
                let message = "schema version required".to_owned();
                let nothing = Spanned::default();
                self.push(SemanticErrorKind::SchemaVersionRequired, &nothing, None, message);
            }
            Some(version) if version.text != "1.1" && version.text != "1.2" => {
                let message = format!("invalid schema {}", version.text);
                self.push(SemanticErrorKind::InvalidSchema, version, None, message);
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
            let file = file_of(&decl.origin);
            if is_reserved(name) {
                let message = "a type cannot be named 'self' or 'this'.".to_owned();
                let kind = SemanticErrorKind::ReservedTypeKeywords;
                self.push(kind, name, file.clone(), message);
            }
            if !is_valid(name, 254) {
                let message = format!(
                    r"type '{}' does not match naming rule: '^[^:#@\*\s]{{1,254}}$'.",
                    name.text
                );
                self.push(SemanticErrorKind::InvalidName, name, file, message);
            }
            for relation in &decl.relations {
                let name = &relation.name;
                let file = Place::new(decl, relation).file();
                if is_reserved(name) {
                    let message = "a relation cannot be named 'self' or 'this'.".to_owned();
                    let kind = SemanticErrorKind::ReservedRelationKeywords;
                    self.push(kind, name, file.clone(), message);
                }
                if !is_valid(name, 50) {
                    let message = format!(
                        r"relation '{}' of type '{}' does not match naming rule: '^[^:#@\*\s]{{1,50}}$'.",
                        name.text, decl.name.text
                    );
                    self.push(SemanticErrorKind::InvalidName, name, file, message);
                }
            }
        }
    }

    fn references(&mut self, decl: &'a TypeDecl) {
        let own = Known::new(decl);
        for relation in &decl.relations {
            let place = Place::new(decl, relation);
            // Operands are visited breadth first, which is the order errors come in.
            let mut queue = VecDeque::from([&relation.rewrite]);
            while let Some(rewrite) = queue.pop_front() {
                match rewrite {
                    Rewrite::This => self.restrictions(place, relation),
                    Rewrite::Computed(name) => {
                        if !own.relations.contains_key(name.text.as_str()) {
                            let message = format!("the relation `{}` does not exist.", name.text);
                            let kind = SemanticErrorKind::MissingDefinition;
                            self.push(kind, name, place.file(), message);
                        }
                    }
                    Rewrite::TupleToUserset { computed, tupleset, span } => {
                        self.tuple_to_userset(place, &own, computed, tupleset, *span);
                    }
                    Rewrite::Union(children) | Rewrite::Intersection(children) => {
                        queue.extend(children);
                    }
                    Rewrite::Difference(base, subtract) => queue.extend([&**base, &**subtract]),
                }
            }
        }
    }

    fn has_relation(&self, type_name: &str, relation: &str) -> bool {
        self.types.get(type_name).is_some_and(|known| known.relations.contains_key(relation))
    }

    fn restrictions(&mut self, place: Place<'_>, relation: &RelationDecl) {
        for restriction in &relation.restrictions {
            let reference = &restriction.reference;
            if !self.types.contains_key(reference.type_name.as_str()) {
                let message = format!("`{}` is not a valid type.", reference.type_name);
                let about = at(&reference.type_name, restriction.type_span);
                self.push(SemanticErrorKind::InvalidType, &about, place.file(), message);
            }
            let condition = &reference.condition;
            if !condition.is_empty() && !self.conditions.contains(condition.as_str()) {
                let message = format!("`{condition}` is not a defined condition in the model.");
                let about = at(condition, restriction.condition_span);
                let kind = SemanticErrorKind::ConditionNotDefined;
                self.push(kind, &about, place.file(), message);
            }
            let is_related = self.has_relation(&reference.type_name, &reference.relation);
            if !reference.relation.is_empty() && !is_related {
                let message = format!(
                    "`{}` is not a valid relation for `{}`.",
                    reference.relation, reference.type_name
                );
                let about = at(&reference.to_dsl(), restriction.span);
                let kind = SemanticErrorKind::InvalidRelationType;
                self.push(kind, &about, place.file(), message);
            }
        }
    }

    fn tuple_to_userset(
        &mut self,
        place: Place<'_>,
        own: &Known<'_>,
        computed: &Spanned,
        tupleset: &Spanned,
        span: Span,
    ) {
        let type_name = &place.decl.name.text;
        let whole = at(&format!("{} from {}", computed.text, tupleset.text), span);
        let Some(relation) = own.relations.get(tupleset.text.as_str()) else {
            let message = format!("`{}` is not a valid relation for `{type_name}`.", tupleset.text);
            self.push(SemanticErrorKind::InvalidRelationType, &whole, place.file(), message);
            return;
        };
        let not_direct =
            format!("`{}` relation used inside from allows only direct relation.", tupleset.text);
        if !matches!(relation.rewrite, Rewrite::This) {
            let kind = SemanticErrorKind::TupleUsersetNotDirect;
            self.push(kind, tupleset, place.file(), not_direct);
            return;
        }
        let mut missing = Vec::new();
        for restriction in &relation.restrictions {
            let reference = &restriction.reference;
            if reference.wildcard.is_some() || !reference.relation.is_empty() {
                let kind = SemanticErrorKind::TupleUsersetNotDirect;
                self.push(kind, tupleset, place.file(), not_direct.clone());
                continue;
            }
            if !self.has_relation(&reference.type_name, &computed.text) {
                missing.push(&reference.type_name);
            }
        }
        if missing.len() < relation.restrictions.len() {
            return;
        }
        for parent in missing {
            let message = format!(
                "the `{0}` relation definition on type `{type_name}` is not valid: `{0}` does not exist on `{1}`, which is of type `{parent}`.",
                computed.text, tupleset.text
            );
            let kind = SemanticErrorKind::InvalidRelationOnTupleset;
            self.push(kind, &whole, place.file(), message);
        }
    }

    fn duplicates(&mut self) {
        let mut seen: BTreeMap<&str, &TypeDecl> = BTreeMap::new();
        for decl in &self.document.types {
            let name = decl.name.text.as_str();
            if let Some(first) = seen.get(name) {
                let message = format!("the type `{name}` is a duplicate.");
                // In one file the first is pointed at, as OpenFGA does; else the other file's.
                let is_same = first.origin.file == decl.origin.file;
                let about = if is_same { &first.name } else { &decl.name };
                let file = file_of(&decl.origin);
                self.push(SemanticErrorKind::DuplicatedError, about, file, message);
            }
            seen.entry(name).or_insert(decl);
            for relation in &decl.relations {
                let place = Place::new(decl, relation);
                self.duplicate_restrictions(place, relation);
                self.duplicate_operands(place, relation);
            }
        }
    }

    fn duplicate_restrictions(&mut self, place: Place<'_>, relation: &RelationDecl) {
        let mut seen: BTreeMap<String, Span> = BTreeMap::new();
        for restriction in &relation.restrictions {
            let text = restriction.reference.to_dsl();
            if let Some(&first) = seen.get(&text) {
                let message = format!(
                    "the type restriction `{text}` is a duplicate in the relation `{}`.",
                    relation.name.text
                );
                let kind = SemanticErrorKind::DuplicatedError;
                self.push(kind, &at(&text, first), place.file(), message);
            }
            seen.entry(text).or_insert(restriction.span);
        }
    }

    fn duplicate_operands(&mut self, place: Place<'_>, relation: &RelationDecl) {
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
                let kind = SemanticErrorKind::DuplicatedError;
                self.push(kind, &at(&text, first), place.file(), message);
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
                let file = Place::new(decl, relation).file();
                let kind = SemanticErrorKind::RelationNoEntryPoint;
                self.push(kind, &relation.name, file, message);
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
            let name = &condition.name;
            if let Some(key) = &condition.key {
                let message =
                    format!("condition key is `{key}` but nested name property is {}", name.text);
                let kind = SemanticErrorKind::DifferentNestedConditionName;
                self.push(kind, name, file_of(&condition.origin), message);
            }
            if !used.contains(condition.used_as()) {
                let message =
                    format!("`{}` condition is not used in the model.", condition.used_as());
                let kind = SemanticErrorKind::ConditionNotUsed;
                self.push(kind, name, file_of(&condition.origin), message);
            }
        }
    }

    /// A file of the DSL has one module, so a model cannot put two into one file.
    fn files(&mut self) {
        let types = self.document.types.iter();
        let relations = types.clone().flat_map(|decl| &decl.relations);
        let origins = types
            .map(|decl| &decl.origin)
            .chain(relations.filter_map(|relation| relation.extended_by.as_ref()))
            .chain(self.document.conditions.iter().map(|condition| &condition.origin));
        let mut files: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for Origin { module, file } in origins {
            if let (Some(module), Some(file)) = (module, file) {
                let modules = files.entry(file).or_default();
                // A wrong model names few modules; a right one only one.
                if !modules.contains(&&**module) && modules.len() < MAX_MODULES_NAMED {
                    modules.push(module);
                }
            }
        }
        for (file, modules) in files {
            if modules.len() > 1 {
                let message = format!(
                    "file {file} would contain multiple module definitions ({}) when transforming to DSL. Only one module can be defined per file.",
                    modules.join(", ")
                );
                let about = at(file, Span::default());
                let kind = SemanticErrorKind::MultipleModulesInFile;
                self.push(kind, &about, Some(file.to_owned()), message);
            }
        }
    }

    fn push(
        &mut self,
        kind: SemanticErrorKind,
        about: &Spanned,
        file: Option<String>,
        message: String,
    ) {
        self.errors.push(DslError {
            message,
            span: about.span,
            file,
            symbol: about.text.clone(),
            kind: Some(kind),
        });
    }
}

/// A text that is no token of its own, and where it stands.
fn at(text: &str, span: Span) -> Spanned {
    Spanned { text: text.to_owned(), span }
}

/// The message about a file of several modules lists at most so many.
const MAX_MODULES_NAMED: usize = 100;
