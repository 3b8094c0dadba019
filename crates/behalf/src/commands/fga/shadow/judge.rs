//! Asks the one server what a client asked the other, compares, and tells what differs. A difference
//! counts only when it stays once the copy has caught up and both were asked again.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use behalf_core::Clock as _;
use behalf_verify::sha256_hex;
use bytes::Bytes;
use http::{Method, StatusCode};
use indicatif::ProgressBar;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};

use super::compare::{Operation, Seen, Verdict, compare, revision_of};
use super::figures::Summary;
use super::follow::Follower;
use super::proxy::Sample;
use crate::cli::fga::AnswerFrom;
use crate::output::{complain, plain};
use crate::server_client::{ServerCall, ServerClient};
use crate::system::SystemClock;

/// Questions that are looked at at once.
pub(super) const WORKERS: usize = 8;
/// Differences that wait for the copy at once.
const SETTLING: usize = 64;
/// How often both are asked again before a difference counts.
const ATTEMPTS: u32 = 3;
/// Questions that the report has at most.
const MAX_REPORTED: usize = 100_000;
/// Answers in the report are this large at most, in bytes.
const MAX_ANSWER: usize = 64 * 1024;
/// Differences that are told on the terminal.
const MAX_TOLD: usize = 1_000;

/// Who compares.
pub(super) struct Judge {
    pub(super) ours: ServerClient,
    /// The upstream, asked with the operator's own token: no client's is kept.
    pub(super) upstream: ServerClient,
    /// Whose answers clients get.
    pub(super) from: AnswerFrom,
    pub(super) summary: Arc<Summary>,
    pub(super) follower: Arc<Follower>,
    pub(super) bar: ProgressBar,
    report: Mutex<Report>,
    settling: Arc<Semaphore>,
}

/// The file of differences, and what is in it already.
struct Report {
    file: Option<File>,
    questions: HashSet<String>,
}

/// The answers of both.
#[derive(Clone)]
struct Both {
    upstream: Seen,
    ours: Seen,
}

impl Judge {
    pub(super) fn new(
        (ours, upstream, from): (ServerClient, ServerClient, AnswerFrom),
        summary: Arc<Summary>,
        follower: Arc<Follower>,
        bar: ProgressBar,
        report: Option<&Path>,
    ) -> anyhow::Result<Arc<Self>> {
        let open = |path: &Path| {
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
            file.with_context(|| format!("cannot write {}", path.display()))
        };
        let file = report.map(open).transpose()?;
        let report = Mutex::new(Report { file, questions: HashSet::new() });
        let settling = Arc::new(Semaphore::new(SETTLING));
        Ok(Arc::new(Self { ours, upstream, from, summary, follower, bar, report, settling }))
    }

    /// Compares what comes, until nothing more does.
    pub(super) async fn run(
        self: Arc<Self>,
        samples: Arc<tokio::sync::Mutex<mpsc::Receiver<Sample>>>,
        tasks: tokio_util::task::TaskTracker,
    ) {
        loop {
            let sample = samples.lock().await.recv().await;
            let Some(sample) = sample else { return };
            self.look(sample, &tasks).await;
        }
    }

    async fn look(self: &Arc<Self>, sample: Sample, tasks: &tokio_util::task::TaskTracker) {
        let question: Value = serde_json::from_slice(&sample.question).unwrap_or_default();
        let operation = sample.operation;
        let other = self.other();
        let Some(answer) = self.ask(other, &sample).await else { return };
        self.summary.took(operation, other, answer.took);
        let both = self.both(sample.seen.clone(), answer);
        let verdict = compare(operation, &question, &both.upstream, &both.ours);
        if !matches!(verdict, Verdict::Different { .. }) {
            return self.count(operation, &verdict);
        }
        // Others go on meanwhile.
        let Ok(place) = Arc::clone(&self.settling).try_acquire_owned() else {
            return self.summary.shed.add();
        };
        let this = Arc::clone(self);
        drop(tasks.spawn(async move {
            this.settle(sample, question, both, verdict).await;
            drop(place);
        }));
    }

    /// The server that clients do not hear of.
    const fn other(&self) -> AnswerFrom {
        match self.from {
            AnswerFrom::Upstream => AnswerFrom::Behalf,
            AnswerFrom::Behalf => AnswerFrom::Upstream,
        }
    }

    /// What the client's server answered and what the other did, by their names.
    const fn both(&self, answer: Seen, other: Seen) -> Both {
        match self.from {
            AnswerFrom::Upstream => Both { upstream: answer, ours: other },
            AnswerFrom::Behalf => Both { upstream: other, ours: answer },
        }
    }

    fn count(&self, operation: Operation, verdict: &Verdict) {
        self.summary.add(operation, |figures| match verdict {
            Verdict::Same => figures.same.add(),
            Verdict::Different { .. } => figures.different.add(),
            Verdict::Truncated => figures.truncated.add(),
            Verdict::Incomparable(_) => figures.incomparable.add(),
        });
    }

    /// Asks both again once the copy has caught up. What was different then is.
    async fn settle(&self, sample: Sample, question: Value, mut both: Both, mut verdict: Verdict) {
        let operation = sample.operation;
        let same =
            |one: &Seen, other: &Seen| compare(operation, &question, one, other) == Verdict::Same;
        for _attempt in 0..ATTEMPTS {
            if !self.follower.catch_up().await {
                break;
            }
            // Between two answers that are the same, the other has no excuse.
            let before = self.ask(self.from, &sample).await;
            let Some(other) = self.ask(self.other(), &sample).await else { return };
            let after = self.ask(self.from, &sample).await;
            let is_steady = match (&before, &after) {
                (Some(before), Some(after)) => same(before, after),
                _ => false,
            };
            both = self.both(after.unwrap_or_else(|| sample.seen.clone()), other);
            verdict = compare(operation, &question, &both.upstream, &both.ours);
            if !matches!(verdict, Verdict::Different { .. }) {
                return self.summary.add(operation, |figures| figures.settled.add());
            }
            if is_steady {
                break;
            }
        }
        self.count(operation, &verdict);
        if let Verdict::Different { what, explain } = &verdict {
            self.report(&sample, &question, &both, (what, explain)).await;
        }
    }

    /// Asks one of both what the client asked; nothing when it does not answer.
    async fn ask(&self, server: AnswerFrom, sample: &Sample) -> Option<Seen> {
        let asked = Instant::now();
        let (client, name, failures) = match server {
            AnswerFrom::Behalf => {
                (&self.ours, sample.operation.asked_as(), &self.summary.behalf_failures)
            }
            AnswerFrom::Upstream => {
                (&self.upstream, sample.operation.name(), &self.summary.upstream_failures)
            }
        };
        let path = ["stores", &sample.store, name];
        let answer = client.call(&post(&path, sample.question.clone())).await;
        let answer = answer.ok().filter(|answer| {
            // Who only asks again with the operator's token has an answer already.
            let may_not = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            !may_not && !answer.status.is_server_error()
        });
        let Some(answer) = answer else {
            if server == self.other() {
                failures.add();
            }
            return None;
        };
        let mut took = asked.elapsed();
        if server == self.from {
            // A list that was cut off after its time is not known by a faster answer.
            took = took.max(sample.seen.took);
        }
        let revision = revision_of(&answer.headers);
        Some(Seen { status: answer.status, body: answer.body, took, revision })
    }

    /// Writes a difference, with our reasons.
    async fn report(
        &self,
        sample: &Sample,
        question: &Value,
        both: &Both,
        (what, explain): (&Value, &[Value]),
    ) {
        let digest = sha256_hex(
            &[
                sample.store.as_bytes(),
                sample.operation.name().as_bytes(),
                sample.question.as_ref(),
            ]
            .join(&b' '),
        );
        if !self.is_new(digest) {
            return self.summary.unreported.add();
        }
        let mut reasons = Vec::new();
        for check in explain {
            let path = ["stores", &sample.store, "behalf", "explain"];
            let why = self.ours.ask(&ServerCall::post(&path, check)).await;
            let why = why.unwrap_or_else(|error| json!({"error": plain(&error.to_string())}));
            reasons.push(json!({"check": check, "explain": why}));
        }
        let line = json!({
            "time": SystemClock.now().to_rfc3339(),
            "store_id": sample.store,
            "operation": sample.operation.name(),
            "question": question,
            "difference": what,
            "upstream": shown(&both.upstream),
            "behalf": shown(&both.ours),
            "reasons": reasons,
        });
        self.write(&line);
    }

    /// False if the question was told before, or there is no more room.
    fn is_new(&self, digest: String) -> bool {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.questions.len() < MAX_REPORTED && report.questions.insert(digest)
    }

    fn write(&self, line: &Value) {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &mut report.file
            && let Err(error) = writeln!(file, "{line}")
        {
            self.bar.suspend(|| complain!("the report cannot be written: {error}"));
        }
        if report.questions.len() <= MAX_TOLD {
            let of = |name: &str| line.get(name).map(Value::to_string).unwrap_or_default();
            let text = format!("{} {}: {}", of("operation"), of("question"), of("difference"));
            let text: String = plain(&text).chars().take(500).collect();
            self.bar.suspend(|| complain!("differs: {text}"));
        }
    }
}

fn post<'a>(path: &[&'a str], body: Bytes) -> ServerCall<'a> {
    ServerCall { method: Method::POST, body, ..ServerCall::get(path) }
}

fn shown(seen: &Seen) -> Value {
    let is_small = seen.body.len() <= MAX_ANSWER;
    let body = String::from_utf8_lossy(&seen.body);
    let answer = match serde_json::from_slice::<Value>(&seen.body) {
        Ok(answer) if is_small => answer,
        Err(_) if is_small => Value::from(body.into_owned()),
        _ => Value::Null,
    };
    let millis = Duration::as_secs_f64(&seen.took) * 1_000.0;
    let mut shown = json!({
        "status": seen.status.as_u16(),
        "answer": answer,
        "answer_bytes": seen.body.len(),
        "took_ms": (millis * 1_000.0).round() / 1_000.0,
    });
    if let (Some(revision), Some(shown)) = (seen.revision, shown.as_object_mut()) {
        shown.insert("revision".to_owned(), revision.into());
    }
    shown
}
