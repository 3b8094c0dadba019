//! `/console` and `/account/overview`: what happened lately, and what needs the person who looks.
//!
//! Who may see dashboards sees the deployment's; everybody else sees what concerns herself.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use behalf_core::{PageSize, ProjectId, Timestamp, counted};
use behalf_http::{CspSource, HttpContext, Person};
use behalf_identity::{Resource, Session};
use behalf_store::StoreError;
use behalf_traces::{DayFigures, ListError, TraceFilter};
use http::StatusCode;

use super::charts;
use crate::chart::BarChart;
use crate::frame::{Frame, may_read, overview_of};
use crate::pages::traces::{TraceRow, people, state_words};
use crate::time::Shown;
use crate::{error_page, show};

/// How many days the charts show.
const DAYS: u16 = 14;
/// How many runs stand below them.
const RECENT: u16 = 6;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "overview/overview.html")]
pub(crate) struct Overview {
    frame: Frame,
    is_of_all: bool,
    /// What waits for her: words, and where.
    attention: Vec<(String, &'static str)>,
    charts: Vec<BarChart>,
    recent: Vec<TraceRow>,
    deployment: Option<Deployment>,
}

/// What the deployment is and holds.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    users: i64,
    clients: usize,
    issuer: String,
    origin: String,
    version: &'static str,
}

pub(crate) async fn get(State(context): State<HttpContext>, person: Person) -> Response {
    let frame =
        Frame::new(&context, &person.session, &person.browser, overview_of(&person.session.user));
    let is_of_all = may_read(&person.session.user, Resource::Dashboards);
    match page(&context, &person, frame, is_of_all).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(error) => {
            tracing::error!(%error, "the overview could not be read");
            let text = "The overview cannot be shown right now. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

async fn page(
    context: &HttpContext,
    person: &Person,
    frame: Frame,
    is_of_all: bool,
) -> Result<Overview, StoreError> {
    let reader = person.trace_reader();
    let project = ProjectId::default_project();
    let figures = context.traces.figures(&project, &reader, DAYS).await?;
    let size = PageSize::new(RECENT).unwrap_or(PageSize::DEFAULT);
    let every = TraceFilter::default();
    let recent = match context.traces.list(&project, &reader, &every, size, None).await {
        Ok(page) => page.items,
        Err(ListError::Store(error)) => return Err(error),
        Err(ListError::PageToken(_)) => Vec::new(),
    };
    let people = people(context, &recent).await?;
    let now = context.identity.now();
    let deployment = match is_of_all {
        true => Some(deployment(context).await?),
        false => None,
    };
    Ok(Overview {
        frame,
        is_of_all,
        attention: attention(context, &person.session).await?,
        charts: charts::all(&figures),
        recent: recent.iter().map(|trace| TraceRow::new(trace, &people, now)).collect(),
        deployment,
    })
}

/// What waits for the person herself.
async fn attention(
    context: &HttpContext,
    session: &Session,
) -> Result<Vec<(String, &'static str)>, StoreError> {
    let pending = context.gate.count_pending_approvals(&session.user.user_id).await?;
    let words = counted(pending, "approval waits for you", "approvals wait for you");
    Ok((pending > 0).then_some((words, "/account/approvals")).into_iter().collect())
}

async fn deployment(context: &HttpContext) -> Result<Deployment, StoreError> {
    let identity = &context.identity;
    Ok(Deployment {
        users: identity.count_users().await?,
        clients: identity.list_clients().await?.len(),
        issuer: identity.issuer().to_string(),
        origin: identity.issuer().origin().to_owned(),
        version: context.version,
    })
}

pub(crate) fn samples() -> Vec<Overview> {
    let now = Timestamp::from_secs(1_795_507_200);
    let day = |day: i64, traces: i64| DayFigures {
        day,
        traces,
        failed: traces / 4,
        tokens: traces * 900,
        cost: behalf_traces::Cost { micro_usd: traces * 4_200, priced: traces, unpriced: 1 },
        outcomes: BTreeMap::from([("allowed".to_owned(), traces), ("denied".to_owned(), 1)]),
    };
    let figures = [day(20_779, 3), day(20_780, 0), day(20_781, 9)];
    let row = TraceRow {
        trace_id: "a".repeat(32),
        name: "invoke_agent behalf".to_owned(),
        tools: "createPublicGist".to_owned(),
        person: "Ann Example".to_owned(),
        state: state_words("ok"),
        started: Shown::new(Timestamp::from_secs(1_795_500_000), now),
        duration: "4.21 s".to_owned(),
        tokens: "1,204".to_owned(),
        cost: "$0.0042".to_owned(),
    };
    let deployment = Deployment {
        users: 12,
        clients: 3,
        issuer: "https://behalf.example.com/".to_owned(),
        origin: "https://behalf.example.com".to_owned(),
        version: "0.1.0",
    };
    let all = Overview {
        frame: Frame::sample("/console"),
        is_of_all: true,
        attention: vec![("2 approvals wait for you".to_owned(), "/account/approvals")],
        charts: charts::all(&figures),
        recent: vec![row],
        deployment: Some(deployment),
    };
    let fresh =
        Overview { charts: charts::all(&[day(20_781, 0)]), recent: Vec::new(), ..all.clone() };
    let plain = Overview { is_of_all: false, deployment: None, ..fresh.clone() };
    vec![all, fresh, plain]
}
