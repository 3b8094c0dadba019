//! The vault's part of a set-up file (DESIGN §6): connections and connected accounts.
//!
//! Secrets and stored tokens are written when their object is created, or when a reset is asked
//! for; what the file omits stays as it is.

use std::time::Duration;

use behalf_core::{Actor, ConnectionName, Event, EventKind, Secret, UserId};
use behalf_store::vault::accounts::{self, AccountRow, TokensRow};
use behalf_store::vault::connections::{self, ConnectionRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::Deserialize;
use thiserror::Error;

use crate::Vault;
use crate::account::{account_event, state};
use crate::connection::{Connection, ConnectionOptions, Strategy};
use crate::error::VaultError;
use crate::seal::{TokenKind, TokenPlace};

/// The sections that the vault owns.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the section of its name")]
pub struct VaultSection {
    pub connections: Vec<ConnectionEntry>,
    pub connected_accounts: Vec<ConnectedAccountEntry>,
}

/// A connection in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ConnectionEntry {
    pub name: ConnectionName,
    pub strategy: Option<Strategy>,
    #[serde(default)]
    pub options: ConnectionOptionsEntry,
}

/// A connection's options in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ConnectionOptionsEntry {
    pub client_id: Option<String>,
    pub client_secret: Option<Secret<String>>,
    pub authorization_url: Option<String>,
    pub token_url: Option<String>,
    pub userinfo_url: Option<String>,
    pub api_base_url: Option<String>,
    pub revocation_url: Option<String>,
    pub scope: Option<Vec<String>>,
}

/// A connected account in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "each field is the key of its name")]
pub struct ConnectedAccountEntry {
    pub user_id: UserId,
    pub connection: ConnectionName,
    pub access_token: Secret<String>,
    pub refresh_token: Option<Secret<String>>,
    /// Seconds from the apply; absent: the token does not expire.
    pub expires_in: Option<i64>,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// The sections cannot be applied; nothing was.
#[derive(Debug, Error)]
pub enum VaultSetupError {
    /// An entry contradicts itself or another.
    #[error("{0}")]
    Invalid(String),
    /// A key failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Vault {
    /// Adds what the sections ask for to `unit`, and gives a line for each change. The caller has
    /// checked that the accounts' people exist.
    ///
    /// # Errors
    /// When an entry is wrong: then the unit must be dropped.
    pub async fn plan_setup(
        &self,
        unit: &mut UnitOfWork,
        section: &VaultSection,
        actor: &Actor,
        resets_secrets: bool,
    ) -> Result<Vec<String>, VaultSetupError> {
        let mut changes = Vec::new();
        let mut names: Vec<&ConnectionName> = Vec::new();
        for entry in &section.connections {
            if names.contains(&&entry.name) {
                let text = format!("connection `{}` stands in the file twice", entry.name);
                return Err(VaultSetupError::Invalid(text));
            }
            names.push(&entry.name);
            self.plan_connection(unit, entry, actor, resets_secrets, &mut changes).await?;
        }
        let mut seen: Vec<(&UserId, &ConnectionName)> = Vec::new();
        for entry in &section.connected_accounts {
            let key = (&entry.user_id, &entry.connection);
            if seen.contains(&key) {
                let text = format!(
                    "connected account of `{}` at `{}` stands in the file twice",
                    entry.user_id, entry.connection
                );
                return Err(VaultSetupError::Invalid(text));
            }
            seen.push(key);
            let is_in_file = names.contains(&&entry.connection);
            if !is_in_file && self.find_connection(&entry.connection).await?.is_none() {
                let text = format!(
                    "connected account of `{}`: there is no connection `{}`",
                    entry.user_id, entry.connection
                );
                return Err(VaultSetupError::Invalid(text));
            }
            self.plan_connected_account(unit, entry, actor, resets_secrets, &mut changes).await?;
        }
        Ok(changes)
    }

    async fn plan_connection(
        &self,
        unit: &mut UnitOfWork,
        entry: &ConnectionEntry,
        actor: &Actor,
        resets_secrets: bool,
        changes: &mut Vec<String>,
    ) -> Result<(), VaultSetupError> {
        let name = &entry.name;
        let corrupt = || StoreError::Corrupt { what: format!("connections: `{name}`") };
        let row = connections::find(self.storage(), self.tenant(), name).await?;
        let mut options = match &row {
            Some(row) => serde_json::from_str(&row.options).map_err(|_| corrupt())?,
            None => ConnectionOptions::default(),
        };
        let known = row.as_ref().and_then(|row| Strategy::from_text(&row.strategy));
        let strategy = entry.strategy.or(known).ok_or_else(|| {
            VaultSetupError::Invalid(format!("connection `{name}`: `strategy` is missing"))
        })?;
        overlay(&mut options, &entry.options);
        if options.client_id.is_empty() {
            let text = format!("connection `{name}`: `options.client_id` is missing");
            return Err(VaultSetupError::Invalid(text));
        }
        Connection::build(name, strategy, &options).map_err(VaultSetupError::Invalid)?;
        let is_new = row.is_none();
        let writes_secret = is_new || resets_secrets;
        let secret = entry.options.client_secret.as_ref().filter(|_| writes_secret);
        let client_secret = match secret {
            Some(secret) => Some(self.seal(&self.secret_context(name), secret.expose())?),
            None => row.as_ref().and_then(|row| row.client_secret.clone()),
        };
        let text = serde_json::to_string(&options)
            .map_err(|error| StoreError::Internal { reason: error.to_string() })?;
        let is_changed =
            row.as_ref().is_none_or(|row| row.options != text || row.strategy != strategy.as_str());
        if !is_changed && secret.is_none() {
            return Ok(());
        }
        let new = ConnectionRow {
            name: name.clone(),
            strategy: strategy.as_str().to_owned(),
            options: text,
            client_secret,
            version: row.as_ref().map_or(0, |row| row.version),
            created_at: self.now(),
        };
        let verb = if is_new { "create" } else { "change" };
        unit.add(match is_new {
            true => connections::insert(self.tenant(), &new),
            false => connections::update(self.tenant(), &new, self.now()),
        });
        unit.record(
            &Event::new(self.tenant(), EventKind::ConnectionWritten, actor.clone())
                .with("connection", name.as_str())
                .with("strategy", strategy.as_str())
                .with("secret_written", secret.is_some()),
        );
        if is_changed {
            changes.push(format!("{verb} connection {name}"));
        } else {
            changes.push(format!("change secret of connection {name}"));
        }
        Ok(())
    }

    async fn plan_connected_account(
        &self,
        unit: &mut UnitOfWork,
        entry: &ConnectedAccountEntry,
        actor: &Actor,
        resets_secrets: bool,
        changes: &mut Vec<String>,
    ) -> Result<(), VaultSetupError> {
        let (user_id, connection) = (&entry.user_id, &entry.connection);
        let is_token = |token: &Secret<String>| {
            let text = token.expose();
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
        };
        if !is_token(&entry.access_token) || !entry.refresh_token.as_ref().is_none_or(is_token) {
            let text = format!(
                "connected account of `{user_id}` at `{connection}`: a token is empty or has a \
                 character that no header carries"
            );
            return Err(VaultSetupError::Invalid(text));
        }
        let row = accounts::find_of(self.storage(), self.tenant(), user_id, connection).await?;
        if row.is_some() && !resets_secrets {
            return Ok(());
        }
        let now = self.now();
        let (account_id, version, created_at) = match &row {
            Some(row) => {
                (row.account_id.clone(), row.tokens.version.saturating_add(1), row.created_at)
            }
            None => (format!("cac_{}", self.new_id()), 1, now),
        };
        let access = TokenPlace {
            user_id,
            connection,
            account_id: &account_id,
            kind: TokenKind::Access,
            version,
        };
        let refresh = TokenPlace { kind: TokenKind::Refresh, ..access };
        let refresh_token = match &entry.refresh_token {
            Some(token) => Some(self.seal_token(refresh, token)?),
            None => None,
        };
        // Zero and less: the token is over already, as in a file written long ago.
        let expires_at = entry.expires_in.map(|secs| match u64::try_from(secs) {
            Ok(secs) => now.plus(Duration::from_secs(secs)),
            Err(_past) => now.minus(Duration::from_secs(secs.unsigned_abs())),
        });
        let tokens = TokensRow {
            scopes: serde_json::Value::from(entry.scopes.clone()).to_string(),
            access_token: self.seal_token(access, &entry.access_token)?,
            refresh_token,
            issued_at: now,
            expires_at,
            version,
        };
        let is_new = row.is_none();
        let new = AccountRow {
            account_id,
            user_id: user_id.clone(),
            connection: connection.clone(),
            provider_user_id: row.as_ref().and_then(|row| row.provider_user_id.clone()),
            provider_name: row.as_ref().and_then(|row| row.provider_name.clone()),
            tokens,
            state: state::ACTIVE.to_owned(),
            lease_holder: None,
            lease_until: None,
            retry_at: None,
            created_at,
            last_used_at: None,
        };
        unit.add(match is_new {
            true => accounts::insert(self.tenant(), &new),
            false => accounts::reconnect(self.tenant(), &new, now),
        });
        let event = account_event(self, EventKind::AccountConnected, actor, &new);
        unit.record(&event.with("scope", entry.scopes.join(" ")));
        let verb = if is_new { "create" } else { "change tokens of" };
        changes.push(format!("{verb} connected account {user_id} → {connection}"));
        Ok(())
    }
}

fn overlay(options: &mut ConnectionOptions, entry: &ConnectionOptionsEntry) {
    if let Some(client_id) = &entry.client_id {
        options.client_id.clone_from(client_id);
    }
    if let Some(scope) = &entry.scope {
        options.scope.clone_from(scope);
    }
    for (known, given) in [
        (&mut options.authorization_url, &entry.authorization_url),
        (&mut options.token_url, &entry.token_url),
        (&mut options.userinfo_url, &entry.userinfo_url),
        (&mut options.api_base_url, &entry.api_base_url),
        (&mut options.revocation_url, &entry.revocation_url),
    ] {
        if given.is_some() {
            known.clone_from(given);
        }
    }
}
