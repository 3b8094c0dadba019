//! `/console/authorization/{store_id}/tuples`: the tuples as a table with filters; writing and
//! deleting them, one or all that a filter admits, and what that would change.

mod change;

use std::time::Duration;

use askama::Template;
use axum::response::Response;
use behalf_authz::engine::{TupleKey, Validity};
use behalf_authz::{
    AuthzError, KnownNames, Lifetime, TableFilter, TupleFilter, TuplePage, TupleRow,
};
use behalf_core::{Timestamp, grouped};
use behalf_http::Params;

use super::effect::Effect;
use super::visit::{Visit, shown};
use super::{Head, find_model, is_refusal, known_names, relation_names, who};
use crate::address::with_query;
use crate::frame::Frame;
use crate::time::Shown;

pub(super) use change::MAX_REASON;
pub(crate) use change::{delete_matching, preview, write};

/// Tuples on a page.
const SIZE: usize = 30;
/// How long a preview may compare.
const PATIENCE: Duration = Duration::from_secs(3);

/// The filter, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    object_type: String,
    user: String,
    relation: String,
    object: String,
    condition: String,
    lifetime: String,
}

/// The tuple that is being written, as it was typed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    user: String,
    relation: String,
    object: String,
    condition: String,
    context: String,
    not_before: String,
    expires: String,
    reason: String,
    /// Values for conditions, while it is said what would change.
    ask_context: String,
}

/// A tuple in the table.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    tuple: TupleKey,
    /// The condition's values, as JSON.
    context: String,
    starts: Option<Shown>,
    ends: Option<Shown>,
    is_over: bool,
    written: Option<(Shown, String, String, i64)>,
}

/// What happened before the page is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// What went wrong; nothing was changed.
    pub(crate) problem: Option<String>,
    /// What was done.
    pub(crate) done: Option<String>,
    /// What writing the draft would change.
    pub(crate) effect: Option<Effect>,
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/tuples.html")]
pub(crate) struct Tuples {
    frame: Frame,
    head: Head,
    filter: Filter,
    draft: Draft,
    types: Vec<String>,
    conditions: Vec<String>,
    relations: Vec<String>,
    known: KnownNames,
    rows: Vec<Shelf>,
    count: usize,
    total: usize,
    next: Option<String>,
    is_first: bool,
    /// What deleting everything that the filter admits would change, while that is asked about.
    removal: Option<Effect>,
    /// The filter to go back to after that.
    back: String,
    has_model: bool,
    outcome: Outcome,
}

impl Filter {
    fn take(params: &mut Params) -> Self {
        let mut take = |name| params.take(name).unwrap_or_default().trim().to_owned();
        Self {
            object_type: take("type"),
            user: take("user"),
            relation: take("relation"),
            object: take("object"),
            condition: take("condition"),
            lifetime: take("lifetime"),
        }
    }

    fn is_empty(&self) -> bool {
        self.pairs().iter().all(|(_, value)| value.is_empty())
    }

    fn pairs(&self) -> [(&'static str, &str); 6] {
        [
            ("type", &self.object_type),
            ("user", &self.user),
            ("relation", &self.relation),
            ("object", &self.object),
            ("condition", &self.condition),
            ("lifetime", &self.lifetime),
        ]
    }

    /// What the service takes. A user or an object that ends in `:` is all of its type.
    fn wanted(&self, now: Timestamp) -> TableFilter {
        let user_type = self.user.strip_suffix(':');
        let tuples = TupleFilter {
            user: if user_type.is_some() { String::new() } else { self.user.clone() },
            relation: self.relation.clone(),
            object: match (self.object.as_str(), self.object_type.as_str()) {
                ("", "") => String::new(),
                ("", of_type) => format!("{of_type}:"),
                (object, _) => object.to_owned(),
            },
        };
        TableFilter {
            tuples,
            user_type: user_type.unwrap_or_default().to_owned(),
            condition: self.condition.clone(),
            lifetime: match self.lifetime.as_str() {
                "always" => Lifetime::Always,
                "limited" => Lifetime::Limited,
                "over" => Lifetime::Over(now),
                _ => Lifetime::Any,
            },
        }
    }

    /// The filter in words.
    fn words(&self) -> String {
        let mut words = Vec::new();
        let named = [
            ("type", &self.object_type),
            ("user", &self.user),
            ("relation", &self.relation),
            ("object", &self.object),
            ("condition", &self.condition),
        ];
        let named = named.iter().filter(|(_, value)| !value.is_empty());
        words.extend(named.map(|(name, value)| format!("{name} {value}")));
        match self.lifetime.as_str() {
            "always" => words.push("without an end".to_owned()),
            "limited" => words.push("for a time".to_owned()),
            "over" => words.push("that have ended".to_owned()),
            _ => {}
        }
        words.join(", ")
    }
}

impl Draft {
    fn take(params: &mut Params) -> Self {
        let mut take = |name| params.take(name).unwrap_or_default().trim().to_owned();
        Self {
            user: take("new_user"),
            relation: take("new_relation"),
            object: take("new_object"),
            condition: take("new_condition"),
            context: take("new_context"),
            not_before: take("new_not_before"),
            expires: take("new_expires"),
            reason: take("new_reason"),
            ask_context: take("new_ask_context"),
        }
    }

    /// True if something of it was typed.
    fn is_begun(&self) -> bool {
        !(self.user.is_empty() && self.relation.is_empty() && self.object.is_empty())
    }

    /// True if it is more than three words.
    fn has_more(&self) -> bool {
        let more =
            [&self.condition, &self.context, &self.not_before, &self.expires, &self.ask_context];
        more.iter().any(|text| !text.is_empty())
    }
}

impl Shelf {
    fn new(row: TupleRow, now: Timestamp) -> Self {
        let TupleRow { tuple, written } = row;
        let Validity { not_before_micros, expires_at_micros } = tuple.validity;
        let shown = |micros: i64| Shown::new(Timestamp::from_micros(micros), now);
        let context = match &tuple.condition {
            Some(condition) if !condition.context.is_empty() => {
                serde_json::Value::Object(condition.context.clone()).to_string()
            }
            _ => String::new(),
        };
        let written = written.map(|written| {
            (Shown::new(written.at, now), who(&written.actor), written.reason, written.revision)
        });
        Self {
            context,
            starts: not_before_micros.filter(|from| *from > now.as_micros()).map(shown),
            ends: expires_at_micros.map(shown),
            is_over: tuple.validity.is_expired_at(now.as_micros()),
            tuple,
            written,
        }
    }
}

impl Tuples {
    /// The question whether to delete all that the filter admits.
    fn confirm_address(&self) -> String {
        let path = format!("{}/tuples?confirm=delete", self.head.path());
        format!("{}#confirm", with_query(&path, self.filter.pairs()))
    }

    /// The question whether to delete one tuple.
    fn delete_address(&self, row: &Shelf) -> String {
        let TupleKey { user, relation, object, .. } = &row.tuple;
        let path = format!("{}/tuples?confirm=delete", self.head.path());
        let pairs = [("user", &**user), ("relation", &**relation), ("object", &**object)];
        let back = with_query("", self.filter.pairs());
        let back = back.trim_start_matches('?');
        format!("{}#confirm", with_query(&path, pairs.into_iter().chain([("back", back)])))
    }

    /// The page without the question.
    fn keep_address(&self) -> String {
        let path = format!("{}/tuples", self.head.path());
        match self.back.as_str() {
            "" => with_query(&path, self.filter.pairs()),
            back => format!("{path}?{back}"),
        }
    }

    /// True if the form for a tuple stands open.
    fn is_writing(&self) -> bool {
        self.draft.is_begun() || self.outcome.effect.is_some() || self.total == 0
    }
}

pub(crate) async fn get(mut visit: Visit) -> Response {
    let done = match visit.take("done").as_str() {
        "written" => Some("The tuple is written.".to_owned()),
        count => count.parse::<u64>().ok().map(|count| match count {
            1 => "The tuple is deleted.".to_owned(),
            count => format!("{} tuples are deleted.", grouped(count)),
        }),
    };
    let outcome = Outcome { done, ..Outcome::default() };
    page(visit, outcome).await
}

/// The page, perhaps with what went wrong on it.
async fn page(visit: Visit, outcome: Outcome) -> Response {
    let is_refused = outcome.problem.is_some();
    shown(load(visit, outcome).await, |_| is_refused)
}

async fn load(mut visit: Visit, outcome: Outcome) -> Result<Tuples, AuthzError> {
    let now = visit.context.identity.now();
    let (head, frame) = visit.head("/tuples").await?;
    let (filter, draft) = (Filter::take(&mut visit.params), Draft::take(&mut visit.params));
    let confirms = !visit.take("confirm").is_empty() && !filter.is_empty() && head.may_write;
    let (after, back) = (visit.take("after"), visit.take("back"));
    let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
    let wanted = filter.wanted(now);
    let listed = match authz.tuple_table(store_id, &wanted, SIZE, &after).await {
        Err(AuthzError::BadContinuationToken) => {
            authz.tuple_table(store_id, &wanted, SIZE, "").await?
        }
        listed => listed?,
    };
    let TuplePage { rows, next, count, total } = listed;
    let removal = if confirms && count > 0 {
        let preview = authz.preview_deletes(store_id, &wanted, None, PATIENCE).await;
        match preview {
            Ok(preview) => Some(preview.into()),
            Err(error) if is_refusal(&error) => Some(Effect::default()),
            Err(error) => return Err(error),
        }
    } else {
        None
    };
    let model = find_model(authz, store_id, None).await?.map(|(_, model)| model);
    let next = next.map(|after| {
        let pairs = filter.pairs().into_iter().chain([("after", after.as_str())]);
        with_query(&format!("{}/tuples", head.path()), pairs)
    });
    Ok(Tuples {
        frame,
        filter,
        draft,
        types: model
            .iter()
            .flat_map(|m| &m.type_definitions)
            .map(|of| of.type_name.clone())
            .collect(),
        conditions: model.iter().flat_map(|model| model.conditions.keys()).cloned().collect(),
        relations: model.as_ref().map(relation_names).unwrap_or_default(),
        known: known_names(authz, store_id).await?,
        rows: rows.into_iter().map(|row| Shelf::new(row, now)).collect(),
        count,
        total,
        next,
        is_first: after.is_empty(),
        removal,
        back,
        has_model: model.is_some(),
        outcome,
        head,
    })
}

pub(crate) fn samples() -> Vec<Tuples> {
    use behalf_authz::Written;
    use behalf_authz::engine::TupleCondition;
    let now = Timestamp::from_secs(1_795_507_200);
    let (head, frame) = Head::sample("/tuples");
    let written = Written {
        at: Timestamp::from_secs(1_795_500_000),
        revision: 11,
        actor: behalf_core::Actor::User { sub: "auth0|ann".to_owned() },
        reason: "she joined <i>hi".to_owned(),
    };
    let mut rows: Vec<TupleRow> = super::samples::tuples()
        .into_iter()
        .map(|tuple| TupleRow { tuple, written: Some(written.clone()) })
        .collect();
    let mut limited = TupleKey::new("user:ben", "viewer", "doc:plan");
    limited.condition = Some(TupleCondition {
        name: "office_hours".to_owned(),
        context: [("from".to_owned(), serde_json::json!(8))].into_iter().collect(),
    });
    limited.validity = Validity {
        not_before_micros: Some(Timestamp::from_secs(1_795_600_000).as_micros()),
        expires_at_micros: Some(Timestamp::from_secs(1_795_400_000).as_micros()),
    };
    rows.push(TupleRow { tuple: limited, written: None });
    let page = Tuples {
        frame,
        head,
        filter: Filter { relation: "viewer".to_owned(), ..Filter::default() },
        draft: Draft { user: "user:x".to_owned(), condition: "c".to_owned(), ..Draft::default() },
        types: vec!["doc".to_owned()],
        conditions: vec!["office_hours".to_owned()],
        relations: vec!["viewer".to_owned()],
        known: KnownNames::default(),
        rows: rows.into_iter().map(|row| Shelf::new(row, now)).collect(),
        count: 4,
        total: 1_204,
        next: Some("?after=00".to_owned()),
        is_first: true,
        removal: Some(super::effect::sample()),
        back: String::new(),
        has_model: true,
        outcome: Outcome {
            problem: Some("the tuple exists already".to_owned()),
            ..Outcome::default()
        },
    };
    let empty = Tuples {
        rows: Vec::new(),
        filter: Filter::default(),
        draft: Draft::default(),
        next: None,
        removal: None,
        outcome: Outcome { done: Some("The tuple is written.".to_owned()), ..Outcome::default() },
        ..page.clone()
    };
    let previewed = Tuples {
        removal: None,
        outcome: Outcome { effect: Some(super::effect::sample()), ..Outcome::default() },
        ..page.clone()
    };
    vec![page, empty, previewed]
}
