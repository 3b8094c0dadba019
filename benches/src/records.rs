//! Spans taken in and events made leaves, in process and durably on the embedded store.

use std::sync::Arc;
use std::time::{Duration, Instant};

use behalf_core::{
    Actor, Clock, DangerousSeededRng, Event, EventKind, ProjectId, Rng, TenantId, Timestamp,
};
use behalf_crypto::envelope::{Keyring, RootKey};
use behalf_ledger::{Ledger, LedgerParts};
use behalf_store::{SqliteOptions, Storage, UnitOfWork};
use behalf_traces::{Span, SpanKind, SpanStatus, Traces, TracesParts};
use serde_json::{Map, Value, json};

use crate::report::{Budget, Report};

/// How long spans are sent.
const LENGTH: Duration = Duration::from_secs(5);
const SENDERS: u64 = 16;
const SPANS_PER_BATCH: u32 = 100;
/// What the budget asks for.
const SPAN_RATE: u32 = 10_000;
/// About this much text in a span.
const SPAN_BYTES: usize = 2_000;
const EVENTS: u32 = 50_000;
const EVENTS_PER_UNIT: u32 = 100;

/// The time of this machine.
#[derive(Debug)]
struct MachineClock;

impl Clock for MachineClock {
    #[expect(clippy::disallowed_methods, reason = "a measurement runs in real time")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let micros = since.map_or(0, |elapsed| elapsed.as_micros());
        Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
    }
}

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let clock: Arc<dyn Clock> = Arc::new(MachineClock);
    let rng: Arc<dyn Rng> = Arc::new(DangerousSeededRng::new(1));
    let storage = Storage::open_sqlite(dir.path(), SqliteOptions::default(), clock.now())?;
    let tenant = TenantId::default_tenant();
    let (keyring, _wrapped) =
        Keyring::create(&RootKey::generate(&*rng), &*rng, &[tenant.as_str()])?;
    let keyring = Arc::new(keyring);
    spans(report, &storage, &clock, &rng, &keyring).await?;
    leaves(report, &storage, &clock, &rng, &keyring).await?;
    storage.close().await;
    Ok(())
}

/// First senders that each wait for the acknowledgement of a batch before the next, for the rate;
/// then batches at the rate of the budget, each timed from when it was due.
async fn spans(
    report: &mut Report,
    storage: &Storage,
    clock: &Arc<dyn Clock>,
    rng: &Arc<dyn Rng>,
    keyring: &Arc<Keyring>,
) -> anyhow::Result<()> {
    let traces = Traces::new(TracesParts {
        storage: storage.clone(),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
        tenant: TenantId::default_tenant(),
        keyring: Arc::clone(keyring),
    });
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for sender in 0..SENDERS {
        let (traces, clock) = (traces.clone(), Arc::clone(clock));
        tasks.spawn(async move {
            let mut count: u32 = 0;
            while begun.elapsed() < LENGTH {
                let batch = batch(sender << 32 | u64::from(count), clock.now());
                traces.append(&ProjectId::default_project(), None, batch).await?;
                count += 1;
            }
            anyhow::Ok(count)
        });
    }
    let mut batches: u32 = 0;
    while let Some(done) = tasks.join_next().await {
        batches += done??;
    }
    let rate = f64::from(batches * SPANS_PER_BATCH) / begun.elapsed().as_secs_f64();
    let what = "spans of 2 KB taken in, sealed and listed";
    report.row(what, rate, "/s", Budget::AtLeast(SPAN_RATE.into()));

    let step = Duration::from_secs(1) / (SPAN_RATE / SPANS_PER_BATCH);
    let mut every = tokio::time::interval(step);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let begun = Instant::now();
    let mut number = SENDERS << 32;
    while begun.elapsed() < LENGTH {
        let due = every.tick().await;
        let (traces, batch) = (traces.clone(), batch(number, clock.now()));
        number += 1;
        tasks.spawn(async move {
            traces.append(&ProjectId::default_project(), None, batch).await?;
            Ok(u32::try_from(due.elapsed().as_micros())?)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.push(done??);
    }
    times.sort_unstable();
    let p99 = f64::from(times.get(times.len() * 99 / 100).copied().unwrap_or_default()) / 1e3;
    let what = format!("a batch acknowledged at {SPAN_RATE} spans/s, p99");
    report.row(&what, p99, "ms", Budget::AtMost(50.0));
    Ok(())
}

/// A run of a model with its calls, as the built-in agent writes it.
fn batch(number: u64, now: Timestamp) -> Vec<Span> {
    let trace_id = u128::from(number).to_be_bytes();
    let root = 1_u64.to_be_bytes();
    (1..=u64::from(SPANS_PER_BATCH))
        .map(|n| Span {
            trace_id,
            span_id: n.to_be_bytes(),
            parent_span_id: (n > 1).then_some(root),
            name: "chat scripted".to_owned(),
            kind: SpanKind::Model,
            start: now,
            end: now,
            status: SpanStatus::default(),
            attributes: attributes(number.wrapping_mul(SPANS_PER_BATCH.into()).wrapping_add(n)),
        })
        .collect()
}

fn attributes(number: u64) -> Map<String, Value> {
    let words = ["agent", "gist", "owner", "river", "seven", "paper", "light", "north"];
    let mut text = String::with_capacity(SPAN_BYTES + 16);
    let mut state = number;
    while text.len() < SPAN_BYTES {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        let at = usize::try_from(state >> 61).unwrap_or_default();
        text.push_str(words.get(at).copied().unwrap_or_default());
        text.push(' ');
    }
    let all = json!({
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "scripted",
        "gen_ai.usage.input_tokens": 812,
        "gen_ai.usage.output_tokens": 64,
        "gen_ai.output.messages": text,
    });
    all.as_object().cloned().unwrap_or_default()
}

/// Events that wait in the outbox, turned into leaves under a signed checkpoint.
async fn leaves(
    report: &mut Report,
    storage: &Storage,
    clock: &Arc<dyn Clock>,
    rng: &Arc<dyn Rng>,
    keyring: &Arc<Keyring>,
) -> anyhow::Result<()> {
    let tenant = TenantId::default_tenant();
    let ledger = Ledger::open(LedgerParts {
        storage: storage.clone(),
        clock: Arc::clone(clock),
        rng: Arc::clone(rng),
        tenant: tenant.clone(),
        keyring: Arc::clone(keyring),
    })
    .await?;
    for _unit in 0..EVENTS / EVENTS_PER_UNIT {
        let mut unit = UnitOfWork::new(clock.now(), &**rng);
        for n in 0..EVENTS_PER_UNIT {
            let event = Event::new(&tenant, EventKind::SignInFailed, Actor::Anonymous);
            unit.record(&event.with("account", format!("account-{n}").as_str()));
        }
        storage.commit(unit).await?;
    }
    let begun = Instant::now();
    ledger.flush().await?;
    let rate = f64::from(EVENTS) / begun.elapsed().as_secs_f64();
    let grown = ledger.summary(&ProjectId::default_project()).await?;
    anyhow::ensure!(grown.size >= u64::from(EVENTS), "{} leaves of {EVENTS} events", grown.size);
    report.row("events made leaves and signed", rate, "/s", Budget::None);
    Ok(())
}
