//! Listeners: HTTP/1.1, h2c and TLS with ALPN, drained on shutdown.

use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::{BoxError, Router};
use behalf_console::Theme;
use behalf_http::{HttpContext, PeerAddress, RoutePath};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use http::{Method, StatusCode, header};
use hyper::body::{Body as HttpBody, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use metrics::{counter, histogram};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower::Service;

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

    /// Serves `service` until `shutdown` turns true, then drains.
    pub(crate) async fn serve<S>(self, service: S, mut shutdown: watch::Receiver<bool>)
    where
        S: Answers,
        S::Future: Send,
    {
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
            let service = service.clone();
            let watcher = graceful.watcher();
            let tls = self.tls.clone();
            let stopped = shutdown.clone();
            tasks.spawn(async move {
                let _place = place;
                match tls {
                    None => connection(stream, peer, false, service, watcher, stopped).await,
                    Some(acceptor) => {
                        let handshake = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream));
                        match handshake.await {
                            Ok(Ok(stream)) => {
                                connection(stream, peer, true, service, watcher, stopped).await;
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

async fn connection<S>(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    is_https: bool,
    service: S,
    watcher: hyper_util::server::graceful::Watcher,
    stopped: watch::Receiver<bool>,
) where
    S: Answers,
    S::Future: Send,
{
    let carries_many = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&carries_many);
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        seen.store(request.version() == http::Version::HTTP_2, Ordering::Relaxed);
        request.extensions_mut().insert(PeerAddress(peer));
        request.extensions_mut().insert(Scheme { is_https });
        let answer = service.clone().call(request);
        let stopped = stopped.clone();
        async move { answer.await.map(|response| until_stopped(response, stopped)) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(256);
    let served = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let served = Box::pin(watcher.watch(served));
    if let Err(error) = (AnswersTogether { served, carries_many, has_waited: false }).await {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

/// A connection whose requests are tasks of their own, as HTTP/2's are: it waits for those that are
/// ready to run before it goes on, and then sends their answers together and not one by one.
struct AnswersTogether<F> {
    served: F,
    carries_many: Arc<AtomicBool>,
    has_waited: bool,
}

impl<F: Future + Unpin> Future for AnswersTogether<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.has_waited = !self.has_waited && self.carries_many.load(Ordering::Relaxed);
        if self.has_waited {
            // Behind whatever waits for this thread.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.served).poll(cx)
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
fn leave_for_issuer<B>(context: &HttpContext, request: &http::Request<B>) -> Option<Response> {
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
fn count(method: &Method, response: &Response, took: Duration) {
    let route = response.extensions().get::<RoutePath>().map_or("none", |route| route.0);
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
    let status = response.status().as_str().to_owned();
    counter!("behalf_http_requests_total", "method" => method, "route" => route, "status" => status)
        .increment(1);
    histogram!("behalf_http_request_duration_seconds", "route" => route).record(took);
}

/// What answers a listener's requests.
pub(crate) trait Answers:
    Service<http::Request<Incoming>, Response = Response, Error = Infallible> + Clone + Send + 'static
{
}

impl<S> Answers for S where
    S: Service<http::Request<Incoming>, Response = Response, Error = Infallible>
        + Clone
        + Send
        + 'static
{
}

/// Every route, and what is done around each: a page asked elsewhere is sent to the issuer, a body
/// gets its time, the theme is read, every answer gets its headers, and one line is logged. Never
/// the query, headers or body: they hold codes and tokens.
#[derive(Clone, Debug)]
pub struct App {
    router: Router,
    context: HttpContext,
}

impl App {
    pub(crate) const fn new(router: Router, context: HttpContext) -> Self {
        Self { router, context }
    }

    async fn answer<B>(mut self, request: http::Request<B>) -> Response
    where
        B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
    {
        let started = Instant::now();
        let method = request.method().clone();
        let uri = request.uri().clone();
        let response = match leave_for_issuer(&self.context, &request) {
            Some(response) => response,
            None => {
                let (request, received) = slow_body::timed(request);
                let theme = Theme::of(request.headers());
                let Ok(response) = theme.during(self.router.call(request)).await;
                received.before(response).await
            }
        };
        let response = behalf_http::security_headers(response);
        let took = started.elapsed();
        count(&method, &response, took);
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let (path, status) = (uri.path(), response.status().as_u16());
        tracing::info!(%method, path, status, millis, "request");
        response
    }
}

impl<B> Service<http::Request<B>> for App
where
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        Box::pin(self.clone().answer(request).map(Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_carries_many_goes_on_behind_what_is_ready() {
        for (carries_many, expected) in
            [(false, ["connection", "request"]), (true, ["request", "connection"])]
        {
            let carries_many = Arc::new(AtomicBool::new(carries_many));
            let (turns, mut seen) = tokio::sync::mpsc::unbounded_channel();
            let turn = turns.clone();
            let served = Box::pin(async move { turn.send("connection") });
            let connection = AnswersTogether { served, carries_many, has_waited: false };
            let request = async move { turns.send("request") };
            let (first, second) = tokio::join!(connection, request);
            first.and(second).unwrap();
            let seen = [seen.recv().await.unwrap(), seen.recv().await.unwrap()];
            assert_eq!(seen, expected);
        }
    }
}
