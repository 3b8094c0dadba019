//! `behalf apply`: through the control socket when a server holds the folder, else directly.

use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use behalf_core::Actor;
use behalf_gate::flows::{ApplyOptions, SetupOutcome};
use behalf_identity::Issuer;

use super::system_rng;
use crate::cli::ApplyArgs;
use crate::config;
use crate::control::{self, ApplyRequest};
use crate::data_dir::{DataDir, append_private};
use crate::output::say;
use crate::setup_file::{self, Source};
use crate::system::SystemClock;
use crate::wiring::{Ports, Server, ServerOptions};

pub(super) async fn apply(args: ApplyArgs) -> anyhow::Result<()> {
    let sources = args.files.iter().map(|path| read(path)).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(path) = args.secrets_out.as_deref().filter(|path| path.exists()) {
        bail!("{} exists; nothing was applied", path.display());
    }
    let outcome = match DataDir::lock(&args.data.data)? {
        Some(dir) => apply_directly(&dir, &args, &sources).await?,
        None => {
            let mut request = ApplyRequest {
                files: sources.into_iter().map(|source| (source.name, source.text)).collect(),
                is_dry_run: args.dry_run,
                resets_secrets: args.reset_secrets,
            };
            if has_no_place(&args) {
                request.is_dry_run = true;
                refuse_unseen(&control::request_apply(&args.data.data, &request).await?)?;
                request.is_dry_run = args.dry_run;
            }
            control::request_apply(&args.data.data, &request).await?
        }
    };
    report(&outcome, args.dry_run, args.secrets_out.as_deref())
}

async fn apply_directly(
    dir: &DataDir,
    args: &ApplyArgs,
    sources: &[Source],
) -> anyhow::Result<SetupOutcome> {
    let rng = system_rng();
    let root = dir.root_key(args.root_key.as_deref(), &rng)?;
    let issuer = args.issuer.as_deref().unwrap_or("http://127.0.0.1:8080/");
    let ports = Ports { clock: Arc::new(SystemClock), rng: Arc::new(rng) };
    let options = ServerOptions {
        database: config::database(&args.database)?,
        ..ServerOptions::new(Issuer::parse(issuer)?)
    };
    let server = Server::open(dir.path(), &root, options, ports).await?;
    let options = ApplyOptions {
        actor: local_actor()?,
        is_dry_run: args.dry_run,
        resets_secrets: args.reset_secrets,
    };
    let apply = async || {
        if has_no_place(args) {
            let plan = ApplyOptions { is_dry_run: true, ..options.clone() };
            refuse_unseen(&setup_file::apply(&server, sources, &plan).await?)?;
        }
        setup_file::apply(&server, sources, &options).await
    };
    let outcome = apply().await;
    server.storage.close().await;
    outcome
}

/// True if nobody would see a secret that is made.
fn has_no_place(args: &ApplyArgs) -> bool {
    !args.dry_run && args.secrets_out.is_none() && !std::io::stdout().is_terminal()
}

/// Refuses what would make secrets that nobody sees, before it is applied.
fn refuse_unseen(plan: &SetupOutcome) -> anyhow::Result<()> {
    let Some((client_id, _)) = plan.secrets.first() else { return Ok(()) };
    bail!(
        "client `{client_id}` needs a secret, but this is no terminal and it would land in a log; \
         give a client_secret or --secrets-out FILE. Nothing was applied"
    )
}

/// The local user, as the owner of this very process.
pub(super) fn local_actor() -> anyhow::Result<Actor> {
    let uid = std::fs::metadata("/proc/self").context("cannot tell who runs this")?.uid();
    Ok(Actor::Local { uid })
}

pub(super) fn read(path: &Path) -> anyhow::Result<Source> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
    Ok(Source { name, text })
}

/// Prints what changed, and generated secrets once.
pub(super) fn report(
    outcome: &SetupOutcome,
    is_dry_run: bool,
    secrets_out: Option<&Path>,
) -> anyhow::Result<()> {
    if outcome.changes.is_empty() {
        say!("nothing to change");
    }
    for change in &outcome.changes {
        say!("{}{change}", if is_dry_run { "would " } else { "" });
    }
    if is_dry_run || outcome.secrets.is_empty() {
        return Ok(());
    }
    let lines: String = outcome
        .secrets
        .iter()
        .map(|(client_id, secret)| format!("{client_id} {}\n", secret.expose()))
        .collect();
    match secrets_out {
        Some(path) => {
            append_private(path, lines.as_bytes())?;
            say!("generated client secrets: {}", path.display());
        }
        None => say!("generated client secrets, shown only now:\n{lines}"),
    }
    Ok(())
}
