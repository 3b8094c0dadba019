//! `/account/approvals/{id}`: one question, its facts, and the decision. GET never decides.

pub(crate) mod facts;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use behalf_core::{ConnectionName, Timestamp};
use behalf_gate::{
    Approval, CallEnd, DecideError, Decider, Ending, GateError, Status, Verdict, Via,
};
use behalf_http::{CspSource, FormError, HttpContext, Person, PersonForm};
use behalf_identity::{Browser, Session};
use http::{StatusCode, header};

use self::facts::Facts;
use super::approvals::Badge;
use super::home::browser_name;
use crate::frame::Frame;
use crate::pages::sign_in::bad_form;
use crate::time::Shown;
use crate::{error_page, show};

#[cfg(test)]
mod tests;

/// How a question was answered.
#[derive(Clone, Debug)]
struct Answered {
    words: &'static str,
    time: Shown,
    whence: String,
    reason: Option<String>,
}

/// What became of what she approved.
#[derive(Clone, Debug)]
struct Became {
    words: &'static str,
    why: String,
    /// Nobody knows, and it runs no more: she may say.
    is_unknown: bool,
}

/// How much time is left, for the bar.
#[derive(Clone, Debug)]
struct TimeLeft {
    secs: u64,
    of_secs: u64,
    words: String,
    is_short: bool,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "account/approval.html")]
pub(crate) struct ApprovalPage {
    frame: Frame,
    id: String,
    client_name: String,
    client_id: String,
    agent: Option<String>,
    person: String,
    person_id: String,
    facts: Facts,
    words: Option<String>,
    tainted_by: Vec<String>,
    digest: String,
    digest_short: String,
    asked: Shown,
    badge: Badge,
    left: Option<TimeLeft>,
    answered: Option<Answered>,
    became: Option<Became>,
    notice: Option<&'static str>,
}

impl ApprovalPage {
    fn new(
        frame: Frame,
        approval: &Approval,
        person: &str,
        destination: Option<String>,
        now: Timestamp,
    ) -> Self {
        let question = &approval.question;
        let shortened = |digest: &str| {
            let head: String = digest.chars().take(8).collect();
            let tail: String = digest.chars().skip(56).collect();
            format!("{head}…{tail}")
        };
        Self {
            frame,
            id: approval.id.clone(),
            client_name: question.client_name.clone(),
            client_id: approval.client.to_string(),
            // The agent is named apart only where it is not the application itself.
            agent: approval
                .agent
                .as_ref()
                .filter(|agent| **agent != approval.client)
                .map(|agent| question.agent_name.clone().unwrap_or_else(|| agent.to_string())),
            person: person.to_owned(),
            person_id: approval.user.to_string(),
            facts: Facts::of(approval, destination),
            words: question.words.as_ref().map(|words| words.text.clone()),
            tainted_by: question.tainted_by.clone(),
            digest: approval.digest.clone(),
            digest_short: shortened(&approval.digest),
            asked: Shown::new(approval.created_at, now),
            badge: Badge::of(approval.status),
            left: (approval.status == Status::Pending).then(|| time_left(approval, now)),
            answered: answered(approval, now),
            became: None,
            notice: None,
        }
    }
}

fn time_left(approval: &Approval, now: Timestamp) -> TimeLeft {
    let secs = approval.expires_at.since(now).as_secs();
    let of_secs = approval.expires_at.since(approval.created_at).as_secs().max(1);
    let words = match secs {
        0..=59 => format!("{secs} s left"),
        60..=3_599 => format!("{} min {} s left", secs / 60, secs % 60),
        _ => format!("{} h {} min left", secs / 3_600, secs % 3_600 / 60),
    };
    TimeLeft { secs, of_secs, words, is_short: secs < 60 }
}

fn answered(approval: &Approval, now: Timestamp) -> Option<Answered> {
    let words = match approval.status {
        Status::Pending => return None,
        Status::Approved => "You approved this. It has not been used yet.",
        Status::Redeemed => "You approved this, and it was used once. It cannot be used again.",
        Status::Denied => "You denied this. Nothing was sent.",
        Status::Expired if approval.decision.is_some() => {
            "You approved this, but it was not used in time. Nothing was sent."
        }
        Status::Expired => "Nobody answered in time. Nothing was sent.",
        Status::Cancelled => "Whoever asked took this back. Nothing was sent.",
        Status::Superseded => "Another question took the place of this one. Nothing was sent.",
    };
    let (time, whence, reason) = match &approval.decision {
        None => (approval.expires_at, String::new(), None),
        Some(decision) => {
            let whence = match &decision.via {
                Via::Page { user_agent, address, .. } => {
                    format!("{}, {address}", browser_name(user_agent))
                }
                Via::Client { client_id, address } => format!("{client_id}, {address}"),
            };
            (decision.at, whence, decision.reason.clone())
        }
    };
    Some(Answered { words, time: Shown::new(time, now), whence, reason })
}

fn became(end: CallEnd) -> Became {
    let known = |words, why| Became { words, why, is_unknown: false };
    match end.ending {
        Ending::Done { .. } => known("It was done, once.", String::new()),
        Ending::NotDone { reason } => known("It was not done.", reason),
        // Begun, and nobody has said yet that they do not know.
        Ending::Unknown { .. } if end.at.is_none() => known("It is being done.", String::new()),
        Ending::Unknown { reason } => {
            Became { words: "It is not known whether it was done.", why: reason, is_unknown: true }
        }
        Ending::Denied(_) | Ending::Expired | Ending::Cancelled => {
            known("Nothing was sent.", String::new())
        }
    }
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(id): Path<String>,
) -> Response {
    answer(&context, &session, &browser, &id, StatusCode::OK, None).await
}

async fn answer(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    id: &str,
    status: StatusCode,
    notice: Option<&'static str>,
) -> Response {
    match load(context, session, browser, id).await {
        Ok(Some(page)) => {
            show(status, &ApprovalPage { notice, ..page }, true, &CspSource::default())
        }
        Ok(None) => not_found(),
        Err(error) => unavailable(&error),
    }
}

async fn load(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    id: &str,
) -> Result<Option<ApprovalPage>, GateError> {
    let user = &session.user;
    let Some(approval) = context.gate.find_approval(&user.user_id, id).await? else {
        return Ok(None);
    };
    let connection = approval.question.connection.as_deref();
    let connection = match connection.and_then(|name| name.parse::<ConnectionName>().ok()) {
        Some(name) => context.vault.find_connection(&name).await?,
        None => None,
    };
    let destination = connection
        .map(|connection| format!("{} ({})", connection.title(), connection.api_base_url.host()));
    let frame = Frame::new(context, session, browser, "/account/approvals");
    let person = user.display_name();
    let end = match &approval.call_id {
        Some(call_id) if approval.status == Status::Redeemed => {
            context.gate.find_end(call_id).await?
        }
        _ => None,
    };
    let now = context.identity.now();
    let page = ApprovalPage::new(frame, &approval, person, destination, now);
    Ok(Some(ApprovalPage { became: end.map(became), ..page }))
}

/// The decision, by a form of ours in her own browser. Sent twice, the second changes nothing.
pub(crate) async fn post(
    State(context): State<HttpContext>,
    Path(id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    if let Some(settled) = fields.take("settled") {
        return settle(&context, &session, &browser, &id, &settled).await;
    }
    let verdict = match fields.take("decision").as_deref() {
        Some("approve") => Verdict::Approve,
        Some("deny") => Verdict::Deny,
        _ => return bad_form(FormError::Malformed),
    };
    // She decides about what she saw: the page that she saw says what that was.
    let Some(digest) = fields.take("digest") else { return bad_form(FormError::Malformed) };
    let decider = Decider {
        user: session.user.user_id.clone(),
        via: Via::Page {
            sid: session.sid.clone(),
            user_agent: browser.user_agent.chars().take(255).collect(),
            address: browser.address.clone(),
        },
        act: None,
    };
    match context.gate.decide(&id, verdict, Some(&digest), None, &decider).await {
        // The id is one of ours: it was found.
        Ok(_) => {
            let page = format!("/account/approvals/{id}");
            (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
        }
        Err(DecideError::NotFound) => not_found(),
        Err(DecideError::Over(_)) => {
            let notice =
                "This was answered before, or its time is over. Your click changed nothing.";
            answer(&context, &session, &browser, &id, StatusCode::CONFLICT, Some(notice)).await
        }
        Err(DecideError::Digest) => {
            let notice = "The page that you decided on showed something else. Nothing was decided.";
            answer(&context, &session, &browser, &id, StatusCode::CONFLICT, Some(notice)).await
        }
        Err(DecideError::SelfApproval) => error_page(
            StatusCode::FORBIDDEN,
            "Not allowed",
            "Whoever asks for an approval cannot give it. Nothing was decided.",
        ),
        Err(error @ (DecideError::Tampered | DecideError::Store(_))) => {
            tracing::error!(%error, "a decision was not stored");
            let text = match &error {
                DecideError::Store(error) if error.may_be_stored() => {
                    "It is not known whether your decision was stored. Open the question again in \
                     a moment: it says so."
                }
                _ => "Your decision was not stored, and nothing was sent. Try again in a moment.",
            };
            error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
        }
    }
}

/// She says what became of a call whose outcome nobody knows.
async fn settle(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    id: &str,
    settled: &str,
) -> Response {
    let was_done = match settled {
        "done" => true,
        "not_done" => false,
        _ => return bad_form(FormError::Malformed),
    };
    match context.gate.settle_by_person(&session.user.user_id, id, was_done).await {
        Ok(_) => {
            let page = format!("/account/approvals/{id}");
            (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
        }
        Err(GateError::NoSuchCall) => not_found(),
        Err(GateError::Settled) => {
            let notice = "This is known already. Your click changed nothing.";
            answer(context, session, browser, id, StatusCode::CONFLICT, Some(notice)).await
        }
        Err(error) => unavailable(&error),
    }
}

fn not_found() -> Response {
    let text = "There is no such question for you. It may be another person's; sign in as she.";
    error_page(StatusCode::NOT_FOUND, "Approval not found", text)
}

fn unavailable(error: &GateError) -> Response {
    tracing::error!(%error, "an approval could not be shown");
    let text = "This question cannot be shown right now. Nothing was decided; try again in a \
                moment.";
    error_page(StatusCode::SERVICE_UNAVAILABLE, "Not available", text)
}

pub(crate) fn samples() -> Vec<ApprovalPage> {
    let (now, approvals) = sample_approvals();
    let page = |approval: &Approval| {
        let frame = Frame::sample("/account/approvals");
        let destination =
            approval.question.connection.as_ref().map(|_| "GitHub (api.github.com)".to_owned());
        ApprovalPage::new(frame, approval, "Ann Example", destination, now)
    };
    let mut pages: Vec<ApprovalPage> = approvals.iter().map(page).collect();
    // One that was used, and nobody knows what became of it.
    if let Some(used) = pages.get(5).cloned() {
        let ending = Ending::Unknown { reason: "GitHub's answer was lost.".to_owned() };
        let call_id = "call_sample".to_owned();
        let end = CallEnd { call_id, ending, approval_id: None, at: Some(now) };
        pages.push(ApprovalPage { became: Some(became(end)), ..used });
    }
    pages
}

/// A question of each kind, friendly and hostile, open and answered.
pub(crate) fn sample_approvals() -> (Timestamp, Vec<Approval>) {
    facts::samples::approvals()
}
