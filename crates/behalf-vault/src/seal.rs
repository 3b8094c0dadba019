//! What each secret of the vault is bound to: the place, whole, so that no row, column or version
//! opens in another's place.

use behalf_core::{ConnectionName, Secret, UserId};

use crate::Vault;
use crate::error::VaultError;

/// Where a token stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenPlace<'a> {
    pub(crate) user_id: &'a UserId,
    pub(crate) connection: &'a ConnectionName,
    pub(crate) account_id: &'a str,
    pub(crate) kind: TokenKind,
    pub(crate) version: i64,
}

/// Which of an account's tokens it is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TokenKind {
    Access,
    Refresh,
}

impl TokenKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

impl Vault {
    pub(crate) fn seal_token(
        &self,
        place: TokenPlace<'_>,
        token: &Secret<String>,
    ) -> Result<Vec<u8>, VaultError> {
        let version = place.version.to_string();
        self.seal(&self.token_context(place, &version), token.expose())
    }

    pub(crate) fn open_token(
        &self,
        place: TokenPlace<'_>,
        sealed: &[u8],
    ) -> Result<Secret<String>, VaultError> {
        let version = place.version.to_string();
        self.open(&self.token_context(place, &version), sealed)
    }

    fn token_context<'a>(&'a self, place: TokenPlace<'a>, version: &'a str) -> [&'a str; 7] {
        [
            "behalf.vault.v1",
            self.tenant().as_str(),
            place.user_id.as_str(),
            place.connection.as_str(),
            place.account_id,
            place.kind.as_str(),
            version,
        ]
    }

    /// Seals a text for the place that `context` names.
    pub(crate) fn seal(&self, context: &[&str], text: &str) -> Result<Vec<u8>, VaultError> {
        let sealed = self.0.keyring.seal(context, text.as_bytes(), self.rng());
        sealed.map_err(|error| VaultError::Internal(error.to_string()))
    }

    /// Opens what was sealed for the place that `context` names.
    pub(crate) fn open(
        &self,
        context: &[&str],
        sealed: &[u8],
    ) -> Result<Secret<String>, VaultError> {
        let opened = self.0.keyring.open(context, sealed).map_err(|error| {
            tracing::error!(%error, context = %context.join(" "), "a secret does not open");
            VaultError::Sealed
        })?;
        let text = String::from_utf8(opened.expose().clone()).map_err(|_| VaultError::Sealed)?;
        Ok(Secret::new(text))
    }
}
