//! The schema's history: numbered texts, each applied once, with checksums verified at every start.
//!
//! A released text is never edited; a change is a new number. `migrations/README.md` says how to
//! write one.

use behalf_core::Timestamp;
use behalf_verify::sha256_hex;
use rusqlite::Connection;

use crate::error::StoreError;

struct Migration {
    number: i64,
    slug: &'static str,
    text: &'static str,
}

const SQLITE: &[Migration] = &[
    Migration { number: 1, slug: "outbox", text: include_str!("../migrations/0001_outbox.sql") },
    Migration {
        number: 2,
        slug: "identity",
        text: include_str!("../migrations/0002_identity.sql"),
    },
    Migration { number: 3, slug: "fga", text: include_str!("../migrations/0003_fga.sql") },
    Migration {
        number: 4,
        slug: "api_keys",
        text: include_str!("../migrations/0004_api_keys.sql"),
    },
    Migration {
        number: 5,
        slug: "documents",
        text: include_str!("../migrations/0005_documents.sqlite.sql"),
    },
    Migration { number: 6, slug: "vault", text: include_str!("../migrations/0006_vault.sql") },
    Migration { number: 7, slug: "gate", text: include_str!("../migrations/0007_gate.sql") },
    Migration { number: 8, slug: "ledger", text: include_str!("../migrations/0008_ledger.sql") },
    Migration { number: 9, slug: "traces", text: include_str!("../migrations/0009_traces.sql") },
    Migration { number: 10, slug: "agent", text: include_str!("../migrations/0010_agent.sql") },
];

/// Brings an embedded store to this version's schema.
pub(crate) fn migrate_sqlite(
    connection: &mut Connection,
    now: Timestamp,
) -> Result<(), StoreError> {
    let driver = |error: rusqlite::Error| crate::sqlite::driver_error(&error);
    let transaction = connection
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .map_err(driver)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_migrations (
                 number BIGINT PRIMARY KEY, slug TEXT NOT NULL,
                 checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)",
        )
        .map_err(driver)?;
    let applied = {
        let mut statement = transaction
            .prepare("SELECT number, checksum FROM schema_migrations ORDER BY number")
            .map_err(driver)?;
        let rows = statement
            .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
            .map_err(driver)?;
        rows.collect::<Result<Vec<_>, _>>().map_err(driver)?
    };
    for migration in pending(SQLITE, &applied)? {
        transaction.execute_batch(migration.text).map_err(driver)?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (number, slug, checksum, applied_at)
                 VALUES (?1, ?2, ?3, ?4)",
                (migration.number, migration.slug, checksum(migration), now.as_micros()),
            )
            .map_err(driver)?;
    }
    transaction.commit().map_err(driver)
}

fn checksum(migration: &Migration) -> String {
    sha256_hex(migration.text.as_bytes())
}

/// What is still to be applied, after checking that what was applied is what this version knows.
fn pending<'m>(
    known: &'m [Migration],
    applied: &[(i64, String)],
) -> Result<&'m [Migration], StoreError> {
    for (index, (number, stored)) in applied.iter().enumerate() {
        let Some(migration) = known.get(index) else {
            return Err(StoreError::Corrupt {
                what: format!(
                    "the database has migration {number}, which a newer version of Behalf wrote; \
                     start that version or restore a back-up"
                ),
            });
        };
        if migration.number != *number || checksum(migration) != *stored {
            return Err(StoreError::Corrupt {
                what: format!(
                    "migration {number} was applied with another text than this version's"
                ),
            });
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(number: i64, text: &'static str) -> Migration {
        Migration { number, slug: "x", text }
    }

    #[test]
    fn numbers_count_from_one_without_gaps() {
        for (index, migration) in SQLITE.iter().enumerate() {
            assert_eq!(migration.number, i64::try_from(index).unwrap() + 1, "{}", migration.slug);
        }
    }

    #[test]
    fn an_edited_migration_and_a_newer_database_are_refused() {
        let known = [migration(1, "a"), migration(2, "b")];
        let stamp = |m: &Migration| (m.number, checksum(m));
        assert_eq!(pending(&known, &[]).unwrap().len(), 2);
        assert_eq!(pending(&known, &[stamp(&known[0])]).unwrap().len(), 1);
        let edited = [stamp(&migration(1, "A"))];
        assert!(matches!(pending(&known, &edited), Err(StoreError::Corrupt { .. })));
        let newer = [stamp(&known[0]), stamp(&known[1]), stamp(&migration(3, "c"))];
        assert!(matches!(pending(&known, &newer), Err(StoreError::Corrupt { .. })));
    }
}
