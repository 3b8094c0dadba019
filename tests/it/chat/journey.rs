//! The journey: connect, approve, documents; and what happens when it is cut short.

use std::time::Duration;

use behalf::demo::model::{Emit, Rule, journey};
use behalf::demo::provider::Fault;
use behalf_authz::engine::{DeleteKey, WriteRequest};
use behalf_core::Actor;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_call_waits_for_the_account_and_runs_once_with_its_token() {
    let mut chat = Chat::start().await;
    let question = asked("t", &[REPOSITORIES]);
    let first = chat.ask(&question).await;
    let part = interrupt(&first);
    assert_eq!(part["data"]["kind"], "connect_account");
    assert_eq!(part["data"]["status"], "required");
    assert_eq!(part["data"]["connection"]["missingScopes"], json!(["public_repo"]));
    let url = part["data"]["connection"]["connectUrl"].as_str().unwrap();
    assert_eq!(url, format!("/account/connect?i={}", part["id"].as_str().unwrap()));
    assert_eq!(chat.provider.count("GET", "/search/repositories"), 0);

    chat.connect().await;
    let answer = chat.post(&question).await.expect(200);
    let second = chunks(&answer);
    assert_eq!(interrupt(&second)["data"]["status"], "done");
    assert_eq!(interrupt(&second)["id"], part["id"]);
    assert_eq!(output(&second)["status"], "done");
    assert!(said(&second).contains("stars"), "{second:?}");
    assert_eq!(chat.provider.count("GET", "/search/repositories"), 1);
    chat.assert_no_secret(&[&answer.text]);

    let asked_before = chat.model.requests().len();
    assert_eq!(said(&chat.ask(&question).await), said(&second));
    assert_eq!(chat.model.requests().len(), asked_before);
    assert_eq!(chat.provider.count("GET", "/search/repositories"), 1);
    assert_eq!(chat.follow("t").await.status, 204);
}

#[tokio::test]
async fn a_gist_is_published_once_after_its_approval() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let question = asked("t", &[GIST]);
    let part = interrupt(&chat.ask(&question).await);
    assert_eq!(part["data"]["kind"], "approval");
    assert_eq!(part["data"]["status"], "pending");
    let id = part["data"]["approval"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        interrupt(&chunks(&chat.follow("t").await.expect(200)))["data"]["status"],
        "pending"
    );
    assert_eq!(chat.posted_gists(), 0);

    chat.decide(&id, "approve").await.expect(200);
    let answer = chat.post(&question).await.expect(200);
    let after = chunks(&answer);
    assert_eq!(interrupt(&after)["data"]["status"], "done");
    assert_eq!(interrupt(&after)["data"]["decidedBy"], "auth0|owner");
    assert_eq!(output(&after)["status"], "done");
    for _again in 0..3 {
        chat.ask(&question).await;
    }
    assert_eq!(chat.posted_gists(), 1);
    let gist = &chat.provider.gists()[0];
    assert_eq!(gist["files"]["note.md"]["content"], "one line");
    assert!(gist["description"].as_str().unwrap().starts_with("Notes [behalf:"), "{gist}");
    chat.assert_no_secret(&[&answer.text]);
    let events = chat.server.events().await;
    for kind in ["chat.turn_started", "chat.turn_ended"] {
        assert_eq!(events.iter().filter(|known| *known == kind).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn an_approval_shows_all_that_is_sent_also_what_nobody_said() {
    // The model names no file, and the tool puts its mark behind the title.
    let gist = Emit::call("createPublicGist", &json!({"description": "Bare", "content": "x"}));
    let mut script = vec![Rule::asked(&["publish"], vec![gist])];
    script.extend(journey());
    let mut chat = Chat::with(script).await;
    chat.connect().await;
    let question = asked("t", &["publish"]);
    let part = interrupt(&chat.ask(&question).await);
    let id = part["data"]["approval"]["id"].as_str().unwrap();
    let mut browser = world::signed_in(&chat.server).await;
    let page = browser.get(&chat.server, &format!("/account/approvals/{id}")).await.answer.text;
    let card = browser.get(&chat.server, "/console/chat?id=t").await.answer.text;
    let trace = "/api/v1/traces?status=waiting";
    let waiting = chat.server.get_with_token(trace, &chat.token).await.expect(200).json();
    assert_eq!(waiting["traces"].as_array().unwrap().len(), 1, "the run waits for her");

    chat.decide(id, "approve").await.expect(200);
    chat.ask(&question).await;
    let gist = &chat.provider.gists()[0];
    let (title, mark) = gist["description"].as_str().unwrap().rsplit_once(' ').unwrap();
    let files: Vec<&String> = gist["files"].as_object().unwrap().keys().collect();
    for shown in [title, mark, files[0]] {
        for page in [&page, &card] {
            assert!(page.contains(&format!(">{shown}<")), "{shown}: {page}");
        }
    }
}

#[tokio::test]
async fn what_was_denied_is_not_done_and_not_asked_again() {
    // The model does not take no for an answer.
    let mut script = vec![Rule::after(
        "createPublicGist",
        &["\"denied\""],
        vec![Emit::call(
            "createPublicGist",
            &json!({"content": "one line", "filename": "note.md", "description": "Notes"}),
        )],
    )];
    script.extend(journey());
    let mut chat = Chat::with(script).await;
    chat.connect().await;
    let question = asked("t", &[GIST]);
    let part = interrupt(&chat.ask(&question).await);
    chat.decide(part["data"]["approval"]["id"].as_str().unwrap(), "deny").await.expect(200);
    let after = chat.ask(&question).await;
    assert_eq!(interrupt(&after)["data"]["status"], "denied");
    assert_eq!(of_type(&after, "data-behalf-interrupt").len(), 2, "one pending, one denied");
    let outputs = of_type(&after, "tool-output-available");
    assert!(outputs.len() > 1);
    assert!(outputs.iter().all(|chunk| chunk["output"] == json!({"status": "denied"})));
    assert_eq!(of_type(&after, "error").len(), 1, "the loop was stopped");
    assert_eq!(chat.posted_gists(), 0);
}

#[tokio::test]
async fn an_approval_that_nobody_gives_expires() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let question = asked("t", &[GIST]);
    let part = interrupt(&chat.ask(&question).await);
    chat.server.advance(Duration::from_secs(301));
    let after = chat.ask(&question).await;
    assert_eq!(interrupt(&after)["data"]["status"], "expired");
    assert_eq!(output(&after), json!({"status": "expired"}));
    assert!(said(&after).contains("nothing was done"));
    let id = part["data"]["approval"]["id"].as_str().unwrap();
    chat.decide(id, "approve").await.expect(409);
    chat.ask(&question).await;
    assert_eq!(chat.posted_gists(), 0);
}

#[tokio::test]
async fn a_restart_while_a_call_waits_changes_nothing() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let question = asked("t", &[GIST]);
    let part = interrupt(&chat.ask(&question).await);
    let id = part["data"]["approval"]["id"].as_str().unwrap().to_owned();
    let chat = chat.restart().await;
    let again = interrupt(&chat.ask(&question).await);
    assert_eq!(again, part);
    chat.decide(&id, "approve").await.expect(200);
    let chat = chat.restart().await;
    assert_eq!(output(&chat.ask(&question).await)["status"], "done");
    assert_eq!(chat.posted_gists(), 1);
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_never_sent_again() {
    for (fault, status, gists) in
        [(Fault::HangUpAfter, "done", 1), (Fault::HangUpBefore, "not_done", 0)]
    {
        let mut chat = Chat::start().await;
        chat.connect().await;
        let question = asked("t", &[GIST]);
        let part = interrupt(&chat.ask(&question).await);
        chat.provider.fail_next("/gists", 1, &fault);
        chat.decide(part["data"]["approval"]["id"].as_str().unwrap(), "approve").await.expect(200);
        let after = chat.ask(&question).await;
        assert_eq!(output(&after)["status"], status, "{fault:?}");
        chat.ask(&question).await;
        assert_eq!((chat.posted_gists(), chat.provider.gists().len()), (1, gists), "{fault:?}");
    }
}

#[tokio::test]
async fn calls_of_one_answer_do_not_wait_for_each_other() {
    let script = vec![
        Rule {
            when: behalf::demo::model::When { last_role: Some("tool"), ..Default::default() },
            emit: vec![Emit::text("Both are over.")],
        },
        Rule::always(vec![
            Emit::call("createPublicGist", &json!({"description": "a", "content": "a"})),
            Emit::call("searchGitHubRepositories", &json!({"query": "nextjs"})),
            Emit::call("createPublicGist", &json!({"description": "b", "content": "b"})),
        ]),
    ];
    let mut chat = Chat::with(script).await;
    chat.connect().await;
    let question = asked("t", &["do it"]);
    let first = chat.ask(&question).await;
    assert_eq!(output(&first)["status"], "done");
    let parts = of_type(&first, "data-behalf-interrupt");
    let ids: Vec<_> =
        parts.iter().map(|part| part["data"]["approval"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    chat.decide(ids[1], "approve").await.expect(200);
    chat.ask(&question).await;
    assert_eq!(chat.posted_gists(), 1);
    chat.decide(ids[0], "deny").await.expect(200);
    let after = chat.ask(&question).await;
    assert_eq!(said(&after), "Both are over.");
    assert_eq!(chat.posted_gists(), 1);
    assert_eq!(chat.provider.gists()[0]["files"]["note.md"]["content"], "b");
}

const DOCUMENTS: &str = "What do our internal documents say about remote work?";

#[tokio::test]
async fn documents_are_for_those_who_may_read_them_also_in_what_was_said_before() {
    let chat = Chat::start().await;
    let document = json!({"title": "Remote work", "content_type": "text/markdown",
        "content": "Remote work is allowed on Tuesdays, says the zebra policy."});
    let made = chat.send("/api/v1/documents", &chat.token, &document, &[]).await.expect(201).json();
    let id = text(&made, "id").to_owned();

    let first = chat.ask(&asked("t", &[DOCUMENTS])).await;
    assert!(output(&first).to_string().contains("zebra"), "{first:?}");
    assert!(said(&first).contains("zebra"));
    let other = token(&chat.server, "other").await;
    let theirs = chunks(&chat.post_as(&other, &asked("t", &[DOCUMENTS])).await.expect(200));
    assert_eq!(output(&theirs)["results"], json!([]));

    // Her right is taken away between two turns.
    let store = chat.server.server.authz.find_store_by_name("documents").await.unwrap().unwrap().id;
    let delete = DeleteKey {
        user: "user:auth0|owner".to_owned(),
        relation: "owner".to_owned(),
        object: format!("doc:{id}"),
    };
    let request = WriteRequest { deletes: vec![delete], ..WriteRequest::default() };
    chat.server.server.authz.write(&store, None, &request, &Actor::System).await.unwrap();
    let second = chat
        .ask(&asked(
            "t",
            &[DOCUMENTS, "And what did you say about remote work in documents before?"],
        ))
        .await;
    assert_eq!(output(&second)["results"], json!([]));
    for request in chat.model.requests().iter().rev().take(2) {
        let told = request.body.to_string();
        assert!(!told.contains("zebra"), "{told}");
        assert!(told.contains("[removed: access withdrawn]"), "{told}");
    }
    // What is shown again is not shown either.
    let again = chat.post(&asked("t", &[DOCUMENTS])).await.expect(200);
    assert!(!again.text.contains("zebra"), "{}", again.text);
    assert!(again.text.contains("[removed: access withdrawn]"), "{}", again.text);
}

#[tokio::test]
async fn spans_say_what_happened_and_hold_no_secret() {
    let mut chat = Chat::start().await;
    chat.connect().await;
    let question = asked("t", &[GIST]);
    let part = interrupt(&chat.ask(&question).await);
    let trace_id = part["data"]["traceId"].as_str().unwrap();
    let waiting = trace(&chat, trace_id).await.expect(200).json();
    assert_eq!(waiting["user_id"], "auth0|owner");
    chat.decide(part["data"]["approval"]["id"].as_str().unwrap(), "approve").await.expect(200);
    chat.ask(&question).await;
    let answer = trace(&chat, trace_id).await.expect(200);
    let trace = answer.json();
    let spans = trace["spans"].as_array().unwrap();
    let find = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        found.unwrap_or_else(|| panic!("no {name} in {}", answer.text))
    };
    let root = find("invoke_agent behalf");
    let step = find("step 1");
    assert_eq!(step["parent_span_id"], root["span_id"]);
    for name in ["chat scripted", "gate createPublicGist", "wait for approval"] {
        assert_eq!(find(name)["parent_span_id"], step["span_id"], "{name}");
    }
    let tool = find("execute_tool createPublicGist");
    assert_eq!(tool["attributes"]["behalf.effect"], "done");
    assert_eq!(tool["attributes"]["behalf.approval.id"], part["data"]["approval"]["id"]);
    assert!(tool["attributes"]["behalf.record.id"].is_string(), "{tool}");
    assert!(trace["input_tokens"].as_u64().unwrap() > 0);
    assert!(!answer.text.contains(chat.secret.as_deref().unwrap()));
    assert!(!answer.text.contains("model-key"));
}

async fn trace(chat: &Chat, trace_id: &str) -> Answer {
    chat.server.get_with_token(&format!("/api/v1/traces/{trace_id}"), &chat.token).await
}
