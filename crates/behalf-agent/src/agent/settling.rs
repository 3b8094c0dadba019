//! Calls whose outcome nobody knows: looked at once where it happens, at the start, and then again
//! until somebody can say. Nothing is ever sent again.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use behalf_gate::{Effect, Ending, GateError, Intent};

use super::{Agent, AgentError};

/// How old an intent is before it cannot be of a call that still runs somewhere.
const CALL_MAX: Duration = Duration::from_secs(60);
/// How soon, at the least and at the most, a call whose end is unknown is looked at again.
const LOOK_AGAIN: (Duration, Duration) = (Duration::from_secs(15), Duration::from_hours(1));

impl Agent {
    /// Looks again at calls whose end nobody knew, the longer they are over the more rarely, and
    /// returns how many are settled now. To be called every few seconds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn settle_unknown(&self) -> Result<usize, AgentError> {
        let intents = self.gate().unsettled().await?;
        let mut count = 0_usize;
        for intent in self.due(intents) {
            if *self.0.stopping.borrow() {
                break;
            }
            if self.look_up(&intent).await {
                count = count.saturating_add(1);
            }
        }
        Ok(count)
    }

    /// Those of `intents` that are to be looked at now.
    fn due(&self, intents: Vec<Intent>) -> Vec<Intent> {
        let now = self.now();
        let mut looks = self.0.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = BTreeMap::new();
        let mut due = Vec::new();
        for intent in intents {
            let age = now.since(intent.started_at);
            let is_ours = self.tools().find(&intent.spec.label()).is_some();
            if !is_ours || (!intent.is_unknown && age < CALL_MAX) {
                continue;
            }
            let known = looks.get(&intent.call_id).copied().filter(|at| *at > now);
            let (soonest, latest) = LOOK_AGAIN;
            let at = known.unwrap_or_else(|| now.plus((age / 10).clamp(soonest, latest)));
            next.insert(intent.call_id.clone(), at);
            if known.is_none() {
                due.push(intent);
            }
        }
        *looks = next;
        due
    }

    /// True if it is known now how the call ended.
    pub(super) async fn look_up(&self, intent: &Intent) -> bool {
        let call_id = intent.call_id.as_str();
        match self.settle_by_reading(call_id).await {
            Ok(Effect::Unknown { reason }) => {
                tracing::warn!(call_id, reason, "it is not known how a call ended");
                false
            }
            Ok(Effect::Done { .. } | Effect::NotDone { .. }) => {
                tracing::info!(call_id, "it is known now how a call ended");
                true
            }
            Err(error) => {
                tracing::warn!(%error, call_id, "a call could not be looked up");
                false
            }
        }
    }

    /// Looks whether an effect whose answer was lost is there, and records what it finds. Nothing
    /// is ever sent again.
    pub(crate) async fn settle_by_reading(&self, call_id: &str) -> Result<Effect, AgentError> {
        let unknown = |reason: &str| Effect::Unknown { reason: reason.to_owned() };
        let started = match self.gate().read_back(call_id).await {
            Ok(Some(started)) => started,
            Ok(None) => return Ok(unknown("The account cannot be looked into any more.")),
            Err(GateError::Settled) => return self.recorded(call_id).await,
            Err(GateError::ProviderUnavailable { .. }) => {
                return Ok(unknown("The provider does not answer."));
            }
            Err(error) => return Err(error.into()),
        };
        let effect = self.tools().read_back(&started, self.now()).await.effect;
        match self.gate().settle(started, effect.clone()).await {
            Ok(_) => Ok(effect),
            // Another has looked at the same time: what is recorded counts.
            Err(GateError::Settled) => self.recorded(call_id).await,
            Err(error) => Err(error.into()),
        }
    }

    /// What is recorded of the end of a begun call.
    pub(crate) async fn recorded(&self, call_id: &str) -> Result<Effect, AgentError> {
        let end = self.gate().find_end(call_id).await?;
        Ok(match end.map(|end| end.ending) {
            Some(Ending::Done { result }) => Effect::Done { result },
            Some(Ending::NotDone { reason }) => Effect::NotDone { reason },
            Some(Ending::Unknown { reason }) => Effect::Unknown { reason },
            Some(Ending::Denied(_) | Ending::Expired | Ending::Cancelled) | None => {
                Effect::NotDone { reason: "It was never begun.".to_owned() }
            }
        })
    }
}
