//! What the gate answers: values, matched exhaustively. Only `Allowed` leads to an effect.

use behalf_core::{ConnectionName, Timestamp, UserId};
use behalf_vault::ProviderToken;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::approval::Approval;
use crate::call::TraceContext;
use crate::mandate::Mandate;
use crate::tool::ToolSpec;

/// The answer to a call.
#[derive(Debug)]
pub enum Asked {
    /// Where the call stands now.
    Decided(Outcome),
    /// The call is over; this is how it ended.
    Ended(CallEnd),
}

/// Where an open call stands.
#[derive(Debug)]
pub enum Outcome {
    /// It may be begun, once.
    Allowed(Permit),
    /// Its person has to connect an account first.
    ConnectAccount(ConnectNeeded),
    /// Its person has to approve it first.
    ApprovalRequired(Box<Approval>),
    /// It may not be; nothing was sent.
    Denied(Denial),
    /// Nobody approved it in time; nothing was sent.
    Expired(Box<Approval>),
}

impl Outcome {
    /// The outcome for records and spans.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "allowed",
            Self::ConnectAccount(_) => "connect_account",
            Self::ApprovalRequired(_) => "approval_required",
            Self::Denied(_) => "denied",
            Self::Expired(_) => "expired",
        }
    }
}

/// Leave to begin one call. Only the gate makes it, and it cannot be copied.
#[derive(Debug)]
pub struct Permit {
    pub(crate) call_id: String,
    pub(crate) facts: Facts,
}

impl Permit {
    /// The call.
    pub fn call_id(&self) -> &str {
        &self.call_id
    }

    /// What the decision rests on.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// What a decision rests on, for spans and records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The digest of the call.
    pub digest: String,
    /// The revision of the store `behalf` that allowed the tool.
    pub fga_revision: u64,
    /// The connection whose account is used.
    pub connection: Option<ConnectionName>,
    /// The approval that it uses.
    pub approval_id: Option<String>,
}

/// A call waits until its person connects an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectNeeded {
    /// `int_…`.
    pub interrupt_id: String,
    /// The call that waits.
    pub call_id: String,
    /// Who has to connect.
    pub user: UserId,
    /// What to connect.
    pub connection: ConnectionName,
    /// The provider's scopes that the tool needs.
    pub scopes: Vec<String>,
    /// When the wait ends by itself.
    pub expires_at: Timestamp,
}

impl ConnectNeeded {
    /// Where she connects, on our own pages.
    pub fn path(&self) -> String {
        format!("/account/connect?i={}", self.interrupt_id)
    }
}

/// Why a call is denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DenialReason {
    /// The person is unknown or blocked.
    UserInactive,
    /// The agent or the application is unknown.
    ClientUnknown,
    /// The mandate's time is over.
    MandateOver,
    /// The agent may not call the tool.
    ToolNotAllowed,
    /// The person may not reach the thing.
    ResourceNotAllowed,
    /// The tool is not what it was when the call was first asked.
    ToolChanged,
    /// There is no such connection.
    ConnectionUnknown,
    /// Nobody connected the account in time.
    NotConnected,
    /// She denied it.
    DeniedByUser,
}

impl DenialReason {
    /// The reason for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserInactive => "user_inactive",
            Self::ClientUnknown => "client_unknown",
            Self::MandateOver => "mandate_over",
            Self::ToolNotAllowed => "tool_not_allowed",
            Self::ResourceNotAllowed => "resource_not_allowed",
            Self::ToolChanged => "tool_changed",
            Self::ConnectionUnknown => "connection_unknown",
            Self::NotConnected => "not_connected",
            Self::DeniedByUser => "denied_by_user",
        }
    }

    /// What happened, for a person; it says nothing about things that she may not see.
    pub const fn message(self) -> &'static str {
        match self {
            Self::UserInactive => "Your account is blocked. Nothing was done.",
            Self::ClientUnknown => "This application is not registered any more. Nothing was done.",
            Self::MandateOver => "The sign-in that this rests on is over. Nothing was done.",
            Self::ToolNotAllowed => "The agent is not allowed to use this tool. Nothing was done.",
            Self::ResourceNotAllowed => "You are not allowed to do this. Nothing was done.",
            Self::ToolChanged => "The tool has changed since it was asked for. Nothing was done.",
            Self::ConnectionUnknown => {
                "The connection that this needs does not exist. Nothing was done."
            }
            Self::NotConnected => "The account was not connected in time. Nothing was done.",
            Self::DeniedByUser => "You denied this. Nothing was done.",
        }
    }
}

/// A call is denied; nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// Why.
    pub reason: DenialReason,
    /// What she wrote, when she denied it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The approval that she denied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_id: Option<String>,
}

impl From<DenialReason> for Denial {
    fn from(reason: DenialReason) -> Self {
        Self { reason, note: None, approval_id: None }
    }
}

/// What beginning a call gives.
#[derive(Debug)]
pub enum Begun {
    /// The intent is recorded and the approval used: have the effect now, once, then settle.
    Started(Box<Started>),
    /// It may not be begun any more, or not yet; nothing is to be sent.
    Stopped(Asked),
}

/// A started call. It holds what was decided on: only these arguments may be sent.
#[derive(Debug)]
pub struct Started {
    /// The call.
    pub call_id: String,
    /// The caller's name for it.
    pub key: String,
    /// Who acts for whom.
    pub mandate: Mandate,
    /// The tool.
    pub spec: ToolSpec,
    /// The stored arguments.
    pub arguments: Map<String, Value>,
    /// When the intent was recorded.
    pub started_at: Timestamp,
    /// The person's token at the provider, if the tool needs one.
    pub token: Option<ProviderToken>,
    /// What the decision rests on.
    pub facts: Facts,
    /// The id of the record of the intent.
    pub record_id: String,
    /// Where its spans belong.
    pub trace: Option<TraceContext>,
}

/// What came of an effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// It happened.
    Done {
        /// What the tool gives back.
        result: Value,
    },
    /// It certainly did not happen.
    NotDone {
        /// Why.
        reason: String,
    },
    /// Nobody knows yet.
    Unknown {
        /// Why.
        reason: String,
    },
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq)]
pub struct CallEnd {
    /// The call.
    pub call_id: String,
    /// How.
    pub ending: Ending,
    /// The approval that it used or waited for.
    pub approval_id: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// The ways in which a call ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case")]
pub enum Ending {
    /// It was done, once.
    Done {
        /// What the tool gave back.
        result: Value,
    },
    /// It was begun, and certainly not done.
    NotDone {
        /// Why.
        reason: String,
    },
    /// It was begun, and nobody knows yet; it is never sent again.
    Unknown {
        /// Why.
        reason: String,
    },
    /// It was denied; nothing was sent.
    Denied(Denial),
    /// Nobody approved it in time; nothing was sent.
    Expired,
    /// It was taken back; nothing was sent.
    Cancelled,
}

impl Ending {
    /// The state that a call has after it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::NotDone { .. } => "not_done",
            Self::Unknown { .. } => "unknown",
            Self::Denied(_) => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<Effect> for Ending {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Done { result } => Self::Done { result },
            Effect::NotDone { reason } => Self::NotDone { reason },
            Effect::Unknown { reason } => Self::Unknown { reason },
        }
    }
}

/// A call that was begun and whose end is not known: after a crash, or because the provider did
/// not answer. The tool's read-back or a person settles it; it is never sent again.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The call.
    pub call_id: String,
    /// The caller's name for it.
    pub key: String,
    /// Who acts for whom.
    pub mandate: Mandate,
    /// The tool.
    pub spec: ToolSpec,
    /// The arguments that were, or were not, sent.
    pub arguments: Map<String, Value>,
    /// When the intent was recorded.
    pub started_at: Timestamp,
    /// True once somebody has recorded that nobody knows; otherwise it may still be running.
    pub is_unknown: bool,
    /// What the decision rested on.
    pub digest: String,
    /// The approval that was used.
    pub approval_id: Option<String>,
    /// Where its spans belong.
    pub trace: Option<TraceContext>,
}
