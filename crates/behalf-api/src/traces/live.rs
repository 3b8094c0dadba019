//! `GET /api/v1/traces/live`: what changes, as it changes, as server-sent events.
//!
//! Each event is a trace as it is now; its id is where a reader that lost the connection goes on.

use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use behalf_http::{BrowserOf, Caller, HttpContext};
use behalf_identity::Browser;
use behalf_store::StoreError;
use behalf_traces::{Reader, Tail};
use futures_util::stream::{self, Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, header};

use super::body::summary;
use crate::problem::Problem;

/// After this long without news a comment keeps the connection, and the caller is looked up again.
const PATIENCE: Duration = Duration::from_secs(10);

struct Following {
    context: HttpContext,
    caller: Caller,
    browser: Browser,
    tail: Tail,
    is_over: bool,
}

pub(super) async fn live(
    State(context): State<HttpContext>,
    Extension(caller): Extension<Caller>,
    BrowserOf(browser): BrowserOf,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse::<i64>().ok());
    // Events of one batch share an id: the batch is told again rather than a part of it never.
    let after = last.map(|last| last.saturating_sub(1));
    let project = caller.trace_project();
    let tail = context.traces.tail(&project, caller.trace_reader(), after).await?;
    let following = Following { context, caller, browser, tail, is_over: false };
    let mut response = Sse::new(events(following)).into_response();
    // Proxies must hand events on at once.
    let no = HeaderValue::from_static("no");
    response.headers_mut().insert("x-accel-buffering", no);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn events(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    let hello = stream::once(async { Ok(Event::default().comment("following")) });
    let news = stream::unfold(following, async |mut following| {
        if following.is_over {
            return None;
        }
        let events = match following.next().await {
            Ok(Some(events)) => events,
            Ok(None) => return None,
            Err(error) => {
                tracing::error!(%error, "a live tail of traces broke off");
                following.is_over = true;
                Vec::new()
            }
        };
        Some((stream::iter(events.into_iter().map(Ok)), following))
    });
    hello.chain(news.flatten())
}

impl Following {
    /// The next events; `None` when the caller may no longer follow.
    async fn next(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        let changed = self.tail.next(PATIENCE).await?;
        if !self.is_still_admitted().await? {
            return Ok(None);
        }
        if changed.is_empty() {
            return Ok(Some(vec![Event::default().comment("still following")]));
        }
        let events = changed.iter().map(|trace| {
            let event = Event::default().event("trace").id(trace.sequence.to_string());
            event.data(summary(trace).to_string())
        });
        Ok(Some(events.collect()))
    }

    /// A right that was taken away is gone with the next event, not with the next connection.
    async fn is_still_admitted(&self) -> Result<bool, StoreError> {
        let identity = &self.context.identity;
        let now = match &self.caller {
            Caller::Person(_) => identity.find_session(&self.browser).await?.map(Caller::Person),
            Caller::Token(token, Some(user)) => {
                let user = identity.find_user(&user.user_id).await?;
                let is_current = token.expires_at > identity.now();
                let user = user.filter(|user| is_current && !user.blocked);
                user.map(|user| Caller::Token(token.clone(), Some(user)))
            }
            Caller::Project(before) => {
                let machine = identity.find_project_caller(before).await?;
                let machine = machine.filter(|now| now.scopes == before.scopes);
                machine.map(Caller::Project)
            }
            other => Some(other.clone()),
        };
        Ok(now.is_some_and(|now| is_same(&now.trace_reader(), &self.caller.trace_reader())))
    }
}

fn is_same(now: &Reader, before: &Reader) -> bool {
    now.user_id == before.user_id && now.sees_all == before.sees_all
}
