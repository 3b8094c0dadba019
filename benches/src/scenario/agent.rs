//! Agents that people have delegated documents to, for a time: may this agent read that document
//! for this person now? Asked one by one, and fifty candidates at once as a search does.

use behalf_fga::TupleCondition;
use serde_json::{Map, Value};

use super::{Answer, Ask, Question, Scenario, mix, tuple};

const MODEL: &str = "model
  schema 1.1
type user
type agent
type doc
  relations
    define owner: [user]
    define viewer: [user]
    define delegate: [agent with unexpired]
    define can_view: owner or viewer
    define can_read: delegate and shareable
    define shareable: [agent:*] but not blocked
    define blocked: [agent]
condition unexpired(now: timestamp, until: timestamp) {
  now < until
}
";
const NOW: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2030-01-01T00:00:00Z";
const BEFORE: &str = "2020-01-01T00:00:00Z";
const PER_DOC: u64 = 5;
const BATCH: u64 = 50;

pub(super) fn agent(tuples: u64) -> Scenario {
    let docs = docs(tuples);
    set("agent", docs, move |n| {
        let (doc, is_own) = (mix(1, n) % docs, !mix(2, n).is_multiple_of(4));
        let agent = if is_own { delegate_of(doc) } else { delegate_of(doc) + 1 };
        let answer = is_own && can_read(doc);
        Question::check(name("agent", agent), "can_read", name("doc", doc), answer)
    })
}

pub(super) fn agent_batch(tuples: u64) -> Scenario {
    let docs = docs(tuples);
    set("agent-batch", docs, move |n| {
        let first = mix(1, n) % docs;
        let agent = delegate_of(first);
        // One candidate in three is another agent's.
        let asked = (0..BATCH)
            .map(|k| (first + k * AGENTS + u64::from(k.is_multiple_of(3))) % docs)
            .collect::<Vec<_>>();
        let answers = asked.iter().map(|doc| delegate_of(*doc) == agent && can_read(*doc));
        let answer = Answer::Each(answers.collect());
        let pairs = asked.iter().map(|doc| (name("agent", agent), name("doc", *doc))).collect();
        Question { ask: Ask::Batch { relation: "can_read", pairs }, answer }
    })
}

/// How many agents there are; each is delegated every so manieth document.
const AGENTS: u64 = 100;

fn docs(tuples: u64) -> u64 {
    (tuples / PER_DOC).max(AGENTS * BATCH)
}

fn set(called: &'static str, docs: u64, question: impl Fn(u64) -> Question + 'static) -> Scenario {
    let tuples = (0..docs).flat_map(move |doc| {
        let object = name("doc", doc);
        let until = if is_expired(doc) { BEFORE } else { LATER };
        let context = Map::from_iter([("until".to_owned(), Value::from(until))]);
        let mut delegated = tuple(name("agent", delegate_of(doc)), "delegate", object.clone());
        delegated.condition = Some(TupleCondition { name: "unexpired".to_owned(), context });
        let blocked = is_blocked(doc)
            .then(|| tuple(name("agent", delegate_of(doc)), "blocked", object.clone()));
        [
            tuple(name("user", doc / 20), "owner", object.clone()),
            tuple(name("user", mix(7, doc) % docs), "viewer", object.clone()),
            tuple("agent:*".to_owned(), "shareable", object),
            delegated,
        ]
        .into_iter()
        .chain(blocked)
    });
    Scenario {
        name: called,
        model: MODEL,
        tuples: Box::new(tuples),
        question: Box::new(question),
        context: Map::from_iter([("now".to_owned(), Value::from(NOW))]),
    }
}

const fn delegate_of(doc: u64) -> u64 {
    doc % AGENTS
}

const fn is_expired(doc: u64) -> bool {
    mix(8, doc).is_multiple_of(5)
}

const fn is_blocked(doc: u64) -> bool {
    mix(9, doc).is_multiple_of(10)
}

const fn can_read(doc: u64) -> bool {
    !is_expired(doc) && !is_blocked(doc)
}

fn name(kind: &str, n: u64) -> String {
    format!("{kind}:{n}")
}
