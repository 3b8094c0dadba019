//! The authorization endpoint's decisions (RFC 6749 §4.1, RFC 7636, OpenID Connect Core §3.1.2,
//! RFC 9207): from raw parameters to a checked request, and from there to a code.

use std::time::Duration;

use behalf_core::{ClientId, Event, EventKind, Timestamp, UserId};
use behalf_crypto::pkce;
use behalf_store::identity::grants::{self, CodeRow};
use behalf_store::identity::{access, sessions};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::form_urlencoded;

use crate::Identity;
use crate::audience::{Api, Issuance, OwnApi};
use crate::client::{Client, GrantType};
use crate::scope::Scopes;
use crate::session::{Browser, Session, user_actor};
use crate::sign_in::Pending;

/// How long an authorization code lives unused; slow development servers need more than seconds.
const CODE_LIFETIME: Duration = Duration::from_mins(5);
/// The longest `state` or `nonce` that is carried.
const MAX_OPAQUE: usize = 4096;

/// The parameters of `/authorize` that mean something here. Unknown ones are ignored
/// (OpenID Connect Core §3.1.2.1); the caller has refused repeated ones and dropped empty ones.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the parameter of its name")]
pub struct AuthorizeParams {
    pub client_id: Option<String>,
    pub redirect_uri: Option<String>,
    pub response_type: Option<String>,
    pub response_mode: Option<String>,
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub state: Option<String>,
    pub nonce: Option<String>,
    pub code_challenge: Option<String>,
    pub code_challenge_method: Option<String>,
    pub prompt: Option<String>,
    pub max_age: Option<String>,
    pub login_hint: Option<String>,
    pub request: Option<String>,
    pub request_uri: Option<String>,
}

/// What `prompt` asks for (OpenID Connect Core §3.1.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// No page may be shown.
    pub none: bool,
    /// She must prove who she is again.
    pub login: bool,
    /// She must be asked for consent.
    pub consent: bool,
}

/// A checked authorization request, as it waits on the server while the person signs in.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AuthorizationRequest {
    /// Who asks.
    pub client_id: ClientId,
    /// Where the answer goes; registered with the client.
    pub redirect_uri: String,
    /// What is asked for.
    pub scope: Scopes,
    /// For which API.
    pub audience: String,
    /// Echoed.
    pub state: Option<String>,
    /// Goes into the ID token.
    pub nonce: Option<String>,
    /// S256 challenge.
    pub code_challenge: Option<String>,
    /// What `prompt` asks for.
    pub prompt: Prompt,
    /// The oldest sign-in that will do.
    pub authenticated_after: Option<Timestamp>,
    /// True if `max_age` was asked for, so that the ID token says when she signed in.
    pub wants_auth_time: bool,
    /// Who will probably sign in.
    pub login_hint: Option<String>,
}

/// A request that cannot be answered at its redirect address, and why; for a page.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AuthorizeError {
    /// Malformed before the redirect address could be trusted.
    #[error("{0}")]
    Invalid(String),
    /// No such application.
    #[error("the application is not known here")]
    UnknownClient,
    /// The redirect address is not byte-equal to a registered one.
    #[error("the application asked to return to an address that is not registered for it")]
    UnregisteredRedirect,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Where the browser goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Back to the application, with a code or an error.
    Client(String),
    /// To one of our own pages.
    Page(String),
    /// To the sign-in page, holding this handle.
    SignIn(String),
    /// To the consent page, holding this handle.
    Consent(String),
}

/// What an authorization code stands for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct CodeDetails {
    pub(crate) user_id: UserId,
    pub(crate) sid: String,
    pub(crate) redirect_uri: String,
    pub(crate) code_challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) scope: Scopes,
    pub(crate) audience: String,
    pub(crate) auth_time: Timestamp,
    pub(crate) wants_auth_time: bool,
}

/// A request that is answered at its redirect address with an error.
struct Refusal {
    code: &'static str,
    description: String,
}

fn refuse(code: &'static str, description: impl Into<String>) -> Refusal {
    Refusal { code, description: description.into() }
}

impl Identity {
    /// Decides what follows from an authorization request: a code at once, a page first, or an
    /// error at the redirect address.
    ///
    /// # Errors
    /// When there is no redirect address to trust.
    pub async fn authorize(
        &self,
        params: AuthorizeParams,
        browser: &Browser,
    ) -> Result<Next, AuthorizeError> {
        let invalid = |text: &str| AuthorizeError::Invalid(text.to_owned());
        let client_id =
            params.client_id.as_deref().ok_or_else(|| invalid("`client_id` is missing"))?;
        let client = self.find_client(client_id).await?.ok_or(AuthorizeError::UnknownClient)?;
        let redirect_uri =
            params.redirect_uri.clone().ok_or_else(|| invalid("`redirect_uri` is missing"))?;
        if !client.registered_redirect_uri(&redirect_uri) {
            return Err(AuthorizeError::UnregisteredRedirect);
        }
        let state = params.state.clone();
        if state.as_ref().is_some_and(|state| state.len() > MAX_OPAQUE) {
            return Err(invalid("`state` is longer than 4,096 bytes"));
        }
        let request = match self.check_request(params, &client, redirect_uri.clone()).await? {
            Ok(request) => request,
            Err(refusal) => {
                return Ok(Next::Client(self.refusal_redirect(
                    &redirect_uri,
                    state.as_deref(),
                    refusal.code,
                    &refusal.description,
                )));
            }
        };
        let session = self.find_session(browser).await?;
        match session.filter(|session| request.accepts(session)) {
            Some(session) => self.proceed(request, &client, &session, None, browser).await,
            None if request.prompt.none => {
                Ok(self.refused(&request, "login_required", "nobody is signed in"))
            }
            None => self.begin_sign_in(&Pending::Authorize(request), browser).await,
        }
    }

    async fn check_request(
        &self,
        params: AuthorizeParams,
        client: &Client,
        redirect_uri: String,
    ) -> Result<Result<AuthorizationRequest, Refusal>, StoreError> {
        let audience = match params.audience.clone() {
            Some(audience) => audience,
            None => OwnApi::UserInfo.audience(self.issuer()),
        };
        let Some(api) = self.find_api(&audience).await? else {
            return Ok(Err(refuse("invalid_target", "no API has that audience")));
        };
        Ok(check_params(params, client, &api, redirect_uri, audience, self.now()))
    }

    /// Continues a request that `session` satisfies: asks for consent or grants a code. `handle`
    /// is the hash of the sign-in that ends with it.
    pub(crate) async fn proceed(
        &self,
        request: AuthorizationRequest,
        client: &Client,
        session: &Session,
        handle: Option<[u8; 32]>,
        browser: &Browser,
    ) -> Result<Next, AuthorizeError> {
        if self.needs_consent(&request, client, session).await? {
            if request.prompt.none {
                return Ok(self.refused(&request, "consent_required", "she must agree first"));
            }
            return self.begin_consent(request, browser).await;
        }
        let mut unit = self.unit();
        if let Some(handle) = handle {
            unit.add(sessions::delete_sign_in(self.tenant(), &handle));
        }
        self.grant_code(unit, &request, client, session).await
    }

    /// Issues a code in `unit` and returns to the application with it.
    pub(crate) async fn grant_code(
        &self,
        mut unit: UnitOfWork,
        request: &AuthorizationRequest,
        client: &Client,
        session: &Session,
    ) -> Result<Next, AuthorizeError> {
        let Some(api) = self.find_api(&request.audience).await? else {
            return Ok(self.refused(request, "invalid_target", "no API has that audience"));
        };
        let scope = api.permitted(&request.scope, client, &session.user, Issuance::Interactive);
        let (code, hash) = self.mint("bhf_ac_");
        let details = CodeDetails {
            user_id: session.user.user_id.clone(),
            sid: session.sid.to_string(),
            redirect_uri: request.redirect_uri.clone(),
            code_challenge: request.code_challenge.clone(),
            nonce: request.nonce.clone(),
            scope,
            audience: request.audience.clone(),
            auth_time: session.auth_time,
            wants_auth_time: request.wants_auth_time,
        };
        let row = CodeRow {
            client_id: client.client_id.clone(),
            details: to_json(&details)?,
            family_id: self.new_id(),
            expires_at: self.now().plus(CODE_LIFETIME),
            used_at: None,
        };
        unit.add(grants::insert_code(self.tenant(), &hash, &row));
        unit.record(
            &Event::new(
                self.tenant(),
                EventKind::AuthorizationGranted,
                user_actor(&session.user.user_id),
            )
            .with("client_id", client.client_id.as_str())
            .with("audience", details.audience.as_str())
            .with("scope", details.scope.to_string())
            .with("sid", session.sid.as_str())
            .with("grant_id", row.family_id.as_str()),
        );
        match self.storage().commit(unit).await {
            Ok(_) => {}
            Err(error) if error.is_conflict("sign-in is over") => {
                return Err(AuthorizeError::Invalid("this sign-in is over already".into()));
            }
            Err(error) => return Err(error.into()),
        }
        let pairs = [("code", code.expose().as_str())];
        Ok(Next::Client(self.redirect(&request.redirect_uri, request.state.as_deref(), &pairs)))
    }

    async fn needs_consent(
        &self,
        request: &AuthorizationRequest,
        client: &Client,
        session: &Session,
    ) -> Result<bool, StoreError> {
        if request.prompt.consent {
            return Ok(true);
        }
        if client.settings.is_first_party {
            return Ok(false);
        }
        let agreed = access::find_consent(
            self.storage(),
            self.tenant(),
            &session.user.user_id,
            &client.client_id,
            &request.audience,
        )
        .await?;
        let agreed = agreed.and_then(|text| Scopes::parse(&text)).unwrap_or_default();
        Ok(!request.scope.is_subset_of(&agreed))
    }

    /// Back to the application with an error.
    pub(crate) fn refused(
        &self,
        request: &AuthorizationRequest,
        code: &str,
        description: &str,
    ) -> Next {
        let state = request.state.as_deref();
        Next::Client(self.refusal_redirect(&request.redirect_uri, state, code, description))
    }

    fn refusal_redirect(
        &self,
        redirect_uri: &str,
        state: Option<&str>,
        code: &str,
        description: &str,
    ) -> String {
        let pairs = [("error", code), ("error_description", description)];
        self.redirect(redirect_uri, state, &pairs)
    }

    /// `redirect_uri` as it was registered, with `pairs`, `state` and `iss` (RFC 9207) added.
    fn redirect(&self, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs);
        if let Some(state) = state {
            query.append_pair("state", state);
        }
        query.append_pair("iss", self.issuer().as_str());
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        format!("{redirect_uri}{separator}{}", query.finish())
    }
}

impl AuthorizationRequest {
    /// True if the session is fresh enough.
    pub(crate) fn accepts(&self, session: &Session) -> bool {
        self.authenticated_after.is_none_or(|after| session.auth_time >= after)
            && !session.user.must_change_password
    }
}

/// Checks everything that the redirect address may hear about.
fn check_params(
    params: AuthorizeParams,
    client: &Client,
    api: &Api,
    redirect_uri: String,
    audience: String,
    now: Timestamp,
) -> Result<AuthorizationRequest, Refusal> {
    if params.request.is_some() {
        return Err(refuse("request_not_supported", "`request` is not supported"));
    }
    if params.request_uri.is_some() {
        return Err(refuse("request_uri_not_supported", "`request_uri` is not supported"));
    }
    match params.response_type.as_deref() {
        Some("code") => {}
        Some(_) => return Err(refuse("unsupported_response_type", "only `code` is supported")),
        None => return Err(refuse("invalid_request", "`response_type` is missing")),
    }
    if params.response_mode.as_deref().is_some_and(|mode| mode != "query") {
        return Err(refuse("invalid_request", "only `response_mode=query` is supported"));
    }
    if !client.may_use(GrantType::AuthorizationCode) {
        let text = "Grant type 'authorization_code' not allowed for the client.";
        return Err(refuse("unauthorized_client", text));
    }
    check_pkce(&params, client)?;
    for (name, value) in [("nonce", &params.nonce), ("login_hint", &params.login_hint)] {
        if value.as_ref().is_some_and(|value| value.len() > MAX_OPAQUE) {
            return Err(refuse("invalid_request", format!("`{name}` is longer than 4,096 bytes")));
        }
    }
    let scope = params.scope.as_deref().unwrap_or("openid profile email");
    let scope = Scopes::parse(scope)
        .ok_or_else(|| {
            refuse(
                "invalid_scope",
                "`scope` has too many tokens, or a character that is not allowed",
            )
        })?
        .filtered(|scope| Scopes::is_openid(scope) || api.has_scope(scope));
    let prompt = check_prompt(params.prompt.as_deref())?;
    let max_age = match params.max_age.as_deref().map(str::parse::<u32>) {
        None => None,
        Some(Ok(secs)) => Some(secs),
        Some(Err(_)) => return Err(refuse("invalid_request", "`max_age` is not a number")),
    };
    let authenticated_after = match max_age {
        _ if prompt.login => Some(now),
        Some(secs) => Some(now.minus(Duration::from_secs(u64::from(secs)))),
        None => None,
    };
    Ok(AuthorizationRequest {
        client_id: client.client_id.clone(),
        redirect_uri,
        scope,
        audience,
        state: params.state,
        nonce: params.nonce,
        code_challenge: params.code_challenge,
        prompt,
        authenticated_after,
        wants_auth_time: max_age.is_some(),
        login_hint: params.login_hint,
    })
}

/// RFC 7636; `plain` is refused, and a client without a secret must use it (RFC 9700 §2.1.1).
fn check_pkce(params: &AuthorizeParams, client: &Client) -> Result<(), Refusal> {
    match (params.code_challenge.as_deref(), params.code_challenge_method.as_deref()) {
        (Some(challenge), Some("S256")) if pkce::is_challenge(challenge) => Ok(()),
        (Some(_), Some("S256")) => {
            Err(refuse("invalid_request", "`code_challenge` is not 43 base64url characters"))
        }
        (Some(_), _) => Err(refuse("invalid_request", "`code_challenge_method` must be `S256`")),
        (None, Some(_)) => Err(refuse("invalid_request", "`code_challenge` is missing")),
        (None, None) if client.is_confidential() => Ok(()),
        (None, None) => {
            Err(refuse("invalid_request", "this application must use PKCE (`code_challenge`)"))
        }
    }
}

fn check_prompt(prompt: Option<&str>) -> Result<Prompt, Refusal> {
    let mut found = Prompt::default();
    for value in prompt.unwrap_or_default().split_whitespace() {
        match value {
            "none" => found.none = true,
            // Signing in again is how another account is selected here.
            "login" | "select_account" => found.login = true,
            "consent" => found.consent = true,
            _ => return Err(refuse("invalid_request", "`prompt` has an unknown value")),
        }
    }
    if found.none && (found.login || found.consent) {
        return Err(refuse("invalid_request", "`prompt=none` stands alone"));
    }
    Ok(found)
}

pub(crate) fn to_json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal { reason: error.to_string() })
}
