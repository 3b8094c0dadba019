//! The pipeline: mandate → relationship → connection → approval → execute → record.

use std::sync::Arc;
use std::time::Duration;

use behalf_authz::Authz;
use behalf_core::{Actor, Rng, TenantId, new_ulid};
use behalf_identity::Identity;
use behalf_store::gate::{approvals, calls, interrupts};
use behalf_store::{Storage, StoreError, UnitOfWork};
use behalf_vault::{ProviderToken, Vault};
use metrics::counter;
use tokio::sync::broadcast;

use crate::approval::{self, Approval, NewApproval, Question, Source, Status};
use crate::call::{self, InFlight, Open, Record, Standing, ToolCall, call_digest};
use crate::error::{GateError, corrupt};
use crate::outcome::{
    Asked, Begun, CallEnd, ConnectNeeded, Denial, DenialReason, Effect, Ending, Facts, Intent,
    Outcome, Permit, Started,
};
use crate::stages::{Connected, Grounds};
use crate::waits::Wake;
use crate::words::Words;

/// How long a person has to decide about a call unless the operator says otherwise: Auth0's default.
pub const APPROVAL_LIFETIME: Duration = Duration::from_secs(300);
/// How long a call waits for an account.
const CONNECT_LIFETIME: Duration = Duration::from_secs(3_600);
/// How often a decision is made again because what it rests on moved meanwhile.
const ATTEMPTS: u32 = 8;
/// Wakes that a slow listener may be behind before it has to look for itself.
const WAKES: usize = 1_024;
/// Intents read at once.
const PAGE: u32 = 100;

/// The decision point of one tenant; clones share it.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Storage,
    rng: Arc<dyn Rng>,
    identity: Identity,
    authz: Authz,
    vault: Vault,
    approval_lifetime: Duration,
    wakes: broadcast::Sender<Wake>,
}

/// What a [`Gate`] is built from.
#[derive(Debug)]
pub struct GateParts {
    /// Where it remembers.
    pub storage: Storage,
    /// Randomness for ids and request handles.
    pub rng: Arc<dyn Rng>,
    /// Who people and applications are; also the tenant and the time.
    pub identity: Identity,
    /// Which agent may call which tool, and who may reach what.
    pub authz: Authz,
    /// The accounts that tools act with.
    pub vault: Vault,
    /// How long a person has to decide about a call.
    pub approval_lifetime: Duration,
}

/// An open call was looked at.
enum Judged {
    /// Every stage passes; with the approval that is to be used, and the token.
    Passed(Box<Passed>),
    /// It is not allowed, or not yet.
    Halted(Asked),
}

struct Passed {
    open: Open,
    grounds: Grounds,
    approval: Option<approval::Approved>,
    token: Option<ProviderToken>,
    facts: Facts,
}

impl Gate {
    /// The gate of one tenant.
    pub fn new(parts: GateParts) -> Self {
        let GateParts { storage, rng, identity, authz, vault, approval_lifetime } = parts;
        let (wakes, _) = broadcast::channel(WAKES);
        Self(Arc::new(Inner { storage, rng, identity, authz, vault, approval_lifetime, wakes }))
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.0.identity
    }

    pub(crate) fn authz(&self) -> &Authz {
        &self.0.authz
    }

    pub(crate) fn vault(&self) -> &Vault {
        &self.0.vault
    }

    pub(crate) fn tenant(&self) -> &TenantId {
        self.0.identity.tenant()
    }

    pub(crate) fn rng(&self) -> &dyn Rng {
        &*self.0.rng
    }

    pub(crate) fn wakes(&self) -> &broadcast::Sender<Wake> {
        &self.0.wakes
    }

    pub(crate) fn unit(&self) -> UnitOfWork {
        self.0.identity.unit()
    }

    pub(crate) fn new_id(&self, prefix: &str) -> String {
        format!("{prefix}{}", new_ulid(self.0.identity.now(), self.rng()))
    }

    /// Decides about a call, or goes on deciding after a wait. Asked again with the same key it is
    /// the same call, and after its end it tells how it ended.
    ///
    /// # Errors
    /// When the key was used for another call, or a stage cannot answer; then nothing is allowed.
    pub async fn ask(&self, call: &ToolCall) -> Result<Asked, GateError> {
        call.check_size()?;
        let digest = call.digest()?;
        for _attempt in 0..ATTEMPTS {
            match self.try_ask(call, &digest).await {
                Err(GateError::Store(StoreError::Conflict { .. })) => {}
                result => {
                    count_decision(&result);
                    return result;
                }
            }
        }
        Err(GateError::Contention)
    }

    async fn try_ask(&self, call: &ToolCall, digest: &str) -> Result<Asked, GateError> {
        let mut unit = self.unit();
        let row = calls::find_by_key(self.storage(), self.tenant(), &call.key).await?;
        let open = match row.map(call::standing).transpose()? {
            None => {
                let (call_id, call) = (self.new_id("call_"), call.clone());
                Open::new(&mut unit, self.tenant(), call_id, digest.to_owned(), call)?
            }
            Some(standing) => {
                if !standing.record().is(call, digest) {
                    return Err(GateError::KeyReused);
                }
                match standing {
                    Standing::Ended(_, end) => return Ok(Asked::Ended(end)),
                    Standing::Begun(in_flight) => return Ok(Asked::Ended(in_flight.into_end())),
                    Standing::Open(open) if open.0.call.spec != call.spec => {
                        let denial = DenialReason::ToolChanged.into();
                        return self.deny(unit, open, denial).await;
                    }
                    Standing::Open(open) => open,
                }
            }
        };
        match self.judge(unit, open).await? {
            Judged::Halted(asked) => Ok(asked),
            Judged::Passed(passed) => {
                let Passed { open, facts, .. } = *passed;
                Ok(Asked::Decided(Outcome::Allowed(Permit { call_id: open.0.call_id, facts })))
            }
        }
    }

    /// Looks at an open call from the first stage to the last. What has to be remembered is added
    /// to `unit`, which is committed before the answer is given.
    async fn judge(&self, unit: UnitOfWork, open: Open) -> Result<Judged, GateError> {
        let now = unit.now();
        let grounds = match self.standing_leave(&open.0.call, now).await? {
            Ok(grounds) => grounds,
            Err(reason) => return Ok(Judged::Halted(self.deny(unit, open, reason.into()).await?)),
        };
        // A person who is still to decide is not asked to connect again.
        let approved = match &open.0.approval_id {
            None => None,
            Some(approval_id) => {
                let row = approvals::find(self.storage(), self.tenant(), approval_id).await?;
                let row = row.ok_or_else(|| corrupt("gate_calls.approval_id"))?;
                match Approval::standing(row, now)? {
                    approval::Standing::Approved(approved) => Some(approved),
                    approval::Standing::Pending(pending) => {
                        return self
                            .halt(unit, Outcome::ApprovalRequired(Box::new(pending.0)))
                            .await;
                    }
                    other => return Ok(Judged::Halted(self.refused(unit, open, other).await?)),
                }
            }
        };
        let token = match self.connected(&open.0).await? {
            Err(reason) => return Ok(Judged::Halted(self.deny(unit, open, reason.into()).await?)),
            Ok(Connected::No(connection, scopes)) => {
                let asked = self.await_account(unit, open, connection, scopes).await?;
                return Ok(Judged::Halted(asked));
            }
            Ok(Connected::Yes(token)) => token,
        };
        if open.0.call.spec.approval.is_some() && approved.is_none() {
            return self.ask_person(unit, open).await;
        }
        if approved.as_ref().is_some_and(|approved| !is_for(&approved.0, &open.0)) {
            return Err(GateError::Tampered);
        }
        self.commit_if_any(unit).await?;
        let facts = Facts {
            digest: open.0.digest.clone(),
            fga_revision: grounds.fga_revision,
            connection: open.0.call.spec.connection.as_ref().map(|need| need.connection.clone()),
            approval_id: approved.as_ref().map(|approved| approved.0.id.clone()),
        };
        Ok(Judged::Passed(Box::new(Passed { open, grounds, approval: approved, token, facts })))
    }

    async fn commit_if_any(&self, unit: UnitOfWork) -> Result<(), GateError> {
        if !unit.is_empty() {
            self.storage().commit(unit).await?;
        }
        Ok(())
    }

    async fn halt(&self, unit: UnitOfWork, outcome: Outcome) -> Result<Judged, GateError> {
        self.commit_if_any(unit).await?;
        Ok(Judged::Halted(Asked::Decided(outcome)))
    }

    /// Ends the call without an effect, and takes back what its person was asked.
    async fn deny(
        &self,
        mut unit: UnitOfWork,
        open: Open,
        denial: Denial,
    ) -> Result<Asked, GateError> {
        self.take_back(&mut unit, &open.0).await?;
        open.deny(&mut unit, self.tenant(), denial.clone())?;
        self.storage().commit(unit).await?;
        Ok(Asked::Decided(Outcome::Denied(denial)))
    }

    /// Cancels the call's open approval and ends its open wait for an account.
    async fn take_back(&self, unit: &mut UnitOfWork, record: &Record) -> Result<(), GateError> {
        let (storage, tenant, now) = (self.storage(), self.tenant(), unit.now());
        if let Some(approval_id) = &record.approval_id
            && let Some(row) = approvals::find(storage, tenant, approval_id).await?
        {
            let actor = record.actor();
            match Approval::standing(row, now)? {
                approval::Standing::Pending(pending) => {
                    pending.cancel(unit, tenant, actor);
                }
                approval::Standing::Approved(approved) => {
                    approved.cancel(unit, tenant, actor);
                }
                approval::Standing::Lapsed(lapsed) => {
                    lapsed.expire(unit, tenant);
                }
                approval::Standing::Over(_) => {}
            }
        }
        if let Some(interrupt_id) = &record.interrupt_id
            && let Some(row) = interrupts::find(storage, tenant, interrupt_id).await?
            && row.ended_at.is_none()
        {
            unit.add(interrupts::end(tenant, interrupt_id, "cancelled", now));
            let event =
                call::wait_ended(tenant, record.actor(), &record.call_id, "connect", "cancelled");
            unit.record(&event.with("interrupt_id", interrupt_id.as_str()));
        }
        Ok(())
    }

    /// The call's approval is over without leave.
    async fn refused(
        &self,
        mut unit: UnitOfWork,
        open: Open,
        standing: approval::Standing,
    ) -> Result<Asked, GateError> {
        let tenant = self.tenant();
        let approval = match standing {
            approval::Standing::Lapsed(lapsed) => lapsed.expire(&mut unit, tenant),
            approval::Standing::Over(approval) => approval,
            approval::Standing::Pending(_) | approval::Standing::Approved(_) => {
                return Err(corrupt("approvals.status").into());
            }
        };
        let outcome = match approval.status {
            Status::Expired => {
                open.expire(&mut unit, tenant)?;
                Outcome::Expired(Box::new(approval))
            }
            Status::Denied => {
                let denial = Denial {
                    reason: DenialReason::DeniedByUser,
                    note: approval.decision.as_ref().and_then(|decision| decision.reason.clone()),
                    approval_id: Some(approval.id.clone()),
                };
                open.deny(&mut unit, tenant, denial.clone())?;
                Outcome::Denied(denial)
            }
            Status::Cancelled | Status::Superseded => {
                let actor = open.0.actor();
                let end = open.cancel(&mut unit, tenant, actor)?;
                self.storage().commit(unit).await?;
                return Ok(Asked::Ended(end));
            }
            // The approval and the start of its call are one unit, but the two are read one after
            // the other: another who began the call did so in between. It is looked at again.
            Status::Redeemed => return Err(StoreError::Conflict { what: "call moved" }.into()),
            Status::Pending | Status::Approved => {
                return Err(corrupt("approvals.status").into());
            }
        };
        self.storage().commit(unit).await?;
        Ok(Asked::Decided(outcome))
    }

    /// Asks the person for her approval of exactly this call.
    async fn ask_person(&self, mut unit: UnitOfWork, open: Open) -> Result<Judged, GateError> {
        let call = &open.0.call;
        let (mandate, spec) = (&call.mandate, &call.spec);
        let Some(need) = &spec.approval else { return Err(corrupt("gate_calls.details").into()) };
        let question = Question {
            client_name: self.client_name(mandate.client().as_str()).await?,
            agent_name: Some(self.client_name(mandate.agent().as_str()).await?),
            words: call.words.as_deref().and_then(Words::of),
            scopes: vec![need.scope.clone()],
            audience: Some(need.audience.clone()),
            authorization_details: None,
            tool: Some(spec.label()),
            tool_title: Some(spec.title.clone()),
            arguments: Some(call.arguments.clone()),
            connection: spec.connection.as_ref().map(|need| need.connection.to_string()),
            tainted_by: call.tainted_by.clone(),
            trace_id: call.trace.map(|trace| behalf_verify::hex(&trace.trace_id)),
        };
        let new = NewApproval {
            id: self.new_id("apr_"),
            source: Source::Gate,
            user: mandate.subject().clone(),
            client: mandate.client().clone(),
            agent: Some(mandate.agent().clone()),
            call_id: Some(open.0.call_id.clone()),
            request_hash: None,
            digest: open.0.digest.clone(),
            question,
            lifetime: self.0.approval_lifetime,
        };
        let approval = Approval::ask(&mut unit, self.tenant(), new)?;
        open.await_approval(&mut unit, self.tenant(), &approval.id);
        self.storage().commit(unit).await?;
        self.tell_asked(&approval);
        Ok(Judged::Halted(Asked::Decided(Outcome::ApprovalRequired(Box::new(approval)))))
    }

    pub(crate) async fn client_name(&self, client_id: &str) -> Result<String, GateError> {
        let client = self.identity().find_client(client_id).await?;
        Ok(client.map_or_else(|| client_id.to_owned(), |client| client.settings.name))
    }

    /// The person has to connect an account: a wait begins, goes on, or is over.
    async fn await_account(
        &self,
        mut unit: UnitOfWork,
        open: Open,
        connection: behalf_core::ConnectionName,
        scopes: Vec<String>,
    ) -> Result<Asked, GateError> {
        let now = unit.now();
        if let Some(interrupt_id) = &open.0.interrupt_id {
            let row = interrupts::find(self.storage(), self.tenant(), interrupt_id).await?;
            let row = row.ok_or_else(|| corrupt("gate_calls.interrupt_id"))?;
            let is_over = match (&row.outcome, row.ended_at) {
                (None, None) => row.expires_at <= now,
                (Some(outcome), Some(_)) => outcome != "connected",
                _ => return Err(corrupt("gate_interrupts.outcome").into()),
            };
            if is_over {
                return self.deny(unit, open, DenialReason::NotConnected.into()).await;
            }
            if row.ended_at.is_none() {
                self.commit_if_any(unit).await?;
                let needed = ConnectNeeded {
                    interrupt_id: row.interrupt_id,
                    call_id: row.call_id,
                    user: row.user_id,
                    connection: row.connection,
                    scopes: row.scopes.split_whitespace().map(str::to_owned).collect(),
                    expires_at: row.expires_at,
                };
                return Ok(Asked::Decided(Outcome::ConnectAccount(needed)));
            }
        }
        let needed = ConnectNeeded {
            interrupt_id: self.new_id("int_"),
            call_id: open.0.call_id.clone(),
            user: open.0.call.mandate.subject().clone(),
            connection,
            scopes,
            expires_at: now.plus(CONNECT_LIFETIME),
        };
        open.await_account(&mut unit, self.tenant(), &needed);
        self.storage().commit(unit).await?;
        Ok(Asked::Decided(Outcome::ConnectAccount(needed)))
    }

    /// Begins an allowed call: looks at it again from the first stage, then records the intent and
    /// uses the approval in one unit, which also requires that nothing it rests on has moved. Of
    /// many who begin the same call, one succeeds.
    ///
    /// # Errors
    /// `Started` when it was begun before; `Tampered` when what is stored is not what was decided
    /// on; or when a stage cannot answer. Nothing may be sent then.
    pub async fn begin(&self, permit: Permit) -> Result<Begun, GateError> {
        for _attempt in 0..ATTEMPTS {
            match self.try_begin(&permit).await {
                Err(GateError::Store(StoreError::Conflict { .. })) => {}
                result => return result,
            }
        }
        Err(GateError::Contention)
    }

    async fn try_begin(&self, permit: &Permit) -> Result<Begun, GateError> {
        let row = calls::find(self.storage(), self.tenant(), &permit.call_id).await?;
        let open = match call::standing(row.ok_or(GateError::NoSuchCall)?)? {
            Standing::Open(open) => open,
            Standing::Begun(_) => return Err(GateError::Started),
            Standing::Ended(_, end) => return Ok(Begun::Stopped(Asked::Ended(end))),
        };
        let call = &open.0.call;
        let digest = call_digest(&call.mandate, &call.spec, &call.arguments)?;
        if digest != open.0.digest || digest != permit.facts.digest {
            return Err(GateError::Tampered);
        }
        let passed = match self.judge(self.unit(), open).await? {
            Judged::Passed(passed) => *passed,
            Judged::Halted(asked) => return Ok(Begun::Stopped(asked)),
        };
        let Passed { open, grounds, approval, token, facts } = passed;
        let mut unit = self.unit();
        grounds.require(&mut unit, self.tenant(), &open.0.call.mandate);
        if let Some(approved) = approval {
            approved.redeem(&mut unit, self.tenant(), open.0.actor());
        }
        if let Some(token) = &token {
            let purpose = format!("tool_call {}", open.0.call_id);
            self.vault().record_hand_out(&mut unit, token, open.0.actor(), &purpose);
        }
        let account = token.as_ref().map(ProviderToken::account);
        let (in_flight, record_id) = open.start(&mut unit, self.tenant(), &facts, account);
        self.storage().commit(unit).await?;
        Ok(Begun::Started(Box::new(started(in_flight.record, token, facts, record_id)?)))
    }

    /// Records how a started call ended.
    ///
    /// # Errors
    /// `Settled` when that is known already.
    pub async fn settle(&self, started: Started, effect: Effect) -> Result<CallEnd, GateError> {
        let in_flight = self.load_in_flight(&started.call_id).await?;
        let actor = in_flight.record.actor();
        self.settle_as(in_flight, effect.into(), actor).await
    }

    pub(crate) async fn settle_as(
        &self,
        in_flight: InFlight,
        ending: Ending,
        actor: Actor,
    ) -> Result<CallEnd, GateError> {
        // That nobody knows is recorded once, however often somebody looks.
        if let (Ending::Unknown { .. }, Some(end)) = (&ending, &in_flight.unknown) {
            return Ok(end.clone());
        }
        let mut unit = self.unit();
        let end = in_flight.settle(&mut unit, self.tenant(), ending, actor)?;
        match self.storage().commit(unit).await {
            Ok(_) => Ok(end),
            Err(error) if error.is_conflict("call is settled") => Err(GateError::Settled),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn load_in_flight(&self, call_id: &str) -> Result<InFlight, GateError> {
        let row = calls::find(self.storage(), self.tenant(), call_id).await?;
        match call::standing(row.ok_or(GateError::NoSuchCall)?)? {
            Standing::Begun(in_flight) => Ok(in_flight),
            Standing::Ended(..) => Err(GateError::Settled),
            Standing::Open(_) => Err(GateError::NoSuchCall),
        }
    }

    /// Calls that were begun and whose end is not known: after a crash, or because the provider did
    /// not answer. Calls that run right now are among them, so this is for the start, or for
    /// intents older than any call runs.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn unsettled(&self) -> Result<Vec<Intent>, GateError> {
        let mut intents = Vec::new();
        for state in ["started", "unknown"] {
            let mut after = String::new();
            loop {
                let (storage, tenant) = (self.storage(), self.tenant());
                let rows = calls::list_in_state(storage, tenant, state, &after, PAGE).await?;
                let Some(last) = rows.last() else { break };
                after.clone_from(&last.call_id);
                for row in rows {
                    if let Standing::Begun(in_flight) = call::standing(row)? {
                        intents.push(in_flight.into_intent()?);
                    }
                }
            }
        }
        Ok(intents)
    }

    /// What a read-back needs: the call as it was begun, with the person's token, to look whether
    /// its effect is there. It is never sent again; the result goes to [`Gate::settle`].
    ///
    /// # Errors
    /// `Settled` when its end is known; otherwise as [`Gate::begin`] when no token can be had.
    pub async fn read_back(&self, call_id: &str) -> Result<Option<Started>, GateError> {
        let in_flight = self.load_in_flight(call_id).await?;
        let record = in_flight.record;
        if self.identity().find_user(record.call.mandate.subject()).await?.is_none_or(|u| u.blocked)
        {
            return Ok(None);
        }
        let token = match self.connected(&record).await? {
            Ok(Connected::Yes(token)) => token,
            Ok(Connected::No(..)) | Err(_) => return Ok(None),
        };
        // In another account its effect is missing, whatever became of it.
        if token.as_ref().map(ProviderToken::account) != record.account {
            return Ok(None);
        }
        let facts = Facts {
            digest: record.digest.clone(),
            fga_revision: 0,
            connection: record.call.spec.connection.as_ref().map(|need| need.connection.clone()),
            approval_id: record.approval_id.clone(),
        };
        Ok(Some(started(record, token, facts, String::new())?))
    }

    /// Takes back a call that was not begun, with what its person was asked. True if it was open.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, key: &str) -> Result<bool, GateError> {
        for _attempt in 0..ATTEMPTS {
            let row = calls::find_by_key(self.storage(), self.tenant(), key).await?;
            let Some(Standing::Open(open)) = row.map(call::standing).transpose()? else {
                return Ok(false);
            };
            let mut unit = self.unit();
            self.take_back(&mut unit, &open.0).await?;
            let actor = open.0.actor();
            open.cancel(&mut unit, self.tenant(), actor)?;
            match self.storage().commit(unit).await {
                Ok(_) => return Ok(true),
                Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(GateError::Contention)
    }
}

/// Counts what was decided, for the operator; the record is the event.
fn count_decision(result: &Result<Asked, GateError>) {
    let outcome = match result {
        Ok(Asked::Decided(outcome)) => outcome.as_str(),
        Ok(Asked::Ended(_)) => return,
        Err(_) => "error",
    };
    counter!("behalf_decisions_total", "outcome" => outcome).increment(1);
}

/// True if the person approved exactly this call.
fn is_for(approval: &Approval, record: &Record) -> bool {
    let mandate = &record.call.mandate;
    approval.call_id.as_deref() == Some(&record.call_id)
        && approval.digest == record.digest
        && approval.user == *mandate.subject()
        && approval.client == *mandate.client()
        && record.call.spec.approval.is_some()
        && approval.is_intact()
}

fn started(
    record: Record,
    token: Option<ProviderToken>,
    facts: Facts,
    record_id: String,
) -> Result<Started, StoreError> {
    Ok(Started {
        started_at: record.started_at.ok_or_else(|| corrupt("gate_calls.started_at"))?,
        call_id: record.call_id,
        key: record.call.key,
        mandate: record.call.mandate,
        spec: record.call.spec,
        arguments: record.call.arguments,
        token,
        facts,
        record_id,
        trace: record.call.trace,
    })
}
