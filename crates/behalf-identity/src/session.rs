//! Browser sessions: an opaque cookie, renewed at every sign-in.

use std::time::Duration;

use behalf_core::{Actor, Event, EventKind, Secret, SessionId, Timestamp, UserId};
use behalf_crypto::opaque;
use behalf_store::identity::grants;
use behalf_store::identity::sessions::{self, SessionRow};
use behalf_store::{StoreError, UnitOfWork};

use crate::Identity;
use crate::user::User;

/// What every browser cookie starts with.
pub(crate) const COOKIE_PREFIX: &str = "bhf_br_";
/// How long a session lives.
const LIFETIME: Duration = Duration::from_hours(7 * 24);

/// The browser that a request comes from.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Its cookie, if it showed one.
    pub cookie: Option<Secret<String>>,
    /// What it says it is.
    pub user_agent: String,
    /// The peer's IP address.
    pub address: String,
}

impl Browser {
    /// The hash of the cookie, under which things are bound to this browser.
    pub fn hash(&self) -> Option<[u8; 32]> {
        let cookie = self.cookie.as_ref()?.expose();
        opaque::looks_minted(cookie, COOKIE_PREFIX).then(|| opaque::digest(cookie))
    }
}

/// A person's browser session.
#[derive(Clone, Debug)]
pub struct Session {
    /// The `sid` that ID tokens carry.
    pub sid: SessionId,
    /// Who signed in.
    pub user: User,
    /// What the browser says it is.
    pub user_agent: String,
    /// When she proved who she is.
    pub auth_time: Timestamp,
    /// When it began.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Identity {
    /// A fresh cookie for a browser that has none, or that just signed in.
    pub fn mint_cookie(&self) -> Secret<String> {
        self.mint(COOKIE_PREFIX).0
    }

    /// The live session of the browser. A blocked person has none.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_session(&self, browser: &Browser) -> Result<Option<Session>, StoreError> {
        let Some(hash) = browser.hash() else { return Ok(None) };
        let now = self.now();
        let row = sessions::find_by_cookie(self.storage(), self.tenant(), &hash, now).await?;
        match row {
            Some(row) => self.session_from_row(row).await,
            None => Ok(None),
        }
    }

    /// Ends every session and refresh token of the person, in `unit`: whoever knew her old password
    /// may hold them.
    pub(crate) fn end_everything(&self, unit: &mut UnitOfWork, user_id: &UserId) {
        let now = self.now();
        unit.add(sessions::end_all(self.tenant(), user_id, now));
        unit.add(grants::revoke_families_of(self.tenant(), user_id, now));
    }

    /// The person's live sessions, newest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_sessions(&self, user: &User) -> Result<Vec<Session>, StoreError> {
        let rows = sessions::list(self.storage(), self.tenant(), &user.user_id, self.now()).await?;
        Ok(rows.into_iter().map(|row| session(row, user.clone())).collect())
    }

    /// Ends one of the person's sessions; false when it is not hers or over.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_session(&self, sid: &SessionId, user_id: &UserId) -> Result<bool, StoreError> {
        let now = self.now();
        let row = sessions::find(self.storage(), self.tenant(), sid, now).await?;
        if row.is_none_or(|row| row.user_id != *user_id) {
            return Ok(false);
        }
        let mut unit = self.unit();
        unit.add(sessions::end(self.tenant(), sid, now));
        unit.record(
            &Event::new(self.tenant(), EventKind::SessionEnded, user_actor(user_id))
                .with("sid", sid.as_str()),
        );
        match self.storage().commit(unit).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_conflict("session is over") => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn session_from_row(
        &self,
        row: SessionRow,
    ) -> Result<Option<Session>, StoreError> {
        let user = self.find_user(&row.user_id).await?;
        Ok(user.filter(|user| !user.blocked).map(|user| session(row, user)))
    }

    /// Adds a new session to `unit` and returns it with its cookie. The cookie is always a new
    /// one: a session never takes over what the browser held before (CVE-2024-7341).
    pub(crate) fn begin_session(
        &self,
        unit: &mut UnitOfWork,
        user: &User,
        browser: &Browser,
    ) -> Result<(Session, Secret<String>, [u8; 32]), StoreError> {
        let (cookie, hash) = self.mint(COOKIE_PREFIX);
        let now = self.now();
        let internal = |_invalid| StoreError::Internal { reason: "a session id".into() };
        let row = SessionRow {
            sid: self.new_id().parse().map_err(internal)?,
            user_id: user.user_id.clone(),
            user_agent: browser.user_agent.chars().take(255).collect(),
            auth_time: now,
            created_at: now,
            expires_at: now.plus(LIFETIME),
        };
        unit.add(sessions::insert(self.tenant(), &row, &hash));
        unit.record(
            &Event::new(self.tenant(), EventKind::SignInSucceeded, user_actor(&user.user_id))
                .with("sid", row.sid.as_str())
                .with("address", browser.address.as_str()),
        );
        Ok((session(row, user.clone()), cookie, hash))
    }
}

pub(crate) fn user_actor(user_id: &UserId) -> Actor {
    Actor::User { sub: user_id.to_string() }
}

fn session(row: SessionRow, user: User) -> Session {
    Session {
        sid: row.sid,
        user,
        user_agent: row.user_agent,
        auth_time: row.auth_time,
        created_at: row.created_at,
        expires_at: row.expires_at,
    }
}
