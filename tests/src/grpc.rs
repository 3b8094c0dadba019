//! A gRPC client of the server under test: tonic's, over the router or over a connection, with the
//! status as it came.
//!
//! tonic knows gRPC's sixteen codes and takes every other for `Unknown`, so what `grpc-status`
//! carries is read on its way.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use behalf::wiring::App;
use bytes::Bytes;
use http::uri::{PathAndQuery, Uri};
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::metadata::MetadataMap;
use tonic_prost::ProstCodec;
use tower::{Service, ServiceExt as _};

/// A client with a token; an empty one sends none.
#[derive(Clone, Debug)]
pub struct GrpcClient {
    way: Way,
    metadata: Vec<(&'static str, String)>,
}

/// How requests come to the server.
#[derive(Clone, Debug)]
enum Way {
    Router(App),
    /// HTTP/2 from the first byte on.
    Connection(http2::SendRequest<tonic::body::Body>),
}

/// An answer as it came over HTTP/2.
#[derive(Clone, Debug)]
pub struct RawAnswer {
    /// The headers, in which the status of an answer without messages stands.
    pub headers: HeaderMap,
    /// The messages with what stands before each.
    pub body: Bytes,
    /// What came behind the messages, if anything did.
    pub trailers: Option<HeaderMap>,
}

/// An error as gRPC carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrpcError {
    /// What `grpc-status` says.
    pub number: u16,
    /// What `grpc-message` says.
    pub message: String,
}

impl GrpcClient {
    /// A client of `router`.
    pub fn new(router: &App, token: &str) -> Self {
        Self { way: Way::Router(router.clone()), metadata: Vec::new() }.with_token(token)
    }

    /// A client on a connection, which its clones share.
    pub async fn on(
        connection: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        token: &str,
    ) -> Self {
        let io = TokioIo::new(connection);
        let (sender, served) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        drop(tokio::spawn(served));
        Self { way: Way::Connection(sender), metadata: Vec::new() }.with_token(token)
    }

    /// The client with another token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.metadata.retain(|(name, _)| *name != "authorization");
        if token.is_empty() { self } else { self.with("authorization", format!("Bearer {token}")) }
    }

    /// The client with more metadata.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.metadata.push((name, value.into()));
        self
    }

    /// Calls a method that answers with one message.
    ///
    /// # Errors
    /// What `grpc-status` carries when it is not 0.
    pub async fn unary<Q, A>(
        &self,
        path: &'static str,
        message: Q,
    ) -> Result<(A, MetadataMap), GrpcError>
    where
        Q: prost::Message + Clone + 'static,
        A: prost::Message + Default + 'static,
    {
        let (mut client, status) = self.connect();
        client.ready().await.unwrap();
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        match client.unary(self.request(message), path, codec).await {
            Ok(response) => {
                let (metadata, message, _) = response.into_parts();
                Ok((message, metadata))
            }
            Err(error) => Err(status.error(&error)),
        }
    }

    /// Calls a method that answers with a stream, and reads it to its end.
    ///
    /// # Errors
    /// What `grpc-status` carries when it is not 0.
    pub async fn streaming<Q, A>(
        &self,
        path: &'static str,
        messages: Vec<Q>,
    ) -> Result<Vec<A>, GrpcError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let (mut client, status) = self.connect();
        client.ready().await.unwrap();
        let codec = ProstCodec::<Q, A>::default();
        let path = PathAndQuery::from_static(path);
        let request = self.request(futures_util::stream::iter(messages));
        let mut stream = match client.streaming(request, path, codec).await {
            Ok(response) => response.into_inner(),
            Err(error) => return Err(status.error(&error)),
        };
        let mut answers = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => return Ok(answers),
                Err(error) => return Err(status.error(&error)),
            }
        }
    }

    /// Begins to read a stream; who drops it cancels the call.
    ///
    /// # Errors
    /// What `grpc-status` carries when it is not 0.
    pub async fn open<Q, A>(
        &self,
        path: &'static str,
        message: Q,
    ) -> Result<tonic::Streaming<A>, GrpcError>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let (mut client, status) = self.connect();
        client.ready().await.unwrap();
        let codec = ProstCodec::<Q, A>::default();
        let request = self.request(message);
        let answer = client.server_streaming(request, PathAndQuery::from_static(path), codec).await;
        answer.map(tonic::Response::into_inner).map_err(|error| status.error(&error))
    }

    /// Sends `body` as it stands and reads the answer as it comes.
    pub async fn raw(
        &self,
        path: &str,
        body: impl Into<Bytes>,
        headers: &[(&str, &str)],
    ) -> RawAnswer {
        let mut request = Request::post(path).header("content-type", "application/grpc");
        let own = self.metadata.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(headers.iter().copied()) {
            request = request.header(name, value);
        }
        let body = tonic::body::Body::new(Full::new(body.into()));
        let mut watched = Watched { way: self.way.clone(), status: Status::default() };
        let answer = watched.call(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        RawAnswer { headers: parts.headers, body: body.to_bytes(), trailers }
    }

    fn request<T>(&self, message: T) -> tonic::Request<T> {
        let mut request = tonic::Request::new(message);
        for (name, value) in &self.metadata {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }

    fn connect(&self) -> (tonic::client::Grpc<Watched>, Status) {
        let status = Status::default();
        let watched = Watched { way: self.way.clone(), status: status.clone() };
        (tonic::client::Grpc::new(watched), status)
    }
}

/// The last `grpc-status` that came.
#[derive(Clone, Debug, Default)]
struct Status(Arc<Mutex<Option<u16>>>);

impl Status {
    fn see(&self, headers: &HeaderMap) {
        let status =
            headers.get("grpc-status").map(|value| value.to_str().unwrap().parse().unwrap());
        if status.is_some() {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = status;
        }
    }

    fn error(&self, error: &tonic::Status) -> GrpcError {
        let number = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let message = error.message().to_owned();
        GrpcError { number: number.unwrap_or_else(|| panic!("no grpc-status: {error}")), message }
    }
}

/// The server as tonic calls it.
#[derive(Clone)]
struct Watched {
    way: Way,
    status: Status,
}

impl Service<Request<tonic::body::Body>> for Watched {
    type Response = Response<tonic::body::Body>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let (way, status) = (self.way.clone(), self.status.clone());
        Box::pin(async move {
            let response = match way {
                Way::Router(router) => {
                    parts.headers.insert(header::HOST, "behalf.test".parse().unwrap());
                    let request = Request::from_parts(parts, Body::new(body));
                    router.oneshot(request).await.unwrap_or_else(|never| match never {})
                }
                Way::Connection(mut sender) => {
                    let path = parts.uri.path_and_query().unwrap().clone();
                    let uri = Uri::builder().scheme("http").authority("behalf.test");
                    parts.uri = uri.path_and_query(path).build().unwrap();
                    sender.ready().await?;
                    sender.send_request(Request::from_parts(parts, body)).await?.map(Body::new)
                }
            };
            status.see(response.headers());
            let (parts, body) = response.into_parts();
            let body = body.map_frame(move |frame| {
                if let Some(trailers) = frame.trailers_ref() {
                    status.see(trailers);
                }
                frame
            });
            Ok(Response::from_parts(parts, tonic::body::Body::new(body)))
        })
    }
}
