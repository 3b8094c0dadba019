//! A call waits for a person: what clients show, as one value in every dialect.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Why a person is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptKind {
    /// She must connect an account.
    ConnectAccount,
    /// She must approve exactly this call.
    Approval,
    /// She must prove again who she is.
    StepUp,
    /// A permission or a policy says no.
    PermissionDenied,
}

/// How far it has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptStatus {
    /// She has to begin.
    Required,
    /// She has to decide.
    Pending,
    /// She approved, and the call is on its way.
    Approved,
    /// She, or a rule, said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// It was called off.
    Cancelled,
    /// It went wrong.
    Failed,
    /// It is settled and the call ran.
    Done,
}

/// The account that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionNeeded {
    /// The connection's name.
    pub name: String,
    /// The provider's name for people.
    pub display_name: String,
    /// The scopes that the call needs.
    pub required_scopes: Vec<String>,
    /// Those that are not granted yet.
    pub missing_scopes: Vec<String>,
    /// Our page where she connects: a path.
    pub connect_url: String,
}

/// The approval that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalNeeded {
    /// Its id.
    pub id: String,
    /// The gate's own id of the call: what is made of it marks the effect.
    pub gate_call_id: Option<String>,
    /// By which way she is asked.
    pub channel: String,
    /// The agent's own words.
    pub binding_message: Option<String>,
    /// The number to match, where policy asks for one.
    pub binding_code: Option<String>,
    /// The digest of the call.
    pub digest: String,
    /// When it was asked for, RFC 3339.
    pub created_at: String,
    /// When it ends undecided, RFC 3339.
    pub expires_at: String,
    /// For how many seconds it may be decided, from its beginning.
    pub expires_in_secs: u64,
}

/// A call that waits, or waited, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interrupt {
    /// Its id; a newer one of the same id replaces it.
    pub id: String,
    /// Why a person is needed.
    pub kind: InterruptKind,
    /// How far it has come.
    pub status: InterruptStatus,
    /// The call.
    pub call_id: String,
    /// Its tool.
    pub tool: String,
    /// The tool's title for people.
    pub title: String,
    /// What is asked of her, or why it was denied.
    pub reason: String,
    /// The account that is needed.
    pub connection: Option<ConnectionNeeded>,
    /// The approval that is needed.
    pub approval: Option<ApprovalNeeded>,
    /// The turn's trace.
    pub trace_id: String,
    /// Who decided.
    pub decided_by: Option<String>,
    /// When, RFC 3339.
    pub decided_at: Option<String>,
}

impl Interrupt {
    /// True while somebody has to do something.
    pub const fn is_open(&self) -> bool {
        matches!(self.status, InterruptStatus::Required | InterruptStatus::Pending)
    }

    /// The native part `data-behalf-interrupt`.
    pub fn to_part(&self) -> Value {
        let mut data = Map::new();
        data.insert("kind".into(), json!(self.kind));
        data.insert("status".into(), json!(self.status));
        data.insert("toolCallId".into(), self.call_id.as_str().into());
        data.insert("tool".into(), self.tool.as_str().into());
        data.insert("title".into(), self.title.as_str().into());
        data.insert("reason".into(), self.reason.as_str().into());
        if let Some(connection) = &self.connection {
            let connection = json!({
                "name": connection.name,
                "displayName": connection.display_name,
                "missingScopes": connection.missing_scopes,
                "connectUrl": connection.connect_url,
            });
            data.insert("connection".into(), connection);
        }
        if let Some(approval) = &self.approval {
            let approval = json!({
                "id": approval.id,
                "channel": approval.channel,
                "bindingMessage": approval.binding_message,
                "bindingCode": approval.binding_code,
                "argsDigest": format!("sha256:{}", approval.digest),
                "expiresAt": approval.expires_at,
                "pollInterval": 5,
                "approvers": ["you"],
            });
            data.insert("approval".into(), approval);
        }
        data.insert("traceId".into(), self.trace_id.as_str().into());
        data.insert("decidedBy".into(), json!(self.decided_by));
        data.insert("decidedAt".into(), json!(self.decided_at));
        json!({"type": "data-behalf-interrupt", "id": self.id, "data": data})
    }
}
