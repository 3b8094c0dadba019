//! Tool calls: open, started, ended; never backwards.
//!
//! As with approvals, where a call stands is a type, and each transition consumes it and adds the
//! change, with its precondition and its event, to a unit of work.

use behalf_core::{Actor, Event, EventKind, TenantId, Timestamp};
use behalf_crypto::digest::action_digest;
use behalf_store::gate::calls::{self, CallRow};
use behalf_store::gate::interrupts::{self, InterruptRow};
use behalf_store::{StoreError, UnitOfWork};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{GateError, corrupt};
use crate::mandate::Mandate;
use crate::outcome::{CallEnd, ConnectNeeded, Denial, Ending, Facts, Intent};
use crate::tool::ToolSpec;

/// A call, as whoever runs the agent asks it.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The caller's name for it: the turn's id and the model's id of the call. Asked again with the
    /// same key, it is the same call.
    pub key: String,
    /// Who acts for whom.
    pub mandate: Mandate,
    /// The tool.
    pub spec: ToolSpec,
    /// The arguments, checked against the tool's schema.
    pub arguments: Map<String, Value>,
    /// Where its spans belong.
    pub trace: Option<TraceContext>,
    /// Untrusted things that the agent has read before it.
    pub tainted_by: Vec<String>,
    /// What the agent said about it; shown as its words, never as a fact.
    pub words: Option<String>,
}

/// A span that others are below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// The trace.
    pub trace_id: [u8; 16],
    /// The span.
    pub span_id: [u8; 8],
}

impl ToolCall {
    /// What a decision about this call is bound to (DESIGN §3).
    ///
    /// # Errors
    /// When the arguments have no canonical form.
    pub fn digest(&self) -> Result<String, GateError> {
        call_digest(&self.mandate, &self.spec, &self.arguments)
    }
}

/// How long a key may be, in bytes.
const KEY_MAX: usize = 1_024;
/// How large arguments may be in their canonical form, in bytes: a person reads them.
const ARGUMENTS_MAX: usize = 256 * 1_024;

impl ToolCall {
    /// Refuses what is too large to keep or to show.
    pub(crate) fn check_size(&self) -> Result<(), GateError> {
        if self.key.is_empty() || self.key.len() > KEY_MAX {
            return Err(GateError::Arguments("the key is empty or too long".to_owned()));
        }
        let size = Value::Object(self.arguments.clone()).to_string().len();
        if size > ARGUMENTS_MAX {
            return Err(GateError::Arguments(format!(
                "they are larger than {ARGUMENTS_MAX} bytes"
            )));
        }
        Ok(())
    }
}

/// SHA-256 over the RFC 8785 form of `{tool, arguments, user, client, audience}`; absent members
/// are null.
pub(crate) fn call_digest(
    mandate: &Mandate,
    spec: &ToolSpec,
    arguments: &Map<String, Value>,
) -> Result<String, GateError> {
    let audience = spec.approval.as_ref().map(|need| need.audience.as_str());
    let value = json!({
        "tool": spec.label(),
        "arguments": arguments,
        "user": mandate.subject().as_str(),
        "client": mandate.client().as_str(),
        "audience": audience,
    });
    action_digest(&value).map_err(|error| GateError::Arguments(error.to_string()))
}

#[derive(Serialize, Deserialize)]
struct Details {
    spec: ToolSpec,
    arguments: Map<String, Value>,
    until: Timestamp,
    trace: Option<TraceContext>,
    tainted_by: Vec<String>,
    words: Option<String>,
}

/// What is known of a call wherever it stands.
#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) call_id: String,
    pub(crate) digest: String,
    pub(crate) call: ToolCall,
    pub(crate) approval_id: Option<String>,
    pub(crate) interrupt_id: Option<String>,
    pub(crate) started_at: Option<Timestamp>,
    /// Whose account at the provider it was begun with.
    pub(crate) account: Option<String>,
}

/// A call, by where it stands.
#[derive(Debug)]
pub(crate) enum Standing {
    Open(Open),
    Begun(InFlight),
    Ended(Record, CallEnd),
}

/// Not begun: nothing was sent.
#[derive(Debug)]
pub(crate) struct Open(pub(crate) Record);

/// Begun, and not known to have ended.
#[derive(Debug)]
pub(crate) struct InFlight {
    pub(crate) record: Record,
    /// Why nobody knows how it ended, if somebody has said so.
    pub(crate) unknown: Option<CallEnd>,
}

/// Where the call in `row` stands.
pub(crate) fn standing(row: CallRow) -> Result<Standing, StoreError> {
    let details: Details =
        serde_json::from_str(&row.details).map_err(|_| corrupt("gate_calls.details"))?;
    let ending: Option<Ending> = match &row.ending {
        Some(text) => Some(serde_json::from_str(text).map_err(|_| corrupt("gate_calls.ending"))?),
        None => None,
    };
    let record = Record {
        call_id: row.call_id,
        digest: row.digest,
        call: ToolCall {
            key: row.call_key,
            mandate: Mandate::stored(row.user_id, row.agent_id, row.client_id, details.until),
            spec: details.spec,
            arguments: details.arguments,
            trace: details.trace,
            tainted_by: details.tainted_by,
            words: details.words,
        },
        approval_id: row.approval_id,
        interrupt_id: row.interrupt_id,
        started_at: row.started_at,
        account: row.account,
    };
    match (row.state.as_str(), ending) {
        ("open", None) => Ok(Standing::Open(Open(record))),
        ("started", None) => Ok(Standing::Begun(InFlight { record, unknown: None })),
        (state, Some(ending)) if state == ending.as_str() => {
            let is_unknown = matches!(ending, Ending::Unknown { .. });
            let end = CallEnd {
                call_id: record.call_id.clone(),
                ending,
                approval_id: record.approval_id.clone(),
                at: row.ended_at,
            };
            Ok(if is_unknown {
                Standing::Begun(InFlight { record, unknown: Some(end) })
            } else {
                Standing::Ended(record, end)
            })
        }
        _ => Err(corrupt("gate_calls.state")),
    }
}

impl Standing {
    /// The call, wherever it stands.
    pub(crate) const fn record(&self) -> &Record {
        match self {
            Self::Open(open) => &open.0,
            Self::Begun(in_flight) => &in_flight.record,
            Self::Ended(record, _) => record,
        }
    }
}

impl Record {
    /// True if `call` is this call: of the same people, the same tool and the same arguments.
    pub(crate) fn is(&self, call: &ToolCall, digest: &str) -> bool {
        let (ours, theirs) = (&self.call.mandate, &call.mandate);
        self.digest == digest
            && ours.subject() == theirs.subject()
            && ours.agent() == theirs.agent()
            && ours.client() == theirs.client()
            && self.call.spec.label() == call.spec.label()
    }

    /// Who caused what happens to it, when it is not a person.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Client {
            client_id: self.call.mandate.agent().to_string(),
            sub: Some(self.call.mandate.subject().to_string()),
        }
    }

    /// An event about it: ids and the digest, never the arguments.
    pub(crate) fn event(&self, tenant: &TenantId, kind: EventKind, actor: Actor) -> Event {
        let mandate = &self.call.mandate;
        let event = Event::new(tenant, kind, actor)
            .with("call_id", self.call_id.as_str())
            .with("tool", self.call.spec.label())
            .with("sub", mandate.subject().as_str())
            .with("agent", mandate.agent().as_str())
            .with("client_id", mandate.client().as_str())
            .with("digest", self.digest.as_str());
        match &self.call.trace {
            Some(trace) => event.with("trace_id", behalf_verify::hex(&trace.trace_id)),
            None => event,
        }
    }

    fn ended(&self, ending: Ending, at: Timestamp) -> CallEnd {
        CallEnd {
            call_id: self.call_id.clone(),
            ending,
            approval_id: self.approval_id.clone(),
            at: Some(at),
        }
    }
}

impl Open {
    /// A call that is asked for the first time, added to `unit`.
    pub(crate) fn new(
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        call_id: String,
        digest: String,
        call: ToolCall,
    ) -> Result<Self, StoreError> {
        let details = Details {
            spec: call.spec.clone(),
            arguments: call.arguments.clone(),
            until: call.mandate.until(),
            trace: call.trace,
            tainted_by: call.tainted_by.clone(),
            words: call.words.clone(),
        };
        let row = CallRow {
            call_id: call_id.clone(),
            call_key: call.key.clone(),
            user_id: call.mandate.subject().clone(),
            agent_id: call.mandate.agent().clone(),
            client_id: call.mandate.client().clone(),
            tool: call.spec.label(),
            digest: digest.clone(),
            details: to_text(&details)?,
            state: "open".to_owned(),
            approval_id: None,
            interrupt_id: None,
            ending: None,
            created_at: unit.now(),
            started_at: None,
            ended_at: None,
            account: None,
        };
        unit.add(calls::insert(tenant, &row));
        let record = Record {
            call_id,
            digest,
            call,
            approval_id: None,
            interrupt_id: None,
            started_at: None,
            account: None,
        };
        unit.record(&record.event(tenant, EventKind::ToolCallAsked, record.actor()));
        Ok(Self(record))
    }

    /// It waits for that approval.
    pub(crate) fn await_approval(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        approval_id: &str,
    ) -> Self {
        let mut record = self.0;
        unit.add(calls::await_approval(tenant, &record.call_id, approval_id));
        record.approval_id = Some(approval_id.to_owned());
        Self(record)
    }

    /// It waits for an account.
    pub(crate) fn await_account(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        needed: &ConnectNeeded,
    ) -> Self {
        let mut record = self.0;
        let before = record.interrupt_id.as_deref();
        unit.add(calls::await_account(tenant, &record.call_id, before, &needed.interrupt_id));
        let row = InterruptRow {
            interrupt_id: needed.interrupt_id.clone(),
            call_id: record.call_id.clone(),
            user_id: needed.user.clone(),
            connection: needed.connection.clone(),
            scopes: needed.scopes.join(" "),
            created_at: unit.now(),
            expires_at: needed.expires_at,
            ended_at: None,
            outcome: None,
        };
        unit.add(interrupts::insert(tenant, &row));
        let event = record.event(tenant, EventKind::ConnectRequested, record.actor());
        unit.record(
            &event
                .with("interrupt_id", needed.interrupt_id.as_str())
                .with("connection", needed.connection.as_str())
                .with("scopes", needed.scopes.clone()),
        );
        record.interrupt_id = Some(needed.interrupt_id.clone());
        Self(record)
    }

    /// It may not be.
    pub(crate) fn deny(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        denial: Denial,
    ) -> Result<CallEnd, StoreError> {
        let event = self.0.event(tenant, EventKind::ToolCallDenied, self.0.actor());
        unit.record(&event.with("reason", denial.reason.as_str()));
        self.end(unit, tenant, Ending::Denied(denial))
    }

    /// Its time is over.
    pub(crate) fn expire(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
    ) -> Result<CallEnd, StoreError> {
        unit.record(&self.0.event(tenant, EventKind::ToolCallExpired, Actor::System));
        self.end(unit, tenant, Ending::Expired)
    }

    /// It is taken back.
    pub(crate) fn cancel(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        actor: Actor,
    ) -> Result<CallEnd, StoreError> {
        unit.record(&self.0.event(tenant, EventKind::ToolCallCancelled, actor));
        self.end(unit, tenant, Ending::Cancelled)
    }

    fn end(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        ending: Ending,
    ) -> Result<CallEnd, StoreError> {
        let (now, text) = (unit.now(), to_text(&ending)?);
        unit.add(calls::end_open(tenant, &self.0.call_id, ending.as_str(), &text, now));
        Ok(self.0.ended(ending, now))
    }

    /// The intent to have the effect; returns it with the id of its record.
    pub(crate) fn start(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        facts: &Facts,
        account: Option<String>,
    ) -> (InFlight, String) {
        let mut record = self.0;
        let now = unit.now();
        let (call_id, digest) = (&record.call_id, &record.digest);
        unit.add(calls::start(tenant, call_id, digest, account.as_deref(), now));
        let event = record
            .event(tenant, EventKind::ToolCallStarted, record.actor())
            .with("fga_revision", facts.fga_revision);
        let event = match &facts.approval_id {
            Some(approval_id) => event.with("approval_id", approval_id.as_str()),
            None => event,
        };
        let event = match &facts.connection {
            Some(connection) => event.with("connection", connection.as_str()),
            None => event,
        };
        let record_id = unit.record(&event);
        record.started_at = Some(now);
        record.account = account;
        (InFlight { record, unknown: None }, record_id)
    }
}

impl InFlight {
    /// Somebody says how it ended.
    pub(crate) fn settle(
        self,
        unit: &mut UnitOfWork,
        tenant: &TenantId,
        ending: Ending,
        actor: Actor,
    ) -> Result<CallEnd, StoreError> {
        let (now, text) = (unit.now(), to_text(&ending)?);
        let record = self.record;
        unit.add(calls::settle(tenant, &record.call_id, ending.as_str(), &text, now));
        let event = record.event(tenant, EventKind::ToolCallEnded, actor);
        unit.record(&event.with("outcome", ending.as_str()));
        Ok(record.ended(ending, now))
    }

    /// What is known of its end: nothing.
    pub(crate) fn into_end(self) -> CallEnd {
        self.unknown.unwrap_or_else(|| CallEnd {
            call_id: self.record.call_id,
            ending: Ending::Unknown {
                reason: "it was begun, and its outcome is not recorded".to_owned(),
            },
            approval_id: self.record.approval_id,
            at: None,
        })
    }

    pub(crate) fn into_intent(self) -> Result<Intent, StoreError> {
        let (record, is_unknown) = (self.record, self.unknown.is_some());
        Ok(Intent {
            is_unknown,
            call_id: record.call_id,
            key: record.call.key,
            mandate: record.call.mandate,
            spec: record.call.spec,
            arguments: record.call.arguments,
            started_at: record.started_at.ok_or_else(|| corrupt("gate_calls.started_at"))?,
            digest: record.digest,
            approval_id: record.approval_id,
            trace: record.call.trace,
        })
    }
}

/// The event in the unit that ends a call's wait: the engine that runs the agent follows it.
pub(crate) fn wait_ended(
    tenant: &TenantId,
    actor: Actor,
    call_id: &str,
    kind: &str,
    outcome: &str,
) -> Event {
    Event::new(tenant, EventKind::WaitEnded, actor)
        .with("call_id", call_id)
        .with("wait", kind)
        .with("outcome", outcome)
}

fn to_text(value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Internal { reason: error.to_string() })
}
