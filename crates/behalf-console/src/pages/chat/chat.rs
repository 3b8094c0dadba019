//! `/console/chat`: a person and the built-in agent.
//!
//! The page shows a thread as it is now, however it came there. Without script a question is a
//! form, and looking again is a link; script streams the answer and swaps in what this page renders.

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use behalf_agent::{AgentError, Standing, ThreadSummary, TurnEvent, TurnView};
use behalf_core::Timestamp;
use behalf_gate::Mandate;
use behalf_http::{CspSource, FormError, HttpContext, Params, Person, PersonForm};
use http::{StatusCode, Uri, header};

use super::card::{Piece, pieces};
use super::prose::{Block, Inline};
use crate::address::with_query;
use crate::frame::Frame;
use crate::pages::sign_in::bad_form;
use crate::time::Shown;
use crate::{error_page, show};

/// How long a posted form waits for the answer before it shows what there is.
const PATIENCE: Duration = Duration::from_secs(8);

/// A thread in the list.
#[derive(Clone, Debug)]
pub(crate) struct ThreadRow {
    title: String,
    href: String,
    is_current: bool,
    updated: Shown,
}

/// A question and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct TurnRow {
    turn_id: String,
    text: String,
    asked: Shown,
    pieces: Vec<Piece>,
    standing: &'static str,
    trace_id: String,
}

/// A question that shows what can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suggestion {
    title: &'static str,
    text: &'static str,
}

const SUGGESTIONS: [Suggestion; 3] = [
    Suggestion {
        title: "Search with your GitHub account",
        text: "Show me popular Next.js repositories about AI",
    },
    Suggestion {
        title: "Publish, with your approval",
        text: "Publish a public Gist titled \"Hello from Behalf\" with the text \"An agent wrote this, and I approved it.\"",
    },
    Suggestion {
        title: "Ask the internal documents",
        text: "What do our internal documents say about remote work?",
    },
];

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "chat/chat.html")]
pub(crate) struct Chat {
    frame: Frame,
    title: String,
    thread_id: String,
    /// The thread's own path.
    page: String,
    message_id: String,
    model: Option<String>,
    is_scripted: bool,
    threads: Vec<ThreadRow>,
    turns: Vec<TurnRow>,
    suggestions: &'static [Suggestion],
}

pub(crate) fn samples() -> Vec<Chat> {
    let now = Timestamp::from_secs(1_795_507_200);
    let empty = Chat {
        frame: Frame::sample("/console/chat"),
        title: "Chat".to_owned(),
        thread_id: "c_1".to_owned(),
        page: page_of("c_1"),
        message_id: "m_1".to_owned(),
        model: Some("scripted".to_owned()),
        is_scripted: true,
        threads: Vec::new(),
        turns: Vec::new(),
        suggestions: &SUGGESTIONS,
    };
    let turn = |id: &str, text: &str, events: &[TurnEvent], standing| TurnRow {
        turn_id: id.to_owned(),
        text: text.to_owned(),
        asked: Shown::new(now, now),
        pieces: pieces(events, "/console/chat?id=c_1", now),
        standing,
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
    };
    let input = TurnEvent::ToolInput {
        call_id: "c1".to_owned(),
        tool: "createPublicGist".to_owned(),
        input: [("description", "<b>Title</b>"), ("filename", "note.md"), ("content", "one\ntwo")]
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_iter()
            .collect(),
        sources: Vec::new(),
    };
    let said = [
        TurnEvent::TextStart { id: "t1".to_owned(), sources: Vec::new() },
        TurnEvent::TextDelta {
            id: "t1".to_owned(),
            delta: "**Done**, see <script>alert(1)</script>\n\n- https://gist.example/1".to_owned(),
        },
    ];
    let failed = [TurnEvent::Error { text: "The model cannot be reached right now.".to_owned() }];
    let turns = vec![
        turn("1", "Publish <this>", &[input], "running"),
        turn("2", "And?", &said, "over"),
        turn("3", "Again", &failed, "over"),
    ];
    let full = Chat { turns, model: None, is_scripted: false, ..empty.clone() };
    vec![empty, full]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    uri: Uri,
) -> Response {
    let asked_for = Params::from_urlencoded(uri.query().unwrap_or_default().as_bytes())
        .ok()
        .and_then(|mut params| params.take("id"));
    let agent = &context.agent;
    let user_id = &session.user.user_id;
    let thread_id = asked_for.unwrap_or_else(|| format!("c_{}", agent.new_id()));
    let loaded = async {
        let threads = agent.list_threads(user_id).await?;
        let turns = agent.load_thread(user_id, &thread_id).await?;
        Ok::<_, AgentError>((threads, turns))
    };
    let (threads, turns) = match loaded.await {
        Ok(loaded) => loaded,
        Err(error) => return failed(&error),
    };
    let frame = Frame::new(&context, &session, &browser, "/console/chat");
    let model = agent.model_endpoint();
    let now = context.identity.now();
    let chat = Chat {
        frame,
        title: threads
            .iter()
            .find(|thread| thread.thread_id == thread_id)
            .map_or_else(|| "Chat".to_owned(), |thread| thread.title.clone()),
        page: page_of(&thread_id),
        message_id: agent.new_id(),
        model: model.map(|model| model.name.clone()),
        is_scripted: model.is_some_and(|model| model.is_scripted),
        threads: threads.into_iter().map(|row| thread_row(row, &thread_id, now)).collect(),
        turns: turns.into_iter().map(|turn| turn_row(turn, &page_of(&thread_id), now)).collect(),
        suggestions: &SUGGESTIONS,
        thread_id,
    };
    show(StatusCode::OK, &chat, true, &CspSource::default())
}

fn thread_row(thread: ThreadSummary, current: &str, now: Timestamp) -> ThreadRow {
    ThreadRow {
        href: page_of(&thread.thread_id),
        is_current: thread.thread_id == current,
        title: thread.title,
        updated: Shown::new(thread.updated_at, now),
    }
}

fn turn_row(turn: TurnView, page: &str, now: Timestamp) -> TurnRow {
    let pieces = pieces(&turn.events, page, now);
    // Between what a call waits for and the wait itself there is a moment that nobody needs to see.
    let waits = pieces.iter().any(|piece| matches!(piece, Piece::Card(card) if card.can_cancel));
    TurnRow {
        pieces,
        turn_id: turn.turn_id,
        text: turn.text,
        asked: Shown::new(turn.created_at, now),
        standing: match turn.standing {
            Standing::Running if waits => "waiting",
            Standing::Running => "running",
            Standing::Waiting => "waiting",
            Standing::Over => "over",
        },
        trace_id: turn.trace_id,
    }
}

/// A question by form. It waits a moment for the answer, then shows the thread as it is.
pub(crate) async fn post(
    State(context): State<HttpContext>,
    PersonForm { session, mut fields, .. }: PersonForm,
) -> Response {
    let (Some(thread_id), Some(text)) = (fields.take("id"), fields.take("text")) else {
        return bad_form(FormError::Malformed);
    };
    let mandate = Mandate::of_session(&session, context.identity.built_in_agent());
    let message_id = fields.take("message_id");
    let mut follower = match context.agent.write(mandate, &thread_id, message_id, &text).await {
        Ok(follower) => follower,
        Err(error) => return failed(&error),
    };
    let answered =
        async { while follower.take().1 == Standing::Running && follower.changed().await {} };
    if tokio::time::timeout(PATIENCE, answered).await.is_err() {
        tracing::debug!("the answer takes longer than a form waits");
    }
    to_thread(&thread_id)
}

/// She does not want this now.
pub(crate) async fn cancel(
    State(context): State<HttpContext>,
    PersonForm { session, mut fields, .. }: PersonForm,
) -> Response {
    let (Some(thread_id), Some(call_id)) = (fields.take("id"), fields.take("call_id")) else {
        return bad_form(FormError::Malformed);
    };
    match context.agent.cancel(&session.user.user_id, &thread_id, &call_id).await {
        Ok(()) => to_thread(&thread_id),
        Err(error) => failed(&error),
    }
}

fn to_thread(thread_id: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, page_of(thread_id))]).into_response()
}

fn failed(error: &AgentError) -> Response {
    let (status, title, text) = match error {
        AgentError::NoModel => (
            StatusCode::SERVICE_UNAVAILABLE,
            "There is no model",
            "Whoever runs this server has not named a model yet. Nothing was asked.",
        ),
        AgentError::TooMany => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many questions at once",
            "Wait for one of your questions to end, or decide what they wait for.",
        ),
        AgentError::Full => (
            StatusCode::CONFLICT,
            "This chat is full",
            "It holds no more questions. Start a new one; nothing was asked.",
        ),
        AgentError::Text => (
            StatusCode::BAD_REQUEST,
            "This cannot be asked",
            "The message is empty, or longer than 64 KB. Nothing was asked.",
        ),
        _ => {
            tracing::error!(%error, "a chat could not be shown");
            (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available",
                "The chat cannot be shown right now. Try again in a moment.",
            )
        }
    };
    error_page(status, title, text)
}

/// The path of a thread's page.
fn page_of(thread_id: &str) -> String {
    with_query("/console/chat", [("id", thread_id)])
}
