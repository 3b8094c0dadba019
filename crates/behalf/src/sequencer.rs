//! The sequencer's rounds: events become leaves a few times a second, until the server stops.
//!
//! Under load the rounds are small and many. Whoever writes waits for the unit that the writer is at,
//! so a fifth of a second's events made leaves at once is a pause that everybody feels.

use std::time::Duration;

use behalf_ledger::{AuditReport, Ledger, LedgerError};
use tokio::sync::watch;

/// How long events wait at most before the sequencer looks at them.
const LONGEST: Duration = Duration::from_millis(200);

/// Between rounds under load: long enough for the writes of others.
const SHORTEST: Duration = Duration::from_millis(2);

/// Events of a round, about which the pause between rounds is halved or doubled.
const FEW: usize = 32;
const MANY: usize = 64;

/// How long after an error it tries again.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Runs until `stopped`. At start the whole log is read again once, beside the rounds.
pub(crate) async fn run(ledger: Ledger, mut stopped: watch::Receiver<bool>) {
    let audit = read_again(ledger.clone());
    tokio::pin!(audit);
    let mut audited = false;
    let mut pause = LONGEST;
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
            Ok(leaves) => next_pause(pause, leaves),
            Err(error) => {
                tracing::error!(%error, "events wait: the sequencer failed and will try again");
                AFTER_ERROR
            }
        };
    }
}

/// The pause after a round of so many leaves that came after `pause`.
fn next_pause(pause: Duration, leaves: usize) -> Duration {
    let next = match leaves {
        0..FEW => pause.saturating_mul(2),
        FEW..=MANY => pause,
        _ => pause / 2,
    };
    next.clamp(SHORTEST, LONGEST)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_are_as_many_as_events_need() {
        // What comes at a steady rate is taken in rounds of some dozens, after a short while.
        for per_second in [0, 100, 1_000, 10_000, 25_000] {
            let mut pause = LONGEST;
            let mut rounds = Vec::new();
            for _round in 0..200 {
                let waiting = pause.as_millis() * per_second / 1_000;
                rounds.push(waiting);
                pause = next_pause(pause, usize::try_from(waiting).unwrap());
            }
            let settled = &rounds[20..];
            let most = settled.iter().max().unwrap();
            assert!(*most <= 2 * MANY as u128, "{per_second} a second: {rounds:?}");
            if per_second <= 100 {
                assert_eq!(pause, LONGEST);
            }
        }
    }
}
