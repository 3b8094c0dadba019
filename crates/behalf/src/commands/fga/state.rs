//! How far a copy has come, in a file beside it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// The file's form.
const VERSION: u32 = 1;

/// How far a copy has come.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    version: u32,
    /// The address that is copied.
    source: String,
    /// Where it is copied to.
    target: String,
    /// Each store by its id.
    pub(super) stores: BTreeMap<String, StoreState>,
}

/// How far the copy of a store has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StoreState {
    /// Its name there.
    pub(super) name: String,
    /// From when on its log is read, while there is no token.
    pub(super) since: String,
    /// Behind which tuple to go on.
    pub(super) read_token: String,
    /// True once every tuple was read.
    pub(super) tuples_done: bool,
    /// Behind which change to go on.
    pub(super) changes_token: String,
    /// True if the target has only OpenFGA's own routes.
    #[serde(default)]
    pub(super) is_plain: bool,
    /// The newest model that was written.
    pub(super) latest_model: String,
}

/// The file.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    /// False for a copy that is only tried.
    is_kept: bool,
    pub(super) state: State,
}

impl StateFile {
    /// Reads the file, or begins a new one.
    pub(super) fn open(path: &Path, source: &str, target: &str) -> anyhow::Result<Self> {
        let place = path.display();
        if !path.exists() {
            let (source, target) = (source.to_owned(), target.to_owned());
            let state = State { version: VERSION, source, target, stores: BTreeMap::new() };
            return Ok(Self { path: path.to_owned(), is_kept: true, state });
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
        let state: State = serde_json::from_str(&text)
            .with_context(|| format!("{place} does not say how far a copy has come"))?;
        if state.version != VERSION {
            bail!("{place} is of another version; remove it to begin again");
        }
        if (state.source.as_str(), state.target.as_str()) != (source, target) {
            bail!(
                "{place} is about a copy of {} into {}; name another file with --state",
                state.source,
                state.target
            );
        }
        Ok(Self { path: path.to_owned(), is_kept: true, state })
    }

    /// The same, which is never written.
    pub(super) fn forgetful(self) -> Self {
        Self { is_kept: false, ..self }
    }

    /// The store with that id, which must have been begun.
    pub(super) fn of(&mut self, store: &str) -> anyhow::Result<&mut StoreState> {
        self.state.stores.get_mut(store).context("the copy of this store has not begun")
    }

    /// Writes the file, whole or not at all.
    pub(super) fn save(&self) -> anyhow::Result<()> {
        if !self.is_kept {
            return Ok(());
        }
        let mut beside = self.path.as_os_str().to_owned();
        beside.push(".part");
        let write = || -> anyhow::Result<()> {
            let options = OpenOptions::new()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(&beside);
            let mut file: File = options?;
            file.write_all(serde_json::to_string_pretty(&self.state)?.as_bytes())?;
            file.sync_all()?;
            Ok(std::fs::rename(&beside, &self.path)?)
        };
        write().with_context(|| format!("cannot write {}", self.path.display()))
    }
}
