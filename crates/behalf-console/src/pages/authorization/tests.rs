//! `/console/authorization/{store_id}/tests`: what the model's author expects of it, asked each
//! time the page is looked at.

use askama::Template;
use axum::response::Response;
use behalf_authz::{Assertion, AuthzError, KnownNames};

use super::question::Question;
use super::visit::{Form, Visit, shown};
use super::{Head, failed, find_model, is_refusal, known_names, relation_names, shortened};
use crate::frame::Frame;

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

pub(crate) async fn get(visit: Visit) -> Response {
    page(&visit, None).await
}

/// The page, perhaps with a test that was refused: what was typed, what was expected, and why.
async fn page(visit: &Visit, refused: Option<(Question, bool, String)>) -> Response {
    let is_refused = refused.is_some();
    shown(load(visit, refused).await, |_| is_refused)
}

async fn load(
    visit: &Visit,
    refused: Option<(Question, bool, String)>,
) -> Result<Tests, AuthzError> {
    let authz = visit.authz();
    let (head, frame) = visit.head("/tests").await?;
    let model = find_model(authz, &visit.store_id, None).await?;
    let tests = match &model {
        Some((model_id, _)) => run(visit, model_id, &head.path()).await?,
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
        known: known_names(authz, &visit.store_id).await?,
        relations: model.as_ref().map(|(_, model)| relation_names(model)).unwrap_or_default(),
        model_id: model.map(|(model_id, _)| model_id),
        draft,
        expects_denial: !expects,
        problem,
        head,
    })
}

/// Asks every test of the newest version.
async fn run(visit: &Visit, model_id: &str, path: &str) -> Result<Vec<Test>, AuthzError> {
    let assertions = visit.authz().read_assertions(&visit.store_id, model_id).await?;
    let at = visit.authz().at(visit.query(Some(model_id))).await?;
    let asked = tokio::task::spawn_blocking(move || {
        let answer = |of: &Assertion| at.check(&of.check()).map_err(|error| error.to_string());
        assertions.into_iter().map(|of| (answer(&of), of)).collect::<Vec<_>>()
    });
    let asked = asked.await.map_err(|_panicked| AuthzError::Contention)?;
    let tests = asked.into_iter().map(|(answer, of)| {
        let question = Question::from(&of);
        Test {
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
pub(crate) async fn add(Form(mut visit): Form) -> Response {
    let question = Question::take(&mut visit.params);
    let expects = visit.take("expectation") != "false";
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
        change(&visit, |tests| {
            tests.retain(|known| !known.is_same_question(&test));
            tests.push(test.clone());
        })
        .await
    };
    let added = added.await;
    settle(&visit, added, (question, expects)).await
}

/// Deletes a test.
pub(crate) async fn delete(Form(mut visit): Form) -> Response {
    let question = Question::take(&mut visit.params);
    let deleted = change(&visit, |tests| tests.retain(|test| Question::from(test) != question));
    let deleted = deleted.await;
    settle(&visit, deleted, (Question::default(), true)).await
}

/// Changes the tests of the latest model; the inner error is for the person.
async fn change(
    visit: &Visit,
    change: impl Fn(&mut Vec<Assertion>) + Send + Sync,
) -> Result<Result<(), String>, AuthzError> {
    match visit.authz().change_assertions(&visit.store_id, change, &visit.actor()).await {
        Ok(()) => Ok(Ok(())),
        Err(error) if is_refusal(&error) => Ok(Err(error.to_string())),
        Err(error) => Err(error),
    }
}

async fn settle(
    visit: &Visit,
    changed: Result<Result<(), String>, AuthzError>,
    (question, expects): (Question, bool),
) -> Response {
    match changed {
        Ok(Ok(())) => visit.see("/tests"),
        Ok(Err(problem)) => page(visit, Some((question, expects, problem))).await,
        Err(error) => failed(&error),
    }
}

pub(crate) fn samples() -> Vec<Tests> {
    let (head, frame) = Head::sample("/tests");
    let test = |expects, answer: Result<bool, String>| Test {
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
        test(true, Ok(true)),
        test(false, Ok(true)),
        test(true, Err("relation 'x' not found".to_owned())),
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
