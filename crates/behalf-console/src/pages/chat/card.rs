//! A card for each call: what the agent wants to do, where it stands, what came of it.

use behalf_agent::{CallEnding, Interrupt, InterruptKind, InterruptStatus, TurnEvent};
use behalf_core::{Timestamp, counted};
use behalf_gate::effect_mark;
use serde_json::{Map, Value};

use super::prose::{self, Block};
use crate::address::with_query;
use crate::pages::account::approval::facts::MARK_LABEL;
use crate::pages::tool_title;
use crate::time::Shown;

/// How many lines of a text a card shows.
const PREVIEW_LINES: usize = 12;

/// Where a call stands, as a word of the stylesheet and an icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Wait,
    Ok,
    Danger,
    Info,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Ok => "ok",
            Self::Danger => "danger",
            Self::Info => "info",
        }
    }
}

/// A fact of a call.
#[derive(Clone, Debug)]
pub(super) struct Fact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// A longer text that will be, or was, sent.
#[derive(Clone, Debug)]
pub(super) struct Preview {
    pub(super) name: String,
    pub(super) text: String,
    pub(super) lines: usize,
    pub(super) is_cut: bool,
}

/// A thing that a call brought.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) title: String,
    pub(super) text: String,
    pub(super) url: Option<String>,
    pub(super) note: String,
}

/// A call as a card.
#[derive(Clone, Debug)]
pub(super) struct Card {
    pub(super) call_id: String,
    pub(super) title: String,
    pub(super) tone: Tone,
    /// Where it stands, in one sentence.
    pub(super) state: String,
    pub(super) facts: Vec<Fact>,
    pub(super) preview: Option<Preview>,
    pub(super) items: Vec<Item>,
    pub(super) items_title: String,
    /// What she can do next: a label and a path of ours.
    pub(super) action: Option<(String, String)>,
    pub(super) expires: Option<Shown>,
    pub(super) can_cancel: bool,
    /// Where the effect can be seen.
    pub(super) effect_url: Option<String>,
    /// Who decided, and when.
    pub(super) decided: Option<(&'static str, Shown)>,
}

/// A piece of an answer.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Text(Vec<Block>),
    Card(Box<Card>),
    Error(String),
}

/// What is known of a call so far.
struct Call<'a> {
    id: &'a str,
    tool: &'a str,
    input: &'a Map<String, Value>,
    interrupt: Option<&'a Interrupt>,
    output: Option<(&'a Value, CallEnding)>,
}

impl Call<'_> {
    /// What its tool adds to what was asked: known since she was asked.
    fn mark(&self) -> Option<String> {
        self.interrupt?.approval.as_ref()?.gate_call_id.as_deref().map(effect_mark)
    }
}

/// The pieces of an answer, in the order in which they began. `page` is the chat's own path, where
/// whoever leaves it to connect an account comes back to.
pub(super) fn pieces(events: &[TurnEvent], page: &str, now: Timestamp) -> Vec<Piece> {
    enum Part<'a> {
        Text(&'a str, String),
        Call(Call<'a>),
        Error(&'a str),
    }
    let mut parts: Vec<Part<'_>> = Vec::new();
    for event in events {
        match event {
            TurnEvent::TextStart { id, .. } => parts.push(Part::Text(id, String::new())),
            TurnEvent::TextDelta { id, delta } => {
                let text = parts.iter_mut().rev().find_map(|part| match part {
                    Part::Text(known, text) if *known == id => Some(text),
                    _ => None,
                });
                if let Some(text) = text {
                    text.push_str(delta);
                }
            }
            TurnEvent::ToolInput { call_id, tool, input, .. } => {
                let call = Call { id: call_id, tool, input, interrupt: None, output: None };
                parts.push(Part::Call(call));
            }
            TurnEvent::Interrupt(interrupt) => {
                for part in &mut parts {
                    if let Part::Call(call) = part
                        && call.id == interrupt.call_id
                    {
                        call.interrupt = Some(interrupt);
                    }
                }
            }
            TurnEvent::ToolOutput { call_id, output, ending } => {
                for part in &mut parts {
                    if let Part::Call(call) = part
                        && call.id == call_id
                    {
                        call.output = Some((output, *ending));
                    }
                }
            }
            TurnEvent::Error { text } => parts.push(Part::Error(text)),
            TurnEvent::StepStart
            | TurnEvent::TextEnd { .. }
            | TurnEvent::StepFinish { .. }
            | TurnEvent::Finish { .. } => {}
        }
    }
    let pieces = parts.into_iter().map(|part| match part {
        Part::Text(_, text) => Piece::Text(prose::blocks(&text)),
        Part::Call(call) => Piece::Card(Box::new(card(&call, page, now))),
        Part::Error(text) => Piece::Error(text.to_owned()),
    });
    pieces.collect()
}

fn card(call: &Call<'_>, page: &str, now: Timestamp) -> Card {
    let text = |name: &str| call.input.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut card = Card {
        call_id: call.id.to_owned(),
        title: tool_title(call.tool).to_owned(),
        tone: Tone::Info,
        state: "Working on it.".to_owned(),
        facts: Vec::new(),
        preview: None,
        items: Vec::new(),
        items_title: String::new(),
        action: None,
        expires: None,
        can_cancel: false,
        effect_url: None,
        decided: None,
    };
    match call.tool {
        "searchGitHubRepositories" => {
            card.facts.push(Fact { name: "Search for", value: text("query").to_owned() });
        }
        "searchInternalDocuments" => {
            card.facts.push(Fact { name: "Question", value: text("question").to_owned() });
        }
        "createPublicGist" => {
            let title = text("description").to_owned();
            card.facts.push(Fact { name: "Title", value: title });
            if let Some(mark) = call.mark() {
                card.facts.push(Fact { name: MARK_LABEL, value: mark });
            }
            card.facts.push(Fact {
                name: "Visibility",
                value: "Public: everybody can read it".to_owned(),
            });
            card.preview = Some(preview(text("filename"), text("content")));
        }
        _ => {}
    }
    if let Some(interrupt) = call.interrupt {
        waits(&mut card, interrupt, page, now);
    }
    if let Some((output, ending)) = call.output {
        ended(&mut card, call, output, ending);
    }
    card
}

fn preview(name: &str, text: &str) -> Preview {
    let lines = text.lines().count();
    let shown: Vec<&str> = text.lines().take(PREVIEW_LINES).collect();
    Preview { name: name.to_owned(), text: shown.join("\n"), lines, is_cut: lines > PREVIEW_LINES }
}

fn waits(card: &mut Card, interrupt: &Interrupt, page: &str, now: Timestamp) {
    let decided = match (interrupt.kind, interrupt.status) {
        (_, InterruptStatus::Denied) => "Decided",
        (InterruptKind::ConnectAccount, _) => "Connected",
        (_, InterruptStatus::Cancelled) => "Taken back",
        _ => "Approved by you",
    };
    let decided_at = interrupt.decided_at.as_deref().and_then(read_time);
    card.decided = decided_at.map(|at| (decided, Shown::new(at, now)));
    let is_open = interrupt.is_open();
    card.can_cancel = is_open;
    let provider = interrupt.connection.as_ref().map(|connection| &connection.display_name);
    match interrupt.kind {
        InterruptKind::ConnectAccount if is_open => {
            if let (Some(connection), Some(provider)) = (&interrupt.connection, provider) {
                card.tone = Tone::Wait;
                card.state = format!(
                    "{provider} access is needed. The agent goes on when you have connected it."
                );
                card.facts
                    .push(Fact { name: "Will allow", value: connection.missing_scopes.join(", ") });
                let path = with_query(&connection.connect_url, [("return_to", page)]);
                card.action = Some((format!("Connect {provider}"), path));
            }
        }
        InterruptKind::Approval if is_open => {
            if let Some(approval) = &interrupt.approval {
                card.tone = Tone::Wait;
                card.state = "Waiting for your approval. Nothing is sent before.".to_owned();
                card.expires = read_time(&approval.expires_at).map(|at| Shown::new(at, now));
                let path = format!("/account/approvals/{}", approval.id);
                card.action = Some(("Review and decide".to_owned(), path));
            }
        }
        _ => match interrupt.status {
            InterruptStatus::Approved => {
                card.state = match interrupt.kind {
                    InterruptKind::ConnectAccount => "Connected. Working on it.".to_owned(),
                    _ => "You approved it. Working on it.".to_owned(),
                };
            }
            InterruptStatus::Denied | InterruptStatus::Expired | InterruptStatus::Cancelled => {
                card.tone = Tone::Danger;
                card.state.clone_from(&interrupt.reason);
            }
            _ => {}
        },
    }
}

fn ended(card: &mut Card, call: &Call<'_>, output: &Value, ending: CallEnding) {
    let reason = output.get("reason").and_then(Value::as_str).unwrap_or_default();
    card.can_cancel = false;
    card.action = None;
    card.expires = None;
    match ending {
        CallEnding::Done => {
            card.tone = Tone::Ok;
            card.state = "Done.".to_owned();
            found(card, output);
            if call.tool == "createPublicGist" {
                card.state = "Published, once.".to_owned();
                card.effect_url = web_address(output.get("url"));
            }
        }
        CallEnding::NotDone => {
            card.tone = Tone::Danger;
            card.state = format!("Not done. {reason}");
        }
        CallEnding::Unknown => {
            card.tone = Tone::Wait;
            card.state =
                format!("Nobody can say yet whether this was done. {reason} It is not sent again.");
        }
        CallEnding::Denied | CallEnding::Expired => {
            card.tone = Tone::Danger;
            if call.interrupt.is_none() {
                card.state = match ending {
                    CallEnding::Expired => "Nobody answered in time. Nothing was done.".to_owned(),
                    _ => "This was not allowed. Nothing was done.".to_owned(),
                };
            }
        }
        CallEnding::Invalid => {
            card.tone = Tone::Danger;
            card.state = format!("The agent asked for something that cannot be done: {reason}.");
        }
    }
}

fn found(card: &mut Card, output: &Value) {
    let list = |name: &str| output.get(name).and_then(Value::as_array);
    let text = |item: &Value, name: &str| {
        item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    if let Some(repositories) = list("repositories") {
        card.items_title = counted(repositories.len(), "repository", "repositories");
        let items = repositories.iter().map(|item| Item {
            title: text(item, "name"),
            text: text(item, "description"),
            url: web_address(item.get("url")),
            note: item
                .get("stars")
                .and_then(Value::as_i64)
                .map(|stars| counted(stars, "star", "stars"))
                .unwrap_or_default(),
        });
        card.items = items.collect();
    }
    if let Some(results) = list("results") {
        if results.is_empty() {
            card.state = "Done. Nothing was found that you may read.".to_owned();
            return;
        }
        card.items_title = format!(
            "{} from documents that you may read",
            counted(results.len(), "passage", "passages")
        );
        let items = results.iter().map(|item| match item {
            Value::String(removed) => {
                Item { title: removed.clone(), text: String::new(), url: None, note: String::new() }
            }
            item => Item {
                title: text(item, "title"),
                text: text(item, "text"),
                url: None,
                note: String::new(),
            },
        });
        card.items = items.collect();
    }
}

/// An address of the web; what a provider gives is not followed anywhere else.
fn web_address(value: Option<&Value>) -> Option<String> {
    let url = value?.as_str()?;
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    is_web.then(|| url.to_owned())
}

fn read_time(text: &str) -> Option<Timestamp> {
    text.parse::<jiff::Timestamp>().ok().map(|at| Timestamp::from_micros(at.as_microsecond()))
}
