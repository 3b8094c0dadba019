//! The data folder: its lock, and the root key that lies outside it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use behalf_core::{Rng, Secret};
use behalf_crypto::envelope::RootKey;

/// The data folder, locked for this process until it is dropped.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the folder if it is absent and takes its lock; `None` when another process has it.
    pub(crate) fn lock(path: &Path) -> anyhow::Result<Option<Self>> {
        let place = path.display();
        if !path.is_dir() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .with_context(|| format!("cannot make the data folder {place}"))?;
        }
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(|| format!("cannot write into the data folder {place}"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock the data folder {place}"))
            }
        }
    }

    /// As [`DataDir::lock`], for commands that have nothing to do in a folder of which no server
    /// knows.
    pub(crate) fn lock_existing(path: &Path) -> anyhow::Result<Option<Self>> {
        if !path.is_dir() {
            bail!("there is no data folder {}; name yours with --data", path.display());
        }
        Self::lock(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The root key that `given` names, or that lies beside the folder; made on first start.
    pub(crate) fn root_key(&self, given: Option<&str>, rng: &dyn Rng) -> anyhow::Result<RootKey> {
        let file = match given.map(|text| text.strip_prefix('@').ok_or(text)) {
            Some(Err(text)) => return Ok(RootKey::from_text(&Secret::from(text))?),
            Some(Ok(path)) => PathBuf::from(path),
            None => beside(&self.path)?,
        };
        if file.exists() {
            return read_root_key(&file);
        }
        if self.path.join("behalf.db").exists() {
            bail!(
                "the data in {} needs its root key, and {} is not there; restore it or name it \
                 with --root-key @FILE",
                self.path.display(),
                file.display()
            );
        }
        let key = RootKey::generate(rng);
        write_private(&file, key.to_text().expose().as_bytes())?;
        Ok(key)
    }
}

/// `DIR.key`, beside `DIR`; also where `DIR` is written as `.` or `..`, whose neighbour by name
/// would lie inside.
fn beside(dir: &Path) -> anyhow::Result<PathBuf> {
    let dir = match dir.file_name() {
        Some(_) => dir.components().as_path().to_owned(),
        None => dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?,
    };
    let mut name = dir.into_os_string();
    name.push(".key");
    Ok(PathBuf::from(name))
}

fn read_root_key(file: &Path) -> anyhow::Result<RootKey> {
    let place = file.display();
    let mode =
        file.metadata().with_context(|| format!("cannot read {place}"))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("{place} can be read by others; run `chmod 600 {place}`");
    }
    let mut text = String::new();
    File::open(file)
        .and_then(|mut file| file.read_to_string(&mut text))
        .with_context(|| format!("cannot read {place}"))?;
    RootKey::from_text(&Secret::new(text)).with_context(|| format!("{place} is no root key"))
}

/// Writes a new file that only its owner can read, durably.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // The name itself must survive a power cut too.
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        File::open(dir.unwrap_or_else(|| Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// Adds to a file that only its owner can read, made if it is absent, durably.
pub(crate) fn append_private(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let append = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    append().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_lies_beside_the_folder_however_it_is_written() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path().canonicalize().unwrap();
        let dir = parent.join("data");
        std::fs::create_dir_all(dir.join("inner")).unwrap();
        let key = parent.join("data.key");
        let inner = dir.join("inner/..");
        for written in [dir.clone(), dir.join(""), dir.join("."), inner] {
            assert_eq!(beside(&written).unwrap(), key, "{}", written.display());
        }
        assert_eq!(beside(Path::new("./data/")).unwrap(), Path::new("./data.key"));
    }
}
