//! Organizations with repositories, teams in teams, people in teams: who may read what?

use serde_json::Map;

use super::{Question, Scenario, mix, tuple};

const MODEL: &str = "model
  schema 1.1
type user
type team
  relations
    define member: [user, team#member]
type organization
  relations
    define owner: [user]
    define member: [user] or owner
    define repo_admin: [user, organization#member]
    define repo_reader: [user, organization#member]
type repo
  relations
    define owner: [organization]
    define admin: [user, team#member] or repo_admin from owner
    define writer: [user, team#member] or admin
    define reader: [user, team#member] or writer or repo_reader from owner
";

/// The levels of teams in an organization: each lies in the one before.
const LEVELS: u64 = 4;
const REPOS: u64 = 50;
const PEOPLE: u64 = 40;
/// Tuples of an organization: people in their team and in the organization, teams in teams,
/// repositories with their owner and the team that may write.
const PER_ORGANIZATION: u64 = PEOPLE * 2 + LEVELS - 1 + REPOS * 2 + 1;

/// Everybody of an organization is in one of its teams, of which each contains the next. A
/// repository may be written by one team, so by everybody in that one and in those below. Members
/// of every third organization may read all its repositories.
pub(super) fn github(tuples: u64) -> Scenario {
    let organizations = (tuples / PER_ORGANIZATION).max(2);
    let each = (0..organizations).flat_map(|of| {
        let team = move |level: u64| format!("team:{of}-{level}");
        let people = (0..PEOPLE).flat_map(move |person| {
            let user = format!("user:{of}-{person}");
            [
                tuple(user.clone(), "member", team(level_of(person))),
                tuple(user, "member", format!("organization:{of}")),
            ]
        });
        let nested = (1..LEVELS)
            .map(move |level| tuple(format!("{}#member", team(level)), "member", team(level - 1)));
        let repos = (0..REPOS).flat_map(move |repo| {
            let object = format!("repo:{of}-{repo}");
            let writers = format!("{}#member", team(writers_of(of, repo)));
            [
                tuple(format!("organization:{of}"), "owner", object.clone()),
                tuple(writers, "writer", object),
            ]
        });
        let everybody = format!("organization:{of}#member");
        let open =
            is_open(of).then(|| tuple(everybody, "repo_reader", format!("organization:{of}")));
        people.chain(nested).chain(repos).chain(open)
    });
    Scenario {
        name: "github",
        model: MODEL,
        tuples: Box::new(each),
        question: Box::new(move |n| {
            let of = mix(1, n) % organizations;
            // One in four asks about another organization's repository.
            let about = if mix(2, n).is_multiple_of(4) { (of + 1) % organizations } else { of };
            let (person, repo) = (mix(3, n) % PEOPLE, mix(4, n) % REPOS);
            let may_write = of == about && level_of(person) >= writers_of(of, repo);
            let may_read = may_write || of == about && is_open(of);
            let relation = if mix(5, n).is_multiple_of(2) { "reader" } else { "writer" };
            let answer = if relation == "reader" { may_read } else { may_write };
            let (user, object) = (format!("user:{of}-{person}"), format!("repo:{about}-{repo}"));
            Question::check(user, relation, object, answer)
        }),
        context: Map::new(),
    }
}

const fn level_of(person: u64) -> u64 {
    person % LEVELS
}

const fn writers_of(organization: u64, repo: u64) -> u64 {
    mix(6, organization * REPOS + repo) % LEVELS
}

const fn is_open(organization: u64) -> bool {
    organization.is_multiple_of(3)
}
