//! `/console/audit/exports`: take records out, with everything that it takes to check them.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_core::{Actor, ProjectId, Timestamp};
use behalf_http::{CspSource, HttpContext, Person, PersonForm};
use behalf_identity::{Browser, Session};
use behalf_ledger::{Export, ExportRequest, LedgerError};
use http::{StatusCode, header};

use super::{failed, grouped};
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

/// Exports that are listed.
const LISTED: u32 = 50;

/// An export in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    id: String,
    window: String,
    project: String,
    count: String,
    actor: String,
    at: Shown,
}

/// What the form holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filled {
    project: String,
    from: String,
    to: String,
    problem: Option<String>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "audit/exports.html")]
pub(crate) struct Exports {
    frame: Frame,
    projects: Vec<String>,
    filled: Filled,
    rows: Vec<Row>,
}

pub(crate) fn samples() -> Vec<Exports> {
    let now = Timestamp::from_secs(1_795_507_200);
    let page = Exports {
        frame: Frame::sample("/console/audit/exports"),
        projects: vec!["default".to_owned(), "support".to_owned()],
        filled: Filled::default(),
        rows: vec![Row {
            id: "01JDF4Q0Z3V9T6WJ6M2X8C5K01".to_owned(),
            window: "2026-11-01 to 2026-11-24".to_owned(),
            project: "default".to_owned(),
            count: grouped(1_204),
            actor: "auth0|auditor".to_owned(),
            at: Shown::new(Timestamp::from_secs(1_795_500_000), now),
        }],
    };
    let mut refused = page.clone();
    refused.filled.problem = Some("The window ends before it begins.".to_owned());
    vec![page.clone(), refused, Exports { rows: Vec::new(), ..page }]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
) -> Response {
    page(&context, &session, &browser, Filled::default(), StatusCode::OK).await
}

/// Exports the window of the form, and shows it in the list.
pub(crate) async fn post(
    State(context): State<HttpContext>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let mut text = |name: &str| fields.take(name).unwrap_or_default();
    let mut filled =
        Filled { project: text("project"), from: text("from"), to: text("to"), problem: None };
    let actor = Actor::User { sub: session.user.user_id.to_string() };
    let made = match request(&filled) {
        Ok(request) => context.ledger.export(&request, &actor).await,
        Err(problem) => Err(LedgerError::Window(problem)),
    };
    match made {
        Ok(export) => {
            let location = format!("/console/audit/exports#{}", export.id);
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
        }
        Err(LedgerError::Window(problem)) => {
            filled.problem = Some(sentence(&problem));
            page(&context, &session, &browser, filled, StatusCode::BAD_REQUEST).await
        }
        Err(error) => failed(&error),
    }
}

fn request(filled: &Filled) -> Result<ExportRequest, String> {
    let time = |text: &str| match text {
        "" => Ok(None),
        text => Timestamp::from_rfc3339(text)
            .map(Some)
            .ok_or_else(|| format!("`{text}` is no date; write it as 2026-11-24")),
    };
    let project = match filled.project.as_str() {
        "" => ProjectId::default_project(),
        id => id.parse().map_err(|_invalid| "there is no such project".to_owned())?,
    };
    Ok(ExportRequest { project, from: time(&filled.from)?, to: time(&filled.to)? })
}

async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    filled: Filled,
    status: StatusCode,
) -> Response {
    let ledger = &context.ledger;
    let (exports, projects) =
        match (ledger.list_exports("", LISTED).await, ledger.list_projects().await) {
            (Ok(exports), Ok(projects)) => (exports, projects),
            (Err(error), _) | (_, Err(error)) => return failed(&error),
        };
    let now = context.identity.now();
    let page = Exports {
        frame: Frame::new(context, session, browser, "/console/audit/exports"),
        projects: projects.iter().map(ToString::to_string).collect(),
        filled,
        rows: exports.into_iter().map(|export| row(export, now)).collect(),
    };
    show(status, &page, true, &CspSource::default())
}

fn row(export: Export, now: Timestamp) -> Row {
    let day = |time: Timestamp| {
        let text = time.to_rfc3339();
        text.strip_suffix("T00:00:00.000000Z").unwrap_or(&text).to_owned()
    };
    let window = match (export.request.from, export.request.to) {
        (None, None) => "everything".to_owned(),
        (Some(from), None) => format!("from {}", day(from)),
        (None, Some(to)) => format!("before {}", day(to)),
        (Some(from), Some(to)) => format!("{} to {}", day(from), day(to)),
    };
    Row {
        window,
        project: export.request.project.to_string(),
        count: grouped(export.count),
        actor: export.actor.id(),
        at: Shown::new(export.created_at, now),
        id: export.id,
    }
}

/// A message of the domain as a sentence.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}
