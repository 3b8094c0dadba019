//! Files of tuples: YAML and JSON (a list), JSON lines, and CSV with OpenFGA's columns.

use std::collections::HashMap;

use serde_json::{Map, Value as Json};
use thiserror::Error;

use super::parse::parse_tuple_list;
use super::{PlacedTuple, StoreFileErrors};
use crate::tuple::{TupleCondition, TupleKey};
use crate::yaml::Position;

/// Why a file of tuples cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TupleFileError {
    /// The name does not end in a format that is known.
    #[error("a file of tuples ends in .yaml, .yml, .json, .jsonl or .csv")]
    UnknownFormat,
    /// Errors in YAML or JSON, with their places.
    #[error(transparent)]
    Invalid(#[from] StoreFileErrors),
    /// A line of CSV or of JSON lines is wrong.
    #[error("line {line}: {message}")]
    Line {
        /// The line, from one.
        line: u32,
        /// What is wrong.
        message: String,
    },
}

/// Reads a file of tuples; the end of its name says the format.
///
/// # Errors
/// What is wrong, and where.
pub fn parse_tuples(file: &str, text: &str) -> Result<Vec<PlacedTuple>, TupleFileError> {
    let format = file.rsplit_once('.').map_or("", |(_, format)| format);
    let mut tuples = match format {
        "yaml" | "yml" | "json" => parse_tuple_list(text)?,
        "jsonl" => json_lines(text)?,
        "csv" => csv(text)?,
        _ => return Err(TupleFileError::UnknownFormat),
    };
    for tuple in &mut tuples {
        tuple.file = Some(file.to_owned());
    }
    Ok(tuples)
}

fn fail<T>(line: u32, message: impl Into<String>) -> Result<T, TupleFileError> {
    Err(TupleFileError::Line { line: line + 1, message: message.into() })
}

fn placed(tuple: TupleKey, line: u32) -> PlacedTuple {
    PlacedTuple { tuple, file: None, place: Position { line, column: 0 } }
}

fn json_lines(text: &str) -> Result<Vec<PlacedTuple>, TupleFileError> {
    let mut tuples = Vec::new();
    for (line, text) in (0..).zip(text.lines()) {
        if text.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(text) {
            Ok(tuple) => tuples.push(placed(tuple, line)),
            Err(error) => return fail(line, error.to_string()),
        }
    }
    Ok(tuples)
}

const COLUMNS: [&str; 8] = [
    "user_type",
    "user_id",
    "user_relation",
    "relation",
    "object_type",
    "object_id",
    "condition_name",
    "condition_context",
];

fn csv(text: &str) -> Result<Vec<PlacedTuple>, TupleFileError> {
    let mut records = Records { chars: text.chars().peekable(), line: 0 };
    let Some((_, header)) = records.next_record()? else {
        return fail(0, "the first line must name the columns");
    };
    let mut columns: HashMap<String, usize> = HashMap::new();
    for (place, name) in header.into_iter().enumerate() {
        let name = name.trim_start_matches('\u{feff}').trim().to_owned();
        if !COLUMNS.contains(&name.as_str()) {
            return fail(0, format!("unknown column `{name}`; known are {}", COLUMNS.join(",")));
        }
        columns.insert(name, place);
    }
    for name in ["user_type", "user_id", "relation", "object_type", "object_id"] {
        if !columns.contains_key(name) {
            return fail(0, format!("the column `{name}` is missing"));
        }
    }
    if columns.contains_key("condition_context") && !columns.contains_key("condition_name") {
        return fail(0, "the column `condition_context` needs `condition_name` beside it");
    }
    let mut tuples = Vec::new();
    while let Some((line, record)) = records.next_record()? {
        if record.len() != columns.len() {
            let (found, expected) = (record.len(), columns.len());
            return fail(line, format!("{found} fields, but {expected} columns"));
        }
        let field = |name: &str| {
            columns.get(name).and_then(|place| record.get(*place)).map_or("", String::as_str)
        };
        let mut user = format!("{}:{}", field("user_type"), field("user_id"));
        if !field("user_relation").is_empty() {
            user.push('#');
            user.push_str(field("user_relation"));
        }
        let condition = match (field("condition_name"), field("condition_context")) {
            ("", _) => None,
            (name, context) => {
                Some(TupleCondition { name: name.to_owned(), context: context_of(context, line)? })
            }
        };
        let object = format!("{}:{}", field("object_type"), field("object_id"));
        let relation = field("relation").to_owned();
        tuples.push(placed(
            TupleKey { user, relation, object, condition, ..TupleKey::default() },
            line,
        ));
    }
    Ok(tuples)
}

fn context_of(text: &str, line: u32) -> Result<Map<String, Json>, TupleFileError> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_str(text) {
        Ok(context) => Ok(context),
        Err(error) => fail(line, format!("`condition_context` is no JSON object: {error}")),
    }
}

/// Records of CSV (RFC 4180); empty lines are skipped.
struct Records<'a> {
    chars: std::iter::Peekable<std::str::Chars<'a>>,
    line: u32,
}

impl Records<'_> {
    /// The next record and the line it begins on.
    fn next_record(&mut self) -> Result<Option<(u32, Vec<String>)>, TupleFileError> {
        while let Some('\n' | '\r') = self.chars.peek() {
            self.bump();
        }
        if self.chars.peek().is_none() {
            return Ok(None);
        }
        let begin = self.line;
        let mut fields = Vec::new();
        loop {
            fields.push(self.field()?);
            // The rest of a line end is skipped before the next record.
            if self.bump() != Some(',') {
                return Ok(Some((begin, fields)));
            }
        }
    }

    fn field(&mut self) -> Result<String, TupleFileError> {
        let mut field = String::new();
        if self.chars.peek() != Some(&'"') {
            while let Some(&c) = self.chars.peek() {
                match c {
                    ',' | '\n' | '\r' => break,
                    '"' => return fail(self.line, "a quote inside a field without quotes"),
                    c => field.push(c),
                }
                self.bump();
            }
            return Ok(field);
        }
        let begin = self.line;
        self.bump();
        loop {
            match self.bump() {
                None => return fail(begin, "a quoted field does not end"),
                Some('"') if self.chars.peek() == Some(&'"') => {
                    self.bump();
                    field.push('"');
                }
                Some('"') => break,
                Some(c) => field.push(c),
            }
        }
        match self.chars.peek() {
            None | Some(',' | '\n' | '\r') => Ok(field),
            Some(_) => fail(self.line, "text behind the quote that ends a field"),
        }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.chars.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }
}
