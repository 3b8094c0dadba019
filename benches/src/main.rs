//! How fast Behalf is on this machine: `cargo run --release -p behalf-benches [PART…]` prints the
//! machine, the figures, and their ratio to the budgets.
//!
//! Server and load share the machine, so figures over HTTP are a lower bound. Nothing here is a
//! test: a slow machine fails nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to people")]

mod beside;
mod bulk;
mod datasets;
mod engine;
mod fga;
mod http;
mod load;
mod records;
mod report;
mod scenario;
mod server;
mod storage;
mod target;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use datasets::Wanted;
use report::Report;
use target::Target;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Set in the environment of the process that is the server.
const SERVER: &str = "BEHALF_BENCH_SERVER";

/// Measures how fast Behalf is on this machine.
///
/// The parts are `start`, `storage`, `records`, `engine`, `bulk` and `http`, which run when none is named,
/// and two that take minutes and gigabytes: `fga` asks the engine about ten million tuples, `load`
/// makes every dataset and asks it in process, over HTTP and over gRPC.
#[derive(Debug, Parser)]
struct Arguments {
    /// The parts to run.
    #[arg(value_parser = PARTS)]
    parts: Vec<String>,
    /// For `load`: only this dataset.
    #[arg(long, value_name = "NAME")]
    dataset: Option<String>,
    /// How many tuples: for `load` about as many as a dataset has whose size can be chosen
    /// (100,000 unless it is said), for `bulk` those that are imported (1,000,000).
    #[arg(long, value_name = "N")]
    tuples: Option<u64>,
    /// For `load`: ask the OpenFGA at this address (`host:port` of HTTP) instead of a Behalf of its
    /// own. Stores are left behind there.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// For `load`: ask the OpenFGA at this address and a Behalf of its own, by turns.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "http")]
    beside: Option<String>,
    /// The address of its gRPC, if another.
    #[arg(long, value_name = "ADDRESS")]
    grpc: Option<String>,
    /// Its preshared key.
    #[arg(long, value_name = "KEY")]
    token: Option<String>,
    /// Its process, and those of its database: they get the core of the server, and the processor
    /// time for each request is counted.
    #[arg(long, value_name = "PROCESS", value_delimiter = ',', requires = "beside")]
    processes: Vec<u32>,
    /// For `load`: how long each load lasts.
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    seconds: u64,
}

/// A part of the run.
const PARTS: [&str; 8] = ["start", "storage", "records", "engine", "bulk", "http", FGA, LOAD];

/// The parts that are run only when they are named.
const FGA: &str = "fga";
const LOAD: &str = "load";
const FGA_TUPLES: [u64; 2] = [1_000_000, 10_000_000];
const LOAD_TUPLES: u64 = 100_000;
const BULK_TUPLES: u64 = 1_000_000;

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the program starts itself as the server")]
    let is_server = std::env::var_os(SERVER).is_some();
    if is_server {
        return behalf::run();
    }
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build; its figures mean nothing (use --release)");
    }
    let wanted = &arguments.parts;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::begin();
    let is_named = |part: &str| wanted.iter().any(|name| name == part);
    let is_wanted = |part: &str| wanted.is_empty() || is_named(part);
    if is_wanted("start") {
        load::run(server::measure(&mut report))?;
    }
    if is_wanted("storage") {
        runtime.block_on(storage::measure(&mut report))?;
    }
    if is_wanted("records") {
        runtime.block_on(records::measure(&mut report))?;
    }
    if is_wanted("engine") {
        engine::measure(&mut report)?;
    }
    if is_wanted("bulk") {
        let tuples = arguments.tuples.unwrap_or(BULK_TUPLES);
        load::run(bulk::measure(&mut report, tuples))?;
    }
    if is_named(FGA) {
        for tuples in FGA_TUPLES {
            fga::measure(&mut report, tuples)?;
        }
    }
    if is_named(LOAD) && arguments.beside.is_some() {
        let wanted = arguments.datasets();
        load::run(beside::measure(&mut report, &wanted, &arguments.processes))?;
    } else if is_named(LOAD) {
        load::run(datasets::measure(&mut report, &arguments.datasets()))?;
    }
    if is_wanted("http") {
        load::run(http::measure(&mut report))?;
    }
    Ok(())
}

impl Arguments {
    fn datasets(&self) -> Wanted {
        let target = self.http.as_ref().or(self.beside.as_ref()).map(|http| Target {
            http: http.clone(),
            grpc: self.grpc.as_ref().unwrap_or(http).clone(),
            token: self.token.clone(),
        });
        Wanted {
            scenario: self.dataset.clone(),
            tuples: self.tuples.unwrap_or(LOAD_TUPLES),
            target,
            length: Duration::from_secs(self.seconds),
        }
    }
}
