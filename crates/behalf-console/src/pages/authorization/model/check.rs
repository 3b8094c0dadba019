//! What a text says: its errors with their places, or what it would change if it were saved.

use std::collections::BTreeSet;
use std::time::Duration;

use behalf_authz::engine::{AuthorizationModel, DslError, InvalidModel};
use behalf_authz::{Authz, AuthzError};

use super::super::colour::{RelationName, colour};
use super::super::effect::Effect;
use super::super::question::read_context;

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
            checked.effect = Some(preview.into());
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
