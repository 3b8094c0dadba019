//! `/console/traces`: the runs that a person may see, newest first.

use std::time::Duration;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use behalf_core::{PageSize, ProjectId, Timestamp};
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_traces::{ListError, TraceFilter};
use http::StatusCode;

use super::{TraceRow, people, state_words};
use crate::address::with_query;
use crate::frame::Frame;
use crate::time::Shown;
use crate::{error_page, show};

/// Spans of time that can be chosen: value, words, hours.
const SINCE: [(&str, &str, u64); 4] = [
    ("1h", "Last hour", 1),
    ("24h", "Last 24 hours", 24),
    ("7d", "Last 7 days", 168),
    ("30d", "Last 30 days", 720),
];

/// Something to choose: value, words, chosen.
type Choice = (String, String, bool);

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "traces/list.html")]
pub(crate) struct Traces {
    frame: Frame,
    traces: Vec<TraceRow>,
    shows_people: bool,
    is_filtered: bool,
    text: String,
    states: Vec<Choice>,
    tools: Vec<Choice>,
    models: Vec<Choice>,
    since: Vec<Choice>,
    /// Whose runs alone are shown: her id, and what she is called.
    owner: Option<(String, String)>,
    /// Where the next page is.
    next: Option<String>,
    is_first: bool,
}

impl Traces {
    fn count_words(&self) -> String {
        let count = self.traces.len();
        match (self.is_first, self.next.is_some()) {
            (true, false) if count == 1 => "1 run".to_owned(),
            (true, false) => format!("{count} runs"),
            (true, true) => format!("the newest {count} runs"),
            (false, _) => format!("{count} older runs"),
        }
    }
}

/// What the address asks for.
struct Asked {
    filter: TraceFilter,
    since: String,
    page_token: Option<String>,
}

impl Asked {
    fn read(query: &str, now: Timestamp) -> Option<Self> {
        let mut params = Params::from_urlencoded(query.as_bytes()).ok()?;
        let mut take = |name: &str| params.take(name).unwrap_or_default();
        let since = take("since");
        let hours = SINCE.iter().find(|(value, ..)| *value == since).map(|(.., hours)| *hours);
        let status = take("status");
        let is_status = matches!(status.as_str(), "open" | "waiting" | "ok" | "error");
        let filter = TraceFilter {
            owner: take("user_id"),
            tool: take("tool"),
            model: take("model"),
            status: if is_status { status } else { String::new() },
            text: take("q"),
            from: hours.map(|hours| now.minus(Duration::from_hours(hours))),
            to: None,
        };
        Some(Self { filter, since, page_token: params.take("page_token") })
    }

    /// The address of the same list, on the page that `page_token` begins.
    fn address(&self, page_token: &str) -> String {
        let pairs = [
            ("q", self.filter.text.as_str()),
            ("status", &self.filter.status),
            ("tool", &self.filter.tool),
            ("model", &self.filter.model),
            ("since", &self.since),
            ("user_id", &self.filter.owner),
            ("page_token", page_token),
        ];
        with_query("/console/traces", pairs)
    }
}

fn chosen(values: Vec<String>, current: &str) -> Vec<Choice> {
    let words = |value: String| {
        let is_chosen = value == current;
        (value.clone(), value, is_chosen)
    };
    values.into_iter().map(words).collect()
}

fn states(current: &str) -> Vec<Choice> {
    let state = |value: &str| {
        let (.., words) = state_words(value);
        (value.to_owned(), words.to_owned(), value == current)
    };
    ["ok", "error", "waiting", "open"].into_iter().map(state).collect()
}

fn since(current: &str) -> Vec<Choice> {
    let choice = |(value, words, _): &(&str, &str, u64)| {
        ((*value).to_owned(), (*words).to_owned(), *value == current)
    };
    SINCE.iter().map(choice).collect()
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    person: Person,
    RawQuery(query): RawQuery,
) -> Response {
    let now = context.identity.now();
    let Some(asked) = Asked::read(&query.unwrap_or_default(), now) else { return bad_address() };
    let frame = Frame::new(&context, &person.session, &person.browser, "/console/traces");
    match page(&context, &person, frame, &asked, now).await {
        Ok(page) => show(StatusCode::OK, &page, true, &CspSource::default()),
        Err(ListError::PageToken(_)) => bad_address(),
        Err(ListError::Store(error)) => {
            tracing::error!(%error, "traces could not be listed");
            let text = "The runs cannot be shown right now. Try again in a moment.";
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

fn bad_address() -> Response {
    let text = "The address of this list cannot be read. Start again from Traces.";
    error_page(StatusCode::BAD_REQUEST, "Not a list", text)
}

async fn page(
    context: &HttpContext,
    person: &Person,
    frame: Frame,
    asked: &Asked,
    now: Timestamp,
) -> Result<Traces, ListError> {
    let reader = person.trace_reader();
    let project = ProjectId::default_project();
    let token = asked.page_token.as_deref();
    let size = PageSize::DEFAULT;
    let found = context.traces.list(&project, &reader, &asked.filter, size, token).await?;
    let (tools, models) = context.traces.choices(&project, &reader).await?;
    let people = people(context, &found.items).await?;
    let owner = &asked.filter.owner;
    let owner_name = people.get(owner).unwrap_or(owner).clone();
    Ok(Traces {
        frame,
        traces: found.items.iter().map(|trace| TraceRow::new(trace, &people, now)).collect(),
        shows_people: reader.sees_all,
        is_filtered: !asked.filter.is_empty(),
        text: asked.filter.text.clone(),
        states: states(&asked.filter.status),
        tools: chosen(tools, &asked.filter.tool),
        models: chosen(models, &asked.filter.model),
        since: since(&asked.since),
        owner: (!owner.is_empty()).then(|| (owner.clone(), owner_name)),
        next: found.next.map(|token| asked.address(&token)),
        is_first: token.is_none(),
    })
}

pub(crate) fn samples() -> Vec<Traces> {
    let now = Timestamp::from_secs(1_795_507_200);
    let row = |id: &str, name: &str, status: &str, secs: i64, cost: &str| TraceRow {
        trace_id: id.repeat(32),
        name: name.to_owned(),
        tools: "searchGitHubRepositories".to_owned(),
        person: "Ann Example".to_owned(),
        state: state_words(status),
        started: Shown::new(Timestamp::from_secs(1_795_507_200 - secs), now),
        duration: "4.21 s".to_owned(),
        tokens: "1,204".to_owned(),
        cost: cost.to_owned(),
    };
    let page = Traces {
        frame: Frame::sample("/console/traces"),
        traces: vec![
            row("a", "invoke_agent behalf", "open", 20, "unknown"),
            row("b", "invoke_agent behalf", "ok", 7_000, "$0.0042"),
            row("c", "<script>alert(1)</script>", "error", 90_000, "–"),
        ],
        shows_people: true,
        is_filtered: true,
        text: "beh\"alf".to_owned(),
        states: states("ok"),
        tools: chosen(vec!["createPublicGist".to_owned()], ""),
        models: chosen(vec!["gpt-4o".to_owned()], "gpt-4o"),
        since: since("24h"),
        owner: Some(("auth0|ann".to_owned(), "Ann Example".to_owned())),
        next: Some("/console/traces?page_token=1".to_owned()),
        is_first: true,
    };
    let none = Traces {
        traces: Vec::new(),
        shows_people: false,
        is_filtered: false,
        text: String::new(),
        owner: None,
        next: None,
        ..page.clone()
    };
    vec![page, none.clone(), Traces { is_filtered: true, ..none }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_keeps_the_filters() {
        let now = Timestamp::from_secs(1_795_507_200);
        let asked = Asked::read("q=a%26b&tool=x&status=nonsense&since=24h", now).unwrap();
        assert_eq!(asked.filter.status, "");
        assert_eq!(asked.filter.from, Some(now.minus(Duration::from_hours(24))));
        assert_eq!(asked.address("1.2"), "/console/traces?q=a%26b&tool=x&since=24h&page_token=1.2");
    }
}
