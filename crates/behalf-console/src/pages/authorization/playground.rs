//! `/console/authorization/{store_id}`: a check that shows its way, above the model as text and
//! drawing.

use std::collections::BTreeSet;
use std::time::Instant;

use askama::Template;
use axum::response::Response;
use behalf_authz::engine::{AuthorizationModel, CheckRequest, Explanation, RequestError, TupleKey};
use behalf_authz::{At, AuthzError, KnownNames};

use super::colour::{Line, RelationName, colour_used};
use super::graph::{Drawing, draw};
use super::question::{Question, With, Wrong};
use super::visit::{Visit, shown};
use super::way::{RowKind, Way, draw_way};
use super::{Head, find_model, is_refusal, known_names, relation_names, shortened, text_of};
use crate::address::with_query;
use crate::frame::Frame;

/// Questions that are suggested.
const EXAMPLES: usize = 3;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/playground.html")]
pub(crate) struct Playground {
    frame: Frame,
    head: Head,
    question: Question,
    /// The field that could not be read.
    wrong: &'static str,
    answer: Option<Answered>,
    known: KnownNames,
    relations: Vec<String>,
    examples: Vec<Question>,
    model: Option<ShownModel>,
    /// Where clients find the server.
    address: String,
}

/// What came of a question.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    Said(Box<Said>),
    /// Why there is no answer.
    Refused(String),
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    is_allowed: bool,
    way: Way,
    revision: u64,
    model_id: String,
    took: String,
    address: String,
    curl: String,
    test: String,
}

impl Said {
    fn short_model_id(&self) -> String {
        shortened(&self.model_id)
    }
}

/// A model on a page.
#[derive(Clone, Debug)]
pub(crate) struct ShownModel {
    id: String,
    is_latest: bool,
    lines: Vec<Line>,
    drawing: Drawing,
    used: BTreeSet<RelationName>,
}

impl Playground {
    fn is_wrong(&self, field: &str) -> bool {
        self.wrong == field
    }

    /// Where a tuple that is missing can be written.
    fn remedy_address(&self, user: &str, relation: &str, object: &str) -> String {
        let pairs = [("new_user", user), ("new_relation", relation), ("new_object", object)];
        format!("{}#write", with_query(&format!("{}/tuples", self.head.path()), pairs))
    }
}

pub(crate) async fn get(mut visit: Visit) -> Response {
    let question = Question::take(&mut visit.params);
    let page = load(&visit, question).await;
    shown(page, |page| matches!(page.answer, Some(Answered::Refused(_))))
}

async fn load(visit: &Visit, question: Question) -> Result<Playground, AuthzError> {
    let (authz, store_id) = (visit.authz(), visit.store_id.as_str());
    let (head, frame) = visit.head("").await?;
    let chosen = Some(question.model.as_str()).filter(|model| !model.is_empty());
    let model = find_model(authz, store_id, chosen).await?;
    let is_latest = chosen.is_none();
    let mut page = Playground {
        frame,
        question,
        wrong: "",
        answer: None,
        relations: model.as_ref().map(|(_, model)| relation_names(model)).unwrap_or_default(),
        examples: Vec::new(),
        known: known_names(authz, store_id).await?,
        model: None,
        address: visit.context.identity.issuer().to_string(),
        head,
    };
    let Some((id, model)) = model else { return Ok(page) };
    if page.question.is_empty() {
        page.examples = examples(visit, &model).await?;
    } else {
        page.answer = match page.question.with() {
            Ok(with) => Some(ask(visit, &page, &model, with).await?),
            Err(Wrong { field, text }) => {
                page.wrong = field;
                Some(Answered::Refused(format!("{text}.")))
            }
        };
    }
    let used = match &page.answer {
        Some(Answered::Said(said)) => said.way.used.clone(),
        _ => BTreeSet::new(),
    };
    let named = (id, model);
    let text = text_of(authz, store_id, &named).await?;
    page.model = Some(ShownModel::new(named, is_latest, &text, used));
    Ok(page)
}

impl ShownModel {
    fn new(
        (id, model): (String, AuthorizationModel),
        is_latest: bool,
        text: &str,
        used: BTreeSet<RelationName>,
    ) -> Self {
        let lines = colour_used(text, &used);
        let drawing = draw(&model).with_used(&used);
        Self { id, is_latest, lines, drawing, used }
    }
}

/// Asks, and draws the answer.
async fn ask(
    visit: &Visit,
    page: &Playground,
    model: &AuthorizationModel,
    with: With,
) -> Result<Answered, AuthzError> {
    let question = page.question.clone();
    let at = match question.at(visit.authz(), &visit.store_id, &with).await {
        Ok(at) => at,
        Err(error) if is_refusal(&error) => return Ok(Answered::Refused(error.to_string())),
        Err(error) => return Err(error),
    };
    let (revision, model_id) = (at.revision(), at.model_id.to_string());
    let worked = tokio::task::spawn_blocking(move || {
        let answer = explain(&at, &question.check(&with));
        (answer, question, with)
    });
    let (answer, question, with) = worked.await.map_err(|_panicked| AuthzError::Contention)?;
    let (explained, took) = match answer {
        Ok(explained) => explained,
        Err(error) => return Ok(Answered::Refused(format!("{error}."))),
    };
    Ok(Answered::Said(Box::new(Said {
        is_allowed: explained.allowed,
        way: draw_way(model, &question.user, &explained),
        revision,
        model_id,
        took,
        address: question.address(&page.head.path()),
        curl: question.curl(&page.address, &visit.store_id, &with),
        test: format!("tests:\n{}", question.store_file_test(&with, explained.allowed)),
    })))
}

/// The answer with its reasons, and how long the check itself took.
fn explain(at: &At, check: &CheckRequest<'_>) -> Result<(Explanation, String), RequestError> {
    let start = Instant::now();
    at.check(check)?;
    let micros = start.elapsed().as_micros();
    let took =
        if micros < 10_000 { format!("{micros} µs") } else { format!("{} ms", micros / 1_000) };
    Ok((at.explain(check)?, took))
}

/// Questions that the store's tuples suggest: about a relation that is worked out, if there is one.
async fn examples(visit: &Visit, model: &AuthorizationModel) -> Result<Vec<Question>, AuthzError> {
    let snapshot = visit.authz().snapshot(&visit.store_id).await?;
    let mut examples: Vec<Question> = Vec::new();
    for tuple in snapshot.tuples().take(1_000) {
        if tuple.user.contains(['#', '*']) {
            continue;
        }
        let question = example(model, tuple);
        if !examples
            .iter()
            .any(|known| known.object == question.object || known.user == question.user)
        {
            examples.push(question);
        }
        if examples.len() == EXAMPLES {
            break;
        }
    }
    Ok(examples)
}

fn example(model: &AuthorizationModel, tuple: TupleKey) -> Question {
    let TupleKey { user, relation, object, .. } = tuple;
    let (object_type, _) = object.split_once(':').unwrap_or_default();
    let definition = model.type_definitions.iter().find(|of| of.type_name == object_type);
    let derived = definition.and_then(|definition| {
        let is_derived = |name: &&String| definition.directly_related_user_types(name).is_empty();
        definition.relations.keys().find(is_derived).cloned()
    });
    Question { user, relation: derived.unwrap_or(relation), object, ..Question::default() }
}

pub(crate) fn samples() -> Vec<Playground> {
    let (text, question) = (super::samples::MODEL, super::samples::question());
    let model = AuthorizationModel::from_dsl(text).unwrap_or_default();
    let said = |explained: Explanation| {
        Answered::Said(Box::new(Said {
            is_allowed: explained.allowed,
            way: draw_way(&model, "user:ann", &explained),
            revision: 12,
            model_id: "01ARZ3NDEKTSV4RRFFQ69G5FAW".to_owned(),
            took: "4 µs".to_owned(),
            address: "/console/authorization/1?user=user%3Aann".to_owned(),
            curl: question.curl("https://behalf.example/", super::SAMPLE_ID, &With::default()),
            test: format!(
                "tests:\n{}",
                question.store_file_test(&With::default(), explained.allowed)
            ),
        }))
    };
    let (head, frame) = Head::sample("");
    let answer = said(super::samples::allowed());
    let used = match &answer {
        Answered::Said(said) => said.way.used.clone(),
        Answered::Refused(_) => BTreeSet::new(),
    };
    let page = Playground {
        frame,
        head,
        question: question.clone(),
        wrong: "",
        answer: Some(answer),
        known: KnownNames {
            users: vec!["user:ann".to_owned()],
            objects: vec!["doc:plan".to_owned()],
        },
        relations: relation_names(&model),
        examples: Vec::new(),
        model: Some(ShownModel::new(
            ("01ARZ3NDEKTSV4RRFFQ69G5FAW".to_owned(), model.clone()),
            true,
            text,
            used,
        )),
        address: "https://behalf.example/".to_owned(),
    };
    let denied = Playground { answer: Some(said(super::samples::denied())), ..page.clone() };
    let refused = Playground {
        answer: Some(Answered::Refused("relation `x` not found".to_owned())),
        question: Question { context: "[".to_owned(), ..question.clone() },
        wrong: "context",
        ..page.clone()
    };
    let fresh = Playground {
        answer: None,
        question: Question::default(),
        examples: vec![question],
        ..page.clone()
    };
    let empty = Playground { model: None, answer: None, ..fresh.clone() };
    vec![page, denied, refused, fresh, empty]
}
