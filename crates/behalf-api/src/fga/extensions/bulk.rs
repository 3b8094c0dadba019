//! Many tuples at once: deleted by a filter, imported and exported as a stream of lines.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::response::IntoResponse as _;
use behalf_authz::engine::{Snapshot, TupleKey};
use behalf_authz::{AuthzError, TupleFilter};
use behalf_core::counted;
use futures_util::StreamExt as _;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{message_of, tuple_of};
use crate::fga::error::FgaError;
use crate::fga::json::{DeleteBy, FgaBody, tuple_json, tuple_line};
use crate::fga::rules::{self, In};

/// Tuples of an import that are written together, unless their lines are longer than so many bytes.
const CHUNK: usize = 2_000;
const CHUNK_BYTES: usize = 512 * 1024;
/// The longest line of an import in bytes.
const MAX_LINE: usize = 64 * 1024;
/// How many bytes of an export are gathered before they are sent.
const EXPORT_CHUNK: usize = 64 * 1024;

pub(super) async fn delete(
    call: Call,
    Path(store_id): Path<String>,
    FgaBody(body): FgaBody<DeleteBy>,
) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    let DeleteBy { user, relation, object, is_dry_run } = body;
    if user.is_empty() && relation.is_empty() && object.is_empty() {
        return Err(FgaError::validation("the filter is empty; it would delete every tuple"));
    }
    call.enter(&store_id).await?;
    let filter = TupleFilter { user, relation, object };
    let authz = &call.context.authz;
    let (count, revision) = if is_dry_run {
        authz.count_by(&store_id, &filter).await?
    } else {
        authz.delete_by(&store_id, &filter, call.author()).await?
    };
    let member = if is_dry_run { "would_delete" } else { "deleted" };
    let answer = Answer::new(json!({member: count}), Stamp::at(store_id, revision));
    Ok(answer.http(StatusCode::OK, Value::clone))
}

/// One JSON object per line. What was written before a bad line stays; tuples that exist are passed
/// over, so an import can be repeated.
pub(super) async fn import(call: Call, Path(store_id): Path<String>, request: Request) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    call.enter(&store_id).await?;
    let mut import = Import::new(call, store_id);
    let taken = import.take(request.into_body()).await;
    // What lies before a bad line is written first, and may be bad itself.
    let outcome = import.wait().await.and(taken);
    outcome.map_err(|text| import.error(&text))?;
    let json = json!({"written": import.written, "passed_over": import.passed_over});
    let answer = Answer::new(json, Stamp::at(import.store_id, import.revision));
    Ok(answer.http(StatusCode::OK, Value::clone))
}

/// An import under way: while some tuples are written, the next ones are read.
struct Import {
    call: Call,
    store_id: String,
    gathered: Vec<TupleKey>,
    gathered_bytes: usize,
    lines: usize,
    pending: Option<Pending>,
    written: usize,
    passed_over: usize,
    revision: u64,
}

/// Tuples that are being written.
struct Pending {
    count: usize,
    /// The number of their last line.
    line: usize,
    outcome: JoinHandle<Result<(usize, u64), AuthzError>>,
}

impl Import {
    const fn new(call: Call, store_id: String) -> Self {
        Self {
            call,
            store_id,
            gathered: Vec::new(),
            gathered_bytes: 0,
            lines: 0,
            pending: None,
            written: 0,
            passed_over: 0,
            revision: 0,
        }
    }

    fn error(&self, text: &str) -> FgaError {
        let written = counted(self.written, "tuple was", "tuples were");
        FgaError::validation(format!("{text}; {written} written before"))
    }

    fn at(line: usize, text: &str) -> String {
        format!("line {line}: {text}")
    }

    /// Takes every line; the error says what is wrong with one.
    async fn take(&mut self, body: Body) -> Result<(), String> {
        let mut body = body.into_data_stream();
        let mut rest: Vec<u8> = Vec::new();
        while let Some(bytes) = body.next().await {
            let unreadable = |_| Self::at(self.lines, "the body could not be read");
            let bytes = bytes.map_err(unreadable)?;
            rest.extend_from_slice(&bytes);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else {
                if rest.len() > MAX_LINE {
                    return Err(Self::at(self.lines, "the line is too long"));
                }
                continue;
            };
            let tail = rest.split_off(end);
            for line in rest.split(|byte| *byte == b'\n') {
                self.line(line)?;
                self.flush_at(CHUNK).await?;
            }
            rest = tail.get(1..).unwrap_or_default().to_vec();
        }
        self.line(&rest)?;
        self.flush_at(1).await
    }

    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        self.lines = self.lines.saturating_add(1);
        if line.len() > MAX_LINE {
            return Err(Self::at(self.lines, "the line is too long"));
        }
        let text = str::from_utf8(line);
        let line = text.map_err(|_| Self::at(self.lines, "the line is no UTF-8"))?.trim();
        if line.is_empty() {
            return Ok(());
        }
        let tuple = tuple_line(line).and_then(|tuple| {
            rules::tuple_key(&tuple)?;
            Ok(tuple)
        });
        let tuple = tuple.map_err(|error| Self::at(self.lines, error.message()))?;
        self.gathered.push(tuple_of(tuple));
        self.gathered_bytes = self.gathered_bytes.saturating_add(line.len());
        Ok(())
    }

    /// Has what was gathered written when it is that many or that long.
    async fn flush_at(&mut self, count: usize) -> Result<(), String> {
        if self.gathered.len() < count && self.gathered_bytes < CHUNK_BYTES {
            return Ok(());
        }
        self.wait().await?;
        let gathered = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let (count, line) = (gathered.len(), self.lines);
        let (call, store_id) = (self.call.clone(), self.store_id.clone());
        let outcome = tokio::spawn(async move {
            call.context.authz.import(&store_id, gathered, call.author()).await
        });
        self.pending = Some(Pending { count, line, outcome });
        Ok(())
    }

    /// Waits until what is being written is written.
    async fn wait(&mut self) -> Result<(), String> {
        let Some(Pending { count, line, outcome }) = self.pending.take() else { return Ok(()) };
        let imported = outcome.await.unwrap_or(Err(AuthzError::Contention));
        let (written, revision) =
            imported.map_err(|error| Self::at(line, FgaError::from(error).message()))?;
        self.written = self.written.saturating_add(written);
        self.passed_over = self.passed_over.saturating_add(count.saturating_sub(written));
        self.revision = revision;
        Ok(())
    }
}

/// Every tuple of one revision, one JSON object per line, as an import takes them.
pub(super) async fn export(call: Call, Path(store_id): Path<String>) -> Answered {
    In("BehalfRequest").store_id(&store_id)?;
    call.enter(&store_id).await?;
    let snapshot = call.context.authz.snapshot(&store_id).await?;
    let stamp = Stamp::at(store_id, snapshot.revision().0);
    let (sender, receiver) = mpsc::channel(4);
    // It ends by itself when the caller goes away: then nobody takes what is sent.
    drop(tokio::task::spawn_blocking(move || send_lines(&snapshot, &sender)));
    let chunks = futures_util::stream::unfold(receiver, async |mut receiver| {
        let chunk = receiver.recv().await?;
        Some((Ok::<_, std::convert::Infallible>(chunk), receiver))
    });
    let headers =
        [(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (StatusCode::OK, headers, Body::from_stream(chunks)).into_response();
    stamp.put(response.headers_mut());
    Ok(response)
}

fn send_lines(snapshot: &Snapshot, sender: &mpsc::Sender<Bytes>) {
    let mut chunk = String::new();
    for tuple in snapshot.tuples() {
        let mut json = tuple_json(&message_of(tuple));
        if let Some(members) = json.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        chunk.push_str(&json.to_string());
        chunk.push('\n');
        if chunk.len() >= EXPORT_CHUNK
            && sender.blocking_send(Bytes::from(std::mem::take(&mut chunk))).is_err()
        {
            return;
        }
    }
    if !chunk.is_empty() && sender.blocking_send(Bytes::from(chunk)).is_err() {
        tracing::debug!("an export was not read to its end");
    }
}
