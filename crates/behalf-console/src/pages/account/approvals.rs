//! `/account/approvals`: what agents and applications ask, and what was answered.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use behalf_core::{Timestamp, UserId};
use behalf_gate::{Approval, ApprovalFilter, Status, Wake};
use behalf_http::{CspSource, HttpContext, Person};
use behalf_identity::Browser;
use behalf_store::StoreError;
use http::StatusCode;
use tokio::sync::broadcast::{self, error::RecvError};

use super::approval::facts::Facts;
use crate::frame::Frame;
use crate::time::Shown;
use crate::{error_page, live, show};

/// Pending ones on the page; who has more decides these first.
const PENDING: u32 = 100;
/// Answered ones on the page.
const ANSWERED: u32 = 30;
/// After this long without news a comment keeps the connection, and its session is looked up.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    id: String,
    title: String,
    about: String,
    asked_by: String,
    time: Shown,
    badge: Badge,
}

/// A status as a badge: its class, its words, its icon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Badge {
    pub(crate) class: &'static str,
    pub(crate) words: &'static str,
    pub(crate) icon: &'static str,
}

impl Badge {
    pub(crate) const fn of(status: Status) -> Self {
        let (class, words, icon) = match status {
            Status::Pending => ("wait", "Waits for you", "wait"),
            Status::Approved => ("ok", "Approved", "check"),
            Status::Redeemed => ("ok", "Approved and used", "check"),
            Status::Denied => ("danger", "Denied", "close"),
            Status::Expired => ("", "Expired", "clock"),
            Status::Cancelled => ("", "Taken back", "close"),
            Status::Superseded => ("", "Replaced", "close"),
        };
        Self { class, words, icon }
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "account/approvals.html")]
pub(crate) struct Approvals {
    frame: Frame,
    pending: Vec<Row>,
    answered: Vec<Row>,
}

impl Row {
    fn new(approval: &Approval, now: Timestamp) -> Self {
        let facts = Facts::of(approval, None);
        let time = match (approval.status, &approval.decision) {
            (Status::Pending, _) => approval.expires_at,
            (_, Some(decision)) => decision.at,
            (_, None) => approval.expires_at,
        };
        Self {
            id: approval.id.clone(),
            title: facts.title,
            about: facts.about,
            asked_by: approval.question.client_name.clone(),
            time: Shown::new(time, now),
            badge: Badge::of(approval.status),
        }
    }
}

pub(crate) fn samples() -> Vec<Approvals> {
    let (now, approvals) = super::approval::sample_approvals();
    let rows: Vec<Row> = approvals.iter().map(|approval| Row::new(approval, now)).collect();
    let is_pending = |row: &&Row| row.badge.class == "wait";
    let frame = || Frame::sample("/account/approvals");
    vec![
        Approvals {
            frame: frame(),
            pending: rows.iter().filter(is_pending).cloned().collect(),
            answered: rows.iter().filter(|row| !is_pending(row)).cloned().collect(),
        },
        Approvals { frame: frame(), pending: Vec::new(), answered: Vec::new() },
    ]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    let frame = Frame::new(&context, &session, &browser, "/account/approvals");
    match load(&context, &session.user.user_id, frame).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(error) => {
            tracing::error!(%error, "approvals could not be listed");
            let text = "Your approvals cannot be shown right now. Nothing was decided; try again \
                        in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

async fn load(context: &HttpContext, user: &UserId, frame: Frame) -> Result<Approvals, StoreError> {
    let (gate, now) = (&context.gate, context.identity.now());
    let pending = ApprovalFilter::Is(Status::Pending);
    let mut pending = gate.list_approvals(user, pending, "", PENDING).await?.items;
    // What dies first is asked first.
    pending.sort_by_key(|approval| approval.expires_at);
    let answered = gate.list_approvals(user, ApprovalFilter::NotPending, "", ANSWERED).await?;
    let rows =
        |approvals: &[Approval]| approvals.iter().map(|approval| Row::new(approval, now)).collect();
    Ok(Approvals { frame, pending: rows(&pending), answered: rows(&answered.items) })
}

/// `/account/approvals/events`: tells her open pages that something of hers has moved, and nothing
/// of what; the page then asks for itself again.
pub(crate) async fn events(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    let wakes = context.gate.subscribe();
    live::events(Following { context, browser, user: session.user.user_id, wakes })
}

struct Following {
    context: HttpContext,
    browser: Browser,
    user: UserId,
    wakes: broadcast::Receiver<Wake>,
}

impl live::Following for Following {
    /// True when something of hers moved, false after a while without; `None` when she signed out.
    async fn next(&mut self) -> Option<bool> {
        let moved = async {
            loop {
                match self.wakes.recv().await {
                    Ok(wake) if wake.user == self.user => return Some(true),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Some(true),
                    Err(RecvError::Closed) => return None,
                }
            }
        };
        let moved = tokio::time::timeout(PATIENCE, moved).await.unwrap_or(Some(false))?;
        let session = self.context.identity.find_session(&self.browser).await.ok()??;
        (session.user.user_id == self.user).then_some(moved)
    }
}
