//! A person's approvals: what she is asked, and her decisions.

use behalf_core::{ClientId, Event, EventKind, Page, UserId};
use behalf_store::StoreError;
use behalf_store::gate::approvals::{self, StatusFilter};
use serde_json::Value;
use thiserror::Error;

use crate::approval::{Approval, Decision, Standing, Status, Via};
use crate::gate::Gate;
use crate::words::Words;

/// How often a decision is looked at again because another was made meanwhile.
const ATTEMPTS: u32 = 4;
/// How deep an `act` chain may be nested before its holder decides nothing.
const ACT_DEPTH_MAX: usize = 16;

/// Which approvals to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApprovalFilter {
    /// Every one.
    All,
    /// Those that stand so now.
    Is(Status),
    /// Those that are not pending any more.
    NotPending,
}

/// Who decides, and from where.
#[derive(Clone, Debug)]
pub struct Decider {
    /// The person: from her session or her verified token.
    pub user: UserId,
    /// From where.
    pub via: Via,
    /// The token's `act` chain, if it has one.
    pub act: Option<Value>,
}

impl Decider {
    /// DESIGN §3: true if the application or the agent that asks is behind the decision: as the
    /// token's own client, or anywhere in its `act` chain.
    fn is_asking(&self, approval: &Approval) -> bool {
        let asks = |name: &str| {
            let is = |client: &ClientId| client.as_str() == name;
            is(&approval.client) || approval.agent.as_ref().is_some_and(is)
        };
        if let Via::Client { client_id, .. } = &self.via
            && asks(client_id.as_str())
        {
            return true;
        }
        let mut actor = self.act.as_ref();
        for _depth in 0..ACT_DEPTH_MAX {
            let Some(level) = actor else { return false };
            let named = |member: &str| level.get(member).and_then(Value::as_str).is_some_and(asks);
            if ["sub", "client_id", "azp"].into_iter().any(named) {
                return true;
            }
            actor = level.get("act");
        }
        // Deeper than anything that we issue: not to be trusted.
        actor.is_some()
    }
}

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done, once, exactly as asked.
    Approve,
    /// It may not.
    Deny,
}

impl Verdict {
    /// True if `status` is what comes of this verdict.
    const fn led_to(self, status: Status) -> bool {
        match self {
            Self::Approve => matches!(status, Status::Approved | Status::Redeemed),
            Self::Deny => matches!(status, Status::Denied),
        }
    }
}

/// A decision is refused; nothing was changed.
#[derive(Debug, Error)]
pub enum DecideError {
    /// There is no such approval, or it is another person's.
    #[error("there is no such approval")]
    NotFound,
    /// Whoever asks would answer.
    #[error("whoever asks for an approval cannot give it")]
    SelfApproval,
    /// She was shown something else.
    #[error("the digest is not this approval's")]
    Digest,
    /// It is decided otherwise, or over.
    #[error("the approval is {} already", .0.status.as_str())]
    Over(Box<Approval>),
    /// What is stored is not what the digest is of.
    #[error("the stored approval does not match its digest")]
    Tampered,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Gate {
    /// The person's approvals, newest first; `before` is the `next` of the page before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list_approvals(
        &self,
        user: &UserId,
        filter: ApprovalFilter,
        before: &str,
        limit: u32,
    ) -> Result<Page<Approval>, StoreError> {
        let now = self.identity().now();
        let filter = match filter {
            ApprovalFilter::All => StatusFilter::All,
            ApprovalFilter::NotPending => StatusFilter::NotPending,
            ApprovalFilter::Is(Status::Expired) => StatusFilter::Expired,
            ApprovalFilter::Is(status) => StatusFilter::Is(status.as_str()),
        };
        let more = limit.saturating_add(1);
        let (storage, tenant) = (self.storage(), self.tenant());
        let mut rows = approvals::list(storage, tenant, user, filter, before, now, more).await?;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| has_more).map(|row| row.approval_id.clone());
        let items = rows.into_iter().map(|row| Approval::from_row(row, now));
        Ok(Page { items: items.collect::<Result<_, _>>()?, next })
    }

    /// How many approvals wait for her.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_pending_approvals(&self, user: &UserId) -> Result<i64, StoreError> {
        let now = self.identity().now();
        approvals::count_pending(self.storage(), self.tenant(), user, None, now).await
    }

    /// The approval with that id, if it is this person's.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find_approval(
        &self,
        user: &UserId,
        id: &str,
    ) -> Result<Option<Approval>, StoreError> {
        let row = approvals::find(self.storage(), self.tenant(), id).await?;
        let now = self.identity().now();
        let row = row.filter(|row| row.user_id == *user);
        row.map(|row| Approval::from_row(row, now)).transpose()
    }

    /// Whether there is such an approval for the decider, and whether she may decide it this way.
    ///
    /// # Errors
    /// `NotFound`, `SelfApproval`.
    pub async fn check_decider(&self, id: &str, decider: &Decider) -> Result<(), DecideError> {
        let approval = self.find_approval(&decider.user, id).await?;
        let approval = approval.ok_or(DecideError::NotFound)?;
        if decider.is_asking(&approval) {
            self.record_self_approval(&approval, decider).await;
            return Err(DecideError::SelfApproval);
        }
        Ok(())
    }

    /// A person decides. Deciding the same again changes nothing and is no error.
    ///
    /// # Errors
    /// In this order: `NotFound`, `SelfApproval`, `Digest`, `Over`.
    pub async fn decide(
        &self,
        id: &str,
        verdict: Verdict,
        shown_digest: Option<&str>,
        reason: Option<&str>,
        decider: &Decider,
    ) -> Result<Approval, DecideError> {
        for _attempt in 0..ATTEMPTS {
            let row = approvals::find(self.storage(), self.tenant(), id).await?;
            let row = row.filter(|row| row.user_id == decider.user);
            let row = row.ok_or(DecideError::NotFound)?;
            let now = self.identity().now();
            let standing = Approval::standing(row, now)?;
            let approval = standing.approval();
            if decider.is_asking(approval) {
                self.record_self_approval(approval, decider).await;
                return Err(DecideError::SelfApproval);
            }
            if shown_digest.is_some_and(|shown| shown != approval.digest) {
                return Err(DecideError::Digest);
            }
            if !approval.is_intact() {
                return Err(DecideError::Tampered);
            }
            let pending = match standing {
                Standing::Pending(pending) => pending,
                other => {
                    let approval = other.into_approval();
                    return if verdict.led_to(approval.status) {
                        Ok(approval)
                    } else {
                        Err(DecideError::Over(Box::new(approval)))
                    };
                }
            };
            let mut unit = self.unit();
            let decision = Decision {
                at: unit.now(),
                by: decider.user.clone(),
                reason: reason.and_then(Words::of).map(|words| words.text),
                via: decider.via.clone(),
            };
            let is_approved = verdict == Verdict::Approve;
            let approval = pending.decide(&mut unit, self.tenant(), is_approved, decision)?;
            match self.storage().commit(unit).await {
                Ok(_) => {
                    self.wake_approval(&approval).await;
                    return Ok(approval);
                }
                // Another decision was faster: it counts.
                Err(error) if error.is_conflict("approval is decided") => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Conflict { what: "approval is decided" }.into())
    }

    /// Keeps that an agent tried to answer its own question.
    async fn record_self_approval(&self, approval: &Approval, decider: &Decider) {
        let Via::Client { client_id, address } = &decider.via else { return };
        let actor = behalf_core::Actor::Client {
            client_id: client_id.to_string(),
            sub: Some(decider.user.to_string()),
        };
        let mut unit = self.unit();
        unit.record(
            &Event::new(self.tenant(), EventKind::ApprovalDecisionRefused, actor)
                .with("approval_id", approval.id.as_str())
                .with("reason", "self_approval")
                .with("address", address.as_str()),
        );
        if let Err(error) = self.storage().commit(unit).await {
            tracing::error!(%error, "a refused decision could not be recorded");
        }
    }
}

impl Standing {
    const fn approval(&self) -> &Approval {
        match self {
            Self::Pending(pending) => &pending.0,
            Self::Approved(approved) => &approved.0,
            Self::Lapsed(lapsed) => &lapsed.0,
            Self::Over(approval) => approval,
        }
    }

    fn into_approval(self) -> Approval {
        match self {
            Self::Pending(pending) => pending.0,
            Self::Approved(approved) => approved.0,
            Self::Lapsed(lapsed) => lapsed.0,
            Self::Over(approval) => approval,
        }
    }
}
