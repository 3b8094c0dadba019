//! Files of tuples as a stream: lines of JSON and CSV are read as they come, so that a file of any
//! size fits; YAML and JSON lists, which people write, are read whole.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use behalf_core::Timestamp;
use behalf_fga::{PlacedTuple, Position, TupleFileError, TupleKey, parse_tuples};
use serde_json::{Map, Value, json};

use super::{place, read};

/// The longest line in bytes; a tuple has at most half of it.
const MAX_LINE: u64 = 128 * 1024;
/// Records of CSV that are looked at together.
const CSV_RECORDS: usize = 500;

/// A tuple as the API takes it, and where it was read.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) tuple: Value,
    pub(super) place: String,
}

/// A file of tuples, read part by part.
pub(super) struct TupleFile {
    path: PathBuf,
    lines: BufReader<File>,
    kind: Kind,
    /// Lines that were read.
    line: u32,
    /// Bytes that were read.
    pub(super) bytes: u64,
}

enum Kind {
    JsonLines,
    Csv { header: String },
    Whole(std::vec::IntoIter<PlacedTuple>),
}

impl TupleFile {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let kind = match ending.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Kind::JsonLines,
            "csv" => Kind::Csv { header: String::new() },
            ending @ ("yaml" | "yml" | "json") => {
                let text = read(path).map_err(|reason| anyhow!("{name}: {reason}"))?;
                let tuples = parse_tuples(&format!("tuples.{ending}"), &text);
                Kind::Whole(tuples.map_err(|error| complaint(path, &error, 0))?.into_iter())
            }
            _ => bail!("{name}: tuples stand in .ndjson, .jsonl, .csv, .json or .yaml"),
        };
        let mut this =
            Self { path: path.to_owned(), lines: BufReader::new(file), kind, line: 0, bytes: 0 };
        if let Kind::Csv { .. } = this.kind {
            let header = this.next_line()?.unwrap_or_default();
            this.kind = Kind::Csv { header };
        }
        Ok(this)
    }

    /// The next tuples; none at the end.
    pub(super) fn next(&mut self) -> anyhow::Result<Vec<Item>> {
        match &mut self.kind {
            Kind::Whole(tuples) => {
                let tuples: Vec<PlacedTuple> = tuples.by_ref().take(CSV_RECORDS).collect();
                Ok(tuples.into_iter().map(|placed| item(&self.path, placed)).collect())
            }
            Kind::JsonLines => self.next_json(),
            Kind::Csv { header } => {
                let header = header.clone();
                self.next_csv(&header)
            }
        }
    }

    fn next_json(&mut self) -> anyhow::Result<Vec<Item>> {
        while let Some(line) = self.next_line()? {
            let place = format!("{}:{}", self.path.display(), self.line);
            if line.trim().is_empty() {
                continue;
            }
            let tuple: Map<String, Value> = serde_json::from_str(line.trim_end())
                .map_err(|error| anyhow!("{place}:{}: {}", error.column(), reason(&error)))?;
            for name in ["user", "relation", "object"] {
                if !tuple.get(name).is_some_and(Value::is_string) {
                    bail!("{place}: `{name}` is missing");
                }
            }
            return Ok(vec![Item { tuple: tuple.into(), place }]);
        }
        Ok(Vec::new())
    }

    fn next_csv(&mut self, header: &str) -> anyhow::Result<Vec<Item>> {
        let first = self.line;
        let mut text = header.to_owned();
        let (mut records, mut open) = (0, false);
        while let Some(line) = self.next_line()? {
            // A field in quotes may go over several lines; a quote inside is doubled.
            open ^= line.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
            text.push_str(&line);
            if text.len() as u64 > MAX_LINE.saturating_mul(CSV_RECORDS as u64) {
                bail!("{}:{}: a quoted field does not end", self.path.display(), self.line);
            }
            records += usize::from(!open);
            if records == CSV_RECORDS {
                break;
            }
        }
        if text.len() == header.len() && first > 1 {
            return Ok(Vec::new());
        }
        // The header stands before each part, so lines are counted from it.
        let before = first.saturating_sub(1);
        let tuples = parse_tuples("tuples.csv", &text)
            .map_err(|error| complaint(&self.path, &error, before))?;
        let placed = tuples.into_iter().map(|mut placed| {
            placed.place.line = placed.place.line.saturating_add(before);
            item(&self.path, placed)
        });
        Ok(placed.collect())
    }

    fn next_line(&mut self) -> anyhow::Result<Option<String>> {
        let place = || format!("{}:{}", self.path.display(), self.line.saturating_add(1));
        let mut bytes = Vec::new();
        let read = self.lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes);
        let read = read.with_context(place)? as u64;
        if read == MAX_LINE && bytes.last() != Some(&b'\n') {
            bail!("{}: the line is longer than {MAX_LINE} bytes", place());
        }
        let line = String::from_utf8(bytes).with_context(place)?;
        self.bytes = self.bytes.saturating_add(read);
        if read == 0 {
            return Ok(None);
        }
        self.line = self.line.saturating_add(1);
        Ok(Some(line))
    }
}

/// What is wrong with the text, without serde's own place in the line.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn complaint(path: &Path, error: &TupleFileError, before: u32) -> anyhow::Error {
    let name = path.display();
    match error {
        TupleFileError::Invalid(errors) => {
            let each = |error: &behalf_fga::StoreFileError| {
                format!("{}: {}", place(path, error.region.start), error.message)
            };
            anyhow!("{}", errors.errors.iter().map(each).collect::<Vec<_>>().join("\n"))
        }
        // What is wrong with the header is wrong on the first line.
        TupleFileError::Line { line: 1, message } => anyhow!("{name}:1: {message}"),
        TupleFileError::Line { line, message } => {
            anyhow!("{name}:{}: {message}", line.saturating_add(before))
        }
        TupleFileError::UnknownFormat => anyhow!("{name}: {error}"),
    }
}

/// A tuple of a file; `path` is the file unless the tuple names another.
pub(super) fn item(path: &Path, placed: PlacedTuple) -> Item {
    let Position { line, column } = placed.place;
    let mut place = format!("{}:{}", path.display(), line.saturating_add(1));
    if column > 0 {
        place = format!("{place}:{}", column.saturating_add(1));
    }
    Item { tuple: wire(placed.tuple), place }
}

/// A tuple as the API writes it.
fn wire(tuple: TupleKey) -> Value {
    let TupleKey { user, relation, object, condition, validity } = tuple;
    let mut json = json!({"user": user, "relation": relation, "object": object});
    let condition =
        condition.map(|condition| json!({"name": condition.name, "context": condition.context}));
    let time = |micros: Option<i64>| {
        micros.map(|micros| Value::from(Timestamp::from_micros(micros).to_rfc3339()))
    };
    let members = [
        ("condition", condition),
        ("not_before", time(validity.not_before_micros)),
        ("expires_at", time(validity.expires_at_micros)),
    ];
    if let Some(json) = json.as_object_mut() {
        json.extend(
            members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
    }
    json
}
