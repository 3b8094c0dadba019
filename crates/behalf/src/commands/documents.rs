//! `behalf documents import`: files as documents, in batches, through the control socket when a
//! server holds the folder, else directly. It tells what it left out, and why.

mod files;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use behalf_core::{Actor, counted};
use behalf_gate::flows::documents::ImportOutcome;
use behalf_identity::Issuer;
use http::StatusCode;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use serde_json::json;

use super::apply::local_actor;
use super::{system_rng, target};
use crate::cli::{DocumentsCommand, ImportArgs};
use crate::config;
use crate::control::import::{self, ImportItem, ImportRequest};
use crate::data_dir::DataDir;
use crate::output::say;
use crate::server_client::{ServerCall, ServerClient};
use crate::system::SystemClock;
use crate::wiring::{Ports, Server, ServerOptions};
use files::{Glob, Skipped};

/// Documents in one batch.
const BATCH: usize = 50;
/// Text in one batch, in bytes, unless a single document has more.
const BATCH_BYTES: usize = 2 * 1024 * 1024;

pub(super) async fn documents(command: DocumentsCommand) -> anyhow::Result<()> {
    match command {
        DocumentsCommand::Import(args) => import_folder(args).await,
    }
}

async fn import_folder(args: ImportArgs) -> anyhow::Result<()> {
    let glob = args.glob.as_deref().map(Glob::parse).transpose()?;
    let folder = args
        .folder
        .canonicalize()
        .with_context(|| format!("cannot read {}", args.folder.display()))?;
    if !folder.is_dir() {
        bail!("{} is no folder; give the folder that it is in, and --glob", folder.display());
    }
    let found = files::list(&folder, glob.as_ref())?;
    let target = Target::open(&args).await?;
    let mut import = Import::new(target, args.owner, found.paths.len());
    let outcome = import.run(&folder, &found.paths, found.skipped).await;
    import.bar.finish_and_clear();
    import.target.close().await;
    outcome?;
    import.report();
    Ok(())
}

/// Where documents go.
enum Target {
    /// To the server that holds the folder.
    Socket(PathBuf),
    /// To the server at an address.
    Address(ServerClient),
    /// Into the folder itself, under its lock.
    Folder(Box<(Server, DataDir, Actor)>),
}

impl Target {
    async fn open(args: &ImportArgs) -> anyhow::Result<Self> {
        if let Some(url) = &args.url {
            if args.owner.is_some() {
                bail!(
                    "--owner needs the data folder; by --url, write tuples to say who may see them"
                );
            }
            return Ok(Self::Address(target::at(url, args.token_file.as_deref())?));
        }
        let database = config::database(&args.database)?;
        let Some(dir) = DataDir::lock_existing(&args.data.data)? else {
            return Ok(Self::Socket(args.data.data.clone()));
        };
        let rng = system_rng();
        let root = dir.root_key(args.root_key.as_deref(), &rng)?;
        let issuer = args.issuer.as_deref().unwrap_or("http://127.0.0.1:8080/");
        let ports = Ports { clock: Arc::new(SystemClock), rng: Arc::new(rng) };
        let options = ServerOptions { database, ..ServerOptions::new(Issuer::parse(issuer)?) };
        let server = Server::open(dir.path(), &root, options, ports).await?;
        Ok(Self::Folder(Box::new((server, dir, local_actor()?))))
    }

    async fn send(&self, request: ImportRequest) -> anyhow::Result<ImportOutcome> {
        match self {
            Self::Socket(dir) => import::request(dir, &request).await,
            Self::Address(client) => put_each(client, request.documents).await,
            Self::Folder(parts) => {
                let (server, _lock, actor) = &**parts;
                import::import(server, request, actor).await
            }
        }
    }

    async fn close(&self) {
        if let Self::Folder(parts) = self {
            parts.0.storage.close().await;
        }
    }
}

/// Puts each document; the API does not tell what was the same before.
async fn put_each(
    client: &ServerClient,
    documents: Vec<ImportItem>,
) -> anyhow::Result<ImportOutcome> {
    let mut outcome = ImportOutcome::default();
    for ImportItem { document_id, title, content_type, content } in documents {
        let body = json!({"title": title, "content_type": content_type, "content": content});
        let path = ["api", "v1", "documents", &document_id];
        let answer = client.call(&ServerCall::put(&path, &body)).await?;
        match answer.status {
            StatusCode::CREATED => outcome.created = outcome.created.saturating_add(1),
            StatusCode::OK => outcome.replaced = outcome.replaced.saturating_add(1),
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
                outcome.refused.push((document_id, answer.problem()));
            }
            _ => bail!("{}", answer.problem()),
        }
    }
    Ok(outcome)
}

struct Import {
    target: Target,
    owner: Option<String>,
    bar: ProgressBar,
    started: Instant,
    batch: Vec<ImportItem>,
    batch_bytes: usize,
    done: ImportOutcome,
    /// How many files were left out for each reason, with one of them.
    skipped: BTreeMap<String, (usize, PathBuf)>,
    paths_by_id: BTreeMap<String, PathBuf>,
}

impl Import {
    fn new(target: Target, owner: Option<String>, files: usize) -> Self {
        let bar = ProgressBar::new(u64::try_from(files).unwrap_or(u64::MAX));
        if let Ok(style) = ProgressStyle::with_template(
            "{bar:32} {human_pos}/{human_len} files  {rate}/s  {eta} left  {wide_msg}",
        ) {
            let rate = |state: &ProgressState, out: &mut dyn Write| {
                if write!(out, "{:.0}", state.per_sec()).is_err() {
                    tracing::trace!("the rate cannot be drawn");
                }
            };
            bar.set_style(style.with_key("rate", rate));
        }
        Self {
            target,
            owner,
            bar,
            started: Instant::now(),
            batch: Vec::new(),
            batch_bytes: 0,
            done: ImportOutcome::default(),
            skipped: BTreeMap::new(),
            paths_by_id: BTreeMap::new(),
        }
    }

    async fn run(
        &mut self,
        folder: &Path,
        paths: &[PathBuf],
        skipped: Vec<Skipped>,
    ) -> anyhow::Result<()> {
        // An owner whom nobody knows is told before anything is read.
        self.flush(true).await?;
        for Skipped { path, reason } in skipped {
            self.skip(&reason, path);
        }
        for path in paths {
            let name = path.strip_prefix(folder).unwrap_or(path);
            self.bar.set_message(name.display().to_string());
            match files::read(path) {
                Ok(item) => {
                    self.batch_bytes = self.batch_bytes.saturating_add(item.content.len());
                    self.paths_by_id.insert(item.document_id.clone(), path.clone());
                    self.batch.push(item);
                }
                Err(reason) => self.skip(&reason, path.clone()),
            }
            if self.batch.len() >= BATCH || self.batch_bytes >= BATCH_BYTES {
                self.flush(false).await?;
            }
            self.bar.inc(1);
        }
        self.flush(false).await?;
        if self.done == ImportOutcome::default() && self.skipped.is_empty() {
            bail!("no file in {} fits", folder.display());
        }
        Ok(())
    }

    fn skip(&mut self, reason: &str, path: PathBuf) {
        let (count, _) = self.skipped.entry(reason.to_owned()).or_insert((0, path));
        *count = count.saturating_add(1);
    }

    async fn flush(&mut self, even_if_empty: bool) -> anyhow::Result<()> {
        let documents = std::mem::take(&mut self.batch);
        self.batch_bytes = 0;
        if documents.is_empty() && !even_if_empty {
            return Ok(());
        }
        let request = ImportRequest { owner: self.owner.clone(), documents };
        let outcome = self.target.send(request).await.map_err(|error| match self.imported() {
            0 => error,
            some => {
                let some = counted(some, "document", "documents");
                error.context(format!("stopped after {some}; importing again goes on"))
            }
        })?;
        self.done.created = self.done.created.saturating_add(outcome.created);
        self.done.replaced = self.done.replaced.saturating_add(outcome.replaced);
        self.done.unchanged = self.done.unchanged.saturating_add(outcome.unchanged);
        for (id, reason) in outcome.refused {
            let path = self.paths_by_id.get(&id).cloned().unwrap_or_default();
            self.skip(&reason, path);
        }
        self.paths_by_id.clear();
        Ok(())
    }

    const fn imported(&self) -> usize {
        let ImportOutcome { created, replaced, unchanged, .. } = self.done;
        created.saturating_add(replaced).saturating_add(unchanged)
    }

    fn report(&self) {
        let ImportOutcome { created, replaced, unchanged, .. } = self.done;
        let secs = self.started.elapsed().as_secs_f64();
        let imported = self.imported();
        let rate = f64::from(u32::try_from(imported).unwrap_or(u32::MAX)) / secs.max(0.001);
        say!(
            "imported {} ({created} new, {replaced} replaced, {unchanged} unchanged) in {secs:.1} s, \
             {rate:.0} per second",
            counted(imported, "document", "documents")
        );
        match &self.owner {
            Some(owner) => say!("their owner: {owner}"),
            None => {
                say!("they have no owner: nobody sees them until tuples say so (or use --owner)")
            }
        }
        let total: usize = self.skipped.values().map(|(count, _)| count).sum();
        if total > 0 {
            say!("left out {}:", counted(total, "file", "files"));
        }
        for (reason, (count, example)) in &self.skipped {
            say!("  {count:>6}  {reason}, e.g. {}", example.display());
        }
    }
}
