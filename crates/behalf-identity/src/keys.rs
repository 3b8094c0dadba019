//! A tenant's keys: one keyring that seals secrets, and the keys that sign tokens.

use behalf_core::{Actor, Event, EventKind, Secret};
use behalf_crypto::envelope::{Keyring, RootKey, WrappedKek};
use behalf_crypto::jose::{Algorithm, KeySet, SigningKey};
use behalf_store::identity::keys::{self, EncryptionKeyRow, SigningKeyRow};
use behalf_store::{Storage, StoreError, UnitOfWork};
use std::sync::Arc;
use thiserror::Error;

use crate::IdentityParts;

/// The identity could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The root key does not open the tenant's keys.
    #[error(
        "the root key does not open this data; start with the key file that belongs to it \
         (--root-key)"
    )]
    WrongRootKey,
    /// A key could not be made or read.
    #[error("key material failed: {0}")]
    Key(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The algorithms that every tenant has a key for.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::RS256, Algorithm::ES256];

/// What the seal of a signing key is bound to.
const SIGNING_KEY: &str = "behalf.signing_key.v1";

#[derive(Debug)]
pub(crate) struct Keys {
    pub(crate) keyring: Arc<Keyring>,
    signing: Vec<Arc<SigningKey>>,
    pub(crate) verifying: KeySet,
}

impl Keys {
    pub(crate) async fn open(parts: &IdentityParts, root: &RootKey) -> Result<Self, OpenError> {
        let (storage, tenant) = (&parts.storage, &parts.tenant);
        if !keys::list_tenants(storage).await?.contains(tenant) {
            create(parts, root).await?;
        }
        let wrapped: Vec<_> = keys::list_encryption_keys(storage, tenant)
            .await?
            .into_iter()
            .map(|row| wrapped_kek(&row))
            .collect::<Result<_, _>>()?;
        let keyring = Keyring::unlock(root, &[tenant.as_str()], &wrapped)
            .map_err(|_sealed| OpenError::WrongRootKey)?;
        Self::load(storage, parts, keyring).await
    }

    async fn load(
        storage: &Storage,
        parts: &IdentityParts,
        keyring: Keyring,
    ) -> Result<Self, OpenError> {
        let mut signing = Vec::new();
        let mut verifying = KeySet::default();
        for row in keys::list_signing_keys(storage, &parts.tenant).await? {
            let pkcs8 = keyring
                .open(&[SIGNING_KEY, parts.tenant.as_str(), &row.kid], &row.sealed)
                .map_err(|_sealed| OpenError::WrongRootKey)?;
            let algorithm: Algorithm =
                row.algorithm.parse().map_err(|_unknown| OpenError::Key(row.kid.clone()))?;
            let key = SigningKey::from_pkcs8(algorithm, &pkcs8)
                .map_err(|error| OpenError::Key(error.to_string()))?;
            verifying
                .insert(key.verifying_key().clone())
                .map_err(|error| OpenError::Key(error.to_string()))?;
            signing.push(Arc::new(key));
        }
        Ok(Self { keyring: Arc::new(keyring), signing, verifying })
    }

    /// The newest key of that algorithm.
    pub(crate) fn signing_key(&self, algorithm: Algorithm) -> Option<&Arc<SigningKey>> {
        self.signing.iter().rev().find(|key| key.algorithm() == algorithm)
    }
}

fn wrapped_kek(row: &EncryptionKeyRow) -> Result<WrappedKek, OpenError> {
    let version = u32::try_from(row.version)
        .map_err(|_range| OpenError::Key(format!("encryption key version {}", row.version)))?;
    Ok(WrappedKek { version, bytes: row.wrapped.clone() })
}

/// Makes the tenant with one key-encryption key and a signing key of each algorithm.
async fn create(parts: &IdentityParts, root: &RootKey) -> Result<(), OpenError> {
    let (tenant, rng) = (&parts.tenant, &*parts.rng);
    let now = parts.clock.now();
    let failed = |error: &dyn std::fmt::Display| OpenError::Key(error.to_string());
    let (keyring, wrapped) =
        Keyring::create(root, rng, &[tenant.as_str()]).map_err(|error| failed(&error))?;
    let mut unit = UnitOfWork::new(now, rng);
    unit.add(keys::insert_tenant(tenant, now));
    unit.record(&Event::new(tenant, EventKind::TenantCreated, Actor::System));
    let row = EncryptionKeyRow { version: i64::from(wrapped.version), wrapped: wrapped.bytes };
    unit.add(keys::insert_encryption_key(tenant, &row, now));
    for algorithm in ALGORITHMS {
        let key = SigningKey::generate(algorithm).map_err(|error| failed(&error))?;
        let pkcs8: Secret<Vec<u8>> = key.to_pkcs8().map_err(|error| failed(&error))?;
        let sealed = keyring
            .seal(&[SIGNING_KEY, tenant.as_str(), key.kid()], pkcs8.expose(), rng)
            .map_err(|error| failed(&error))?;
        let row = SigningKeyRow {
            kid: key.kid().to_owned(),
            algorithm: algorithm.as_str().to_owned(),
            sealed,
        };
        unit.add(keys::insert_signing_key(tenant, &row, now));
        unit.record(
            &Event::new(tenant, EventKind::SigningKeyCreated, Actor::System)
                .with("kid", key.kid())
                .with("algorithm", algorithm.as_str()),
        );
    }
    match parts.storage.commit(unit).await {
        // Another node was faster: its keys count.
        Err(error) if error.is_conflict("tenant exists") => Ok(()),
        result => Ok(result.map(|_committed| ())?),
    }
}
