//! One log in memory: its key, its head and what it signed last. Made on first use, and loaded with
//! every check that costs little: a log that fails one is not used.

use std::collections::BTreeMap;

use behalf_core::{Actor, Event, EventKind, ProjectId, Timestamp, random_bytes};
use behalf_store::ledger::{checkpoints, logs, tiles};
use behalf_store::ledger::{checkpoints::CheckpointRow, logs::LogRow};
use behalf_verify::checkpoint::LogPolicy;
use behalf_verify::hex;
use behalf_verify::merkle::{Frontier, Hash, empty_root, range_root};
use behalf_verify::note::{KeyKind, NoteSigner, VerifierKey};

use crate::Ledger;
use crate::error::LedgerError;
use crate::head::Head;
use crate::signer::{LogSigner, sign};
use crate::tree::StoredTree;

/// What the seal of a log's key is bound to.
const LOG_KEY: &str = "behalf.log_key.v1";

/// A log that can be appended to.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) origin: String,
    pub(crate) head: Head,
    pub(crate) signer: LogSigner,
    pub(crate) signed_at: Timestamp,
}

impl Ledger {
    /// The project's log, loaded or made.
    ///
    /// # Errors
    /// `Fault` when its stored parts contradict each other.
    pub(crate) async fn log<'m>(
        &self,
        logs: &'m mut BTreeMap<ProjectId, Log>,
        project: &ProjectId,
    ) -> Result<&'m mut Log, LedgerError> {
        if !logs.contains_key(project) {
            let mut row = match logs::find(self.storage(), self.tenant(), project).await? {
                Some(row) => row,
                None => self.create_log(project).await?,
            };
            let log = loop {
                match self.load_log(&row).await {
                    Ok(log) => break log,
                    // Head, tiles and checkpoint are read one after the other. When another
                    // sequencer appended meanwhile, they are of different trees.
                    Err(LedgerError::Fault(fault)) => {
                        let now = logs::find(self.storage(), self.tenant(), project).await?;
                        match now {
                            Some(now) if now.size != row.size => row = now,
                            _ => return Err(LedgerError::Fault(fault)),
                        }
                    }
                    Err(error) => return Err(error),
                }
            };
            logs.insert(project.clone(), log);
        }
        logs.get_mut(project).ok_or(LedgerError::NotFound)
    }

    /// Starts a log with a random name, a fresh key and the checkpoint of the empty tree.
    async fn create_log(&self, project: &ProjectId) -> Result<LogRow, LedgerError> {
        let (tenant, now) = (self.tenant(), self.now());
        let origin = format!("behalf.log/{}", hex(&random_bytes::<12>(self.rng())));
        let seed: [u8; 32] = random_bytes(self.rng());
        let key = note_signer(&origin, &seed)?;
        let context = [LOG_KEY, tenant.as_str(), project.as_str()];
        let sealed_key =
            self.0.keyring.seal(&context, &seed, self.rng()).map_err(LedgerError::key)?;
        let row = LogRow {
            project_id: project.clone(),
            origin: origin.clone(),
            vkey: key.verifier_key().to_string(),
            sealed_key,
            size: 0,
            peaks: Vec::new(),
        };
        let note = sign(&key, &origin, 0, empty_root())?.to_string();
        let mut unit = self.unit();
        unit.add(logs::insert(tenant, &row, now));
        let checkpoint = CheckpointRow { size: 0, note, signed_at: now };
        unit.add(checkpoints::insert(tenant, project, &checkpoint));
        let mut event = Event::new(tenant, EventKind::LogCreated, Actor::System)
            .with("origin", origin)
            .with("key", row.vkey.as_str());
        event.project = project.clone();
        unit.record(&event);
        match self.storage().commit(unit).await {
            Ok(_) => Ok(row),
            // Another node was faster: its log counts.
            Err(error) if error.is_conflict("log exists") => {
                let row = logs::find(self.storage(), tenant, project).await?;
                row.ok_or(LedgerError::NotFound)
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn load_log(&self, row: &LogRow) -> Result<Log, LedgerError> {
        let project = &row.project_id;
        let context = [LOG_KEY, self.tenant().as_str(), project.as_str()];
        let seed = self.0.keyring.open(&context, &row.sealed_key).map_err(LedgerError::key)?;
        let seed: &[u8; 32] = seed
            .expose()
            .as_slice()
            .try_into()
            .map_err(|_length| LedgerError::key("the seed is not 32 bytes long"))?;
        let key = note_signer(&row.origin, seed)?;
        if key.verifier_key().to_string() != row.vkey {
            return Err(LedgerError::fault("the public key does not belong to the private one"));
        }
        let head = self.load_head(row).await?;
        let latest = checkpoints::find_latest(self.storage(), self.tenant(), project, i64::MAX)
            .await?
            .ok_or_else(|| LedgerError::fault("there is no checkpoint"))?;
        let (size, root) = verified(row, &latest)?;
        if size > head.size() {
            return Err(LedgerError::fault(format!(
                "{size} leaves were signed and only {} are there; was a back-up put back?",
                head.size()
            )));
        }
        let mut tree = StoredTree::new(self, project, head.size());
        let stored = tree.ask(|nodes| range_root(nodes, 0, size)).await?;
        if stored != root {
            return Err(LedgerError::fault(format!(
                "the tiles' tree of {size} leaves is not the one that was signed"
            )));
        }
        let signer = LogSigner::new(key, row.origin.clone(), size, root);
        Ok(Log { origin: row.origin.clone(), head, signer, signed_at: latest.signed_at })
    }

    /// The head with its open tiles, which must lead to it.
    async fn load_head(&self, row: &LogRow) -> Result<Head, LedgerError> {
        let contradicts = |what: &str| LedgerError::fault(format!("the head's {what}"));
        let size = u64::try_from(row.size).map_err(|_range| contradicts("size is negative"))?;
        let (peaks, rest) = row.peaks.as_chunks::<32>();
        if !rest.is_empty() {
            return Err(contradicts("peaks are cut off"));
        }
        let frontier = Frontier::from_parts(size, peaks.to_vec()).map_err(LedgerError::fault)?;
        let mut open = Vec::new();
        for level in 0..8_u32 {
            let width = Head::open_width(size, level);
            let hashes: Vec<Hash> = if width == 0 {
                Vec::new()
            } else {
                let index = size >> level.saturating_add(1).saturating_mul(8).min(63);
                let index = i64::try_from(index).map_err(|_range| contradicts("size"))?;
                let project = &row.project_id;
                tiles::find(self.storage(), self.tenant(), project, level, index)
                    .await?
                    .map(|bytes| bytes.as_chunks::<32>().0.to_vec())
                    .filter(|hashes| u64::try_from(hashes.len()) == Ok(width))
                    .ok_or_else(|| contradicts(&format!("last tile of level {level} is not its")))?
            };
            open.push(hashes);
        }
        Head::from_parts(frontier, open)
            .ok_or_else(|| contradicts("last tiles lead to another root"))
    }
}

fn note_signer(origin: &str, seed: &[u8; 32]) -> Result<NoteSigner, LedgerError> {
    NoteSigner::from_seed(origin, KeyKind::Ed25519, seed).map_err(LedgerError::key)
}

/// Size and root of a stored checkpoint that the log itself signed.
pub(crate) fn verified(
    row: &LogRow,
    checkpoint: &CheckpointRow,
) -> Result<(u64, Hash), LedgerError> {
    let verified = policy(row)?.verify(&checkpoint.note).map_err(LedgerError::fault)?;
    let (size, root) = (verified.checkpoint.size, verified.checkpoint.root);
    if i64::try_from(size) != Ok(checkpoint.size) {
        return Err(LedgerError::fault("a checkpoint is kept under another size than its own"));
    }
    Ok((size, root))
}

/// Accepts what this log signed.
pub(crate) fn policy(row: &LogRow) -> Result<LogPolicy, LedgerError> {
    let key: VerifierKey = row.vkey.parse().map_err(LedgerError::fault)?;
    LogPolicy::new(&row.origin, &[key], &[], 0).map_err(LedgerError::fault)
}
