//! The server under test: the real router on a folder of its own, with a clock that stands still
//! and randomness from a seed; and a browser and a client that talk to it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod browser;
mod client;
mod cluster;
mod database;
mod forge;
mod grpc;
mod provider;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use behalf::setup_file::{self, Source};
use behalf::wiring::{Ports, Server, ServerOptions};
use behalf_core::{Actor, Clock as _, DangerousSeededRng, ManualClock, Timestamp};
use behalf_crypto::SystemRng;
use behalf_crypto::envelope::RootKey;
use behalf_gate::flows::{ApplyOptions, SetupOutcome};
use behalf_identity::Issuer;
use behalf_store::outbox::OutboxRow;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

pub use browser::{Browser, Page};
pub use client::{Client, code_challenge, post_form, query_of};
pub use cluster::Cluster;
pub use forge::{base64url, forge, hmac_sha256, rewritten};
pub use grpc::{GrpcClient, GrpcError, RawAnswer};
pub use provider::{decide_at_provider, github_connection, start_provider};

/// The issuer of every server under test.
pub const ISSUER: &str = "https://behalf.test/";

/// When every test begins: 2026-11-24T08:00:00Z.
pub const START: Timestamp = Timestamp::from_secs(1_795_507_200);

/// A server on a folder that is deleted with it.
#[derive(Debug)]
pub struct TestServer {
    /// The server's parts.
    pub server: Server,
    /// Its clock.
    pub clock: Arc<ManualClock>,
    /// Its folder.
    pub dir: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// A header's value, or nothing.
    pub fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Asserts the status and gives the answer back.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

impl TestServer {
    /// A server with what `setup` (a set-up file) says.
    pub async fn start(setup: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self::start_in(dir, setup).await
    }

    /// A server with what `setup` says and with options that `adjust` changes.
    pub async fn start_with(setup: &str, adjust: impl FnOnce(&mut ServerOptions)) -> Self {
        let mut options = ServerOptions::new(Issuer::parse(ISSUER).unwrap());
        adjust(&mut options);
        Self::open(tempfile::tempdir().unwrap(), setup, options).await
    }

    /// A server on an existing folder, whose root key is the same for every test.
    pub async fn start_in(dir: tempfile::TempDir, setup: &str) -> Self {
        Self::open(dir, setup, ServerOptions::new(Issuer::parse(ISSUER).unwrap())).await
    }

    /// Another server on the same PostgreSQL database, with the same clock; `None` after saying so
    /// when the tests do not run on PostgreSQL.
    pub async fn second_node(&self) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        if !database::share(self.dir.path(), dir.path()) {
            return None;
        }
        let options = ServerOptions::new(Issuer::parse(ISSUER).unwrap());
        Some(Self::open_at(dir, self.clock.clone(), options).await)
    }

    /// A server on an existing folder, with the clock of the one before it.
    pub async fn reopen(
        dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
        options: ServerOptions,
    ) -> Self {
        Self::open_at(dir, clock, options).await
    }

    async fn open(dir: tempfile::TempDir, setup: &str, options: ServerOptions) -> Self {
        let this = Self::open_at(dir, Arc::new(ManualClock::new(START)), options).await;
        this.apply(setup).await.unwrap();
        this
    }

    async fn open_at(
        dir: tempfile::TempDir,
        clock: Arc<ManualClock>,
        mut options: ServerOptions,
    ) -> Self {
        if options.database.is_none() {
            options.database = database::of_folder(dir.path()).await;
        }
        let root = RootKey::generate(&DangerousSeededRng::new(1));
        let ports = Ports { clock: clock.clone(), rng: Arc::new(SystemRng) };
        let server = Server::open(dir.path(), &root, options, ports).await.unwrap();
        Self { server, clock, dir }
    }

    /// Applies a set-up file.
    ///
    /// # Errors
    /// As the command does.
    pub async fn apply(&self, setup: &str) -> Result<Vec<String>, String> {
        let options =
            ApplyOptions { actor: Actor::System, is_dry_run: false, resets_secrets: false };
        self.apply_with(setup, &options).await.map(|outcome| outcome.changes)
    }

    /// Applies a set-up file in a way of its own.
    ///
    /// # Errors
    /// As the command does.
    pub async fn apply_with(
        &self,
        setup: &str,
        options: &ApplyOptions,
    ) -> Result<SetupOutcome, String> {
        let source = Source { name: "setup.yaml".to_owned(), text: setup.to_owned() };
        setup_file::apply(&self.server, &[source], options)
            .await
            .map_err(|error| format!("{error:#}"))
    }

    /// Sends a request and reads the answer.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (mut parts, body) = request.into_parts();
        if !parts.headers.contains_key(header::HOST) {
            parts.headers.insert(header::HOST, "behalf.test".parse().unwrap());
        }
        let request = Request::from_parts(parts, body);
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(body.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    /// GETs `path` without cookies or tokens.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// GETs `path` with an access token.
    pub async fn get_with_token(&self, path: &str, token: &str) -> Answer {
        let request = Request::get(path).header(header::AUTHORIZATION, format!("Bearer {token}"));
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Moves the clock.
    pub fn advance(&self, duration: Duration) {
        self.clock.advance(duration);
    }

    /// The present time of the server.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Everything that is kept, by name: the folder's files and, on PostgreSQL, the tables.
    pub async fn kept(&self) -> Vec<(String, Vec<u8>)> {
        let files = std::fs::read_dir(self.dir.path()).unwrap().map(|entry| entry.unwrap().path());
        let read = |path: PathBuf| (path.display().to_string(), std::fs::read(&path).unwrap());
        let files = files.filter(|path| path.is_file()).map(read);
        files.chain(database::tables(self.dir.path()).await).collect()
    }

    /// The kinds of every event that waits for the ledger, in order.
    pub async fn events(&self) -> Vec<String> {
        self.outbox().await.into_iter().map(|row| row.kind).collect()
    }

    /// Every event that waits for the ledger, in order.
    pub async fn outbox(&self) -> Vec<OutboxRow> {
        behalf_store::outbox::list(&self.server.storage, 100_000).await.unwrap()
    }
}
