//! The bundle of an export, in the format of `behalf_verify::bundle`.
//!
//! What is stored is written as it is, also where it contradicts itself: an auditor must be able to
//! take out what somebody tampered with, and `behalf verify` names it.

use std::io::{Cursor, Write as _};

use behalf_core::Timestamp;
use behalf_store::ledger::checkpoints::{self, CheckpointRow};
use behalf_store::ledger::{leaves, logs};
use behalf_verify::bundle::{
    BundleFile, BundleLog, BundleWindow, CHECKPOINT, FORMAT, HISTORY, KEY, MANIFEST, Manifest,
    README, RECEIPT_SUFFIX, RECEIPTS, RECORDS,
};
use behalf_verify::hex;
use behalf_verify::merkle::inclusion_proof;
use behalf_verify::merkle::tiles::{Tile, TileKind};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::Export;
use crate::Ledger;
use crate::error::LedgerError;
use crate::read::{RecordProof, SignedCheckpoint, record};
use crate::receipt::receipt;
use crate::sequencer::as_row_number;
use crate::tree::StoredTree;

/// Records read at once.
const PAGE: u32 = 1000;

/// Exports of at most this many records carry a receipt for each; the tiles prove longer ones.
const RECEIPTS_MAX: u64 = 2000;

/// Earlier checkpoints that a bundle carries.
const HISTORY_MAX: u32 = 1000;

const README_TEXT: &str = "\
This is an export of a Behalf log. Check it offline with

    behalf verify THIS-FILE.zip [--checkpoint OLDER-CHECKPOINT]

records.jsonl    one record a line; the bytes of a line are exactly an entry of the log
checkpoint       the log's size and Merkle root, signed (C2SP tlog-checkpoint)
keys/log.vkey    the key that signed; compare it with where you saw it before
tile/            the tree's hashes (C2SP tlog-tiles): a leaf is SHA-256(0x00 || line)
checkpoints/     what the log signed earlier; the tree begins with each of them
receipts/        a receipt for each record that can be handed on by itself (C2SP tlog-proof)
manifest.json    SHA-256 and length of every other file

A valid bundle is what the key signed. That others were shown the same log, a checkpoint that you
kept from earlier vouches for, or a witness.
";

impl Ledger {
    /// The bundle of an export: the same content whenever it is made.
    ///
    /// # Errors
    /// `NotFound` when its checkpoint is gone, or the store's.
    pub async fn bundle(&self, export: &Export) -> Result<Vec<u8>, LedgerError> {
        let project = &export.request.project;
        let (storage, tenant) = (self.storage(), self.tenant());
        let log = logs::find(storage, tenant, project).await?.ok_or(LedgerError::NotFound)?;
        let checkpoint = self.checkpoint_below(project, as_row_number(export.tree_size)?).await?;
        if checkpoint.size != export.tree_size {
            return Err(LedgerError::NotFound);
        }
        let mut bundle = BundleWriter::new();
        self.write_records(&mut bundle, export).await?;
        bundle.put(CHECKPOINT, checkpoint.note.as_bytes())?;
        bundle.put(KEY, format!("{}\n", log.vkey).as_bytes())?;
        bundle.put(README, README_TEXT.as_bytes())?;
        for tile in Tile::added(0, export.tree_size) {
            if tile.kind() == TileKind::Entries {
                continue;
            }
            match self.load_tile(project, &tile).await {
                Ok(bytes) => bundle.put(&tile.to_string(), &bytes)?,
                // Whoever verifies is told that it is not there.
                Err(LedgerError::Fault(fault)) => {
                    tracing::error!(%fault, "exported without a tile")
                }
                Err(error) => return Err(error),
            }
        }
        let size = as_row_number(export.tree_size)?;
        for earlier in checkpoints::list(storage, tenant, project, size, HISTORY_MAX).await? {
            let CheckpointRow { size, note, .. } = earlier;
            bundle.put(&format!("{HISTORY}{size}"), note.as_bytes())?;
        }
        if export.count <= RECEIPTS_MAX {
            self.write_receipts(&mut bundle, export, &checkpoint, &log.vkey).await?;
        }
        let log = BundleLog {
            origin: log.origin,
            key: log.vkey,
            size: checkpoint.size,
            root: hex(&checkpoint.root),
        };
        bundle.finish(export, log)
    }

    async fn write_records(
        &self,
        bundle: &mut BundleWriter,
        export: &Export,
    ) -> Result<(), LedgerError> {
        let mut next = as_row_number(export.first)?;
        let end = next.saturating_add(as_row_number(export.count)?);
        let mut lines = String::new();
        while next < end {
            let (storage, tenant) = (self.storage(), self.tenant());
            let project = &export.request.project;
            let page = leaves::list(storage, tenant, project, next, end, PAGE).await?;
            let Some(last) = page.last() else { break };
            next = last.leaf_index.saturating_add(1);
            for leaf in &page {
                lines.push_str(&leaf.entry);
                lines.push('\n');
            }
        }
        bundle.put(RECORDS, lines.as_bytes())
    }

    async fn write_receipts(
        &self,
        bundle: &mut BundleWriter,
        export: &Export,
        checkpoint: &SignedCheckpoint,
        vkey: &str,
    ) -> Result<(), LedgerError> {
        let project = &export.request.project;
        let first = as_row_number(export.first)?;
        let end = first.saturating_add(as_row_number(export.count)?);
        let limit = u32::try_from(export.count).unwrap_or(u32::MAX);
        let leaves =
            leaves::list(self.storage(), self.tenant(), project, first, end, limit).await?;
        let mut tree = StoredTree::new(self, project, checkpoint.size);
        for leaf in leaves {
            let record = record(leaf)?;
            let index = record.index;
            let path = tree.ask(|nodes| inclusion_proof(nodes, index, checkpoint.size)).await;
            let path = match path {
                Ok(path) => path.unwrap_or_default(),
                Err(LedgerError::Fault(fault)) => {
                    tracing::error!(%fault, "exported without receipts");
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let name = format!("{RECEIPTS}{}{RECEIPT_SUFFIX}", record.id);
            let proof = RecordProof { record, path, checkpoint: checkpoint.clone() };
            bundle.put(&name, receipt(proof, vkey)?.to_string().as_bytes())?;
        }
        Ok(())
    }
}

/// A zip that keeps count of what goes in.
struct BundleWriter {
    zip: ZipWriter<Cursor<Vec<u8>>>,
    files: Vec<BundleFile>,
}

impl BundleWriter {
    fn new() -> Self {
        Self { zip: ZipWriter::new(Cursor::new(Vec::new())), files: Vec::new() }
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        self.files.push(BundleFile::new(path, bytes));
        self.write(path, bytes)
    }

    fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), LedgerError> {
        // The same time in every bundle: a bundle is made again and should be the same.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644);
        self.zip.start_file(path, options).map_err(LedgerError::fault)?;
        self.zip.write_all(bytes).map_err(LedgerError::fault)
    }

    fn finish(mut self, export: &Export, log: BundleLog) -> Result<Vec<u8>, LedgerError> {
        let time = |time: Option<Timestamp>| time.map(Timestamp::to_rfc3339);
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            project: export.request.project.to_string(),
            log,
            window: BundleWindow { from: time(export.request.from), to: time(export.request.to) },
            first_entry: export.first,
            record_count: export.count,
            created_at: export.created_at.to_rfc3339(),
            created_by: serde_json::to_value(&export.actor).unwrap_or_default(),
            files: std::mem::take(&mut self.files),
        };
        let text = manifest.to_text().map_err(LedgerError::fault)?;
        self.write(MANIFEST, text.as_bytes())?;
        let zip = self.zip.finish().map_err(LedgerError::fault)?;
        Ok(zip.into_inner())
    }
}
