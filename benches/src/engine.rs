//! Checks in process, by string ids: documents in folders, people in groups.

use std::time::Instant;

use anyhow::Context;
use behalf_fga::{AuthorizationModel, Change, CheckRequest, FgaStore, RequestContext, TupleKey};

use crate::report::{Budget, Report};

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user]
type folder
  relations
    define viewer: [user, group#member]
type doc
  relations
    define parent: [folder]
    define owner: [user]
    define viewer: [user, user:*, group#member]
    define can_view: owner or viewer or viewer from parent
";
const DOCUMENTS: usize = 300_000;
const USERS: usize = 20_000;
const GROUPS: usize = 500;
const FOLDERS: usize = 5_000;
const CHECKS: usize = 500_000;
const BATCH: usize = 50;

pub(crate) fn measure(report: &mut Report) -> anyhow::Result<()> {
    let mut store = FgaStore::new();
    let model = AuthorizationModel::validate_dsl(MODEL)?;
    let model = store.add_model(model)?;
    let tuples = tuples();
    let count = tuples.len();
    let begun = Instant::now();
    for chunk in tuples.chunks(1_000) {
        let changes: Vec<Change> = chunk.iter().cloned().map(Change::Write).collect();
        store.apply(&changes)?;
    }
    let rate = per_second(count, begun);
    report.row("tuples taken in, in memory", rate, "/s", Budget::AtLeast(100_000.0));
    let snapshot = store.snapshot();

    let questions: Vec<(String, String)> = (0..CHECKS)
        .map(|n| (format!("user:u{}", mix(n) % USERS), format!("doc:d{}", mix(n + 7) % DOCUMENTS)))
        .collect();
    let request = |(user, object): &(String, String)| -> anyhow::Result<bool> {
        let request = RequestContext::default();
        let check = CheckRequest { user, relation: "can_view", object, request };
        Ok(snapshot.check(&model, &check)?)
    };
    let mut allowed = 0_usize;
    let mut times = Vec::with_capacity(CHECKS);
    let begun = Instant::now();
    for question in &questions {
        let asked = Instant::now();
        allowed += usize::from(request(question)?);
        times.push(asked.elapsed());
    }
    let mean = begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(CHECKS)?);
    times.sort_unstable();
    let p99 = times.get(CHECKS * 99 / 100).context("no times")?.as_secs_f64() * 1e6;
    let what = format!("check in process, {count} tuples, mean");
    report.row(&what, mean, "us", Budget::AtMost(2.5));
    report.row("check in process, p99", p99, "us", Budget::AtMost(10.0));

    let begun = Instant::now();
    for batch in questions.chunks(BATCH) {
        let checks: Vec<CheckRequest<'_>> = batch
            .iter()
            .map(|(user, object)| CheckRequest {
                user,
                relation: "can_view",
                object,
                request: RequestContext::default(),
            })
            .collect();
        for answer in snapshot.batch_check(&model, &checks) {
            allowed += usize::from(answer?);
        }
    }
    let item = begun.elapsed().as_secs_f64() * 1e6 / f64::from(u32::try_from(CHECKS)?);
    report.row("batch check in process, per item", item, "us", Budget::AtMost(0.6));
    anyhow::ensure!(allowed > 0 && allowed < 2 * CHECKS, "the questions have both answers");
    Ok(())
}

fn tuples() -> Vec<TupleKey> {
    let documents = (0..DOCUMENTS).flat_map(|doc| {
        let object = format!("doc:d{doc}");
        [
            TupleKey::new(format!("folder:f{}", mix(doc) % FOLDERS), "parent", object.clone()),
            TupleKey::new(format!("user:u{}", mix(doc + 1) % USERS), "owner", object.clone()),
            TupleKey::new(format!("group:g{}#member", mix(doc + 2) % GROUPS), "viewer", object),
        ]
    });
    let members = (0..USERS).flat_map(|user| {
        (0..3).map(move |n| {
            let group = (mix(user) + n * 131) % GROUPS;
            TupleKey::new(format!("user:u{user}"), "member", format!("group:g{group}"))
        })
    });
    let folders = (0..FOLDERS).map(|folder| {
        let group = mix(folder) % GROUPS;
        TupleKey::new(format!("group:g{group}#member"), "viewer", format!("folder:f{folder}"))
    });
    documents.chain(members).chain(folders).collect()
}

/// Spreads numbers (splitmix64), so that the same run asks the same questions.
fn mix(n: usize) -> usize {
    let mut z = (n as u64).wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((z ^ (z >> 31)) >> 1).unwrap_or_default()
}

fn per_second(count: usize, begun: Instant) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / begun.elapsed().as_secs_f64()
}
