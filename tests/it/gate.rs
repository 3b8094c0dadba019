//! The decision point: what is allowed, what waits, and that nothing happens twice.

use std::time::Duration;

use behalf_authz::engine::{DeleteKey, TupleKey, WriteRequest};
use behalf_core::{Actor, ClientId};
use behalf_gate::{
    ApprovalNeed, Asked, Begun, CallEnd, Decider, DenialReason, Effect, Ending, Gate, GateError,
    Mandate, Outcome, Permit, ResourceRule, Started, ToolCall, ToolSpec, Verdict, Via,
};
use behalf_tests::TestServer;
use serde_json::{Map, Value, json};

use crate::world::{self, WEB, text};

const API: &str = "https://behalf.test/api/";

fn behalf() -> ClientId {
    "behalf".parse().unwrap()
}

fn gate(server: &TestServer) -> &Gate {
    &server.server.gate
}

/// The mandate that a chat by `web`'s token gives the built-in agent.
async fn mandate(server: &TestServer, name: &str) -> Mandate {
    let form = [("audience", API), ("scope", "openid chat")];
    let tokens = world::password_grant(server, &WEB, name, &form).await.expect(200).json();
    let token = server.server.identity.verify_access_token(text(&tokens, "access_token"), API);
    Mandate::of_token(&token.unwrap(), &behalf()).unwrap()
}

fn tool(name: &str, needs_approval: bool) -> ToolSpec {
    ToolSpec {
        server: "behalf".to_owned(),
        name: name.to_owned(),
        title: "Create a gist".to_owned(),
        description: "Creates a public gist.".to_owned(),
        connection: None,
        approval: needs_approval
            .then(|| ApprovalNeed { scope: "create:gist".to_owned(), audience: API.to_owned() }),
        resource: ResourceRule::None,
    }
}

fn arguments(value: &Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

async fn gist(server: &TestServer, key: &str) -> ToolCall {
    ToolCall {
        key: key.to_owned(),
        mandate: mandate(server, "owner").await,
        spec: tool("createPublicGist", true),
        arguments: arguments(&json!({"description": "Notes", "content": "one\ntwo"})),
        trace: None,
        tainted_by: Vec::new(),
        words: Some("I will publish your notes.".to_owned()),
    }
}

async fn search(server: &TestServer, key: &str) -> ToolCall {
    ToolCall {
        spec: tool("searchInternalDocuments", false),
        arguments: arguments(&json!({"question": "plans"})),
        ..gist(server, key).await
    }
}

#[track_caller]
fn permit(asked: Asked) -> Permit {
    match asked {
        Asked::Decided(Outcome::Allowed(permit)) => permit,
        other => panic!("not allowed: {other:?}"),
    }
}

#[track_caller]
fn approval(asked: Asked) -> behalf_gate::Approval {
    match asked {
        Asked::Decided(Outcome::ApprovalRequired(approval)) => *approval,
        other => panic!("no approval required: {other:?}"),
    }
}

#[track_caller]
fn denial(asked: Asked) -> DenialReason {
    match asked {
        Asked::Decided(Outcome::Denied(denial)) => denial.reason,
        other => panic!("not denied: {other:?}"),
    }
}

#[track_caller]
fn started(begun: Begun) -> Started {
    match begun {
        Begun::Started(started) => *started,
        Begun::Stopped(asked) => panic!("not started: {asked:?}"),
    }
}

#[track_caller]
fn ended(asked: Asked) -> CallEnd {
    match asked {
        Asked::Ended(end) => end,
        other => panic!("not ended: {other:?}"),
    }
}

async fn decide(server: &TestServer, id: &str, verdict: Verdict) {
    let decider = Decider {
        user: "auth0|owner".parse().unwrap(),
        via: Via::Client {
            client_id: "approver".parse().unwrap(),
            address: "203.0.113.7".to_owned(),
        },
        act: None,
    };
    gate(server).decide(id, verdict, None, None, &decider).await.unwrap();
}

/// A call that its person has approved.
async fn approved(server: &TestServer, key: &str) -> (ToolCall, Permit) {
    let call = gist(server, key).await;
    let asked = approval(gate(server).ask(&call).await.unwrap());
    decide(server, &asked.id, Verdict::Approve).await;
    let permit = permit(gate(server).ask(&call).await.unwrap());
    (call, permit)
}

/// The store `behalf`.
async fn store(server: &TestServer) -> String {
    server.server.authz.find_store_by_name("behalf").await.unwrap().unwrap().id
}

async fn set_leave(server: &TestServer, tool: &str, may: bool) {
    let store = store(server).await;
    let (user, relation) = ("agent:behalf".to_owned(), "can_call".to_owned());
    let object = format!("tool:behalf/{tool}");
    let request = if may {
        let tuple = TupleKey { user, relation, object, condition: None };
        WriteRequest { writes: vec![tuple], ..WriteRequest::default() }
    } else {
        WriteRequest {
            deletes: vec![DeleteKey { user, relation, object }],
            ..WriteRequest::default()
        }
    };
    server.server.authz.write(&store, None, &request, &Actor::System).await.unwrap();
}

#[tokio::test]
async fn an_allowed_call_is_begun_once_and_tells_how_it_ended() {
    let server = world::start().await;
    let call = search(&server, "turn-1/call-1").await;
    let first = permit(gate(&server).ask(&call).await.unwrap());
    let again = permit(gate(&server).ask(&call).await.unwrap());
    assert_eq!(first.call_id(), again.call_id(), "the same key is the same call");
    let begun = started(gate(&server).begin(first).await.unwrap());
    assert_eq!(begun.arguments, call.arguments);
    assert!(matches!(gate(&server).begin(again).await, Err(GateError::Started)));
    let end = gate(&server).settle(begun, Effect::Done { result: json!({"found": 1}) });
    let end = end.await.unwrap();
    assert_eq!(end.ending, Ending::Done { result: json!({"found": 1}) });
    assert_eq!(ended(gate(&server).ask(&call).await.unwrap()), end);
    let events = server.events().await;
    let ours: Vec<_> = events.iter().filter(|kind| kind.starts_with("tool_call.")).collect();
    assert_eq!(ours, ["tool_call.asked", "tool_call.started", "tool_call.ended"]);
}

#[tokio::test]
async fn a_gist_waits_for_its_approval_and_uses_it_once() {
    let server = world::start().await;
    let call = gist(&server, "turn-1/call-1").await;
    let asked = approval(gate(&server).ask(&call).await.unwrap());
    assert_eq!(asked.user.as_str(), "auth0|owner");
    assert_eq!((asked.client.as_str(), asked.agent.as_ref().unwrap().as_str()), ("web", "behalf"));
    assert_eq!(asked.question.tool.as_deref(), Some("createPublicGist"));
    assert_eq!(asked.question.arguments.as_ref(), Some(&call.arguments));
    // printf '%s' '{"arguments":{"content":"one\ntwo","description":"Notes"},"audience":"https://behalf.test/api/","client":"web","tool":"createPublicGist","user":"auth0|owner"}' | sha256sum
    assert_eq!(asked.digest, "9ef0adcbf6ac236e6aee0dcb8ee3c7e94ef878fd713841c9c5b9c1ba53ee611c");
    let second = approval(gate(&server).ask(&call).await.unwrap());
    assert_eq!(asked.id, second.id, "one call asks its person once");
    decide(&server, &asked.id, Verdict::Approve).await;
    let (one, two) = (gate(&server).ask(&call), gate(&server).ask(&call));
    let (one, two) = (permit(one.await.unwrap()), permit(two.await.unwrap()));
    let begun = started(gate(&server).begin(one).await.unwrap());
    assert!(matches!(gate(&server).begin(two).await, Err(GateError::Started)));
    let user = "auth0|owner".parse().unwrap();
    let used = gate(&server).find_approval(&user, &asked.id).await.unwrap().unwrap();
    assert_eq!(used.status.as_str(), "redeemed");
    gate(&server).settle(begun, Effect::Done { result: Value::Null }).await.unwrap();
}

#[tokio::test]
async fn what_changed_between_approval_and_execution_stops_it() {
    let block = "users: [{user_id: \"auth0|owner\", blocked: true}]";
    let server = world::start().await;
    let (_, permit) = approved(&server, "k").await;
    server.apply(block).await.unwrap();
    let Begun::Stopped(asked) = gate(&server).begin(permit).await.unwrap() else { panic!() };
    assert_eq!(denial(asked), DenialReason::UserInactive);

    let server = world::start().await;
    let (call, permit) = approved(&server, "k").await;
    set_leave(&server, "createPublicGist", false).await;
    let Begun::Stopped(asked) = gate(&server).begin(permit).await.unwrap() else { panic!() };
    assert_eq!(denial(asked), DenialReason::ToolNotAllowed);
    set_leave(&server, "createPublicGist", true).await;
    let end = ended(gate(&server).ask(&call).await.unwrap());
    assert!(matches!(end.ending, Ending::Denied(_)), "what was denied stays denied");

    let server = world::start().await;
    let (_, permit) = approved(&server, "k").await;
    server.advance(Duration::from_secs(600));
    let Begun::Stopped(asked) = gate(&server).begin(permit).await.unwrap() else { panic!() };
    assert!(matches!(asked, Asked::Decided(Outcome::Expired(_))), "{asked:?}");
}
