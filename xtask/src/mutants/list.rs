//! The mutants that `cargo mutants` finds.

use std::collections::HashMap;
use std::ops::Range;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::{hash, root};

/// One change of the source.
pub struct Mutant {
    /// With file, line and column; none has another's.
    pub name: String,
    /// From the root of the repository.
    pub file: String,
    /// A hash of the file's text.
    pub source: u64,
    pub genre: String,
    /// What the function gives, with the arrow; nothing outside of functions.
    pub gives: String,
    /// The bytes that are replaced.
    pub span: Range<usize>,
    pub replacement: String,
}

pub fn all() -> anyhow::Result<Vec<Mutant>> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "-p", "behalf-fga"])
        .current_dir(root())
        .output()?;
    ensure!(
        output.status.success(),
        "cargo mutants does not run (`cargo install cargo-mutants --version 27.1.0`): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let list: Vec<Value> = serde_json::from_slice(&output.stdout)?;
    let mut texts: HashMap<&str, String> = HashMap::new();
    for item in &list {
        let file = item["file"].as_str().context("a mutant without a file")?;
        if !texts.contains_key(file) {
            texts.insert(file, std::fs::read_to_string(root().join(file))?);
        }
    }
    let read = |item: &Value| {
        let text = |key: &str| item[key].as_str().unwrap_or_default().to_owned();
        let source = &texts[text("file").as_str()];
        let gives = item["function"]["return_type"].as_str().unwrap_or_default().to_owned();
        Some(Mutant {
            name: text("name"),
            file: text("file"),
            source: hash(source),
            genre: text("genre"),
            gives,
            span: offset(source, &item["span"]["start"])?..offset(source, &item["span"]["end"])?,
            replacement: text("replacement"),
        })
    };
    list.iter().map(|item| read(item).context("a place outside of its file")).collect()
}

/// The byte at a line and column, both counted from one, columns in characters.
fn offset(text: &str, place: &Value) -> Option<usize> {
    let [line, column] = ["line", "column"].map(|key| place[key].as_u64().map(|n| n as usize - 1));
    let (line, column) = (line?, column?);
    let begin: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(begin..)?;
    Some(begin + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
}
