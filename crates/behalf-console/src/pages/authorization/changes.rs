//! `/console/authorization/{store_id}/changes`: the log of the store, newest first, live.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse as _, Response};
use behalf_authz::engine::Change;
use behalf_authz::{AuthzError, LogEntry};
use behalf_core::{Actor, Timestamp};
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_identity::{Browser, Resource, Session};
use futures_util::stream::{self, Stream};
use http::{StatusCode, header};

use super::{Head, failed, who};
use crate::frame::{Frame, may_read};
use crate::show;
use crate::time::Shown;

/// Writes on a page.
const SIZE: u32 = 20;
/// Changes of one write that are shown.
const SHOWN: usize = 10;
/// How long a page follows until it is asked again who follows.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long one connection lasts.
const SERVED_TURNS: u32 = 90;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/changes.html")]
pub(crate) struct Changes {
    frame: Frame,
    head: Head,
    entries: Vec<Entry>,
    /// True on the first page, which follows live.
    is_newest: bool,
    older: Option<i64>,
}

/// A write.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    revision: i64,
    at: Shown,
    who: String,
    reason: String,
    changes: Vec<Step>,
    /// How many more there are than are shown.
    more: usize,
}

/// A tuple that was written or deleted.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    is_delete: bool,
    user: String,
    relation: String,
    object: String,
    note: String,
}

impl Entry {
    fn new(entry: LogEntry, now: Timestamp) -> Self {
        Self {
            revision: entry.revision,
            at: Shown::new(entry.at, now),
            who: who(&entry.actor),
            reason: entry.reason,
            more: entry.changes.len().saturating_sub(SHOWN),
            changes: entry.changes.into_iter().take(SHOWN).map(Step::new).collect(),
        }
    }
}

impl Step {
    fn new(change: Change) -> Self {
        match change {
            Change::Write(tuple) => {
                let condition = tuple.condition.map(|of| format!("while {}", of.name));
                let until = tuple.validity.expires_at_micros;
                let until =
                    until.map(|at| format!("until {}", Timestamp::from_micros(at).to_rfc3339()));
                let note: Vec<String> = condition.into_iter().chain(until).collect();
                Self {
                    is_delete: false,
                    user: tuple.user,
                    relation: tuple.relation,
                    object: tuple.object,
                    note: note.join(", "),
                }
            }
            Change::Delete(key) => Self {
                is_delete: true,
                user: key.user,
                relation: key.relation,
                object: key.object,
                note: String::new(),
            },
        }
    }
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(store_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let mut params =
        Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let before = params.take("before").and_then(|before| before.parse().ok());
    match load(&context, (&session, &browser), &store_id, before).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(error) => failed(&error),
    }
}

async fn load(
    context: &HttpContext,
    person: (&Session, &Browser),
    store_id: &str,
    before: Option<i64>,
) -> Result<Changes, AuthzError> {
    let now = context.identity.now();
    let (head, frame) = Head::load(context, person, store_id, "/changes").await?;
    let entries = context.authz.recent_writes(store_id, before, SIZE).await?;
    let older = entries.last().map(|entry| entry.revision).filter(|revision| *revision > 1);
    Ok(Changes {
        frame,
        head,
        entries: entries.into_iter().map(|entry| Entry::new(entry, now)).collect(),
        is_newest: before.is_none(),
        older,
    })
}

/// `…/changes/events`: tells open pages that the store was written to, and nothing of what; the
/// page then asks for itself again.
pub(crate) async fn events(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(store_id): Path<String>,
) -> Response {
    let revision = match context.authz.load_store(&store_id).await {
        Ok(store) => u64::try_from(store.revision).unwrap_or_default(),
        Err(error) => return failed(&error),
    };
    let user = session.user.user_id.to_string();
    let following = Following { context, browser, user, store_id, revision, turns: SERVED_TURNS };
    let mut response = Sse::new(news(following)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert("x-accel-buffering", header::HeaderValue::from_static("no"));
    response
}

struct Following {
    context: HttpContext,
    browser: Browser,
    user: String,
    store_id: String,
    revision: u64,
    turns: u32,
}

fn news(following: Following) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold((following, true), async |(mut following, is_first)| {
        if is_first {
            return Some((Ok(Event::default().comment("following")), (following, false)));
        }
        let is_news = following.next().await?;
        let event = if is_news {
            Event::default().data("moved")
        } else {
            Event::default().comment("still following")
        };
        Some((Ok(event), (following, false)))
    })
}

impl Following {
    /// True when the store moved, false after a while without; `None` when it is over: she signed
    /// out, lost the role, the store is gone, or the connection is old.
    async fn next(&mut self) -> Option<bool> {
        self.turns = self.turns.checked_sub(1)?;
        let moved = tokio::time::timeout(PATIENCE, self.moved()).await.unwrap_or(Some(false))?;
        let session = self.context.identity.find_session(&self.browser).await.ok()??;
        let is_same = session.user.user_id.to_string() == self.user;
        (is_same && may_read(&session.user, Resource::Authorization)).then_some(moved)
    }

    async fn moved(&mut self) -> Option<bool> {
        loop {
            let next = self.revision.saturating_add(1);
            match self.context.authz.reach(&self.store_id, next).await {
                Ok(()) => {
                    let store = self.context.authz.load_store(&self.store_id).await.ok()?;
                    let at = u64::try_from(store.revision).unwrap_or_default();
                    self.revision = at.max(next);
                    return Some(true);
                }
                Err(AuthzError::NotReached { .. }) => {}
                Err(_) => return None,
            }
        }
    }
}

pub(crate) fn samples() -> Vec<Changes> {
    let now = Timestamp::from_secs(1_795_507_200);
    let (head, frame) = Head::sample("/changes");
    let tuples = super::samples::tuples();
    let entry = |revision: i64, actor: Actor, changes: Vec<Change>| LogEntry {
        revision,
        at: Timestamp::from_secs(1_795_500_000),
        actor,
        reason: "a <i>hi reason".to_owned(),
        changes,
    };
    let many = tuples.iter().cycle().take(14).cloned().map(Change::Write).collect();
    let deleted =
        tuples.first().map(|tuple| Change::Delete(tuple.delete_key())).into_iter().collect();
    let ann = Actor::User { sub: "auth0|ann".to_owned() };
    let entries = [entry(12, ann, deleted), entry(11, Actor::System, many)];
    let page = Changes {
        frame,
        head,
        entries: entries.into_iter().map(|entry| Entry::new(entry, now)).collect(),
        is_newest: true,
        older: Some(11),
    };
    let empty = Changes { entries: Vec::new(), is_newest: false, older: None, ..page.clone() };
    vec![page, empty]
}
