//! An explanation as a drawing in rows: objects as nodes, the tuples between them as edges, and at
//! each node the rule by which its relation holds. From the user down to the object.

use std::collections::BTreeSet;

use behalf_authz::engine::{
    AuthorizationModel, Explanation, Lack, Missing, Proof, Reason, TupleKey,
};
use behalf_core::Timestamp;

use super::colour::{RelationName, Token, colour_rule};
use super::graph::rule_of;

/// What is missing that is shown at most.
const MAX_MISSING: usize = 8;
/// Rows that are drawn at most.
const MAX_ROWS: usize = 200;
/// Branches are set in to this depth at most.
const MAX_INDENT: usize = 5;

/// An explanation, drawn.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    pub(crate) rows: Vec<Row>,
    /// What was missing, nearest first.
    pub(crate) missing: Vec<Gap>,
    /// True if there is more than is shown.
    pub(crate) is_cut: bool,
    /// The relations on the way.
    pub(crate) used: BTreeSet<RelationName>,
    /// The way in one sentence.
    pub(crate) sentence: String,
}

/// A row of the drawing, set in by `indent` steps.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) indent: usize,
    pub(crate) kind: RowKind,
}

/// What a row is.
#[derive(Clone, Debug)]
pub(crate) enum RowKind {
    /// An object or a user, with what holds there.
    Node { name: String, holds: Vec<Held>, is_end: bool },
    /// A tuple that leads from the node above to the one below.
    Edge { relation: String, note: String, tuple: String },
    /// Several ways come together below.
    All { count: usize },
    /// One of them begins.
    Branch { number: usize },
}

/// A relation that holds at a node, and why.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) relation: String,
    pub(crate) rule: Vec<Token>,
}

/// Something that was missing.
#[derive(Clone, Debug)]
pub(crate) struct Gap {
    pub(crate) words: String,
    pub(crate) relation: String,
    pub(crate) rule: Vec<Token>,
    /// The tuples that lead there.
    pub(crate) via: Vec<String>,
    /// A tuple that would grant it: user, relation, object.
    pub(crate) remedy: Option<(String, String, String)>,
}

/// Draws an explanation of a check of `user`.
pub(crate) fn draw_way(model: &AuthorizationModel, user: &str, explained: &Explanation) -> Way {
    let mut drawing = Drawing { model, user, way: Way::default() };
    if let Some(proof) = &explained.because {
        drawing.chain(proof, 0, true);
    }
    for missing in explained.missing.iter().take(MAX_MISSING) {
        let gap = drawing.gap(missing);
        drawing.way.missing.push(gap);
    }
    let mut way = drawing.way;
    way.is_cut = explained.is_truncated
        || explained.missing.len() > MAX_MISSING
        || way.rows.len() >= MAX_ROWS;
    way.sentence = sentence(&explained.path);
    way
}

/// The tuples of the path in words, from the user to the object.
fn sentence(path: &[TupleKey]) -> String {
    let steps: Vec<String> = path.iter().rev().map(said).collect();
    match steps.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [before @ .., last] => format!("{}, and {last}", before.join(", ")),
    }
}

fn said(tuple: &TupleKey) -> String {
    match (tuple.user.split_once('#'), tuple.user.strip_suffix(":*")) {
        (Some((object, relation)), _) => {
            format!("each {relation} of {object} is {} of {}", tuple.relation, tuple.object)
        }
        (None, Some(kind)) => format!("every {kind} is {} of {}", tuple.relation, tuple.object),
        (None, None) => format!("{} is {} of {}", tuple.user, tuple.relation, tuple.object),
    }
}

/// A tuple as its three words.
pub(super) fn words(tuple: &TupleKey) -> String {
    format!("{} {} {}", tuple.user, tuple.relation, tuple.object)
}

struct Drawing<'a> {
    model: &'a AuthorizationModel,
    user: &'a str,
    way: Way,
}

impl Drawing<'_> {
    /// The rows from the user to the object of `proof`.
    fn chain(&mut self, proof: &Proof, indent: usize, is_end: bool) {
        let mut holds = vec![self.held(&proof.object, &proof.relation)];
        let mut at = proof;
        // What follows from each other at one object is one node.
        while let Reason::Computed { from } | Reason::Except { base: from } = &at.reason {
            at = from;
            if holds.last().is_none_or(|held| held.relation != at.relation) {
                holds.push(self.held(&at.object, &at.relation));
            }
        }
        holds.reverse();
        match &at.reason {
            Reason::Itself => {}
            Reason::Tuple { tuple } => {
                let user = self.user.to_owned();
                self.add(indent, RowKind::Node { name: user, holds: Vec::new(), is_end: false });
                let whom = if tuple.user == self.user { "" } else { tuple.user.as_str() };
                self.edge(indent, tuple, whom);
            }
            Reason::Userset { tuple, from } => {
                self.chain(from, indent, false);
                let whom = tuple.user.split_once('#').map_or("", |(_, relation)| relation);
                self.edge(indent, tuple, &format!("each {whom}"));
            }
            Reason::Parent { tuple, from } => {
                self.chain(from, indent, false);
                self.edge(indent, tuple, "");
            }
            Reason::All { of } => {
                for (index, branch) in of.iter().enumerate() {
                    self.add(indent, RowKind::Branch { number: index.saturating_add(1) });
                    self.chain(branch, indent.saturating_add(1), false);
                }
                self.add(indent, RowKind::All { count: of.len() });
            }
            Reason::Computed { .. } | Reason::Except { .. } => {}
        }
        self.add(indent, RowKind::Node { name: at.object.clone(), holds, is_end });
    }

    fn edge(&mut self, indent: usize, tuple: &TupleKey, whom: &str) {
        let mut notes = Vec::new();
        if !whom.is_empty() {
            notes.push(if whom.ends_with(":*") { "everybody".to_owned() } else { whom.to_owned() });
        }
        if let Some(condition) = &tuple.condition {
            notes.push(format!("while {}", condition.name));
        }
        if let Some(until) = tuple.validity.expires_at_micros {
            notes.push(format!("until {}", Timestamp::from_micros(until).to_rfc3339()));
        }
        let relation = tuple.relation.clone();
        self.add(indent, RowKind::Edge { relation, note: notes.join(", "), tuple: words(tuple) });
    }

    fn add(&mut self, indent: usize, kind: RowKind) {
        if self.way.rows.len() < MAX_ROWS {
            self.way.rows.push(Row { indent: indent.min(MAX_INDENT), kind });
        }
    }

    fn held(&mut self, object: &str, relation: &str) -> Held {
        Held { relation: relation.to_owned(), rule: self.rule(object, relation) }
    }

    fn rule(&mut self, object: &str, relation: &str) -> Vec<Token> {
        let (object_type, _) = object.split_once(':').unwrap_or_default();
        self.way.used.insert((object_type.to_owned(), relation.to_owned()));
        rule_of(self.model, object_type, relation)
            .map(|rule| colour_rule(&rule))
            .unwrap_or_default()
    }

    fn gap(&mut self, missing: &Missing) -> Gap {
        let Missing { object, relation, via, what } = missing;
        let time = |micros: Option<i64>| {
            micros.map(|micros| Timestamp::from_micros(micros).to_rfc3339()).unwrap_or_default()
        };
        let mut remedy = None;
        let words_of = match what {
            Lack::Tuple { user } => {
                remedy = Some((user.clone(), relation.clone(), object.clone()));
                format!("No tuple makes {user} {relation} of {object}.")
            }
            Lack::Parent { tupleset } => format!("{object} has no {tupleset}."),
            Lack::Condition { tuple, error: None } => format!(
                "“{}” is there, but its condition {} is not met.",
                words(tuple),
                condition(tuple)
            ),
            Lack::Condition { tuple, error: Some(error) } => format!(
                "“{}” is there, but its condition {} could not be evaluated: {error}.",
                words(tuple),
                condition(tuple)
            ),
            Lack::NotYet { tuple } => format!(
                "“{}” holds only from {} on.",
                words(tuple),
                time(tuple.validity.not_before_micros)
            ),
            Lack::Expired { tuple } => {
                format!("“{}” ended {}.", words(tuple), time(tuple.validity.expires_at_micros))
            }
            Lack::Excluded { by } => {
                let by = subtracted(by, (object.as_str(), relation.as_str()));
                format!(
                    "{} is {} of {}, which takes {relation} away.",
                    self.user, by.relation, by.object
                )
            }
            Lack::Cycle => {
                format!("{relation} of {object} leads back to itself through “but not”.")
            }
        };
        Gap {
            words: words_of,
            relation: relation.clone(),
            rule: self.rule(object, relation),
            via: via.iter().map(words).collect(),
            remedy,
        }
    }
}

/// What is subtracted, where the engine proves it as a part of the relation that it is taken from.
fn subtracted<'p>(by: &'p Proof, (object, relation): (&str, &str)) -> &'p Proof {
    match &by.reason {
        Reason::Computed { from } | Reason::Parent { from, .. } | Reason::Userset { from, .. }
            if by.object == object && by.relation == relation =>
        {
            from
        }
        _ => by,
    }
}

fn condition(tuple: &TupleKey) -> &str {
    tuple.condition.as_ref().map_or("", |condition| condition.name.as_str())
}
