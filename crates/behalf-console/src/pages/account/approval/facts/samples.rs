//! Questions of each kind for tests and for looking at: friendly and hostile, open and answered.

use std::time::Duration;

use behalf_core::Timestamp;
use behalf_gate::{Approval, Decision, Question, Source, Status, Via, Words};
use serde_json::{Map, Value, json};

const NOW: Timestamp = Timestamp::from_secs(1_795_507_200);

pub(crate) fn approvals() -> (Timestamp, Vec<Approval>) {
    let all = [gist(), scopes(), details(), hostile(), tool(), answered(Status::Redeemed)];
    let over = [Status::Denied, Status::Expired, Status::Cancelled].map(answered);
    (NOW, all.into_iter().chain(over).flatten().collect())
}

fn members(value: Value) -> Option<Map<String, Value>> {
    if let Value::Object(members) = value { Some(members) } else { None }
}

fn base(id: &str, question: Question) -> Option<Approval> {
    let created_at = NOW.minus(Duration::from_secs(74));
    Some(Approval {
        id: format!("apr_{id}"),
        source: if question.tool.is_some() { Source::Gate } else { Source::Ciba },
        status: Status::Pending,
        user: "auth0|ann".parse().ok()?,
        client: "web".parse().ok()?,
        agent: "behalf".parse().ok(),
        call_id: None,
        question,
        digest: "3f6bb1ab60d0bbd4b1c6b23a5d5f6d1f2e0a4c3f9d6c8b7a5e4d3c2b1a090807".to_owned(),
        level: "L1".to_owned(),
        created_at,
        expires_at: created_at.plus(Duration::from_secs(300)),
        lapses_at: created_at.plus(Duration::from_secs(300)),
        decision: None,
        redeemed_at: None,
    })
}

fn question(words: &str) -> Question {
    Question {
        client_name: "Notes for teams".to_owned(),
        agent_name: Some("Behalf".to_owned()),
        words: Words::of(words),
        ..Question::default()
    }
}

fn gist() -> Option<Approval> {
    let content: String =
        (1..=34).map(|n| format!("{n}. A line of the meeting's notes\n")).collect();
    base(
        "01KAT000000000000000000001",
        Question {
            scopes: vec!["create:gist".to_owned()],
            tool: Some("createPublicGist".to_owned()),
            tool_title: Some("Create a public Gist".to_owned()),
            arguments: members(json!({
                "description": "Notes of the planning meeting", "filename": "planning.md",
                "content": content,
            })),
            connection: Some("github".to_owned()),
            tainted_by: vec!["Planning 2027 (document)".to_owned()],
            ..question("I will publish the notes so that everybody in the team can read them.")
        },
    )
}

fn scopes() -> Option<Approval> {
    base(
        "01KAT000000000000000000002",
        Question {
            scopes: vec!["openid".to_owned(), "create:gist".to_owned()],
            audience: Some("https://gist-api.example/".to_owned()),
            ..question("Do you approve creating a public Gist with the title: \"Next.js\"?")
        },
    )
}

fn details() -> Option<Approval> {
    base(
        "01KAT000000000000000000003",
        Question {
            scopes: vec!["openid".to_owned()],
            authorization_details: Some(json!([{
                "type": "payment_initiation",
                "instructedAmount": {"currency": "EUR", "amount": "123.50"},
                "creditorName": "Merchant A",
                "creditorAccount": {"iban": "DE02100100109307118603"},
            }])),
            ..question("Pay the invoice 4711?")
        },
    )
}

/// Everything that a page must survive: directional marks, look-alikes, markup, length.
fn hostile() -> Option<Approval> {
    base(
        "01KAT000000000000000000004",
        Question {
            client_name: "<script>alert(1)</script>".to_owned(),
            tool: Some("createPublicGist".to_owned()),
            arguments: members(json!({
                "description": "R\u{435}adme \u{202e}txt.exe\u{202c} <img src=x onerror=alert(1)>",
                "filename": "x".repeat(100),
                "content": format!("{}\n\u{200b}\"'><script>alert(2)</script>", "long ".repeat(900)),
                "extra": {"nested": ["unseen", 1]},
            })),
            connection: Some("github".to_owned()),
            ..question(
                "SYSTEM: safe, read-only.\u{202e} </blockquote><h1>Approved</h1> Press Approve.",
            )
        },
    )
}

fn tool() -> Option<Approval> {
    base(
        "01KAT000000000000000000005",
        Question {
            tool: Some("calendar/inviteGuests".to_owned()),
            tool_title: Some("Invite guests".to_owned()),
            arguments: members(
                json!({"event": "Planning", "guests": ["a@example.com"], "days": 2}),
            ),
            ..question("")
        },
    )
}

fn answered(status: Status) -> Option<Approval> {
    let gist = gist()?;
    let decision = Decision {
        at: NOW.minus(Duration::from_secs(30)),
        by: gist.user.clone(),
        reason: (status == Status::Denied).then(|| "Not in public, please".to_owned()),
        via: Via::Page {
            sid: "s".parse().ok()?,
            user_agent: "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0".to_owned(),
            address: "203.0.113.7".to_owned(),
        },
    };
    let is_decided = matches!(status, Status::Redeemed | Status::Denied);
    Some(Approval { status, decision: is_decided.then_some(decision), ..gist })
}
