//! The verifiable log: events become leaves of one Merkle tree per project, in the order of their
//! commits; checkpoints are signed; receipts and exports let others check without trusting us.
//!
//! The formats are C2SP's (tlog-tiles, tlog-checkpoint, tlog-proof) and live in `behalf-verify`,
//! which an auditor can use alone. This crate decides what is appended and what is signed. A log
//! whose stored parts contradict each other is not appended to and not signed: its events wait.

mod audit;
mod error;
mod export;
mod head;
mod leaf;
mod log;
mod read;
mod receipt;
mod sequencer;
mod signer;
mod tree;

use std::collections::BTreeMap;
use std::sync::Arc;

use behalf_core::{Clock, ProjectId, Rng, TenantId, Timestamp};
use behalf_crypto::envelope::Keyring;
use behalf_store::{Storage, UnitOfWork};
use tokio::sync::Mutex;

pub use audit::AuditReport;
pub use behalf_store::ledger::leaves::LeafFilter;
pub use error::LedgerError;
pub use export::{EXPORT_RECORDS_MAX, Export, ExportRequest};
pub use leaf::ENTRY_BYTES_MAX;
pub use read::{LogSummary, Record, RecordProof, SignedCheckpoint};
pub use receipt::Verdict;

/// The logs of one tenant; clones share them.
#[derive(Clone, Debug)]
pub struct Ledger(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    keyring: Arc<Keyring>,
    /// One sequencer at a time in this process; between processes the head's row decides.
    logs: Mutex<BTreeMap<ProjectId, log::Log>>,
}

/// What a [`Ledger`] is built from.
#[derive(Debug)]
pub struct LedgerParts {
    /// Where events wait and leaves are kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for names and keys.
    pub rng: Arc<dyn Rng>,
    /// The tenant whose logs these are.
    pub tenant: TenantId,
    /// Seals the logs' private keys.
    pub keyring: Arc<Keyring>,
}

impl Ledger {
    /// Opens the tenant's logs; on first start it makes the default project's, with a random name
    /// and a key of its own.
    ///
    /// # Errors
    /// When the store fails. A log that contradicts itself is reported by [`Self::summary`] and by
    /// every attempt to append to it, not here: the rest of the server does not depend on it.
    pub async fn open(parts: LedgerParts) -> Result<Self, LedgerError> {
        let LedgerParts { storage, clock, rng, tenant, keyring } = parts;
        let logs = Mutex::default();
        let this = Self(Arc::new(Inner { storage, clock, rng, tenant, keyring, logs }));
        let mut logs = this.0.logs.lock().await;
        match this.log(&mut logs, &ProjectId::default_project()).await {
            Err(LedgerError::Fault(fault)) => {
                tracing::error!(%fault, "the log contradicts itself; nothing is appended to it");
            }
            result => {
                result?;
            }
        }
        drop(logs);
        Ok(this)
    }

    fn storage(&self) -> &Storage {
        &self.0.storage
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.now(), self.rng())
    }
}
