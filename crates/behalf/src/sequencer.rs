//! The sequencer's rounds: events become leaves a few times a second, until the server stops.

use std::time::Duration;

use behalf_ledger::{AuditReport, Ledger, LedgerError};
use tokio::sync::watch;

/// How long events wait at most before the sequencer looks at them.
const ROUND: Duration = Duration::from_millis(200);

/// How long after an error it tries again.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Runs until `stopped`. At start the whole log is read again once, beside the rounds.
pub(crate) async fn run(ledger: Ledger, mut stopped: watch::Receiver<bool>) {
    let audit = read_again(ledger.clone());
    tokio::pin!(audit);
    let mut audited = false;
    let mut pause = ROUND;
    loop {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = &mut audit, if !audited => {
                audited = true;
                continue;
            }
            _ = stopped.wait_for(|is_over| *is_over) => return,
        }
        pause = match ledger.advance().await {
            Ok(_) => ROUND,
            Err(error) => {
                tracing::error!(%error, "events wait: the sequencer failed and will try again");
                AFTER_ERROR
            }
        };
    }
}

/// Compares everything that the logs store twice, and says what contradicts what.
async fn read_again(ledger: Ledger) {
    let audit = async {
        let mut reports = Vec::new();
        for project in ledger.list_projects().await? {
            let report = ledger.audit(&project).await?;
            reports.push((project, report));
        }
        Ok::<Vec<_>, LedgerError>(reports)
    };
    match audit.await {
        Ok(reports) => {
            for (project, AuditReport { leaves, faults, fault_count }) in reports {
                for fault in &faults {
                    tracing::error!(%project, %fault, "the log contradicts itself");
                }
                tracing::info!(%project, leaves, faults = fault_count, "the log was read again");
            }
        }
        Err(error) => tracing::error!(%error, "the log could not be read again"),
    }
}
