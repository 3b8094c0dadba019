//! The rule table: no route without a rule, and one place that enforces them all.
//!
//! Roles come from the store on every request, so that a right taken away is gone at once.

use std::net::IpAddr;
use std::sync::Arc;

use axum::response::Response;
use behalf_authz::ApiRight;
use behalf_core::Actor;
use behalf_identity::{
    AccessToken, FgaCaller, FgaPrincipal, OwnApi, ProjectCaller, Resource, Right, Session,
    TokenError, User, right,
};
use behalf_store::StoreError;
use http::header::{self, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, StatusCode};

use crate::Services;
use crate::browser::browser_of;
use crate::form::is_foreign;
use crate::next::{location_of, with_cookie};
use crate::routes::Guard;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everybody. The handler itself authenticates clients or browsers where that is its task:
    /// metadata, token endpoint, sign-in pages.
    Public,
    /// Whoever is signed in in this browser.
    Person,
    /// Whoever is signed in in this browser with a role that reaches this far.
    Role(Resource, Right),
    /// The holder of an access token for this API with this scope.
    Bearer(OwnApi, &'static str),
    /// The holder of an access token for `{issuer}api/` with this scope; or, without a token,
    /// whoever is signed in in this browser and could have that scope (DESIGN §6). What a project
    /// keeps also opens to the project's own keys.
    Api(&'static str),
    /// Whoever `--fga-auth` admits to `/stores`, with this scope, within the store of the path; and
    /// where access control is on, the client must have this right. The handler asks for that one,
    /// since by gRPC the store stands in the message.
    Fga(&'static str, ApiRight),
}

/// A route as the rule table lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteRule {
    /// The method.
    pub method: Method,
    /// The path, with axum's placeholders.
    pub path: &'static str,
    /// Who may call it.
    pub rule: Rule,
}

/// Who called, put into the request for its handler.
#[derive(Clone, Debug)]
pub enum Caller {
    /// A person in her browser.
    Person(Session),
    /// The holder of an access token, and the person it is about.
    Token(AccessToken, Option<User>),
    /// Whoever asks `/stores`, and the right that the route needs of her.
    Fga(Arc<FgaCaller>, ApiRight),
    /// A machine with the key of a project.
    Project(ProjectCaller),
}

/// Somebody who holds the data folder, by its lock or by its control socket: she may run everything
/// (DESIGN §6). Only those two put it into a request; no listener that others reach does.
#[derive(Clone, Debug)]
pub struct LocalCaller(pub Actor);

/// A request was refused by its route's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No access token, or a bad one.
    Unauthenticated(Option<TokenError>),
    /// The token lacks this scope.
    Scope(&'static str),
    /// None of her roles reaches this far.
    Role,
    /// The store of the path is out of the caller's reach.
    FgaStore,
    /// A browser's session, but another site made the request, or nobody says who did.
    ForeignOrigin,
    /// Who it is could not be looked up.
    Store(StoreError),
}

impl Denial {
    /// The answer's status.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Scope(_) | Self::Role | Self::FgaStore | Self::ForeignOrigin => {
                StatusCode::FORBIDDEN
            }
            Self::Store(StoreError::Unavailable { .. }) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// RFC 6750 §3.1's error code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unauthenticated(_) => "invalid_token",
            Self::Scope(_) => "insufficient_scope",
            Self::Role | Self::FgaStore | Self::ForeignOrigin => "forbidden",
            Self::Store(_) => "server_error",
        }
    }

    /// What happened, for the caller.
    pub fn message(&self) -> String {
        match self {
            Self::Unauthenticated(None) => "an access token is missing".to_owned(),
            Self::Unauthenticated(Some(error)) => error.to_string(),
            Self::Scope(scope) => format!("the access token lacks scope `{scope}`"),
            Self::Role => "none of your roles allows this".to_owned(),
            Self::FgaStore => "these credentials do not reach this store".to_owned(),
            Self::ForeignOrigin => {
                "the request comes from a page of another site, or does not say from which (`Origin`)"
                    .to_owned()
            }
            Self::Store(_) => "try again later; nothing was done".to_owned(),
        }
    }

    /// The `WWW-Authenticate` value for a bearer route (RFC 6750 §3).
    pub fn challenge(&self) -> Option<HeaderValue> {
        let text = match self {
            Self::Unauthenticated(None) => "Bearer".to_owned(),
            Self::Unauthenticated(Some(error)) => {
                format!("Bearer error=\"invalid_token\", error_description=\"{error}\"")
            }
            Self::Scope(scope) => {
                format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"")
            }
            Self::Role | Self::FgaStore | Self::ForeignOrigin | Self::Store(_) => return None,
        };
        HeaderValue::from_str(&text).ok()
    }
}

/// How a group of routes words its denials: each dialect has its own shape.
pub type DenialShape = fn(&Denial) -> Response;

/// Asks the route's rule who calls; whoever it admits is put into the request.
pub(crate) async fn enforce(guard: &Guard, parts: &mut Parts) -> Result<(), Response> {
    let admitted = match guard.rule {
        Rule::Public => Ok(None),
        Rule::Person => admit_person(guard, parts, None).await,
        Rule::Role(resource, right) => admit_person(guard, parts, Some((resource, right))).await,
        Rule::Bearer(api, scope) => admit_bearer(guard, parts, api, scope).await,
        Rule::Api(scope) => admit_api(guard, parts, scope).await,
        Rule::Fga(scope, right) => {
            admit_fga(guard, parts, scope).await.map(|caller| Some(Caller::Fga(caller, right)))
        }
    };
    match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                parts.extensions.insert(caller);
            }
            Ok(())
        }
        Err(Refusal::Response(response)) => Err(*response),
        Err(Refusal::Denial(denial)) => {
            if let Denial::Store(error) = &denial {
                tracing::error!(%error, path = parts.uri.path(), "a caller could not be looked up");
            }
            Err((guard.shape)(&denial))
        }
    }
}

enum Refusal {
    Denial(Denial),
    Response(Box<Response>),
}

impl From<Denial> for Refusal {
    fn from(denial: Denial) -> Self {
        Self::Denial(denial)
    }
}

async fn admit_person(
    guard: &Guard,
    parts: &Parts,
    needed: Option<(Resource, Right)>,
) -> Result<Option<Caller>, Refusal> {
    let identity = &guard.context.identity;
    // Another site's form comes without the browser's cookie: the fresh one that leads to sign-in
    // would take that one's place, and sign her out.
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    if !is_read && is_foreign(&parts.headers, identity.issuer().origin()) {
        return Err(Denial::ForeignOrigin.into());
    }
    let browser = browser_of(parts, &guard.context);
    let session = identity.find_session(&browser).await.map_err(Denial::Store)?;
    let Some(session) = session else {
        return Err(Refusal::Response(Box::new(redirect_to_sign_in(guard, parts).await?)));
    };
    let is_allowed = needed.is_none_or(|(resource, needed)| {
        session.user.roles.iter().any(|role| right(*role, resource) >= needed)
    });
    if is_allowed { Ok(Some(Caller::Person(session))) } else { Err(Denial::Role.into()) }
}

/// Pages without a session redirect to sign-in and come back (DESIGN §2).
async fn redirect_to_sign_in(guard: &Guard, parts: &Parts) -> Result<Response, Refusal> {
    let context = &guard.context;
    // What was posted is not repeated after signing in, so a form's page is where she returns.
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let return_to = match path {
        path if is_read => path,
        path if path.starts_with("/account") => "/account",
        _ => "/console",
    };
    let status = if is_read { StatusCode::FOUND } else { StatusCode::SEE_OTHER };
    with_cookie(context, browser_of(parts, context), async |browser| {
        let next = context.identity.begin_page_sign_in(return_to, &browser).await;
        let next = next.map_err(Denial::Store)?;
        Ok::<_, Refusal>((status, [(header::LOCATION, location_of(next))]))
    })
    .await
}

async fn admit_bearer(
    guard: &Guard,
    parts: &Parts,
    api: OwnApi,
    scope: &'static str,
) -> Result<Option<Caller>, Refusal> {
    let identity = &guard.context.identity;
    let token = bearer_token(parts).ok_or(Denial::Unauthenticated(None))?;
    let audience = api.audience(identity.issuer());
    let token = identity
        .verify_access_token(token, &audience)
        .map_err(|error| Denial::Unauthenticated(Some(error)))?;
    // A blocked or deleted person's tokens, and those of a deleted client, end before they expire.
    let gone = Denial::Unauthenticated(Some(TokenError::Invalid));
    let client = identity.find_client(token.client_id.as_str()).await.map_err(Denial::Store)?;
    if client.is_none() {
        return Err(gone.into());
    }
    let user = match token.user_id() {
        None => None,
        Some(user_id) => {
            let user = identity.find_user(&user_id).await.map_err(Denial::Store)?;
            Some(user.filter(|user| !user.blocked).ok_or(gone)?)
        }
    };
    // A role taken away takes its scopes out of the tokens that carry them.
    let holds = user.as_ref().is_none_or(|user| api.person_still_holds(scope, user));
    if !api.admits(&token.scopes, scope) || !holds {
        return Err(Denial::Scope(scope).into());
    }
    Ok(Some(Caller::Token(token, user)))
}

/// DESIGN §6: a console session on `/api/*` needs a same-origin `Origin` for every method but GET.
async fn admit_api(
    guard: &Guard,
    parts: &Parts,
    scope: &'static str,
) -> Result<Option<Caller>, Refusal> {
    if parts.headers.contains_key(header::AUTHORIZATION) {
        if let (Some(needed), Some(key)) = (project_scope(scope), bearer_token(parts)) {
            let identity = &guard.context.identity;
            let machine = identity.find_project_key(key).await.map_err(Denial::Store)?;
            if let Some(machine) = machine {
                let may = machine.scopes.iter().any(|scope| scope == needed);
                return if may {
                    Ok(Some(Caller::Project(machine)))
                } else {
                    Err(Denial::Scope(needed).into())
                };
            }
        }
        return admit_bearer(guard, parts, OwnApi::Behalf, scope).await;
    }
    let context = &guard.context;
    let browser = browser_of(parts, context);
    let session = context.identity.find_session(&browser).await.map_err(Denial::Store)?;
    let session = session.ok_or(Denial::Unauthenticated(None))?;
    let says_origin = parts.headers.contains_key(header::ORIGIN);
    let is_read = matches!(parts.method, Method::GET | Method::HEAD);
    if is_foreign(&parts.headers, context.identity.issuer().origin()) || !(is_read || says_origin) {
        return Err(Denial::ForeignOrigin.into());
    }
    if !OwnApi::Behalf.person_may_hold(scope, &session.user) {
        return Err(Denial::Role.into());
    }
    Ok(Some(Caller::Person(session)))
}

/// The scope of a project's key that opens what this scope of the API opens.
pub fn project_scope(scope: &str) -> Option<&'static str> {
    (scope == "read:traces").then_some("traces:read")
}

/// DESIGN §7: an access token, a preshared key, or nobody at all, as the operator chose.
async fn admit_fga(
    guard: &Guard,
    parts: &Parts,
    scope: &'static str,
) -> Result<Arc<FgaCaller>, Refusal> {
    if let Some(LocalCaller(actor)) = parts.extensions.get() {
        let (actor, scopes) = (actor.clone(), vec![scope.to_owned()]);
        let principal = FgaPrincipal::Local;
        return Ok(Arc::new(FgaCaller { actor, principal, scopes, stores: None }));
    }
    let Services { identity, fga_auth, .. } = &*guard.context;
    let token = bearer_token(parts);
    // Whoever is on this machine may ask, but no web page that a browser on it shows.
    let is_page =
        || is_foreign(&parts.headers, identity.issuer().origin()) || !is_local(guard, parts);
    if fga_auth.none && is_page() {
        return Err(Denial::ForeignOrigin.into());
    }
    let caller = match token {
        _ if fga_auth.none => {
            let (actor, scopes) = (Actor::Anonymous, vec![scope.to_owned()]);
            let principal = FgaPrincipal::Nobody;
            Arc::new(FgaCaller { actor, principal, scopes, stores: None })
        }
        None => return Err(Denial::Unauthenticated(None).into()),
        Some(token) => {
            let key = match fga_auth.preshared {
                true => identity.find_fga_key(token).await.map_err(Denial::Store)?,
                false => None,
            };
            match key {
                Some(caller) => caller,
                None if fga_auth.oidc => {
                    let verified = identity.verify_fga_token(token).await.map_err(Denial::Store)?;
                    Arc::new(verified.map_err(|error| Denial::Unauthenticated(Some(error)))?.1)
                }
                None => return Err(Denial::Unauthenticated(Some(TokenError::Invalid)).into()),
            }
        }
    };
    if !caller.scopes.iter().any(|known| known == scope) {
        return Err(Denial::Scope(scope).into());
    }
    // By gRPC the store stands in the message, and whoever reads that asks `may_reach` too.
    let store_id =
        parts.uri.path().strip_prefix("/stores/").and_then(|rest| rest.split('/').next());
    if store_id.is_some_and(|store_id| !caller.may_reach(store_id)) {
        return Err(Denial::FgaStore.into());
    }
    Ok(caller)
}

/// True if the host asked for is this machine or the issuer's: not a name that the owner of a web
/// page lets point here, so that a browser takes us for a part of his site.
fn is_local(guard: &Guard, parts: &Parts) -> bool {
    let host = match parts.headers.get(header::HOST) {
        Some(value) => value.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
        None => match parts.uri.authority() {
            Some(authority) => Some(authority.clone()),
            None => return true,
        },
    };
    let Some(host) = host else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_localhost = name == "localhost" || name.ends_with(".localhost");
    is_loopback || is_localhost || host.as_str() == guard.context.identity.issuer().authority()
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1); the scheme's case does not matter.
fn bearer_token(parts: &Parts) -> Option<&str> {
    let mut lines = parts.headers.get_all(header::AUTHORIZATION).iter();
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() {
        return None;
    }
    let (scheme, token) = line.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
