//! What the API and the console share of HTTP: how parameters are read, who stands behind a
//! request, which rule guards each route, and the headers that every answer carries.
//!
//! Knows no dialect and no page; those are `behalf-api` and `behalf-console`.

mod access;
mod browser;
pub mod cors;
mod form;
mod headers;
mod next;
mod params;
mod person;
mod reader;
mod routes;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use behalf_agent::Agent;
use behalf_authz::{AccessControl, Authz};
use behalf_gate::Gate;
use behalf_identity::Identity;
use behalf_ledger::Ledger;
use behalf_retrieval::Retrieval;
use behalf_traces::Traces;
use behalf_vault::Vault;
use http::StatusCode;

pub use access::{Caller, Denial, DenialShape, LocalCaller, RouteRule, Rule, project_scope};
pub use browser::{BrowserOf, PeerAddress, SetCookie, cookie_name};
pub use form::{FormError, PageForm, TOKEN_FIELD, is_foreign};
pub use headers::{CspSource, page_headers, security_headers};
pub use next::{location_of, with_cookie};
pub use params::{Params, ParamsError};
pub use person::{Person, PersonForm};
pub use routes::{AnswerHeaders, RoutePath, Routes};

/// How an error is shown to a person: status, title, what happened and what to do next. The console
/// renders it; APIs that answer browsers call it.
pub type ErrorPage = fn(StatusCode, &str, &str) -> Response;

/// How callers of `/stores` show who they are (`--fga-auth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FgaAuth {
    /// By an access token.
    pub oidc: bool,
    /// By a preshared key.
    pub preshared: bool,
    /// Not at all: only while every listener is loopback.
    pub none: bool,
}

impl Default for FgaAuth {
    fn default() -> Self {
        Self { oidc: true, preshared: true, none: false }
    }
}

/// Limits of `/stores` that the operator sets (`--fga-…`), by OpenFGA's names. Zero is no limit
/// where not said otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FgaLimits {
    /// Results of one `ListObjects`.
    pub list_objects_max_results: usize,
    /// How long one `ListObjects` looks, also as a stream.
    pub list_objects_deadline: Duration,
    /// Results of one `ListUsers`.
    pub list_users_max_results: usize,
    /// How long one `ListUsers` looks.
    pub list_users_deadline: Duration,
    /// Hops through usersets and tuplesets outside recursive relations.
    pub resolve_node_limit: u32,
    /// How long `ReadChanges` keeps a change back.
    pub changelog_horizon: Duration,
    /// Writes and deletes of one Write together, at least 1.
    pub max_tuples_per_write: usize,
    /// Checks of one `BatchCheck`, at least 1.
    pub max_checks_per_batch: usize,
}

impl Default for FgaLimits {
    fn default() -> Self {
        Self {
            list_objects_max_results: 0,
            list_objects_deadline: Duration::ZERO,
            list_users_max_results: 0,
            list_users_deadline: Duration::ZERO,
            resolve_node_limit: 25,
            changelog_horizon: Duration::ZERO,
            max_tuples_per_write: 100,
            max_checks_per_batch: 50,
        }
    }
}

/// What every route can reach; clones share it, as each request makes several.
#[derive(Clone, Debug)]
pub struct HttpContext(Arc<Services>);

impl HttpContext {
    /// Shares `services`.
    pub fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }
}

impl Deref for HttpContext {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

/// The services behind the routes, and what the operator chose for them.
#[derive(Debug)]
pub struct Services {
    /// The tenant's identity.
    pub identity: Identity,
    /// True if a reverse proxy in front is trusted to say who the peer is.
    pub trusts_proxy: bool,
    /// Behalf's version, for pages and `User-Agent`.
    pub version: &'static str,
    /// Renders errors for people.
    pub error_page: ErrorPage,
    /// The authorization service.
    pub authz: Authz,
    /// The runs of agents.
    pub traces: Traces,
    /// Who may ask it.
    pub fga_auth: FgaAuth,
    /// What one request may ask of it.
    pub fga_limits: FgaLimits,
    /// Which store says what each client may ask of it, if one does.
    pub fga_access_control: Option<AccessControl>,
    /// Connections, connected accounts and their tokens.
    pub vault: Vault,
    /// The verifiable log.
    pub ledger: Ledger,
    /// The decision point.
    pub gate: Gate,
    /// The built-in agent.
    pub agent: Agent,
    /// How long a chat's stream stays open while its turn waits (`--chat-hold`).
    pub chat_hold: Duration,
    /// Documents, and the search over them.
    pub retrieval: Retrieval,
}
