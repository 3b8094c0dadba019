//! An answer that is lost, wherever it is cut and whatever else becomes of it: the request is sent
//! once, and what is said of it is true.

use std::collections::BTreeMap;

use behalf::demo::model::{Emit, When};
use behalf_core::UserId;
use behalf_gate::{Decider, Ending, Verdict, Via};
use behalf_store::{Statement, UnitOfWork};
use futures_util::future::join_all;

use super::wire::{JSON, Plan, Wire, made, response};
use super::*;

/// How many calls one answer of a model may hold.
const BATCH: usize = 16;

/// A chat whose GitHub is the wire.
async fn start() -> (Chat, Wire) {
    let (chat, wire) = (Chat::start().await, Wire::start().await);
    chat.server.apply(&wire.setup("")).await.unwrap();
    (chat, wire)
}

/// Makes the model ask for Gists of these descriptions in a thread of their own, and has the owner
/// approve each.
async fn publish(chat: &Chat, descriptions: &[String]) -> Value {
    let gist = |text: &String| {
        Emit::call("createPublicGist", &json!({"description": text, "content": "x"}))
    };
    let after = When { last_role: Some("tool"), ..When::default() };
    chat.model.set_script(vec![
        Rule { when: after, emit: vec![Emit::text("Over.")] },
        Rule::always(descriptions.iter().map(gist).collect()),
    ]);
    let question = asked(&format!("thread {}", descriptions[0]), &["publish"]);
    let shown = chat.ask(&question).await;
    let parts = of_type(&shown, "data-behalf-interrupt");
    assert_eq!(parts.len(), descriptions.len());
    for part in parts {
        approve(chat, part["data"]["approval"]["id"].as_str().unwrap()).await;
    }
    question
}

async fn approve(chat: &Chat, id: &str) {
    let decider = Decider {
        user: owner(),
        via: Via::Client { client_id: "approver".parse().unwrap(), address: "x".to_owned() },
        act: None,
    };
    chat.server.server.gate.decide(id, Verdict::Approve, None, None, &decider).await.unwrap();
}

fn owner() -> UserId {
    "auth0|owner".parse().unwrap()
}

/// What the person is told of each Gist, by its description, once the turn is over.
async fn told(chat: &Chat, question: &Value) -> BTreeMap<String, String> {
    let shown = chat.ask(question).await;
    assert_eq!(said(&shown), "Over.");
    let outputs = of_type(&shown, "tool-output-available").into_iter().map(|output| {
        let inputs = of_type(&shown, "tool-input-available");
        let input = inputs.iter().find(|input| input["toolCallId"] == output["toolCallId"]);
        let description = input.unwrap()["input"]["description"].as_str().unwrap();
        (description.to_owned(), output["output"]["status"].as_str().unwrap().to_owned())
    });
    outputs.collect()
}

#[tokio::test]
async fn an_answer_cut_at_any_byte_is_looked_up_and_never_asked_for_again() {
    let (chat, wire) = start().await;
    let sample = made(&json!({"description": "cut 0000 [behalf:0123456789ab]"}), 0);
    let length = response("201 Created", JSON, &sample.to_string()).len();
    let cuts: Vec<String> = (0..=length).map(|cut| format!("cut {cut:04}")).collect();
    for (cut, description) in cuts.iter().enumerate() {
        wire.plan(description, Plan { cut, ..Plan::GOOD });
    }
    let mut questions = Vec::new();
    for batch in cuts.chunks(BATCH) {
        questions.push(publish(&chat, batch).await);
    }
    let told = join_all(questions.iter().map(|question| told(&chat, question))).await;
    let told: BTreeMap<String, String> = told.into_iter().flatten().collect();
    for description in &cuts {
        assert_eq!(told.get(description).map(String::as_str), Some("done"), "{description}");
        assert_eq!(wire.count(description), 1, "{description}");
    }
    assert!(wire.count("GET /gists") >= length, "all but the whole answer were looked up");
}

#[tokio::test]
async fn whatever_a_provider_answers_what_is_said_of_the_gist_is_true() {
    let (chat, wire) = start().await;
    let huge = "x".repeat(2 * 1024 * 1024);
    let answer = |status: &str, body: &str| Plan::answer(status, JSON, body);
    let html = |status: &str| Plan::answer(status, "text/html", "<html>sign in</html>");
    let had = |plan: Plan| Plan { has_effect: true, ..plan };
    let slow = Plan { cut: 0, holds: true, ..Plan::GOOD };
    let plans = [
        ("an error in a 200", answer("200 OK", r#"{"message":"Bad credentials"}"#), "not_done"),
        ("a list in a 200", answer("200 OK", "[]"), "not_done"),
        ("an empty object", had(answer("201 Created", "{}")), "done"),
        ("a page in a 200", html("200 OK"), "not_done"),
        ("a page, and the effect", had(html("200 OK")), "done"),
        ("accepted for later", had(answer("202 Accepted", "{}")), "done"),
        ("no content", had(answer("204 No Content", "")), "done"),
        ("see other", had(answer("303 See Other", "")), "done"),
        ("its own time-out", had(answer("408 Request Timeout", "{}")), "done"),
        ("an error of its own", answer("500 Internal Server Error", "{}"), "not_done"),
        ("a gateway's error", had(html("502 Bad Gateway")), "done"),
        ("not valid", answer("422 Unprocessable Entity", "{}"), "not_done"),
        ("forbidden", answer("403 Forbidden", "{}"), "not_done"),
        ("gone", answer("410 Gone", "{}"), "not_done"),
        ("too large", had(answer("201 Created", &huge)), "done"),
        ("no HTTP", had(Plan { answer: Some(b"220 ready\r\n".to_vec()), ..Plan::GOOD }), "done"),
        ("never, with the effect", slow.clone(), "done"),
        ("never, without", Plan { has_effect: false, ..slow }, "not_done"),
    ];
    let mut questions = Vec::new();
    for (name, plan, _) in &plans {
        wire.plan(name, plan.clone());
        questions.push(publish(&chat, &[(*name).to_owned()]).await);
    }
    let told = join_all(questions.iter().map(|question| told(&chat, question))).await;
    for ((name, _, status), told) in plans.iter().zip(told) {
        assert_eq!(told[*name], *status, "{name}");
        assert_eq!(wire.count(name), 1, "{name}");
        assert_eq!(wire.has(name), *status == "done", "{name}");
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_trusted_settles_nothing() {
    let (chat, wire) = start().await;
    let full: Vec<Value> = (0..100).map(|n| made(&json!({"description": "other"}), n)).collect();
    for (name, plan) in [
        ("an error in a 200", Plan::answer("200 OK", JSON, r#"{"message":"Bad credentials"}"#)),
        ("a page", Plan::answer("200 OK", "text/html", "<html>")),
        ("refused", Plan::answer("401 Unauthorized", JSON, "{}")),
        ("not found", Plan::answer("404 Not Found", JSON, "{}")),
        ("its own error", Plan::answer("503 Service Unavailable", JSON, "{}")),
        ("cut", Plan { cut: 80, ..Plan::answer("200 OK", JSON, "[{}, {}, {}]") }),
        ("huge", Plan::answer("200 OK", JSON, &format!("[\"{}\"]", "x".repeat(9_000_000)))),
        ("endless", Plan::answer("200 OK", JSON, &json!(full).to_string())),
    ] {
        wire.plan(name, Plan { cut: 0, ..Plan::GOOD });
        wire.plan("GET /gists", plan);
        let question = publish(&chat, &[name.to_owned()]).await;
        assert_eq!(told(&chat, &question).await[name], "unknown", "{name}");
        assert_eq!(wire.count(name), 1, "{name}");
    }
}

#[tokio::test]
async fn what_nobody_knew_is_settled_later_without_a_restart() {
    let (chat, wire) = start().await;
    let agent = &chat.server.server.agent;
    let down = Plan { cut: 0, ..Plan::GOOD };
    wire.plan("lost", down.clone());
    wire.plan("GET /gists", down);
    let question = publish(&chat, &["lost".to_owned()]).await;
    assert_eq!(told(&chat, &question).await["lost"], "unknown");

    let gate = &chat.server.server.gate;
    let call_id = gate.unsettled().await.unwrap()[0].call_id.clone();
    for _still_down in 0..3 {
        assert_eq!(agent.settle_unknown().await.unwrap(), 0);
        chat.server.advance(Duration::from_secs(15));
    }
    let end = gate.find_end(&call_id).await.unwrap().unwrap();
    assert!(matches!(end.ending, Ending::Unknown { .. }), "{end:?}");

    wire.plan("GET /gists", Plan::GOOD);
    assert_eq!(agent.settle_unknown().await.unwrap(), 1);
    assert_eq!(agent.settle_unknown().await.unwrap(), 0);
    let end = gate.find_end(&call_id).await.unwrap().unwrap();
    assert!(matches!(end.ending, Ending::Done { .. }), "{end:?}");
    assert_eq!(wire.count("lost"), 1);
    let ended = chat.server.events().await.into_iter().filter(|kind| kind == "tool_call.ended");
    assert_eq!(ended.count(), 2, "that nobody knew is recorded once, and how it ended");
}

#[tokio::test]
async fn an_intent_is_left_alone_while_its_call_may_still_run() {
    let (chat, wire) = start().await;
    wire.plan("running", Plan { cut: 0, holds: true, ..Plan::GOOD });
    let question = publish(&chat, &["running".to_owned()]).await;
    while wire.count("running") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let agent = &chat.server.server.agent;
    assert_eq!(agent.settle_unknown().await.unwrap(), 0);
    assert_eq!(wire.count("GET /gists"), 0);
    // Nobody runs a call for a minute: its driver is gone, or will find that it is settled.
    chat.server.advance(Duration::from_mins(1));
    assert_eq!(agent.settle_unknown().await.unwrap(), 1);
    assert_eq!(told(&chat, &question).await["running"], "done");
    assert_eq!(wire.count("running"), 1);
}

#[tokio::test]
async fn two_who_look_at_once_say_the_same() {
    let (chat, wire) = start().await;
    wire.plan("twice", Plan { cut: 0, has_effect: false, ..Plan::GOOD });
    let question = publish(&chat, &["twice".to_owned()]).await;
    while wire.count("GET /gists") == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let agent = &chat.server.server.agent;
    let (told, settled) = tokio::join!(told(&chat, &question), agent.settle_unknown());
    assert_eq!(told["twice"], "not_done");
    settled.unwrap();
    let ended = chat.server.events().await.into_iter().filter(|kind| kind == "tool_call.ended");
    assert_eq!(ended.count(), 2, "unknown, then what became of it");
}

#[tokio::test]
async fn where_nobody_knows_its_person_may_say_what_she_found() {
    let (chat, wire) = start().await;
    let down = Plan { cut: 0, ..Plan::GOOD };
    wire.plan("GET /gists", down.clone());
    let mut browser = world::signed_in(&chat.server).await;
    let mut other = world::signed_in_as(&chat.server, "other").await;
    for (name, is_done, words) in
        [("mine", "done", "It was done, once."), ("not mine", "not_done", "It was not done.")]
    {
        wire.plan(name, down.clone());
        let question = publish(&chat, &[name.to_owned()]).await;
        assert_eq!(told(&chat, &question).await[name], "unknown");
        let gate = &chat.server.server.gate;
        let intent = gate.unsettled().await.unwrap().remove(0);
        let path = format!("/account/approvals/{}", intent.approval_id.unwrap());
        let page = browser.open(&chat.server, &path).await.unwrap();
        assert!(page.answer.text.contains("It is not known whether"), "{}", page.answer.text);
        let fields = |settled: &str| {
            let mut fields = page.form_to(&path);
            fields.push(("settled".to_owned(), settled.to_owned()));
            fields
        };
        assert_eq!(browser.post(&chat.server, &path, &fields("x")).await.answer.status, 400);
        let thief = other.open(&chat.server, "/account").await.unwrap();
        let mut theirs = thief.form_to("/account/theme");
        theirs.retain(|(field, _)| field == "csrf_token");
        theirs.push(("settled".to_owned(), "done".to_owned()));
        assert_eq!(other.post(&chat.server, &path, &theirs).await.answer.status, 404);

        let said = browser.post(&chat.server, &path, &fields(is_done)).await;
        assert_eq!(said.answer.status, 303, "{}", said.answer.text);
        let page = browser.open(&chat.server, &path).await.unwrap();
        assert!(page.answer.text.contains(words), "{}", page.answer.text);
        assert_eq!(browser.post(&chat.server, &path, &fields("done")).await.answer.status, 409);
        assert!(gate.unsettled().await.unwrap().is_empty());
        assert_eq!(wire.count(name), 1);
    }
    let ended = chat.server.events().await.into_iter().filter(|kind| kind == "tool_call.ended");
    assert_eq!(ended.count(), 4);
}

#[tokio::test]
async fn another_account_in_its_place_settles_nothing() {
    let (chat, wire) = start().await;
    let down = Plan { cut: 0, ..Plan::GOOD };
    wire.plan("lost", down.clone());
    wire.plan("GET /gists", down);
    let question = publish(&chat, &["lost".to_owned()]).await;
    assert_eq!(told(&chat, &question).await["lost"], "unknown");
    wire.plan("GET /gists", Plan::GOOD);

    // She connects somebody else's account; there is no such Gist there.
    let mut unit = UnitOfWork::new(chat.server.now(), &SystemRng);
    unit.add(Statement::new("UPDATE connected_accounts SET provider_user_id = 'another'"));
    chat.server.server.storage.commit(unit).await.unwrap();
    chat.server.advance(Duration::from_mins(1));
    let (agent, gate) = (&chat.server.server.agent, &chat.server.server.gate);
    assert_eq!(agent.settle_unknown().await.unwrap(), 0);
    assert_eq!(gate.unsettled().await.unwrap().len(), 1, "it is still unknown");
}
