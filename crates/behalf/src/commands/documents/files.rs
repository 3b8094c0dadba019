//! Files of a folder as documents: which fit, what they are written in, and what they say.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use behalf_retrieval::{ContentType, MAX_CONTENT_BYTES, MAX_TITLE_CHARS, title_of};
use behalf_verify::sha256_hex;
use flate2::read::MultiGzDecoder;
use regex::Regex;

use crate::control::import::ImportItem;

/// How deep folders may lie in each other.
const MAX_DEPTH: usize = 64;
/// How many files are looked at.
const MAX_FILES: usize = 1_000_000;

/// A file that is left out.
#[derive(Debug)]
pub(super) struct Skipped {
    pub(super) path: PathBuf,
    pub(super) reason: String,
}

/// What a folder holds.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Files that may be documents, by path.
    pub(super) paths: Vec<PathBuf>,
    /// What is left out without a look inside.
    pub(super) skipped: Vec<Skipped>,
}

/// Every file of `folder` that `glob` admits, by path. Links are not followed: they may lead out of
/// the folder, and what they lead to inside is found anyway.
pub(super) fn list(folder: &Path, glob: Option<&Glob>) -> anyhow::Result<Found> {
    let mut found = Found::default();
    let mut folders = vec![(folder.to_owned(), 0)];
    while let Some((path, depth)) = folders.pop() {
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if depth > 0 => {
                found.skipped.push(Skipped { path, reason: format!("cannot be read: {error}") });
                continue;
            }
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", path.display()))?;
            let kind = entry.file_type()?;
            let path = entry.path();
            if kind.is_dir() && depth < MAX_DEPTH {
                folders.push((path, depth.saturating_add(1)));
                continue;
            }
            if kind.is_dir() || !glob.is_none_or(|glob| glob.admits(folder, &path)) {
                continue;
            }
            if kind.is_symlink() {
                found.skipped.push(Skipped { path, reason: "a link".to_owned() });
            } else if !kind.is_file() {
                found.skipped.push(Skipped { path, reason: "not a regular file".to_owned() });
            } else {
                found.paths.push(path);
            }
            if found.paths.len() > MAX_FILES {
                bail!("more than {MAX_FILES} files; import parts of the folder");
            }
        }
    }
    found.paths.sort();
    Ok(found)
}

/// The file as a document, or why it is none.
pub(super) fn read(path: &Path) -> Result<ImportItem, String> {
    let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let (name, is_gzip) = match file_name.strip_suffix(".gz") {
        Some(name) => (name, true),
        None => (file_name, false),
    };
    let content_type = content_type_of(name).ok_or("not a kind of text that is known")?;
    let file = File::open(path).map_err(|error| format!("cannot be read: {error}"))?;
    // Bounded before it is unpacked whole: a small file may hold a large one.
    let limit = u64::try_from(MAX_CONTENT_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let read = if is_gzip {
        MultiGzDecoder::new(file).take(limit).read_to_end(&mut bytes)
    } else {
        file.take(limit).read_to_end(&mut bytes)
    };
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() > MAX_CONTENT_BYTES {
        return Err(format!("larger than {MAX_CONTENT_BYTES} bytes"));
    }
    let content = String::from_utf8(bytes).map_err(|_not_utf8| "not UTF-8 text")?;
    if content.trim().is_empty() {
        return Err("empty".to_owned());
    }
    if content_type == ContentType::Troff && content.trim_start().starts_with(".so ") {
        return Err("a manual page that only names another one".to_owned());
    }
    let title = title_of(content_type, &content).unwrap_or_else(|| name.to_owned());
    let title: String = title.chars().filter(|c| !c.is_control()).take(MAX_TITLE_CHARS).collect();
    // The same file gets the same id again, so that importing twice replaces.
    let digest = sha256_hex(path.as_os_str().as_encoded_bytes());
    let digest: String = digest.chars().take(40).collect();
    Ok(ImportItem {
        document_id: format!("file-{digest}"),
        title: if title.trim().is_empty() { "Untitled".to_owned() } else { title },
        content_type: content_type.as_str().to_owned(),
        content,
    })
}

/// By the ending of its name; a name without one is plain text.
fn content_type_of(name: &str) -> Option<ContentType> {
    let Some((_, ending)) = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty()) else {
        return (!name.starts_with('.')).then_some(ContentType::Plain);
    };
    match ending.to_ascii_lowercase().as_str() {
        "txt" | "text" | "rst" | "adoc" | "org" => Some(ContentType::Plain),
        "md" | "markdown" => Some(ContentType::Markdown),
        "html" | "htm" | "xhtml" => Some(ContentType::Html),
        "man" | "roff" => Some(ContentType::Troff),
        // Sections of the manual: 3, 3posix, 1ssl.
        section if section.starts_with(|c: char| ('1'..='9').contains(&c)) => {
            let is_section =
                section.len() <= 8 && section.bytes().skip(1).all(|b| b.is_ascii_alphabetic());
            is_section.then_some(ContentType::Troff)
        }
        _ => None,
    }
}

/// A pattern for paths: `*`, `?`, and `**` across folders. Without a `/` it is for the file's name.
#[derive(Debug)]
pub(super) struct Glob {
    pattern: Regex,
    is_for_name: bool,
}

impl Glob {
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut pattern = String::from("^");
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (taken, part) = if rest.starts_with("**/") {
                (3, "(?:.*/)?".to_owned())
            } else if rest.starts_with("**") {
                (2, ".*".to_owned())
            } else {
                let part = match c {
                    '*' => "[^/]*".to_owned(),
                    '?' => "[^/]".to_owned(),
                    c => regex::escape(c.encode_utf8(&mut [0; 4])),
                };
                (c.len_utf8(), part)
            };
            pattern.push_str(&part);
            rest = rest.get(taken..).unwrap_or_default();
        }
        pattern.push('$');
        let pattern = Regex::new(&pattern).with_context(|| format!("the pattern `{text}`"))?;
        Ok(Self { pattern, is_for_name: !text.contains('/') })
    }

    fn admits(&self, folder: &Path, path: &Path) -> bool {
        let part = if self.is_for_name {
            path.file_name().map(Path::new)
        } else {
            path.strip_prefix(folder).ok()
        };
        part.is_some_and(|part| self.pattern.is_match(&part.to_string_lossy()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_a_file_is_written_in() {
        for (name, expected) in [
            ("README", Some(ContentType::Plain)),
            ("notes.TXT", Some(ContentType::Plain)),
            ("a.md", Some(ContentType::Markdown)),
            ("index.html", Some(ContentType::Html)),
            ("printf.3", Some(ContentType::Troff)),
            ("open.3posix", Some(ContentType::Troff)),
            ("archive.7z", Some(ContentType::Troff)),
            ("libx.so.1.2.3", Some(ContentType::Troff)),
            ("picture.png", None),
            (".hidden", None),
            ("data.2023", None),
        ] {
            assert_eq!(content_type_of(name), expected, "{name}");
        }
    }

    #[test]
    fn patterns_are_for_names_or_for_paths() {
        let folder = Path::new("/docs");
        for (pattern, path, expected) in [
            ("*.md", "/docs/a/b.md", true),
            ("*.md", "/docs/a/b.md.txt", false),
            ("a/*.md", "/docs/a/b.md", true),
            ("a/*.md", "/docs/a/c/b.md", false),
            ("a/**/*.md", "/docs/a/b.md", true),
            ("a/**/*.md", "/docs/a/c/d/b.md", true),
            ("**", "/docs/x", true),
            ("?.md", "/docs/ä.md", true),
            ("[a].md", "/docs/a.md", false),
        ] {
            assert_eq!(
                Glob::parse(pattern).unwrap().admits(folder, Path::new(path)),
                expected,
                "{pattern} {path}"
            );
        }
    }
}
