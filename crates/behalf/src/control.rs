//! The control socket: how the other commands reach a server that holds the data folder.
//!
//! Whoever can open the socket (0600) may run every command; the record names the local user.

pub(crate) mod import;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use behalf_core::{Actor, Secret};
use behalf_gate::flows::{ApplyOptions, SetupOutcome};
use behalf_http::LocalCaller;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

use crate::setup_file::{self, Source};
use crate::wiring::Server;

/// The largest request or answer, in bytes: a document, escaped, with room to spare.
const MAX_BODY: usize = 64 * 1024 * 1024;

/// How long what is under way may run on once the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// How long a server that is starting is waited for, and how long until it is asked again.
const STARTING: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// The largest bundle, in bytes.
pub(crate) const MAX_BUNDLE: usize = 2 * 1024 * 1024 * 1024;

/// `POST /export`: times as they were typed. Its answer is the bundle.
#[derive(Serialize, Deserialize)]
pub(crate) struct ExportOrder {
    pub(crate) project: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
}

/// `POST /apply`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ApplyRequest {
    pub(crate) files: Vec<(String, String)>,
    pub(crate) is_dry_run: bool,
    pub(crate) resets_secrets: bool,
}

/// Its answer. The secrets go to the terminal of whoever owns the folder, once.
#[derive(Serialize, Deserialize)]
struct ApplyAnswer {
    changes: Vec<String>,
    secrets: Vec<(String, String)>,
}

/// Serves the socket in `dir` until `shutdown`.
pub(crate) async fn serve(
    dir: &Path,
    server: Arc<Server>,
    mut shutdown: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let path = dir.join("control.sock");
    // The lock is ours, so a socket that lies there belongs to nobody.
    if path.exists() {
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    let listener = UnixListener::bind(&path)
        .with_context(|| format!("cannot listen on {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    let router: Router = Router::new()
        .route("/apply", post(apply))
        .route("/documents", post(import::post))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .route("/export", post(export))
        .fallback(fga)
        .with_state(server);
    let tasks = tokio_util::task::TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = shutdown.wait_for(|is_over| *is_over) => break,
        };
        // One caller's failure, or a moment without file descriptors, is no reason to stop serving.
        let caller = accepted.and_then(|(stream, _)| {
            let uid = stream.peer_cred()?.uid();
            Ok((stream, uid))
        });
        let (stream, uid) = match caller {
            Ok(caller) => caller,
            Err(error) => {
                tracing::warn!(%error, "a control connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let router = router.clone().layer(Extension(Actor::Local { uid }));
        let mut stopped = shutdown.clone();
        tasks.spawn(async move {
            let builder = auto::Builder::new(TokioExecutor::new());
            let service = TowerToHyperService::new(router);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let over = async { drop(stopped.wait_for(|is_over| *is_over).await) };
            let served = tokio::select! {
                served = &mut connection => served,
                () = over => {
                    // A command may hold its connection for hours.
                    connection.as_mut().graceful_shutdown();
                    tokio::time::timeout(DRAIN, connection).await.unwrap_or(Ok(()))
                }
            };
            if let Err(error) = served {
                tracing::debug!(%error, "a control connection ended early");
            }
        });
    }
    tasks.close();
    tasks.wait().await;
    if let Err(error) = fs::remove_file(&path) {
        tracing::debug!(%error, "the control socket was gone already");
    }
    Ok(())
}

async fn apply(
    State(server): State<Arc<Server>>,
    Extension(actor): Extension<Actor>,
    Json(request): Json<ApplyRequest>,
) -> Response {
    let options = ApplyOptions {
        actor,
        is_dry_run: request.is_dry_run,
        resets_secrets: request.resets_secrets,
    };
    let sources: Vec<_> =
        request.files.into_iter().map(|(name, text)| Source { name, text }).collect();
    match setup_file::apply(&server, &sources, &options).await {
        Ok(outcome) => Json(ApplyAnswer {
            changes: outcome.changes,
            secrets: outcome
                .secrets
                .iter()
                .map(|(client_id, secret)| (client_id.to_string(), secret.expose().clone()))
                .collect(),
        })
        .into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// `/stores` and below, as the listeners answer it, with every right.
async fn fga(
    State(server): State<Arc<Server>>,
    Extension(actor): Extension<Actor>,
    mut request: axum::extract::Request,
) -> Response {
    let path = request.uri().path();
    if path != "/stores" && !path.starts_with("/stores/") {
        return StatusCode::NOT_FOUND.into_response();
    }
    request.extensions_mut().insert(LocalCaller(actor));
    server.router.clone().oneshot(request).await.into_response()
}

async fn export(
    State(server): State<Arc<Server>>,
    Extension(actor): Extension<Actor>,
    Json(order): Json<ExportOrder>,
) -> Response {
    let made = async {
        let export = server.ledger.export(&order.request()?, &actor).await?;
        anyhow::Ok(server.ledger.bundle(&export).await?)
    };
    match made.await {
        Ok(zip) => zip.into_response(),
        Err(error) => (StatusCode::BAD_REQUEST, format!("{error:#}")).into_response(),
    }
}

/// Asks the server that holds `dir` for an export; the bundle.
pub(crate) async fn request_export(dir: &Path, order: &ExportOrder) -> anyhow::Result<Vec<u8>> {
    let body = serde_json::to_vec(order)?;
    Ok(post_to(dir, "/export", body, MAX_BUNDLE).await?.to_vec())
}

/// Asks the server that holds `dir` to apply set-up files.
pub(crate) async fn request_apply(
    dir: &Path,
    request: &ApplyRequest,
) -> anyhow::Result<SetupOutcome> {
    let answer: ApplyAnswer = ask(dir, "/apply", request).await?;
    let secrets = answer
        .secrets
        .into_iter()
        .map(|(client_id, secret)| Ok((client_id.parse()?, Secret::new(secret))));
    Ok(SetupOutcome {
        changes: answer.changes,
        secrets: secrets.collect::<anyhow::Result<Vec<_>>>()?,
    })
}

/// Asks the server that holds `dir` something, and reads its answer.
async fn ask<A: DeserializeOwned>(
    dir: &Path,
    path: &str,
    request: &impl Serialize,
) -> anyhow::Result<A> {
    let body = post_to(dir, path, serde_json::to_vec(request)?, MAX_BODY).await?;
    Ok(serde_json::from_slice(&body)?)
}

/// Connects to the server that holds `dir`. One that is starting holds it before it listens.
///
/// # Errors
/// When nobody listens after ten seconds.
pub(crate) async fn connect(dir: &Path) -> anyhow::Result<UnixStream> {
    let path = dir.join("control.sock");
    let mut left = STARTING;
    loop {
        let error = match UnixStream::connect(&path).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        let may_come = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused);
        if !may_come || left.is_zero() {
            let (dir, path) = (dir.display(), path.display());
            let text = format!("another process holds {dir}, but {path} does not answer");
            return Err(error).context(text);
        }
        tokio::time::sleep(PAUSE).await;
        left = left.saturating_sub(PAUSE);
    }
}

/// Posts JSON to the server that holds `dir`; its answer of at most `answer_max` bytes.
async fn post_to(
    dir: &Path,
    route: &str,
    body: Vec<u8>,
    answer_max: usize,
) -> anyhow::Result<Bytes> {
    let stream = connect(dir).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::task::spawn(connection);
    let body = Full::new(Bytes::from(body));
    let request = Request::post(format!("http://control{route}"))
        .header(header::HOST, "control")
        .header(header::CONTENT_TYPE, "application/json")
        .body(body)?;
    let answer = sender.send_request(request).await.context("the server hung up")?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), answer_max).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
    drop(sender);
    driver.abort();
    if status != StatusCode::OK {
        bail!("{}", String::from_utf8_lossy(&body));
    }
    Ok(body)
}
