//! A model, random tuples of it, and the definition of what they mean, without any cleverness: what
//! a long history is compared with.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use behalf_fga::{Change, Snapshot};

use crate::dice::Dice;

pub(crate) const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, user:*, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define blocked: [user, group#member]
    define viewer: [user, group#member] or viewer from parent
    define can_read: viewer but not blocked
";

/// Object, relation and user.
pub(crate) type Key = (String, String, String);

impl Dice {
    pub(crate) fn name(&mut self, kind: &str) -> String {
        let bound = match kind {
            "user" => 2_000,
            "group" => 300,
            "folder" => 1_000,
            _ => 20_000,
        };
        format!("{kind}:{}", self.below(bound))
    }

    pub(crate) fn key(&mut self) -> Key {
        let (object, relation) = match self.below(10) {
            0 | 1 => (self.name("group"), "member"),
            2 => (self.name("folder"), "parent"),
            3 => (self.name("folder"), "viewer"),
            4 | 5 => (self.name("doc"), "parent"),
            6 => (self.name("doc"), "blocked"),
            _ => (self.name("doc"), "viewer"),
        };
        let user = match (relation, self.below(4)) {
            ("parent", _) => self.name("folder"),
            // Groups have earlier groups as members. A circle of them would deny what it is an
            // exclusion from, and the definition below knows nothing of circles.
            ("member", 0) => match object.trim_start_matches("group:").parse().unwrap() {
                0 => self.name("user"),
                number => format!("group:{}#member", self.below(number)),
            },
            (_, 0) => self.name("group") + "#member",
            ("viewer", 1) if object.starts_with("folder") && self.below(200) == 0 => {
                "user:*".to_owned()
            }
            _ => self.name("user"),
        };
        (object, relation.to_owned(), user)
    }
}

/// A question that many stores say yes to now and then.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) user: String,
    pub(crate) relation: &'static str,
    pub(crate) object: String,
}

impl Question {
    pub(crate) fn random(dice: &mut Dice) -> Self {
        let (user, object) = (dice.name("user"), dice.name("doc"));
        let relation = ["viewer", "blocked", "can_read"][dice.below(3)];
        Self { user, relation, object }
    }
}

/// What a store holds: users by object and relation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plain(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

impl Plain {
    /// Takes a change in; false if it was in effect already.
    pub(crate) fn apply(&mut self, change: &Change) -> bool {
        let (object, relation, user) = match change {
            Change::Write(tuple) => (&tuple.object, &tuple.relation, &tuple.user),
            Change::Delete(key) => (&key.object, &key.relation, &key.user),
        };
        let relations = self.0.entry(object.clone()).or_default();
        let users = relations.entry(relation.clone()).or_default();
        match change {
            Change::Write(_) => users.insert(user.clone()),
            Change::Delete(_) => users.remove(user),
        }
    }

    /// Compares every tuple of a version with what was written.
    pub(crate) fn check_tuples(&self, snapshot: &Snapshot) {
        let held: BTreeSet<Key> =
            snapshot.tuples().map(|tuple| (tuple.object, tuple.relation, tuple.user)).collect();
        let written = self.0.iter().flat_map(|(object, relations)| {
            relations.iter().flat_map(move |(relation, users)| {
                users.iter().map(move |user| (object.clone(), relation.clone(), user.clone()))
            })
        });
        assert!(held == written.collect(), "the store is not what was written");
    }

    /// Compares a list of the documents that the user can read with the definition, on a sample of
    /// those listed and of all.
    pub(crate) fn check_list(&self, user: &str, listed: &[String], dice: &mut Dice) {
        let listed: BTreeSet<&str> = listed.iter().map(String::as_str).collect();
        let some = listed.iter().step_by(1 + listed.len() / 100).map(|object| (*object).to_owned());
        let any: Vec<String> = (0..200).map(|_| dice.name("doc")).collect();
        for object in some.chain(any) {
            let is_listed = listed.contains(object.as_str());
            let question = Question { user: user.to_owned(), relation: "can_read", object };
            assert_eq!(is_listed, self.answer(&question), "a list against {question:?}");
        }
    }

    pub(crate) fn answer(&self, Question { user, relation, object }: &Question) -> bool {
        let has = |relation| self.has(user, relation, object, &mut HashSet::new());
        match *relation {
            "can_read" => has("viewer") && !has("blocked"),
            relation => has(relation),
        }
    }

    fn has<'a>(
        &'a self,
        user: &str,
        relation: &'a str,
        object: &'a str,
        seen: &mut HashSet<(&'a str, &'a str)>,
    ) -> bool {
        if !seen.insert((object, relation)) {
            return false;
        }
        let users = |relation: &str| {
            self.0.get(object).and_then(|of| of.get(relation)).into_iter().flatten()
        };
        users(relation).any(|named| match named.split_once('#') {
            Some((group, member)) => self.has(user, member, group, seen),
            None => named == user || named == "user:*",
        }) || relation == "viewer"
            && users("parent").any(|parent| self.has(user, "viewer", parent, seen))
    }
}
