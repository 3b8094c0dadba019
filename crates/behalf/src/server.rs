//! Listeners: HTTP/1.1, h2c and TLS with ALPN, drained on shutdown.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use behalf_http::{HttpContext, PeerAddress};
use futures_util::StreamExt as _;
use http::{Method, StatusCode, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use metrics::{counter, histogram};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::slow_body;

/// Connections open at once; more wait to be accepted.
const MAX_CONNECTIONS: usize = 8192;
/// How long a client may take for its request's head, or for the TLS handshake.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long requests may run on after shutdown began.
const DRAIN: Duration = Duration::from_secs(10);

/// A bound listener.
pub(crate) struct Listener {
    tcp: TcpListener,
    tls: Option<TlsAcceptor>,
}

/// What the listener of a request is.
#[derive(Clone, Copy, Debug)]
struct Scheme {
    is_https: bool,
}

impl Listener {
    pub(crate) async fn bind(
        address: &str,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> anyhow::Result<Self> {
        let flag = if tls.is_some() { "--tls" } else { "--http" };
        let tcp = TcpListener::bind(address).await.map_err(|error| match error.kind() {
            ErrorKind::AddrInUse => {
                anyhow!("another program listens on {address}; choose another address with {flag}")
            }
            _ => anyhow!(error).context(format!("cannot listen on {address}")),
        })?;
        Ok(Self { tcp, tls: tls.map(TlsAcceptor::from) })
    }

    pub(crate) fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.tcp.local_addr()?)
    }

    /// Serves `router` until `shutdown` turns true, then drains.
    pub(crate) async fn serve(self, router: Router, mut shutdown: watch::Receiver<bool>) {
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let tasks = tokio_util::task::TaskTracker::new();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { break };
            let accepted = tokio::select! {
                accepted = self.tcp.accept() => accepted,
                _ = shutdown.wait_for(|is_over| *is_over) => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, say: others may go away in a moment.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            let router = router.clone();
            let watcher = graceful.watcher();
            let tls = self.tls.clone();
            let stopped = shutdown.clone();
            tasks.spawn(async move {
                let _place = place;
                match tls {
                    None => connection(stream, peer, false, router, watcher, stopped).await,
                    Some(acceptor) => {
                        let handshake = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream));
                        match handshake.await {
                            Ok(Ok(stream)) => {
                                connection(stream, peer, true, router, watcher, stopped).await;
                            }
                            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
                            Err(_late) => tracing::debug!("TLS handshake took too long"),
                        }
                    }
                }
            });
        }
        drop(self.tcp);
        tasks.close();
        let drained = async {
            graceful.shutdown().await;
            tasks.wait().await;
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!("some requests did not end in time and are cut off");
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    is_https: bool,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    stopped: watch::Receiver<bool>,
) {
    let service = router.map_request(move |mut request: http::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(PeerAddress(peer));
        request.extensions_mut().insert(Scheme { is_https });
        request.map(Body::new)
    });
    let service = service.map_response(move |response| until_stopped(response, stopped));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    let served = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
        .into_owned();
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

/// An event stream has no end of its own: it goes on until the server stops, and whoever follows
/// connects again.
fn until_stopped(response: Response, mut stopped: watch::Receiver<bool>) -> Response {
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
        return response;
    }
    let over = async move { drop(stopped.wait_for(|is_over| *is_over).await) };
    response.map(|body| Body::from_stream(body.into_data_stream().take_until(Box::pin(over))))
}

/// A page asked at another name or listener is redirected to the issuer, where its cookie and its
/// forms belong (DESIGN §6). APIs answer everywhere; metadata always names the issuer.
fn leave_for_issuer(context: &HttpContext, request: &Request) -> Option<Response> {
    let issuer = context.identity.issuer();
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    if !is_page(request.uri().path()) || context.trusts_proxy {
        return None;
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .or_else(|| request.uri().authority().map(http::uri::Authority::as_str));
    let scheme = request.extensions().get::<Scheme>().copied();
    let is_right_scheme = scheme.is_none_or(|scheme| scheme.is_https == issuer.is_https());
    if host == Some(issuer.authority()) && is_right_scheme {
        return None;
    }
    let location = format!("{}{path}", issuer.origin());
    Some((StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response())
}

fn is_page(path: &str) -> bool {
    const PAGES: [&str; 7] = [
        "/authorize",
        "/login/callback",
        "/v2/logout",
        "/oidc/logout",
        "/u",
        "/account",
        "/console",
    ];
    path == "/"
        || PAGES.iter().any(|page| {
            path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
}

/// Measures a request by its route, never by its path, which holds ids.
fn count(method: &Method, route: Option<&MatchedPath>, status: u16, took: Duration) {
    let route = route.map_or("none", MatchedPath::as_str).to_owned();
    // Whoever invents methods does not invent series.
    let method = match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    };
    let labels = [
        ("method", Cow::Borrowed(method)),
        ("route", Cow::Owned(route.clone())),
        ("status", Cow::Owned(status.to_string())),
    ];
    counter!("behalf_http_requests_total", &labels).increment(1);
    histogram!("behalf_http_request_duration_seconds", "route" => route).record(took);
}

/// What is done around every request, in one layer because each layer costs the hot routes: a page
/// asked elsewhere is sent to the issuer, a body gets its time, the theme is read, every answer gets
/// its headers, and one line is logged. Never the query, headers or body: they hold codes and
/// tokens.
pub(crate) async fn around(
    State(context): State<HttpContext>,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = match leave_for_issuer(&context, &request) {
        Some(response) => response,
        None => {
            let (request, received) = slow_body::timed(request);
            received.before(behalf_console::with_theme(request, next).await).await
        }
    };
    let response = behalf_http::security_headers(response);
    let status = response.status().as_u16();
    count(&method, route.as_ref(), status, started.elapsed());
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status, millis, "request");
    response
}
