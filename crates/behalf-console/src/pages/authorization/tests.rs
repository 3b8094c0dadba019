//! `/console/authorization/{store_id}/tests`: what the model's author expects of it, asked each
//! time the page is looked at.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use behalf_authz::{Assertion, AuthzError, KnownNames, Query};
use behalf_http::{CspSource, HttpContext, Person, PersonForm};
use behalf_identity::{Browser, Session};
use http::{StatusCode, header};

use super::question::Question;
use super::{Head, actor, failed, find_model, is_refusal, known_names, relation_names, shortened};
use crate::frame::Frame;
use crate::show;

/// The page.
#[derive(Clone, Debug, Template)]
#[template(path = "authorization/tests.html")]
pub(crate) struct Tests {
    frame: Frame,
    head: Head,
    model_id: Option<String>,
    tests: Vec<Test>,
    known: KnownNames,
    relations: Vec<String>,
    draft: Question,
    expects_denial: bool,
    problem: Option<String>,
    store_file: String,
}

/// A test and what came of it.
#[derive(Clone, Debug)]
pub(crate) struct Test {
    index: usize,
    question: Question,
    expects: bool,
    outcome: Outcome,
    why: String,
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// It could not be answered.
    Unclear(String),
}

impl Outcome {
    pub(super) fn of(expects: bool, answer: Result<bool, String>) -> Self {
        match answer {
            Ok(answer) if answer == expects => Self::Passed,
            Ok(_) => Self::Failed,
            Err(reason) => Self::Unclear(reason),
        }
    }
}

impl Tests {
    fn passed(&self) -> usize {
        self.tests.iter().filter(|test| test.outcome == Outcome::Passed).count()
    }

    fn short_model_id(&self) -> String {
        shortened(self.model_id.as_deref().unwrap_or_default())
    }
}

pub(crate) async fn get(
    State(context): State<HttpContext>,
    Person { session, browser }: Person,
    Path(store_id): Path<String>,
) -> Response {
    page(&context, (&session, &browser), &store_id, None).await
}

/// The page, perhaps with a test that was refused: what was typed, what was expected, and why.
async fn page(
    context: &HttpContext,
    person: (&Session, &Browser),
    store_id: &str,
    refused: Option<(Question, bool, String)>,
) -> Response {
    let is_refused = refused.is_some();
    match load(context, person, store_id, refused).await {
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
    refused: Option<(Question, bool, String)>,
) -> Result<Tests, AuthzError> {
    let authz = &context.authz;
    let (head, frame) = Head::load(context, person, store_id, "/tests").await?;
    let model = find_model(authz, store_id, None).await?;
    let tests = match &model {
        Some((model_id, _)) => run(context, store_id, model_id, &head.path()).await?,
        None => Vec::new(),
    };
    let (draft, expects, problem) = match refused {
        Some((draft, expects, problem)) => (draft, expects, Some(problem)),
        None => (Question::default(), true, None),
    };
    Ok(Tests {
        frame,
        store_file: store_file(&tests),
        tests,
        known: known_names(authz, store_id).await?,
        relations: model.as_ref().map(|(_, model)| relation_names(model)).unwrap_or_default(),
        model_id: model.map(|(model_id, _)| model_id),
        draft,
        expects_denial: !expects,
        problem,
        head,
    })
}

/// Asks every test of the newest version.
async fn run(
    context: &HttpContext,
    store_id: &str,
    model_id: &str,
    path: &str,
) -> Result<Vec<Test>, AuthzError> {
    let assertions = context.authz.read_assertions(store_id, model_id).await?;
    let at = context.authz.at(Query { store_id, model_id: Some(model_id) }).await?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = |of: &Assertion| at.check(&of.check()).map_err(|error| error.to_string());
        assertions.into_iter().map(|of| (answer(&of), of)).collect::<Vec<_>>()
    });
    let asked = asked.await.map_err(|_panicked| AuthzError::Contention)?;
    let tests = asked.into_iter().enumerate().map(|(index, (answer, of))| {
        let question = Question::from(&of);
        Test {
            index,
            why: question.address(path),
            question,
            expects: of.expectation,
            outcome: Outcome::of(of.expectation, answer),
        }
    });
    Ok(tests.collect())
}

fn store_file(tests: &[Test]) -> String {
    let entries = tests.iter().filter_map(|test| {
        let with = test.question.with().ok()?;
        Some(test.question.store_file_test(&with, test.expects))
    });
    format!("tests:\n{}", entries.collect::<String>())
}

/// Adds a test, in place of one that asks the same.
pub(crate) async fn add(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let question = Question::take(&mut fields);
    let expects = fields.take("expectation").as_deref() != Some("false");
    let added = async {
        let with = match question.with() {
            Ok(with) => with,
            Err(wrong) => return Ok::<_, AuthzError>(Err(wrong.text)),
        };
        let test = Assertion {
            user: question.user.clone(),
            relation: question.relation.clone(),
            object: question.object.clone(),
            expectation: expects,
            contextual_tuples: with.tuples,
            context: with.context,
        };
        change(&context, &session, &store_id, |tests| {
            tests.retain(|known| !known.is_same_question(&test));
            tests.push(test);
        })
        .await
    };
    settle(&context, (&session, &browser), &store_id, added.await, (question.clone(), expects))
        .await
}

/// Deletes a test, if it is still the one in that place.
pub(crate) async fn delete(
    State(context): State<HttpContext>,
    Path(store_id): Path<String>,
    PersonForm { session, browser, mut fields }: PersonForm,
) -> Response {
    let index: usize =
        fields.take("index").and_then(|index| index.parse().ok()).unwrap_or(usize::MAX);
    let question = Question::take(&mut fields);
    let deleted = change(&context, &session, &store_id, |tests| {
        if tests.get(index).is_some_and(|test| Question::from(test) == question) {
            tests.remove(index);
        }
    });
    let deleted = deleted.await;
    settle(&context, (&session, &browser), &store_id, deleted, (Question::default(), true)).await
}

/// Changes the tests of the latest model; the inner error is for the person.
async fn change(
    context: &HttpContext,
    session: &Session,
    store_id: &str,
    change: impl FnOnce(&mut Vec<Assertion>),
) -> Result<Result<(), String>, AuthzError> {
    let changed = async {
        let (model_id, _) = context.authz.load_model(store_id, None).await?;
        let mut tests = context.authz.read_assertions(store_id, &model_id).await?;
        change(&mut tests);
        let query = Query { store_id, model_id: Some(&model_id) };
        context.authz.write_assertions(query, &tests, &actor(session)).await
    };
    match changed.await {
        Ok(()) => Ok(Ok(())),
        Err(error) if is_refusal(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

async fn settle(
    context: &HttpContext,
    person: (&Session, &Browser),
    store_id: &str,
    changed: Result<Result<(), String>, AuthzError>,
    (question, expects): (Question, bool),
) -> Response {
    match changed {
        Ok(Ok(())) => {
            let place = format!("/console/authorization/{store_id}/tests");
            (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
        }
        Ok(Err(problem)) => {
            page(context, person, store_id, Some((question, expects, problem))).await
        }
        Err(error) => failed(&error),
    }
}

pub(crate) fn samples() -> Vec<Tests> {
    let (head, frame) = Head::sample("/tests");
    let test = |index, expects, answer: Result<bool, String>| Test {
        index,
        question: Question {
            context: "{\"a\":\"<i>hi\"}".to_owned(),
            tuples: "user:ann member group:eng".to_owned(),
            ..super::samples::question()
        },
        expects,
        outcome: Outcome::of(expects, answer),
        why: "/console".to_owned(),
    };
    let tests = vec![
        test(0, true, Ok(true)),
        test(1, false, Ok(true)),
        test(2, true, Err("relation 'x' not found".to_owned())),
    ];
    let page = Tests {
        frame,
        head,
        model_id: Some("01ARZ3NDEKTSV4RRFFQ69G5FAW".to_owned()),
        store_file: store_file(&tests),
        tests,
        known: KnownNames::default(),
        relations: Vec::new(),
        draft: super::samples::question(),
        expects_denial: true,
        problem: Some("relation 'doc#x' not found".to_owned()),
    };
    let empty = Tests { tests: Vec::new(), problem: None, ..page.clone() };
    let none = Tests { model_id: None, ..empty.clone() };
    vec![page, empty, none]
}
