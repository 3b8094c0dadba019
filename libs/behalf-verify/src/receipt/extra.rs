//! What Behalf carries in a receipt's extra data: the entry and the log's key, so that one file is
//! all that an offline check needs. Nobody vouches for the extra data; the entry is proven by the
//! receipt itself, and the key is only as good as where it was seen before.

use serde_json::{Value, json};

use super::{Receipt, ReceiptError};
use crate::canonical_json;
use crate::checkpoint::{Checkpoint, LogPolicy, VerifiedCheckpoint};
use crate::note::VerifierKey;

/// The entry and the log's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptExtra {
    /// The entry that the receipt is for.
    pub entry: String,
    /// The key that signed the checkpoint.
    pub key: VerifierKey,
}

impl ReceiptExtra {
    /// The bytes to carry.
    pub fn to_bytes(&self) -> Vec<u8> {
        let extra = json!({"entry": self.entry, "key": self.key.to_string()});
        extra.to_string().into_bytes()
    }

    /// What a receipt carries; `None` when it carries nothing, or something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let Ok(Value::Object(extra)) = canonical_json::parse(text) else { return None };
        let member = |name: &str| extra.get(name).and_then(Value::as_str);
        let key = member("key")?.parse().ok()?;
        Some(Self { entry: member("entry")?.to_owned(), key })
    }
}

impl Receipt {
    /// Checks a receipt that carries its entry and key, with nothing else at hand: the entry is in
    /// the log that this key signs for.
    ///
    /// # Errors
    /// If it does not carry them, the log did not sign, or the entry is not there.
    pub fn verify_alone(&self) -> Result<(ReceiptExtra, VerifiedCheckpoint), ReceiptError> {
        let extra = self.extra().and_then(ReceiptExtra::from_bytes).ok_or(ReceiptError::Bare)?;
        let checkpoint: Checkpoint = self.checkpoint().text().parse()?;
        let key = std::slice::from_ref(&extra.key);
        let policy = LogPolicy::new(&checkpoint.origin, key, &[], 0)?;
        let verified = self.verify(extra.entry.as_bytes(), &policy)?;
        Ok((extra, verified))
    }
}

/// What a valid receipt proves by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptReport {
    /// The entry and the key.
    pub extra: ReceiptExtra,
    /// The entry's place in the log.
    pub index: u64,
    /// The signed tree that it is in.
    pub checkpoint: Checkpoint,
    /// Whether an older checkpoint that was given is of the very same tree.
    pub agrees: bool,
}

/// Checks the text of a receipt with nothing else at hand but, perhaps, a checkpoint that was kept
/// elsewhere.
///
/// # Errors
/// If the receipt is refused, or does not agree with that checkpoint.
pub fn verify_file(text: &str, older: Option<&str>) -> Result<ReceiptReport, ReceiptError> {
    let receipt: Receipt = text.parse()?;
    let (extra, verified) = receipt.verify_alone()?;
    let checkpoint = verified.checkpoint;
    if let Some(older) = older {
        let key = std::slice::from_ref(&extra.key);
        let policy = LogPolicy::new(&checkpoint.origin, key, &[], 0)?;
        let older = policy.verify(older).map_err(ReceiptError::OtherSigner)?.checkpoint;
        if older.size != checkpoint.size {
            return Err(ReceiptError::Incomparable { older: older.size, own: checkpoint.size });
        }
        if older.root != checkpoint.root {
            return Err(ReceiptError::TwoHistories { size: older.size });
        }
    }
    let agrees = older.is_some();
    Ok(ReceiptReport { extra, index: receipt.index(), checkpoint, agrees })
}
