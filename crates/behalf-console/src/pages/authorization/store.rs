//! `/console/authorization/{store_id}`: a check, the latest model, the tuples.

use askama::Template;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use behalf_authz::engine::{AuthorizationModel, RequestContext, TupleKey};
use behalf_authz::{AuthzError, Query, TupleFilter};
use behalf_http::{CspSource, HttpContext, Params, Person};
use behalf_identity::{Browser, Session};
use http::StatusCode;

use super::graph::{Drawing, draw};
use super::{failed, is_refusal, may_write};
use crate::address::with_query;
use crate::frame::Frame;
use crate::show;

/// Tuples on a page.
const SIZE: usize = 50;

/// What a check said.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    Allowed,
    Denied,
    Refused(String),
}

/// A question: user, relation, object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Triple {
    user: String,
    relation: String,
    object: String,
}

impl Triple {
    fn is_empty(&self) -> bool {
        self.user.is_empty() && self.relation.is_empty() && self.object.is_empty()
    }
}

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/store.html")]
pub(crate) struct StorePage {
    frame: Frame,
    store_id: String,
    name: String,
    revision: u64,
    /// The latest model: its id, its text, its drawing.
    model: Option<(String, String, Drawing)>,
    check: Triple,
    verdict: Option<Verdict>,
    filter: Triple,
    tuples: Vec<TupleKey>,
    next: Option<String>,
    may_write: bool,
    problem: Option<String>,
}

pub(crate) fn samples() -> Vec<StorePage> {
    let text = "model\n  schema 1.1\n\ntype user\n\ntype group\n  relations\n    define member: [user, group#member]\n\n\
                type doc\n  relations\n    define owner: [user]\n    define viewer: [user, user:*, group#member]\n    define can_view: owner or viewer\n";
    let model = AuthorizationModel::from_dsl(text).unwrap_or_default();
    let tuple = |user: &str, relation: &str| TupleKey::new(user, relation, "doc:1");
    let page = StorePage {
        frame: Frame::sample("/console/authorization/1"),
        store_id: "01ARZ3NDEKTSV4RRFFQ69G5FAV".to_owned(),
        name: "documents".to_owned(),
        revision: 12,
        model: Some(("01ARZ3NDEKTSV4RRFFQ69G5FAW".to_owned(), text.to_owned(), draw(&model))),
        check: Triple {
            user: "user:ann".to_owned(),
            relation: "can_view".to_owned(),
            object: "doc:1".to_owned(),
        },
        verdict: Some(Verdict::Allowed),
        filter: Triple::default(),
        tuples: vec![tuple("user:auth0|ann", "owner"), tuple("user:*", "viewer")],
        next: Some("?after=00".to_owned()),
        may_write: true,
        problem: Some("the tuple exists already".to_owned()),
    };
    let empty = StorePage {
        model: None,
        verdict: Some(Verdict::Refused("relation `x` not found".to_owned())),
        tuples: Vec::new(),
        next: None,
        may_write: false,
        problem: None,
        ..page.clone()
    };
    let denied = StorePage { verdict: Some(Verdict::Denied), ..page.clone() };
    vec![page, empty, denied]
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(store_id): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let params = Params::from_urlencoded(query.unwrap_or_default().as_bytes()).unwrap_or_default();
    page(&context, &session, &browser, &store_id, params, None).await
}

/// The page, perhaps with what went wrong on it.
pub(super) async fn page(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    store_id: &str,
    params: Params,
    problem: Option<String>,
) -> Response {
    match load(context, session, browser, store_id, params, problem).await {
        Ok(page) => {
            let is_refused = page.problem.is_some();
            let status = if is_refused { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            show(status, &page, true, &CspSource::default())
        }
        Err(error) => failed(&error),
    }
}

async fn load(
    context: &HttpContext,
    session: &Session,
    browser: &Browser,
    store_id: &str,
    mut params: Params,
    problem: Option<String>,
) -> Result<StorePage, AuthzError> {
    let authz = &context.authz;
    let store = authz.load_store(store_id).await?;
    let query = Query { store_id, model_id: None };
    let mut take = |name| params.take(name).unwrap_or_default();
    let check = Triple {
        user: take("check_user"),
        relation: take("check_relation"),
        object: take("check_object"),
    };
    let filter = Triple { user: take("user"), relation: take("relation"), object: take("object") };
    let after = take("after");
    let model = match authz.load_model(store_id, None).await {
        Ok((model_id, json)) => AuthorizationModel::from_json(&json).ok().map(|model| {
            let text = model.to_dsl().unwrap_or(json);
            let drawing = draw(&model);
            (model_id, text, drawing)
        }),
        Err(AuthzError::NoModel(_)) => None,
        Err(error) => return Err(error),
    };
    let verdict = if check.is_empty() {
        None
    } else {
        let asked = RequestContext::default();
        let answer = authz.check(query, &check.user, &check.relation, &check.object, asked).await;
        Some(match answer {
            Ok(answer) if answer.value => Verdict::Allowed,
            Ok(_) => Verdict::Denied,
            Err(error) if is_refusal(&error) => Verdict::Refused(error.to_string()),
            Err(error) => return Err(error),
        })
    };
    let wanted = TupleFilter {
        user: filter.user.clone(),
        relation: filter.relation.clone(),
        object: filter.object.clone(),
    };
    let listed = match authz.read(store_id, &wanted, SIZE, &after).await {
        Err(AuthzError::BadContinuationToken | AuthzError::Invalid(_)) => {
            authz.read(store_id, &wanted, SIZE, "").await?
        }
        listed => listed?,
    };
    let revision = match authz.at(query).await {
        Ok(at) => at.revision(),
        Err(AuthzError::NoModel(_)) => 0,
        Err(error) => return Err(error),
    };
    let next = listed.next.map(|after| {
        let pairs = [
            ("user", filter.user.as_str()),
            ("relation", &filter.relation),
            ("object", &filter.object),
            ("after", &after),
        ];
        with_query("", pairs)
    });
    Ok(StorePage {
        frame: Frame::new(context, session, browser, "/console/authorization"),
        store_id: store.id,
        name: store.name,
        revision,
        model,
        check,
        verdict,
        filter,
        tuples: listed.items,
        next,
        may_write: may_write(&session.user),
        problem,
    })
}
