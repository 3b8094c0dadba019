//! People.

use behalf_core::{RoleId, Timestamp, UserId};
use behalf_store::StoreError;
use behalf_store::identity::users::{self, UserRow};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Identity;
use crate::scope::Scopes;

/// What is known of a person, named as in OpenID Connect Core §5.1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Her address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// True once she has shown that the address is hers.
    #[serde(default)]
    pub email_verified: bool,
    /// A name to sign in by, beside the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Her full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What she is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// Her given name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Her family name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family_name: Option<String>,
    /// The address of her picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

impl Profile {
    /// The key by which the address is unique and found: lower case.
    pub fn email_key(&self) -> Option<String> {
        self.email.as_deref().map(str::to_lowercase)
    }

    /// The key by which the user name is unique and found: lower case.
    pub fn username_key(&self) -> Option<String> {
        self.username.as_deref().map(str::to_lowercase)
    }
}

/// A person.
#[derive(Clone, Debug)]
pub struct User {
    /// Her `sub`.
    pub user_id: UserId,
    /// What is known of her.
    pub profile: Profile,
    /// Her platform roles.
    pub roles: Vec<RoleId>,
    /// True while an administrator keeps her out.
    pub blocked: bool,
    /// True until she replaces a one-time password.
    pub must_change_password: bool,
    /// When she last changed.
    pub updated_at: Timestamp,
    pub(crate) password_hash: Option<String>,
}

impl User {
    /// What pages call her: her name, else her address, user name or `sub`.
    pub fn display_name(&self) -> &str {
        let profile = &self.profile;
        [&profile.name, &profile.nickname, &profile.email, &profile.username]
            .into_iter()
            .find_map(Option::as_deref)
            .unwrap_or_else(|| self.user_id.as_str())
    }

    /// The claims about her that `scopes` open (OpenID Connect Core §5.4), `sub` first.
    pub fn claims(&self, scopes: &Scopes) -> Map<String, Value> {
        let profile = &self.profile;
        let mut claims = Map::new();
        claims.insert("sub".into(), self.user_id.as_str().into());
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                claims.insert(name.into(), value.into());
            }
        };
        if scopes.contains("profile") {
            // Auth0 always sends a name and a nickname; clients show them.
            let local_part = profile.email.as_deref().and_then(|email| email.split('@').next());
            put("name", Some(self.display_name()));
            put("nickname", profile.nickname.as_deref().or(local_part));
            put("given_name", profile.given_name.as_deref());
            put("family_name", profile.family_name.as_deref());
            put("preferred_username", profile.username.as_deref());
            put("picture", profile.picture.as_deref());
            put("updated_at", Some(&self.updated_at.to_rfc3339()));
        }
        if scopes.contains("email")
            && let Some(email) = &profile.email
        {
            claims.insert("email".into(), email.as_str().into());
            claims.insert("email_verified".into(), profile.email_verified.into());
        }
        claims
    }

    pub(crate) fn from_row(row: UserRow) -> Result<Self, StoreError> {
        let profile = serde_json::from_str(&row.profile)
            .map_err(|_| StoreError::Corrupt { what: format!("users: `{}`", row.user_id) })?;
        Ok(Self {
            user_id: row.user_id,
            profile,
            // A role that this version does not know gives nothing.
            roles: row.roles.split_whitespace().filter_map(RoleId::from_id).collect(),
            blocked: row.blocked,
            must_change_password: row.must_change_password,
            updated_at: row.updated_at,
            password_hash: row.password_hash,
        })
    }
}

impl Identity {
    /// The user with that `sub`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_user(&self, user_id: &UserId) -> Result<Option<User>, StoreError> {
        let row = users::find(self.storage(), self.tenant(), user_id).await?;
        row.map(User::from_row).transpose()
    }

    /// The user with that `sub`, or who signs in with that address or user name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_user_by_any_name(&self, name: &str) -> Result<Option<User>, StoreError> {
        if let Ok(user_id) = name.trim().parse::<UserId>()
            && let Some(user) = self.find_user(&user_id).await?
        {
            return Ok(Some(user));
        }
        self.find_user_by_sign_in_name(name).await
    }

    /// The user who signs in with that address or user name.
    pub(crate) async fn find_user_by_sign_in_name(
        &self,
        name: &str,
    ) -> Result<Option<User>, StoreError> {
        let name = name.trim().to_lowercase();
        let row = users::find_by_sign_in_name(self.storage(), self.tenant(), &name).await?;
        row.map(User::from_row).transpose()
    }

    /// How many users the tenant has.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_users(&self) -> Result<i64, StoreError> {
        users::count(self.storage(), self.tenant()).await
    }

    /// True if somebody is an administrator.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn has_administrator(&self) -> Result<bool, StoreError> {
        let role = RoleId::Administrator.as_str();
        users::has_role(self.storage(), self.tenant(), role).await
    }
}
