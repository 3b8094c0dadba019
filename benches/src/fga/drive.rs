//! The `drive` dataset: people in nested groups of very different sizes, folders eight to a folder,
//! documents in them; every id a UUID.
//!
//! Every tuple is a function of its number, so the set needs no memory, a seed names it, and the
//! naive answer is worked out from the same functions, without the engine.

use std::collections::BTreeSet;

use behalf_fga::{TupleCondition, TupleKey};
use serde_json::{Map, Value};

pub(crate) const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, group#member]
type folder
  relations
    define parent: [folder]
    define viewer: [user, group#member] or viewer from parent
type doc
  relations
    define parent: [folder]
    define viewer: [user, user with until, group#member] or viewer from parent
condition until(now: timestamp, until: timestamp) {
  now < until
}
";

/// The time of the requests.
pub(crate) const NOW: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2030-01-01T00:00:00Z";
const BEFORE: &str = "2020-01-01T00:00:00Z";

/// The upper folders are open to nobody, or everybody would see everything.
const CLOSED_FOLDERS: u64 = 73;

/// The sizes of a set of about so many tuples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drive {
    seed: u64,
    pub(crate) users: u64,
    pub(crate) groups: u64,
    pub(crate) folders: u64,
    pub(crate) docs: u64,
}

/// A document's own viewer, and whether the tuple's condition is met now, if it has one.
#[derive(Clone, Copy, Debug)]
struct Direct {
    user: u64,
    is_met: Option<bool>,
}

impl Drive {
    pub(crate) fn new(seed: u64, tuples: u64) -> Self {
        Self {
            seed,
            users: tuples / 10,
            groups: tuples / 100,
            folders: tuples / 20,
            docs: tuples * 2 / 5,
        }
    }

    /// Spreads numbers (`SplitMix64`): the same seed, the same set.
    pub(crate) fn mix(&self, stream: u64, n: u64) -> u64 {
        let salted = self.seed ^ stream.wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let mut z = n.wrapping_add(salted).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// `kind:uuid`
    pub(crate) fn id(&self, kind: &str, n: u64) -> String {
        let (high, low) = (self.mix(1, n ^ (kind.len() as u64) << 56), self.mix(2, n));
        format!(
            "{kind}:{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// A group, small numbers far more often: sizes follow Zipf's law.
    fn popular_group(&self, stream: u64, n: u64) -> u64 {
        let unit = (self.mix(stream, n) >> 11) as f64 / (1_u64 << 53) as f64;
        let group = (self.groups as f64).powf(unit);
        (group as u64).min(self.groups) - 1
    }

    /// The groups a user is in by a tuple.
    pub(crate) fn groups_of(&self, user: u64) -> BTreeSet<u64> {
        let count = match self.mix(3, user) % 10 {
            0..=2 => 3,
            3..=5 => 2,
            _ => 1,
        };
        (0..count).map(|k| self.popular_group(4, user * 4 + k)).collect()
    }

    /// The group that a group's members are in too.
    fn wider(&self, group: u64) -> Option<u64> {
        (group > 0 && !self.mix(5, group).is_multiple_of(5)).then(|| self.mix(6, group) % group)
    }

    fn folder_above(folder: u64) -> Option<u64> {
        (folder > 0).then(|| (folder - 1) / 8)
    }

    pub(crate) fn folder_of(&self, doc: u64) -> u64 {
        doc % self.folders
    }

    fn folder_group(&self, folder: u64) -> Option<u64> {
        let is_open = folder >= CLOSED_FOLDERS && self.mix(7, folder).is_multiple_of(2);
        is_open.then(|| self.mix(8, folder) % self.groups)
    }

    fn folder_user(&self, folder: u64) -> Option<u64> {
        let is_open = folder >= CLOSED_FOLDERS && self.mix(7, folder) % 2 == 1;
        is_open.then(|| self.mix(9, folder) % self.users)
    }

    fn direct(&self, doc: u64) -> Option<Direct> {
        let dice = self.mix(10, doc);
        let user = self.mix(11, doc) % self.users;
        let is_met = (dice >> 8 & 3 == 0).then_some(dice >> 16 & 1 == 0);
        (dice & 1 == 0).then_some(Direct { user, is_met })
    }

    fn doc_group(&self, doc: u64) -> Option<u64> {
        self.mix(12, doc).is_multiple_of(4).then(|| self.mix(13, doc) % self.groups)
    }

    /// Every tuple, once.
    pub(crate) fn tuples(self) -> impl Iterator<Item = TupleKey> {
        let members = (0..self.users).flat_map(move |user| {
            self.groups_of(user)
                .into_iter()
                .map(move |group| (self.id("user", user), "member", self.id("group", group)))
        });
        let nested = (0..self.groups).filter_map(move |group| {
            let wider = self.wider(group)?;
            Some((self.members(group), "member", self.id("group", wider)))
        });
        let folders = (0..self.folders).flat_map(move |folder| {
            let object = self.id("folder", folder);
            let above =
                Self::folder_above(folder).map(|above| (self.id("folder", above), "parent"));
            let group = self.folder_group(folder).map(|group| (self.members(group), "viewer"));
            let user = self.folder_user(folder).map(|user| (self.id("user", user), "viewer"));
            let all = [above, group, user].into_iter().flatten();
            all.map(move |(user, relation)| (user, relation, object.clone()))
        });
        let docs = (0..self.docs).flat_map(move |doc| {
            let object = self.id("doc", doc);
            let parent = (self.id("folder", self.folder_of(doc)), "parent");
            let group = self.doc_group(doc).map(|group| (self.members(group), "viewer"));
            let plain = self.direct(doc).filter(|direct| direct.is_met.is_none());
            let plain = plain.map(|direct| (self.id("user", direct.user), "viewer"));
            let all = [Some(parent), group, plain].into_iter().flatten();
            all.map(move |(user, relation)| (user, relation, object.clone()))
        });
        let guarded = (0..self.docs).filter_map(move |doc| {
            let direct = self.direct(doc)?;
            let until = if direct.is_met? { LATER } else { BEFORE };
            let key = TupleKey::new(self.id("user", direct.user), "viewer", self.id("doc", doc));
            let context = Map::from_iter([("until".to_owned(), Value::from(until))]);
            let condition = TupleCondition { name: "until".to_owned(), context };
            Some(TupleKey { condition: Some(condition), ..key })
        });
        let plain = members.chain(nested).chain(folders).chain(docs);
        plain.map(|(user, relation, object)| TupleKey::new(user, relation, object)).chain(guarded)
    }

    fn members(&self, group: u64) -> String {
        self.id("group", group) + "#member"
    }

    /// Every group a user is in.
    fn all_groups_of(&self, user: u64) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for group in self.groups_of(user) {
            let mut at = Some(group);
            while let Some(group) = at.filter(|group| found.insert(*group)) {
                at = self.wider(group);
            }
        }
        found
    }

    /// The answer to a check, worked out naively.
    pub(crate) fn can_view(&self, user: u64, doc: u64) -> bool {
        let groups = self.all_groups_of(user);
        let is_in = |group: Option<u64>| group.is_some_and(|group| groups.contains(&group));
        let direct = self.direct(doc).filter(|direct| direct.is_met != Some(false));
        if direct.is_some_and(|direct| direct.user == user) || is_in(self.doc_group(doc)) {
            return true;
        }
        let mut at = Some(self.folder_of(doc));
        while let Some(folder) = at {
            if is_in(self.folder_group(folder)) || self.folder_user(folder) == Some(user) {
                return true;
            }
            at = Self::folder_above(folder);
        }
        false
    }

    /// A question, of which 4 in 10 are of a random user, 4 in 10 of somebody who sees the folder
    /// or one above it through a group, and 2 in 10 of the document's own viewer.
    pub(crate) fn question(&self, n: u64, by_group: &[Vec<u32>]) -> (u64, u64) {
        let dice = self.mix(20, n);
        let random = (self.mix(21, n) % self.users, self.mix(22, n) % self.docs);
        match dice % 10 {
            0..=3 => random,
            4..=7 => self.inherited(n, by_group).unwrap_or(random),
            _ => match self.direct(random.1) {
                Some(direct) => (direct.user, random.1),
                None => random,
            },
        }
    }

    fn inherited(&self, n: u64, by_group: &[Vec<u32>]) -> Option<(u64, u64)> {
        let user = self.mix(23, n) % self.users;
        let pick = |of: &[u64], stream| {
            of.get((self.mix(stream, n) % of.len().max(1) as u64) as usize).copied()
        };
        let groups: Vec<u64> = self.all_groups_of(user).into_iter().collect();
        let folders: Vec<u64> = by_group
            .get(pick(&groups, 24)? as usize)?
            .iter()
            .map(|folder| u64::from(*folder))
            .collect();
        let mut folder = pick(&folders, 25)?;
        for level in 0..self.mix(26, n) % 3 {
            let below = folder * 8 + 1 + self.mix(27 + level, n) % 8;
            if below < self.folders {
                folder = below;
            }
        }
        let copies = self.docs / self.folders;
        Some((user, folder + self.folders * (self.mix(30, n) % copies)))
    }

    /// The folders that each group may see by a tuple.
    pub(crate) fn folders_by_group(&self) -> Vec<Vec<u32>> {
        let mut found = vec![Vec::new(); usize::try_from(self.groups).unwrap_or_default()];
        for folder in 0..self.folders {
            if let Some(group) = self.folder_group(folder)
                && let Some(folders) = found.get_mut(group as usize)
            {
                folders.push(folder as u32);
            }
        }
        found
    }
}
