//! How begun calls ended, as people see it: what is known, and their own word where nobody knows.
//!
//! A call whose outcome is unknown is settled by the tool's read-back. Where that cannot be (the
//! account is gone, the provider keeps silent) its person looks herself and says what she found.

use behalf_core::{Actor, UserId};
use behalf_store::gate::{approvals, calls};
use serde_json::json;

use crate::approval::Approval;
use crate::call::{self, Standing};
use crate::error::GateError;
use crate::gate::Gate;
use crate::outcome::{CallEnd, Effect};

impl Gate {
    /// How a begun call ended, as far as that is known; `None` while it was not begun.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_end(&self, call_id: &str) -> Result<Option<CallEnd>, GateError> {
        let row = calls::find(self.storage(), self.tenant(), call_id).await?;
        Ok(match row.map(call::standing).transpose()? {
            Some(Standing::Ended(_, end)) => Some(end),
            Some(Standing::Begun(in_flight)) => Some(in_flight.into_end()),
            Some(Standing::Open(_)) | None => None,
        })
    }

    /// The person says whether the call that she approved was done. Nothing is ever sent for it.
    ///
    /// # Errors
    /// `NoSuchCall` when it is not hers, or may still be running; `Settled` when it is known already.
    pub async fn settle_by_person(
        &self,
        user: &UserId,
        approval_id: &str,
        was_done: bool,
    ) -> Result<CallEnd, GateError> {
        let row = approvals::find(self.storage(), self.tenant(), approval_id).await?;
        let row = row.filter(|row| row.user_id == *user).ok_or(GateError::NoSuchCall)?;
        let approval = Approval::from_row(row, self.identity().now())?;
        let call_id = approval.call_id.ok_or(GateError::NoSuchCall)?;
        let in_flight = self.load_in_flight(&call_id).await?;
        if in_flight.unknown.is_none() {
            return Err(GateError::NoSuchCall);
        }
        let effect = if was_done {
            Effect::Done { result: json!({"said_by": "person"}) }
        } else {
            Effect::NotDone { reason: "The person looked and did not find it.".to_owned() }
        };
        let actor = Actor::User { sub: user.to_string() };
        self.settle_as(in_flight, effect.into(), actor).await
    }
}
