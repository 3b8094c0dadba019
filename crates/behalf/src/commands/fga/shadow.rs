//! `behalf fga shadow`: stands in front of a live OpenFGA, hands every request on to it and its answer
//! back, and compares that with what Behalf answers from a copy that it keeps beside it. After the
//! switch the other way round: Behalf answers, and the old server is kept up and compared.

mod compare;
mod figures;
mod follow;
mod judge;
mod proxy;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use behalf_core::{Clock as _, Timestamp, counted};
use behalf_egress::{Egress, OperatorAddress};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

use super::replica::Replica;
use super::state::StateFile;
use crate::cli::fga::{AnswerFrom, FgaShadowArgs};
use crate::commands::{serve, target};
use crate::config::is_loopback;
use crate::dev_ca::ServerCertificate;
use crate::output::{complain, say};
use crate::sequencer;
use crate::server::Listener;
use crate::server_client::{ServerClient, USER_AGENT};
use crate::system::SystemClock;
use figures::{Latencies, Summary};
use follow::Follower;
use judge::{Judge, WORKERS};
use proxy::Proxy;

/// How long before its start the other direction reads Behalf's log: clocks may differ.
const MARGIN: Duration = Duration::from_mins(1);
/// How often the live line is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// How long comparisons may go on once the proxy has stopped.
const DRAIN: Duration = Duration::from_secs(10);

pub(super) async fn shadow(args: &FgaShadowArgs) -> anyhow::Result<ExitCode> {
    if !is_loopback(&args.http) && args.tls_cert.is_none() && !args.trust_proxy {
        bail!(
            "plain HTTP on {} carries the clients' tokens past other machines: give --tls-cert and \
             --tls-key, or --trust-proxy when a TLS proxy or a private network stands in front",
            args.http
        );
    }
    let certificate = match (&args.tls_cert, &args.tls_key) {
        (Some(chain), Some(key)) => Some(ServerCertificate::read(chain, key)?.into_config()?),
        _ => None,
    };
    check_direction(args)?;
    let upstream: OperatorAddress = args.upstream.parse().context("--upstream")?;
    let token = args.upstream_token_file.as_deref().map(target::token).transpose()?;
    let source = ServerClient::at(upstream.clone(), token)?;
    let listener = Listener::bind(&args.http, certificate).await?;
    let ours = target::open(&args.target).await?;
    let outcome = Box::pin(run(args, upstream, source, &ours, listener)).await;
    ours.close().await?;
    let summary = outcome?;
    print(&summary);
    if summary.says_nothing() {
        complain!("nothing could be compared");
    }
    let is_clean = summary.all.different.get() == 0 && !summary.says_nothing();
    Ok(if is_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What each direction needs.
fn check_direction(args: &FgaShadowArgs) -> anyhow::Result<()> {
    match args.answer_from {
        AnswerFrom::Upstream if args.since.is_some() => {
            bail!("--since is for --answer-from behalf: otherwise the copy is whole")
        }
        // Through a folder or its socket everybody may do everything: clients show Behalf who they are.
        AnswerFrom::Behalf if args.target.url.is_none() => bail!(
            "--answer-from behalf hands clients' requests on to Behalf with their own credentials: \
             give its address with --url, and the key for comparisons with --token-file"
        ),
        AnswerFrom::Behalf if args.from_store.is_empty() => bail!(
            "--answer-from behalf: name the stores that the upstream has with --from-store; Behalf has \
             some of its own"
        ),
        _ => Ok(()),
    }
}

/// What is copied where, and how far that has come.
fn replica(
    args: &FgaShadowArgs,
    upstream: &OperatorAddress,
    theirs: &ServerClient,
    ours: &ServerClient,
) -> anyhow::Result<(Replica, OperatorAddress)> {
    let stores = args.from_store.clone();
    if args.answer_from == AnswerFrom::Upstream {
        let path = super::copy::state_path(args.state.as_deref(), &args.target, upstream);
        let state = StateFile::open(&path, upstream.as_str(), &super::copy::place(&args.target)?)?;
        return Ok((Replica::new(theirs.clone(), ours.clone(), stores, state)?, upstream.clone()));
    }
    let url = args.target.url.as_deref().unwrap_or_default();
    let address: OperatorAddress = url.parse().context("--url")?;
    let path = super::copy::state_path(args.state.as_deref(), &args.target, &address);
    let state = StateFile::open(&path, address.as_str(), upstream.as_str())?;
    let since = args.since.as_deref().map(|text| {
        Timestamp::from_rfc3339(text).with_context(|| format!("--since {text}: no RFC 3339 time"))
    });
    let since = since.transpose()?.unwrap_or_else(|| SystemClock.now().minus(MARGIN));
    let replica = Replica::new(ours.clone(), theirs.clone(), stores, state)?.since(Some(since));
    Ok((replica, address))
}

async fn run(
    args: &FgaShadowArgs,
    upstream: OperatorAddress,
    source: ServerClient,
    ours: &ServerClient,
    listener: Listener,
) -> anyhow::Result<Arc<Summary>> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
        bar.set_style(style);
    }
    let (replica, answering) = replica(args, &upstream, &source, ours)?;
    let replica = replica.beside(&bar);
    let summary = Arc::new(Summary::default());
    let follower = Follower::new(Arc::clone(&summary));
    let (egress, from) = (Egress::new(USER_AGENT)?, args.answer_from);
    let (proxy, samples) =
        Proxy::new(egress, from, answering.clone(), Arc::clone(&summary), Arc::clone(&follower));
    let judge = Judge::new(
        (ours.clone(), source, from),
        Arc::clone(&summary),
        Arc::clone(&follower),
        bar.clone(),
        args.report.as_deref(),
    )?;
    let (stop, stopped) = watch::channel(false);
    let (tasks, comparisons) = (TaskTracker::new(), TaskTracker::new());
    let samples = Arc::new(tokio::sync::Mutex::new(samples));
    for _worker in 0..WORKERS {
        let judge = Arc::clone(&judge);
        comparisons.spawn(judge.run(Arc::clone(&samples), comparisons.clone()));
    }
    if let Some(server) = ours.folder() {
        tasks.spawn(sequencer::run(server.ledger.clone(), stopped.clone()));
    }
    let following = tasks.spawn(Arc::clone(&follower).run(replica, stopped.clone()));
    tasks.spawn(draw(bar.clone(), Arc::clone(&summary), stopped.clone()));
    let address = listener.local_addr()?;
    say!("answers as {answering} does, on {address}; the report is at /shadow/report there");
    let serving = tasks.spawn(listener.serve(proxy::router(Arc::new(proxy)), stopped));
    serve::wait_for_stop().await?;
    stop.send_replace(true);
    serving.await.context("the proxy ended early")?;
    comparisons.close();
    if tokio::time::timeout(DRAIN, comparisons.wait()).await.is_err() {
        judge.bar.suspend(|| complain!("some comparisons were given up"));
    }
    following.await.context("the copy ended early")?.finish();
    tasks.close();
    tasks.wait().await;
    bar.finish_and_clear();
    Ok(summary)
}

/// The live line, on a terminal.
async fn draw(bar: ProgressBar, summary: Arc<Summary>, mut stopped: watch::Receiver<bool>) {
    loop {
        let all = &summary.all;
        bar.set_message(format!(
            "{} compared, {} differ, {} settled, {} shed   upstream {}   behalf {}",
            HumanCount(all.compared()),
            HumanCount(all.different.get()),
            HumanCount(all.settled.get()),
            HumanCount(summary.shed.get()),
            latency(&all.upstream),
            latency(&all.behalf),
        ));
        bar.tick();
        tokio::select! {
            () = tokio::time::sleep(DRAW) => {}
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
    }
}

fn latency(latencies: &Latencies) -> String {
    match (latencies.percentile(50), latencies.percentile(99)) {
        (Some(p50), Some(p99)) => format!("p50 {p50:.2} ms, p99 {p99:.2} ms"),
        _ => "-".to_owned(),
    }
}

fn print(summary: &Summary) {
    let all = &summary.all;
    say!(
        "compared {}: {} the same, {} different, {} the same once the copy had caught up, {} \
         cut off by the upstream",
        counted(all.compared(), "answer", "answers"),
        HumanCount(all.same.get()),
        HumanCount(all.different.get()),
        HumanCount(all.settled.get()),
        HumanCount(all.truncated.get())
    );
    say!(
        "not compared: {} cannot be, {} about stores that are not copied, {} without an answer of ours, \
         {} shed",
        HumanCount(all.incomparable.get()),
        HumanCount(summary.not_copied.get()),
        HumanCount(summary.behalf_failures.get()),
        HumanCount(summary.shed.get())
    );
    say!("upstream {}; behalf {}", latency(&all.upstream), latency(&all.behalf));
    let (failures, refused) = (summary.copy_failures.get(), summary.copy_refused.get());
    if failures > 0 || refused > 0 {
        say!(
            "the copy broke off {}, and left out {}",
            counted(failures, "time", "times"),
            counted(refused, "tuple", "tuples")
        );
    }
}
