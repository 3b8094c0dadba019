//! Spans of agents' runs: kept, normalised, priced and searched.
//!
//! Spans arrive as one batch per request, which is redacted, compressed, sealed and stored; that is
//! the acknowledgement. What lists, the waterfall and charts read are projections that can be built
//! again from the batches. Knows no HTTP and no SQL;
//! who may see what is a [`Reader`].

mod append;
mod batch;
mod live;
mod normalise;
mod price;
mod query;
mod reader;
mod redact;
mod span;

use std::sync::Arc;

use behalf_core::{Clock, Rng, TenantId};
use behalf_crypto::envelope::Keyring;
use behalf_store::{Storage, UnitOfWork};
use tokio::sync::{RwLock, watch};

pub use append::BATCH_SPANS_MAX;
pub use live::Tail;
pub use normalise::Facts;
pub use price::{PRICE_DATE, PRICE_SOURCE, cost_micro_usd};
pub use query::{
    BadPageToken, Cost, DayFigures, ListError, SpanDetail, SpanSummary, Trace, TraceFilter,
    TraceSummary,
};
pub use reader::{ContentRight, Reader};
pub use span::{Span, SpanKind, SpanStatus};

/// The traces of one tenant; clones share them.
#[derive(Clone, Debug)]
pub struct Traces(Arc<Inner>);

struct Inner {
    storage: Storage,
    clock: Arc<dyn Clock>,
    rng: Arc<dyn Rng>,
    tenant: TenantId,
    keyring: Arc<Keyring>,
    /// Counts what this process stored, so that who follows a list looks again.
    changed: watch::Sender<u64>,
    /// Held alone while projections are built again.
    rebuilding: RwLock<()>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("tenant", &self.tenant).finish_non_exhaustive()
    }
}

/// What [`Traces`] are built from.
#[derive(Debug)]
pub struct TracesParts {
    /// Where they are kept.
    pub storage: Storage,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
    /// The tenant whose traces they are.
    pub tenant: TenantId,
    /// The tenant's keys, which seal what stands in spans.
    pub keyring: Arc<Keyring>,
}

impl Traces {
    /// The traces of `parts.tenant`.
    pub fn new(parts: TracesParts) -> Self {
        Self(Arc::new(Inner {
            storage: parts.storage,
            clock: parts.clock,
            rng: parts.rng,
            tenant: parts.tenant,
            keyring: parts.keyring,
            changed: watch::Sender::new(0),
            rebuilding: RwLock::new(()),
        }))
    }

    fn tenant(&self) -> &TenantId {
        &self.0.tenant
    }

    fn unit(&self) -> UnitOfWork {
        UnitOfWork::new(self.0.clock.now(), &*self.0.rng)
    }
}
