//! OpenFGA's own cases for the model language: DSL, JSON, modules, `fga.mod` and store files.
//!
//! The cases are found through `BEHALF_CONFORMANCE`, else beside the checkout; they are not copied
//! into this repository. Without them each test says so instead of passing silently. Messages of
//! syntax errors are those of OpenFGA's generated parser, so only the place of the first error
//! counts; how many messages are equal is printed as well.
#![expect(clippy::print_stdout, reason = "how many cases ran is worth reading")]

use std::fmt::Debug;
use std::path::{Path, PathBuf};

use behalf_fga::{
    AuthorizationModel, DslError, ModFile, ModuleFile, Region, StoreFile, is_valid_object_id,
};
use serde_json::{Value, json};

use crate::conformance::runner::{list, openfga, text_of as text};

/// The folder of the language's cases, if it is there.
fn language() -> Option<PathBuf> {
    let folder = openfga().join("language");
    if !folder.is_dir() {
        println!("conformance: NOT RUN, conformance data absent (BEHALF_CONFORMANCE)");
        return None;
    }
    Some(folder)
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cases of a file.
fn cases(file: &str) -> Option<Vec<Value>> {
    let cases: Value = serde_saphyr::from_str(&read(&language()?.join(file))).unwrap();
    Some(cases.as_array().unwrap().clone())
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Counts cases and gathers those that differ.
struct Tally {
    what: &'static str,
    run: usize,
    failed: Vec<String>,
}

impl Tally {
    fn new(what: &'static str) -> Self {
        Self { what, run: 0, failed: Vec::new() }
    }

    fn add<T: PartialEq + Debug>(&mut self, name: &str, expected: &T, got: &T) {
        self.run += 1;
        if expected != got {
            self.failed.push(format!("{name}\n  expected {expected:#?}\n  got      {got:#?}"));
        }
    }

    #[track_caller]
    fn finish(self, expected: usize) {
        let Self { what, run, failed } = self;
        println!("conformance: {run} run ({what})");
        assert!(failed.is_empty(), "{} of {run} fail:\n{}", failed.len(), failed.join("\n"));
        assert_eq!(run, expected, "{what}: the data changed");
    }
}

fn model_json(model: &AuthorizationModel) -> Value {
    json_of(&model.to_json().unwrap())
}

/// JSON without what says nothing: null, and empty objects and lists.
fn bare(value: &Value) -> Value {
    let says_nothing = |value: &Value| match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    };
    match value {
        Value::Array(items) => items.iter().map(bare).collect(),
        Value::Object(entries) => entries
            .iter()
            .map(|(name, value)| {
                // `this` and `wildcard` are said by an empty object.
                let is_marker = name == "this" || name == "wildcard";
                (name.clone(), if is_marker { value.clone() } else { bare(value) })
            })
            .filter(|(name, value)| name == "this" || name == "wildcard" || !says_nothing(value))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other.clone(),
    }
}

#[test]
fn models_are_transformed_both_ways() {
    let Some(folder) = language() else { return };
    let mut tally = Tally::new("transformer, both ways");
    for case in entries(&folder.join("transformer")) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let dsl = read(&case.join("authorization-model.fga"));
        let expected = read(&case.join("authorization-model.json"));
        let model = AuthorizationModel::from_dsl(&dsl).unwrap();
        tally.add(
            &format!("{name}, to JSON"),
            &bare(&json_of(&expected)),
            &bare(&model_json(&model)),
        );
        let model = AuthorizationModel::from_json(&expected).unwrap();
        tally.add(&format!("{name}, to DSL"), &dsl, &model.to_dsl().unwrap());
    }
    tally.finish(2 * 29);
}

fn error_json(error: &DslError) -> Value {
    let span = error.span;
    json!({
        "msg": error.message,
        "line": {"start": span.line, "end": span.line},
        "column": {"start": span.start, "end": span.end},
        "file": error.file,
        "errorType": error.kind.map(|kind| kind.name()),
    })
}

fn expected_error(error: &Value) -> Value {
    json!({
        "msg": error["msg"],
        "line": error["line"],
        "column": error["column"],
        "file": error["file"],
        "errorType": error["metadata"]["errorType"],
    })
}

#[test]
fn modules_are_combined() {
    let Some(folder) = language() else { return };
    let mut tally = Tally::new("transformer-module");
    for case in entries(&folder.join("transformer-module")) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let model = case.join("authorization-model.json");
        let expected =
            model.exists().then(|| AuthorizationModel::from_json(&read(&model)).unwrap());
        if let Some(expected) = &expected {
            let modules: Vec<String> = list(&json_of(&read(&case.join("expected_modules.json"))))
                .iter()
                .map(|module| module.as_str().unwrap().to_owned())
                .collect();
            tally.add(&format!("{name}, modules"), &modules, &expected.modules());
        }
        if !case.join("module").is_dir() {
            continue;
        }
        let files: Vec<(String, String)> = entries(&case.join("module"))
            .iter()
            .map(|file| (file.file_name().unwrap().to_string_lossy().into_owned(), read(file)))
            .collect();
        let files: Vec<ModuleFile<'_>> =
            files.iter().map(|(name, text)| ModuleFile { name, text }).collect();
        let combined = AuthorizationModel::from_modules("1.2", &files);
        let Some(expected) = expected else {
            let errors = json_of(&read(&case.join("expected_errors.json")));
            let expected: Vec<_> = list(&errors).iter().map(expected_error).collect();
            let got: Vec<_> = combined.unwrap_err().errors.iter().map(error_json).collect();
            tally.add(&format!("{name}, errors"), &expected, &got);
            continue;
        };
        let combined = combined.unwrap();
        tally.add(
            &format!("{name}, combined"),
            &bare(&json_of(&read(&model))),
            &bare(&model_json(&combined)),
        );
        let dsl = read(&case.join("combined.fga"));
        tally.add(&format!("{name}, DSL"), &dsl, &expected.to_dsl().unwrap());
        let dsl = read(&case.join("combined-sourceinfo.fga"));
        let with_sources = expected.to_dsl_with_sources().unwrap();
        tally.add(&format!("{name}, DSL with sources"), &dsl, &with_sources);
    }
    tally.finish(3 + 4 + 2 * 3);
}

#[test]
fn semantic_errors_have_their_kind_and_place() {
    let Some(cases) = cases("dsl-semantic-validation-cases.yaml") else { return };
    let mut tally = Tally::new("dsl-semantic-validation");
    let mut skipped = 0;
    for case in &cases {
        if case["skip"] == true {
            skipped += 1;
            continue;
        }
        let got = AuthorizationModel::validate_dsl(text(case, "dsl"));
        let got: Vec<_> =
            got.err().map_or_else(Vec::new, |e| e.errors).iter().map(error_json).collect();
        let expected: Vec<_> = list(&case["expected_errors"]).iter().map(expected_error).collect();
        tally.add(text(case, "name"), &expected, &got);
    }
    println!("conformance: {skipped} skipped by the data (dsl-semantic-validation)");
    tally.finish(91 - 7);
}

/// The same models as the one module of a model: each error in the same place, with its file.
#[test]
fn semantic_errors_of_modules_have_their_file() {
    let Some(cases) = cases("dsl-semantic-validation-cases.yaml") else { return };
    let mut tally = Tally::new("dsl-semantic-validation, as modules");
    const HEADER: &str = "model\n  schema 1.1";
    for case in &cases {
        let dsl = text(case, "dsl");
        if case["skip"] == true || !dsl.contains(HEADER) {
            continue;
        }
        let module = dsl.replace(HEADER, "module test\n");
        let files = [ModuleFile { name: "test.fga", text: &module }];
        let got = AuthorizationModel::from_modules("1.2", &files);
        let got: Vec<_> =
            got.err().map_or_else(Vec::new, |e| e.errors).iter().map(error_json).collect();
        let mut expected: Vec<_> =
            list(&case["expected_errors"]).iter().map(expected_error).collect();
        for error in &mut expected {
            error["file"] = "test.fga".into();
        }
        tally.add(text(case, "name"), &expected, &got);
    }
    tally.finish(78);
}

#[test]
fn syntax_errors_are_found_in_their_place() {
    let Some(cases) = cases("dsl-syntax-validation-cases.yaml") else { return };
    let mut tally = Tally::new("dsl-syntax-validation");
    let (mut equal, mut with_errors) = (0, 0);
    for case in &cases {
        let got = AuthorizationModel::from_dsl(text(case, "dsl"));
        let got = got.err().map_or_else(Vec::new, |e| e.errors);
        let expected = list(&case["expected_errors"]);
        let place = |error: &DslError| json!([error.span.line, error.span.start, error.span.end]);
        let first = expected.first().map(|error| {
            json!([error["line"]["start"], error["column"]["start"], error["column"]["end"]])
        });
        tally.add(text(case, "name"), &first, &got.first().map(place));
        if let (Some(expected), Some(got)) = (expected.first(), got.first()) {
            with_errors += 1;
            equal += usize::from(text(expected, "msg") == got.message);
        }
    }
    println!("conformance: {equal} of {with_errors} first messages equal (dsl-syntax-validation)");
    tally.finish(81);
}

fn region(region: Region) -> Value {
    json!({
        "line": {"start": region.start.line, "end": region.end.line},
        "column": {"start": region.start.column, "end": region.end.column},
    })
}

fn placed(value: Value, of: Region) -> Value {
    let mut placed = region(of);
    placed["value"] = value;
    placed
}

#[test]
fn module_lists_are_read() {
    let Some(cases) = cases("fga-mod-transformer-cases.yaml") else { return };
    let mut tally = Tally::new("fga-mod-transformer");
    for case in &cases {
        let name = text(case, "name");
        match ModFile::parse(text(case, "modFile")) {
            Ok(file) => {
                let contents = file.contents.iter();
                let contents: Vec<_> =
                    contents.map(|item| placed(item.value.as_str().into(), item.region)).collect();
                let got = json!({
                    "schema": placed(file.schema.value.into(), file.schema.region),
                    "contents": placed(contents.into(), file.contents_region),
                });
                let expected = case["json"].as_str().map_or(Value::Null, json_of);
                tally.add(name, &expected, &got);
            }
            Err(errors) => {
                let got: Vec<_> = errors
                    .errors
                    .iter()
                    .map(|error| {
                        let mut shown = region(error.region);
                        shown["msg"] = error.message.as_str().into();
                        shown
                    })
                    .collect();
                tally.add(name, &list(&case["expected_errors"]).to_vec(), &got);
            }
        }
    }
    tally.finish(9);
}

#[test]
fn json_models_are_validated() {
    let Some(cases) = cases("json-validation-cases.yaml") else { return };
    let mut tally = Tally::new("json-validation");
    for case in &cases {
        let model = AuthorizationModel::from_json(text(case, "json")).unwrap();
        let got: Vec<_> = model
            .validate()
            .err()
            .map_or_else(Vec::new, |e| e.errors)
            .iter()
            .map(|error| {
                let kind = error.kind.map(|kind| kind.name());
                json!({
                    "msg": error.message,
                    "metadata": {"symbol": error.symbol, "errorType": kind},
                })
            })
            .collect();
        tally.add(text(case, "name"), &list(&case["expected_errors"]).to_vec(), &got);
    }
    tally.finish(5);
}

#[test]
fn json_models_beyond_the_dsl_are_refused() {
    let Some(cases) = cases("json-syntax-transformer-validation-cases.yaml") else { return };
    let mut tally = Tally::new("json-syntax-transformer-validation");
    for case in &cases {
        let model = AuthorizationModel::from_json(text(case, "json")).unwrap();
        let got = model.to_dsl().err().map(|error| error.to_string());
        let expected = case["error_message"].as_str().map(ToOwned::to_owned);
        tally.add(text(case, "name"), &expected, &got);
    }
    tally.finish(6);
}

#[test]
fn object_ids_are_validated() {
    let Some(cases) = cases("object-id-validation-cases.yaml") else { return };
    let mut tally = Tally::new("object-id-validation");
    for case in &cases {
        let is_valid = is_valid_object_id(text(case, "object_id"));
        tally.add(text(case, "name"), &(case["valid"] == true), &is_valid);
    }
    tally.finish(23);
}

#[test]
fn store_files_are_validated() {
    let Some(folder) = language() else { return };
    let mut tally = Tally::new("stores");
    for case in entries(&folder.join("stores")) {
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let errors = case.join("expected_errors.json");
        let expected = if errors.exists() { json_of(&read(&errors)) } else { json!([]) };
        // What went wrong where; the wording is a JSON schema validator's.
        let expected: Vec<_> = list(&expected)
            .iter()
            .map(|error| {
                (text(error, "instancePath").to_owned(), text(error, "keyword").to_owned())
            })
            .collect();
        let got: Vec<_> = StoreFile::parse(&read(&case.join("store.fga.yaml")))
            .err()
            .map_or_else(Vec::new, |errors| errors.errors)
            .into_iter()
            .map(|error| (error.path, error.keyword.to_owned()))
            .collect();
        tally.add(&name, &expected, &got);
    }
    tally.finish(4);
}
