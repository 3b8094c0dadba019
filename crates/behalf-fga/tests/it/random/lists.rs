//! List users and expand, against Check and the tuples.

use std::collections::BTreeSet;

use behalf_fga::{
    CheckRequest, Leaf, ListUsersRequest, Listing, PageRequest, RequestContext, RequestError,
    Snapshot, TreeNode, TreeValue, User, UserFilter,
};

use super::oracle::{Oracle, Rewrite};
use super::scope::Filter;
use super::{Case, Tally};

/// A list, asked for in pages of two.
pub(super) fn pages<T: Clone>(ask: impl Fn(&PageRequest<'_>) -> Listing<T>) -> Vec<T> {
    let mut items = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = ask(&PageRequest { after: after.as_deref(), max_results: Some(2) });
        items.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => {
                assert!(page.is_complete);
                return items;
            }
        }
    }
}

impl Case {
    /// For every object and relation: the users listed are those a check allows.
    pub(super) fn users(
        &self,
        snapshot: &Snapshot,
        request: RequestContext<'_>,
        tally: &mut Tally,
    ) {
        let objects = self.scope.objects.iter().flat_map(|(_, objects)| objects);
        for object in objects {
            for relation in self.scope.every_relation() {
                for Filter { type_name, relation: of, users } in &self.scope.filters {
                    let filter = UserFilter { type_name, relation: *of };
                    let list = ListUsersRequest { object, relation, filter, request };
                    self.users_of(snapshot, &list, users, tally);
                }
            }
        }
    }

    fn users_of(
        &self,
        snapshot: &Snapshot,
        list: &ListUsersRequest<'_>,
        users: &[String],
        tally: &mut Tally,
    ) {
        let ListUsersRequest { object, relation, filter, request } = *list;
        let question = format_args!("list users {filter:?} {relation} {object}");
        let check = |user: &str| {
            snapshot.check(&self.bound, &CheckRequest { user, relation, object, request })
        };
        let answers: Result<Vec<bool>, _> = users.iter().map(|user| check(user)).collect();
        let all = PageRequest::default();
        let listed = match (snapshot.list_users(&self.bound, list, &all), &answers) {
            (Err(RequestError::BudgetExceeded(_)), _)
            | (_, Err(RequestError::BudgetExceeded(_))) => return,
            // A condition on the way is an error for everybody, as in OpenFGA.
            (Err(error), _) if self.may_fail_with(&error) => return,
            (Ok(listed), Ok(_)) => listed,
            (listed, answers) => {
                panic!("{listed:?}, {answers:?}: {}", self.describe(question));
            }
        };
        if self.is_sampled(tally.user_lists, self.scope.one_in(1)) {
            let ask =
                |page: &PageRequest<'_>| snapshot.list_users(&self.bound, list, page).unwrap();
            assert_eq!(pages(ask), listed.items, "{}", self.describe(question));
        }
        let texts: BTreeSet<String> = listed.items.iter().map(User::to_string).collect();
        assert_eq!(texts.len(), listed.items.len(), "{}", self.describe(question));
        let everybody = format!("{}:*", filter.type_name);
        // Those of `users` are compared below.
        for user in texts.iter().filter(|user| !users.contains(user) && **user != everybody) {
            assert_eq!(check(user), Ok(true), "{user}: {}", self.describe(question));
        }
        let is_wild = filter.relation.is_none() && texts.contains(&everybody);
        if filter.relation.is_none() {
            assert_eq!(check(&everybody), Ok(is_wild), "{}", self.describe(question));
        }
        // Nobody is excluded from a list without everybody.
        let excluded = match is_wild || self.is_sampled(tally.user_lists, self.scope.one_in(1)) {
            true => snapshot.list_excluded_users(&self.bound, list).unwrap(),
            false => Vec::new(),
        };
        let excluded: BTreeSet<String> = excluded.iter().map(User::to_string).collect();
        for (user, is_allowed) in users.iter().zip(answers.unwrap()) {
            let (is_listed, is_excluded) = (texts.contains(user), excluded.contains(user));
            assert!(
                !(is_excluded && (is_listed || !is_wild)),
                "{user}: {}",
                self.describe(question)
            );
            let expected = is_listed || (is_wild && !is_excluded);
            assert_eq!(is_allowed, expected, "{user}: {}", self.describe(question));
        }
        tally.user_lists += 1;
    }

    /// Expand shows the model's rewrite, and the tuples that the model admits.
    pub(super) fn trees(&self, snapshot: &Snapshot, request: RequestContext<'_>) {
        let oracle = &self.oracle;
        for ((name, relation), (rewrite, _)) in &self.model.0 {
            for id in &self.scope.ids {
                let object = format!("{name}:{id}");
                let tree = snapshot.expand(&self.bound, &object, relation, &request).unwrap();
                let place = (object.as_str(), relation.as_str());
                let is_same = is_tree_of(oracle, &tree.root, rewrite, place);
                assert!(
                    is_same,
                    "{tree:?}: {}",
                    self.describe(format_args!("{object}#{relation}"))
                );
            }
        }
    }
}

fn is_tree_of(
    oracle: &Oracle,
    tree: &TreeNode,
    rewrite: &Rewrite,
    (object, relation): (&str, &str),
) -> bool {
    let place = (object, relation);
    let all = |nodes: &[TreeNode], operands: &[Rewrite]| {
        nodes.len() == operands.len()
            && nodes.iter().zip(operands).all(|(n, o)| is_tree_of(oracle, n, o, place))
    };
    let is_value = match (&tree.value, rewrite) {
        (TreeValue::Union { nodes }, Rewrite::Or(operands))
        | (TreeValue::Intersection { nodes }, Rewrite::And(operands)) => all(nodes, operands),
        (TreeValue::Difference { base, subtract }, Rewrite::ButNot(left, right)) => {
            is_tree_of(oracle, base, left, place) && is_tree_of(oracle, subtract, right, place)
        }
        (TreeValue::Leaf(Leaf::Users { users }), Rewrite::This) => is_set_of(
            users,
            oracle.tuples(object, relation, None).map(|held| held.tuple.user.clone()),
        ),
        (TreeValue::Leaf(Leaf::Computed(computed)), Rewrite::Computed(other)) => {
            computed.userset == format!("{object}#{other}")
        }
        (
            TreeValue::Leaf(Leaf::TupleToUserset { tupleset, computed }),
            Rewrite::From(other, of),
        ) => {
            let parents = oracle.tuples(object, of, None);
            let parents = parents.map(|held| format!("{}#{other}", held.tuple.user));
            let computed: Vec<_> = computed.iter().map(|leaf| leaf.userset.clone()).collect();
            *tupleset == format!("{object}#{of}") && is_set_of(&computed, parents)
        }
        _ => false,
    };
    is_value && tree.name == format!("{object}#{relation}")
}

fn is_set_of(found: &[String], expected: impl Iterator<Item = String>) -> bool {
    let set: BTreeSet<&String> = found.iter().collect();
    let expected: BTreeSet<String> = expected.collect();
    set.len() == found.len() && set == expected.iter().collect()
}
