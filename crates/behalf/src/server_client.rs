//! Asks a server's API, wherever it is: at an address, behind the control socket of a server that holds
//! the data folder, or in that folder itself. The last two answer `/stores` and below.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use axum::body::Body as AxumBody;
use behalf_core::{Actor, Secret};
use behalf_egress::{Body, Call, Egress, OperatorAddress};
use behalf_http::LocalCaller;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::sync::Mutex;
use tower::ServiceExt as _;
use url::form_urlencoded;

use crate::control;
use crate::data_dir::DataDir;
use crate::output::plain;
use crate::wiring::Server;

/// How long one call may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The largest answer that is read whole, in bytes.
const BYTES_MAX: usize = 64 * 1024 * 1024;
/// What an operator calls the program in the other server's logs.
pub(crate) const USER_AGENT: &str = concat!("Behalf/", env!("CARGO_PKG_VERSION"));

/// A server; clones share it.
#[derive(Clone)]
pub(crate) struct ServerClient(Arc<Place>);

enum Place {
    Address { egress: Egress, address: OperatorAddress, token: Option<Secret<String>> },
    Socket { dir: PathBuf, sender: Mutex<Option<SendRequest<Full<Bytes>>>> },
    Folder { server: Box<Server>, _lock: DataDir, actor: Actor },
}

/// A call; its path is below the server's address.
#[derive(Clone, Debug)]
pub(crate) struct ServerCall<'a> {
    pub(crate) method: Method,
    pub(crate) path: Vec<&'a str>,
    pub(crate) query: Vec<(&'a str, &'a str)>,
    /// JSON.
    pub(crate) body: Bytes,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct ServerAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl<'a> ServerCall<'a> {
    pub(crate) fn get(path: &[&'a str]) -> Self {
        let (path, body) = (path.to_vec(), Bytes::new());
        Self { method: Method::GET, path, query: Vec::new(), body }
    }

    pub(crate) fn post(path: &[&'a str], body: &Value) -> Self {
        let body = Bytes::from(body.to_string());
        Self { method: Method::POST, body, ..Self::get(path) }
    }

    pub(crate) fn put(path: &[&'a str], body: &Value) -> Self {
        Self { method: Method::PUT, ..Self::post(path, body) }
    }

    /// With one more query parameter, unless it is empty.
    pub(crate) fn query(mut self, name: &'a str, value: &'a str) -> Self {
        if !value.is_empty() {
            self.query.push((name, value));
        }
        self
    }

    /// The path and query for a request without an authority of its own.
    fn target(&self) -> String {
        let segment = |text: &&str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let path: Vec<String> = self.path.iter().map(segment).collect();
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.query).finish();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("http://control/{}{mark}{query}", path.join("/"))
    }
}

impl ServerAnswer {
    /// The answer's JSON, if its status is a success.
    ///
    /// # Errors
    /// What the server says, with its code.
    pub(crate) fn json(&self) -> anyhow::Result<Value> {
        if !self.status.is_success() {
            bail!("{}", self.problem());
        }
        if self.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&self.body).context("the answer is no JSON")
    }

    /// The error's code, or nothing.
    pub(crate) fn code(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body.get("code").and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// What the server says is wrong.
    pub(crate) fn problem(&self) -> String {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        // OpenFGA's word, and RFC 9457's.
        let text = ["message", "detail", "title"].iter().find_map(|name| body.get(*name)?.as_str());
        let text = text.unwrap_or_default();
        let text: String = plain(text).chars().take(500).collect();
        match (self.status.as_u16(), text.as_str()) {
            (status, "") => format!("the server answered {status}"),
            (status @ (401 | 403), text) => format!("the server answered {status}: {text}"),
            (_, text) => text.to_owned(),
        }
    }
}

/// The parts of an answer's body, as they come.
pub(crate) type Chunks = std::pin::Pin<Box<dyn Stream<Item = anyhow::Result<Bytes>> + Send>>;

impl ServerClient {
    /// The server at an address.
    ///
    /// # Errors
    /// When the machine's trust store cannot be read.
    pub(crate) fn at(
        address: OperatorAddress,
        token: Option<Secret<String>>,
    ) -> anyhow::Result<Self> {
        let egress = Egress::new(USER_AGENT)?;
        Ok(Self(Arc::new(Place::Address { egress, address, token })))
    }

    /// The server that holds `dir`.
    pub(crate) fn behind_socket(dir: &Path) -> Self {
        Self(Arc::new(Place::Socket { dir: dir.to_owned(), sender: Mutex::new(None) }))
    }

    /// The folder itself.
    pub(crate) fn in_folder(server: Server, lock: DataDir, actor: Actor) -> Self {
        Self(Arc::new(Place::Folder { server: Box::new(server), _lock: lock, actor }))
    }

    /// The opened folder, if this is one.
    pub(crate) fn folder(&self) -> Option<&Server> {
        match &*self.0 {
            Place::Folder { server, .. } => Some(server),
            _ => None,
        }
    }

    /// Ends what was opened: the last events become leaves before the folder is given back.
    ///
    /// # Errors
    /// When they could not.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        let Some(server) = self.folder() else { return Ok(()) };
        let flushed = server.ledger.flush().await;
        server.storage.close().await;
        Ok(flushed?)
    }

    /// Asks, and reads the answer whole. Every status is an answer.
    ///
    /// # Errors
    /// When no answer comes, or one larger than 64 MiB.
    pub(crate) async fn call(&self, call: &ServerCall<'_>) -> anyhow::Result<ServerAnswer> {
        match &*self.0 {
            Place::Address { egress, address, token } => {
                let request = over_network(call, address, token.as_ref());
                let request = request.timeout(TIMEOUT).bytes_max(BYTES_MAX);
                let answer = egress.send(&request).await.with_context(|| address.to_string())?;
                let behalf_egress::Answer { status, headers, body } = answer;
                Ok(ServerAnswer { status, headers, body })
            }
            Place::Socket { dir, sender } => {
                let answer = over_socket(dir, sender, call);
                let answer = tokio::time::timeout(TIMEOUT, answer).await;
                let (parts, body) = answer.context("the server does not answer")??.into_parts();
                whole(parts, Limited::new(body, BYTES_MAX)).await
            }
            Place::Folder { server, actor, .. } => {
                let (parts, body) = in_process(server, actor, call).await?.into_parts();
                whole(parts, Limited::new(body, BYTES_MAX)).await
            }
        }
    }

    /// Asks, and gives the answer's body part by part, however large it is.
    ///
    /// # Errors
    /// When no answer comes, or one that is no success.
    pub(crate) async fn stream(&self, call: &ServerCall<'_>) -> anyhow::Result<Chunks> {
        let (status, chunks): (StatusCode, Chunks) = match &*self.0 {
            Place::Address { egress, address, token } => {
                let request = over_network(call, address, token.as_ref()).bytes_max(usize::MAX);
                let answer = egress.stream(&request).await.with_context(|| address.to_string())?;
                let status = answer.status;
                (status, Box::pin(answer.into_chunks().map(|chunk| Ok(chunk?))))
            }
            Place::Socket { dir, sender } => {
                let (parts, body) = over_socket(dir, sender, call).await?.into_parts();
                let chunks = body.into_data_stream().map(|chunk| Ok(chunk?));
                (parts.status, Box::pin(chunks))
            }
            Place::Folder { server, actor, .. } => {
                let (parts, body) = in_process(server, actor, call).await?.into_parts();
                let chunks = body.into_data_stream().map(|chunk| Ok(chunk?));
                (parts.status, Box::pin(chunks))
            }
        };
        if status.is_success() {
            return Ok(chunks);
        }
        let mut body = Vec::new();
        let mut chunks = chunks.take(16);
        while let Some(Ok(chunk)) = chunks.next().await {
            body.extend_from_slice(&chunk);
        }
        let answer = ServerAnswer { status, headers: HeaderMap::new(), body: body.into() };
        bail!("{}", answer.problem())
    }

    /// Asks, and reads the JSON of a success.
    ///
    /// # Errors
    /// When no answer comes, or one that is no success.
    pub(crate) async fn ask(&self, call: &ServerCall<'_>) -> anyhow::Result<Value> {
        self.call(call).await?.json()
    }

    /// The id of the store with that id or name.
    ///
    /// # Errors
    /// When there is none, or several have the name.
    pub(crate) async fn find_store(&self, store: &str) -> anyhow::Result<Option<String>> {
        if is_ulid(store) {
            let answer = self.call(&ServerCall::get(&["stores", store])).await?;
            if answer.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            answer.json()?;
            return Ok(Some(store.to_owned()));
        }
        let call = ServerCall::get(&["stores"]).query("name", store);
        let answer = self.ask(&call).await?;
        let stores = answer.get("stores").and_then(Value::as_array).cloned().unwrap_or_default();
        // A server that does not know the filter gives every store.
        let is_named = |found: &&Value| found.get("name").and_then(Value::as_str) == Some(store);
        let mut ids = stores.iter().filter(is_named).filter_map(|found| found.get("id")?.as_str());
        match (ids.next(), ids.next()) {
            (None, _) => Ok(None),
            (Some(id), None) => Ok(Some(id.to_owned())),
            (Some(_), Some(_)) => bail!("several stores are named `{store}`; give an id"),
        }
    }
}

/// True if the text has the form of a store's or a model's id.
pub(crate) fn is_ulid(text: &str) -> bool {
    text.len() == 26 && text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_uppercase())
}

fn over_network<'a>(
    call: &'a ServerCall<'a>,
    address: &OperatorAddress,
    token: Option<&'a Secret<String>>,
) -> Call<'a> {
    let mut request = Call::new(call.method.clone(), address.below(&call.path));
    for (name, value) in &call.query {
        request = request.query(name, value);
    }
    if let Some(token) = token {
        request = request.bearer(token);
    }
    if call.body.is_empty() {
        return request;
    }
    request.body(Body::Raw("application/json", call.body.clone()))
}

fn request_of<B>(call: &ServerCall<'_>, body: B) -> anyhow::Result<Request<B>> {
    let request = Request::builder().method(call.method.clone()).uri(call.target());
    Ok(request.header(header::CONTENT_TYPE, "application/json").body(body)?)
}

async fn over_socket(
    dir: &Path,
    shared: &Mutex<Option<SendRequest<Full<Bytes>>>>,
    call: &ServerCall<'_>,
) -> anyhow::Result<http::Response<hyper::body::Incoming>> {
    let mut held = shared.lock().await;
    let mut sender = match held.as_ref().filter(|sender| !sender.is_closed()) {
        Some(sender) => sender.clone(),
        None => {
            let stream = control::connect(dir).await?;
            let connection =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
            let (sender, connection) = connection.await?;
            drop(tokio::task::spawn(connection));
            held.insert(sender).clone()
        }
    };
    drop(held);
    let request = request_of(call, Full::new(call.body.clone()))?;
    sender.ready().await.context("the server hung up")?;
    sender.send_request(request).await.context("the server hung up")
}

async fn in_process(
    server: &Server,
    actor: &Actor,
    call: &ServerCall<'_>,
) -> anyhow::Result<axum::response::Response> {
    let mut request = request_of(call, AxumBody::from(call.body.clone()))?;
    request.extensions_mut().insert(LocalCaller(actor.clone()));
    Ok(server.router.clone().oneshot(request).await?)
}

async fn whole<B>(parts: http::response::Parts, body: Limited<B>) -> anyhow::Result<ServerAnswer>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let body = tokio::time::timeout(TIMEOUT, body.collect()).await;
    let body = body.context("the answer does not end")?;
    let body = body.map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?.to_bytes();
    Ok(ServerAnswer { status: parts.status, headers: parts.headers, body })
}
