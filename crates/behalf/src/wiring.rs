//! The server put together: storage, identity, routes. Tests build it with their own clock,
//! randomness and folder.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Request, State};
use axum::response::Response;
use behalf_agent::{Agent, AgentParts, ModelEndpoint};
use behalf_authz::engine::Limits;
use behalf_authz::{AccessControl, Authz, AuthzParts};
use behalf_core::{Clock, Rng, Secret, TenantId};
use behalf_crypto::envelope::RootKey;
use behalf_egress::Egress;
use behalf_gate::{APPROVAL_LIFETIME, DocumentReaders, Gate, GateParts, flows};
use behalf_http::{FgaAuth, FgaLimits, HttpContext, RouteRule, Services};
use behalf_identity::{Identity, IdentityParts, Issuer, OwnApi};
use behalf_ledger::{Ledger, LedgerParts};
use behalf_retrieval::{Retrieval, RetrievalParts};
use behalf_store::{SqliteOptions, Storage};
use behalf_traces::{Traces, TracesParts};
use behalf_vault::{Vault, VaultParts};

pub use crate::server::App;
use crate::telemetry;

/// How many bytes FGA stores may take in memory where neither the operator nor the machine says.
pub const FGA_MEMORY_BYTES: u64 = 1 << 30;
/// How long a chat's stream stays open while its turn waits, unless the operator says otherwise.
pub const CHAT_HOLD: Duration = Duration::from_secs(10);

/// What differs between a real server and a test's.
#[derive(Debug)]
pub struct Ports {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub rng: Arc<dyn Rng>,
}

/// What the operator decides.
#[derive(Debug)]
pub struct ServerOptions {
    /// The address by which people and clients reach the server.
    pub issuer: Issuer,
    /// True if a reverse proxy in front is trusted.
    pub trusts_proxy: bool,
    /// Who may ask `/stores`.
    pub fga_auth: FgaAuth,
    /// What one request may ask of them.
    pub fga_limits: FgaLimits,
    /// Which store says what each client may ask of them, if one does.
    pub fga_access_control: Option<AccessControl>,
    /// The PostgreSQL database that holds the data; `None`: the embedded store in the folder.
    pub database: Option<Secret<String>>,
    /// The model that the agent asks.
    pub model: Option<ModelEndpoint>,
    /// How many bytes the FGA stores in memory may take together.
    pub fga_memory_bytes: u64,
    /// How long a chat's stream stays open while its turn waits.
    pub chat_hold: Duration,
    /// How long a person has to decide about a tool call.
    pub approval_lifetime: Duration,
}

impl ServerOptions {
    /// The defaults for `issuer`.
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            trusts_proxy: false,
            fga_auth: FgaAuth::default(),
            fga_limits: FgaLimits::default(),
            fga_access_control: None,
            database: None,
            model: None,
            fga_memory_bytes: FGA_MEMORY_BYTES,
            chat_hold: CHAT_HOLD,
            approval_lifetime: APPROVAL_LIFETIME,
        }
    }
}

/// The parts of a running server.
#[derive(Debug)]
pub struct Server {
    /// The database.
    pub storage: Storage,
    /// The default tenant's identity.
    pub identity: Identity,
    /// Its authorization stores.
    pub authz: Authz,
    /// Its traces.
    pub traces: Traces,
    /// Its connections and connected accounts.
    pub vault: Vault,
    /// The verifiable log that every event ends in.
    pub ledger: Ledger,
    /// Its decision point.
    pub gate: Gate,
    /// Its agent; [`Agent::start`] takes up what an earlier process left.
    pub agent: Agent,
    /// Its documents.
    pub retrieval: Retrieval,
    /// Every route, as the listeners serve them.
    pub router: App,
    /// The rule table: every route with who may call it.
    pub rules: Vec<RouteRule>,
}

impl Server {
    /// Opens the database, the embedded one in `dir` unless the options name another, and builds
    /// every route.
    ///
    /// # Errors
    /// When the database or the keys cannot be opened.
    pub async fn open(
        dir: &Path,
        root: &RootKey,
        options: ServerOptions,
        ports: Ports,
    ) -> anyhow::Result<Self> {
        telemetry::start();
        let storage = match &options.database {
            Some(url) => Storage::open_postgres(url.expose()).await?,
            None => Storage::open_sqlite(dir, SqliteOptions::default(), ports.clock.now())
                .with_context(|| format!("cannot open the database in {}", dir.display()))?,
        };
        let hashing_permits = std::thread::available_parallelism().map_or(1, usize::from);
        let authz = Authz::open(AuthzParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            snapshots: Some(dir.join("fga")),
            memory_bytes: options.fga_memory_bytes,
            limits: Limits {
                resolve_node_limit: options.fga_limits.resolve_node_limit,
                ..Limits::default()
            },
        })
        .await?;
        let parts = IdentityParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            issuer: options.issuer,
            hashing_permits,
        };
        let identity = Identity::open(parts, root).await?;
        let retrieval = Retrieval::new(RetrievalParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            may_read: Arc::new(DocumentReaders::new(identity.clone(), authz.clone())),
        });
        let traces = Traces::new(TracesParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            keyring: identity.keyring(),
        });
        let egress = Egress::new(concat!("Behalf/", env!("CARGO_PKG_VERSION")))?;
        let vault = Vault::new(VaultParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            keyring: identity.keyring(),
            egress: egress.clone(),
            redirect_uri: identity.issuer().join("login/callback"),
        });
        let ledger = Ledger::open(LedgerParts {
            storage: storage.clone(),
            clock: ports.clock.clone(),
            rng: ports.rng.clone(),
            tenant: TenantId::default_tenant(),
            keyring: identity.keyring(),
        })
        .await?;
        flows::make_built_ins(&identity, &authz).await?;
        let gate = Gate::new(GateParts {
            storage: storage.clone(),
            rng: ports.rng.clone(),
            identity: identity.clone(),
            authz: authz.clone(),
            vault: vault.clone(),
            approval_lifetime: options.approval_lifetime,
        });
        let agent = Agent::new(AgentParts {
            storage: storage.clone(),
            clock: ports.clock,
            rng: ports.rng,
            tenant: TenantId::default_tenant(),
            keyring: identity.keyring(),
            gate: gate.clone(),
            vault: vault.clone(),
            traces: traces.clone(),
            retrieval: retrieval.clone(),
            egress,
            audience: OwnApi::Behalf.audience(identity.issuer()),
            github: "github".parse()?,
            model: options.model,
        });
        let context = HttpContext::new(Services {
            identity: identity.clone(),
            trusts_proxy: options.trusts_proxy,
            version: env!("CARGO_PKG_VERSION"),
            error_page: behalf_console::error_page,
            authz: authz.clone(),
            traces: traces.clone(),
            fga_auth: options.fga_auth,
            fga_limits: options.fga_limits,
            fga_access_control: options.fga_access_control,
            vault: vault.clone(),
            ledger: ledger.clone(),
            gate: gate.clone(),
            retrieval: retrieval.clone(),
            agent: agent.clone(),
            chat_hold: options.chat_hold,
        });
        let (router, rules) = routes(context)?;
        Ok(Self {
            storage,
            identity,
            authz,
            retrieval,
            traces,
            vault,
            ledger,
            gate,
            agent,
            router,
            rules,
        })
    }
}

/// Nothing has this address: each dialect says so in its own words.
async fn not_found(context: State<HttpContext>, request: Request) -> Response {
    match behalf_api::fga::not_found(request.uri().path(), request.headers()) {
        Some(response) => response,
        None => behalf_console::not_found(context, request.headers().clone()).await,
    }
}

fn routes(context: HttpContext) -> anyhow::Result<(App, Vec<RouteRule>)> {
    let routes = behalf_api::oauth::routes(&context);
    let routes = behalf_api::health::routes(routes, telemetry::render);
    let routes = routes.merge(behalf_api::fga::routes(&context));
    let routes = routes.merge(behalf_api::traces::routes(&context));
    let routes = routes.merge(behalf_api::me::routes(&context));
    let routes = routes.merge(behalf_api::behalf::routes(&context));
    let routes = routes.merge(behalf_api::agent::routes(&context));
    let routes = routes.merge(behalf_api::audit::routes(&context));
    let routes = routes.merge(behalf_console::routes(&context));
    let routes = behalf_api::openapi::routes(routes, context.identity.issuer())?;
    let (router, rules) = routes.otherwise(not_found).into_parts();
    Ok((App::new(router, context), rules))
}
