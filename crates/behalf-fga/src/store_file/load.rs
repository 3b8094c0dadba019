//! Reads the model and the tuples of a store file, through a reader that the caller gives.

use super::{
    ModelSource, PlacedTuple, StoreFile, StoreFileError, StoreFileErrors, StoreTest,
    TupleFileError, TupleSource, parse_tuples,
};
use crate::model::{AuthorizationModel, DslError, ModFile, ModuleFile};
use crate::yaml::{Position, Region};

/// Gives the text of a file, named relative to the store file; the error is a reason.
pub type ReadFile<'a> = dyn FnMut(&str) -> Result<String, String> + 'a;

/// A store file with all that it names: ready to be tested, or imported.
#[derive(Clone, Debug)]
pub struct LoadedStore {
    /// The store's name; empty if the file gives none.
    pub name: String,
    /// Its model. It is parsed, not yet bound to a store.
    pub model: AuthorizationModel,
    /// The file and the place where the model begins, for errors that only binding finds.
    pub model_place: (Option<String>, Position),
    /// What the language's rules have against the model, although a store may take it.
    pub model_errors: Vec<StoreFileError>,
    /// Its tuples.
    pub tuples: Vec<PlacedTuple>,
    /// Its tests, each with its own tuples.
    pub tests: Vec<(StoreTest, Vec<PlacedTuple>)>,
    /// What is allowed, but refused by OpenFGA's editors.
    pub warnings: Vec<StoreFileError>,
}

pub(super) fn load(
    file: StoreFile,
    read: &mut ReadFile<'_>,
) -> Result<LoadedStore, StoreFileErrors> {
    let mut errors = Vec::new();
    let mut keep = |error: StoreFileErrors| errors.extend(error.errors);
    let (place, model) = match &file.model {
        ModelSource::Inline(text, at) => ((None, *at), inline_model(text, *at)),
        ModelSource::File(name, at) => {
            ((Some(name.clone()), Position::default()), parsed_model(name, *at, read))
        }
    };
    let model = model.map_err(&mut keep).ok();
    let tuples = load_tuples(file.tuples, read).map_err(&mut keep).unwrap_or_default();
    let mut tests = Vec::with_capacity(file.tests.len());
    for mut test in file.tests {
        let source = std::mem::take(&mut test.tuples);
        let tuples = load_tuples(source, read).map_err(&mut keep).unwrap_or_default();
        tests.push((test, tuples));
    }
    match model {
        Some((model, model_errors)) if errors.is_empty() => Ok(LoadedStore {
            name: file.name,
            model,
            model_place: place,
            model_errors,
            tuples,
            tests,
            warnings: file.warnings,
        }),
        _ => Err(StoreFileErrors { errors }),
    }
}

pub(super) fn load_model(
    name: &str,
    at: Position,
    read: &mut ReadFile<'_>,
) -> Result<AuthorizationModel, StoreFileErrors> {
    let (model, errors) = parsed_model(name, at, read)?;
    if errors.is_empty() { Ok(model) } else { Err(StoreFileErrors { errors }) }
}

/// A model, and what the language has against it although it can be parsed.
type Parsed = Result<(AuthorizationModel, Vec<StoreFileError>), StoreFileErrors>;

fn inline_model(text: &str, at: Position) -> Parsed {
    // The text of a block begins in the line below its `|`.
    let place = |error: &DslError| {
        let mut placed = of_dsl(error, None);
        placed.region.start.line += at.line;
        placed.region.end.line += at.line;
        placed
    };
    parse_dsl(text, place)
}

fn parsed_model(name: &str, at: Position, read: &mut ReadFile<'_>) -> Parsed {
    if name.rsplit(['/', '\\']).next() == Some("fga.mod") {
        return modules(name, at, read);
    }
    let text = read_at(name, None, at, read)?;
    if !name.ends_with(".json") {
        return parse_dsl(&text, |error| of_dsl(error, Some(name)));
    }
    let model = AuthorizationModel::from_json(&text).map_err(|error| {
        let narrow = |number: usize| u32::try_from(number.saturating_sub(1)).unwrap_or(u32::MAX);
        let start = Position { line: narrow(error.line()), column: narrow(error.column()) };
        one(error.to_string(), Some(name), Region { start, end: start })
    })?;
    let errors = model.validate().err().map_or_else(Vec::new, |errors| errors.errors);
    Ok((model, errors.iter().map(|error| of_dsl(error, Some(name))).collect()))
}

fn parse_dsl(text: &str, place: impl Fn(&DslError) -> StoreFileError) -> Parsed {
    let model = AuthorizationModel::from_dsl(text)
        .map_err(|errors| StoreFileErrors { errors: errors.errors.iter().map(&place).collect() })?;
    let errors = AuthorizationModel::validate_dsl(text).err().map_or_else(Vec::new, |e| e.errors);
    Ok((model, errors.iter().map(place).collect()))
}

fn modules(name: &str, at: Position, read: &mut ReadFile<'_>) -> Parsed {
    let text = read_at(name, None, at, read)?;
    let list = ModFile::parse(&text).map_err(|errors| StoreFileErrors {
        errors: errors
            .errors
            .into_iter()
            .flat_map(|error| one(error.message, Some(name), error.region).errors)
            .collect(),
    })?;
    let folder = name.strip_suffix("fga.mod").unwrap_or_default();
    let mut texts = Vec::with_capacity(list.contents.len());
    let mut errors = Vec::new();
    for item in &list.contents {
        let path = format!("{folder}{}", item.value);
        match read_at(&path, Some(name), item.region.start, read) {
            Ok(text) => texts.push(text),
            Err(error) => errors.extend(error.errors),
        }
    }
    if !errors.is_empty() {
        return Err(StoreFileErrors { errors });
    }
    let files: Vec<ModuleFile<'_>> = list
        .contents
        .iter()
        .zip(&texts)
        .map(|(item, text)| ModuleFile { name: &item.value, text })
        .collect();
    let place = |error: &DslError| {
        let file = error.file.as_ref().map_or_else(|| name.to_owned(), |f| format!("{folder}{f}"));
        of_dsl(error, Some(&file))
    };
    let model = AuthorizationModel::from_modules(&list.schema.value, &files)
        .map_err(|errors| StoreFileErrors { errors: errors.errors.iter().map(place).collect() })?;
    Ok((model, Vec::new()))
}

fn load_tuples(
    source: TupleSource,
    read: &mut ReadFile<'_>,
) -> Result<Vec<PlacedTuple>, StoreFileErrors> {
    let mut tuples = source.inline;
    for (name, at) in source.files {
        let text = read_at(&name, None, at, read)?;
        tuples.extend(parse_tuples(&name, &text).map_err(|error| match error {
            TupleFileError::Invalid(mut errors) => {
                for error in &mut errors.errors {
                    error.file = Some(name.clone());
                }
                errors
            }
            TupleFileError::Line { line, message } => {
                let start = Position { line: line.saturating_sub(1), column: 0 };
                one(message, Some(&name), Region { start, end: start })
            }
            TupleFileError::UnknownFormat => {
                one(format!("{name}: {error}"), None, Region { start: at, end: at })
            }
        })?);
    }
    Ok(tuples)
}

fn read_at(
    name: &str,
    named_in: Option<&str>,
    at: Position,
    read: &mut ReadFile<'_>,
) -> Result<String, StoreFileErrors> {
    read(name).map_err(|reason| {
        one(format!("cannot read `{name}`: {reason}"), named_in, Region { start: at, end: at })
    })
}

fn one(message: String, file: Option<&str>, region: Region) -> StoreFileErrors {
    let error = StoreFileError {
        message,
        keyword: "content",
        path: String::new(),
        file: file.map(ToOwned::to_owned),
        region,
    };
    StoreFileErrors { errors: vec![error] }
}

fn of_dsl(error: &DslError, file: Option<&str>) -> StoreFileError {
    let message = match error.hint() {
        Some(hint) => format!("{}; {hint}", error.message.trim_end_matches('.')),
        None => error.message.clone(),
    };
    let line = error.span.line;
    StoreFileError {
        message,
        keyword: error.kind.map_or("syntax", |kind| kind.name()),
        path: String::new(),
        file: file.map(ToOwned::to_owned),
        region: Region {
            start: Position { line, column: error.span.start },
            end: Position { line, column: error.span.end },
        },
    }
}
