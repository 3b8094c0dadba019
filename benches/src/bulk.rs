//! Tuples taken in as streams over HTTP, each chunk of them durable, and the starts after it: after
//! `kill -9`, after an orderly stop, and from the log alone; what a save of the store and the removal
//! of a large group cost those who ask meanwhile.
#![expect(clippy::cast_precision_loss, reason = "figures, far below every bound")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::load::{Answer, Connection, post};
use crate::report::{Budget, Report};
use crate::server::Server;

const SETUP: &str = r#"
fga:
  api_keys: [{name: bench, key: "bench-key", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga"]}]
  stores:
    - id: 01ARZ3NDEKTSV4RRFFQ69G5FAV
      name: documents
      model: |
        model
          schema 1.1
        type user
        type group
          relations
            define member: [user]
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*, group#member]
            define can_view: owner or viewer
"#;
const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEY: &str = "authorization: Bearer bench-key\r\n";
const JSON: &str = "application/json";

/// Tuples in one request.
const TOGETHER: u64 = 1_000_000;
/// One tuple in so many expires, at one of so many times.
const EXPIRING: u64 = 20;
const TIMES: u64 = 24;
/// Members of the group that is removed.
const MEMBERS: u64 = 1_000_000;
/// How long a store may take to be saved.
const SAVED_WITHIN: Duration = Duration::from_secs(120);

pub(crate) async fn measure(report: &mut Report, tuples: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), SETUP).await?;
    import(report, &server, tuples).await?;
    drop(server);
    let server = first_answer(report, "first answer after kill -9", dir.path()).await?;
    server.stop()?;
    let server = first_answer(report, "first answer after an orderly stop", dir.path()).await?;
    timed_read(report, &server).await?;
    drop(server);
    std::fs::remove_dir_all(dir.path().join("data/fga"))?;
    let server = first_answer(report, "first answer from the log alone", dir.path()).await?;
    during_a_save(report, &server, dir.path()).await?;
    drop(server);
    drop(dir);
    removal(report).await
}

async fn import(report: &mut Report, server: &Server, tuples: u64) -> anyhow::Result<()> {
    let mut connection = Connection::open(&server.address).await?;
    let mut seconds = 0.0;
    let (mut first, cpu) = (0, server.cpu()?);
    while first < tuples {
        let until = tuples.min(first + TOGETHER);
        let mut lines = String::new();
        for n in first..until {
            let (user, doc) = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (tuples / 10), n / 2);
            let end = match n % EXPIRING {
                1 => format!(r#","expires_at":"2099-01-01T{:02}:00:00Z""#, n / EXPIRING % TIMES),
                _ => String::new(),
            };
            writeln!(
                lines,
                r#"{{"user":"user:{user:012}","relation":"viewer","object":"doc:{n:012}-{doc}"{end}}}"#
            )?;
        }
        seconds += take_in(&mut connection, &server.address, &lines, until - first).await?;
        first = until;
    }
    let what = format!("{tuples} tuples imported over HTTP, durable");
    report.row(&what, tuples as f64 / seconds, "/s", Budget::AtLeast(100_000.0));
    let cpu = server.cpu()?.saturating_sub(cpu).as_secs_f64() * 1e6 / tuples as f64;
    report.row("processor time for each", cpu, "us", Budget::None);
    report.row("resident memory after it", server.resident_mb()?, "MB", Budget::None);
    Ok(())
}

/// Imports lines and says how many seconds that took.
async fn take_in(
    connection: &mut Connection,
    address: &str,
    lines: &str,
    count: u64,
) -> anyhow::Result<f64> {
    let path = format!("{STORE}/behalf/import");
    let request = post(address, &path, "application/x-ndjson", KEY, lines);
    let begun = Instant::now();
    let answer = connection.ask(&request).await?;
    let seconds = begun.elapsed().as_secs_f64();
    expect(&answer, &format!("\"written\":{count}"))?;
    Ok(seconds)
}

async fn first_answer(report: &mut Report, what: &str, dir: &Path) -> anyhow::Result<Server> {
    let begun = Instant::now();
    let server = Server::start(dir, SETUP).await?;
    let check = check(&server.address, "user:000000000000", "doc:000000000000-0");
    let answer = Connection::open(&server.address).await?.ask(&check).await?;
    expect(&answer, "\"allowed\":true")?;
    report.row(what, begun.elapsed().as_secs_f64(), "s", Budget::AtMost(3.0));
    report.row("resident memory then", server.resident_mb()?, "MB", Budget::None);
    Ok(server)
}

/// The first page of tuples with the times of their writing, and another.
async fn timed_read(report: &mut Report, server: &Server) -> anyhow::Result<()> {
    let mut connection = Connection::open(&server.address).await?;
    for what in ["first page of tuples with their times", "and again"] {
        let body = r#"{"tuple_key":{"user":"user:000000000000","object":"doc:"},"page_size":50}"#;
        let request = post(&server.address, &format!("{STORE}/read"), JSON, KEY, body);
        let begun = Instant::now();
        let answer = connection.ask(&request).await?;
        expect(&answer, "\"timestamp\"")?;
        report.row(what, begun.elapsed().as_secs_f64(), "s", Budget::None);
    }
    Ok(())
}

/// The store was just read from its log, and is saved now: what that costs others.
async fn during_a_save(report: &mut Report, server: &Server, dir: &Path) -> anyhow::Result<()> {
    let file = dir.join("data/fga/default").join(STORE.replace("/stores/", "") + ".snapshot");
    let begun = Instant::now();
    let is_over = || file.exists() || begun.elapsed() > SAVED_WITHIN;
    let (checks, writes) = meanwhile(server, is_over).await?;
    let length = file.metadata().context("the store was not saved")?.len();
    report.row("the store saved within", begun.elapsed().as_secs_f64(), "s", Budget::None);
    report.row("its file", length as f64 / 1e6, "MB", Budget::None);
    times(report, "during the save", checks, writes)
}

/// A group of a million members that a filter deletes while others ask and write.
async fn removal(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), SETUP).await?;
    let mut connection = Connection::open(&server.address).await?;
    let mut lines =
        r#"{"user":"group:all#member","relation":"viewer","object":"doc:000000000000-0"}"#
            .to_owned()
            + "\n";
    for n in 0..MEMBERS {
        writeln!(lines, r#"{{"user":"user:{n:012}","relation":"member","object":"group:all"}}"#)?;
    }
    take_in(&mut connection, &server.address, &lines, MEMBERS + 1).await?;
    let path = format!("{STORE}/behalf/delete");
    let request = post(&server.address, &path, JSON, KEY, r#"{"filter":{"object":"group:all"}}"#);
    let is_over = Rc::new(Cell::new(false));
    let end = Rc::clone(&is_over);
    let removal = tokio::task::spawn_local(async move {
        let begun = Instant::now();
        let answer = connection.ask(&request).await;
        end.set(true);
        anyhow::Ok((answer?, begun.elapsed()))
    });
    let (checks, writes) = meanwhile(&server, || is_over.get()).await?;
    let (answer, took) = removal.await??;
    expect(&answer, &format!("\"deleted\":{MEMBERS}"))?;
    let what = format!("a group of {MEMBERS} members removed under load");
    report.row(&what, took.as_secs_f64(), "s", Budget::None);
    times(report, "during the removal", checks, writes)?;
    let gone = check(&server.address, "user:000000000000", "doc:000000000000-0");
    expect(&Connection::open(&server.address).await?.ask(&gone).await?, "\"allowed\":false")
}

/// Checks over one connection and writes over another until something is over; how long each took,
/// in seconds. A write is checked to be visible.
async fn meanwhile(
    server: &Server,
    is_over: impl Fn() -> bool,
) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let address = server.address.clone();
    let stop = Rc::new(Cell::new(false));
    let stopped = Rc::clone(&stop);
    let asking = tokio::task::spawn_local(async move {
        let mut connection = Connection::open(&address).await?;
        let request = check(&address, "user:000000000001", "doc:000000000000-0");
        let mut times = Vec::new();
        while !stopped.get() {
            let begun = Instant::now();
            let answer = connection.ask(&request).await?;
            times.push(begun.elapsed().as_secs_f64());
            ensure!(answer.status == 200, "a check: {}", answer.status);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(times)
    });
    let address = &server.address;
    let mut connection = Connection::open(address).await?;
    let mut writes = Vec::new();
    while !is_over() || writes.is_empty() {
        let object = format!("doc:new-{}", writes.len());
        let key = format!(r#"{{"user":"user:new","relation":"viewer","object":"{object}"}}"#);
        let body = format!(r#"{{"writes":{{"tuple_keys":[{key}]}}}}"#);
        let write = post(address, &format!("{STORE}/write"), JSON, KEY, &body);
        let begun = Instant::now();
        let answer = connection.ask(&write).await?;
        ensure!(answer.status == 200, "a write: {}", answer.status);
        let answer = connection.ask(&check(address, "user:new", &object)).await?;
        writes.push(begun.elapsed().as_secs_f64());
        expect(&answer, "\"allowed\":true")?;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stop.set(true);
    Ok((asking.await??, writes))
}

fn times(
    report: &mut Report,
    when: &str,
    checks: Vec<f64>,
    writes: Vec<f64>,
) -> anyhow::Result<()> {
    for (what, mut times) in [("check", checks), ("write to visible", writes)] {
        times.sort_unstable_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 100).or_else(|| times.last());
        for (name, figure) in [("p50", at(50)), ("p99", at(99)), ("longest", times.last())] {
            let figure = figure.with_context(|| format!("no {what} {when}"))?;
            report.row(&format!("{what} {when}, {name}"), figure * 1e3, "ms", Budget::None);
        }
    }
    Ok(())
}

fn check(address: &str, user: &str, object: &str) -> Vec<u8> {
    let body =
        format!(r#"{{"tuple_key":{{"user":"{user}","relation":"can_view","object":"{object}"}}}}"#);
    post(address, &format!("{STORE}/check"), JSON, KEY, &body)
}

fn expect(answer: &Answer, part: &str) -> anyhow::Result<()> {
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200 && text.contains(part), "no `{part}` in {text}");
    Ok(())
}
