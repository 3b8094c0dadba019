//! How large a case is, and what it is about: types, relations, objects, and who is asked about.

use super::oracle::Restriction;
use crate::dice::Dice;

/// The types with relations; `user` and `agent` have none.
pub(super) const TYPES: [&str; 3] = ["group", "folder", "doc"];
pub(super) const RELATIONS: [&str; 4] = ["member", "viewer", "editor", "blocked"];
pub(super) const PARENT: &str = "parent";
pub(super) const IDS: [&str; 3] = ["1", "2", "3"];

/// Most defects show in small cases, of which there can be many; some need more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size {
    /// One or two types of one or two relations, one or two objects of each.
    Small,
    /// Two types or three.
    Middle,
    /// Three types of five relations, three objects of each.
    Large,
}

impl Size {
    pub(super) const ALL: [Self; 3] = [Self::Small, Self::Middle, Self::Large];

    /// How many of a thousand cases are of each size: of the seeds below, which are those of `.ci/run`
    /// and `cargo test`, and of those from there on, which are the millions of `cargo xtask soak`.
    const OF_A_THOUSAND: [(u64, [usize; 3]); 2] =
        [(1_000_000, [500, 250, 250]), (u64::MAX, [950, 45, 5])];

    fn of(seed: u64, dice: &mut Dice) -> Self {
        let weights = Self::OF_A_THOUSAND.iter().find(|(below, _)| seed < *below);
        let mut drawn = dice.below(1_000);
        for (size, weight) in Self::ALL.into_iter().zip(weights.map_or([0; 3], |(_, of)| *of)) {
            match drawn.checked_sub(weight) {
                Some(left) => drawn = left,
                None => return size,
            }
        }
        Self::Large
    }
}

/// The users of a kind, whom lists are compared on.
pub(super) struct Filter {
    pub(super) type_name: &'static str,
    pub(super) relation: Option<&'static str>,
    pub(super) users: Vec<String>,
}

/// What a case is about.
pub(super) struct Scope {
    pub(super) size: Size,
    pub(super) types: Vec<&'static str>,
    /// Those with rewrites.
    pub(super) relations: Vec<&'static str>,
    pub(super) has_parents: bool,
    pub(super) ids: Vec<&'static str>,
    /// The objects of each type.
    pub(super) objects: Vec<(&'static str, Vec<String>)>,
    /// Who is asked about.
    pub(super) subjects: Vec<String>,
    /// Of the same kinds as they.
    pub(super) filters: Vec<Filter>,
    /// Every kind of user that tuples have, with and without the condition.
    pub(super) kinds: Vec<Restriction>,
}

impl Scope {
    /// The scope of the case with that seed, whose dice are not thrown yet.
    pub(super) fn drawn(seed: u64, dice: &mut Dice) -> Self {
        let size = Size::of(seed, dice);
        let (types, relations, ids) = match size {
            Size::Small => (1 + dice.below(2), 1 + dice.below(2), 1 + dice.below(2)),
            Size::Middle => (2 + dice.below(2), 2 + dice.below(2), 2),
            Size::Large => return Self::large(),
        };
        let is_either = |dice: &mut Dice| dice.below(2) == 0;
        let types: Vec<_> = TYPES.into_iter().take(types).collect();
        let relations: Vec<_> = RELATIONS.into_iter().take(relations).collect();
        let ids: Vec<_> = IDS.into_iter().take(ids).collect();
        let object_type = types[dice.below(types.len())];
        let of_userset = (types[dice.below(types.len())], relations[dice.below(relations.len())]);
        let id = ids[dice.below(ids.len())];
        // Who is asked about: users, and at times objects, usersets and agents.
        let mut filters = vec![("user", None)];
        let mut subjects: Vec<String> = ["user:1", "user:*"].map(String::from).into();
        if size == Size::Middle || is_either(dice) {
            filters.push((of_userset.0, Some(of_userset.1)));
            subjects.push(format!("{}:{id}#{}", of_userset.0, of_userset.1));
        }
        if dice.below(4) == 0 {
            filters.push((object_type, None));
            subjects.push(format!("{object_type}:{id}"));
        }
        if dice.below(4) == 0 {
            filters.push(("agent", None));
            subjects.push("agent:1".to_owned());
        }
        if is_either(dice) {
            subjects.push(["user:none", "user:2"][ids.len() - 1].to_owned());
        }
        let has_parents = size == Size::Middle || is_either(dice);
        Self::of(size, (types, relations, ids), has_parents, (subjects, filters))
    }

    pub(super) fn large() -> Self {
        let subjects = [
            "user:1",
            "user:2",
            "user:none",
            "user:*",
            "agent:1",
            "group:1",
            "group:2#member",
            "folder:1#viewer",
            "doc:3#blocked",
        ];
        let filters = vec![
            ("user", None),
            ("agent", None),
            ("group", None),
            ("group", Some("member")),
            ("folder", Some("viewer")),
            ("doc", Some("blocked")),
        ];
        let names = (TYPES.into(), RELATIONS.into(), IDS.into());
        Self::of(Size::Large, names, true, (subjects.map(String::from).into(), filters))
    }

    fn of(
        size: Size,
        (types, relations, ids): (Vec<&'static str>, Vec<&'static str>, Vec<&'static str>),
        has_parents: bool,
        (subjects, filters): (Vec<String>, Vec<(&'static str, Option<&'static str>)>),
    ) -> Self {
        let objects_of = |name: &str| ids.iter().map(|id| format!("{name}:{id}")).collect();
        let objects = types.iter().map(|name| (*name, objects_of(name))).collect();
        let has_agents = filters.iter().any(|(name, _)| *name == "agent");
        let kinds = Self::kinds(has_agents, &types, &relations);
        let filter = |(type_name, relation)| {
            let users = ids.iter().map(|id| match relation {
                Some(relation) => format!("{type_name}:{id}#{relation}"),
                None => format!("{type_name}:{id}"),
            });
            Filter { type_name, relation, users: users.collect() }
        };
        let filters = filters.into_iter().map(filter).collect();
        Self { size, objects, filters, subjects, kinds, types, relations, has_parents, ids }
    }

    fn kinds(has_agents: bool, types: &[&str], relations: &[&str]) -> Vec<Restriction> {
        let mut kinds: Vec<String> = ["user", "user:*"].map(String::from).into();
        if has_agents {
            kinds.extend(["agent", "agent:*"].map(String::from));
        }
        for name in types {
            kinds.extend([(*name).to_owned(), format!("{name}:*")]);
            kinds.extend(relations.iter().map(|relation| format!("{name}#{relation}")));
        }
        let both = |user: String| {
            [false, true].map(|is_conditioned| Restriction { user: user.clone(), is_conditioned })
        };
        kinds.into_iter().flat_map(both).collect()
    }

    /// The relations of each type: those with rewrites, and parents if there are any.
    pub(super) fn every_relation(&self) -> impl Iterator<Item = &'static str> + Clone + use<'_> {
        self.relations.iter().copied().chain(self.has_parents.then_some(PARENT))
    }

    /// More than there are at most of tuples that fit another model only, how many of this model are
    /// thrown, and more than are sent along.
    pub(super) const fn most_tuples(&self) -> [usize; 3] {
        match self.size {
            Size::Small => [4, 8, 4],
            Size::Middle => [8, 12, 5],
            Size::Large => [20, 25, 6],
        }
    }

    /// What costs more than all the rest is asked of one question in `n` of a large case, and of one
    /// in so many of this.
    pub(super) const fn one_in(&self, n: usize) -> usize {
        match self.size {
            Size::Small => 3 * n,
            Size::Middle => 2 * n,
            Size::Large => n,
        }
    }
}
