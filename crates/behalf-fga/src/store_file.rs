//! Store files, `*.fga.yaml`: a model, tuples, and tests of both, in OpenFGA's format.
//!
//! [`StoreFile::parse`] reads and validates one file; [`StoreFile::load`] adds the files it names,
//! which the caller reads, since nothing here does IO; [`LoadedStore::run`] runs the tests in memory.
//! Beyond the format's first version it takes what OpenFGA's command line takes: several `users`,
//! `objects` and `tuple_files`.

mod load;
mod parse;
mod run;
mod tuples;

use std::fmt;

use serde_json::{Map, Value as Json};

pub use load::{LoadedStore, ReadFile};
pub use run::{Failure, Passed, Report};
pub use tuples::{TupleFileError, parse_tuples};

use crate::model::AuthorizationModel;
use crate::tuple::TupleKey;
use crate::yaml::{Position, Region};

/// A store file as it was written.
#[derive(Clone, Debug)]
pub struct StoreFile {
    /// The store's name; empty if the file gives none.
    pub name: String,
    /// Its model.
    pub model: ModelSource,
    /// Its tuples.
    pub tuples: TupleSource,
    /// Its tests.
    pub tests: Vec<StoreTest>,
    /// What the file says that is allowed, but refused by OpenFGA's editors.
    pub warnings: Vec<StoreFileError>,
}

/// Where a store's model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelSource {
    /// The DSL, in the store file itself from this place on.
    Inline(String, Position),
    /// A file: DSL, JSON (`.json`) or a list of modules (`fga.mod`).
    File(String, Position),
}

/// Where tuples come from: from all that is given.
#[derive(Clone, Debug, Default)]
pub struct TupleSource {
    /// In the store file itself.
    pub inline: Vec<PlacedTuple>,
    /// Files of tuples, and where they are named.
    pub files: Vec<(String, Position)>,
}

/// A tuple and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedTuple {
    /// The tuple.
    pub tuple: TupleKey,
    /// The file, if it is not the store file.
    pub file: Option<String>,
    /// Where in the file.
    pub place: Position,
}

/// One test: tuples beside the store's, and what is expected of both.
#[derive(Clone, Debug, Default)]
pub struct StoreTest {
    /// Its name.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Tuples of this test only.
    pub tuples: TupleSource,
    /// Questions about one object each.
    pub check: Vec<CheckTest>,
    /// Questions about all objects of a type.
    pub list_objects: Vec<ListObjectsTest>,
    /// Questions about all users of an object.
    pub list_users: Vec<ListUsersTest>,
}

/// What is expected of a relation, and where that is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assertion<T> {
    /// The relation.
    pub relation: String,
    /// What is expected.
    pub expected: T,
    /// Where it is written.
    pub place: Position,
}

/// Is each user related to each object?
#[derive(Clone, Debug, Default)]
pub struct CheckTest {
    /// The users.
    pub users: Vec<String>,
    /// The objects.
    pub objects: Vec<String>,
    /// What conditions are evaluated with.
    pub context: Map<String, Json>,
    /// Allowed or not, by relation.
    pub assertions: Vec<Assertion<bool>>,
}

/// Which objects is a user related to?
#[derive(Clone, Debug, Default)]
pub struct ListObjectsTest {
    /// The user.
    pub user: String,
    /// The objects' type.
    pub object_type: String,
    /// What conditions are evaluated with.
    pub context: Map<String, Json>,
    /// The objects, by relation.
    pub assertions: Vec<Assertion<Vec<String>>>,
}

/// Which users are related to an object?
#[derive(Clone, Debug, Default)]
pub struct ListUsersTest {
    /// The object.
    pub object: String,
    /// The kind of users: a type, and a relation if usersets are asked for.
    pub user_filter: (String, Option<String>),
    /// What conditions are evaluated with.
    pub context: Map<String, Json>,
    /// The users, by relation.
    pub assertions: Vec<Assertion<Vec<String>>>,
}

/// One error in a store file or in a file that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFileError {
    /// What is wrong.
    pub message: String,
    /// The rule that is broken, by JSON schema's name where it has one.
    pub keyword: &'static str,
    /// The value that is wrong, as a JSON pointer.
    pub path: String,
    /// The file, if it is not the store file.
    pub file: Option<String>,
    /// Where in the file.
    pub region: Region,
}

impl fmt::Display for StoreFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        let Position { line, column } = self.region.start;
        write!(f, "{}:{}: {}", line + 1, column + 1, self.message)
    }
}

impl std::error::Error for StoreFileError {}

/// All errors found in a store file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreFileErrors {
    /// The errors in the order they were found; never empty.
    pub errors: Vec<StoreFileError>,
}

impl fmt::Display for StoreFileErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for error in &self.errors {
            write!(f, "{separator}{error}")?;
            separator = "\n";
        }
        Ok(())
    }
}

impl std::error::Error for StoreFileErrors {}

/// True if OpenFGA's editors accept the text as the id of an object: letters, digits and
/// `_ | * @ . + / -`, in the first place anything but `#`, `:`, `*` and blanks. The API takes more.
pub fn is_valid_object_id(id: &str) -> bool {
    let mut chars = id.chars();
    let starts = chars.next().is_some_and(|c| !matches!(c, '#' | ':' | '*') && !c.is_whitespace());
    starts && chars.all(|c| c.is_ascii_alphanumeric() || "_|*@.+/-".contains(c))
}

impl StoreFile {
    /// Reads and validates a store file.
    ///
    /// # Errors
    /// All errors, with their places.
    pub fn parse(text: &str) -> Result<Self, StoreFileErrors> {
        parse::parse(text)
    }

    /// Reads the model and the tuples that the file names.
    ///
    /// # Errors
    /// What cannot be read or is invalid, with its place.
    pub fn load(self, read: &mut ReadFile<'_>) -> Result<LoadedStore, StoreFileErrors> {
        load::load(self, read)
    }
}

/// A model from a file, by what the file's name says it holds.
///
/// # Errors
/// What cannot be read or is invalid, with its place.
pub fn load_model(
    file: &str,
    read: &mut ReadFile<'_>,
) -> Result<AuthorizationModel, StoreFileErrors> {
    load::load_model(file, Position::default(), read)
}

#[cfg(test)]
mod tests;
