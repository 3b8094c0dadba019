//! The pages of an authorization store, walked as a browser without script walks them: a check and
//! its way, the model's editor with what a change would give and take, tuples, lists, tests, and the
//! log.

use std::sync::OnceLock;

use behalf_authz::engine::AuthorizationModel;
use behalf_authz::{Assertion, Author, Query};
use behalf_core::Actor;
use behalf_tests::{Browser, Page, TestServer};
use http::header;
use tokio::runtime::Handle;

use crate::world::signed_in_as;

const STORE: &str = "01HGHVBYEX0000000000000000";
const MODEL: &str = "model
  schema 1.1

type user

type group
  relations
    define member: [user, group#member]

type folder
  relations
    define viewer: [user, group#member]

type doc
  relations
    define blocked: [user]
    define can_view: viewer but not blocked
    define parent: [folder]
    define viewer: [user, user with recent] or viewer from parent

condition recent(age: int) {
  age < 7
}
";

fn setup() -> String {
    let model = MODEL.replace('\n', "\n        ");
    format!(
        r#"
users:
  - {{user_id: "auth0|ada", email: ada@example.com, username: ada, password: ada-password, name: Ada, roles: [administrator]}}
  - {{user_id: "auth0|aud", email: aud@example.com, username: aud, password: aud-password, name: Aud, roles: [auditor]}}
  - {{user_id: "auth0|pat", email: pat@example.com, username: pat, password: pat-password, name: Pat}}
fga:
  stores:
    - id: {STORE}
      name: plans
      model: |
        {model}
      tuples:
        - {{user: "user:ann", relation: member, object: "group:eng"}}
        - {{user: "group:eng#member", relation: viewer, object: "folder:plans"}}
        - {{user: "folder:plans", relation: parent, object: "doc:roadmap"}}
        - {{user: "user:ben", relation: viewer, object: "doc:roadmap"}}
        - {{user: "user:ben", relation: blocked, object: "doc:roadmap"}}
        - {{user: "user:cleo", relation: viewer, object: "doc:notes", condition: {{name: recent}}}}
"#
    )
}

fn at(rest: &str) -> String {
    format!("/console/authorization/{STORE}{rest}")
}

/// The page's text with blanks in place of its tags, and none before a stop.
fn words(page: &Page) -> String {
    let mut text = String::new();
    let mut is_tag = false;
    for c in page.answer.text.chars() {
        match c {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                text.push(' ');
            }
            c if !is_tag => text.push(c),
            _ => {}
        }
    }
    let text = text.replace("&#38;", "&").replace("&#39;", "'").replace("&#34;", "\"");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.replace(" .", ".").replace(" ,", ",").replace(" :", ":")
}

#[track_caller]
fn assert_says(page: &Page, text: &str) {
    let words = words(page);
    assert!(words.contains(text), "`{text}` is not in: {words}");
}

/// Posts the page's form to `action` with these fields in place of its own.
async fn submit(
    browser: &mut Browser,
    server: &TestServer,
    page: &Page,
    action: &str,
    fields: &[(&str, &str)],
) -> Page {
    // A button may send a form elsewhere.
    let forms = page.forms();
    let find = |wanted: &str| {
        forms.iter().find(|(known, fields)| {
            let known = known.split('#').next().unwrap_or_default();
            known == wanted && fields.iter().any(|(of, _)| of == "csrf_token")
        })
    };
    let found = [action, &at("/model/preview"), &at("/tuples/preview")].into_iter().find_map(find);
    let mut form = found.unwrap().1.clone();
    for (name, value) in fields {
        form.retain(|(known, _)| known != name);
        form.push(((*name).to_owned(), (*value).to_owned()));
    }
    browser.post(server, action, &form).await
}

#[tokio::test]
async fn an_answer_shows_the_way_and_a_denial_what_was_missing() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let ask = |user: &str| at(&format!("?user={user}&relation=can_view&object=doc:roadmap"));
    let page = ada.get(&server, &ask("user:ann")).await;
    assert_eq!(page.answer.status, 200);
    assert_says(&page, "Allowed user:ann has can_view to doc:roadmap");
    assert_says(
        &page,
        "because user:ann is member of group:eng, each member of group:eng is viewer of \
         folder:plans, and folder:plans is parent of doc:roadmap.",
    );
    assert_says(&page, "can_view viewer but not blocked");
    let way = page.answer.text.split("<ol class=\"way\">").nth(1).unwrap();
    let order = ["user:ann", "group:eng", "folder:plans", "doc:roadmap"];
    let places: Vec<_> = order.iter().map(|name| way.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "from the user to the object: {places:?}");

    let page = ada.get(&server, &ask("user:ben")).await;
    assert_says(&page, "Denied user:ben does not have can_view");
    assert_says(&page, "user:ben is blocked of doc:roadmap, which takes can_view away.");
    let page = ada.get(&server, &ask("user:dora")).await;
    assert_says(&page, "No tuple makes user:dora viewer of doc:roadmap.");

    // What cannot be read stays in its field, and is no denial.
    let page = ada.get(&server, &format!("{}&context=%5B1%5D", ask("user:ann"))).await;
    assert_eq!(page.answer.status, 400);
    assert_says(&page, "This cannot be answered the context must be a JSON object");
    assert!(page.answer.text.contains(">[1]</textarea>") && !words(&page).contains("Denied"));
    let page = ada.get(&server, &ask("nobody")).await;
    assert_says(&page, "This cannot be answered");

    // Tuples and values of the question only, and the past.
    let with = "&tuples=user:dora+member+group:eng";
    let page = ada.get(&server, &format!("{}{with}", ask("user:dora"))).await;
    assert_says(&page, "Allowed user:dora has can_view");
    let notes = at("?user=user:cleo&relation=can_view&object=doc:notes");
    let page = ada.get(&server, &format!("{notes}&context=%7B%22age%22%3A3%7D")).await;
    assert_says(&page, "Allowed");
    assert_says(&page, "while recent");
    let page = ada.get(&server, &format!("{notes}&context=%7B%22age%22%3A30%7D")).await;
    assert_says(&page, "its condition recent is not met");
    let page = ada.get(&server, &format!("{}&revision=0", ask("user:ann"))).await;
    assert_says(&page, "Denied");
}

#[tokio::test]
async fn an_edited_model_is_checked_previewed_and_saved_once() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let opened = ada.get(&server, &at("/model")).await;
    assert!(opened.answer.text.contains("define can_view: viewer but not blocked"));
    let preview = at("/model/preview");

    // An error has its place, and what was typed stays.
    let wrong = MODEL.replace("but not blocked", "but not blockd").replace('\n', "\r\n");
    let page = submit(&mut ada, &server, &opened, &preview, &[("text", &wrong)]).await;
    assert_says(&page, "1 error Line 17, column 37");
    assert_says(&page, "What to do: ");
    assert!(page.answer.text.contains("but not <mark>blockd</mark>"));
    assert!(page.answer.text.contains("define can_view: viewer but not blockd\n"));
    let page = submit(&mut ada, &server, &opened, &at("/model"), &[("text", &wrong)]).await;
    assert_eq!(page.answer.status, 400);
    assert_says(&page, "Nothing was saved");

    // Ben is no longer blocked, and folders no longer admit groups.
    let edited = MODEL
        .replace(" but not blocked", " # nobody is")
        .replace("define viewer: [user, group#member]", "define viewer: [user]");
    let typed = [("text", edited.as_str()), ("context", r#"{"age": 3}"#), ("reason", "no blocks")];
    let page = submit(&mut ada, &server, &opened, &preview, &typed).await;
    assert_says(&page, "1 gained, 3 lost");
    assert_says(&page, "gains user:ben can_view doc:roadmap");
    assert_says(&page, "loses user:ann can_view doc:roadmap");
    assert_says(&page, "1 stored tuple would no longer fit");
    assert_says(&page, "group:eng#member viewer folder:plans");
    assert_says(&page, "Compared for 4 of 4 users");
    let ann = at("?user=user:ann&relation=can_view&object=doc:roadmap");
    assert_says(&ada.get(&server, &ann).await, "Allowed");

    // Saved with its reason; whoever looked at the version before is told.
    let saved = submit(&mut ada, &server, &opened, &at("/model"), &typed).await;
    let page = ada.follow(&server, saved).await.unwrap();
    assert_says(&page, "The new version is saved");
    assert_says(&page, "auth0|ada no blocks");
    assert_says(&ada.get(&server, &ann).await, "Denied");
    assert!(page.answer.text.contains("# nobody is\n"), "an author's comments stay");
    let late = submit(&mut ada, &server, &opened, &at("/model"), &[("text", MODEL)]).await;
    assert_eq!(late.answer.status, 400);
    assert_says(&late, "Somebody saved another version meanwhile.");

    // Versions are compared as text, and an older one can be opened and saved again.
    let versions = page.answer.text.split("?version=").skip(1);
    let versions: Vec<&str> = versions.map(|rest| rest.split('"').next().unwrap()).collect();
    let [_, first] = versions.as_slice() else { panic!("{versions:?}") };
    let page = ada.get(&server, &at(&format!("/model?compare={first}"))).await;
    assert_says(&page, "2 lines added, 2 removed");
    let page = ada.get(&server, &at(&format!("/model?version={first}"))).await;
    assert_says(&page, "An older version");
    submit(&mut ada, &server, &page, &at("/model"), &[("text", MODEL)]).await.answer.expect(303);
    assert_says(&ada.get(&server, &ann).await, "Allowed");
    ada.get(&server, &at("/model?version=01HGHVBYEX0000000000000009")).await.answer.expect(404);
}

#[tokio::test]
async fn tuples_are_filtered_written_and_deleted_after_a_count() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let page = ada.get(&server, &at("/tuples?type=doc&user=user:")).await;
    assert_says(&page, "3 of 6 tuples");
    assert_says(&page, "revision 1: “set-up file”");
    assert_says(&ada.get(&server, &at("/tuples?condition=recent")).await, "1 of 6 tuples");

    let typed = [
        ("new_user", "user:dora"),
        ("new_relation", "viewer"),
        ("new_object", "doc:notes"),
        ("new_condition", "recent"),
        ("new_context", r#"{"age": 1}"#),
        ("new_expires", "2100-01-01T00:00:00Z"),
        ("new_reason", "a guest"),
    ];
    let written = submit(&mut ada, &server, &page, &at("/tuples"), &typed).await;
    let page = ada.follow(&server, written).await.unwrap();
    assert_says(&page, "The tuple is written.");
    assert_says(&page, "by auth0|ada, revision 2: “a guest”");
    assert_says(&page, r#"while recent {"age":1}"#);
    assert_says(&ada.get(&server, &at("/tuples?lifetime=limited")).await, "1 of 7 tuples");
    let again = submit(&mut ada, &server, &page, &at("/tuples"), &typed).await;
    assert_eq!(again.answer.status, 400);
    assert_says(&again, "Nothing was changed");
    assert!(again.answer.text.contains("value=\"user:dora\""), "what was typed stays");

    // The count is shown first; more than was shown is not deleted.
    let page = ada.get(&server, &at("/tuples?object=doc:notes&confirm=delete")).await;
    assert_says(&page, "Delete 2 tuples?");
    let matching = at("/tuples/delete-matching");
    let more = submit(&mut ada, &server, &page, &matching, &[("count", "1")]).await;
    assert_eq!(more.answer.status, 400);
    assert_says(&more, "meanwhile 2 tuples match, not 1");
    let all = submit(&mut ada, &server, &page, &matching, &[("object", "")]).await;
    assert_says(&all, "choose a filter first");
    let deleted = submit(&mut ada, &server, &page, &matching, &[("reason", "old")]).await;
    assert_says(&ada.follow(&server, deleted).await.unwrap(), "2 tuples are deleted.");

    let page = ada.get(&server, &at("/changes")).await;
    assert_says(&page, "auth0|ada “old”");
    assert_says(&page, "− deleted user:dora viewer doc:notes");
    assert_says(&page, "+ written user:dora viewer doc:notes while recent, until 2100");
}

#[tokio::test]
async fn what_a_write_or_a_deletion_would_change_is_said_before() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let page = ada.get(&server, &at("/tuples")).await;
    let preview = at("/tuples/preview");
    let draft = |user, relation, object| {
        [("new_user", user), ("new_relation", relation), ("new_object", object)]
    };
    // Along groups, folders and rules.
    let typed = draft("user:dora", "member", "group:eng");
    let said = submit(&mut ada, &server, &page, &preview, &typed).await;
    assert_says(&said, "4 gained");
    assert_says(&said, "gains user:dora can_view doc:roadmap");
    assert_says(&said, "Compared 4 relations of objects that depend on it, now, at revision 1.");
    assert!(said.answer.text.contains("value=\"user:dora\""), "what was typed stays");
    // What a rule takes away.
    let typed = draft("user:ann", "blocked", "doc:roadmap");
    let said = submit(&mut ada, &server, &page, &preview, &typed).await;
    assert_says(&said, "1 gained, 1 lost");
    assert_says(&said, "loses user:ann can_view doc:roadmap");
    // An object that others are reached through concerns everybody.
    let typed = draft("folder:plans", "parent", "doc:notes");
    let said = submit(&mut ada, &server, &page, &preview, &typed).await;
    // A condition without its values is said, with them it is answered.
    assert_says(&said, "could not be answered: failed to evaluate relationship condition");
    let with = [&typed[..], &[("new_ask_context", r#"{"age": 3}"#)]].concat();
    let said = submit(&mut ada, &server, &page, &preview, &with).await;
    assert_says(&said, "gains user:ann can_view doc:notes");
    assert!(!words(&said).contains("could not be answered"));
    // The rules are those of the write itself.
    let typed = draft("group:eng#member", "viewer", "doc:notes");
    let said = submit(&mut ada, &server, &page, &preview, &typed).await;
    assert_eq!(said.answer.status, 400);
    assert_says(&said, "Nothing was changed");

    let one = at("/tuples?user=group:eng%23member&relation=viewer&object=folder:plans");
    let said = ada.get(&server, &format!("{one}&confirm=delete")).await;
    assert_says(&said, "Delete 1 tuple?");
    assert_says(&said, "3 lost");
    assert_says(&said, "loses user:ann can_view doc:roadmap");
    let said = ada.get(&server, &at("/tuples?type=doc&relation=blocked&confirm=delete")).await;
    assert_says(&said, "gains user:ben can_view doc:roadmap");
    assert_eq!(server.server.authz.load_store(STORE).await.unwrap().revision, 1);
}

#[tokio::test]
async fn tests_that_are_kept_at_once_are_all_kept() {
    let server = TestServer::start(&setup()).await;
    let adds = (0..8).map(|n| {
        let authz = server.server.authz.clone();
        tokio::spawn(async move {
            let test = Assertion {
                user: format!("user:u{n}"),
                relation: "viewer".to_owned(),
                object: "doc:roadmap".to_owned(),
                ..Default::default()
            };
            let actor = Actor::System;
            authz.change_assertions(STORE, |tests| tests.push(test.clone()), &actor).await
        })
    });
    for add in adds.collect::<Vec<_>>() {
        add.await.unwrap().unwrap();
    }
    let mut ada = signed_in_as(&server, "ada").await;
    assert_says(&ada.get(&server, &at("/tests")).await, "All 8 pass");
}

#[tokio::test]
async fn lists_come_in_pages_of_one_revision() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let actor = Actor::System;
    let request = behalf_authz::engine::WriteRequest {
        writes: (0..60)
            .map(|n| behalf_authz::engine::TupleKey::new("user:ann", "viewer", format!("doc:{n}")))
            .collect(),
        ..Default::default()
    };
    server.server.authz.write(STORE, None, &request, &actor).await.unwrap();
    let page = ada.get(&server, &at("/lists?user=user:ann&relation=can_view&type=doc")).await;
    assert_says(&page, "50 on this page, revision 2");
    let next = page.answer.text.split("rel=\"next\"").next().unwrap();
    let next = next.rsplit("href=\"").next().unwrap().split('"').next().unwrap();
    assert!(next.contains("revision=2"), "{next}");
    let page = ada.get(&server, &next.replace("&#38;", "&")).await;
    assert_says(&page, "11 on this page");
    let page = ada.get(&server, &at("/lists?object=doc:roadmap&relation=viewer&users=user")).await;
    assert_says(&page, "2 in all");
    assert_says(&page, "user:ann user:ben");
    let page = ada.get(&server, &at("/lists?user=user:ann&relation=none&type=doc")).await;
    assert_eq!(page.answer.status, 400);
    assert_says(&page, "This cannot be listed");
}

#[tokio::test]
async fn tests_are_kept_run_and_looked_at_before_a_model_is_saved() {
    let server = TestServer::start(&setup()).await;
    let mut ada = signed_in_as(&server, "ada").await;
    let page = ada.get(&server, &at("?user=user:ann&relation=can_view&object=doc:roadmap")).await;
    let kept = submit(&mut ada, &server, &page, &at("/tests"), &[]).await;
    let page = ada.follow(&server, kept).await.unwrap();
    assert_says(&page, "All 1 pass");
    let typed = [
        ("user", "user:ben"),
        ("relation", "can_view"),
        ("object", "doc:roadmap"),
        ("expectation", "true"),
    ];
    let kept = submit(&mut ada, &server, &page, &at("/tests"), &typed).await;
    let page = ada.follow(&server, kept).await.unwrap();
    assert_says(&page, "1 of 2 do not pass");

    // The preview says so before; the saved version has the tests.
    let model = ada.get(&server, &at("/model")).await;
    let edited = MODEL.replace("or viewer from parent", "");
    let fields = [("text", edited.as_str())];
    let preview = submit(&mut ada, &server, &model, &at("/model/preview"), &fields).await;
    assert_says(&preview, "2 of 2 tests would fail");
    assert_says(&preview, "expected allowed, would be: denied");
    submit(&mut ada, &server, &model, &at("/model"), &fields).await.answer.expect(303);
    let page = ada.get(&server, &at("/tests")).await;
    assert_says(&page, "2 of 2 do not pass");
    let deleted = submit(&mut ada, &server, &page, &at("/tests/delete"), &[]).await;
    assert_says(&ada.follow(&server, deleted).await.unwrap(), "1 of 1 do not pass");
}

#[tokio::test]
async fn roles_decide_who_looks_and_who_changes() {
    let server = TestServer::start(&setup()).await;
    let (mut ada, mut aud) =
        (signed_in_as(&server, "ada").await, signed_in_as(&server, "aud").await);
    for rest in ["", "/model", "/tuples", "/lists", "/tests", "/changes"] {
        let page = aud.get(&server, &at(rest)).await;
        assert_eq!(page.answer.status, 200);
        assert!(page.answer.header(header::CONTENT_SECURITY_POLICY).contains("script-src 'self';"));
        for (action, _) in page.forms() {
            let is_dry = action.ends_with("/preview") || !action.ends_with("/model");
            assert!(is_dry && !action.contains("/delete"), "{rest} offers {action}");
        }
        let mut pat = signed_in_as(&server, "pat").await;
        pat.get(&server, &at(rest)).await.answer.expect(403);
    }
    let open = aud.get(&server, &at("/model")).await;
    let form = open.form_to(&at("/model/preview"));
    for rest in ["/model", "/tuples", "/tuples/delete-matching", "/tests", "/tests/delete"] {
        aud.post(&server, &at(rest), &form).await.answer.expect(403);
        // Whoever may, not without her form.
        ada.post(&server, &at(rest), &[]).await.answer.expect(403);
    }
    assert_eq!(server.server.authz.load_store(STORE).await.unwrap().revision, 1);
}

/// The editor writes a model, and then gives it the tests of the one before.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_is_added_while_the_model_is_replaced_is_not_left_behind() {
    let server = TestServer::start(&setup()).await;
    let authz = &server.server.authz;
    let test = |user: &str, expectation: bool| Assertion {
        user: user.to_owned(),
        relation: "can_view".to_owned(),
        object: "doc:notes".to_owned(),
        expectation,
        ..Assertion::default()
    };
    let tests = async |model: &str| {
        let tests = authz.read_assertions(STORE, model).await.unwrap();
        tests.into_iter().map(|test| (test.user, test.expectation)).collect::<Vec<_>>()
    };
    let (old, _) = authz.load_model(STORE, None).await.unwrap();
    let replace = async || {
        let model =
            AuthorizationModel::from_dsl(&MODEL.replacen("type", "type robot\n\ntype", 1)).unwrap();
        let author = Author { actor: &Actor::System, reason: "" };
        authz.replace_model(STORE, (model, ""), &old, author).await.unwrap()
    };
    let new: OnceLock<String> = OnceLock::new();
    let add = |tests: &mut Vec<Assertion>| {
        // Between what was read and what is written.
        new.get_or_init(|| tokio::task::block_in_place(|| Handle::current().block_on(replace())));
        tests.push(test("user:late", false));
    };
    authz.change_assertions(STORE, add, &Actor::System).await.unwrap();
    let new = new.get().unwrap();
    assert_eq!(tests(&old).await, [], "nobody looks at the old one any more");
    assert_eq!(tests(new).await, [("user:late".to_owned(), false)]);

    // What is carried over comes beside what was added to the new one, and changes none of it.
    let before = [test("user:early", true), test("user:late", true)];
    let query = Query { store_id: STORE, model_id: Some(&old) };
    authz.write_assertions(query, &before, &Actor::System).await.unwrap();
    let count = authz.carry_assertions(STORE, &old, new, &Actor::System).await.unwrap();
    let expected = [("user:early".to_owned(), true), ("user:late".to_owned(), false)];
    assert_eq!((count, tests(new).await), (2, expected.to_vec()));
}
