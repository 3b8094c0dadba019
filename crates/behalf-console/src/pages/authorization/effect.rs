//! What a change would give and take, for the pages that say so before it is made.

use behalf_authz::engine::TupleKey;
use behalf_authz::{Assertion, ModelPreview, RelationChange, TuplePreview};

use super::colour::RelationName;
use super::question::Question;
use super::tests::Outcome;
use super::way::words;

/// Tuples that do not fit that are shown.
const SHOWN: usize = 5;

/// What a change would do.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    pub(super) changes: Vec<Access>,
    /// Stored tuples that would no longer fit the model.
    pub(super) unfit: usize,
    pub(super) unfit_examples: Vec<(String, String)>,
    /// Tests that would not pass: the question, what is expected, and what would come.
    pub(super) failing: Vec<(Question, bool, String)>,
    pub(super) tests: usize,
    pub(super) unclear: usize,
    pub(super) first_unclear: String,
    /// What was compared, in words.
    pub(super) scope: String,
    /// False if a bound was reached.
    pub(super) is_complete: bool,
}

/// Who gains and loses one relation.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(super) name: RelationName,
    pub(super) note: &'static str,
    pub(super) gained: usize,
    pub(super) lost: usize,
    pub(super) gained_examples: Vec<(String, String)>,
    pub(super) lost_examples: Vec<(String, String)>,
}

type Tests = Vec<(Assertion, Result<bool, String>)>;

impl Effect {
    fn of_tests(tests: Tests) -> Self {
        let count = tests.len();
        let failing = tests.into_iter().filter_map(|(test, answer)| {
            let said = match &answer {
                Ok(true) => "allowed".to_owned(),
                Ok(false) => "denied".to_owned(),
                Err(error) => error.clone(),
            };
            let is_passed = Outcome::of(test.expectation, answer) == Outcome::Passed;
            (!is_passed).then(|| (Question::from(&test), test.expectation, said))
        });
        Self { failing: failing.collect(), tests: count, ..Self::default() }
    }

    /// True if nobody gains or loses anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.changes.iter().all(|change| change.gained == 0 && change.lost == 0)
    }

    /// True if everything was compared.
    pub(super) const fn is_sure(&self) -> bool {
        self.is_complete && self.unclear == 0
    }

    pub(super) fn gained(&self) -> usize {
        self.changes.iter().map(|change| change.gained).sum()
    }

    pub(super) fn lost(&self) -> usize {
        self.changes.iter().map(|change| change.lost).sum()
    }
}

impl From<ModelPreview> for Effect {
    fn from(preview: ModelPreview) -> Self {
        let example = |(tuple, reason): (TupleKey, String)| (words(&tuple), reason);
        let ModelPreview { compared_users, users, revision, .. } = preview;
        Self {
            changes: preview.changes.into_iter().map(Access::from).collect(),
            unfit: preview.unfit,
            unfit_examples: preview.unfit_examples.into_iter().take(SHOWN).map(example).collect(),
            unclear: preview.unclear,
            first_unclear: preview.first_unclear.unwrap_or_default(),
            scope: format!(
                "Compared for {compared_users} of {users} users that tuples name, at revision {revision}."
            ),
            is_complete: preview.is_complete,
            ..Self::of_tests(preview.tests)
        }
    }
}

impl From<TuplePreview> for Effect {
    fn from(preview: TuplePreview) -> Self {
        let (count, revision) = (preview.compared, preview.revision);
        let what = if count == 1 { "relation of an object" } else { "relations of objects" };
        Self {
            changes: preview.changes.into_iter().map(Access::from).collect(),
            unclear: preview.unclear,
            first_unclear: preview.first_unclear.unwrap_or_default(),
            scope: format!(
                "Compared {count} {what} that depend on it, now, at revision {revision}."
            ),
            is_complete: preview.is_complete,
            ..Self::of_tests(preview.tests)
        }
    }
}

impl From<RelationChange> for Access {
    fn from(change: RelationChange) -> Self {
        Self {
            note: match (change.is_new, change.is_removed) {
                (true, _) => "new",
                (_, true) => "removed",
                _ => "",
            },
            name: (change.object_type, change.relation),
            gained: change.gained,
            lost: change.lost,
            gained_examples: change.gained_examples,
            lost_examples: change.lost_examples,
        }
    }
}

/// An effect for samples.
pub(super) fn sample() -> Effect {
    let pair = |user: &str| (user.to_owned(), "doc:plan".to_owned());
    let access = Access {
        name: ("doc".to_owned(), "can_view".to_owned()),
        note: "",
        gained: 1,
        lost: 2,
        gained_examples: vec![pair("user:ann")],
        lost_examples: vec![pair("user:ben"), pair("user:<i>hi")],
    };
    Effect {
        changes: vec![access],
        unfit: 1,
        unfit_examples: vec![("user:x viewer doc:1".to_owned(), "type not admitted".to_owned())],
        failing: vec![(super::samples::question(), true, "denied".to_owned())],
        tests: 3,
        unclear: 1,
        first_unclear: "the condition needs `hour`".to_owned(),
        scope: "Compared for 10 of 12 users that tuples name, at revision 12.".to_owned(),
        is_complete: false,
    }
}
