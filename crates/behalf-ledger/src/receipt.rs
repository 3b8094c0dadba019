//! Receipts, and whether something that somebody shows is in a log of ours.

use behalf_store::ledger::{leaves, logs};
use behalf_verify::canonical_json;
use behalf_verify::checkpoint::Checkpoint;
use behalf_verify::merkle::{leaf_hash, verify_inclusion};
use behalf_verify::note::Note;
use behalf_verify::receipt::{Receipt, ReceiptExtra};

use crate::Ledger;
use crate::error::LedgerError;
use crate::log::policy;
use crate::read::{Record, RecordProof, record};
use crate::sequencer::as_row_number;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is in the log.
    Valid {
        /// The record.
        record: Box<Record>,
        /// The log's name.
        origin: String,
        /// How many leaves the tree has under which it was checked.
        size: u64,
    },
    /// It is not, for this reason.
    Invalid {
        /// In words.
        reason: String,
    },
}

impl Ledger {
    /// The receipt of the record, which can be checked offline (C2SP tlog-proof).
    ///
    /// # Errors
    /// `NotFound` when there is no such record.
    pub async fn receipt(&self, id: &str) -> Result<Receipt, LedgerError> {
        let proof = self.prove(id).await?;
        let row = logs::find(self.storage(), self.tenant(), &proof.record.project).await?;
        let row = row.ok_or(LedgerError::NotFound)?;
        receipt(proof, &row.vkey)
    }

    /// Whether a receipt, or the line of a record, is of a log of this tenant. Keeps nothing.
    ///
    /// # Errors
    /// When the store fails, or the log contradicts itself.
    pub async fn check(&self, text: &str) -> Result<Verdict, LedgerError> {
        if text.starts_with(behalf_verify::receipt::HEADER) {
            self.check_receipt(text).await
        } else {
            self.check_line(text.strip_suffix('\n').unwrap_or(text)).await
        }
    }

    async fn check_receipt(&self, text: &str) -> Result<Verdict, LedgerError> {
        let receipt: Receipt = match text.parse() {
            Ok(receipt) => receipt,
            Err(error) => return Ok(invalid(error.to_string())),
        };
        let checkpoint: Checkpoint = match receipt.checkpoint().text().parse() {
            Ok(checkpoint) => checkpoint,
            Err(error) => return Ok(invalid(error.to_string())),
        };
        let logs = logs::list(self.storage(), self.tenant()).await?;
        let Some(log) = logs.into_iter().find(|log| log.origin == checkpoint.origin) else {
            return Ok(invalid("the receipt is of another log than this server's"));
        };
        // Our own entry counts; one that the receipt carries must be the same.
        let (storage, tenant) = (self.storage(), self.tenant());
        let index = as_row_number(receipt.index())?;
        let end = index.saturating_add(1);
        let leaf = leaves::list(storage, tenant, &log.project_id, index, end, 1).await?.pop();
        let Some(leaf) = leaf else { return Ok(invalid("the log has no such entry")) };
        let carried = receipt.extra().and_then(ReceiptExtra::from_bytes);
        if carried.is_some_and(|carried| carried.entry != leaf.entry) {
            return Ok(invalid("the entry in the receipt is not the one in the log"));
        }
        Ok(match receipt.verify(leaf.entry.as_bytes(), &policy(&log)?) {
            Ok(verified) => Verdict::Valid {
                record: Box::new(record(leaf)?),
                origin: log.origin,
                size: verified.checkpoint.size,
            },
            Err(error) => invalid(error.to_string()),
        })
    }

    async fn check_line(&self, line: &str) -> Result<Verdict, LedgerError> {
        let parsed = match canonical_json::parse(line) {
            Ok(parsed) => parsed,
            Err(error) => return Ok(invalid(format!("neither a receipt nor a record: {error}"))),
        };
        let Some(id) = parsed.get("id").and_then(serde_json::Value::as_str) else {
            return Ok(invalid("neither a receipt nor a record: it has no `id`"));
        };
        let RecordProof { record, path, checkpoint } = match self.prove(id).await {
            Ok(proof) => proof,
            Err(LedgerError::NotFound) => return Ok(invalid("no record has this id")),
            Err(error) => return Err(error),
        };
        if record.entry != line {
            return Ok(invalid("the record of this id has another content"));
        }
        let leaf = leaf_hash(line.as_bytes());
        let root = checkpoint.root;
        Ok(match verify_inclusion(&leaf, record.index, checkpoint.size, &path, &root) {
            Ok(()) => {
                let row = logs::find(self.storage(), self.tenant(), &record.project).await?;
                let origin = row.map(|row| row.origin).unwrap_or_default();
                Verdict::Valid { record: Box::new(record), origin, size: checkpoint.size }
            }
            Err(error) => invalid(error.to_string()),
        })
    }
}

/// The receipt of a proven record, with its entry and the log's key in it.
pub(crate) fn receipt(proof: RecordProof, vkey: &str) -> Result<Receipt, LedgerError> {
    let RecordProof { record, path, checkpoint } = proof;
    let key = vkey.parse().map_err(LedgerError::fault)?;
    let extra = ReceiptExtra { entry: record.entry, key }.to_bytes();
    let note = Note::parse(&checkpoint.note).map_err(LedgerError::fault)?;
    Receipt::new(Some(extra), record.index, path, note).map_err(LedgerError::fault)
}

fn invalid(reason: impl Into<String>) -> Verdict {
    Verdict::Invalid { reason: reason.into() }
}
