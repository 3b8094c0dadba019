//! A sign-in under way: the browser holds an opaque handle, everything else waits here.
//!
//! The handle is bound to the browser's cookie, so a stolen address is worth nothing elsewhere
//! (CVE-2022-39222), and what was asked for is read from here, never from the browser again
//! (CVE-2026-7571).

use std::time::Duration;

use behalf_core::{Event, EventKind, Secret, UserId};
use behalf_crypto::opaque;
use behalf_store::StoreError;
use behalf_store::identity::sessions::{self, SignInRow};
use behalf_store::identity::{access, users};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Identity;
use crate::audience::Api;
use crate::authorize::{AuthorizationRequest, AuthorizeError, Next, to_json};
use crate::client::Client;
use crate::password::{Attempt, CredentialsError, PasswordPolicyError, check_password};
use crate::session::{Browser, COOKIE_PREFIX, Session, user_actor};
use crate::user::User;

/// How long a sign-in may take.
const LIFETIME: Duration = Duration::from_mins(30);
/// What every handle starts with.
const HANDLE_PREFIX: &str = "bhf_si_";

/// What a sign-in is for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Pending {
    /// An application's authorization request.
    Authorize(AuthorizationRequest),
    /// One of our own pages.
    Page {
        /// The path to come back to.
        return_to: String,
    },
}

/// What is kept under the handle.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    pending: Pending,
    /// Who has shown a one-time password and must choose another.
    must_change: Option<UserId>,
}

/// A sign-in cannot go on, or not this way.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignInError {
    /// The handle is unknown, over, or another browser's.
    #[error("this sign-in is over or was started in another browser")]
    Over,
    /// The name is unknown or the password is wrong.
    #[error("that name and password do not match")]
    WrongCredentials,
    /// Too many failures in a row.
    #[error("too many failed sign-ins")]
    TooMany {
        /// When the next may be tried.
        retry_after: Duration,
    },
    /// An administrator keeps this person out.
    #[error("this account is blocked")]
    Blocked,
    /// The chosen password is refused.
    #[error(transparent)]
    Password(#[from] PasswordPolicyError),
    /// Too many passwords are being checked.
    #[error("too many people are signing in")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CredentialsError> for SignInError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Wrong => Self::WrongCredentials,
            CredentialsError::TooMany { retry_after } => Self::TooMany { retry_after },
            CredentialsError::Blocked => Self::Blocked,
            CredentialsError::Busy => Self::Busy,
            CredentialsError::Store(error) => Self::Store(error),
        }
    }
}

impl From<AuthorizeError> for SignInError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Store(error) => Self::Store(error),
            _ => Self::Over,
        }
    }
}

/// What the sign-in, password and consent pages show.
#[derive(Clone, Debug)]
pub struct SignInPage {
    /// The application that asks; `None` for our own pages.
    pub client: Option<Client>,
    /// Where the browser returns to; its origin may be named and posted to.
    pub redirect_uri: Option<String>,
    /// Who will probably sign in.
    pub login_hint: Option<String>,
    /// What is asked for, with the API that it belongs to, if it is known.
    pub asked: Option<(Option<Api>, crate::Scopes)>,
    /// True when a one-time password must be replaced.
    pub must_change_password: bool,
    /// Back to the application without signing in.
    pub cancel: Option<String>,
}

/// What follows from a right password.
#[derive(Debug)]
pub enum SignInStep {
    /// She is signed in: set the cookie, go there.
    Done {
        /// The browser's new cookie.
        cookie: Secret<String>,
        /// Where to go.
        next: Next,
    },
    /// She must choose a password first.
    ChangePassword,
}

impl Identity {
    /// Sends somebody who is not signed in to the sign-in page and back to `return_to`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin_page_sign_in(
        &self,
        return_to: &str,
        browser: &Browser,
    ) -> Result<Next, StoreError> {
        let return_to = return_to.to_owned();
        self.store_pending(&Pending::Page { return_to }, browser).await.map(Next::SignIn)
    }

    pub(crate) async fn begin_sign_in(
        &self,
        pending: &Pending,
        browser: &Browser,
    ) -> Result<Next, AuthorizeError> {
        Ok(Next::SignIn(self.store_pending(pending, browser).await?))
    }

    pub(crate) async fn begin_consent(
        &self,
        request: AuthorizationRequest,
        browser: &Browser,
    ) -> Result<Next, AuthorizeError> {
        Ok(Next::Consent(self.store_pending(&Pending::Authorize(request), browser).await?))
    }

    async fn store_pending(
        &self,
        pending: &Pending,
        browser: &Browser,
    ) -> Result<String, StoreError> {
        let (handle, hash) = self.mint(HANDLE_PREFIX);
        let state = State { pending: pending.clone(), must_change: None };
        let row = SignInRow {
            browser_hash: browser.hash().map(|hash| hash.to_vec()).unwrap_or_default(),
            request: to_json(&state)?,
            expires_at: self.now().plus(LIFETIME),
        };
        let mut unit = self.unit();
        unit.add(sessions::insert_sign_in(self.tenant(), &hash, &row, self.now()));
        self.storage().commit(unit).await?;
        Ok(handle.expose().clone())
    }

    async fn load_pending(
        &self,
        handle: &str,
        browser: &Browser,
    ) -> Result<([u8; 32], State), SignInError> {
        if !opaque::looks_minted(handle, HANDLE_PREFIX) {
            return Err(SignInError::Over);
        }
        let hash = opaque::digest(handle);
        let browser_hash = browser.hash().ok_or(SignInError::Over)?;
        let row = sessions::find_sign_in(self.storage(), self.tenant(), &hash, self.now())
            .await?
            .filter(|row| opaque::secrets_equal(&row.browser_hash, &browser_hash))
            .ok_or(SignInError::Over)?;
        let corrupt = |_| StoreError::Corrupt { what: "sign_ins.request".into() };
        Ok((hash, serde_json::from_str(&row.request).map_err(corrupt)?))
    }

    /// What the pages of the sign-in under `handle` show.
    ///
    /// # Errors
    /// `Over` unless this browser started it.
    pub async fn sign_in_page(
        &self,
        handle: &str,
        browser: &Browser,
    ) -> Result<SignInPage, SignInError> {
        let (_, state) = self.load_pending(handle, browser).await?;
        let must_change_password = state.must_change.is_some();
        let Pending::Authorize(request) = state.pending else {
            return Ok(SignInPage {
                client: None,
                redirect_uri: None,
                login_hint: None,
                asked: None,
                must_change_password,
                cancel: None,
            });
        };
        let cancel = match self.refused(&request, "access_denied", "she did not sign in") {
            Next::Client(uri) => Some(uri),
            _ => None,
        };
        Ok(SignInPage {
            client: self.find_client(request.client_id.as_str()).await?,
            redirect_uri: Some(request.redirect_uri),
            login_hint: request.login_hint,
            asked: Some((self.find_api(&request.audience).await?, request.scope)),
            must_change_password,
            cancel,
        })
    }

    /// Signs in with a name and a password.
    ///
    /// # Errors
    /// See [`SignInError`]; after a wrong password the sign-in goes on.
    pub async fn sign_in(
        &self,
        handle: &str,
        browser: &Browser,
        name: &str,
        password: &Secret<String>,
    ) -> Result<SignInStep, SignInError> {
        let (hash, mut state) = self.load_pending(handle, browser).await?;
        let attempt = Attempt { name, address: &browser.address, client_id: None };
        let user = self.check_credentials(attempt, password).await?;
        if user.must_change_password {
            state.must_change = Some(user.user_id);
            let mut unit = self.unit();
            let text = to_json(&state)?;
            unit.add(sessions::update_sign_in(self.tenant(), &hash, &text));
            self.storage().commit(unit).await.map_err(over)?;
            return Ok(SignInStep::ChangePassword);
        }
        self.finish_sign_in(hash, state, &user, browser, self.unit()).await
    }

    /// Replaces the one-time password of the person who just showed it, and signs her in.
    ///
    /// # Errors
    /// See [`SignInError`]; after a refused password the sign-in goes on.
    pub async fn change_password(
        &self,
        handle: &str,
        browser: &Browser,
        password: &Secret<String>,
        repeated: &Secret<String>,
    ) -> Result<SignInStep, SignInError> {
        let (hash, state) = self.load_pending(handle, browser).await?;
        let user_id = state.must_change.clone().ok_or(SignInError::Over)?;
        let user = self.find_user(&user_id).await?.filter(|user| user.must_change_password);
        let mut user = user.ok_or(SignInError::Over)?;
        if user.blocked {
            return Err(SignInError::Blocked);
        }
        if password.expose() != repeated.expose() {
            return Err(PasswordPolicyError::Differ.into());
        }
        check_password(password, &user.profile)?;
        let rng = self.0.rng.clone();
        let phc = self.0.hashing.hash(password.clone(), rng).await;
        let phc = phc.map_err(CredentialsError::from)?;
        let mut unit = self.unit();
        unit.add(users::set_password(self.tenant(), &user_id, &phc, false, self.now()));
        self.end_everything(&mut unit, &user_id);
        unit.record(&Event::new(
            self.tenant(),
            EventKind::UserPasswordChanged,
            user_actor(&user_id),
        ));
        user.must_change_password = false;
        self.finish_sign_in(hash, state, &user, browser, unit).await
    }

    /// Begins the session and continues what the sign-in was for, in one unit of work.
    async fn finish_sign_in(
        &self,
        handle: [u8; 32],
        state: State,
        user: &User,
        browser: &Browser,
        mut unit: behalf_store::UnitOfWork,
    ) -> Result<SignInStep, SignInError> {
        let (session, cookie, cookie_hash) = self.begin_session(&mut unit, user, browser)?;
        unit.add(sessions::delete_sign_in(self.tenant(), &handle));
        // What the browser held before ends with it.
        if let Some(old) = browser.hash() {
            unit.add(sessions::end_by_cookie(self.tenant(), &old, self.now()));
        }
        self.storage().commit(unit).await.map_err(over)?;
        let signed_in = Browser { cookie: Some(cookie.clone()), ..browser.clone() };
        let next = match state.pending {
            Pending::Page { return_to } => Next::Page(return_to),
            Pending::Authorize(request) => {
                let client = self.find_client(request.client_id.as_str()).await?;
                let client = client.ok_or(SignInError::Over)?;
                if request.accepts(&session) {
                    self.proceed(request, &client, &session, None, &signed_in).await?
                } else {
                    return Err(SignInError::Over);
                }
            }
        };
        debug_assert_eq!(signed_in.hash(), Some(cookie_hash));
        Ok(SignInStep::Done { cookie, next })
    }

    /// Grants or refuses what a consent page asked.
    ///
    /// # Errors
    /// `Over` unless this browser started it and is still signed in.
    pub async fn decide_consent(
        &self,
        handle: &str,
        browser: &Browser,
        is_allowed: bool,
    ) -> Result<Next, SignInError> {
        let (hash, state) = self.load_pending(handle, browser).await?;
        let session: Session = self.find_session(browser).await?.ok_or(SignInError::Over)?;
        let Pending::Authorize(request) = state.pending else { return Err(SignInError::Over) };
        if !request.accepts(&session) {
            return Err(SignInError::Over);
        }
        let client = self.find_client(request.client_id.as_str()).await?;
        let client = client.ok_or(SignInError::Over)?;
        let user_id = &session.user.user_id;
        let event = |kind| {
            Event::new(self.tenant(), kind, user_actor(user_id))
                .with("client_id", client.client_id.as_str())
                .with("audience", request.audience.as_str())
                .with("scope", request.scope.to_string())
        };
        let mut unit = self.unit();
        unit.add(sessions::delete_sign_in(self.tenant(), &hash));
        if !is_allowed {
            unit.record(&event(EventKind::ConsentDenied));
            self.storage().commit(unit).await.map_err(over)?;
            return Ok(self.refused(&request, "access_denied", "she refused"));
        }
        let before = access::find_consent(
            self.storage(),
            self.tenant(),
            user_id,
            &client.client_id,
            &request.audience,
        )
        .await?;
        let before = before.and_then(|text| crate::Scopes::parse(&text)).unwrap_or_default();
        let scope = before.union(&request.scope).to_string();
        let (tenant, audience) = (self.tenant(), &request.audience);
        unit.add(access::put_consent(
            tenant,
            user_id,
            &client.client_id,
            audience,
            &scope,
            self.now(),
        ));
        unit.record(&event(EventKind::ConsentGranted));
        Ok(self.grant_code(unit, &request, &client, &session).await?)
    }

    /// The token that a form of this browser must carry (and a foreign page cannot know).
    pub fn form_token(&self, browser: &Browser) -> Option<String> {
        let cookie = browser.cookie.as_ref()?;
        if !opaque::looks_minted(cookie.expose(), COOKIE_PREFIX) {
            return None;
        }
        let digest = opaque::digest(&format!("behalf.form.v1\n{}", cookie.expose()));
        Some(behalf_verify::hex(&digest))
    }

    /// True if `token` is this browser's form token.
    pub fn is_form_token(&self, browser: &Browser, token: &str) -> bool {
        self.form_token(browser)
            .is_some_and(|known| opaque::secrets_equal(known.as_bytes(), token.as_bytes()))
    }
}

fn over(error: StoreError) -> SignInError {
    if error.is_conflict("sign-in is over") { SignInError::Over } else { error.into() }
}
