//! The shapes that OpenFGA measures itself with: checks through a thousand teams, a list of ten
//! thousand objects through parents, a list of thousands of users.

use serde_json::Map;

use super::{Answer, Ask, Question, Scenario, mix, tuple};

const MODEL: &str = "model
  schema 1.1
type user
type team
  relations
    define member: [user]
type folder
  relations
    define viewer: [user]
type doc
  relations
    define parent: [folder]
    define viewer: [user, team#member] or viewer from parent
";
const TEAMS: u64 = 1_000;
const OBJECTS: u32 = 10_000;
const USERS: u32 = 5_000;

/// One document that a thousand teams may view; everybody is in one team.
pub(super) fn teams(_tuples: u64) -> Scenario {
    let people = (0..TEAMS).map(|n| tuple(format!("user:{n}"), "member", format!("team:{n}")));
    let views = (0..TEAMS).map(|n| tuple(format!("team:{n}#member"), "viewer", "doc:1".to_owned()));
    Scenario {
        name: "teams",
        model: MODEL,
        tuples: Box::new(people.chain(views)),
        question: Box::new(|n| {
            let user = mix(1, n) % (TEAMS * 2);
            let is_allowed = user < TEAMS;
            Question::check(format!("user:{user}"), "viewer", "doc:1".to_owned(), is_allowed)
        }),
        context: Map::new(),
    }
}

/// Half of the documents are viewed by a tuple of their own, half through their folder.
pub(super) fn objects(_tuples: u64) -> Scenario {
    let own = (0..OBJECTS / 2).map(|n| tuple("user:maria".to_owned(), "viewer", doc(n)));
    let folder = std::iter::once(tuple("user:maria".to_owned(), "viewer", "folder:1".to_owned()));
    let inherited = (OBJECTS / 2..OBJECTS).map(|n| tuple("folder:1".to_owned(), "parent", doc(n)));
    let others = (0..OBJECTS).map(|n| tuple("user:other".to_owned(), "viewer", doc(n + OBJECTS)));
    Scenario {
        name: "objects",
        model: MODEL,
        tuples: Box::new(own.chain(folder).chain(inherited).chain(others)),
        question: Box::new(|_| Question {
            ask: Ask::Objects { user: "user:maria".to_owned(), relation: "viewer", of: "doc" },
            answer: Answer::Count(OBJECTS as usize),
        }),
        context: Map::new(),
    }
}

/// A document with thousands of viewers.
pub(super) fn users(_tuples: u64) -> Scenario {
    let own = (0..USERS / 2).map(|n| tuple(format!("user:{n}"), "viewer", doc(1)));
    let team = std::iter::once(tuple("team:1#member".to_owned(), "viewer", doc(1)));
    let members =
        (USERS / 2..USERS).map(|n| tuple(format!("user:{n}"), "member", "team:1".to_owned()));
    Scenario {
        name: "users",
        model: MODEL,
        tuples: Box::new(own.chain(team).chain(members)),
        question: Box::new(|_| Question {
            ask: Ask::Users { object: ("doc", "1".to_owned()), relation: "viewer", of: "user" },
            answer: Answer::Count(USERS as usize),
        }),
        context: Map::new(),
    }
}

fn doc(n: u32) -> String {
    format!("doc:{n}")
}
