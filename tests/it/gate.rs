//! The decision point: what is allowed, what waits, and that nothing happens twice.

mod stages;

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
        let tuple = TupleKey { user, relation, object, ..TupleKey::default() };
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

/// The same folder, opened by a fresh server at the same time.
async fn reopened(server: TestServer) -> TestServer {
    let TestServer { server, clock, dir } = server;
    server.storage.close().await;
    drop(server);
    let reopened = TestServer::start_in(dir, "").await;
    reopened.clock.set(behalf_core::Clock::now(&*clock));
    reopened
}

#[tokio::test]
async fn after_a_crash_an_approved_call_goes_on_and_a_begun_one_is_never_sent_again() {
    let server = world::start().await;
    let (call, _lost) = approved(&server, "k").await;
    let server = reopened(server).await;
    let permit = permit(gate(&server).ask(&call).await.unwrap());
    let begun = started(gate(&server).begin(permit).await.unwrap());
    let call_id = begun.call_id.clone();
    drop(begun);
    let server = reopened(server).await;
    let end = ended(gate(&server).ask(&call).await.unwrap());
    assert!(matches!(end.ending, Ending::Unknown { .. }), "{end:?}");
    let intents = gate(&server).unsettled().await.unwrap();
    let [intent] = intents.as_slice() else { panic!("{intents:?}") };
    assert_eq!((&intent.call_id, &intent.arguments), (&call_id, &call.arguments));
    let read_back = gate(&server).read_back(&call_id).await.unwrap().unwrap();
    let effect = Effect::Unknown { reason: "the provider does not answer".to_owned() };
    gate(&server).settle(read_back, effect).await.unwrap();
    assert_eq!(gate(&server).unsettled().await.unwrap().len(), 1, "still unknown");
    let read_back = gate(&server).read_back(&call_id).await.unwrap().unwrap();
    let effect = Effect::Done { result: json!({"id": "g1"}) };
    gate(&server).settle(read_back, effect).await.unwrap();
    assert!(gate(&server).unsettled().await.unwrap().is_empty());
    let end = ended(gate(&server).ask(&call).await.unwrap());
    assert_eq!(end.ending, Ending::Done { result: json!({"id": "g1"}) });
    assert!(matches!(gate(&server).read_back(&call_id).await, Err(GateError::Settled)));
    let begun = server.events().await.into_iter().filter(|kind| kind == "tool_call.started");
    assert_eq!(begun.count(), 1);
}

#[tokio::test]
async fn a_key_belongs_to_one_call_of_one_person_with_one_set_of_arguments() {
    let server = world::start().await;
    let (call, _permit) = approved(&server, "k").await;
    let mut altered = vec![
        ToolCall { mandate: mandate(&server, "other").await, ..call.clone() },
        ToolCall { spec: tool("searchInternalDocuments", true), ..call.clone() },
    ];
    for change in [
        json!({"description": "Notes", "content": "one\ntwo "}),
        json!({"description": "Notes", "content": "one\ntwo", "filename": "x"}),
        json!({"description": "notes", "content": "one\ntwo"}),
        json!({"content": "one\ntwo"}),
        json!({}),
    ] {
        altered.push(ToolCall { arguments: arguments(&change), ..call.clone() });
    }
    for call in altered {
        let asked = gate(&server).ask(&call).await;
        assert!(matches!(asked, Err(GateError::KeyReused)), "{asked:?}");
    }
    // Under a new key the altered call asks anew: an approval is for one call.
    let other = ToolCall { key: "k2".to_owned(), ..call.clone() };
    approval(gate(&server).ask(&other).await.unwrap());
    // A tool that lost its need for an approval does not slip through with the old call.
    let laxer = ToolCall { spec: tool("createPublicGist", false), ..other };
    assert!(matches!(gate(&server).ask(&laxer).await, Err(GateError::KeyReused)));
    let untitled = ToolSpec { title: "Other".to_owned(), ..call.spec.clone() };
    let changed = ToolCall { spec: untitled, ..call };
    assert_eq!(denial(gate(&server).ask(&changed).await.unwrap()), DenialReason::ToolChanged);
}

#[tokio::test]
async fn what_no_tuple_allows_is_denied() {
    let server = world::start().await;
    let base = search(&server, "k").await;
    for (index, (server_name, name)) in [
        ("behalf", "deleteEverything"),
        ("other", "searchInternalDocuments"),
        ("behalf", "*"),
        ("behalf", "x#can_call"),
        ("behalf/x", "y"),
    ]
    .into_iter()
    .enumerate()
    {
        let spec = ToolSpec { server: server_name.to_owned(), ..tool(name, false) };
        let call = ToolCall { key: format!("k{index}"), spec, ..base.clone() };
        assert_eq!(denial(gate(&server).ask(&call).await.unwrap()), DenialReason::ToolNotAllowed);
    }
    // Another agent has no leave at all.
    let form = [("audience", API), ("scope", "openid chat")];
    let tokens = world::password_grant(&server, &WEB, "owner", &form).await.expect(200).json();
    let token = server.server.identity.verify_access_token(text(&tokens, "access_token"), API);
    let stranger = Mandate::of_token(&token.unwrap(), &"agent".parse().unwrap()).unwrap();
    let call = ToolCall { key: "s".to_owned(), mandate: stranger, ..base.clone() };
    assert_eq!(denial(gate(&server).ask(&call).await.unwrap()), DenialReason::ToolNotAllowed);
    // The mandate's end is the token's.
    server.advance(Duration::from_secs(3_600));
    assert_eq!(denial(gate(&server).ask(&base).await.unwrap()), DenialReason::MandateOver);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_begin_one_call_one_does() {
    let server = world::start().await;
    for round in 0..20 {
        one_of_sixteen_begins(&server, &format!("k{round}")).await;
    }
}

async fn one_of_sixteen_begins(server: &TestServer, key: &str) {
    let (call, first) = approved(server, key).await;
    let mut permits = vec![first];
    for _ in 0..15 {
        permits.push(permit(gate(server).ask(&call).await.unwrap()));
    }
    let begins = permits.into_iter().map(|permit| {
        let gate = gate(server).clone();
        tokio::spawn(async move { gate.begin(permit).await })
    });
    let mut count = 0;
    for begin in begins.collect::<Vec<_>>() {
        match begin.await.unwrap() {
            Ok(Begun::Started(_)) => count += 1,
            Ok(Begun::Stopped(other)) => panic!("{other:?}"),
            Err(error) => assert!(matches!(error, GateError::Started), "{error}"),
        }
    }
    assert_eq!(count, 1);
}

#[tokio::test]
async fn an_approval_dies_at_its_end_and_the_sweeper_records_it() {
    let server = world::start().await;
    let mut wakes = gate(&server).subscribe();
    let call = gist(&server, "k").await;
    let asked = approval(gate(&server).ask(&call).await.unwrap());
    wakes.recv().await.unwrap();
    server.advance(Duration::from_micros(299_999_999));
    assert_eq!(gate(&server).sweep().await.unwrap(), 0);
    server.advance(Duration::from_micros(1));
    let user = "auth0|owner".parse().unwrap();
    let late = gate(&server).find_approval(&user, &asked.id).await.unwrap().unwrap();
    assert_eq!(late.status.as_str(), "expired", "the clock decides, recorded or not");
    assert_eq!(gate(&server).sweep().await.unwrap(), 1);
    let wake = wakes.recv().await.unwrap();
    assert_eq!(wake.key.as_deref(), Some("k"), "whoever waits is woken");
    let expired = gate(&server).ask(&call).await.unwrap();
    assert!(matches!(expired, Asked::Decided(Outcome::Expired(_))), "{expired:?}");
    assert_eq!(ended(gate(&server).ask(&call).await.unwrap()).ending, Ending::Expired);
    let events = server.events().await;
    for kind in ["approval.expired", "wait.ended", "tool_call.expired"] {
        assert_eq!(events.iter().filter(|known| *known == kind).count(), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_denied_or_cancelled_call_stays_so() {
    let server = world::start().await;
    let call = gist(&server, "k").await;
    let asked = approval(gate(&server).ask(&call).await.unwrap());
    decide(&server, &asked.id, Verdict::Deny).await;
    assert_eq!(denial(gate(&server).ask(&call).await.unwrap()), DenialReason::DeniedByUser);
    assert!(matches!(ended(gate(&server).ask(&call).await.unwrap()).ending, Ending::Denied(_)));

    let (call, permit) = approved(&server, "k2").await;
    assert!(gate(&server).cancel("k2").await.unwrap());
    let Begun::Stopped(asked) = gate(&server).begin(permit).await.unwrap() else { panic!() };
    assert_eq!(ended(asked).ending, Ending::Cancelled);
    assert_eq!(ended(gate(&server).ask(&call).await.unwrap()).ending, Ending::Cancelled);
    assert!(!gate(&server).cancel("k2").await.unwrap());
}

#[tokio::test]
async fn what_was_altered_in_the_store_is_not_executed() {
    use behalf_store::{Statement, UnitOfWork};
    for sql in [
        "UPDATE gate_calls SET details = REPLACE(details, 'ntwo', 'nzwo')",
        "UPDATE approvals SET details = REPLACE(details, 'ntwo', 'nzwo')",
        "UPDATE approvals SET digest = REPLACE(digest, 'a', 'b')",
        "UPDATE approvals SET user_id = 'auth0|other'",
        "UPDATE gate_calls SET digest = REPLACE(digest, 'a', 'b')",
    ] {
        let server = world::start().await;
        let (_, permit) = approved(&server, "k").await;
        let mut unit = UnitOfWork::new(server.now(), &behalf_crypto::SystemRng);
        unit.add(Statement::new(sql));
        server.server.storage.commit(unit).await.unwrap();
        let begun = gate(&server).begin(permit).await;
        assert!(matches!(begun, Err(GateError::Tampered)), "{sql}: {begun:?}");
    }
}

#[tokio::test]
async fn a_store_that_fails_allows_nothing() {
    let server = world::start().await;
    let (call, permit) = approved(&server, "k").await;
    let fresh = search(&server, "k2").await;
    server.server.storage.close().await;
    if !server.server.storage.is_shared() {
        std::fs::remove_file(server.dir.path().join("behalf.db")).unwrap();
    }
    assert!(gate(&server).ask(&call).await.is_err());
    assert!(gate(&server).ask(&fresh).await.is_err());
    assert!(gate(&server).begin(permit).await.is_err());
}

#[tokio::test]
async fn the_built_in_agent_and_store_cannot_be_turned_into_something_else() {
    let server = world::start().await;
    for setup in [
        "clients: [{client_id: behalf, app_type: regular_web}]",
        "clients: [{client_id: behalf, client_secret: known}]",
        "clients: [{client_id: behalf, approver: true}]",
        "clients: [{client_id: behalf, grant_types: [client_credentials]}]",
        "clients: [{client_id: behalf, callbacks: [\"https://x.example/\"]}]",
        "fga: {stores: [{name: behalf, model: \"model\\n  schema 1.1\\ntype user\\n\"}]}",
        "fga: {stores: [{id: 01ARZ3NDEKTSV4RRFFQ69G5FAV, name: behalf}]}",
    ] {
        assert!(server.apply(setup).await.is_err(), "{setup}");
    }
    let leave = "fga: {stores: [{name: behalf, tuples: [{user: \"agent:agent\", \
                 relation: can_call, object: \"tool:x/y\"}]}]}";
    server.apply(leave).await.unwrap();
    server.apply("clients: [{client_id: behalf, name: Assistant}]").await.unwrap();
    set_leave(&server, "createPublicGist", false).await;
    let server = reopened(server).await;
    let call = gist(&server, "k").await;
    let asked = gate(&server).ask(&call).await.unwrap();
    assert_eq!(denial(asked), DenialReason::ToolNotAllowed, "a leave taken away stays away");
}
