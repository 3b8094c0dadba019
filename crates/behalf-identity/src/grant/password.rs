//! `password` (RFC 6749 §4.3): for tests and scripts, only for clients that name it.

use behalf_core::Secret;

use super::{Delegation, FamilyDetails, TokenAnswer, wants_refresh};
use crate::Identity;
use crate::audience::{Issuance, OwnApi};
use crate::client::{Client, GrantType};
use crate::error::GrantError;
use crate::password::{Attempt, CredentialsError};
use crate::scope::Scopes;
use crate::session::user_actor;
use crate::token::IdTokenSession;
use behalf_core::{Event, EventKind};

/// The parameters of the grant.
#[derive(Clone, Debug)]
pub struct PasswordGrant {
    /// Address or user name.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
    /// What is asked for.
    pub scope: Option<String>,
    /// For which API.
    pub audience: Option<String>,
    /// The peer's IP address, for counting failures.
    pub address: String,
}

impl Identity {
    /// Issues tokens for a name and a password.
    ///
    /// # Errors
    /// `InvalidGrant` for a wrong pair, `TooManyAttempts` after ten failures in a row.
    pub async fn password_grant(
        &self,
        client: &Client,
        grant: PasswordGrant,
    ) -> Result<TokenAnswer, GrantError> {
        client.require_grant(GrantType::Password)?;
        let attempt = Attempt {
            name: &grant.username,
            address: &grant.address,
            client_id: Some(client.client_id.as_str()),
        };
        let user = self.check_credentials(attempt, &grant.password).await.map_err(refusal)?;
        if user.must_change_password {
            let text = "sign in on the sign-in page once and choose a password";
            return Err(GrantError::InvalidGrant(text.into()));
        }
        let audience = match grant.audience {
            Some(audience) => audience,
            None => OwnApi::UserInfo.audience(self.issuer()),
        };
        let api = self.load_api(&audience).await?;
        let asked = Scopes::parse(grant.scope.as_deref().unwrap_or("openid profile email"))
            .ok_or_else(|| {
                GrantError::InvalidScope(
                    "`scope` has too many tokens, or a character that is not allowed".into(),
                )
            })?;
        let scopes = api.permitted(&asked, client, &user, Issuance::Interactive);
        let grant_id = self.new_id();
        let now = self.now();
        let mut unit = self.unit();
        unit.record(
            &Event::new(self.tenant(), EventKind::SignInSucceeded, user_actor(&user.user_id))
                .with("client_id", client.client_id.as_str())
                .with("address", grant.address.as_str()),
        );
        let delegation = Delegation {
            client,
            user: &user,
            api: &api,
            scopes: scopes.clone(),
            session: IdTokenSession { sid: None, nonce: None, auth_time: Some(now) },
            grant: "password",
            grant_id: &grant_id,
            approved: None,
        };
        let mut answer = self.issue(&mut unit, &delegation).await?;
        if wants_refresh(client, &scopes) {
            let details = FamilyDetails { sid: None, scope: scopes, audience, auth_time: now };
            let user_id = &user.user_id;
            answer.refresh_token =
                Some(self.begin_family(&mut unit, &grant_id, client, user_id, &details)?);
        }
        self.storage().commit(unit).await?;
        Ok(answer)
    }
}

fn refusal(error: CredentialsError) -> GrantError {
    match error {
        CredentialsError::Wrong => GrantError::InvalidGrant("Wrong email or password.".into()),
        CredentialsError::Blocked => GrantError::InvalidGrant("the account is blocked".into()),
        CredentialsError::TooMany { retry_after } => GrantError::TooManyAttempts {
            text: format!(
                "Your account has been blocked after too many failed sign-ins in a row. Try \
                 again in {} minutes.",
                retry_after.as_secs().div_ceil(60)
            ),
            retry_after_secs: u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX).max(1),
        },
        CredentialsError::Busy => GrantError::Busy { retry_after_secs: 1 },
        CredentialsError::Store(error) => error.into(),
    }
}
