//! Waits: how they end, and how whoever runs the agent hears of it.
//!
//! A wait ends in the unit that decides it, with a `wait.ended` event; the tables are the truth. The
//! wake that follows in this process only makes it fast: whoever misses it asks again.

use behalf_core::{Actor, ConnectionName, Timestamp, UserId};
use behalf_store::gate::{approvals, calls, interrupts};
use behalf_store::{StoreError, UnitOfWork};
use tokio::sync::broadcast;

use crate::approval::{Approval, Standing};
use crate::call::wait_ended;
use crate::gate::Gate;

/// Lapsed things recorded in one sweep.
const SWEEP: u32 = 100;

/// Something that somebody may wait for has moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wake {
    /// Whose it is.
    pub user: UserId,
    /// The call, if it is about one.
    pub call_id: Option<String>,
    /// Its caller's name for it.
    pub key: Option<String>,
    /// The approval, if it is about one.
    pub approval_id: Option<String>,
}

/// A call's wait for an account, as the page on which she connects needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectWait {
    /// The interrupt.
    pub interrupt_id: String,
    /// Who has to connect: nobody else may.
    pub user: UserId,
    /// What to connect.
    pub connection: ConnectionName,
    /// The provider's scopes that are needed.
    pub scopes: Vec<String>,
    /// What the tool is called.
    pub tool_title: String,
    /// When the wait ends by itself.
    pub expires_at: Timestamp,
    /// False once it is over.
    pub is_open: bool,
}

/// Waits that a unit ends: given to [`Gate::wake`] once it is committed.
#[derive(Debug, Default)]
#[must_use = "whoever waits is woken only when this is given to `Gate::wake`"]
pub struct EndedWaits(Vec<(String, UserId)>);

impl Gate {
    /// Wakes in this process: an approval was decided or expired, or an account connected. A
    /// listener that lags behind must ask again about everything it waits for.
    pub fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.wakes().subscribe()
    }

    /// Adds to `unit` that the person's waits for the connection end, because she connects it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn plan_connected(
        &self,
        unit: &mut UnitOfWork,
        user: &UserId,
        connection: &ConnectionName,
    ) -> Result<EndedWaits, StoreError> {
        let rows = interrupts::list_open(self.storage(), self.tenant(), user, connection).await?;
        let mut ended = EndedWaits::default();
        for row in rows {
            // A wait that ends by itself at the same moment must not undo the connecting.
            unit.add(interrupts::end_if_open(
                self.tenant(),
                &row.interrupt_id,
                "connected",
                unit.now(),
            ));
            let actor = Actor::User { sub: user.to_string() };
            let event = wait_ended(self.tenant(), actor, &row.call_id, "connect", "connected");
            unit.record(&event.with("interrupt_id", row.interrupt_id.as_str()));
            ended.0.push((row.call_id, row.user_id));
        }
        Ok(ended)
    }

    /// Wakes whoever waited; to be called after the unit is committed.
    pub async fn wake(&self, ended: EndedWaits) {
        for (call_id, user) in ended.0 {
            self.wake_call(call_id, user, None).await;
        }
    }

    pub(crate) async fn wake_approval(&self, approval: &Approval) {
        let approval_id = Some(approval.id.clone());
        let user = approval.user.clone();
        match &approval.call_id {
            Some(call_id) => self.wake_call(call_id.clone(), user, approval_id).await,
            None => self.send_wake(Wake { user, call_id: None, key: None, approval_id }),
        }
    }

    async fn wake_call(&self, call_id: String, user: UserId, approval_id: Option<String>) {
        let key = match calls::find(self.storage(), self.tenant(), &call_id).await {
            Ok(row) => row.map(|row| row.call_key),
            Err(error) => {
                tracing::warn!(%error, "a waiting call could not be looked up");
                None
            }
        };
        self.send_wake(Wake { user, call_id: Some(call_id), key, approval_id });
    }

    /// Tells the person's open pages that there is a new question.
    pub(crate) fn tell_asked(&self, approval: &Approval) {
        self.send_wake(Wake {
            user: approval.user.clone(),
            call_id: None,
            key: None,
            approval_id: Some(approval.id.clone()),
        });
    }

    fn send_wake(&self, wake: Wake) {
        if self.wakes().send(wake).is_err() {
            tracing::trace!("nobody waits");
        }
    }

    /// The wait behind `/account/connect?i=…`, over or not.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_connect_wait(
        &self,
        interrupt_id: &str,
    ) -> Result<Option<ConnectWait>, StoreError> {
        let (storage, tenant) = (self.storage(), self.tenant());
        let Some(row) = interrupts::find(storage, tenant, interrupt_id).await? else {
            return Ok(None);
        };
        let call = calls::find(storage, tenant, &row.call_id).await?;
        let tool_title = match call.map(crate::call::standing).transpose()? {
            Some(standing) => standing.record().call.spec.title.clone(),
            None => String::new(),
        };
        let is_open = row.ended_at.is_none() && row.expires_at > self.identity().now();
        Ok(Some(ConnectWait {
            interrupt_id: row.interrupt_id,
            user: row.user_id,
            connection: row.connection,
            scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
            tool_title,
            expires_at: row.expires_at,
            is_open,
        }))
    }

    /// Records what the clock has decided: approvals that expired, and waits for accounts that are
    /// over. Returns how many; more than a hundred at once wait for the next sweep.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn sweep(&self) -> Result<usize, StoreError> {
        let (storage, tenant, now) = (self.storage(), self.tenant(), self.identity().now());
        let mut count = 0_usize;
        for row in approvals::list_lapsed(storage, tenant, now, SWEEP).await? {
            let Standing::Lapsed(lapsed) = Approval::standing(row, now)? else { continue };
            let mut unit = self.unit();
            let approval = lapsed.expire(&mut unit, tenant);
            if self.commit_sweep(unit).await? {
                count = count.saturating_add(1);
                self.wake_approval(&approval).await;
            }
        }
        for row in interrupts::list_lapsed(storage, tenant, now, SWEEP).await? {
            let mut unit = self.unit();
            unit.add(interrupts::end(tenant, &row.interrupt_id, "expired", now));
            let event = wait_ended(tenant, Actor::System, &row.call_id, "connect", "expired");
            unit.record(&event.with("interrupt_id", row.interrupt_id.as_str()));
            if self.commit_sweep(unit).await? {
                count = count.saturating_add(1);
                self.wake_call(row.call_id, row.user_id, None).await;
            }
        }
        Ok(count)
    }

    /// False when somebody else was faster.
    async fn commit_sweep(&self, unit: UnitOfWork) -> Result<bool, StoreError> {
        match self.storage().commit(unit).await {
            Ok(_) => Ok(true),
            Err(StoreError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
