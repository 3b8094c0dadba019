//! What a text says: its errors with their places, or what it would change if it were saved.

use std::collections::BTreeSet;
use std::time::Duration;

use behalf_authz::engine::{AuthorizationModel, DslError, InvalidModel, TupleKey};
use behalf_authz::{Authz, AuthzError, ModelPreview, RelationChange};

use super::super::colour::{RelationName, colour};
use super::super::question::{Question, read_context};
use super::super::tests::Outcome;
use super::super::way::words;

/// The longest text, in bytes, and the most types, as the API has them.
const MAX_TEXT: usize = 256 * 1024;
const MAX_TYPES: usize = 100;
/// Errors that are shown.
const MAX_TROUBLES: usize = 50;
/// How long a preview may compare: after the button, and while somebody types.
const PATIENCE: Duration = Duration::from_secs(3);
const LIVE_PATIENCE: Duration = Duration::from_millis(400);

/// What came of a check.
#[derive(Clone, Debug, Default)]
pub(crate) struct Checked {
    /// What is wrong; then there is no effect.
    pub(super) troubles: Vec<Trouble>,
    pub(super) effect: Option<Effect>,
}

/// An error in the text.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    /// The line, from zero, if it has a place.
    pub(super) line: Option<usize>,
    /// The first column from one, and how many characters are wrong.
    pub(super) column: usize,
    pub(super) length: usize,
    pub(super) message: String,
    pub(super) hint: String,
    /// The line's text before, at and after the place.
    pub(super) excerpt: [String; 3],
}

/// What a text would change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    pub(super) changes: Vec<Access>,
    pub(super) unfit: usize,
    pub(super) unfit_examples: Vec<(String, String)>,
    /// Tests that would not pass: the question, what is expected, and what would come.
    pub(super) failing: Vec<(Question, bool, String)>,
    pub(super) tests: usize,
    pub(super) unclear: usize,
    pub(super) first_unclear: String,
    pub(super) users: usize,
    pub(super) compared: usize,
    pub(super) is_complete: bool,
    pub(super) revision: u64,
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

/// Checks a text and compares what it would change.
pub(super) async fn check(
    authz: &Authz,
    store_id: &str,
    text: &str,
    context: &str,
    is_live: bool,
) -> Result<(Checked, Option<AuthorizationModel>), AuthzError> {
    let (mut checked, model) = quick_check(text);
    let Some(model) = model else { return Ok((checked, None)) };
    let context = match read_context(context) {
        Ok(context) => context,
        Err(problem) => {
            checked.troubles.push(Trouble::placeless(problem));
            return Ok((checked, None));
        }
    };
    let patience = if is_live { LIVE_PATIENCE } else { PATIENCE };
    match authz.preview_model(store_id, model.clone(), context, patience).await {
        Ok(preview) => {
            checked.effect = Some(Effect::new(preview));
            Ok((checked, Some(model)))
        }
        Err(AuthzError::Model(error)) => {
            checked.troubles.push(Trouble::of_model(&error, text));
            Ok((checked, None))
        }
        Err(error) => Err(error),
    }
}

/// Checks a text by itself.
pub(super) fn quick_check(text: &str) -> (Checked, Option<AuthorizationModel>) {
    let refused =
        |text: String| (Checked { troubles: vec![Trouble::placeless(text)], effect: None }, None);
    if text.len() > MAX_TEXT {
        return refused(format!("the text is longer than {MAX_TEXT} bytes"));
    }
    match AuthorizationModel::validate_dsl(text) {
        Ok(model) if model.type_definitions.len() > MAX_TYPES => {
            refused(format!("the model has more than {MAX_TYPES} types"))
        }
        Ok(model) => (Checked::default(), Some(model)),
        Err(found) => {
            let lines: Vec<&str> = text.lines().collect();
            let shown = found.errors.iter().take(MAX_TROUBLES);
            let troubles = shown.map(|error| Trouble::of_text(error, &lines)).collect();
            (Checked { troubles, effect: None }, None)
        }
    }
}

impl Checked {
    /// The relations that change.
    pub(super) fn changed(&self) -> BTreeSet<RelationName> {
        let changes = self.effect.iter().flat_map(|effect| &effect.changes);
        changes.map(|change| change.name.clone()).collect()
    }
}

impl Trouble {
    fn placeless(message: String) -> Self {
        Self {
            line: None,
            column: 0,
            length: 0,
            message,
            hint: String::new(),
            excerpt: Default::default(),
        }
    }

    fn of_text(error: &DslError, lines: &[&str]) -> Self {
        let line = error.span.line as usize;
        let text = lines.get(line).copied().unwrap_or_default();
        let (start, end) = (error.span.start as usize, error.span.end as usize);
        let end = end.max(start.saturating_add(1));
        let part = |from: usize, to: usize| -> String {
            text.chars().skip(from).take(to.saturating_sub(from)).collect()
        };
        let mut wrong = part(start, end);
        if wrong.is_empty() {
            // Behind the end of the line something is missing.
            wrong.push(' ');
        }
        Self {
            line: Some(line),
            column: start.saturating_add(1),
            length: end - start,
            message: error.message.clone(),
            hint: error.hint().unwrap_or_default().to_owned(),
            excerpt: [part(0, start), wrong, part(end, usize::MAX)],
        }
    }

    /// An error of the type system, at the line that defines what it names, if it names something.
    pub(super) fn of_model(error: &InvalidModel, text: &str) -> Self {
        let defined = |object_type: &str, relation: &str| {
            let name = (object_type.to_owned(), relation.to_owned());
            colour(text).iter().position(|line| line.defines.as_ref() == Some(&name))
        };
        let line = match error {
            InvalidModel::Relation { object_type, relation, .. }
            | InvalidModel::RelationUndefined { object_type, relation }
            | InvalidModel::TuplesetNotDirect { object_type, relation }
            | InvalidModel::Assignable { object_type, relation }
            | InvalidModel::NonAssignable { object_type, relation }
            | InvalidModel::RelationType { object_type, relation, .. } => {
                defined(object_type, relation)
            }
            InvalidModel::ConditionExpression { condition, .. } => {
                let start = format!("condition {condition}");
                text.lines().position(|line| line.trim_start().starts_with(&start))
            }
            _ => None,
        };
        let found = line.and_then(|line| text.lines().nth(line)).unwrap_or_default();
        let indent = found.len() - found.trim_start().len();
        let (before, wrong) = found.split_at_checked(indent).unwrap_or(("", found));
        Self {
            line,
            column: indent.saturating_add(1),
            length: wrong.chars().count(),
            message: error.to_string(),
            hint: String::new(),
            excerpt: [before.to_owned(), wrong.to_owned(), String::new()],
        }
    }
}

impl Effect {
    fn new(preview: ModelPreview) -> Self {
        let tests = preview.tests.len();
        let failing = preview.tests.into_iter().filter_map(|(test, answer)| {
            let said = match &answer {
                Ok(true) => "allowed".to_owned(),
                Ok(false) => "denied".to_owned(),
                Err(error) => error.clone(),
            };
            let is_passed = Outcome::of(test.expectation, answer) == Outcome::Passed;
            (!is_passed).then(|| (Question::from(&test), test.expectation, said))
        });
        let example = |(tuple, reason): (TupleKey, String)| (words(&tuple), reason);
        Self {
            changes: preview.changes.into_iter().map(Access::new).collect(),
            unfit: preview.unfit,
            unfit_examples: preview.unfit_examples.into_iter().take(5).map(example).collect(),
            failing: failing.collect(),
            tests,
            unclear: preview.unclear,
            first_unclear: preview.first_unclear.unwrap_or_default(),
            users: preview.users,
            compared: preview.compared_users,
            is_complete: preview.is_complete,
            revision: preview.revision,
        }
    }

    /// True if nobody gains or loses anything.
    pub(super) fn is_nothing(&self) -> bool {
        self.changes.iter().all(|change| change.gained == 0 && change.lost == 0)
    }

    /// True if everybody was compared in everything.
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

impl Access {
    fn new(change: RelationChange) -> Self {
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
pub(super) fn sample() -> Checked {
    let pair = |user: &str| (user.to_owned(), "doc:plan".to_owned());
    let access = Access {
        name: ("doc".to_owned(), "can_view".to_owned()),
        note: "",
        gained: 1,
        lost: 2,
        gained_examples: vec![pair("user:ann")],
        lost_examples: vec![pair("user:ben"), pair("user:<i>hi")],
    };
    let effect = Effect {
        changes: vec![access],
        unfit: 1,
        unfit_examples: vec![("user:x viewer doc:1".to_owned(), "type not admitted".to_owned())],
        failing: vec![(super::super::samples::question(), true, "denied".to_owned())],
        tests: 3,
        unclear: 1,
        first_unclear: "the condition needs `hour`".to_owned(),
        users: 12,
        compared: 10,
        is_complete: false,
        revision: 12,
    };
    Checked { troubles: Vec::new(), effect: Some(effect) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_place_in_its_line() {
        let text = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user] or ownr\n";
        let (checked, model) = quick_check(text);
        assert!(model.is_none());
        let [trouble] = checked.troubles.as_slice() else { panic!("{checked:?}") };
        assert_eq!((trouble.line, trouble.column), (Some(5), 30));
        assert_eq!(trouble.excerpt, ["    define viewer: [user] or ", "ownr", ""]);
        assert!(!trouble.hint.is_empty());
    }

    #[test]
    fn a_condition_that_does_not_compile_is_found_by_its_name() {
        let text = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user with late]\n\
                    condition late(hour: int) {\n  hour + 1\n}\n";
        let model = AuthorizationModel::validate_dsl(text).unwrap();
        let error = behalf_authz::engine::FgaStore::new().add_model(model).unwrap_err();
        assert_eq!(Trouble::of_model(&error, text).line, Some(6));
    }
}
