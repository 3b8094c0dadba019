//! What the loader asks: datasets made from a seed, each with questions whose answers are known
//! without an engine, from how the set was made.

mod agent;
mod drive;
mod github;
mod openfga;
mod spicedb;

use behalf_fga::TupleKey;
use serde_json::{Map, Value};

/// A dataset with questions.
pub(crate) struct Scenario {
    /// What it is called on the command line.
    pub(crate) name: &'static str,
    /// The model in the language for people.
    pub(crate) model: &'static str,
    /// Every tuple, made as it is asked for.
    pub(crate) tuples: Box<dyn Iterator<Item = TupleKey>>,
    /// The question of each number.
    pub(crate) question: Box<dyn Fn(u64) -> Question>,
    /// The values of conditions in every request.
    pub(crate) context: Map<String, Value>,
}

/// A question and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) ask: Ask,
    pub(crate) answer: Answer,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    Check { user: String, relation: &'static str, object: String },
    Batch { relation: &'static str, pairs: Vec<(String, String)> },
    Objects { user: String, relation: &'static str, of: &'static str },
    Users { object: (&'static str, String), relation: &'static str, of: &'static str },
}

/// What must come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Is(bool),
    Each(Vec<bool>),
    Count(usize),
}

impl Question {
    fn check(user: String, relation: &'static str, object: String, answer: bool) -> Self {
        Self { ask: Ask::Check { user, relation, object }, answer: Answer::Is(answer) }
    }
}

/// Makes a scenario of about so many tuples.
type Maker = fn(u64) -> Scenario;

/// The scenarios of that name, or all; `tuples` is about how many the scalable ones have.
pub(crate) fn all(name: Option<&str>, tuples: u64) -> Vec<Scenario> {
    let makers: [(&str, Maker); 10] = [
        ("drive", drive::drive),
        ("github", github::github),
        ("agent", agent::agent),
        ("agent-batch", agent::agent_batch),
        ("teams", openfga::teams),
        ("objects", openfga::objects),
        ("users", openfga::users),
        ("wide-direct", spicedb::wide_direct),
        ("wide-groups", spicedb::wide_groups),
        ("deep-arrow", spicedb::deep_arrow),
    ];
    let is_wanted = |known: &str| name.is_none_or(|name| name == known);
    makers.iter().filter(|(known, _)| is_wanted(known)).map(|(_, make)| make(tuples)).collect()
}

/// Spreads numbers (`SplitMix64`): the same number, the same dice.
const fn mix(stream: u64, n: u64) -> u64 {
    let salted = stream.wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let mut z = n.wrapping_add(salted).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn tuple(user: String, relation: &str, object: String) -> TupleKey {
    TupleKey::new(user, relation, object)
}
