//! The log taken into memory: a store that is loaded, one that another node wrote to, and one as it
//! was long ago.

use behalf_core::TenantId;
use behalf_fga::Change;
use behalf_store::Storage;
use behalf_store::fga::{self, FgaLogRow};
use tokio::task::JoinHandle;

use crate::error::AuthzError;
use crate::state::{Writer, corrupt};

/// Log rows read at once; those of an import are large.
const PAGE: u32 = 100;
/// Bytes of changes that are taken in where they are, without another thread.
const FEW_BYTES: usize = 64 * 1024;

/// A write of the log, taken apart.
struct Write {
    changes: Vec<Change>,
    row: FgaLogRow,
}

/// Takes in what the database knows beyond the writer: models, and the log from its revision. When
/// it fails, or the caller goes away meanwhile, the writer has the log as before.
pub(crate) async fn catch_up(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    writer: &mut Writer,
) -> Result<(), AuthzError> {
    take_in_models(storage, tenant, store_id, writer).await?;
    follow(storage, tenant, store_id, writer, i64::MAX).await?;
    writer.is_stale = false;
    Ok(())
}

/// Takes in the models that the writer does not know yet.
pub(crate) async fn take_in_models(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    writer: &mut Writer,
) -> Result<(), AuthzError> {
    for row in fga::list_models(storage, tenant, store_id).await? {
        if row.number >= writer.next_number {
            writer.add_model(row);
        }
    }
    Ok(())
}

/// Takes the log in, up to `until` or its end.
pub(crate) async fn follow(
    storage: &Storage,
    tenant: &TenantId,
    store_id: &str,
    writer: &mut Writer,
    until: i64,
) -> Result<(), AuthzError> {
    let mut at = writer.revision();
    let page = async |at: i64| {
        let missing = until.saturating_sub(at).clamp(0, i64::from(PAGE));
        let limit = u32::try_from(missing).unwrap_or(PAGE);
        fga::list_log(storage, tenant, store_id, at, limit).await
    };
    let mut rows = page(at).await?;
    if rows.len() < PAGE as usize && bytes(&rows) <= FEW_BYTES {
        for write in parse(rows)? {
            writer.apply(&write.changes, &write.row)?;
        }
        return Ok(());
    }
    // While one page is applied, the next one is read and taken apart.
    let fork = writer.fork();
    let mut applying = tokio::task::spawn_blocking(move || Ok(fork));
    while let Some(last) = rows.last() {
        at = last.revision;
        let writes = in_background(move || parse(rows)).await?;
        let mut fork = applied(applying).await?;
        applying = tokio::task::spawn_blocking(move || {
            for write in writes {
                fork.replay(&write.changes, &write.row)?;
            }
            Ok(fork)
        });
        rows = page(at).await?;
    }
    writer.take_over(applied(applying).await?);
    Ok(())
}

async fn applied(task: JoinHandle<Result<Writer, AuthzError>>) -> Result<Writer, AuthzError> {
    task.await.map_err(|_panicked| AuthzError::Contention)?
}

fn bytes(rows: &[FgaLogRow]) -> usize {
    rows.iter().map(|row| row.changes.len()).sum()
}

fn parse(rows: Vec<FgaLogRow>) -> Result<Vec<Write>, AuthzError> {
    let parse = |mut row: FgaLogRow| {
        let text = std::mem::take(&mut row.changes);
        let changes = serde_json::from_str(&text).map_err(|_| corrupt("fga_log.changes"))?;
        Ok(Write { changes, row })
    };
    rows.into_iter().map(parse).collect()
}

/// A long log must not hold up requests.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuthzError> + Send + 'static,
) -> Result<T, AuthzError> {
    tokio::task::spawn_blocking(work).await.map_err(|_panicked| AuthzError::Contention)?
}
