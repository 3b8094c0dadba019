//! The zip around a bundle, read without trust in anything that it declares.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _};

use zip::ZipArchive;

use super::fault::{Fault, Faults};
use super::{BundleError, MANIFEST, UNPACKED_BYTES_MAX};

/// More files than any bundle has.
const FILES_MAX: usize = 200_000;

/// The longest manifest.
const MANIFEST_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The files of a zip, by name; or why one cannot be read.
#[derive(Debug)]
pub(super) struct Archive<'z> {
    zip: ZipArchive<Cursor<&'z [u8]>>,
    by_name: BTreeMap<String, usize>,
    /// What may still be unpacked.
    left: u64,
}

impl<'z> Archive<'z> {
    /// Opens a zip and notes what is wrong with it as a whole.
    pub(super) fn open(bytes: &'z [u8], faults: &mut Faults) -> Result<Self, BundleError> {
        let not_a_bundle = |why: String| BundleError::NotABundle(why);
        let mut zip = ZipArchive::new(Cursor::new(bytes))
            .map_err(|error| not_a_bundle(format!("it is no zip ({error})")))?;
        if zip.index_for_name(MANIFEST).is_none() {
            return Err(not_a_bundle(format!("the zip has no {MANIFEST}")));
        }
        let zip_fault = |what: &str| Fault::of("the zip", what);
        if zip.has_duplicate_names() {
            faults.add(zip_fault("two files have one name"));
        }
        if zip.len() > FILES_MAX {
            faults.add(zip_fault("has more files than any bundle"));
            return Err(BundleError::Invalid(std::mem::take(faults)));
        }
        if zip.has_overlapping_entries().unwrap_or(true) {
            faults.add(zip_fault("files lie upon each other"));
        }
        let mut by_name = BTreeMap::new();
        for index in 0..zip.len() {
            let name = zip.name_for_index(index).and_then(Result::ok);
            match name {
                // Folders that a packing tool added hold nothing.
                Some(name) if name.ends_with('/') && is_plain(name.trim_end_matches('/')) => {}
                Some(name) if is_plain(&name) => {
                    by_name.insert(name.into_owned(), index);
                }
                Some(name) => {
                    let shown: String =
                        name.chars().take(80).flat_map(char::escape_default).collect();
                    faults.add(Fault::of(shown, "the name leads outside or is not plain"));
                }
                None => faults.add(zip_fault("a file's name cannot be read")),
            }
        }
        Ok(Self { zip, by_name, left: UNPACKED_BYTES_MAX })
    }

    /// The names of all files.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The manifest's bytes.
    pub(super) fn read_manifest(&mut self) -> Result<Vec<u8>, String> {
        self.read(MANIFEST, MANIFEST_BYTES_MAX)
    }

    /// The bytes of a file, if there are at most `length_max`; or why they cannot be had.
    pub(super) fn read(&mut self, name: &str, length_max: u64) -> Result<Vec<u8>, String> {
        let index = *self.by_name.get(name).ok_or("is not in the zip")?;
        let file = self.zip.by_index(index).map_err(|error| format!("cannot be read: {error}"))?;
        // What the zip declares is not believed: one byte more than allowed is read to find out.
        let allowed = length_max.min(self.left);
        let mut bytes = Vec::new();
        let mut limited = file.take(allowed.saturating_add(1));
        limited.read_to_end(&mut bytes).map_err(|error| format!("cannot be unpacked: {error}"))?;
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if length > allowed {
            return Err(format!("has more than {allowed} bytes"));
        }
        self.left = self.left.saturating_sub(length);
        Ok(bytes)
    }
}

/// Relative, without steps up, and of characters that mean the same everywhere.
fn is_plain(name: &str) -> bool {
    let is_plain_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    let is_step = |part: &str| matches!(part, "" | "." | "..");
    name.chars().all(is_plain_char) && !name.split('/').any(is_step)
}
