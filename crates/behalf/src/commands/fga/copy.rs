//! `behalf fga import --from URL`: a copy of another server's stores, once or until it is stopped.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use behalf_core::{Timestamp, counted, grouped};
use behalf_egress::OperatorAddress;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::replica::{Replica, Totals};
use super::state::StateFile;
use crate::cli::fga::{FgaImportArgs, TargetArgs};
use crate::commands::{serve, target};
use crate::output::say;
use crate::sequencer;
use crate::server_client::ServerClient;

/// How often the log is looked at when it had nothing new, and after an error.
const INTERVAL: Duration = Duration::from_millis(500);
const AFTER_ERROR: Duration = Duration::from_secs(5);

pub(super) async fn copy(args: &FgaImportArgs, from: &str) -> anyhow::Result<ExitCode> {
    let source: OperatorAddress = from.parse().context("--from")?;
    let path = state_path(args.state.as_deref(), &args.target, &source);
    let state = StateFile::open(&path, source.as_str(), &place(&args.target)?)?;
    let since = args.since.as_deref().map(|text| {
        Timestamp::from_rfc3339(text).with_context(|| format!("--since {text}: no RFC 3339 time"))
    });
    let since = since.transpose()?;
    let token = args.from_token_file.as_deref().map(target::token).transpose()?;
    let source = ServerClient::at(source, token)?;
    let client = target::open(&args.target).await?;
    let replica = Replica::new(source, client.clone(), args.from_store.clone(), state)?;
    let mut replica = replica.since(since);
    if args.dry_run {
        replica = replica.only_looking();
    }
    let (stop, stopped) = watch::channel(false);
    let tasks = TaskTracker::new();
    if let Some(server) = client.folder() {
        tasks.spawn(sequencer::run(server.ledger.clone(), stopped));
    }
    let has_caught_up = Cell::new(false);
    let outcome = tokio::select! {
        outcome = run(&mut replica, args.follow, &has_caught_up) => outcome,
        stopped = serve::wait_for_stop() => stopped.and_then(|()| match has_caught_up.get() {
            true => Ok(()),
            false => Err(anyhow!("stopped before the copy was whole")),
        }),
    };
    replica.finish();
    stop.send_replace(true);
    tasks.close();
    tasks.wait().await;
    client.close().await?;
    report(&replica.totals, args.dry_run);
    if let Err(error) = outcome {
        if args.dry_run || !path.exists() {
            return Err(error);
        }
        bail!("{error:#}; running it again goes on where {} says", path.display());
    }
    let is_whole = replica.totals.refused == 0;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(
    replica: &mut Replica,
    follows: bool,
    has_caught_up: &Cell<bool>,
) -> anyhow::Result<()> {
    loop {
        let pause = match replica.round().await {
            Ok(_) if !follows => return Ok(()),
            Err(error) if !follows => return Err(error),
            Ok(is_new) => {
                if !has_caught_up.replace(true) {
                    replica.tell("caught up; following");
                }
                if is_new { Duration::ZERO } else { INTERVAL }
            }
            Err(error) => {
                replica.tell(&format!("{error:#}; trying again"));
                AFTER_ERROR
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn report(totals: &Totals, is_dry_run: bool) {
    let Totals { stores, models, assertions, tuples, changes, written, refused } = *totals;
    say!(
        "{} {}, {}, {}; read {} and {}; {} {}",
        if is_dry_run { "would copy" } else { "copied" },
        counted(stores, "store", "stores"),
        counted(models, "model", "models"),
        counted(assertions, "assertion", "assertions"),
        counted(tuples, "tuple", "tuples"),
        counted(changes, "change", "changes"),
        if is_dry_run { "would write" } else { "wrote" },
        grouped(written)
    );
    if refused > 0 {
        let refused = counted(refused, "tuple", "tuples");
        say!("{} {refused}", if is_dry_run { "would leave out" } else { "left out" });
    }
}

/// Where the copy's place is kept: as given, else in the data folder, else here.
pub(super) fn state_path(
    given: Option<&Path>,
    target: &TargetArgs,
    source: &OperatorAddress,
) -> PathBuf {
    if let Some(path) = given {
        return path.to_owned();
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '-';
    let address = source.as_str().trim_end_matches('/');
    let address = address.split_once("://").map_or(address, |(_, rest)| rest);
    let name: String = address.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let folder = if target.url.is_some() { Path::new("") } else { &target.data.data };
    folder.join(format!("fga-copy-of-{name}.json"))
}

/// What the state file says of where the copy lies. A folder may be moved with the file in it.
pub(super) fn place(target: &TargetArgs) -> anyhow::Result<String> {
    let Some(url) = &target.url else { return Ok("the data folder".to_owned()) };
    // As an address and not as it was typed: the shadow goes by the same file the other way.
    let address: OperatorAddress = url.parse().context("--url")?;
    Ok(address.as_str().to_owned())
}
