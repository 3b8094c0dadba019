//! Applications: what they are, what they may do, and how they prove who they are.

use behalf_core::{ClientId, Secret};
use behalf_crypto::opaque;
use behalf_store::StoreError;
use behalf_store::identity::clients::{self, ClientRow};
use serde::{Deserialize, Serialize};

use crate::Identity;
use crate::error::GrantError;

/// What kind of application a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppType {
    /// A web application with a back end that keeps a secret.
    RegularWeb,
    /// A page in the browser; keeps no secret.
    Spa,
    /// A program on a person's device; keeps no secret.
    Native,
    /// A service that acts for itself.
    NonInteractive,
    /// An agent: acts for people and never approves what it asks.
    Agent,
    /// An API that exchanges the tokens it receives.
    ResourceServer,
}

/// A grant type that a client may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum GrantType {
    /// RFC 6749 §4.1.
    #[serde(rename = "authorization_code")]
    AuthorizationCode,
    /// RFC 6749 §6.
    #[serde(rename = "refresh_token")]
    RefreshToken,
    /// RFC 6749 §4.4.
    #[serde(rename = "client_credentials")]
    ClientCredentials,
    /// RFC 6749 §4.3; for tests and scripts, off unless a client names it.
    #[serde(rename = "password")]
    Password,
    /// OpenID Connect CIBA Core.
    #[serde(rename = "urn:openid:params:grant-type:ciba")]
    Ciba,
    /// Auth0's exchange of an own token for a provider's token.
    #[serde(
        rename = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
    )]
    FederatedConnection,
}

/// A client's settings, named as in the Auth0 Management API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientSettings {
    /// Shown to people.
    pub name: String,
    /// What kind of application it is.
    pub app_type: AppType,
    /// True if its tokens may decide approvals.
    #[serde(default)]
    pub approver: bool,
    /// False for an application that others run: people are asked for consent.
    #[serde(default = "yes")]
    pub is_first_party: bool,
    /// Redirect addresses, compared byte by byte.
    #[serde(default)]
    pub callbacks: Vec<String>,
    /// Where people may be sent after signing out.
    #[serde(default)]
    pub allowed_logout_urls: Vec<String>,
    /// Origins that may call token endpoints from a browser.
    #[serde(default)]
    pub web_origins: Vec<String>,
    /// The grants it may use.
    #[serde(default = "default_grant_types")]
    pub grant_types: Vec<GrantType>,
    /// For `app_type: resource_server`, the API that it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_server_identifier: Option<String>,
}

const fn yes() -> bool {
    true
}

fn default_grant_types() -> Vec<GrantType> {
    vec![GrantType::AuthorizationCode, GrantType::RefreshToken]
}

/// A client's settings contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client `{client_id}`: {problem}")]
pub struct InvalidClientSettings {
    client_id: String,
    problem: String,
}

impl ClientSettings {
    /// True if `origin` is one of its web origins, or where one of its callbacks is.
    fn names_origin(&self, origin: &str) -> bool {
        let is_there = |callback: &String| {
            let rest = callback.strip_prefix(origin);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
        };
        let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
        let is_origin = host.is_some_and(|host| !host.contains('/'));
        self.web_origins.iter().any(|known| known == origin)
            || (is_origin && self.callbacks.iter().any(is_there))
    }

    /// Checks what no single field can say.
    ///
    /// # Errors
    /// Names the first contradiction.
    pub fn validate(&self, client_id: &ClientId) -> Result<(), InvalidClientSettings> {
        let fail = |problem: String| {
            Err(InvalidClientSettings { client_id: client_id.to_string(), problem })
        };
        if self.approver {
            if matches!(self.app_type, AppType::Agent | AppType::ResourceServer) {
                return fail("an agent or an API never approves; remove `approver: true`".into());
            }
            let forbidden = |grant: &&GrantType| {
                matches!(
                    grant,
                    GrantType::Ciba
                        | GrantType::FederatedConnection
                        | GrantType::ClientCredentials
                        | GrantType::RefreshToken
                )
            };
            if self.grant_types.iter().any(|grant| forbidden(&grant)) {
                return fail(
                    "`approver: true` needs a person in front of it; remove CIBA, federated \
                     exchange, client_credentials and refresh_token from its grant types"
                        .into(),
                );
            }
        }
        let is_api = self.app_type == AppType::ResourceServer;
        if is_api != self.resource_server_identifier.is_some() {
            return fail(
                "`resource_server_identifier` and `app_type: resource_server` need each other"
                    .into(),
            );
        }
        for uri in self.callbacks.iter().chain(&self.allowed_logout_urls) {
            if let Err(problem) = check_redirect_uri(uri) {
                return fail(format!("address `{uri}` {problem}"));
            }
        }
        Ok(())
    }
}

fn check_redirect_uri(uri: &str) -> Result<(), &'static str> {
    // The parser would drop or encode them, and what is compared is the text.
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("has a character that must be percent-encoded");
    }
    let url = url::Url::parse(uri).map_err(|_| "is not an absolute address")?;
    if url.fragment().is_some() {
        return Err("has a fragment, which RFC 6749 §3.1.2 forbids");
    }
    if matches!(url.scheme(), "javascript" | "data" | "vbscript" | "file" | "blob") {
        return Err("has a scheme that no application owns");
    }
    Ok(())
}

/// An application.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its id.
    pub client_id: ClientId,
    /// Its settings.
    pub settings: ClientSettings,
    pub(crate) secret_hash: Option<[u8; 32]>,
}

impl Client {
    /// True if it keeps a secret.
    pub const fn is_confidential(&self) -> bool {
        self.secret_hash.is_some()
    }

    /// True if it may use the grant.
    pub fn may_use(&self, grant: GrantType) -> bool {
        self.settings.grant_types.contains(&grant)
    }

    /// Refuses a grant that the client may not use.
    ///
    /// # Errors
    /// `UnauthorizedClient`.
    pub fn require_grant(&self, grant: GrantType) -> Result<(), GrantError> {
        if self.may_use(grant) {
            return Ok(());
        }
        let name = serde_json::to_value(grant).unwrap_or_default();
        let name = name.as_str().unwrap_or_default();
        Err(GrantError::UnauthorizedClient(format!(
            "Grant type '{name}' not allowed for the client."
        )))
    }

    /// The registered address that `uri` is, byte for byte. A native application may listen on any
    /// loopback port (RFC 8252 §7.3).
    pub fn registered_redirect_uri(&self, uri: &str) -> bool {
        let without_port = |uri: &str| {
            let url = url::Url::parse(uri).ok()?;
            let host = url.host_str()?;
            let is_loopback = url.scheme() == "http" && matches!(host, "127.0.0.1" | "[::1]");
            // The text around the port is compared, not the parsed address: no normalising.
            let authority = uri.strip_prefix("http://")?.strip_prefix(host)?;
            let rest = match authority.strip_prefix(':') {
                Some(port) => port.trim_start_matches(|c: char| c.is_ascii_digit()),
                None => authority,
            };
            is_loopback.then(|| (host.to_owned(), rest.to_owned()))
        };
        self.settings.callbacks.iter().any(|registered| {
            registered == uri
                || (self.settings.app_type == AppType::Native
                    && without_port(uri).is_some_and(|uri| Some(uri) == without_port(registered)))
        })
    }

    pub(crate) fn from_row(row: ClientRow) -> Result<Self, StoreError> {
        let corrupt = || StoreError::Corrupt { what: format!("clients: `{}`", row.client_id) };
        let settings = serde_json::from_str(&row.settings).map_err(|_| corrupt())?;
        let secret_hash = match row.secret_hash {
            Some(hash) => Some(<[u8; 32]>::try_from(hash.as_slice()).map_err(|_| corrupt())?),
            None => None,
        };
        Ok(Self { client_id: row.client_id, settings, secret_hash })
    }
}

/// How a client says who it is (RFC 6749 §2.3.1).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    /// The id it claims.
    pub client_id: String,
    /// The secret it shows, by Basic or in the body.
    pub client_secret: Option<Secret<String>>,
}

impl Identity {
    /// The client with that id, if there is one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_client(&self, client_id: &str) -> Result<Option<Client>, StoreError> {
        let Ok(client_id) = client_id.parse::<ClientId>() else { return Ok(None) };
        let read = async |client_id: &ClientId| {
            let row = clients::find(self.storage(), self.tenant(), client_id).await?;
            row.map(Client::from_row).transpose()
        };
        self.0.held.clients.find(self.storage(), client_id, read).await
    }

    /// Every client, by id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_clients(&self) -> Result<Vec<Client>, StoreError> {
        let rows = clients::list(self.storage(), self.tenant()).await?;
        rows.into_iter().map(Client::from_row).collect()
    }

    /// True if pages of that origin may call token endpoints: a client names it, byte by byte, as a
    /// web origin or as where its callbacks are, which are trusted with codes anyway (as Auth0).
    ///
    /// # Errors
    /// When the store fails.
    pub async fn is_web_origin(&self, origin: &str) -> Result<bool, StoreError> {
        const LONGEST: usize = 255;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b":/.-[]".contains(&byte);
        if origin.len() > LONGEST || !origin.bytes().all(is_plain) {
            return Ok(false);
        }
        for row in clients::list_naming(self.storage(), self.tenant(), origin).await? {
            let client = Client::from_row(row)?;
            if client.settings.names_origin(origin) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The client that the credentials prove. A confidential client must show its secret; a public
    /// one must show none, so that "any secret" never passes for one (CVE-2026-92289).
    ///
    /// # Errors
    /// `InvalidClient`, the same for an unknown id and a wrong secret.
    pub async fn authenticate_client(
        &self,
        credentials: &ClientCredentials,
    ) -> Result<Client, GrantError> {
        let refused =
            || GrantError::InvalidClient("the client is unknown or its secret is wrong".into());
        let client = self.find_client(&credentials.client_id).await?.ok_or_else(refused)?;
        match (&client.secret_hash, &credentials.client_secret) {
            (Some(hash), Some(secret)) => {
                let shown = opaque::digest(secret.expose());
                if opaque::secrets_equal(hash, &shown) { Ok(client) } else { Err(refused()) }
            }
            (None, None) => Ok(client),
            (Some(_), None) | (None, Some(_)) => Err(refused()),
        }
    }
}
