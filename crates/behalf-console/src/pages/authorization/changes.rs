//! `/console/authorization/{store_id}/changes`: the log of the store, newest first, live.

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use behalf_authz::engine::Change;
use behalf_authz::{AuthzError, LogEntry};
use behalf_core::{Actor, Timestamp};
use behalf_http::HttpContext;
use behalf_identity::{Browser, Resource};

use super::visit::{Visit, shown};
use super::{Head, failed, who};
use crate::frame::{Frame, may_read};
use crate::live;
use crate::time::Shown;

/// Writes on a page.
const SIZE: u32 = 20;
/// Changes of one write that are shown at once, and those behind a click.
const SHOWN: usize = 3;
const UNFOLDED: usize = 100;
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
    /// Those behind a click, and how many there are beyond them.
    folded: Vec<Step>,
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
        let more = entry.changes.len().saturating_sub(SHOWN + UNFOLDED);
        let mut steps = entry.changes.into_iter().map(Step::new);
        Self {
            revision: entry.revision,
            at: Shown::new(entry.at, now),
            who: who(&entry.actor),
            reason: entry.reason,
            changes: steps.by_ref().take(SHOWN).collect(),
            folded: steps.take(UNFOLDED).collect(),
            more,
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

pub(crate) async fn get(mut visit: Visit) -> Response {
    let before = visit.take("before").parse().ok();
    shown(load(&visit, before).await, |_| false)
}

async fn load(visit: &Visit, before: Option<i64>) -> Result<Changes, AuthzError> {
    let now = visit.context.identity.now();
    let (head, frame) = visit.head("/changes").await?;
    let entries = visit.authz().recent_writes(&visit.store_id, before, SIZE).await?;
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
pub(crate) async fn events(visit: Visit) -> Response {
    let revision = match visit.authz().load_store(&visit.store_id).await {
        Ok(store) => u64::try_from(store.revision).unwrap_or_default(),
        Err(error) => return failed(&error),
    };
    let Visit { context, session, browser, store_id, .. } = visit;
    let user = session.user.user_id.to_string();
    live::events(Following { context, browser, user, store_id, revision, turns: SERVED_TURNS })
}

struct Following {
    context: HttpContext,
    browser: Browser,
    user: String,
    store_id: String,
    revision: u64,
    turns: u32,
}

impl live::Following for Following {
    /// True when the store moved, false after a while without; `None` when it is over: she signed
    /// out, lost the role, the store is gone, or the connection is old.
    async fn next(&mut self) -> Option<bool> {
        self.turns = self.turns.checked_sub(1)?;
        let moved = tokio::time::timeout(PATIENCE, self.moved()).await.unwrap_or(Some(false))?;
        let session = self.context.identity.find_session(&self.browser).await.ok()??;
        let is_same = session.user.user_id.to_string() == self.user;
        (is_same && may_read(&session.user, Resource::Authorization)).then_some(moved)
    }
}

impl Following {
    /// True once the store moved, `None` when it cannot be asked.
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
