//! The shapes that `SpiceDB` measures itself with: very many users of one resource, groups in groups,
//! a long chain of parents.

use serde_json::Map;

use super::{Question, Scenario, mix, tuple};

const DIRECT: &str = "model
  schema 1.1
type user
type resource
  relations
    define viewer: [user]
";
const GROUPS: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type resource
  relations
    define viewer: [group#member]
";
const ARROWS: &str = "model
  schema 1.1
type user
type folder
  relations
    define parent: [folder]
    define viewer: [user] or viewer from parent
";
const WIDE: u64 = 9_000;
const SUBGROUPS: u64 = 80;
const MEMBERS: u64 = 100;
/// Below OpenFGA's limit of 25 hops.
const DEEP: u64 = 24;

pub(super) fn wide_direct(_tuples: u64) -> Scenario {
    let tuples = (0..WIDE).map(|n| tuple(user(n), "viewer", "resource:1".to_owned()));
    Scenario {
        name: "wide-direct",
        model: DIRECT,
        tuples: Box::new(tuples),
        question: Box::new(|n| {
            let who = mix(1, n) % (WIDE * 2);
            Question::check(user(who), "viewer", "resource:1".to_owned(), who < WIDE)
        }),
        context: Map::new(),
    }
}

/// A group of eighty groups of a hundred.
pub(super) fn wide_groups(_tuples: u64) -> Scenario {
    let group = |n: u64| format!("group:{n}");
    let below = (0..SUBGROUPS)
        .map(move |n| tuple(format!("{}#member", group(n)), "member", "group:all".to_owned()));
    let members =
        (0..SUBGROUPS * MEMBERS).map(move |n| tuple(user(n), "member", group(n % SUBGROUPS)));
    let view = tuple("group:all#member".to_owned(), "viewer", "resource:1".to_owned());
    Scenario {
        name: "wide-groups",
        model: GROUPS,
        tuples: Box::new(below.chain(members).chain([view])),
        question: Box::new(|n| {
            let who = mix(1, n) % (SUBGROUPS * MEMBERS * 2);
            let is_allowed = who < SUBGROUPS * MEMBERS;
            Question::check(user(who), "viewer", "resource:1".to_owned(), is_allowed)
        }),
        context: Map::new(),
    }
}

/// A folder at the end of a chain; its viewer stands at the other end.
pub(super) fn deep_arrow(_tuples: u64) -> Scenario {
    let folder = |n: u64| format!("folder:{n}");
    let chain = (1..DEEP).map(move |n| tuple(folder(n - 1), "parent", folder(n)));
    let viewer = tuple(user(1), "viewer", folder(0));
    Scenario {
        name: "deep-arrow",
        model: ARROWS,
        tuples: Box::new(chain.chain([viewer])),
        question: Box::new(move |n| {
            let who = mix(1, n) % 2;
            Question::check(user(who), "viewer", folder(DEEP - 1), who == 1)
        }),
        context: Map::new(),
    }
}

fn user(n: u64) -> String {
    format!("user:{n}")
}
