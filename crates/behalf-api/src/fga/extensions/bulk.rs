//! Many tuples at once: deleted by a filter, imported and exported as a stream of lines.

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request};
use axum::response::IntoResponse as _;
use behalf_authz::TupleFilter;
use behalf_authz::engine::{Snapshot, TupleKey};
use futures_util::StreamExt as _;
use http::{StatusCode, header};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Answered;
use crate::fga::call::{Answer, Call, Stamp};
use crate::fga::convert::{message_of, tuple_of};
use crate::fga::error::FgaError;
use crate::fga::json::{DeleteBy, FgaBody, tuple_json, tuple_line};
use crate::fga::rules::{self, In};

/// Tuples of an import that are written together.
const CHUNK: usize = 100;
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
    let mut body = request.into_body().into_data_stream();
    let mut rest: Vec<u8> = Vec::new();
    while let Some(bytes) = body.next().await {
        let bytes = bytes.map_err(|_| import.error("the body could not be read"))?;
        rest.extend_from_slice(&bytes);
        let mut lines = rest.split(|byte| *byte == b'\n');
        let tail = lines.next_back().unwrap_or_default().to_vec();
        for line in lines {
            import.line(line)?;
            import.flush_at(CHUNK).await?;
        }
        rest = tail;
        if rest.len() > MAX_LINE {
            return Err(import.error("the line is too long"));
        }
    }
    import.line(&rest)?;
    import.flush_at(1).await?;
    let json = json!({"written": import.written, "passed_over": import.passed_over});
    let answer = Answer::new(json, Stamp::at(import.store_id, import.revision));
    Ok(answer.http(StatusCode::OK, Value::clone))
}

/// An import under way.
struct Import {
    call: Call,
    store_id: String,
    gathered: Vec<TupleKey>,
    lines: usize,
    written: usize,
    passed_over: usize,
    revision: u64,
}

impl Import {
    const fn new(call: Call, store_id: String) -> Self {
        let gathered = Vec::new();
        Self { call, store_id, gathered, lines: 0, written: 0, passed_over: 0, revision: 0 }
    }

    fn error(&self, text: &str) -> FgaError {
        FgaError::validation(format!(
            "line {}: {text}; {} tuples were written before",
            self.lines, self.written
        ))
    }

    fn line(&mut self, line: &[u8]) -> Result<(), FgaError> {
        self.lines = self.lines.saturating_add(1);
        let line = str::from_utf8(line).map_err(|_| self.error("the line is no UTF-8"))?.trim();
        if line.is_empty() {
            return Ok(());
        }
        let tuple = tuple_line(line).and_then(|tuple| {
            rules::tuple_key(&tuple)?;
            Ok(tuple)
        });
        let tuple = tuple.map_err(|error| self.error(error.message()))?;
        self.gathered.push(tuple_of(tuple));
        Ok(())
    }

    /// Writes what was gathered when it is that many.
    async fn flush_at(&mut self, count: usize) -> Result<(), FgaError> {
        if self.gathered.len() < count {
            return Ok(());
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        // The log holds a key once per write; the last of the same key is what counts.
        let mut seen = std::collections::BTreeSet::new();
        let all = gathered.len();
        gathered.reverse();
        gathered.retain(|tuple| seen.insert(tuple.delete_key()));
        gathered.reverse();
        let authz = &self.call.context.authz;
        let imported = authz.import(&self.store_id, gathered, self.call.author()).await;
        let (written, revision) =
            imported.map_err(|error| self.error(FgaError::from(error).message()))?;
        self.written = self.written.saturating_add(written);
        self.passed_over = self.passed_over.saturating_add(all.saturating_sub(written));
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
