//! Approvals: a person's answer to exactly one thing, given once and used once.
//!
//! Where an approval stands is a type; what can happen to it there is a method that consumes it and
//! adds the change, with its precondition and its event, to a unit of work.

use std::time::Duration;

use behalf_core::{Actor, ClientId, Event, EventKind, SessionId, TenantId, Timestamp, UserId};
use behalf_crypto::digest::action_digest;
use behalf_store::gate::approvals::{self, ApprovalRow, DecisionParams};
use behalf_store::{StoreError, UnitOfWork};
use behalf_verify::canonical_json::CanonicalError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::backchannel::digest_input as backchannel_digest_input;
use crate::call::wait_ended;
use crate::error::corrupt;
use crate::words::Words;

/// How long a tool call may use its approval after the decision: over a restart, not over a night.
const USE_WITHIN: Duration = Duration::from_secs(600);

/// Who asks for an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The gate, for a tool call.
    Gate,
    /// An application, by a backchannel request.
    Ciba,
}

impl Source {
    /// The source on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Ciba => "ciba",
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        [Self::Gate, Self::Ciba].into_iter().find(|source| source.as_str() == text)
    }
}

/// Where an approval stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nobody has decided.
    Pending,
    /// She approved; not used yet.
    Approved,
    /// She denied.
    Denied,
    /// Its time was over before it was decided or used.
    Expired,
    /// Whoever asked took it back.
    Cancelled,
    /// Another took its place.
    Superseded,
    /// She approved, and it was used.
    Redeemed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 7] = [
        Self::Pending,
        Self::Approved,
        Self::Denied,
        Self::Expired,
        Self::Cancelled,
        Self::Superseded,
        Self::Redeemed,
    ];

    /// The status on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
            Self::Redeemed => "redeemed",
        }
    }

    /// The status of that name.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Exactly what a person is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// What the application is called.
    pub client_name: String,
    /// What the agent is called.
    #[serde(default)]
    pub agent_name: Option<String>,
    /// The agent's own words; untrusted.
    #[serde(default)]
    pub words: Option<Words>,
    /// The scopes that are asked for.
    pub scopes: Vec<String>,
    /// Of which API.
    #[serde(default)]
    pub audience: Option<String>,
    /// Rich authorization details (RFC 9396), as they were sent.
    #[serde(default)]
    pub authorization_details: Option<Value>,
    /// The tool, of a tool call.
    #[serde(default)]
    pub tool: Option<String>,
    /// What people call the tool.
    #[serde(default)]
    pub tool_title: Option<String>,
    /// The arguments that will be sent, and no others.
    #[serde(default)]
    pub arguments: Option<Map<String, Value>>,
    /// The connection whose account acts.
    #[serde(default)]
    pub connection: Option<String>,
    /// Untrusted things that the agent had read before it asked.
    #[serde(default)]
    pub tainted_by: Vec<String>,
    /// The trace that it belongs to, in hexadecimal.
    #[serde(default)]
    pub trace_id: Option<String>,
}

/// From where a decision was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Via {
    /// On our own page.
    Page {
        /// The browser session.
        sid: SessionId,
        /// What the browser says it is.
        user_agent: String,
        /// The peer's IP address.
        address: String,
    },
    /// Through an approver application.
    Client {
        /// The application.
        client_id: ClientId,
        /// The peer's IP address.
        address: String,
    },
}

/// A decision that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: UserId,
    /// What she wrote.
    pub reason: Option<String>,
    /// From where.
    pub via: Via,
}

#[derive(Serialize, Deserialize)]
struct StoredDecision {
    reason: Option<String>,
    via: Via,
}

/// What a person is asked, and what she answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Approval {
    /// `apr_…`.
    pub id: String,
    /// Who asks.
    pub source: Source,
    /// Where it stands, at the time it was read.
    pub status: Status,
    /// Who is asked.
    pub user: UserId,
    /// The application.
    pub client: ClientId,
    /// The agent.
    pub agent: Option<ClientId>,
    /// The tool call, if it is about one.
    pub call_id: Option<String>,
    /// What is asked.
    pub question: Question,
    /// What the decision is bound to.
    pub digest: String,
    /// How it has to be decided; `L1` is a click on a signed-in page.
    pub level: String,
    /// When it was asked.
    pub created_at: Timestamp,
    /// When it dies undecided.
    pub expires_at: Timestamp,
    /// When it dies as it stands.
    pub lapses_at: Timestamp,
    /// The decision.
    pub decision: Option<Decision>,
    /// When it was used.
    pub redeemed_at: Option<Timestamp>,
}

/// An approval, by where it stands.
#[derive(Debug)]
pub(crate) enum Standing {
    Pending(Pending),
    Approved(Approved),
    Lapsed(Lapsed),
    Over(Approval),
}

/// Undecided, in time.
#[derive(Debug)]
pub(crate) struct Pending(pub(crate) Approval);

/// Approved, unused, in time.
#[derive(Debug)]
pub(crate) struct Approved(pub(crate) Approval);

/// Its time is over, and that is not recorded yet.
#[derive(Debug)]
pub(crate) struct Lapsed(pub(crate) Approval);

impl Approval {
    /// The approval in `row` as it is at `now`.
    pub(crate) fn from_row(row: ApprovalRow, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self::stored(row)?.read_at(now))
    }

    fn stored(row: ApprovalRow) -> Result<Self, StoreError> {
        let decision = match (row.decided_at, row.decided_by, row.decision) {
            (Some(at), Some(by), Some(text)) => {
                let stored: StoredDecision =
                    serde_json::from_str(&text).map_err(|_| corrupt("approvals.decision"))?;
                let by = by.parse().map_err(|_| corrupt("approvals.decided_by"))?;
                Some(Decision { at, by, reason: stored.reason, via: stored.via })
            }
            (None, None, None) => None,
            _ => return Err(corrupt("approvals.decided_at")),
        };
        Ok(Self {
            source: Source::from_text(&row.source).ok_or_else(|| corrupt("approvals.source"))?,
            status: Status::from_text(&row.status).ok_or_else(|| corrupt("approvals.status"))?,
            question: serde_json::from_str(&row.details)
                .map_err(|_| corrupt("approvals.details"))?,
            id: row.approval_id,
            user: row.user_id,
            client: row.client_id,
            agent: row.agent_id,
            call_id: row.call_id,
            digest: row.digest,
            level: row.level,
            created_at: row.created_at,
            expires_at: row.expires_at,
            lapses_at: row.lapses_at,
            decision,
            redeemed_at: row.redeemed_at,
        })
    }

    /// The clock decides that an approval is expired; recording it comes later.
    fn read_at(mut self, now: Timestamp) -> Self {
        if self.is_open() && self.lapses_at <= now {
            self.status = Status::Expired;
        }
        self
    }

    const fn is_open(&self) -> bool {
        matches!(self.status, Status::Pending | Status::Approved)
    }

    /// What the decision has to be bound to (DESIGN §3), from what she is shown.
    fn expected_digest(&self) -> Result<String, CanonicalError> {
        let question = &self.question;
        action_digest(&match self.source {
            Source::Gate => json!({
                "tool": question.tool,
                "arguments": question.arguments,
                "user": self.user.as_str(),
                "client": self.client.as_str(),
                "audience": question.audience,
            }),
            Source::Ciba => backchannel_digest_input(question, &self.user, &self.client),
        })
    }

    /// True if what she is shown is what the digest is of.
    pub(crate) fn is_intact(&self) -> bool {
        self.expected_digest().is_ok_and(|digest| digest == self.digest)
    }

    /// Where the approval in `row` stands at `now`.
    pub(crate) fn standing(row: ApprovalRow, now: Timestamp) -> Result<Standing, StoreError> {
        let approval = Self::stored(row)?;
        let is_lapsed = approval.is_open() && approval.lapses_at <= now;
        Ok(match approval.status {
            _ if is_lapsed => Standing::Lapsed(Lapsed(approval.read_at(now))),
            Status::Pending => Standing::Pending(Pending(approval)),
            Status::Approved => Standing::Approved(Approved(approval)),
            _ => Standing::Over(approval),
        })
    }

    /// A fresh question, added to `unit`.
    pub(crate) fn ask(
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        new: NewApproval,
    ) -> Result<Self, StoreError> {
        let now = unit.now();
        let expires_at = now.plus(new.lifetime);
        let details = serde_json::to_string(&new.question)
            .map_err(|error| StoreError::Internal { reason: error.to_string() })?;
        let row = ApprovalRow {
            approval_id: new.id,
            source: new.source.as_str().to_owned(),
            status: Status::Pending.as_str().to_owned(),
            user_id: new.user,
            client_id: new.client,
            agent_id: new.agent,
            call_id: new.call_id,
            digest: new.digest,
            details,
            level: "L1".to_owned(),
            created_at: now,
            expires_at,
            lapses_at: expires_at,
            decided_at: None,
            decided_by: None,
            decision: None,
            redeemed_at: None,
            interval_secs: i64::from(crate::backchannel::INTERVAL_SECS),
            polled_at: None,
        };
        unit.add(approvals::insert(tenant, &row, new.request_hash));
        let approval = Self::stored(row)?;
        let actor = Actor::Client {
            client_id: approval.client.to_string(),
            sub: Some(approval.user.to_string()),
        };
        let event = approval.event(tenant, EventKind::ApprovalRequested, actor);
        unit.record(&event.with("expires_at", expires_at.to_rfc3339()));
        Ok(approval)
    }

    /// An event about it: what it is bound to, never what it says.
    fn event(&self, tenant: &TenantId, kind: EventKind, actor: Actor) -> Event {
        let event = Event::new(tenant, kind, actor)
            .with("approval_id", self.id.as_str())
            .with("source", self.source.as_str())
            .with("sub", self.user.as_str())
            .with("client_id", self.client.as_str())
            .with("digest", self.digest.as_str());
        let event = match &self.agent {
            Some(agent) => event.with("agent", agent.as_str()),
            None => event,
        };
        match &self.call_id {
            Some(call_id) => event.with("call_id", call_id.as_str()),
            None => event,
        }
    }

    fn end_wait(&self, unit: &mut UnitOfWork, tenant: &TenantId, actor: Actor, outcome: &str) {
        if let Some(call_id) = &self.call_id {
            let event = wait_ended(tenant, actor, call_id, "approval", outcome);
            unit.record(&event.with("approval_id", self.id.as_str()));
        }
    }
}

/// What a new approval is made from.
#[derive(Debug)]
pub(crate) struct NewApproval {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) user: UserId,
    pub(crate) client: ClientId,
    pub(crate) agent: Option<ClientId>,
    pub(crate) call_id: Option<String>,
    pub(crate) request_hash: Option<[u8; 32]>,
    pub(crate) digest: String,
    pub(crate) question: Question,
    pub(crate) lifetime: Duration,
}

impl Pending {
    /// She approves or denies.
    pub(crate) fn decide(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        is_approved: bool,
        decision: Decision,
    ) -> Result<Approval, StoreError> {
        let mut approval = self.0;
        let actor = Actor::User { sub: decision.by.to_string() };
        let (status, kind) = if is_approved {
            (Status::Approved, EventKind::ApprovalApproved)
        } else {
            (Status::Denied, EventKind::ApprovalDenied)
        };
        // A backchannel request is used within its own lifetime, which its client knows.
        let lapses_at = match approval.source {
            Source::Gate => decision.at.plus(USE_WITHIN),
            Source::Ciba => approval.expires_at,
        };
        let stored = StoredDecision { reason: decision.reason.clone(), via: decision.via.clone() };
        let text = serde_json::to_string(&stored)
            .map_err(|error| StoreError::Internal { reason: error.to_string() })?;
        let params = DecisionParams {
            approval_id: &approval.id,
            digest: &approval.digest,
            status: status.as_str(),
            decided_by: &decision.by,
            decision: &text,
            lapses_at,
        };
        unit.add(approvals::decide(tenant, &params, decision.at));
        let event = approval.event(tenant, kind, actor.clone());
        unit.record(&match &decision.via {
            Via::Page { sid, address, .. } => {
                event.with("sid", sid.as_str()).with("address", address.as_str())
            }
            Via::Client { client_id, address } => {
                event.with("through", client_id.as_str()).with("address", address.as_str())
            }
        });
        approval.end_wait(unit, tenant, actor, status.as_str());
        approval.status = status;
        approval.lapses_at = lapses_at;
        approval.decision = Some(decision);
        Ok(approval)
    }

    /// Whoever asked takes it back.
    pub(crate) fn cancel(self, unit: &mut UnitOfWork, tenant: &TenantId, actor: Actor) -> Approval {
        cancel(self.0, unit, tenant, actor)
    }
}

impl Approved {
    /// It is used: from here on it is worth nothing.
    pub(crate) fn redeem(self, unit: &mut UnitOfWork, tenant: &TenantId, actor: Actor) -> Approval {
        let mut approval = self.0;
        let now = unit.now();
        unit.add(approvals::redeem(tenant, &approval.id, &approval.digest, now));
        unit.record(&approval.event(tenant, EventKind::ApprovalRedeemed, actor));
        approval.status = Status::Redeemed;
        approval.redeemed_at = Some(now);
        approval
    }

    /// Whoever asked takes it back unused.
    pub(crate) fn cancel(self, unit: &mut UnitOfWork, tenant: &TenantId, actor: Actor) -> Approval {
        cancel(self.0, unit, tenant, actor)
    }
}

fn cancel(
    mut approval: Approval,
    unit: &mut UnitOfWork,
    tenant: &TenantId,
    actor: Actor,
) -> Approval {
    unit.add(approvals::cancel(tenant, &approval.id));
    unit.record(&approval.event(tenant, EventKind::ApprovalCancelled, actor.clone()));
    if approval.status == Status::Pending {
        approval.end_wait(unit, tenant, actor, Status::Cancelled.as_str());
    }
    approval.status = Status::Cancelled;
    approval
}

impl Lapsed {
    /// Records what the clock has decided.
    pub(crate) fn expire(self, unit: &mut UnitOfWork, tenant: &TenantId) -> Approval {
        let approval = self.0;
        unit.add(approvals::expire(tenant, &approval.id, unit.now()));
        unit.record(&approval.event(tenant, EventKind::ApprovalExpired, Actor::System));
        approval.end_wait(unit, tenant, Actor::System, Status::Expired.as_str());
        approval
    }
}
