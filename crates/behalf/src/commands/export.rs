//! `behalf export`: from the server at an address, through the control socket when a server holds the
//! folder, or else directly. The bundle is written by whoever runs the command, not by the server.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use behalf_core::{Timestamp, counted};
use behalf_identity::Issuer;
use behalf_ledger::ExportRequest;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::{apply, system_rng, target};
use crate::cli::ExportArgs;
use crate::config;
use crate::control::{self, ExportOrder};
use crate::data_dir::DataDir;
use crate::output::say;
use crate::server_client::ServerCall;
use crate::system::SystemClock;
use crate::wiring::{Ports, Server, ServerOptions};

pub(super) async fn export(args: ExportArgs) -> anyhow::Result<()> {
    let order =
        ExportOrder { project: args.project.clone(), from: args.from.clone(), to: args.to.clone() };
    order.request()?;
    let zip = if let Some(url) = &args.url {
        request_at(url, args.token_file.as_deref(), &order).await?
    } else {
        match DataDir::lock_existing(&args.data.data)? {
            Some(dir) => export_directly(&dir, &args, &order).await?,
            None => control::request_export(&args.data.data, &order).await?,
        }
    };
    write(&args.out, &zip)?;
    say!("{}: {}", args.out.display(), counted(zip.len(), "byte", "bytes"));
    say!("Check it anywhere with: behalf verify {}", args.out.display());
    Ok(())
}

async fn export_directly(
    dir: &DataDir,
    args: &ExportArgs,
    order: &ExportOrder,
) -> anyhow::Result<Vec<u8>> {
    let rng = system_rng();
    let root = dir.root_key(args.root_key.as_deref(), &rng)?;
    let ports = Ports { clock: Arc::new(SystemClock), rng: Arc::new(rng) };
    // No page is served, so no address matters.
    let options = ServerOptions {
        database: config::database(&args.database)?,
        ..ServerOptions::new(Issuer::parse("http://127.0.0.1:8080/")?)
    };
    let server = Server::open(dir.path(), &root, options, ports).await?;
    let made = async {
        let export = server.ledger.export(&order.request()?, &apply::local_actor()?).await?;
        // The record of the export itself becomes a leaf before the folder is given back.
        server.ledger.flush().await?;
        anyhow::Ok(server.ledger.bundle(&export).await?)
    };
    let zip = made.await;
    server.storage.close().await;
    zip
}

/// Asks the server at an address, as whoever the token is of.
async fn request_at(
    url: &str,
    token_file: Option<&Path>,
    order: &ExportOrder,
) -> anyhow::Result<Vec<u8>> {
    let client = target::at(url, token_file)?;
    let mut wanted = json!({"project": order.project});
    for (name, time) in [("from", &order.from), ("to", &order.to)] {
        if let (Some(time), Some(wanted)) = (time, wanted.as_object_mut()) {
            wanted.insert(name.to_owned(), time.as_str().into());
        }
    }
    let made = client.ask(&ServerCall::post(&["api", "v1", "exports"], &wanted)).await?;
    let id = made.get("id").and_then(Value::as_str).context("the export has no id")?;
    let path = ["api", "v1", "exports", id, "bundle"];
    let mut chunks = client.stream(&ServerCall::get(&path)).await?;
    let mut zip = Vec::new();
    while let Some(chunk) = chunks.next().await {
        zip.extend_from_slice(&chunk?);
        if zip.len() > control::MAX_BUNDLE {
            bail!("the bundle is larger than {} bytes", control::MAX_BUNDLE);
        }
    }
    Ok(zip)
}

impl ExportOrder {
    /// What is asked for, read strictly.
    pub(crate) fn request(&self) -> anyhow::Result<ExportRequest> {
        let time = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => Timestamp::from_rfc3339(text)
                .map(Some)
                .with_context(|| format!("`{text}` is neither RFC 3339 nor a date")),
        };
        let project = self.project.parse().context("this is no project's id")?;
        Ok(ExportRequest { project, from: time(&self.from)?, to: time(&self.to)? })
    }
}

/// Writes the bundle beside its place and moves it there whole; only its owner can read it.
fn write(path: &Path, zip: &[u8]) -> anyhow::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        file.write_all(zip)?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write()
        .inspect_err(|_| drop(std::fs::remove_file(&beside)))
        .with_context(|| format!("cannot write {}", path.display()))
}
