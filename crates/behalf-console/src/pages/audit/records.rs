//! `/console/audit`: the state of the log, and its records, the latest first.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use behalf_core::{ProjectId, Timestamp};
use behalf_http::{CspSource, HttpContext, Person};
use behalf_identity::Resource;
use behalf_ledger::{LeafFilter, LogSummary, Record};
use behalf_verify::hex;
use behalf_verify::note::VerifierKey;
use http::StatusCode;

use super::{failed, grouped, params, shortened};
use crate::address::with_query;
use crate::frame::{Frame, may_read};
use crate::show;
use crate::time::Shown;

/// Records on one page.
const PAGE: u32 = 50;

/// A record in the list.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    index: String,
    id: String,
    kind: String,
    actor: String,
    at: Shown,
}

/// The state of the log.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    size: String,
    waiting: u64,
    root: String,
    root_short: String,
    signed: Shown,
    origin: String,
    key_id: String,
    fault: Option<String>,
}

/// What the list is narrowed to, as the form shows it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chosen {
    project: String,
    kind: String,
    actor: String,
    from: String,
    to: String,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "audit/records.html")]
pub(crate) struct Records {
    frame: Frame,
    log: LogState,
    projects: Vec<String>,
    kinds: Vec<String>,
    chosen: Chosen,
    is_filtered: bool,
    rows: Vec<Row>,
    /// The address of the records before these.
    older: Option<String>,
    /// The address of the first page, when this is another.
    newest: Option<String>,
    may_export: bool,
}

pub(crate) fn samples() -> Vec<Records> {
    let now = Timestamp::from_secs(1_795_507_200);
    let row = |index: u64, kind: &str, actor: &str, secs: i64| Row {
        index: grouped(index),
        id: format!("01JDF4Q0Z3V9T6WJ6M2X8C5K{index:02}"),
        kind: kind.to_owned(),
        actor: actor.to_owned(),
        at: Shown::new(Timestamp::from_secs(1_795_507_200 - secs), now),
    };
    let page = Records {
        frame: Frame::sample("/console/audit"),
        log: LogState {
            size: grouped(12_408),
            waiting: 0,
            root: "b1946ac92492d2347c6235b4d2611184".repeat(2),
            root_short: "b1946ac9…d2611184".to_owned(),
            signed: Shown::new(Timestamp::from_secs(1_795_507_190), now),
            origin: "behalf.log/8c1f22a09be3d14c5e7a0b61".to_owned(),
            key_id: "33d7b496".to_owned(),
            fault: None,
        },
        projects: vec!["default".to_owned()],
        kinds: vec!["sign_in.succeeded".to_owned(), "token.issued".to_owned()],
        chosen: Chosen { project: "default".to_owned(), ..Chosen::default() },
        is_filtered: false,
        rows: vec![
            row(12_407, "token.issued", "auth0|owner", 9),
            row(12_406, "sign_in.succeeded", "auth0|owner", 12),
            row(12_405, "setup.applied", "local:1000", 86_400),
        ],
        older: Some("/console/audit?before=12405".to_owned()),
        newest: None,
        may_export: true,
    };
    let mut broken = page.clone();
    broken.log.fault =
        Some("the tiles' tree of 12408 leaves is not the one that was signed".to_owned());
    broken.log.waiting = 3;
    let filtered = Records { is_filtered: true, rows: Vec::new(), older: None, ..page.clone() };
    vec![page, broken, filtered]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    RawQuery(query): RawQuery,
) -> Response {
    let mut params = params(query);
    let before = params.take("before").and_then(|before| before.parse().ok());
    let mut text = |name: &str| params.take(name).unwrap_or_default();
    let chosen = Chosen {
        project: Some(text("project"))
            .filter(|id| !id.is_empty())
            .unwrap_or_else(|| "default".to_owned()),
        kind: text("kind"),
        actor: text("actor"),
        from: text("from"),
        to: text("to"),
    };
    let Ok(project) = chosen.project.parse::<ProjectId>() else {
        return failed(&behalf_ledger::LedgerError::NotFound);
    };
    let filter = LeafFilter {
        kind: chosen.kind.clone(),
        actor: chosen.actor.clone(),
        from: Timestamp::from_rfc3339(&chosen.from),
        to: Timestamp::from_rfc3339(&chosen.to),
    };
    let ledger = &context.ledger;
    let found = async {
        let summary = ledger.summary(&project).await?;
        // One more than is shown tells whether there are more.
        let limit = PAGE.saturating_add(1);
        let records = ledger.list_records(&project, &filter, before, limit).await?;
        Ok((summary, records, ledger.list_kinds(&project).await?, ledger.list_projects().await?))
    };
    let (summary, mut records, kinds, projects) = match found.await {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let shown = usize::try_from(PAGE).unwrap_or(usize::MAX);
    let has_more = records.len() > shown;
    records.truncate(shown);
    let now = context.identity.now();
    let page = Records {
        frame: Frame::new(&context, &session, &browser, "/console/audit"),
        log: state(summary, now),
        projects: projects.iter().map(ToString::to_string).collect(),
        kinds,
        is_filtered: filter != LeafFilter::default(),
        older: records.last().filter(|_| has_more).map(|last| chosen.address(Some(last.index))),
        newest: before.is_some().then(|| chosen.address(None)),
        rows: records.into_iter().map(|record| row(record, now)).collect(),
        chosen,
        may_export: may_read(&session.user, Resource::AuditExports),
    };
    show(StatusCode::OK, &page, true, &CspSource::default())
}

impl Chosen {
    /// The address of this list, from before that record on.
    fn address(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let pairs = [
            ("project", if self.project == "default" { "" } else { self.project.as_str() }),
            ("kind", &self.kind),
            ("actor", &self.actor),
            ("from", &self.from),
            ("to", &self.to),
            ("before", &before),
        ];
        with_query("/console/audit", pairs)
    }
}

fn state(summary: LogSummary, now: Timestamp) -> LogState {
    let root = hex(&summary.checkpoint.root);
    let key = summary.key.parse::<VerifierKey>();
    LogState {
        size: grouped(summary.size),
        waiting: summary.size.saturating_sub(summary.checkpoint.size),
        root_short: shortened(&root),
        root,
        signed: Shown::new(summary.checkpoint.signed_at, now),
        origin: summary.origin,
        key_id: key.map_or_else(|_| "unreadable".to_owned(), |key| hex(&key.id())),
        fault: summary.fault,
    }
}

fn row(record: Record, now: Timestamp) -> Row {
    Row {
        index: grouped(record.index),
        id: record.id,
        kind: record.kind,
        actor: record.actor,
        at: Shown::new(record.at, now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_page_keeps_the_filters() {
        let chosen = Chosen {
            project: "default".to_owned(),
            actor: "auth0|ann & co".to_owned(),
            kind: "token.issued".to_owned(),
            ..Chosen::default()
        };
        let expected = "/console/audit?kind=token.issued&actor=auth0%7Cann+%26+co&before=7";
        assert_eq!(chosen.address(Some(7)), expected);
        let all = Chosen { project: "default".to_owned(), ..Chosen::default() };
        assert_eq!(all.address(None), "/console/audit");
    }
}
