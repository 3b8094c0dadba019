//! A scripted provider: GitHub's OAuth endpoints and the few REST calls that agents make, in
//! memory, on a loopback port.
//!
//! Shapes and quirks are GitHub's: errors in a 200, refresh tokens that work once and take the old
//! access token with them, 404 for a missing scope. It records what it receives, and can be told to
//! be slow, to break off, to refuse or to hang up, before an effect or after it.

mod api;
mod faults;
mod oauth;
mod pages;
mod repositories;
mod state;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use axum::Router;
use axum::routing::{delete, get, post};
use behalf_core::{Clock, Rng, Secret, Timestamp};
use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub use faults::{Fault, Received};
use state::State;

/// What a scripted provider is started with.
#[derive(Debug)]
pub struct ProviderOptions {
    /// The client that may send people here.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Where it may have them sent back to.
    pub redirect_uris: Vec<String>,
    /// The accounts that one may sign in as.
    pub people: Vec<String>,
    /// How long access tokens live, in seconds; `None`: they do not expire, and there are no
    /// refresh tokens.
    pub token_lifetime: Option<u32>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for codes and tokens.
    pub rng: Arc<dyn Rng>,
}

/// A running provider; it stops when it is dropped.
#[derive(Debug)]
pub struct LocalProvider {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
}

/// A pair of tokens that the provider accepts.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access_token: Secret<String>,
    /// The refresh token, if tokens expire.
    pub refresh_token: Option<Secret<String>>,
}

#[derive(Debug)]
struct Shared {
    options: ProviderOptions,
    base_url: String,
    state: Mutex<State>,
    faults: Mutex<faults::Faults>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, faults::Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        self.options.clock.now()
    }
}

impl LocalProvider {
    /// Starts a provider on `address`, which must be loopback; port 0 takes a free one.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be listened on.
    pub async fn start(address: &str, options: ProviderOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("the scripted provider cannot listen on {address}"))?;
        let address = listener.local_addr()?;
        anyhow::ensure!(address.ip().is_loopback(), "the scripted provider stays on loopback");
        let shared = Arc::new(Shared {
            options,
            base_url: format!("http://{address}/"),
            state: Mutex::default(),
            faults: Mutex::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let router = router(Arc::clone(&shared));
        tokio::task::spawn(serve(listener, router, stopped));
        Ok(Self { shared, address, stop })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its root: the API, `/user` and the rest stand below it.
    pub fn base_url(&self) -> &str {
        &self.shared.base_url
    }

    /// A connection's `options` for this provider in a set-up file, as a YAML flow mapping.
    pub fn connection_options(&self, scope: &str) -> String {
        let base = self.base_url();
        let ProviderOptions { client_id, client_secret, .. } = &self.shared.options;
        format!(
            "{{client_id: \"{client_id}\", client_secret: \"{client_secret}\", \
             authorization_url: \"{base}login/oauth/authorize\", \
             token_url: \"{base}login/oauth/access_token\", userinfo_url: \"{base}user\", \
             api_base_url: \"{base}\", scope: [{scope}]}}"
        )
    }

    /// Issues tokens as if the person of that login had authorized these scopes.
    pub fn issue(&self, login: &str, scopes: &[&str]) -> IssuedTokens {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        self.shared.state().issue(&self.shared.options, login, scopes, None)
    }

    /// Forgets every token: from here on they are 401 and refreshes are refused.
    pub fn revoke_everything(&self) {
        self.shared.state().revoke_everything();
    }

    /// True if the provider would accept that access token now.
    pub fn accepts(&self, access_token: &str) -> bool {
        self.shared.state().find_access(access_token, self.shared.now()).is_some()
    }

    /// What it has received, in order.
    pub fn received(&self) -> Vec<Received> {
        self.shared.faults().received()
    }

    /// How often that was asked for: a method and a path without query.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let is_it = |received: &&Received| {
            received.method == method && received.path.split('?').next() == Some(path)
        };
        self.shared.faults().received().iter().filter(is_it).count()
    }

    /// The Gists that were made, oldest first, as the API shows them.
    pub fn gists(&self) -> Vec<Value> {
        self.shared.state().gists.iter().map(|gist| gist.body.clone()).collect()
    }

    /// Answers the next `times` requests to that path (without query) with a fault.
    pub fn fail_next(&self, path: &str, times: usize, fault: &Fault) {
        self.shared.faults().add(path, times, fault);
    }

    /// Hangs up on everybody and stops listening.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for LocalProvider {
    fn drop(&mut self) {
        self.stop();
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/", get(pages::home))
        .route("/login/oauth/authorize", get(oauth::authorize).post(oauth::decide))
        .route("/login/oauth/access_token", post(oauth::access_token))
        .route("/applications/{client_id}/grant", delete(oauth::delete_grant))
        .route("/applications/{client_id}/token", delete(oauth::delete_token))
        .route("/user", get(api::user))
        .route("/search/repositories", get(api::search_repositories))
        .route("/gists", get(api::list_gists).post(api::create_gist))
        .route("/gists/{id}", get(api::gist))
        .route("/gist/{login}/{id}", get(pages::gist))
        .fallback(api::not_found)
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&shared), faults::interfere))
        .with_state(shared)
}

async fn serve(listener: TcpListener, router: Router, mut stopped: watch::Receiver<bool>) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped.wait_for(|is_over| *is_over) => return,
        };
        let Ok((stream, _peer)) = accepted else { continue };
        let (router, mut stopped) = (router.clone(), stopped.clone());
        tokio::task::spawn(async move {
            let service = hyper::service::service_fn(move |request: Request<Incoming>| {
                let router = router.clone();
                async move {
                    let Ok(response) = router.oneshot(request).await;
                    faults::hang_up_or(response)
                }
            });
            let builder = auto::Builder::new(TokioExecutor::new());
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                served = connection => if let Err(error) = served {
                    tracing::debug!(%error, "a connection to the scripted provider ended early");
                },
                _ = stopped.wait_for(|is_over| *is_over) => {}
            }
        });
    }
}
