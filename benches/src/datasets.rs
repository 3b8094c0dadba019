//! Every dataset, asked in process, over HTTP and over gRPC, on a Behalf of its own or on any
//! OpenFGA address.
//!
//! Answers are compared with those that follow from how the set was made: a wrong one of ours ends
//! the run, another's are counted, as a server may cut its lists by its settings.

#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "figures for people, and the numbers of a dataset, far below every bound"
)]

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use behalf_fga::{
    AuthorizationModel, Change, CheckRequest, FgaStore, ListObjectsRequest, ListUsersRequest,
    PageRequest, RequestContext, Snapshot, StoreModel, TupleKey, UserFilter,
};

use crate::load::{self, Connection, Times, Worker};
use crate::report::{Budget, Report};
use crate::scenario::{Answer, Ask, Question, Scenario};
use crate::server::Server;
use crate::target::{Channel, Store, Target, grpc_answer, http_answer};

/// Questions whose answers are compared.
const COMPARED: u64 = 500;
/// Different questions of a load; they come again and again.
pub(crate) const QUESTIONS: u64 = 20_000;
const CONNECTIONS: usize = 64;
/// gRPC's clients share connections.
const CHANNELS: usize = 8;
/// Of the rate that was found.
pub(crate) const OPEN_LOAD: f64 = 0.7;
const WRITERS: usize = 8;
/// Tuples of a write.
const CHUNK: usize = 100;
const VISIBLE: usize = 200;

pub(crate) const SETUP: &str = r#"
fga:
  api_keys: [{name: bench, key: "bench-key", stores: ["*"], scopes: ["read:fga", "check:fga", "write:fga", "admin:fga"]}]
"#;

/// What the command line says of it.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// Only this one.
    pub(crate) scenario: Option<String>,
    /// About how many tuples the scalable sets have.
    pub(crate) tuples: u64,
    /// Where to ask; a Behalf of its own when there is none.
    pub(crate) target: Option<Target>,
    pub(crate) length: Duration,
}

pub(crate) async fn measure(report: &mut Report, wanted: &Wanted) -> anyhow::Result<()> {
    let all = || crate::scenario::all(wanted.scenario.as_deref(), wanted.tuples);
    ensure!(!all().is_empty(), "no scenario of that name");
    if wanted.target.is_none() {
        for scenario in all() {
            in_process(report, scenario, wanted.length)?;
        }
    }
    for scenario in all() {
        over_the_wire(report, scenario, wanted).await?;
    }
    Ok(())
}

fn in_process(report: &mut Report, scenario: Scenario, length: Duration) -> anyhow::Result<()> {
    let name = scenario.name;
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(scenario.model)?)?;
    let mut tuples = scenario.tuples.map(Change::Write);
    let mut took = Duration::ZERO;
    loop {
        let changes: Vec<Change> = tuples.by_ref().take(1_000).collect();
        if changes.is_empty() {
            break;
        }
        let begun = Instant::now();
        store.apply(&changes)?;
        took += begun.elapsed();
    }
    let snapshot = store.snapshot();
    let count = snapshot.tuple_count();
    let footprint = snapshot.footprint();
    let per_tuple = footprint.bytes() as f64 / count as f64;
    let what = format!("{name}: import of {count} tuples in process");
    report.row(&what, count as f64 / took.as_secs_f64(), "/s", Budget::AtLeast(100_000.0));
    report.row(&format!("{name}: memory per tuple"), per_tuple, "B", Budget::None);
    let context = RequestContext { context: Some(&scenario.context), ..RequestContext::default() };
    let questions: Vec<Question> = (0..QUESTIONS).map(&scenario.question).collect();
    for question in questions.iter().take(COMPARED as usize) {
        let answer = answer(&snapshot, &model, context, &question.ask)?;
        ensure!(answer == question.answer, "{name}: {question:?}: {answer:?}");
    }
    let mut times = Vec::new();
    let begun = Instant::now();
    for question in questions.iter().cycle() {
        if begun.elapsed() >= length {
            break;
        }
        let asked = Instant::now();
        std::hint::black_box(answer(&snapshot, &model, context, &question.ask)?);
        times.push(asked.elapsed());
    }
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    report.row(&format!("{name}: in process"), rate, "/s", Budget::None);
    percentiles(report, &format!("{name}: in process"), &Times::of(times))
}

fn answer(
    snapshot: &Snapshot,
    model: &StoreModel,
    request: RequestContext<'_>,
    ask: &Ask,
) -> anyhow::Result<Answer> {
    Ok(match ask {
        Ask::Check { user, relation, object } => {
            let check = CheckRequest { user, relation, object, request };
            Answer::Is(snapshot.check(model, &check)?)
        }
        Ask::Batch { relation, pairs } => {
            let checks: Vec<CheckRequest<'_>> = pairs
                .iter()
                .map(|(user, object)| CheckRequest { user, relation, object, request })
                .collect();
            let answers = snapshot.batch_check(model, &checks).into_iter();
            Answer::Each(answers.collect::<Result<_, _>>()?)
        }
        Ask::Objects { user, relation, of } => {
            let list = ListObjectsRequest { user, relation, object_type: of, request };
            Answer::Count(snapshot.list_objects(model, &list)?.len())
        }
        Ask::Users { object: (kind, id), relation, of } => {
            let object = format!("{kind}:{id}");
            let list = ListUsersRequest {
                object: &object,
                relation,
                filter: UserFilter { type_name: of, relation: None },
                request,
            };
            let users = snapshot.list_users(model, &list, &PageRequest::default())?;
            Answer::Count(users.items.len())
        }
    })
}

async fn over_the_wire(
    report: &mut Report,
    scenario: Scenario,
    wanted: &Wanted,
) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let server = match &wanted.target {
        Some(_) => None,
        None => Some(Server::start_apart(dir.path(), SETUP).await?),
    };
    let target = match (&wanted.target, &server) {
        (Some(target), _) => target.clone(),
        (None, Some(server)) => Target {
            http: server.address.clone(),
            grpc: server.address.clone(),
            token: Some("bench-key".to_owned()),
        },
        (None, None) => anyhow::bail!("nobody to ask"),
    };
    let Scenario { name, model, tuples, question, context } = scenario;
    let store = Store::create(&target, &format!("bench {name}"), model, context).await?;
    fill(report, name, &store, tuples).await?;
    let questions: Rc<[Question]> = (0..QUESTIONS).map(question).collect();
    compare(report, name, &store, &questions, server.is_some()).await?;
    let length = wanted.length;
    let rate = load::closed(http_workers(&store, &questions).await?, length).await?;
    report.row(&format!("{name}: over HTTP"), rate, "/s", Budget::None);
    let workers = http_workers(&store, &questions).await?;
    let times = load::open(workers, rate * OPEN_LOAD, length).await?;
    percentiles(report, &format!("{name}: over HTTP at 70 %"), &times)?;
    let workers = grpc_workers(&store, &questions).await?;
    let rate = load::closed(workers, length).await?;
    report.row(&format!("{name}: over gRPC"), rate, "/s", Budget::None);
    let workers = grpc_workers(&store, &questions).await?;
    let times = load::open(workers, rate * OPEN_LOAD, length).await?;
    percentiles(report, &format!("{name}: over gRPC at 70 %"), &times)?;
    visible(report, name, &store, &questions).await?;
    if let Some(server) = server {
        report.row(&format!("{name}: server's memory"), server.resident_mb()?, "MB", Budget::None);
        drop(server);
        let server = Server::start(dir.path(), SETUP).await?;
        let target = Target {
            http: server.address.clone(),
            grpc: server.address.clone(),
            ..store.target.clone()
        };
        let store = Store { target, ..store };
        let begun = Instant::now();
        ask_first(&store, &questions).await?;
        let took = server.started_in + begun.elapsed();
        report.row(&format!("{name}: cold start"), took.as_secs_f64(), "s", Budget::AtMost(3.0));
    }
    Ok(())
}

/// Writes the set, a hundred tuples at a time, over some connections.
pub(crate) async fn fill(
    report: &mut Report,
    name: &str,
    store: &Store,
    tuples: Box<dyn Iterator<Item = TupleKey>>,
) -> anyhow::Result<()> {
    let tuples = Rc::new(std::cell::RefCell::new(tuples));
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for _writer in 0..WRITERS {
        let (store, tuples) = (store.clone(), Rc::clone(&tuples));
        tasks.push(tokio::task::spawn_local(async move {
            let mut connection = Connection::open(&store.target.http).await?;
            let mut written = 0;
            loop {
                let chunk: Vec<TupleKey> = tuples.borrow_mut().by_ref().take(CHUNK).collect();
                if chunk.is_empty() {
                    return anyhow::Ok(written);
                }
                store.write(&mut connection, &chunk).await?;
                written += chunk.len();
            }
        }));
    }
    let mut written = 0;
    for task in tasks {
        written += task.await??;
    }
    let rate = written as f64 / begun.elapsed().as_secs_f64();
    let what = format!("{name}: {written} tuples written over HTTP by {CHUNK}");
    report.row(&what, rate, "/s", Budget::None);
    Ok(())
}

/// Compares answers with those that must come, over both ways. An error of another server's is an
/// answer that is wrong.
pub(crate) async fn compare(
    report: &mut Report,
    name: &str,
    store: &Store,
    questions: &[Question],
    is_ours: bool,
) -> anyhow::Result<()> {
    let mut connection = Connection::open(&store.target.http).await?;
    let mut channel = Channel::open(&store.target).await?;
    let (mut right, mut asked) = (0_u32, 0_u32);
    for Question { ask, answer } in questions.iter().take(COMPARED as usize) {
        let body = connection.ask(&store.http_request(ask)).await?;
        let by_http = http_answer(ask, &body.body);
        let (method, message) = store.grpc_request(ask)?;
        let by_grpc = channel.call(method, message).await;
        for got in [by_http, by_grpc.and_then(|message| grpc_answer(ask, message))] {
            asked += 1;
            let is_right = got.as_ref().is_ok_and(|got| got == answer);
            right += u32::from(is_right);
            ensure!(!is_ours || is_right, "{name}: {ask:?}: {got:?}, not {answer:?}");
        }
    }
    let what = format!("{name}: right of {asked} answers");
    report.row(&what, f64::from(right) * 100.0 / f64::from(asked), "%", Budget::AtLeast(100.0));
    Ok(())
}

pub(crate) async fn http_workers(
    store: &Store,
    questions: &[Question],
) -> anyhow::Result<Vec<impl Worker>> {
    let requests: Rc<[Vec<u8>]> =
        questions.iter().map(|question| store.http_request(&question.ask)).collect();
    let mut workers = Vec::new();
    for _connection in 0..CONNECTIONS {
        let mut connection = Connection::open(&store.target.http).await?;
        let requests = Rc::clone(&requests);
        workers.push(async move |number: u64| {
            let request = requests.get(number as usize % requests.len()).context("no request")?;
            let answer = connection.ask(request).await?;
            ensure!(answer.status == 200, "{}", String::from_utf8_lossy(&answer.body));
            Ok(())
        });
    }
    Ok(workers)
}

pub(crate) async fn grpc_workers(
    store: &Store,
    questions: &[Question],
) -> anyhow::Result<Vec<impl Worker>> {
    let requests = questions.iter().map(|question| store.grpc_request(&question.ask));
    let requests: Rc<[_]> = requests.collect::<anyhow::Result<Vec<_>>>()?.into();
    let mut channels = Vec::new();
    for _channel in 0..CHANNELS {
        channels.push(Channel::open(&store.target).await?);
    }
    let mut workers = Vec::new();
    for channel in channels.iter().cycle().take(CONNECTIONS) {
        let (mut channel, requests) = (channel.clone(), Rc::clone(&requests));
        workers.push(async move |number: u64| {
            let request = requests.get(number as usize % requests.len());
            let (method, message) = request.context("no request")?;
            channel.call(method, message.clone()).await.map(drop)
        });
    }
    Ok(workers)
}

/// From a write to the first check that sees it.
async fn visible(
    report: &mut Report,
    name: &str,
    store: &Store,
    questions: &[Question],
) -> anyhow::Result<()> {
    // A relation that takes plain users, by a question that the set answers with no.
    let denied = questions.iter().find_map(|question| match (&question.ask, &question.answer) {
        (Ask::Check { user, relation, object }, Answer::Is(false)) => {
            (*relation == "viewer" && user.starts_with("user:")).then(|| (relation, object.clone()))
        }
        _ => None,
    });
    let Some((relation, object)) = denied else { return Ok(()) };
    let mut connection = Connection::open(&store.target.http).await?;
    let mut times = Vec::new();
    for n in 0..VISIBLE {
        let user = format!("user:visible-{n}");
        let ask = Ask::Check { user: user.clone(), relation, object: object.clone() };
        let check = store.http_request(&ask);
        let begun = Instant::now();
        let tuple = TupleKey::new(user, *relation, object.clone());
        if n == 0 && store.write(&mut connection, std::slice::from_ref(&tuple)).await.is_err() {
            return Ok(());
        }
        if n > 0 {
            store.write(&mut connection, &[tuple]).await?;
        }
        loop {
            let answer = connection.ask(&check).await?;
            if http_answer(&ask, &answer.body)? == Answer::Is(true) {
                break;
            }
            ensure!(begun.elapsed() < Duration::from_secs(30), "a write never became visible");
        }
        times.push(begun.elapsed());
    }
    percentiles(report, &format!("{name}: write to visible"), &Times::of(times))
}

async fn ask_first(store: &Store, questions: &[Question]) -> anyhow::Result<()> {
    let Question { ask, answer } = questions.first().context("no question")?;
    let mut connection = Connection::open(&store.target.http).await?;
    let got = connection.ask(&store.http_request(ask)).await?;
    let got = http_answer(ask, &got.body)?;
    ensure!(got == *answer, "after the start: {got:?}, not {answer:?}");
    Ok(())
}

fn percentiles(report: &mut Report, what: &str, times: &Times) -> anyhow::Result<()> {
    for (name, part) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)] {
        let time = times.within(part)?;
        let (figure, unit) = match time.as_secs_f64() {
            seconds if seconds < 1e-3 => (seconds * 1e6, "us"),
            seconds => (seconds * 1e3, "ms"),
        };
        report.row(&format!("{what}, {name}"), figure, unit, Budget::None);
    }
    Ok(())
}
