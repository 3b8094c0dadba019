//! A connect that an application begins for a person (Auth0's My Account API).
//!
//! The application gets a session and a ticket. The ticket opens the page on which *she* decides,
//! signed in as herself; then the application completes with the code that her browser brings it
//! and the verifier that only it knows. Until then what the provider gave belongs to nobody's
//! account.

use std::time::Duration;

use behalf_core::{Actor, ClientId, ConnectionName, Secret, UserId, random_bytes};
use behalf_crypto::{opaque, pkce};
use behalf_store::vault::connects::{self, ConnectSessionRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{NewAccount, check_scopes, hex, to_json};
use crate::Vault;
use crate::account::Account;
use crate::error::ConnectError;
use crate::provider::{ProviderUser, TokenSet};

/// How long an application's connect may take.
const LIFETIME: Duration = Duration::from_mins(10);
const SESSION_PREFIX: &str = "bhf_cx_";
const TICKET_PREFIX: &str = "bhf_ct_";

/// What an application asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRequest {
    /// Through which connection.
    pub connection: ConnectionName,
    /// Where her browser returns to; the caller has checked that it is the application's.
    pub redirect_uri: String,
    /// Given back as it is.
    pub state: Option<String>,
    /// RFC 7636, `S256`.
    pub code_challenge: String,
    /// What is needed beyond what the connection asks for anyway.
    pub scopes: Vec<String>,
}

/// A connect that an application began.
#[derive(Clone, Debug)]
pub struct ConnectStarted {
    /// What the application keeps.
    pub auth_session: Secret<String>,
    /// What her browser brings to the page.
    pub ticket: Secret<String>,
    /// How long both are good, in seconds.
    pub expires_in: u64,
}

/// What the page shows of an application's connect.
#[derive(Clone, Debug)]
pub struct ApplicationConnect {
    /// Which application.
    pub client_id: ClientId,
    /// What it asked for.
    pub request: ApplicationRequest,
    /// The hash of its session.
    pub session_hash: [u8; 32],
}

impl Vault {
    /// Begins an application's connect for a person.
    ///
    /// # Errors
    /// `ConnectionNotFound`, `NotSetUp`, or `Invalid` for what is malformed.
    pub async fn begin_application_connect(
        &self,
        user_id: &UserId,
        client_id: &ClientId,
        request: &ApplicationRequest,
    ) -> Result<ConnectStarted, ConnectError> {
        if !pkce::is_challenge(&request.code_challenge) {
            let text = "`code_challenge` is not one of RFC 7636, S256";
            return Err(ConnectError::Invalid(text.into()));
        }
        check_scopes(&request.scopes)?;
        self.offer(user_id, &request.connection, &request.scopes).await?;
        let auth_session = opaque::mint(SESSION_PREFIX, self.rng());
        let ticket = opaque::mint(TICKET_PREFIX, self.rng());
        let now = self.now();
        let row = ConnectSessionRow {
            session_hash: opaque::digest(auth_session.expose()).to_vec(),
            ticket_hash: opaque::digest(ticket.expose()).to_vec(),
            code_hash: None,
            user_id: user_id.clone(),
            client_id: client_id.clone(),
            connection: request.connection.clone(),
            details: to_json(request)?,
            token_set: None,
            expires_at: now.plus(LIFETIME),
        };
        let mut unit = self.unit();
        unit.add(connects::purge_sessions(now));
        unit.add(connects::insert_session(self.tenant(), &row, now));
        self.commit(unit).await?;
        Ok(ConnectStarted { auth_session, ticket, expires_in: LIFETIME.as_secs() })
    }

    /// The application's connect that the ticket opens, for the person it was begun for.
    ///
    /// # Errors
    /// `Over` for everybody else, and when it is over.
    pub async fn find_ticket(
        &self,
        user_id: &UserId,
        ticket: &str,
    ) -> Result<ApplicationConnect, ConnectError> {
        if !opaque::looks_minted(ticket, TICKET_PREFIX) {
            return Err(ConnectError::Over);
        }
        let hash = opaque::digest(ticket);
        let row =
            connects::find_session_by_ticket(self.storage(), self.tenant(), &hash, self.now());
        let row = row.await?.filter(|row| row.user_id == *user_id && row.code_hash.is_none());
        application(&row.ok_or(ConnectError::Over)?)
    }

    /// The application's connect under that hash, while it waits for her.
    ///
    /// # Errors
    /// `Over` when it is.
    pub async fn load_application_connect(
        &self,
        session_hash: &[u8; 32],
    ) -> Result<ApplicationConnect, ConnectError> {
        let row =
            connects::find_session(self.storage(), self.tenant(), session_hash, self.now()).await?;
        application(&row.ok_or(ConnectError::Over)?)
    }

    /// Adds to `unit` that what the provider gave waits for the application: the code that her
    /// browser takes to it.
    ///
    /// # Errors
    /// When a key fails. The commit fails with `Conflict("connect is over")` when the session is
    /// filled already.
    pub fn plan_hold(
        &self,
        unit: &mut UnitOfWork,
        session_hash: &[u8; 32],
        new: &NewAccount,
    ) -> Result<String, ConnectError> {
        // Auth0's clients take at most 46 characters.
        let code = format!("bhf_cc_{}", behalf_verify::hex(&random_bytes::<16>(self.rng())));
        let held = json!({
            "access_token": new.set.access_token.expose(),
            "refresh_token": new.set.refresh_token.as_ref().map(|token| token.expose().clone()),
            "expires_at": new.set.expires_in.map(|secs| self.now().plus(secs)),
            "scopes": new.scopes,
            "user_id": new.user.id,
            "user_name": new.user.name,
        });
        let held = Secret::new(held.to_string());
        let session = hex(session_hash);
        let sealed = self.seal(&self.held_context(&session, &new.user_id), held.expose())?;
        let code_hash = opaque::digest(&code);
        unit.add(connects::fill_session(self.tenant(), session_hash, &code_hash, sealed));
        Ok(code)
    }

    /// Completes an application's connect: adds the account to `unit`, and that the session is
    /// over.
    ///
    /// # Errors
    /// `Over` unless session, code, verifier, redirect address, person and application belong
    /// together. The commit fails with `Conflict("connect is over")` for a second completion.
    pub async fn plan_completion(
        &self,
        unit: &mut UnitOfWork,
        user_id: &UserId,
        client_id: &ClientId,
        completion: &ConnectCompletion,
    ) -> Result<Account, ConnectError> {
        let hash = opaque::digest(completion.auth_session.expose());
        let row = connects::find_session(self.storage(), self.tenant(), &hash, self.now()).await?;
        let row = row
            .filter(|row| row.user_id == *user_id && row.client_id == *client_id)
            .ok_or(ConnectError::Over)?;
        let ApplicationConnect { request, .. } = application(&row)?;
        let code_hash = opaque::digest(completion.connect_code.expose());
        let is_code =
            row.code_hash.as_ref().is_some_and(|known| opaque::secrets_equal(known, &code_hash));
        let verifier = completion.code_verifier.expose();
        let is_proven = is_code
            && completion.redirect_uri == request.redirect_uri
            && pkce::verify(verifier, &request.code_challenge);
        let held = row.token_set.as_deref().filter(|_| is_proven).ok_or(ConnectError::Over)?;
        let held = self.open(&self.held_context(&hex(&hash), user_id), held)?;
        let new = self.held_account(&held, &row)?;
        unit.add(connects::take_session(self.tenant(), &hash));
        let actor =
            Actor::Client { client_id: client_id.to_string(), sub: Some(user_id.to_string()) };
        self.plan_account(unit, &new, &actor).await
    }

    fn held_account(
        &self,
        held: &Secret<String>,
        row: &ConnectSessionRow,
    ) -> Result<NewAccount, ConnectError> {
        let corrupt = || StoreError::Corrupt { what: "connect_sessions.token_set".into() };
        let held: Held = serde_json::from_str(held.expose()).map_err(|_| corrupt())?;
        let now = self.now();
        Ok(NewAccount {
            user_id: row.user_id.clone(),
            connection: row.connection.clone(),
            set: TokenSet {
                access_token: held.access_token,
                refresh_token: held.refresh_token,
                expires_in: held.expires_at.map(|expires_at| expires_at.since(now)),
                scopes: None,
                user: ProviderUser::default(),
            },
            scopes: held.scopes,
            user: ProviderUser { id: held.user_id, name: held.user_name },
        })
    }

    fn held_context<'a>(&'a self, session_hash: &'a str, user_id: &'a UserId) -> [&'a str; 4] {
        ["behalf.vault.held.v1", self.tenant().as_str(), user_id.as_str(), session_hash]
    }
}

/// What an application completes with.
#[derive(Clone, Debug)]
pub struct ConnectCompletion {
    /// What it kept.
    pub auth_session: Secret<String>,
    /// What her browser brought.
    pub connect_code: Secret<String>,
    /// Where her browser brought it.
    pub redirect_uri: String,
    /// The verifier of its challenge.
    pub code_verifier: Secret<String>,
}

#[derive(Deserialize)]
struct Held {
    access_token: Secret<String>,
    refresh_token: Option<Secret<String>>,
    expires_at: Option<behalf_core::Timestamp>,
    scopes: Vec<String>,
    user_id: Option<String>,
    user_name: Option<String>,
}

fn application(row: &ConnectSessionRow) -> Result<ApplicationConnect, ConnectError> {
    let corrupt = || StoreError::Corrupt { what: "connect_sessions.details".into() };
    let request: ApplicationRequest = serde_json::from_str(&row.details).map_err(|_| corrupt())?;
    let session_hash = <[u8; 32]>::try_from(row.session_hash.as_slice()).map_err(|_| corrupt())?;
    Ok(ApplicationConnect { client_id: row.client_id.clone(), request, session_hash })
}
