//! `behalf serve`: lock, keys, migration, set-up files, then the listeners.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use behalf_agent::Agent;
use behalf_core::{Clock as _, UserId};
use behalf_crypto::opaque;
use behalf_gate::Gate;
use behalf_gate::flows::ApplyOptions;
use behalf_identity::Identity;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::{apply, system_rng};
use crate::cli::ServeArgs;
use crate::config::Config;
use crate::control;
use crate::data_dir::{DataDir, write_private};
use crate::dev_ca::{DevCa, ServerCertificate};
use crate::output::say;
use crate::sequencer;
use crate::server::Listener;
use crate::setup_file::{self, Source};
use crate::system::SystemClock;
use crate::wiring::{Ports, Server, ServerOptions};

/// The first administrator's `sub`.
const ADMINISTRATOR: &str = "auth0|administrator";

/// What to do when access control cannot be asked.
const ACCESS_CONTROL: &str = "access control cannot work, so nothing is served: name a store and a \
    model that are there by --fga-access-control-store and --fga-access-control-model, or leave both \
    away. `behalf apply` makes them and prints their ids (docs/how-to/access-control.md)";

/// What is known once the data is open and set up.
pub(super) struct Opened {
    /// The file with the administrator's one-time password, if there is one.
    pub(super) password_file: Option<PathBuf>,
    /// What to print once the listeners are open.
    pub(super) greeting: String,
}

pub(super) async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let config = Config::load(args)?;
    let data = config.data.clone();
    let sources = config.apply.iter().map(|path| apply::read(path));
    let sources = sources.collect::<anyhow::Result<Vec<_>>>()?;
    let prepare = async |server: &Server| {
        let password_file = first_administrator(&server.identity, &data).await?;
        apply_sources(server, &data, &sources).await?;
        let (version, issuer) = (env!("CARGO_PKG_VERSION"), server.identity.issuer());
        let greeting = format!("Behalf {version} serves {issuer}");
        Ok(Opened { password_file, greeting })
    };
    Box::pin(run(config, prepare)).await
}

/// Runs a server until it is told to stop. `prepare` sets it up before its listeners open.
pub(super) async fn run(
    config: Config,
    prepare: impl AsyncFnOnce(&Server) -> anyhow::Result<Opened>,
) -> anyhow::Result<()> {
    let dir = DataDir::lock(&config.data)?.with_context(|| {
        format!("another process serves {}; stop it or use another --data", config.data.display())
    })?;
    let rng = system_rng();
    let root = dir.root_key(config.root_key.as_deref(), &rng)?;
    let certificate = match &config.tls {
        None => None,
        Some(tls) => Some(match &tls.files {
            Some((chain, key)) => ServerCertificate::read(chain, key)?,
            None => DevCa::open(dir.path())?.issue(SystemClock.now())?,
        }),
    };
    let name = certificate.as_ref().map(ServerCertificate::first_name).transpose()?.flatten();
    let issuer = config.issuer(name.as_deref())?;
    let ports = Ports { clock: Arc::new(SystemClock), rng: Arc::new(rng) };
    let options = ServerOptions {
        issuer,
        trusts_proxy: config.trusts_proxy,
        fga_auth: config.fga_auth()?,
        fga_memory_bytes: config.fga_memory_bytes,
        fga_limits: config.fga_limits,
        fga_access_control: config.fga_access_control.clone(),
        database: config.database.clone(),
        model: config.model.clone(),
        chat_hold: config.chat_hold,
        approval_lifetime: config.approval_lifetime,
    };
    let server = Arc::new(Server::open(dir.path(), &root, options, ports).await?);
    let opened = prepare(&server).await?;
    if let Some(control) = &config.fga_access_control {
        server.authz.verify_access_control(control).await.context(ACCESS_CONTROL)?;
    }
    server.agent.start();

    let mut listeners = vec![Listener::bind(&config.http, None).await?];
    if let (Some(tls), Some(certificate)) = (&config.tls, certificate) {
        listeners.push(Listener::bind(&tls.address, Some(certificate.into_config()?)).await?);
    }
    for listener in &listeners {
        tracing::info!(address = %listener.local_addr()?, "listening");
    }
    say!("{}", opened.greeting);

    let (stop, stopped) = watch::channel(false);
    let tasks = tokio_util::task::TaskTracker::new();
    for listener in listeners {
        tasks.spawn(listener.serve(server.router.clone(), stopped.clone()));
    }
    tasks.spawn(sequencer::run(server.ledger.clone(), stopped.clone()));
    let control = control::serve(dir.path(), Arc::clone(&server), stopped.clone());
    tokio::pin!(control);
    tasks.spawn(sweep(server.gate.clone(), stopped.clone()));
    tasks.spawn(settle(server.agent.clone(), stopped.clone()));
    tasks.spawn(purge(server.identity.clone(), stopped.clone()));
    tasks.spawn(forget_password(server.identity.clone(), opened.password_file, stopped));
    let failure = tokio::select! {
        stopped = wait_for_stop() => stopped.err(),
        ended = &mut control => Some(ended.err().unwrap_or_else(|| anyhow::anyhow!("the control socket ended"))),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    tasks.close();
    tasks.wait().await;
    if failure.is_none() {
        control.await?;
    }
    server.agent.stop().await;
    server.vault.close().await;
    // The last requests' events become leaves before the database is closed.
    if let Err(error) = server.ledger.flush().await {
        tracing::error!(%error, "some events wait for the next start to become leaves");
    }
    server.authz.close().await;
    server.storage.close().await;
    failure.map_or(Ok(()), Err)
}

pub(super) async fn wait_for_stop() -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) =
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// Applies the files that the command line names, before the listeners open.
pub(super) async fn apply_sources(
    server: &Server,
    dir: &Path,
    sources: &[Source],
) -> anyhow::Result<()> {
    let options =
        ApplyOptions { actor: apply::local_actor()?, is_dry_run: false, resets_secrets: false };
    let outcome = setup_file::apply(server, sources, &options).await?;
    if sources.is_empty() {
        return Ok(());
    }
    // As the first password: shown on a terminal, else in a file that only its owner can read.
    let file = dir.join("client-secrets");
    let secrets_out = (!std::io::stdout().is_terminal()).then_some(file.as_path());
    apply::report(&outcome, false, secrets_out)
}

/// While there is no administrator, as on first start, makes one; her one-time password goes to the
/// terminal, or else into a file that only its owner can read.
async fn first_administrator(identity: &Identity, dir: &Path) -> anyhow::Result<Option<PathBuf>> {
    let file = dir.join("admin-password");
    if identity.has_administrator().await? {
        return Ok(file.exists().then_some(file));
    }
    let password = opaque::mint("", &system_rng());
    let user_id: UserId = ADMINISTRATOR.parse()?;
    let shows = std::io::stdout().is_terminal();
    if !shows {
        // The file first: a crash between the two leaves a password that opens nothing.
        if file.exists() {
            std::fs::remove_file(&file)?;
        }
        write_private(&file, format!("{}\n", password.expose()).as_bytes())?;
    }
    if !identity.create_first_administrator(&user_id, &password).await? {
        return Ok(file.exists().then_some(file));
    }
    if shows {
        say!("First start. Sign in at {}console", identity.issuer());
        say!("  user name  admin");
        say!("  password   {}  (once; you then choose your own)", password.expose());
        return Ok(None);
    }
    say!("First start. The administrator's one-time password is in {}", file.display());
    Ok(Some(file))
}

/// Records every second what the clock has decided: approvals and waits that are over.
async fn sweep(gate: Gate, mut stopped: watch::Receiver<bool>) {
    loop {
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            () = second => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
        if let Err(error) = gate.sweep().await {
            tracing::warn!(%error, "expired approvals could not be recorded");
        }
    }
}

/// Looks every few seconds how calls ended whose outcome was not known.
async fn settle(agent: Agent, mut stopped: watch::Receiver<bool>) {
    loop {
        let pause = tokio::time::sleep(Duration::from_secs(5));
        tokio::select! {
            () = pause => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
        let settled = tokio::select! {
            settled = agent.settle_unknown() => settled,
            _ = stopped.wait_for(|is_over| *is_over) => return,
        };
        if let Err(error) = settled {
            tracing::warn!(%error, "calls with an unknown outcome could not be looked at");
        }
    }
}

/// Forgets what ran out, every few minutes.
async fn purge(identity: Identity, mut stopped: watch::Receiver<bool>) {
    loop {
        if let Err(error) = identity.purge().await {
            tracing::warn!(%error, "what ran out could not be forgotten");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_mins(5)) => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
    }
}

/// Removes the file with the one-time password once another has been chosen.
async fn forget_password(
    identity: Identity,
    file: Option<PathBuf>,
    mut stopped: watch::Receiver<bool>,
) {
    let (Some(file), Ok(user_id)) = (file, ADMINISTRATOR.parse::<UserId>()) else { return };
    loop {
        match identity.find_user(&user_id).await {
            Ok(Some(user)) if user.must_change_password => {}
            Ok(_) => {
                if let Err(error) = std::fs::remove_file(&file) {
                    tracing::warn!(%error, file = %file.display(), "cannot remove the password");
                }
                return;
            }
            Err(error) => tracing::warn!(%error, "cannot look up the administrator"),
        }
        let second = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            () = second => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
    }
}
