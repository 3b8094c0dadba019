//! Forgetting what ran out: nobody asks for it again, and anybody can make more of it.

use std::time::Duration;

use behalf_store::StoreError;
use behalf_store::identity::{grants, sessions, users};

use crate::Identity;
use crate::password::BLOCK;

/// A code is kept for a while after it ran out, so that its reuse is still noticed.
const CODES_KEPT: Duration = Duration::from_hours(24);

impl Identity {
    /// Forgets sign-ins that were never ended, old authorization codes, and failures that no
    /// longer count. The server does so every few minutes.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn purge(&self) -> Result<(), StoreError> {
        let now = self.now();
        let mut unit = self.unit();
        unit.add(sessions::purge_sign_ins(now));
        unit.add(grants::purge_codes(now.minus(CODES_KEPT)));
        unit.add(users::purge_failures(now.minus(BLOCK)));
        self.storage().commit(unit).await.map(|_committed| ())
    }
}
