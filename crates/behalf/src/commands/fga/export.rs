//! `behalf fga export`: every tuple of one revision, as lines of JSON or as a store file.

use std::fs::OpenOptions;
use std::io::{BufWriter, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use behalf_core::counted;
use behalf_fga::AuthorizationModel;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::cli::fga::{ExportForm, FgaExportArgs};
use crate::commands::target;
use crate::output::complain;
use crate::server_client::{ServerCall, ServerClient};

/// The longest line that a server may send, in bytes.
const MAX_LINE: usize = 1024 * 1024;

pub(super) async fn export(args: &FgaExportArgs) -> anyhow::Result<ExitCode> {
    let client = target::open(&args.target).await?;
    let outcome = write_out(&client, args).await;
    client.close().await?;
    match outcome {
        // Whoever reads only the beginning has what she asked for.
        Err(error) if is_closed_pipe(&error) => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error),
        Ok(count) => {
            if args.out.is_some() {
                complain!("{}", counted(count, "tuple", "tuples"));
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

async fn write_out(client: &ServerClient, args: &FgaExportArgs) -> anyhow::Result<u64> {
    let store = super::ask::store(client, &args.store).await?;
    let head = match args.form {
        ExportForm::Ndjson => String::new(),
        ExportForm::Store => head(client, &store).await?,
    };
    let Some(path) = &args.out else {
        // Not locked: the stream is awaited meanwhile.
        let mut out = BufWriter::new(std::io::stdout());
        out.write_all(head.as_bytes())?;
        let count = tuples(client, &store, args.form, &mut out).await?;
        out.flush()?;
        return Ok(count);
    };
    // Beside its place first: a file with that name is whole.
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.part", std::process::id()));
    let written = async {
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&beside)?;
        let mut out = BufWriter::new(file);
        out.write_all(head.as_bytes())?;
        let count = tuples(client, &store, args.form, &mut out).await?;
        out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&beside, path)?;
        anyhow::Ok(count)
    };
    let written = written.await.inspect_err(|_| drop(std::fs::remove_file(&beside)));
    written.with_context(|| format!("cannot write {}", path.display()))
}

/// A store file's name and model, up to its tuples.
async fn head(client: &ServerClient, store: &str) -> anyhow::Result<String> {
    let about = client.ask(&ServerCall::get(&["stores", store])).await?;
    let name = about.get("name").and_then(Value::as_str).unwrap_or_default();
    let call = ServerCall::get(&["stores", store, "authorization-models"]).query("page_size", "1");
    let page = client.ask(&call).await?;
    let latest = page.get("authorization_models").and_then(|models| models.get(0));
    let latest = latest.context("the store has no model; a store file needs one")?;
    let model = AuthorizationModel::from_json(&latest.to_string())?;
    let dsl = model.to_dsl().map_err(|error| anyhow!("the model as DSL: {error}"))?;
    let lines = dsl.trim_end().lines().map(|line| format!("  {line}").trim_end().to_owned());
    let model = lines.collect::<Vec<_>>().join("\n");
    Ok(format!("name: {}\nmodel: |\n{model}\n", Value::from(name)))
}

/// Writes every tuple; how many there were.
async fn tuples(
    client: &ServerClient,
    store: &str,
    form: ExportForm,
    out: &mut impl Write,
) -> anyhow::Result<u64> {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {human_pos} tuples  {per_sec}") {
        bar.set_style(style);
    }
    let mut chunks =
        client.stream(&ServerCall::get(&["stores", store, "behalf", "export"])).await?;
    let (mut count, mut timed) = (0_u64, 0_u64);
    let mut rest = Vec::new();
    while let Some(chunk) = chunks.next().await {
        rest.extend_from_slice(&chunk?);
        let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if rest.len() - whole > MAX_LINE {
            bail!("the server sends a line longer than {MAX_LINE} bytes");
        }
        let lines: Vec<u8> = rest.drain(..whole).collect();
        for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            if form == ExportForm::Store {
                // JSON is YAML; a store file has no times.
                timed += u64::from(is_timed(line)?);
                out.write_all(if count == 0 { b"tuples:\n  - " } else { b"  - " })?;
            }
            out.write_all(line)?;
            out.write_all(b"\n")?;
            count += 1;
        }
        bar.set_position(count);
    }
    bar.finish_and_clear();
    if !rest.is_empty() {
        bail!("the export broke off after {}", counted(count, "tuple", "tuples"));
    }
    if timed > 0 {
        let timed = counted(timed, "tuple holds", "tuples hold");
        bail!("{timed} only for a time, which a store file cannot say; use --form ndjson");
    }
    Ok(count)
}

fn is_timed(line: &[u8]) -> anyhow::Result<bool> {
    let tuple: Value = serde_json::from_slice(line)?;
    Ok(["not_before", "expires_at"].iter().any(|name| tuple.get(name).is_some()))
}
