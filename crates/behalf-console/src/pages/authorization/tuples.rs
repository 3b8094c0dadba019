//! `/console/authorization/{store_id}/tuples`: the tuples as a table with filters; writing and
//! deleting them, one or all that a filter admits.

mod change;

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use behalf_authz::engine::{TupleKey, Validity};
use behalf_authz::{
    AuthzError, KnownNames, Lifetime, TableFilter, TupleFilter, TuplePage, TupleRow,
};
use behalf_core::Timestamp;
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_identity::{Browser, Session};
use http::StatusCode;

use super::{Head, failed, find_model, known_names, relation_names, who};
use crate::address::with_query;
use crate::frame::Frame;
use crate::show;
use crate::time::Shown;

pub(super) use change::MAX_REASON;
pub(crate) use change::{delete, delete_matching, write};

/// Tuples on a page.
const SIZE: usize = 30;

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
    /// True if the deletion of everything that the filter admits is being asked about.
    confirms: bool,
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
        }
    }

    /// True if something of it was typed.
    fn is_begun(&self) -> bool {
        !(self.user.is_empty() && self.relation.is_empty() && self.object.is_empty())
    }

    /// True if it is more than three words.
    fn has_more(&self) -> bool {
        let more = [&self.condition, &self.context, &self.not_before, &self.expires];
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
    /// The page without this filter's next page, with the question whether to delete.
    fn confirm_address(&self) -> String {
        let path = format!("{}/tuples?confirm=delete", self.head.path());
        format!("{}#confirm", with_query(&path, self.filter.pairs()))
    }

    /// The filter, as a query, for the way back from a deletion.
    fn back(&self) -> String {
        with_query("", self.filter.pairs()).trim_start_matches('?').to_owned()
    }

    fn address(&self) -> String {
        with_query(&format!("{}/tuples", self.head.path()), self.filter.pairs())
    }
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(store_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let mut params =
        Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    let done = match params.take("done").as_deref() {
        Some("written") => Some("The tuple is written.".to_owned()),
        Some("deleted") => Some("The tuple is deleted.".to_owned()),
        Some(count) => count.parse::<u64>().ok().map(|count| match count {
            1 => "One tuple is deleted.".to_owned(),
            count => format!("{count} tuples are deleted."),
        }),
        None => None,
    };
    let outcome = Outcome { problem: None, done };
    page(&context, (&session, &browser), &store_id, params, outcome).await
}

/// The page, perhaps with what went wrong on it.
async fn page(
    context: &HttpContext,
    person: (&Session, &Browser),
    store_id: &str,
    params: Params,
    outcome: Outcome,
) -> Response {
    let is_refused = outcome.problem.is_some();
    match load(context, person, store_id, params, outcome).await {
        Ok(page) => {
            let status = if is_refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            show(status, &page, true, &CspSource::default())
        }
        Err(error) => failed(&error),
    }
}

async fn load(
    context: &HttpContext,
    person: (&Session, &Browser),
    store_id: &str,
    mut params: Params,
    outcome: Outcome,
) -> Result<Tuples, AuthzError> {
    let (authz, now) = (&context.authz, context.identity.now());
    let (head, frame) = Head::load(context, person, store_id, "/tuples").await?;
    let (filter, draft) = (Filter::take(&mut params), Draft::take(&mut params));
    let confirms = params.take("confirm").is_some() && !filter.is_empty() && head.may_write;
    let after = params.take("after").unwrap_or_default();
    let wanted = filter.wanted(now);
    let listed = match authz.tuple_table(store_id, &wanted, SIZE, &after).await {
        Err(AuthzError::BadContinuationToken) => {
            authz.tuple_table(store_id, &wanted, SIZE, "").await?
        }
        listed => listed?,
    };
    let TuplePage { rows, next, count, total } = listed;
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
        confirms,
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
        confirms: true,
        has_model: true,
        outcome: Outcome { problem: Some("the tuple exists already".to_owned()), done: None },
    };
    let empty = Tuples {
        rows: Vec::new(),
        filter: Filter::default(),
        draft: Draft::default(),
        next: None,
        confirms: false,
        outcome: Outcome { problem: None, done: Some("The tuple is written.".to_owned()) },
        ..page.clone()
    };
    vec![page, empty]
}
