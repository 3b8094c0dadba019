//! Durable commits of the embedded store: each writer waits for its unit before the next.

use std::time::{Duration, Instant};

use behalf_core::{Actor, DangerousSeededRng, Event, EventKind, TenantId, Timestamp};
use behalf_store::identity::users;
use behalf_store::{SqliteOptions, Storage, UnitOfWork};

use crate::report::{Budget, Report};

/// How long each number of writers writes.
const LENGTH: Duration = Duration::from_secs(4);

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    for (writers, measured) in [(1_u64, 2_600.0), (16, 16_000.0), (64, 27_000.0)] {
        let dir = tempfile::tempdir()?;
        let now = Timestamp::from_secs(1);
        let storage = Storage::open_sqlite(dir.path(), SqliteOptions::default(), now)?;
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let storage = storage.clone();
            tasks.spawn(async move { write(&storage, writer, begun).await });
        }
        let mut commits: u32 = 0;
        while let Some(done) = tasks.join_next().await {
            commits += done??;
        }
        let rate = f64::from(commits) / begun.elapsed().as_secs_f64();
        let what = format!("durable commits (row + event), {writers} writers");
        report.row(&what, rate, "/s", Budget::AtLeast(measured));
        storage.close().await;
    }
    Ok(())
}

async fn write(storage: &Storage, writer: u64, begun: Instant) -> anyhow::Result<u32> {
    let tenant = TenantId::default_tenant();
    let rng = DangerousSeededRng::new(writer);
    let account = format!("account-{writer}");
    let now = Timestamp::from_secs(1);
    let mut count = 0;
    while begun.elapsed() < LENGTH {
        let mut unit = UnitOfWork::new(now, &rng);
        unit.add(users::count_failure(&tenant, &account, "::1", now, now));
        let event = Event::new(&tenant, EventKind::SignInFailed, Actor::Anonymous);
        unit.record(&event.with("account", account.as_str()));
        storage.commit(unit).await?;
        count += 1;
    }
    Ok(count)
}
