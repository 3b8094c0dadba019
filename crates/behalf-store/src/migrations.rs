//! The schema's history: numbered texts, each applied once, with checksums verified at every start.
//!
//! A released text is never edited; a change is a new number. `migrations/README.md` says how to
//! write one.

use std::borrow::Cow;

use behalf_core::Timestamp;
use behalf_verify::sha256_hex;
use rusqlite::Connection;

use crate::error::StoreError;

/// What a migration does to nodes that do not know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Adds only: the version before runs on.
    Expand,
    /// Takes away what no running version uses any more.
    Contract,
}

impl Phase {
    /// The phase as the command line and the history name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Expand => "expand",
            Self::Contract => "contract",
        }
    }
}

/// A migration, and when it was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Counts from 1.
    pub number: i64,
    /// What it is about.
    pub slug: String,
    /// See [`Phase`].
    pub phase: Phase,
    /// `None` while it is to be applied.
    pub applied_at: Option<Timestamp>,
}

/// A migration in the history of a PostgreSQL database.
#[derive(Clone, Debug)]
pub(crate) struct Applied {
    pub(crate) number: i64,
    pub(crate) slug: String,
    pub(crate) is_contract: bool,
    pub(crate) checksum: String,
    pub(crate) applied_at: Timestamp,
}

/// A migration of this version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub(crate) number: i64,
    slug: &'static str,
    phase: Phase,
    sqlite: &'static str,
    /// PostgreSQL's own text, where [`to_postgres`] cannot make it.
    postgres: Option<&'static str>,
}

macro_rules! migration {
    ($number:literal, $slug:literal, $file:literal) => {
        Migration {
            number: $number,
            slug: $slug,
            phase: Phase::Expand,
            sqlite: include_str!(concat!("../migrations/", $file, ".sql")),
            postgres: None,
        }
    };
    ($number:literal, $slug:literal, $file:literal, each) => {
        Migration {
            number: $number,
            slug: $slug,
            phase: Phase::Expand,
            sqlite: include_str!(concat!("../migrations/", $file, ".sqlite.sql")),
            postgres: Some(include_str!(concat!("../migrations/", $file, ".postgres.sql"))),
        }
    };
}

const ALL: &[Migration] = &[
    migration!(1, "outbox", "0001_outbox", each),
    migration!(2, "identity", "0002_identity"),
    migration!(3, "fga", "0003_fga"),
    migration!(4, "api_keys", "0004_api_keys"),
    migration!(5, "documents", "0005_documents", each),
    migration!(6, "vault", "0006_vault"),
    migration!(7, "gate", "0007_gate"),
    migration!(8, "ledger", "0008_ledger"),
    migration!(9, "traces", "0009_traces"),
    migration!(10, "agent", "0010_agent"),
    migration!(11, "model_author", "0011_model_author"),
    migration!(12, "model_source", "0012_model_source"),
    migration!(13, "store_semantics", "0013_store_semantics"),
];

impl Migration {
    pub(crate) fn postgres_text(&self) -> Cow<'static, str> {
        to_postgres(self.postgres.unwrap_or(self.sqlite))
    }

    pub(crate) fn status(&self, applied_at: Option<Timestamp>) -> MigrationStatus {
        let (number, slug, phase) = (self.number, self.slug.to_owned(), self.phase);
        MigrationStatus { number, slug, phase, applied_at }
    }
}

/// The text for PostgreSQL: BLOB is called BYTEA there, and text is compared and ordered byte by
/// byte, as SQLite does, whatever collation the database has.
fn to_postgres(text: &'static str) -> Cow<'static, str> {
    let mut out = String::with_capacity(text.len().saturating_mul(2));
    for line in text.split_inclusive('\n') {
        let (code, comment) = line.find("--").map_or((line, ""), |at| line.split_at(at));
        for word in code.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let end = word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_').len();
            let (name, rest) = word.split_at(end);
            out.push_str(match name {
                "BLOB" => "BYTEA",
                "TEXT" => "TEXT COLLATE \"C\"",
                other => other,
            });
            out.push_str(rest);
        }
        out.push_str(comment);
    }
    Cow::Owned(out)
}

/// What this version still has to apply to a PostgreSQL database with that history, up to and with
/// `phase`, after checking that they belong together. A newer version may have expanded the schema
/// already; once it has contracted it, this version cannot run any more.
pub(crate) fn pending_postgres(
    applied: &[Applied],
    phase: Phase,
) -> Result<Vec<Migration>, StoreError> {
    pending_of(ALL, applied, phase)
}

fn pending_of(
    known: &[Migration],
    applied: &[Applied],
    phase: Phase,
) -> Result<Vec<Migration>, StoreError> {
    for row in applied {
        let own = known.iter().find(|migration| migration.number == row.number);
        let is_newer = own.is_none() && known.last().is_some_and(|last| row.number > last.number);
        let is_known = own.is_some_and(|own| checksum(&own.postgres_text()) == row.checksum);
        if is_known || (is_newer && !row.is_contract) {
            continue;
        }
        return Err(if is_newer { newer(row.number) } else { edited(row.number) });
    }
    let is_missing =
        |migration: &&Migration| applied.iter().all(|row| row.number != migration.number);
    let missing = known.iter().filter(is_missing).filter(|migration| migration.phase <= phase);
    Ok(missing.copied().collect())
}

/// This version's migrations and newer ones of the database, by number.
pub(crate) fn status_postgres(applied: &[Applied]) -> Vec<MigrationStatus> {
    let find = |number: i64| applied.iter().find(|row| row.number == number);
    let known = ALL.iter().map(|own| own.status(find(own.number).map(|row| row.applied_at)));
    let newer = applied.iter().filter(|row| ALL.iter().all(|own| own.number != row.number));
    let newer = newer.map(|row| MigrationStatus {
        number: row.number,
        slug: row.slug.clone(),
        phase: if row.is_contract { Phase::Contract } else { Phase::Expand },
        applied_at: Some(row.applied_at),
    });
    known.chain(newer).collect()
}

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
    for migration in pending(ALL, &applied)? {
        transaction.execute_batch(migration.sqlite).map_err(driver)?;
        transaction
            .execute(
                "INSERT INTO schema_migrations (number, slug, checksum, applied_at)
                 VALUES (?1, ?2, ?3, ?4)",
                (migration.number, migration.slug, checksum(migration.sqlite), now.as_micros()),
            )
            .map_err(driver)?;
    }
    transaction.commit().map_err(driver)
}

pub(crate) fn checksum(text: &str) -> String {
    sha256_hex(text.as_bytes())
}

/// What is still to be applied to an embedded store, after checking that what was applied is what
/// this version knows.
fn pending<'m>(
    known: &'m [Migration],
    applied: &[(i64, String)],
) -> Result<&'m [Migration], StoreError> {
    for (index, (number, stored)) in applied.iter().enumerate() {
        let Some(migration) = known.get(index) else { return Err(newer(*number)) };
        if migration.number != *number || checksum(migration.sqlite) != *stored {
            return Err(edited(*number));
        }
    }
    Ok(known.get(applied.len()..).unwrap_or_default())
}

fn newer(number: i64) -> StoreError {
    StoreError::Corrupt {
        what: format!(
            "the database has migration {number}, which a newer version of Behalf wrote; \
             start that version or restore a back-up"
        ),
    }
}

fn edited(number: i64) -> StoreError {
    StoreError::Corrupt {
        what: format!("migration {number} was applied with another text than this version's"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn migration(number: i64, text: &'static str, phase: Phase) -> Migration {
        Migration { number, slug: "x", phase, sqlite: text, postgres: None }
    }

    fn applied(migration: &Migration) -> Applied {
        Applied {
            number: migration.number,
            slug: migration.slug.to_owned(),
            is_contract: migration.phase == Phase::Contract,
            checksum: checksum(&migration.postgres_text()),
            applied_at: Timestamp::from_secs(1),
        }
    }

    #[test]
    fn numbers_count_from_one_without_gaps() {
        for (index, migration) in ALL.iter().enumerate() {
            assert_eq!(migration.number, i64::try_from(index).unwrap() + 1, "{}", migration.slug);
        }
    }

    #[test]
    fn an_edited_migration_and_a_newer_database_are_refused() {
        let known = [migration(1, "a", Phase::Expand), migration(2, "b", Phase::Expand)];
        let stamp = |m: &Migration| (m.number, checksum(m.sqlite));
        assert_eq!(pending(&known, &[]).unwrap().len(), 2);
        assert_eq!(pending(&known, &[stamp(&known[0])]).unwrap().len(), 1);
        let edited = [stamp(&migration(1, "A", Phase::Expand))];
        assert!(matches!(pending(&known, &edited), Err(StoreError::Corrupt { .. })));
        let third = migration(3, "c", Phase::Expand);
        let newer = [stamp(&known[0]), stamp(&known[1]), stamp(&third)];
        assert!(matches!(pending(&known, &newer), Err(StoreError::Corrupt { .. })));
    }

    #[test]
    fn a_version_runs_beside_a_newer_one_until_the_schema_is_contracted() {
        let known = [migration(1, "a", Phase::Expand), migration(2, "b", Phase::Contract)];
        let numbers = |applied: &[Applied], phase| -> Vec<i64> {
            pending_of(&known, applied, phase).unwrap().iter().map(|m| m.number).collect()
        };
        assert_eq!(numbers(&[], Phase::Expand), [1]);
        assert_eq!(numbers(&[], Phase::Contract), [1, 2]);
        let one = applied(&known[0]);
        assert_eq!(numbers(std::slice::from_ref(&one), Phase::Contract), [2]);
        let expanded = applied(&migration(3, "c", Phase::Expand));
        assert_eq!(numbers(&[one.clone(), expanded.clone()], Phase::Expand), [0_i64; 0]);
        let contracted = applied(&migration(4, "d", Phase::Contract));
        let refused = pending_of(&known, &[one, expanded, contracted], Phase::Expand);
        assert!(matches!(refused, Err(StoreError::Corrupt { .. })));
        let edited = applied(&migration(1, "A", Phase::Expand));
        assert!(pending_of(&known, &[edited], Phase::Expand).is_err());
    }

    #[test]
    fn a_text_for_postgresql_names_its_types_and_compares_bytes() {
        let text =
            "CREATE TABLE t (a TEXT NOT NULL, b BLOB, -- TEXT or BLOB\n c_TEXT BIGINT, d TEXT);\n";
        assert_eq!(
            to_postgres(text),
            "CREATE TABLE t (a TEXT COLLATE \"C\" NOT NULL, b BYTEA, -- TEXT or BLOB\n \
             c_TEXT BIGINT, d TEXT COLLATE \"C\");\n"
        );
    }
}
