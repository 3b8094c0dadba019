//! Tuples taken in as one stream over HTTP, each chunk of them durable, and the next starts: after
//! `kill -9`, and after an orderly stop.
#![expect(clippy::cast_precision_loss, reason = "figures, far below every bound")]

use std::fmt::Write as _;
use std::time::Instant;

use anyhow::ensure;

use crate::load::{Connection, post};
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
        type doc
          relations
            define owner: [user]
            define viewer: [user, user:*]
            define can_view: owner or viewer
"#;
const STORE: &str = "/stores/01ARZ3NDEKTSV4RRFFQ69G5FAV";
const KEY: &str = "authorization: Bearer bench-key\r\n";

pub(crate) async fn measure(report: &mut Report, tuples: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = Server::start(dir.path(), SETUP).await?;
    let mut lines = String::new();
    for n in 0..tuples {
        let (user, doc) = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (tuples / 10), n / 2);
        writeln!(
            lines,
            r#"{{"user":"user:{user:012}","relation":"viewer","object":"doc:{n:012}-{doc}"}}"#
        )?;
    }
    let path = format!("{STORE}/behalf/import");
    let request = post(&server.address, &path, "application/x-ndjson", KEY, &lines);
    drop(lines);
    let begun = Instant::now();
    let mut connection = Connection::open(&server.address).await?;
    let answer = connection.ask(&request).await?;
    let rate = tuples as f64 / begun.elapsed().as_secs_f64();
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200 && text.contains(&tuples.to_string()), "import: {text}");
    drop(request);
    let what = format!("{tuples} tuples imported over HTTP, durable");
    report.row(&what, rate, "/s", Budget::AtLeast(100_000.0));
    report.row("resident memory after it", server.resident_mb()?, "MB", Budget::None);
    drop(connection);
    drop(server);
    let server = first_answer(report, "first answer after kill -9", dir.path()).await?;
    server.stop()?;
    first_answer(report, "first answer after an orderly stop", dir.path()).await?;
    Ok(())
}

async fn first_answer(
    report: &mut Report,
    what: &str,
    dir: &std::path::Path,
) -> anyhow::Result<Server> {
    let begun = Instant::now();
    let server = Server::start(dir, SETUP).await?;
    let body = r#"{"tuple_key":{"user":"user:000000000000","relation":"can_view","object":"doc:000000000000-0"}}"#;
    let check = format!("{STORE}/check");
    let request = post(&server.address, &check, "application/json", KEY, body);
    let answer = Connection::open(&server.address).await?.ask(&request).await?;
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(text.contains("\"allowed\":true"), "check: {text}");
    report.row(what, begun.elapsed().as_secs_f64(), "s", Budget::AtMost(3.0));
    Ok(server)
}
