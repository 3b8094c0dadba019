//! The manifest: what was exported, and the digest of every other file.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical_json::{self, CanonicalError};
use crate::sha256_hex;

/// What `manifest.json` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`super::FORMAT`].
    pub format: String,
    /// The project whose log was exported.
    pub project: String,
    /// The log and its signed tree.
    pub log: BundleLog,
    /// The window that was asked for.
    pub window: BundleWindow,
    /// The first record's place in the log. The records are a run without gaps.
    pub first_entry: u64,
    /// How many records there are.
    pub record_count: u64,
    /// When it was exported.
    pub created_at: String,
    /// Who exported it.
    pub created_by: Value,
    /// Every other file.
    pub files: Vec<BundleFile>,
}

/// A log and its signed tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleLog {
    /// The log's unique name.
    pub origin: String,
    /// The key that signed, as a vkey.
    pub key: String,
    /// How many leaves the signed tree has.
    pub size: u64,
    /// Its root, in hex.
    pub root: String,
}

/// A window of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleWindow {
    /// Its beginning, if it has one.
    pub from: Option<String>,
    /// Its end, if it has one; what happened then is outside.
    pub to: Option<String>,
}

/// One file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BundleFile {
    /// Its path.
    pub path: String,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// How many bytes it has.
    pub length: u64,
}

impl BundleFile {
    /// The entry of a file with these bytes.
    pub fn new(path: &str, bytes: &[u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { path: path.to_owned(), sha256: sha256_hex(bytes), length }
    }
}

impl Manifest {
    /// The manifest as its file holds it: canonical JSON and a newline.
    ///
    /// # Errors
    /// If a number in it is beyond 2^53.
    pub fn to_text(&self) -> Result<String, CanonicalError> {
        let value = serde_json::to_value(self).unwrap_or(Value::Null);
        Ok(canonical_json::to_canonical(&value)? + "\n")
    }

    /// Reads a manifest; the reason when it is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
        let value = canonical_json::parse(text).map_err(|error| error.to_string())?;
        let manifest: Self = serde_json::from_value(value).map_err(|error| error.to_string())?;
        match manifest.format.as_str() {
            super::FORMAT => Ok(manifest),
            other => Err(format!("format `{other}` is not known to this version")),
        }
    }
}
