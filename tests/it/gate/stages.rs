//! The stages that ask other domains: what they wait for, and that none of them, failing alone,
//! ever lets a call through or leaves half of one behind.

use behalf_gate::ConnectionNeed;
use behalf_store::{Statement, UnitOfWork};
use behalf_tests::{decide_at_provider, github_connection, start_provider};

use super::*;
use crate::connect::{path_of, set_out};

/// A call that acts with the owner's account at the provider.
async fn with_account(server: &TestServer, key: &str, scopes: &[&str]) -> ToolCall {
    let need = ConnectionNeed {
        connection: "github".parse().unwrap(),
        scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect(),
    };
    let call = gist(server, key).await;
    ToolCall { spec: ToolSpec { connection: Some(need), ..call.spec.clone() }, ..call }
}

fn needed(asked: Asked) -> behalf_gate::ConnectNeeded {
    match asked {
        Asked::Decided(Outcome::ConnectAccount(needed)) => needed,
        other => panic!("no account needed: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_waits_for_its_account_and_goes_on_when_she_connects_it() {
    let server = world::start().await;
    let provider = start_provider(&server, None).await;
    server.apply(&github_connection(&provider)).await.unwrap();
    let call = with_account(&server, "k", &["gist"]).await;
    let wait = needed(gate(&server).ask(&call).await.unwrap());
    assert_eq!((wait.user.as_str(), wait.connection.as_str()), ("auth0|owner", "github"));
    assert_eq!(wait.scopes, ["gist"]);
    assert_eq!(needed(gate(&server).ask(&call).await.unwrap()), wait, "one wait for one call");

    // The page is hers alone.
    let mut thief = world::signed_in_as(&server, "other").await;
    let page = thief.get(&server, &wait.path()).await;
    assert_ne!(page.answer.status.as_u16(), 200, "{}", page.answer.text);

    let mut wakes = gate(&server).subscribe();
    let mut browser = world::signed_in(&server).await;
    let address = set_out(&server, &mut browser, &wait.path()).await;
    let callback = decide_at_provider(&address, Some("octo-ann")).await;
    browser.open(&server, &path_of(&callback)).await.unwrap();
    let wake = wakes.recv().await.unwrap();
    assert_eq!(wake.key.as_deref(), Some("k"), "whoever waits is woken");
    let over = gate(&server).find_connect_wait(&wait.interrupt_id).await.unwrap().unwrap();
    assert!(!over.is_open);

    let asked = approval(gate(&server).ask(&call).await.unwrap());
    decide(&server, &asked.id, Verdict::Approve).await;
    let begun = permit(gate(&server).ask(&call).await.unwrap());
    let begun = started(gate(&server).begin(begun).await.unwrap());
    let token = begun.token.as_ref().unwrap();
    assert!(provider.accepts(token.access_token.expose()));
    assert!(!format!("{begun:?}").contains(token.access_token.expose().as_str()));
    let events = server.events().await;
    for (kind, count) in [("connect.requested", 1), ("wait.ended", 2), ("tool_call.started", 1)] {
        assert_eq!(events.iter().filter(|known| *known == kind).count(), count, "{kind}");
    }
}

#[tokio::test]
async fn a_wait_for_an_account_ends_by_itself_and_with_its_call() {
    let server = world::start().await;
    let provider = start_provider(&server, None).await;
    server.apply(&github_connection(&provider)).await.unwrap();
    let late = with_account(&server, "late", &["gist"]).await;
    let taken_back = with_account(&server, "taken back", &["gist"]).await;
    needed(gate(&server).ask(&late).await.unwrap());
    let wait = needed(gate(&server).ask(&taken_back).await.unwrap());
    assert!(gate(&server).cancel("taken back").await.unwrap());
    assert!(!gate(&server).find_connect_wait(&wait.interrupt_id).await.unwrap().unwrap().is_open);

    server.advance(Duration::from_secs(3_599));
    assert_eq!(gate(&server).sweep().await.unwrap(), 0);
    server.advance(Duration::from_secs(1));
    assert_eq!(gate(&server).sweep().await.unwrap(), 1);
    let denied = denial(gate(&server).ask(&late).await.unwrap());
    assert!(matches!(denied, DenialReason::NotConnected | DenialReason::MandateOver), "{denied:?}");

    let unknown = with_account(&server, "unknown", &["gist"]).await;
    let mut spec = unknown.spec.clone();
    spec.connection.as_mut().unwrap().connection = "nowhere".parse().unwrap();
    let unknown = ToolCall { spec, ..unknown };
    let denied = denial(gate(&server).ask(&unknown).await.unwrap());
    assert_eq!(denied, DenialReason::ConnectionUnknown);
}

/// Gives or takes the owner's right to see the document.
async fn set_viewer(server: &TestServer, store: &str, id: &str, may: bool) {
    let (user, relation) = ("user:auth0|owner".to_owned(), "viewer".to_owned());
    let object = format!("doc:{id}");
    let request = if may {
        let tuple = TupleKey { user, relation, object, ..TupleKey::default() };
        WriteRequest { writes: vec![tuple], ..WriteRequest::default() }
    } else {
        let deletes = vec![DeleteKey { user, relation, object }];
        WriteRequest { deletes, ..WriteRequest::default() }
    };
    server.server.authz.write(store, None, &request, &Actor::System).await.unwrap();
}

#[tokio::test]
async fn a_tool_that_names_its_thing_needs_the_persons_own_right_to_it() {
    let server = world::start().await;
    let documents = server.server.authz.find_store_by_name("documents").await.unwrap().unwrap().id;
    set_viewer(&server, &documents, "plan", true).await;
    let rule = |store: &str, relation: &str| ResourceRule::Object {
        store: store.to_owned(),
        relation: relation.to_owned(),
        object_type: "doc".to_owned(),
        argument: "document".to_owned(),
    };
    let base = search(&server, "k").await;
    let call = |key: &str, arguments_: Value, resource: ResourceRule| ToolCall {
        key: key.to_owned(),
        arguments: arguments(&arguments_),
        spec: ToolSpec { resource, ..base.spec.clone() },
        ..base.clone()
    };
    let own = call("own", json!({"document": "plan"}), rule("documents", "can_view"));
    let leave = permit(gate(&server).ask(&own).await.unwrap());
    let theirs = ToolCall {
        key: "theirs".to_owned(),
        mandate: mandate(&server, "other").await,
        ..own.clone()
    };
    let denied = denial(gate(&server).ask(&theirs).await.unwrap());
    assert_eq!(denied, DenialReason::ResourceNotAllowed);

    for (place, bad) in [
        json!({}),
        json!({"document": null}),
        json!({"document": 7}),
        json!({"document": ["plan"]}),
        json!({"document": ""}),
        json!({"document": "other"}),
        json!({"document": "*"}),
        json!({"document": "doc:plan"}),
        json!({"document": "plan#viewer"}),
        json!({"document": "plan "}),
        json!({"document": "plan\n"}),
        json!({"other": "plan"}),
    ]
    .into_iter()
    .enumerate()
    {
        let call = call(&format!("bad {place}"), bad.clone(), rule("documents", "can_view"));
        let denied = denial(gate(&server).ask(&call).await.unwrap());
        assert_eq!(denied, DenialReason::ResourceNotAllowed, "{bad}");
    }
    let nowhere = call("nowhere", json!({"document": "plan"}), rule("no such store", "can_view"));
    let denied = denial(gate(&server).ask(&nowhere).await.unwrap());
    assert_eq!(denied, DenialReason::ResourceNotAllowed);
    let nothing = call("nothing", json!({"document": "plan"}), rule("documents", "no_such"));
    let asked = gate(&server).ask(&nothing).await;
    assert!(matches!(asked, Err(GateError::Authz(_))), "{asked:?}");

    // What is taken away between the leave and the beginning stops it.
    set_viewer(&server, &documents, "plan", false).await;
    let Begun::Stopped(asked) = gate(&server).begin(leave).await.unwrap() else { panic!() };
    assert_eq!(denial(asked), DenialReason::ResourceNotAllowed);
}

/// Runs statements as somebody with the database in hand would.
async fn run(server: &TestServer, sql: &'static str) {
    let mut unit = UnitOfWork::new(server.now(), &behalf_crypto::SystemRng);
    unit.add(Statement::new(sql));
    server.server.storage.commit(unit).await.unwrap();
}

#[tokio::test]
async fn a_stage_that_fails_alone_allows_nothing_and_leaves_no_half() {
    macro_rules! without {
        ($table:literal) => {
            (
                concat!("ALTER TABLE ", $table, " RENAME TO gone"),
                concat!("ALTER TABLE gone RENAME TO ", $table),
            )
        };
    }
    let account = "connections: [{name: github, strategy: github, options: {client_id: gh, \
        client_secret: s, authorization_url: \"http://127.0.0.1:1/a\", token_url: \
        \"http://127.0.0.1:1/t\", api_base_url: \"http://127.0.0.1:1/\", scope: [gist]}}]\n\
        connected_accounts: [{user_id: \"auth0|owner\", connection: github, access_token: t, \
        scopes: [gist]}]\n";
    for (breaks, mends) in [
        without!("users"),
        without!("clients"),
        without!("fga_stores"),
        without!("connections"),
        without!("connected_accounts"),
        // A sealed token that opens in its own place only.
        (
            "UPDATE connected_accounts SET account_id = 'x' || account_id",
            "UPDATE connected_accounts SET account_id = SUBSTR(account_id, 2)",
        ),
        without!("approvals"),
        without!("gate_calls"),
        // Where the record would go.
        without!("outbox"),
    ] {
        let server = world::start().await;
        server.apply(account).await.unwrap();
        let call = with_account(&server, "k", &["gist"]).await;
        let asked = approval(gate(&server).ask(&call).await.unwrap());
        decide(&server, &asked.id, Verdict::Approve).await;
        let leave = permit(gate(&server).ask(&call).await.unwrap());
        let fresh = with_account(&server, "fresh", &["gist"]).await;
        let before = server.events().await;

        run(&server, breaks).await;
        let begun = gate(&server).begin(leave).await;
        assert!(begun.is_err(), "{breaks}: {begun:?}");
        let asked_again = gate(&server).ask(&fresh).await;
        assert!(asked_again.is_err(), "{breaks}: {asked_again:?}");
        run(&server, mends).await;

        assert_eq!(server.events().await, before, "{breaks}");
        let user = "auth0|owner".parse().unwrap();
        let kept = gate(&server).find_approval(&user, &asked.id).await.unwrap().unwrap();
        assert_eq!(kept.status.as_str(), "approved", "{breaks}");
        assert!(gate(&server).unsettled().await.unwrap().is_empty(), "{breaks}");
        let leave = permit(gate(&server).ask(&call).await.unwrap());
        started(gate(&server).begin(leave).await.unwrap());
    }
}
