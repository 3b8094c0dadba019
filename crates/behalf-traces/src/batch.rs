//! A batch's body: spans as JSON, compressed, then sealed for its tenant and project, because
//! prompts and responses stand in it and a copied database must open nothing.

use std::io::{Read as _, Write as _};

use behalf_core::{ProjectId, Rng, TenantId};
use behalf_crypto::envelope::Keyring;
use behalf_store::StoreError;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use crate::span::{Span, Stored};

/// What the seal of a batch is bound to, with its tenant and project.
const CONTEXT: &str = "traces.batch";
/// No batch unfolds to more than this.
const UNFOLDED_BYTES_MAX: u64 = 256 * 1024 * 1024;

pub(crate) fn encode(
    spans: Vec<Span>,
    keyring: &Keyring,
    tenant: &TenantId,
    project: &ProjectId,
    rng: &dyn Rng,
) -> Result<Vec<u8>, StoreError> {
    let internal = |reason: String| StoreError::Internal { reason };
    let spans = spans.into_iter().map(Stored::from).collect::<Vec<_>>();
    let json = serde_json::to_vec(&spans).map_err(|error| internal(error.to_string()))?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&json).map_err(|error| internal(error.to_string()))?;
    let folded = encoder.finish().map_err(|error| internal(error.to_string()))?;
    keyring
        .seal(&[CONTEXT, tenant.as_str(), project.as_str()], &folded, rng)
        .map_err(|error| internal(error.to_string()))
}

pub(crate) fn decode(
    body: &[u8],
    keyring: &Keyring,
    tenant: &TenantId,
    project: &ProjectId,
) -> Result<Vec<Span>, StoreError> {
    let corrupt = |what: &str| StoreError::Corrupt { what: format!("a batch of spans: {what}") };
    let folded = keyring
        .open(&[CONTEXT, tenant.as_str(), project.as_str()], body)
        .map_err(|error| corrupt(&error.to_string()))?;
    let mut json = Vec::new();
    DeflateDecoder::new(folded.expose().as_slice())
        .take(UNFOLDED_BYTES_MAX)
        .read_to_end(&mut json)
        .map_err(|error| corrupt(&error.to_string()))?;
    let spans: Vec<Stored> =
        serde_json::from_slice(&json).map_err(|error| corrupt(&error.to_string()))?;
    let spans = spans.into_iter().map(|span| span.into_span().ok_or_else(|| corrupt("an id")));
    spans.collect()
}
