//! Watch: the log as server-sent events, as it is written.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Path;
use axum::response::IntoResponse as _;
use behalf_authz::{AuthzError, ChangesQuery, TupleChange};
use behalf_core::Timestamp;
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap};
use serde_json::json;
use tokio::time::Instant;

use super::Answered;
use crate::fga::call::{Call, Stamp};
use crate::fga::convert::message_of;
use crate::fga::json::{QueryString, tuple_json};
use crate::fga::rules::In;

/// How long a caller is served; then she comes again, and is asked again who she is.
const SERVED: Duration = Duration::from_secs(600);
/// How long nothing is sent at most, so that nobody between takes the connection for dead.
const SILENCE: Duration = Duration::from_secs(15);
/// Changes read at once.
const PAGE: usize = 100;

/// The changes after `token`, or from `start_time` on; without either, those from now on.
pub(super) async fn watch(
    call: Call,
    Path(store_id): Path<String>,
    mut query: QueryString,
    headers: HeaderMap,
) -> Answered {
    let is = In("WatchRequest");
    is.store_id(&store_id)?;
    let object_type = query.text("type");
    if !object_type.is_empty() {
        is.type_name(&object_type)?;
    }
    let resumed = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let token = resumed.map_or_else(|| query.text("continuation_token"), str::to_owned);
    is.token(&token)?;
    let start = query.time("start_time")?.as_ref().and_then(crate::fga::convert::timestamp_of);
    call.enter(&store_id).await?;
    let revision = call.context.authz.load_store(&store_id).await.map(|store| store.revision)?;
    let mut watch = Watch {
        call,
        store_id: store_id.clone(),
        object_type,
        token,
        start,
        revision,
        ready: VecDeque::new(),
        until: Instant::now() + SERVED,
    };
    if watch.token.is_empty() && start.is_none() {
        watch.token =
            behalf_authz::token_at(watch.call.context.identity.now(), revision, &watch.object_type);
    } else {
        // A token that no page gave is an error now, not in the stream.
        watch.read().await?;
    }
    let events = futures_util::stream::unfold(watch, async |mut watch| {
        let event = watch.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), watch))
    });
    let headers =
        [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    let mut response = (StatusCode::OK, headers, Body::from_stream(events)).into_response();
    Stamp::at(store_id, u64::try_from(revision).unwrap_or_default()).put(response.headers_mut());
    Ok(response)
}

struct Watch {
    call: Call,
    store_id: String,
    object_type: String,
    token: String,
    start: Option<Timestamp>,
    /// The newest revision that was looked at.
    revision: i64,
    ready: VecDeque<Bytes>,
    until: Instant,
}

impl Watch {
    /// The next event, or a comment when there is none for long; nothing when it is over.
    async fn next(&mut self) -> Option<Bytes> {
        let silent_until = Instant::now() + SILENCE;
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if Instant::now() >= self.until || self.read().await.is_err() {
                return None;
            }
            if !self.ready.is_empty() {
                continue;
            }
            if Instant::now() >= silent_until {
                return Some(Bytes::from_static(b": still here\n\n"));
            }
            let next = u64::try_from(self.revision).unwrap_or_default().saturating_add(1);
            match self.call.context.authz.reach(&self.store_id, next).await {
                Ok(()) | Err(AuthzError::NotReached { .. }) => {}
                Err(_) => return None,
            }
        }
    }

    async fn read(&mut self) -> Result<(), AuthzError> {
        let query = ChangesQuery {
            object_type: &self.object_type,
            size: PAGE,
            token: &self.token,
            start: self.start,
            until: None,
        };
        let changes = self.call.context.authz.read_changes(&self.store_id, query).await?;
        self.revision = changes.revision;
        self.token = changes.token;
        let last = changes.items.len().saturating_sub(1);
        for (index, change) in changes.items.into_iter().enumerate() {
            // Whoever comes again begins behind the last event of a page.
            let token = if index == last { self.token.as_str() } else { "" };
            self.ready.push_back(event(token, change));
        }
        Ok(())
    }
}

fn event(token: &str, change: TupleChange) -> Bytes {
    let operation =
        if change.is_delete { "TUPLE_OPERATION_DELETE" } else { "TUPLE_OPERATION_WRITE" };
    let data = json!({
        "tuple_key": tuple_json(&message_of(change.tuple)),
        "operation": operation,
        "timestamp": change.at.to_rfc3339(),
        "revision": change.revision,
        "actor": change.actor,
        "reason": change.reason,
        "transaction": change.txn,
    });
    let id = if token.is_empty() { String::new() } else { format!("id: {token}\n") };
    Bytes::from(format!("{id}event: change\ndata: {data}\n\n"))
}
