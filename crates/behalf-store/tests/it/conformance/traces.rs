//! Traces: sums that survive re-sent spans and writers at once, lists that page and filter alike.

use behalf_core::{ProjectId, TenantId};
use behalf_store::traces::{self, Cursor, Filter, Key, SpanRow};
use behalf_store::{Statement, Storage, UnitOfWork};

use super::{at, race, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    batches_are_counted_without_gaps_by_writers_at_once(storage).await;
    a_span_that_comes_again_is_counted_once(storage).await;
    traces_are_filtered_and_paged(storage).await;
    days_and_outcomes_are_summed(storage).await;
}

fn project() -> ProjectId {
    "default".parse().unwrap()
}

fn span(id: &str, parent: &str, name: &str, started: i64) -> SpanRow {
    SpanRow {
        span_id: id.to_owned(),
        parent_span_id: parent.to_owned(),
        name: name.to_owned(),
        kind: "model".to_owned(),
        status: "ok".to_owned(),
        waits: false,
        started_at: at(started),
        ended_at: at(started + 1),
        tool: String::new(),
        model: "gpt\u{0}".to_owned(),
        input_tokens: 10,
        output_tokens: 5,
        charge: 1,
        cost_micro_usd: 7,
        outcome: String::new(),
        sequence: 0,
        ordinal: 0,
    }
}

fn statements(tenant: &TenantId, owner: &str, trace_id: &str, spans: &[SpanRow]) -> Vec<Statement> {
    let project = project();
    let key = Key { tenant, project: &project, owner, trace_id };
    let body = vec![0; 8];
    let mut all = vec![
        traces::next_sequence(tenant, &project),
        traces::insert_batch(tenant, &project, owner, 1, body, at(1)),
    ];
    for span in spans {
        all.push(traces::put_trace(key, span, &span.status, None));
        all.push(traces::put_span(key, span, None));
        all.push(traces::put_tag(key, "model", &span.model));
    }
    all
}

fn add(unit: &mut UnitOfWork, statements: Vec<Statement>) {
    for statement in statements {
        unit.add(statement);
    }
}

async fn batches_are_counted_without_gaps_by_writers_at_once(storage: &Storage) {
    let tenant = tenant("batches");
    let write = |n| {
        let spans = [span(&format!("{n:016}"), "parent", "call", 100 - i64::try_from(n).unwrap())];
        statements(&tenant, "ann", "trace", &spans)
    };
    assert_eq!(race(storage, 16, "no precondition", write).await, 16);
    let batches = traces::list_batches(storage, &tenant, &project(), 0, 100).await.unwrap();
    let sequences: Vec<i64> = batches.iter().map(|batch| batch.sequence).collect();
    assert_eq!(sequences, (1..=16).collect::<Vec<_>>());
    let found = traces::find(storage, &tenant, &project(), "trace").await.unwrap();
    assert_eq!(found.len(), 1);
    let trace = &found[0];
    assert_eq!((trace.spans, trace.input_tokens, trace.output_tokens), (16, 160, 80));
    assert_eq!((trace.cost_micro_usd, trace.priced, trace.unpriced), (112, 16, 0));
    assert_eq!((trace.started_at, trace.ended_at), (at(85), at(101)));
    assert_eq!((trace.status.as_str(), trace.sequence), ("open", 16));
}

async fn a_span_that_comes_again_is_counted_once(storage: &Storage) {
    let tenant = tenant("resent");
    let root = span("root", "", "first name", 1);
    let renamed = SpanRow { name: "name\u{0}".to_owned(), cost_micro_usd: 9, ..root.clone() };
    let unpriced = SpanRow { charge: 2, cost_micro_usd: 0, ..renamed.clone() };
    for (seed, form) in [(1, &root), (2, &renamed), (3, &renamed), (4, &unpriced)] {
        let mut write = unit(3_500 + seed);
        let form = std::slice::from_ref(form);
        add(&mut write, statements(&tenant, "ann", "trace", form));
        storage.commit(write).await.unwrap();
    }
    let trace = traces::find(storage, &tenant, &project(), "trace").await.unwrap().remove(0);
    assert_eq!((trace.name.as_str(), trace.spans, trace.input_tokens), ("name\u{0}", 1, 10));
    assert_eq!((trace.cost_micro_usd, trace.priced, trace.unpriced), (0, 0, 1));
    let project = project();
    let key = Key { tenant: &tenant, project: &project, owner: "ann", trace_id: "trace" };
    let spans = traces::list_spans(storage, key).await.unwrap();
    assert_eq!(spans, [SpanRow { sequence: 4, ..unpriced }]);
    let tags = traces::list_tags(storage, &tenant, &project, &["trace", "a\u{0}b"]).await.unwrap();
    assert_eq!(tags.len(), 1);
    assert_eq!(tags[0].3, "gpt\u{0}");
}

async fn traces_are_filtered_and_paged(storage: &Storage) {
    let tenant = tenant("trace-lists");
    let rows = [
        ("ann", "a", "Load 100%", 1),
        ("bob", "a", "load 100x", 1),
        ("ann", "B", "École_x", 1),
        ("ann", "b", "école!y", 2),
        ("Ann", "c", "A\\B", 3),
    ];
    for (n, (owner, trace_id, name, time)) in rows.into_iter().enumerate() {
        let mut write = unit(3_510 + n as u64);
        let status = if trace_id == "c" { "waiting" } else { "ok" }.to_owned();
        let span = SpanRow { status, ..span("s", "", name, time) };
        add(&mut write, statements(&tenant, owner, trace_id, &[span]));
        storage.commit(write).await.unwrap();
    }
    let all =
        Filter { owner: "", status: "", tool: "", model: "", text: "", from: at(0), to: at(100) };
    let list = async |filter: Filter<'_>, cursor: Option<(i64, &str, &str)>, limit| {
        let cursor = cursor.map(|(time, trace_id, owner)| Cursor {
            started_at: at(time),
            trace_id: trace_id.to_owned(),
            owner: owner.to_owned(),
        });
        let project = project();
        let rows = traces::list(storage, &tenant, &project, filter, cursor.as_ref(), limit);
        let rows = rows.await.unwrap().into_iter();
        rows.map(|row| format!("{}/{}", row.owner, row.trace_id)).collect::<Vec<_>>()
    };
    assert_eq!(list(all, None, 9).await, ["Ann/c", "ann/b", "bob/a", "ann/a", "ann/B"]);
    assert_eq!(list(all, Some((1, "a", "bob")), 1).await, ["ann/a"]);
    assert_eq!(list(Filter { owner: "ann", ..all }, None, 2).await, ["ann/b", "ann/a"]);
    for (text, expected) in [
        ("load", &["bob/a", "ann/a"][..]),
        ("0%", &["ann/a"]),
        ("e_x", &["ann/B"]),
        ("e!y", &["ann/b"]),
        ("a\\b", &["Ann/c"]),
        ("école", &["ann/b"]),
    ] {
        assert_eq!(list(Filter { text, ..all }, None, 9).await, expected, "{text}");
    }
    assert_eq!(list(Filter { model: "gpt\u{0}", ..all }, None, 1).await, ["Ann/c"]);
    assert_eq!(list(Filter { model: "GPT\u{0}", ..all }, None, 1).await, [""; 0]);
    assert_eq!(list(Filter { status: "waiting", ..all }, None, 9).await, ["Ann/c"]);
    assert_eq!(list(Filter { status: "WAITING", ..all }, None, 9).await, [""; 0]);
    assert_eq!(list(Filter { status: "ok", owner: "bob", ..all }, None, 9).await, ["bob/a"]);
    assert_eq!(list(Filter { from: at(2), to: at(3), ..all }, None, 9).await, ["ann/b"]);
}

async fn days_and_outcomes_are_summed(storage: &Storage) {
    const DAY: i64 = 86_400;
    let tenant = tenant("days");
    let spans = [
        ("1", "ok", "Denied", DAY),
        ("2", "error", "Allowed", 2 * DAY - 1),
        ("3", "ok", "allowed", 2 * DAY),
        ("4", "ok", "", 3 * DAY),
    ];
    for (n, (id, status, outcome, time)) in spans.into_iter().enumerate() {
        let mut write = unit(3_520 + n as u64);
        let (status, outcome) = (status.to_owned(), outcome.to_owned());
        let span = SpanRow { status, outcome, ..span("s", "", "call", time) };
        add(&mut write, statements(&tenant, "ann", id, &[span]));
        storage.commit(write).await.unwrap();
    }
    let days = traces::days(storage, &tenant, &project(), "", at(0)).await.unwrap();
    let days: Vec<_> =
        days.iter().map(|day| (day.day, day.traces, day.failed, day.tokens)).collect();
    assert_eq!(days, [(1, 2, 1, 30), (2, 1, 0, 15), (3, 1, 0, 15)]);
    let outcomes = traces::outcomes(storage, &tenant, &project(), "ann", at(0)).await.unwrap();
    let outcomes: Vec<_> =
        outcomes.iter().map(|row| (row.day, row.outcome.as_str(), row.count)).collect();
    assert_eq!(outcomes, [(1, "Allowed", 1), (1, "Denied", 1), (2, "allowed", 1)]);
    let none = traces::days(storage, &tenant, &project(), "nobody", at(0)).await.unwrap();
    assert_eq!(none.len(), 0);
}
