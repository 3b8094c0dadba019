//! `behalf migrate`: the schema of a PostgreSQL database, changed before the nodes that need it
//! start.

use anyhow::Context;
use behalf_core::Clock as _;
use behalf_store::{MigrationStatus, Phase, Storage};

use crate::cli::{MigrateArgs, MigrateCommand};
use crate::config;
use crate::output::say;
use crate::system::SystemClock;

pub(super) async fn migrate(command: MigrateCommand) -> anyhow::Result<()> {
    let (args, phase) = match &command {
        MigrateCommand::Status(args) => (args, None),
        MigrateCommand::Expand(args) => (args, Some(Phase::Expand)),
        MigrateCommand::Contract(args) => (args, Some(Phase::Contract)),
    };
    let url = database(args)?;
    match phase {
        None => Storage::postgres_migrations(&url).await?.iter().for_each(show),
        Some(phase) => {
            let applied = Storage::migrate_postgres(&url, phase, SystemClock.now()).await?;
            applied.iter().for_each(show);
            if applied.is_empty() {
                say!("nothing to {}", phase.as_str());
            }
        }
    }
    Ok(())
}

fn database(args: &MigrateArgs) -> anyhow::Result<String> {
    let url = config::database(&args.database)?.context(
        "no database is named; the embedded store migrates itself when it is opened. For \
         PostgreSQL give --database URL",
    )?;
    Ok(url.expose().clone())
}

fn show(migration: &MigrationStatus) {
    let MigrationStatus { number, slug, phase, applied_at } = migration;
    let state = if applied_at.is_some() { "applied" } else { "missing" };
    say!("{number:04} {slug:<16} {:<8} {state}", phase.as_str());
}
