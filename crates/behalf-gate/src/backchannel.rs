//! Backchannel authentication requests (OpenID Connect CIBA Core §7): an application asks, the
//! person answers on another device.

use std::time::Duration;

use behalf_core::{ClientId, Secret, UserId};
use behalf_crypto::digest::action_digest;
use behalf_crypto::opaque;
use behalf_identity::{AppType, Client, GrantError, GrantType, Scopes};
use behalf_store::gate::approvals;
use behalf_verify::canonical_json;
use serde_json::{Value, json};

use crate::approval::{Approval, NewApproval, Question, Source};
use crate::error::GateError;
use crate::gate::Gate;
use crate::words::Words;

/// What every `auth_req_id` starts with.
pub(crate) const REQUEST_PREFIX: &str = "bhf_cr_";
/// How long a client waits between polls, in seconds.
pub(crate) const INTERVAL_SECS: u32 = 5;
/// How long a request lives unless its client says otherwise: Auth0's default.
const LIFETIME_SECS: u32 = 300;
/// How long it may live at most: a day.
const LIFETIME_SECS_MAX: u32 = 86_400;
/// Undecided requests of one application for one person.
const PENDING_MAX: i64 = 100;
/// How large `authorization_details` may be, in bytes.
const DETAILS_MAX: usize = 64 * 1_024;
/// How many details may be asked for at once.
const DETAILS_COUNT_MAX: usize = 16;

/// The parameters of a request, as they were sent.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "each field is the parameter of its name")]
pub struct BackchannelRequest {
    pub scope: Option<String>,
    pub audience: Option<String>,
    pub login_hint: Option<String>,
    pub login_hint_token: Option<String>,
    pub id_token_hint: Option<String>,
    pub binding_message: Option<String>,
    pub requested_expiry: Option<String>,
    pub authorization_details: Option<String>,
}

/// The acknowledgement (CIBA Core §7.3).
#[derive(Clone, Debug)]
pub struct BackchannelAnswer {
    /// What the client polls with.
    pub auth_req_id: Secret<String>,
    /// How long it lives, in seconds.
    pub expires_in: u32,
    /// How long to wait between polls, in seconds.
    pub interval: u32,
}

/// What the digest of a request is of; absent members are null (DESIGN §3).
pub(crate) fn digest_input(question: &Question, user: &UserId, client: &ClientId) -> Value {
    json!({
        "scope": question.scopes.join(" "),
        "authorization_details": question.authorization_details,
        "binding_message": question.words.as_ref().map(|words| words.text.as_str()),
        "user": user.as_str(),
        "client": client.as_str(),
        "audience": question.audience,
    })
}

impl Gate {
    /// Asks the person whom `login_hint` names.
    ///
    /// # Errors
    /// The refusal of the request, in OAuth's words.
    pub async fn request_backchannel(
        &self,
        client: &Client,
        request: BackchannelRequest,
    ) -> Result<BackchannelAnswer, GrantError> {
        client.require_grant(GrantType::Ciba)?;
        if !client.is_confidential() {
            let text = "a client without a secret cannot ask for a person's approval";
            return Err(GrantError::UnauthorizedClient(text.into()));
        }
        let question = self.question(client, &request).await?;
        let expires_in = lifetime(request.requested_expiry.as_deref())?;
        let user = self.hinted_user(&request).await?;
        let pending = approvals::count_pending(
            self.storage(),
            self.tenant(),
            &user,
            Some(&client.client_id),
            self.identity().now(),
        );
        if pending.await? >= PENDING_MAX {
            let text = "too many requests of this client wait for this person".to_owned();
            return Err(GrantError::TooManyAttempts { text, retry_after_secs: 60 });
        }
        let digest = action_digest(&digest_input(&question, &user, &client.client_id))
            .map_err(|error| GrantError::InvalidAuthorizationDetails(error.to_string()))?;
        let auth_req_id = opaque::mint(REQUEST_PREFIX, self.rng());
        let is_agent = client.settings.app_type == AppType::Agent;
        let new = NewApproval {
            id: self.new_id("apr_"),
            source: Source::Ciba,
            user,
            client: client.client_id.clone(),
            agent: is_agent.then(|| client.client_id.clone()),
            call_id: None,
            request_hash: Some(opaque::digest(auth_req_id.expose())),
            digest,
            question,
            lifetime: Duration::from_secs(expires_in.into()),
        };
        let mut unit = self.unit();
        let approval = Approval::ask(&mut unit, self.tenant(), new)?;
        self.storage().commit(unit).await?;
        self.tell_asked(&approval);
        Ok(BackchannelAnswer { auth_req_id, expires_in, interval: INTERVAL_SECS })
    }

    async fn question(
        &self,
        client: &Client,
        request: &BackchannelRequest,
    ) -> Result<Question, GrantError> {
        let scopes = Scopes::parse(request.scope.as_deref().unwrap_or_default())
            .filter(|scopes| scopes.contains("openid"))
            .ok_or_else(|| GrantError::InvalidScope("`scope` has to contain `openid`".into()))?;
        if let Some(audience) = &request.audience
            && self.identity().find_api(audience).await?.is_none()
        {
            return Err(GrantError::InvalidTarget(format!("no API has audience `{audience}`")));
        }
        let details = request.authorization_details.as_deref().map(parse_details).transpose()?;
        let is_agent = client.settings.app_type == AppType::Agent;
        Ok(Question {
            client_name: client.settings.name.clone(),
            agent_name: is_agent.then(|| client.settings.name.clone()),
            words: request.binding_message.as_deref().and_then(Words::of),
            scopes: scopes.iter().map(str::to_owned).collect(),
            audience: request.audience.clone(),
            authorization_details: details,
            ..Question::default()
        })
    }

    /// The person of the one hint. Unknown, blocked and foreign ones read the same.
    async fn hinted_user(&self, request: &BackchannelRequest) -> Result<UserId, GrantError> {
        let hints = [&request.login_hint, &request.login_hint_token, &request.id_token_hint];
        if hints.iter().filter(|hint| hint.is_some()).count() != 1 {
            let text = "send exactly one of `login_hint`, `login_hint_token` and `id_token_hint`";
            return Err(GrantError::InvalidRequest(text.into()));
        }
        let malformed = || {
            let text = "send `login_hint` as JSON: {\"format\":\"iss_sub\",\"iss\":…,\"sub\":…}";
            GrantError::InvalidRequest(text.into())
        };
        let hint = request.login_hint.as_deref().ok_or_else(malformed)?;
        let hint = canonical_json::parse(hint).map_err(|_| malformed())?;
        let text = |name: &str| hint.get(name).and_then(Value::as_str);
        let (Some("iss_sub"), Some(iss), Some(sub)) = (text("format"), text("iss"), text("sub"))
        else {
            return Err(malformed());
        };
        let user = match sub.parse::<UserId>() {
            Ok(user_id) if iss == self.identity().issuer().as_str() => {
                self.identity().find_user(&user_id).await?
            }
            _ => None,
        };
        user.filter(|user| !user.blocked)
            .map(|user| user.user_id)
            .ok_or_else(|| GrantError::UnknownUser("the hint names nobody who can be asked".into()))
    }
}

/// `requested_expiry`, a positive number of seconds.
fn lifetime(requested: Option<&str>) -> Result<u32, GrantError> {
    let Some(text) = requested else { return Ok(LIFETIME_SECS) };
    text.trim()
        .parse::<u32>()
        .ok()
        .filter(|secs| (1..=LIFETIME_SECS_MAX).contains(secs))
        .ok_or_else(|| {
            GrantError::InvalidRequest(format!(
                "`requested_expiry` is a number of seconds from 1 to {LIFETIME_SECS_MAX}"
            ))
        })
}

/// RFC 9396 §2: an array of objects, each with a `type`.
fn parse_details(text: &str) -> Result<Value, GrantError> {
    let fail = |what: &str| Err(GrantError::InvalidAuthorizationDetails(what.to_owned()));
    if text.len() > DETAILS_MAX {
        return fail("`authorization_details` is too large");
    }
    let Ok(value) = canonical_json::parse(text) else {
        return fail("`authorization_details` is not JSON");
    };
    let Some(items) = value.as_array() else {
        return fail("`authorization_details` is not an array");
    };
    if items.len() > DETAILS_COUNT_MAX {
        return fail("`authorization_details` has too many entries");
    }
    let has_type = |item: &Value| {
        item.get("type").and_then(Value::as_str).is_some_and(|kind| !kind.is_empty())
    };
    if !items.iter().all(has_type) {
        return fail("each entry of `authorization_details` has a `type`");
    }
    Ok(value)
}

/// The gate's failures at the token endpoint and its neighbours.
impl From<GateError> for GrantError {
    fn from(error: GateError) -> Self {
        match error {
            GateError::Store(error) => error.into(),
            error => Self::Internal(error.to_string()),
        }
    }
}
