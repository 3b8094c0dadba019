//! Connections: which provider, by which addresses, as which client.

use std::fmt;

use behalf_core::{ConnectionName, Secret, Timestamp};
use behalf_egress::OperatorAddress;
use behalf_store::StoreError;
use behalf_store::vault::connections::ConnectionRow;
use behalf_store::vault::{accounts, connections};
use serde::{Deserialize, Serialize};

use crate::Vault;
use crate::error::VaultError;

/// Which kind of provider a connection leads to; the names are Auth0's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Strategy {
    /// GitHub, as an OAuth app or a GitHub App.
    #[serde(rename = "github")]
    GitHub,
    /// Google.
    #[serde(rename = "google-oauth2")]
    Google,
    /// Slack, with a token of the person.
    #[serde(rename = "slack")]
    Slack,
    /// Microsoft, personal and work accounts.
    #[serde(rename = "windowslive")]
    Microsoft,
    /// Any OAuth 2 server.
    #[serde(rename = "oauth2")]
    OAuth2,
    /// Any OpenID provider.
    #[serde(rename = "oidc")]
    Oidc,
}

/// The addresses that a strategy knows by itself.
pub(crate) struct KnownAddresses {
    pub(crate) authorization_url: &'static str,
    pub(crate) token_url: &'static str,
    pub(crate) userinfo_url: &'static str,
    pub(crate) api_base_url: &'static str,
    pub(crate) revocation_url: Option<&'static str>,
}

impl Strategy {
    const ALL: [Self; 6] =
        [Self::GitHub, Self::Google, Self::Slack, Self::Microsoft, Self::OAuth2, Self::Oidc];

    /// The strategy's name in set-up files and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GitHub => "github",
            Self::Google => "google-oauth2",
            Self::Slack => "slack",
            Self::Microsoft => "windowslive",
            Self::OAuth2 => "oauth2",
            Self::Oidc => "oidc",
        }
    }

    pub(crate) fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|strategy| strategy.as_str() == text)
    }

    /// What people call the provider; `None` where only the operator knows.
    const fn title(self) -> Option<&'static str> {
        match self {
            Self::GitHub => Some("GitHub"),
            Self::Google => Some("Google"),
            Self::Slack => Some("Slack"),
            Self::Microsoft => Some("Microsoft"),
            Self::OAuth2 | Self::Oidc => None,
        }
    }

    pub(crate) const fn known(self) -> Option<KnownAddresses> {
        Some(match self {
            Self::GitHub => KnownAddresses {
                authorization_url: "https://github.com/login/oauth/authorize",
                token_url: "https://github.com/login/oauth/access_token",
                userinfo_url: "https://api.github.com/user",
                api_base_url: "https://api.github.com/",
                revocation_url: None,
            },
            Self::Google => KnownAddresses {
                authorization_url: "https://accounts.google.com/o/oauth2/v2/auth",
                token_url: "https://oauth2.googleapis.com/token",
                userinfo_url: "https://openidconnect.googleapis.com/v1/userinfo",
                api_base_url: "https://www.googleapis.com/",
                revocation_url: Some("https://oauth2.googleapis.com/revoke"),
            },
            Self::Slack => KnownAddresses {
                authorization_url: "https://slack.com/oauth/v2/authorize",
                token_url: "https://slack.com/api/oauth.v2.access",
                userinfo_url: "https://slack.com/api/auth.test",
                api_base_url: "https://slack.com/api/",
                revocation_url: None,
            },
            Self::Microsoft => KnownAddresses {
                authorization_url: "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
                token_url: "https://login.microsoftonline.com/common/oauth2/v2.0/token",
                userinfo_url: "https://graph.microsoft.com/oidc/userinfo",
                api_base_url: "https://graph.microsoft.com/v1.0/",
                revocation_url: None,
            },
            Self::OAuth2 | Self::Oidc => return None,
        })
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A connection's options as they are stored: only what the operator gave.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct ConnectionOptions {
    pub(crate) client_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) authorization_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) userinfo_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) api_base_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revocation_url: Option<String>,
    pub(crate) scope: Vec<String>,
}

/// A connection to a provider.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Its name.
    pub name: ConnectionName,
    /// Which kind of provider it is.
    pub strategy: Strategy,
    /// Our client id there.
    pub client_id: String,
    /// The scopes that people are asked for when nothing else says which.
    pub scope: Vec<String>,
    /// Where people are sent.
    pub authorization_url: OperatorAddress,
    /// Where codes and refresh tokens are exchanged.
    pub token_url: OperatorAddress,
    /// Who she is there.
    pub userinfo_url: Option<OperatorAddress>,
    /// The provider's API, for whoever uses the tokens.
    pub api_base_url: OperatorAddress,
    /// Where tokens are revoked (RFC 7009), if the provider does that.
    pub revocation_url: Option<OperatorAddress>,
    /// When it was made.
    pub created_at: Timestamp,
    pub(crate) sealed_secret: Option<Vec<u8>>,
}

impl Connection {
    /// What people call the provider.
    pub fn title(&self) -> &str {
        self.strategy.title().unwrap_or(self.name.as_str())
    }

    /// True if its client secret is stored.
    pub const fn has_secret(&self) -> bool {
        self.sealed_secret.is_some()
    }

    /// A connection from what the operator gave and what the strategy knows.
    ///
    /// # Errors
    /// What is missing or no address, in words.
    pub(crate) fn build(
        name: &ConnectionName,
        strategy: Strategy,
        options: &ConnectionOptions,
    ) -> Result<Self, String> {
        let known = strategy.known();
        let address = |key: &str, given: &Option<String>, known: Option<&'static str>| {
            let text = given.as_deref().or(known);
            let text = text.ok_or_else(|| {
                format!("connection `{name}`: strategy `{strategy}` needs `options.{key}`")
            })?;
            let parsed = text.parse::<OperatorAddress>();
            parsed.map_err(|error| format!("connection `{name}`: `options.{key}`: {error}"))
        };
        let optional = |key: &str, given: &Option<String>, known: Option<&'static str>| match given
            .as_deref()
            .or(known)
        {
            Some(_) => address(key, given, known).map(Some),
            None => Ok(None),
        };
        let known = known.as_ref();
        let token_url =
            address("token_url", &options.token_url, known.map(|known| known.token_url))?;
        // A provider that the strategy does not know serves its API where it serves tokens, until
        // the operator says otherwise.
        let api_base_url = match (&options.api_base_url, known) {
            (None, None) => origin(&token_url),
            (given, known) => {
                address("api_base_url", given, known.map(|known| known.api_base_url))?
            }
        };
        // The known revocation address belongs to the known token address.
        let revocation = match options.token_url {
            Some(_) => None,
            None => known.and_then(|known| known.revocation_url),
        };
        let userinfo = match options.token_url {
            Some(_) => None,
            None => known.map(|known| known.userinfo_url),
        };
        let mut userinfo_url = optional("userinfo_url", &options.userinfo_url, userinfo)?;
        if strategy == Strategy::GitHub && userinfo_url.is_none() && options.api_base_url.is_some()
        {
            userinfo_url = Some(api_base_url.below(&["user"]));
        }
        Ok(Self {
            name: name.clone(),
            strategy,
            client_id: options.client_id.clone(),
            scope: options.scope.clone(),
            authorization_url: address(
                "authorization_url",
                &options.authorization_url,
                known.map(|known| known.authorization_url),
            )?,
            userinfo_url,
            revocation_url: optional("revocation_url", &options.revocation_url, revocation)?,
            token_url,
            api_base_url,
            created_at: Timestamp::from_micros(0),
            sealed_secret: None,
        })
    }

    pub(crate) fn from_row(row: ConnectionRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: format!("connections: `{}`", row.name) };
        let strategy = Strategy::from_text(&row.strategy).ok_or_else(corrupt)?;
        let options = serde_json::from_str(&row.options).map_err(|_| corrupt())?;
        let connection = Self::build(&row.name, strategy, &options).map_err(|_| corrupt())?;
        Ok(Self { created_at: row.created_at, sealed_secret: row.client_secret, ..connection })
    }
}

/// The root of the server that `address` is on.
fn origin(address: &OperatorAddress) -> OperatorAddress {
    let root = url::Url::parse(address.as_str()).ok().and_then(|url| url.join("/").ok());
    root.and_then(|root| root.as_str().parse().ok()).unwrap_or_else(|| address.clone())
}

impl Vault {
    /// The connection of that name, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_connection(
        &self,
        name: &ConnectionName,
    ) -> Result<Option<Connection>, StoreError> {
        let read = async |name: &ConnectionName| {
            let row = connections::find(self.storage(), self.tenant(), name).await?;
            row.map(Connection::from_row).transpose()
        };
        self.0.connections.find(self.storage(), name.clone(), read).await
    }

    /// Every connection, by name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_connections(&self) -> Result<Vec<Connection>, StoreError> {
        let rows = connections::list(self.storage(), self.tenant()).await?;
        rows.into_iter().map(Connection::from_row).collect()
    }

    /// How many accounts are connected through each connection; none is absent.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_accounts(&self) -> Result<Vec<(ConnectionName, i64)>, StoreError> {
        accounts::count_by_connection(self.storage(), self.tenant()).await
    }

    /// Our secret at the provider.
    pub(crate) fn client_secret(
        &self,
        connection: &Connection,
    ) -> Result<Option<Secret<String>>, VaultError> {
        let sealed = connection.sealed_secret.as_deref();
        sealed.map(|sealed| self.open(&self.secret_context(&connection.name), sealed)).transpose()
    }

    pub(crate) fn secret_context<'a>(&'a self, name: &'a ConnectionName) -> [&'a str; 3] {
        ["behalf.vault.client_secret.v1", self.tenant().as_str(), name.as_str()]
    }
}
