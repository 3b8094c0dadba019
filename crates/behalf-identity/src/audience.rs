//! Audiences: Behalf's own APIs, and those that tenants register (RFC 8707, DESIGN §7).

use behalf_core::RoleId;
use behalf_crypto::jose::Algorithm;
use behalf_store::StoreError;
use behalf_store::identity::access;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::fmt;

use crate::client::{AppType, Client};
use crate::scope::Scopes;
use crate::user::User;
use crate::{Identity, Issuer};

/// One of Behalf's own APIs. Each has an audience of its own below the issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnApi {
    /// `{issuer}userinfo`: the audience when none is asked for.
    UserInfo,
    /// `{issuer}api/`: Behalf's API and the chat.
    Behalf,
    /// `{issuer}api/v2/`: management.
    Management,
    /// `{issuer}me/`: what a person does with her own account.
    MyAccount,
    /// `{issuer}fga/`: fine-grained authorization.
    Fga,
    /// `{issuer}mcp`: the MCP gateway.
    Mcp,
}

impl OwnApi {
    /// Every own API.
    pub const ALL: [Self; 6] =
        [Self::UserInfo, Self::Behalf, Self::Management, Self::MyAccount, Self::Fga, Self::Mcp];

    /// The API's audience.
    pub fn audience(self, issuer: &Issuer) -> String {
        issuer.join(match self {
            Self::UserInfo => "userinfo",
            Self::Behalf => "api/",
            Self::Management => "api/v2/",
            Self::MyAccount => "me/",
            Self::Fga => "fga/",
            Self::Mcp => "mcp",
        })
    }

    /// Every scope of the API, and who may hold it in her own name.
    const fn scopes(self) -> &'static [(&'static str, Holder)] {
        use Holder::{Anybody, Approver, Role};
        match self {
            Self::UserInfo | Self::Mcp => &[],
            Self::Behalf => &[
                ("chat", Anybody),
                ("read:documents", Anybody),
                ("write:documents", Anybody),
                ("import:documents", Role(&[RoleId::Administrator])),
                ("read:traces", Anybody),
                (
                    "read:records",
                    Role(&[
                        RoleId::Administrator,
                        RoleId::Operator,
                        RoleId::Security,
                        RoleId::Auditor,
                    ]),
                ),
                ("export:records", Role(&[RoleId::Auditor, RoleId::Security])),
            ],
            Self::Management => MANAGEMENT,
            Self::MyAccount => &[
                ("create:me:connected_accounts", Anybody),
                ("read:me:connected_accounts", Anybody),
                ("delete:me:connected_accounts", Anybody),
                ("read:me:approvals", Anybody),
                ("update:me:approvals", Approver),
            ],
            Self::Fga => &[
                ("read:fga", Role(&[RoleId::Administrator, RoleId::Security, RoleId::Auditor])),
                ("check:fga", Role(&[RoleId::Administrator, RoleId::Security, RoleId::Auditor])),
                ("write:fga", Role(&[RoleId::Administrator])),
                ("admin:fga", Role(&[RoleId::Administrator])),
            ],
        }
    }

    /// True if the person may use that scope in her own name, from her own browser session. What
    /// only an approver's token may carry is not among them.
    pub fn person_may_hold(self, scope: &str, user: &User) -> bool {
        self.scopes().iter().any(|(name, holder)| {
            *name == scope
                && match holder {
                    Holder::Anybody => true,
                    Holder::Role(roles) => roles.iter().any(|role| user.roles.contains(role)),
                    Holder::Approver => false,
                }
        })
    }

    /// True if the person's present roles still carry a scope that a token of hers was issued with.
    pub fn person_still_holds(self, scope: &str, user: &User) -> bool {
        self.scopes().iter().all(|(name, holder)| {
            *name != scope
                || match holder {
                    Holder::Anybody | Holder::Approver => true,
                    Holder::Role(roles) => roles.iter().any(|role| user.roles.contains(role)),
                }
        })
    }

    /// True if a token with these scopes may do what `needed` allows: who may take records out may
    /// see them.
    pub fn admits(self, held: &Scopes, needed: &str) -> bool {
        let is_included = matches!(
            (self, needed),
            (Self::Behalf, "read:records") if held.contains("export:records")
        );
        is_included || held.contains(needed)
    }

    /// True if the API has that scope.
    pub fn has_scope(self, scope: &str) -> bool {
        self.scopes().iter().any(|(name, _)| *name == scope)
    }
}

/// Auth0's names for what the Management API does.
const MANAGEMENT: &[(&str, Holder)] = {
    const ADMINISTRATOR: Holder = Holder::Role(&[RoleId::Administrator]);
    &[
        ("read:users", ADMINISTRATOR),
        ("create:users", ADMINISTRATOR),
        ("update:users", ADMINISTRATOR),
        ("delete:users", ADMINISTRATOR),
        ("read:clients", ADMINISTRATOR),
        ("create:clients", ADMINISTRATOR),
        ("update:clients", ADMINISTRATOR),
        ("delete:clients", ADMINISTRATOR),
        ("read:resource_servers", ADMINISTRATOR),
        ("create:resource_servers", ADMINISTRATOR),
        ("update:resource_servers", ADMINISTRATOR),
        ("delete:resource_servers", ADMINISTRATOR),
        ("read:client_grants", ADMINISTRATOR),
        ("create:client_grants", ADMINISTRATOR),
        ("update:client_grants", ADMINISTRATOR),
        ("delete:client_grants", ADMINISTRATOR),
        ("read:connections", ADMINISTRATOR),
        ("create:connections", ADMINISTRATOR),
        ("update:connections", ADMINISTRATOR),
        ("delete:connections", ADMINISTRATOR),
        ("read:roles", ADMINISTRATOR),
        ("create:role_members", ADMINISTRATOR),
        ("read:role_members", ADMINISTRATOR),
        ("delete:role_members", ADMINISTRATOR),
    ]
};

/// Who may hold a scope in her own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// Every person.
    Anybody,
    /// People with one of these roles.
    Role(&'static [RoleId]),
    /// Every person, but only through a client marked `approver` that she is in front of.
    Approver,
}

/// A scope of a registered API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScopeSettings {
    /// The scope token.
    pub value: String,
    /// What it allows, in words, for the consent page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl<'de> Deserialize<'de> for ScopeSettings {
    /// Reads `"create:gist"` as well as `{value, description}`.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Full {
            value: String,
            #[serde(default)]
            description: Option<String>,
        }
        struct Shape;
        impl<'de> Visitor<'de> for Shape {
            type Value = ScopeSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a scope, or a map with `value` and `description`")
            }

            fn visit_str<E>(self, value: &str) -> Result<ScopeSettings, E> {
                Ok(ScopeSettings { value: value.to_owned(), description: None })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ScopeSettings, A::Error> {
                let full = Full::deserialize(MapAccessDeserializer::new(map))?;
                Ok(ScopeSettings { value: full.value, description: full.description })
            }
        }
        deserializer.deserialize_any(Shape)
    }
}

/// A registered API's settings, named as in the Auth0 Management API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceServerSettings {
    /// Shown to people.
    pub name: String,
    /// Its scopes.
    #[serde(default)]
    pub scopes: Vec<ScopeSettings>,
    /// What signs its tokens: `RS256` (default) or `ES256`.
    #[serde(default = "rs256")]
    pub signing_alg: String,
    /// How long its tokens live, in seconds.
    #[serde(default = "one_day")]
    pub token_lifetime: u32,
    /// True if its tokens are accepted under `/stores`.
    #[serde(default)]
    pub fga: bool,
}

fn rs256() -> String {
    Algorithm::RS256.as_str().to_owned()
}

const fn one_day() -> u32 {
    86_400
}

/// What a token can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Api {
    /// One of Behalf's own.
    Own(OwnApi),
    /// A registered one.
    Registered {
        /// Its audience.
        identifier: String,
        /// Its settings.
        settings: ResourceServerSettings,
    },
}

/// How a person's token comes about, for scopes that depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Issuance {
    /// She is in front of the client: code flow or password grant.
    Interactive,
    /// She was, once: refresh.
    Refresh,
    /// She approved exactly this on another device: a backchannel request.
    Backchannel,
}

impl Api {
    /// The `aud` of its tokens.
    pub fn audience(&self, issuer: &Issuer) -> String {
        match self {
            Self::Own(api) => api.audience(issuer),
            Self::Registered { identifier, .. } => identifier.clone(),
        }
    }

    /// What signs its tokens. Behalf alone reads those for its own APIs, and ES256 costs a
    /// fortieth of RS256.
    pub(crate) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Own(_) => Algorithm::ES256,
            Self::Registered { settings, .. } => {
                settings.signing_alg.parse().unwrap_or(Algorithm::RS256)
            }
        }
    }

    /// How long its tokens live, in seconds.
    pub(crate) const fn token_lifetime(&self) -> u32 {
        match self {
            Self::Own(_) => 3600,
            Self::Registered { settings, .. } => settings.token_lifetime,
        }
    }

    /// True if it has that scope.
    pub fn has_scope(&self, scope: &str) -> bool {
        match self {
            Self::Own(api) => api.has_scope(scope),
            Self::Registered { settings, .. } => settings.scopes.iter().any(|s| s.value == scope),
        }
    }

    /// What the scope allows, in words, if its API says so.
    pub fn describe_scope(&self, scope: &str) -> Option<&str> {
        match self {
            Self::Own(_) => None,
            Self::Registered { settings, .. } => settings
                .scopes
                .iter()
                .find(|s| s.value == scope)
                .and_then(|s| s.description.as_deref()),
        }
    }

    /// Those of `requested` that `user` may hold through `client`; OpenID Connect's own stay.
    pub(crate) fn permitted(
        &self,
        requested: &Scopes,
        client: &Client,
        user: &User,
        issuance: Issuance,
    ) -> Scopes {
        requested.filtered(|scope| {
            Scopes::is_openid(scope)
                || match self {
                    Self::Own(api) => api.scopes().iter().any(|(name, holder)| {
                        *name == scope && holder.admits(client, user, issuance)
                    }),
                    // Its tokens open `/stores` as ours do, so the same people may hold them.
                    Self::Registered { settings, .. }
                        if settings.fga && OwnApi::Fga.has_scope(scope) =>
                    {
                        self.has_scope(scope) && OwnApi::Fga.person_may_hold(scope, user)
                    }
                    Self::Registered { .. } => self.has_scope(scope),
                }
        })
    }
}

impl Holder {
    fn admits(self, client: &Client, user: &User, issuance: Issuance) -> bool {
        match self {
            Self::Anybody => true,
            Self::Role(roles) => roles.iter().any(|role| user.roles.contains(role)),
            // DESIGN §3: an agent never approves itself.
            Self::Approver => {
                client.settings.approver
                    && client.settings.app_type != AppType::Agent
                    && issuance == Issuance::Interactive
            }
        }
    }
}

impl Identity {
    /// The API with that audience, compared exactly.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_api(&self, audience: &str) -> Result<Option<Api>, StoreError> {
        let own = OwnApi::ALL.into_iter().find(|api| api.audience(self.issuer()) == audience);
        if let Some(own) = own {
            return Ok(Some(Api::Own(own)));
        }
        let read = async |audience: &String| {
            let row = access::find_resource_server(self.storage(), self.tenant(), audience).await?;
            row.map(|row| {
                let settings = serde_json::from_str(&row.settings).map_err(|_| {
                    StoreError::Corrupt { what: format!("resource_servers: `{}`", row.identifier) }
                })?;
                Ok(Api::Registered { identifier: row.identifier, settings })
            })
            .transpose()
        };
        self.0.held.apis.find(self.storage(), audience.to_owned(), read).await
    }

    /// The audiences of registered APIs whose tokens open `/stores`.
    pub(crate) async fn list_fga_audiences(&self) -> Result<Vec<String>, StoreError> {
        let rows = access::list_resource_servers(self.storage(), self.tenant()).await?;
        let is_fga = |settings: &str| {
            serde_json::from_str::<ResourceServerSettings>(settings).is_ok_and(|s| s.fga)
        };
        let marked = rows.into_iter().filter(|row| is_fga(&row.settings));
        Ok(marked.map(|row| row.identifier).collect())
    }
}
