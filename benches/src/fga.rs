//! The engine in process, on the `drive` dataset of one and of ten million tuples.
//!
//! A sample of the answers is compared with a naive evaluator; a difference ends the run. Means are
//! of CPU time, so that other programs on the machine count as little as possible; percentiles are
//! of the time that passed, with everything in it.
#![expect(
    clippy::cast_possible_truncation,
    reason = "figures and the numbers of a dataset, far below every bound"
)]

pub(crate) mod drive;

use std::hint::black_box;
use std::io::Seek as _;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use behalf_fga::{
    AuthorizationModel, Change, CheckRequest, FgaStore, ListObjectsRequest, RequestContext,
    Snapshot, SnapshotReader, StoreModel, TupleKey,
};
use serde_json::{Map, Value};

use crate::report::{Budget, Report};
use drive::Drive;

const SEED: u64 = 2026;
const CHECKS: u64 = 400_000;
const CHUNK: usize = 1_000;
/// One answer in so many is compared with the naive evaluator.
const SAMPLE: usize = 20;
/// One operation in so many is a write.
const WRITES: usize = 100;
const BATCHES: u64 = 200;
const BATCH: u64 = 1_000;
const LISTS: u64 = 200;
/// How often the lists are asked for.
const ROUNDS: usize = 5;

pub(crate) fn measure(report: &mut Report, tuples: u64) -> anyhow::Result<()> {
    let drive = Drive::new(SEED, tuples);
    let before = resident()?;
    let (mut store, model) = import(report, drive)?;
    let count = store.snapshot().tuple_count();
    let per_tuple = |bytes: u64| bytes as f64 / count as f64;
    let peak = resident()?.saturating_sub(before);
    report.row("memory at peak, per tuple", per_tuple(peak), "B", Budget::AtMost(64.0));
    let footprint = store.snapshot().footprint();
    report.row("of it names", per_tuple(footprint.names as u64), "B", Budget::None);
    report.row("of it edges", per_tuple(footprint.edges as u64), "B", Budget::None);
    report.row("of it conditions", per_tuple(footprint.guards as u64), "B", Budget::None);

    let by_group = drive.folders_by_group();
    let questions: Vec<(u64, u64)> = (0..CHECKS).map(|n| drive.question(n, &by_group)).collect();
    let texts: Vec<(String, String)> = questions
        .iter()
        .map(|(user, doc)| (drive.id("user", *user), drive.id("doc", *doc)))
        .collect();
    let values = Map::from_iter([("now".to_owned(), Value::from(drive::NOW))]);
    let request = RequestContext { context: Some(&values), ..RequestContext::default() };
    checks(report, drive, &mut store, &model, request, &questions, &texts)?;
    let snapshot = store.snapshot();
    names(report, &snapshot, &model, &texts)?;
    batches(report, drive, &snapshot, &model, request)?;
    lists(report, &snapshot, &model, request, drive)?;
    drop(snapshot);
    cold_start(report, store)
}

/// The whole store written into a file, let go, and read again.
fn cold_start(report: &mut Report, store: FgaStore) -> anyhow::Result<()> {
    let snapshot = store.snapshot();
    let count = snapshot.tuple_count();
    let mut file = tempfile::tempfile()?;
    let begun = Instant::now();
    snapshot.write_to("bench", &mut file)?;
    file.sync_all()?;
    report.row("snapshot written", begun.elapsed().as_secs_f64(), "s", Budget::None);
    let length = file.stream_position()?;
    let per_tuple = length as f64 / count as f64;
    report.row("its size, per tuple", per_tuple, "B", Budget::None);
    drop((snapshot, store));
    file.rewind()?;
    let begun = Instant::now();
    let read = SnapshotReader::open(file, length)?.read()?;
    ensure!(read.tuple_count() == count, "the snapshot has {} tuples", read.tuple_count());
    let what = format!("cold start from it, {count} tuples");
    report.row(&what, begun.elapsed().as_secs_f64(), "s", Budget::AtMost(3.0));
    Ok(())
}

fn import(report: &mut Report, drive: Drive) -> anyhow::Result<(FgaStore, Arc<StoreModel>)> {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(drive::MODEL)?)?;
    let mut tuples = drive.tuples().map(Change::Write);
    let mut seconds = 0.0;
    loop {
        // Making the texts is the dataset's work, not the engine's.
        let changes: Vec<Change> = tuples.by_ref().take(CHUNK).collect();
        if changes.is_empty() {
            break;
        }
        let begun = cpu_seconds()?;
        store.apply(&changes)?;
        seconds += cpu_seconds()? - begun;
    }
    let count = store.snapshot().tuple_count();
    let rate = count as f64 / seconds;
    report.row(&format!("import, {count} tuples"), rate, "/s", Budget::AtLeast(100_000.0));
    Ok((store, model))
}

fn checks(
    report: &mut Report,
    drive: Drive,
    store: &mut FgaStore,
    model: &StoreModel,
    request: RequestContext<'_>,
    questions: &[(u64, u64)],
    texts: &[(String, String)],
) -> anyhow::Result<()> {
    let mut snapshot = store.snapshot();
    let mut times = Vec::with_capacity(texts.len());
    let mut writes = Vec::new();
    let mut allowed = 0;
    for (n, ((user, doc), question)) in texts.iter().zip(questions).enumerate() {
        if n.is_multiple_of(WRITES) {
            // Written and taken back, so that the naive answers stay what they are.
            let folder = drive.id("folder", drive.mix(40, n as u64 / 2) % drive.folders);
            let tuple = TupleKey::new(format!("user:{n}"), "viewer", folder);
            let change = if (n / WRITES).is_multiple_of(2) {
                Change::Write(tuple)
            } else {
                Change::Delete(tuple.delete_key())
            };
            let begun = Instant::now();
            store.apply(&[change])?;
            snapshot = store.snapshot();
            writes.push(begun.elapsed().as_nanos() as u64);
        }
        let check = CheckRequest { user, relation: "viewer", object: doc, request };
        let begun = Instant::now();
        let is_allowed = snapshot.check(model, &check)?;
        times.push(begun.elapsed().as_nanos() as u64);
        allowed += usize::from(is_allowed);
        if n.is_multiple_of(SAMPLE) {
            let naive = drive.can_view(question.0, question.1);
            ensure!(is_allowed == naive, "{user} {doc}: {is_allowed}, naively {naive}");
        }
    }
    // The same questions once more without a look at the clock each time.
    let begun = cpu_seconds()?;
    for (user, doc) in texts {
        let check = CheckRequest { user, relation: "viewer", object: doc, request };
        allowed += usize::from(snapshot.check(model, &check)?);
    }
    let mean = (cpu_seconds()? - begun) * 1e6 / texts.len() as f64;
    let allowed = allowed / 2;
    let share = allowed as f64 / texts.len() as f64;
    report.row("check, mean", mean, "us", Budget::AtMost(2.5));
    report.row("check, p50", percentile(&mut times, 0.5)?, "us", Budget::None);
    report.row("check, p99", percentile(&mut times, 0.99)?, "us", Budget::AtMost(10.0));
    report.row("check, p99.9", percentile(&mut times, 0.999)?, "us", Budget::None);
    report.row("of them allowed", share * 100.0, "%", Budget::None);
    report.row("write to visible, p50", percentile(&mut writes, 0.5)?, "us", Budget::None);
    report.row("write to visible, p99", percentile(&mut writes, 0.99)?, "us", Budget::None);
    Ok(())
}

/// The part of a check that finds the two names, by asking a relation that nobody can have.
fn names(
    report: &mut Report,
    snapshot: &Snapshot,
    model: &StoreModel,
    texts: &[(String, String)],
) -> anyhow::Result<()> {
    let begun = cpu_seconds()?;
    for (user, doc) in texts {
        let request = RequestContext::default();
        let check = CheckRequest { user, relation: "parent", object: doc, request };
        black_box(snapshot.check(model, &check)?);
    }
    let mean = (cpu_seconds()? - begun) * 1e6 / texts.len() as f64;
    report.row("finding the names of a check, mean", mean, "us", Budget::None);
    Ok(())
}

/// Many documents for one user.
fn batches(
    report: &mut Report,
    drive: Drive,
    snapshot: &Snapshot,
    model: &StoreModel,
    request: RequestContext<'_>,
) -> anyhow::Result<()> {
    let sets: Vec<(u64, Vec<u64>)> = (0..BATCHES)
        .map(|n| {
            let docs = (0..BATCH).map(|k| drive.mix(51 + n, k) % drive.docs).collect();
            (drive.mix(50, n) % drive.users, docs)
        })
        .collect();
    let texts: Vec<(String, Vec<String>)> = sets
        .iter()
        .map(|(user, docs)| {
            (drive.id("user", *user), docs.iter().map(|doc| drive.id("doc", *doc)).collect())
        })
        .collect();
    let batches: Vec<Vec<CheckRequest<'_>>> = texts
        .iter()
        .map(|(user, docs)| {
            let check = |object| CheckRequest { user, relation: "viewer", object, request };
            docs.iter().map(|object| check(object)).collect()
        })
        .collect();
    // CPU time is counted in steps of milliseconds, so all batches are measured as one.
    let begun = cpu_seconds()?;
    let answers: Vec<_> =
        batches.iter().map(|checks| snapshot.batch_check(model, checks)).collect();
    let seconds = cpu_seconds()? - begun;
    for ((user, docs), answers) in sets.iter().zip(answers) {
        for (doc, answer) in docs.iter().zip(answers).step_by(SAMPLE) {
            let naive = drive.can_view(*user, *doc);
            ensure!(answer? == naive, "batch: {user} {doc}: naively {naive}");
        }
    }
    let items = BATCHES * BATCH;
    let item = seconds * 1e6 / items as f64;
    report.row("batch of 1,000, per item", item, "us", Budget::AtMost(0.6));
    Ok(())
}

/// The lists of the users who see most.
fn lists(
    report: &mut Report,
    snapshot: &Snapshot,
    model: &StoreModel,
    request: RequestContext<'_>,
    drive: Drive,
) -> anyhow::Result<()> {
    let users: Vec<String> =
        (0..LISTS).map(|n| drive.id("user", drive.mix(60, n) % drive.users)).collect();
    let list = |user| {
        let list = ListObjectsRequest { user, relation: "viewer", object_type: "doc", request };
        snapshot.list_objects(model, &list)
    };
    let (mut objects, mut longest) = (0, (0, ""));
    let begun = cpu_seconds()?;
    for _ in 0..ROUNDS {
        for user in &users {
            let found = list(user)?.len();
            objects += found;
            longest = longest.max((found, user));
        }
    }
    let all = (cpu_seconds()? - begun) * 1e9 / objects as f64;
    let begun = cpu_seconds()?;
    for _ in 0..LISTS {
        black_box(list(longest.1)?);
    }
    let figure = (cpu_seconds()? - begun) * 1e3 / LISTS as f64 * 1e5 / longest.0 as f64;
    for user in &users {
        if let Some(object) = list(user)?.first() {
            let check = CheckRequest { user, relation: "viewer", object, request };
            ensure!(snapshot.check(model, &check)?, "{user} is listed for {object}");
        }
    }
    let objects = objects / ROUNDS;
    report.row(&format!("list objects, {objects} in {LISTS} lists, each"), all, "ns", Budget::None);
    let what = format!("longest list, {} objects, per 100,000", longest.0);
    report.row(&what, figure, "ms", Budget::AtMost(50.0));
    Ok(())
}

/// A percentile in microseconds.
fn percentile(times: &mut [u64], part: f64) -> anyhow::Result<f64> {
    times.sort_unstable();
    let at = (times.len() as f64 * part) as usize;
    Ok(*times.get(at).context("nothing was measured")? as f64 / 1e3)
}

/// CPU time of this thread.
fn cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanos = text.split_whitespace().next().context("no schedstat")?;
    Ok(nanos.parse::<u64>()? as f64 / 1e9)
}

/// Bytes of this process in memory at their highest.
fn resident() -> anyhow::Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()).context("no VmHWM")?;
    Ok(kib.parse::<u64>()? * 1024)
}
