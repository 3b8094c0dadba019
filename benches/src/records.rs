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
const SPANS_PER_BATCH: u64 = 100;
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

/// Senders that each wait for the acknowledgement of a batch before the next.
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
            let mut acknowledged = Vec::new();
            while begun.elapsed() < LENGTH {
                let number = sender << 32 | u64::try_from(acknowledged.len())?;
                let batch = batch(number, clock.now());
                let sent = Instant::now();
                traces.append(&ProjectId::default_project(), None, batch).await?;
                acknowledged.push(sent.elapsed());
            }
            anyhow::Ok(acknowledged)
        });
    }
    let mut times = Vec::new();
    while let Some(done) = tasks.join_next().await {
        times.extend(done??);
    }
    let seconds = begun.elapsed().as_secs_f64();
    let count = f64::from(u32::try_from(times.len())?) * f64::from(u32::try_from(SPANS_PER_BATCH)?);
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).map_or(0.0, Duration::as_secs_f64) * 1e3;
    report.row(
        "spans of 2 KB taken in, sealed and listed",
        count / seconds,
        "/s",
        Budget::AtLeast(10_000.0),
    );
    report.row("a batch of 100 spans acknowledged, p99", p99, "ms", Budget::AtMost(50.0));
    Ok(())
}

/// A run of a model with its calls, as the built-in agent writes it.
fn batch(number: u64, now: Timestamp) -> Vec<Span> {
    let trace_id = u128::from(number).to_be_bytes();
    let root = 1_u64.to_be_bytes();
    (1..=SPANS_PER_BATCH)
        .map(|n| Span {
            trace_id,
            span_id: n.to_be_bytes(),
            parent_span_id: (n > 1).then_some(root),
            name: "chat scripted".to_owned(),
            kind: SpanKind::Model,
            start: now,
            end: now,
            status: SpanStatus::default(),
            attributes: attributes(number.wrapping_mul(SPANS_PER_BATCH).wrapping_add(n)),
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
