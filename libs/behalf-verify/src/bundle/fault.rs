//! What is wrong with a bundle, and where.

use std::fmt;

/// Faults that are named; more are counted only.
const NAMED_MAX: usize = 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: Option<u64>,
    /// The entry's place in the log.
    pub entry: Option<u64>,
    /// The record's id, as far as it can be read.
    pub record: Option<String>,
    /// What is wrong.
    pub what: String,
}

impl Fault {
    /// A fault of a whole file.
    pub(super) fn of(file: impl Into<String>, what: impl fmt::Display) -> Self {
        let what = what.to_string();
        Self { file: file.into(), line: None, entry: None, record: None, what }
    }

    pub(super) const fn at_line(mut self, line: u64) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) const fn at_entry(mut self, entry: u64) -> Self {
        self.entry = Some(entry);
        self
    }

    pub(super) fn of_record(mut self, record: Option<String>) -> Self {
        self.record = record;
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, " line {line}")?;
        }
        match (self.entry, &self.record) {
            (Some(entry), Some(record)) => write!(f, " (entry {entry}, record {record})")?,
            (Some(entry), None) => write!(f, " (entry {entry})")?,
            (None, Some(record)) => write!(f, " (record {record})")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.what)
    }
}

/// Everything that is wrong, in the order in which it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    named: Vec<Fault>,
    count: usize,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        if self.named.len() < NAMED_MAX {
            self.named.push(fault);
        }
        self.count = self.count.saturating_add(1);
    }

    /// The first twenty.
    pub fn named(&self) -> &[Fault] {
        &self.named
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.count
    }
}

/// One fault a line.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.named.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        match self.count.saturating_sub(self.named.len()) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}
