//! Signing out: Auth0's `/v2/logout` and OpenID Connect RP-Initiated Logout.

use behalf_store::StoreError;
use thiserror::Error;
use url::form_urlencoded;

use crate::Identity;
use crate::session::Browser;

/// What a request to sign out says; the caller has refused repeated parameters.
#[derive(Clone, Debug, Default)]
pub struct LogoutRequest {
    /// The application that asks.
    pub client_id: Option<String>,
    /// Where to go afterwards; registered with the application.
    pub return_to: Option<String>,
    /// An ID token of the session, however old.
    pub id_token_hint: Option<String>,
    /// The session's `sid`.
    pub logout_hint: Option<String>,
    /// Echoed.
    pub state: Option<String>,
}

/// A request to sign out is refused; nobody was signed out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogoutError {
    /// No such application.
    #[error("the application is not known here")]
    UnknownClient,
    /// The address is not registered for it.
    #[error("the address to return to is not registered for the application")]
    UnregisteredReturn,
    /// The hint is not a token of ours, or another application's.
    #[error("`id_token_hint` is not an ID token of this application")]
    BadHint,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogoutOutcome {
    /// The session is over; go there.
    Redirect(String),
    /// The session is over; say so.
    SignedOut,
    /// Ask first: nothing in the request shows that she wants it.
    Confirm,
}

impl Identity {
    /// `/v2/logout`: ends the browser's session at once.
    ///
    /// # Errors
    /// When the address to return to is not registered; then nobody is signed out.
    pub async fn logout(
        &self,
        request: &LogoutRequest,
        browser: &Browser,
    ) -> Result<LogoutOutcome, LogoutError> {
        let target = self.logout_target(request).await?;
        self.end_browser_session(browser).await?;
        Ok(target.map_or(LogoutOutcome::SignedOut, LogoutOutcome::Redirect))
    }

    /// `/oidc/logout`: ends the session if the request proves that it belongs to it, or once she
    /// has confirmed.
    ///
    /// # Errors
    /// When a hint or the address to return to is not right; then nobody is signed out.
    pub async fn rp_initiated_logout(
        &self,
        request: &LogoutRequest,
        browser: &Browser,
        is_confirmed: bool,
    ) -> Result<LogoutOutcome, LogoutError> {
        let mut request = request.clone();
        let mut hinted_sid = request.logout_hint.clone();
        if let Some(token) = &request.id_token_hint {
            let (audience, sid) = self.read_id_token_hint(token).ok_or(LogoutError::BadHint)?;
            if request.client_id.as_ref().is_some_and(|client_id| *client_id != audience) {
                return Err(LogoutError::BadHint);
            }
            request.client_id = Some(audience);
            hinted_sid = sid.or(hinted_sid);
        }
        let target = self.logout_target(&request).await?;
        let session = self.find_session(browser).await?;
        let is_hinted = match (&session, hinted_sid) {
            (Some(session), Some(sid)) => session.sid.as_str() == sid,
            (None, _) => true,
            (Some(_), None) => false,
        };
        if !is_hinted && !is_confirmed {
            return Ok(LogoutOutcome::Confirm);
        }
        self.end_browser_session(browser).await?;
        Ok(target.map_or(LogoutOutcome::SignedOut, LogoutOutcome::Redirect))
    }

    /// Ends the session of this browser, if it has one.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn end_browser_session(&self, browser: &Browser) -> Result<(), StoreError> {
        if let Some(session) = self.find_session(browser).await? {
            self.end_session(&session.sid, &session.user.user_id).await?;
        }
        Ok(())
    }

    async fn logout_target(&self, request: &LogoutRequest) -> Result<Option<String>, LogoutError> {
        let Some(return_to) = &request.return_to else { return Ok(None) };
        // Without an application, any application's registered address will do, as with Auth0's
        // tenant-wide list; an unregistered one never does.
        let clients = match &request.client_id {
            Some(client_id) => {
                vec![self.find_client(client_id).await?.ok_or(LogoutError::UnknownClient)?]
            }
            None => self.list_clients().await?,
        };
        let is_registered = clients
            .iter()
            .any(|client| client.settings.allowed_logout_urls.iter().any(|url| url == return_to));
        if !is_registered {
            return Err(LogoutError::UnregisteredReturn);
        }
        Ok(Some(match &request.state {
            Some(state) => {
                let query = form_urlencoded::Serializer::new(String::new())
                    .append_pair("state", state)
                    .finish();
                let separator = if return_to.contains('?') { '&' } else { '?' };
                format!("{return_to}{separator}{query}")
            }
            None => return_to.clone(),
        }))
    }
}
