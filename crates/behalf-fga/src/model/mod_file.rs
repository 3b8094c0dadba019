//! `fga.mod`: which files make up a model of modules.
//!
//! ```yaml
//! schema: '1.2'
//! contents:
//!   - core.fga
//!   - wiki/pages.fga
//! ```

use std::fmt;

use crate::yaml::{self, Node, Region};

/// The list of a model's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModFile {
    /// The schema version, `1.2`.
    pub schema: Located<String>,
    /// The files, relative to the list's own folder.
    pub contents: Vec<Located<String>>,
    /// Where the list of files stands.
    pub contents_region: Region,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub region: Region,
}

/// One error in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModFileError {
    /// What is wrong.
    pub message: String,
    /// Where.
    pub region: Region,
}

/// All errors found in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModFileErrors {
    /// The errors in the order they were found; never empty.
    pub errors: Vec<ModFileError>,
}

impl fmt::Display for ModFileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for ModFileError { message, region } in &self.errors {
            let start = region.start;
            write!(f, "{separator}{}:{}: {message}", start.line + 1, start.column + 1)?;
            separator = "; ";
        }
        Ok(())
    }
}

impl std::error::Error for ModFileErrors {}

impl ModFile {
    /// Reads the list. Files must lie in the list's folder or below.
    ///
    /// # Errors
    /// All errors, with their places.
    pub fn parse(text: &str) -> Result<Self, ModFileErrors> {
        let root = yaml::parse(text).map_err(|error| ModFileErrors {
            errors: vec![ModFileError { message: error.message, region: error.region }],
        })?;
        let mut errors = Vec::new();
        let field = |name: &str| {
            root.as_map()
                .and_then(|entries| entries.iter().find(|entry| entry.key == name))
                .map(|entry| &entry.value)
        };
        let schema = read_schema(field("schema"), &mut errors);
        let contents = read_contents(field("contents"), &mut errors);
        match (schema, contents) {
            (Some(schema), Some((contents, contents_region))) if errors.is_empty() => {
                Ok(Self { schema, contents, contents_region })
            }
            _ => Err(ModFileErrors { errors }),
        }
    }
}

fn read_schema(node: Option<&Node>, errors: &mut Vec<ModFileError>) -> Option<Located<String>> {
    let mut fail = |message: String, region: Region| {
        errors.push(ModFileError { message, region });
        None
    };
    let Some(node) = node else {
        return fail("missing schema field".to_owned(), Region::default());
    };
    let region = node.region;
    match node.as_text() {
        None => fail(
            format!("unexpected schema type, expected string got value {}", node.shown()),
            region,
        ),
        Some("1.2") => Some(Located { value: "1.2".to_owned(), region }),
        Some(_) => {
            let message = "unsupported schema version, fga.mod only supported in version `1.2`";
            fail(message.to_owned(), region)
        }
    }
}

fn read_contents(
    node: Option<&Node>,
    errors: &mut Vec<ModFileError>,
) -> Option<(Vec<Located<String>>, Region)> {
    let mut fail = |message: String, region: Region| errors.push(ModFileError { message, region });
    let Some(node) = node else {
        fail("missing contents field".to_owned(), Region::default());
        return None;
    };
    let Some(items) = node.as_list() else {
        let shown = node.shown();
        let message =
            format!("unexpected contents type, expected list of strings got value {shown}");
        fail(message, node.region);
        return None;
    };
    let mut files = Vec::with_capacity(items.len());
    for item in items {
        let region = item.region;
        let Some(text) = item.as_text() else {
            let shown = item.shown();
            let message =
                format!("unexpected contents item type, expected string got value {shown}");
            fail(message, region);
            continue;
        };
        // Written with percent signs, a path is still the same path.
        let mut path = text.to_owned();
        for (encoded, plain) in
            [("%2e", "."), ("%2E", "."), ("%2f", "/"), ("%2F", "/"), ("%5c", "\\"), ("%5C", "\\")]
        {
            path = path.replace(encoded, plain);
        }
        if path.contains("../") || path.contains("..\\") || path.starts_with('/') {
            fail(format!("invalid contents item {text}"), region);
        } else if !path.ends_with(".fga") {
            let message = format!("contents items should use fga file extension, got {text}");
            fail(message, region);
        } else {
            files.push(Located { value: path, region });
        }
    }
    Some((files, node.region))
}
