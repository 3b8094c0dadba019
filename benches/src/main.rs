//! How fast Behalf is on this machine: `cargo run --release -p behalf-benches [PART…]` prints the
//! machine, the figures, and their ratio to the budgets.
//!
//! Server and load share the machine, so figures over HTTP are a lower bound. Nothing here is a
//! test: a slow machine fails nothing.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line speaks to people")]

mod engine;
mod fga;
mod http;
mod load;
mod records;
mod report;
mod server;
mod storage;

use std::process::ExitCode;

use report::Report;

/// The allocator of the program that is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Set in the environment of the process that is the server.
const SERVER: &str = "BEHALF_BENCH_SERVER";

/// A part of the run.
const PARTS: [&str; 6] = ["start", "storage", "records", "engine", "http", DATASETS];

/// The part that is run only when it is named: it takes minutes and gigabytes.
const DATASETS: &str = "fga";
const DATASET_TUPLES: [u64; 2] = [1_000_000, 10_000_000];

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the program starts itself as the server")]
    let is_server = std::env::var_os(SERVER).is_some();
    if is_server {
        return behalf::run();
    }
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|part| !PARTS.contains(&part.as_str())) {
        eprintln!("no part `{unknown}`; there are {}", PARTS.join(", "));
        return ExitCode::FAILURE;
    }
    match run(&wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("benches: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(wanted: &[String]) -> anyhow::Result<()> {
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build; its figures mean nothing (use --release)");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::begin();
    let is_wanted = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
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
    if wanted.iter().any(|name| name == DATASETS) {
        for tuples in DATASET_TUPLES {
            fga::measure(&mut report, tuples)?;
        }
    }
    if is_wanted("http") {
        load::run(http::measure(&mut report))?;
    }
    Ok(())
}
