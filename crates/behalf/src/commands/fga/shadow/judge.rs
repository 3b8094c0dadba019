//! Asks our server what a client asked the upstream, compares, and tells what differs. A difference
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

use super::compare::{Operation, Seen, Verdict, compare};
use super::figures::Summary;
use super::follow::Follower;
use super::proxy::Sample;
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

/// What our server answered.
struct Ours {
    seen: Seen,
    revision: Option<u64>,
}

impl Judge {
    pub(super) fn new(
        ours: ServerClient,
        upstream: ServerClient,
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
        Ok(Arc::new(Self { ours, upstream, summary, follower, bar, report, settling }))
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
        let Some(ours) = self.ask_ours(&sample).await else { return };
        self.summary.add(operation, |figures| figures.behalf.add(ours.seen.took));
        let verdict = compare(operation, &question, &sample.seen, &ours.seen);
        if !matches!(verdict, Verdict::Different { .. }) {
            return self.count(operation, &verdict);
        }
        // Others go on meanwhile.
        let Ok(place) = Arc::clone(&self.settling).try_acquire_owned() else {
            return self.summary.shed.add();
        };
        let this = Arc::clone(self);
        drop(tasks.spawn(async move {
            this.settle(sample, question, ours, verdict).await;
            drop(place);
        }));
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
    async fn settle(&self, sample: Sample, question: Value, mut ours: Ours, mut verdict: Verdict) {
        let operation = sample.operation;
        let mut theirs = sample.seen.clone();
        for _attempt in 0..ATTEMPTS {
            if !self.follower.catch_up().await {
                break;
            }
            // Between two answers of the upstream that are the same, ours has no excuse.
            let before = self.ask_upstream(&sample).await;
            let Some(again) = self.ask_ours(&sample).await else { return };
            let after = self.ask_upstream(&sample).await;
            ours = again;
            if let (Some(before), Some(after)) = (before, after) {
                let is_steady = compare(operation, &question, &before, &after) == Verdict::Same;
                theirs = after;
                verdict = compare(operation, &question, &theirs, &ours.seen);
                if is_steady && matches!(verdict, Verdict::Different { .. }) {
                    break;
                }
            } else {
                verdict = compare(operation, &question, &theirs, &ours.seen);
            }
            if !matches!(verdict, Verdict::Different { .. }) {
                return self.summary.add(operation, |figures| figures.settled.add());
            }
        }
        self.count(operation, &verdict);
        if let Verdict::Different { what, explain } = &verdict {
            self.report(&sample, &question, &theirs, &ours, (what, explain)).await;
        }
    }

    async fn ask_ours(&self, sample: &Sample) -> Option<Ours> {
        let asked = Instant::now();
        let path = ["stores", &sample.store, sample.operation.asked_as()];
        match self.ours.call(&post(&path, sample.question.clone())).await {
            Ok(answer) if !answer.status.is_server_error() => {
                let revision = answer.revision();
                let took = asked.elapsed();
                let seen = Seen { status: answer.status, body: answer.body, took };
                Some(Ours { seen, revision })
            }
            Ok(_) | Err(_) => {
                self.summary.behalf_failures.add();
                None
            }
        }
    }

    async fn ask_upstream(&self, sample: &Sample) -> Option<Seen> {
        let asked = Instant::now();
        let path = ["stores", &sample.store, sample.operation.name()];
        let answer = self.upstream.call(&post(&path, sample.question.clone())).await.ok()?;
        let may_not = matches!(answer.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        let took = asked.elapsed().max(sample.seen.took);
        (!may_not).then_some(Seen { status: answer.status, body: answer.body, took })
    }

    /// Writes a difference, with our reasons.
    async fn report(
        &self,
        sample: &Sample,
        question: &Value,
        theirs: &Seen,
        ours: &Ours,
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
            "upstream": shown(theirs, None),
            "behalf": shown(&ours.seen, ours.revision),
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

fn shown(seen: &Seen, revision: Option<u64>) -> Value {
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
    if let (Some(revision), Some(shown)) = (revision, shown.as_object_mut()) {
        shown.insert("revision".to_owned(), revision.into());
    }
    shown
}
