//! What is worth proving later: every state change commits together with one of these.
//!
//! Events go to the outbox in the same unit of work; only the ledger turns them into leaves.
//! Facts never hold a token, a secret, a password or a prompt.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::ids::{ProjectId, TenantId};

/// Who caused an event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// A signed-in person.
    User {
        /// Her `sub`.
        sub: String,
    },
    /// An application acting for itself or, with `sub`, for a person.
    Client {
        /// The application's `client_id`.
        client_id: String,
        /// The person it acts for.
        #[serde(skip_serializing_if = "Option::is_none")]
        sub: Option<String>,
    },
    /// A machine with a preshared key.
    ApiKey {
        /// The key's name.
        name: String,
    },
    /// Somebody on the machine, by the command line.
    Local {
        /// The operating system's user id.
        uid: u32,
    },
    /// The server itself: start, expiry, rotation.
    System,
    /// Nobody known: a failed sign-in, a refused client.
    Anonymous,
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// The kinds of events. The text is what records and exports carry; it never changes once
        /// released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventKind {
            $($(#[$doc])* $name,)*
        }

        impl EventKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The kind as records carry it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

event_kinds! {
    /// The data folder was set up for the first time.
    DeploymentCreated = "deployment.created",
    /// A tenant came into being.
    TenantCreated = "tenant.created",
    /// A set-up file was applied.
    SetupApplied = "setup.applied",
    /// A signing key was made.
    SigningKeyCreated = "signing_key.created",
    /// A user was created.
    UserCreated = "user.created",
    /// A user's profile, roles or state changed.
    UserUpdated = "user.updated",
    /// A user's password changed.
    UserPasswordChanged = "user.password_changed",
    /// A client was registered.
    ClientCreated = "client.created",
    /// A client's settings changed.
    ClientUpdated = "client.updated",
    /// An API was registered.
    ResourceServerCreated = "resource_server.created",
    /// An API's settings changed.
    ResourceServerUpdated = "resource_server.updated",
    /// A client was granted scopes of an API.
    ClientGrantWritten = "client_grant.written",
    /// A preshared key was written.
    ApiKeyWritten = "api_key.written",
    /// A workspace of traces was made or renamed.
    ProjectWritten = "project.written",
    /// A person signed in.
    SignInSucceeded = "sign_in.succeeded",
    /// A sign-in was refused.
    SignInFailed = "sign_in.failed",
    /// An (account, address) pair was blocked after too many failed sign-ins.
    SignInBlocked = "sign_in.blocked",
    /// A browser session ended.
    SessionEnded = "session.ended",
    /// A person agreed to what an application asks for.
    ConsentGranted = "consent.granted",
    /// A person refused what an application asks for.
    ConsentDenied = "consent.denied",
    /// An authorization code was issued.
    AuthorizationGranted = "authorization.granted",
    /// A token was issued.
    TokenIssued = "token.issued",
    /// A token request was refused.
    TokenRefused = "token.refused",
    /// A used authorization code or refresh token came back; its family was revoked.
    TokenReuseDetected = "token.reuse_detected",
    /// A refresh token and its family were revoked.
    TokenRevoked = "token.revoked",
    /// An authorization store was created.
    FgaStoreCreated = "fga.store_created",
    /// It was set whose answers an authorization store gives to checks.
    FgaSemanticsSet = "fga.semantics_set",
    /// An authorization store was deleted with everything in it.
    FgaStoreDeleted = "fga.store_deleted",
    /// An authorization model was written.
    FgaModelWritten = "fga.model_written",
    /// Relationship tuples were written or deleted.
    FgaTuplesWritten = "fga.tuples_written",
    /// The assertions of an authorization model were written.
    FgaAssertionsWritten = "fga.assertions_written",
    /// A document was uploaded, or its content replaced.
    DocumentWritten = "document.written",
    /// A document was shared with somebody.
    DocumentShared = "document.shared",
    /// A document is shared with somebody no longer.
    DocumentUnshared = "document.unshared",
    /// Documents were searched, and passages handed over.
    DocumentsSearched = "documents.searched",
    /// A document was deleted with its passages and its tuples.
    DocumentDeleted = "document.deleted",

    /// A connection to a provider was made or changed.
    ConnectionWritten = "connection.written",
    /// A person connected an account at a provider, or connected it again.
    AccountConnected = "account.connected",
    /// A person connected nothing: she or the provider refused.
    AccountConnectRefused = "account.connect_refused",
    /// A connected account was forgotten with its tokens.
    AccountDisconnected = "account.disconnected",
    /// What the provider said to the revocation of a forgotten account's tokens.
    AccountRevocationAsked = "account.revocation_asked",
    /// A provider gave new tokens for old ones.
    AccountRefreshed = "account.refreshed",
    /// A provider no longer accepts an account's refresh token.
    AccountReauthorizationRequired = "account.reauthorization_required",
    /// A provider's token was handed out.
    ProviderTokenIssued = "provider_token.issued",

    // The gate.
    /// A tool call was asked for the first time.
    ToolCallAsked = "tool_call.asked",
    /// A tool call was denied; nothing was sent.
    ToolCallDenied = "tool_call.denied",
    /// A tool call's time was over before it was allowed; nothing was sent.
    ToolCallExpired = "tool_call.expired",
    /// A tool call was taken back; nothing was sent.
    ToolCallCancelled = "tool_call.cancelled",
    /// A tool call is about to have its effect: the intent, recorded before it.
    ToolCallStarted = "tool_call.started",
    /// How a started tool call ended: done, not done, or unknown.
    ToolCallEnded = "tool_call.ended",
    /// A person is asked for her approval.
    ApprovalRequested = "approval.requested",
    /// She approved.
    ApprovalApproved = "approval.approved",
    /// She denied.
    ApprovalDenied = "approval.denied",
    /// An approval's time was over before it was decided or used.
    ApprovalExpired = "approval.expired",
    /// Whoever asked took the question back.
    ApprovalCancelled = "approval.cancelled",
    /// An approval was used, once.
    ApprovalRedeemed = "approval.redeemed",
    /// A decision on an approval was refused.
    ApprovalDecisionRefused = "approval.decision_refused",
    /// A tool call waits until its person connects an account.
    ConnectRequested = "connect.requested",
    /// A tool call's wait ended.
    WaitEnded = "wait.ended",

    // The log itself.
    /// A project's log was started.
    LogCreated = "log.created",
    /// Records were exported.
    RecordsExported = "records.exported",

    /// A person wrote to the agent, and a turn began.
    ChatTurnStarted = "chat.turn_started",
    /// A turn ended: the agent has answered, or failed.
    ChatTurnEnded = "chat.turn_ended",
}

impl Actor {
    /// The id by which this actor's records are found: the person before the application that acts
    /// for her.
    pub fn id(&self) -> String {
        match self {
            Self::User { sub } | Self::Client { sub: Some(sub), .. } => sub.clone(),
            Self::Client { client_id, sub: None } => client_id.clone(),
            Self::ApiKey { name } => name.clone(),
            Self::Local { uid } => format!("local:{uid}"),
            Self::System => "system".to_owned(),
            Self::Anonymous => "anonymous".to_owned(),
        }
    }
}

impl EventKind {
    /// The kind that records carry as `text`.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}

/// One thing that happened, as the outbox and the ledger keep it.
#[derive(Clone, Debug)]
pub struct Event {
    /// The tenant it happened in.
    pub tenant: TenantId,
    /// The project whose log gets the leaf.
    pub project: ProjectId,
    /// What happened.
    pub kind: EventKind,
    /// Who caused it.
    pub actor: Actor,
    /// What an auditor needs to know: ids, digests, outcomes; JSON members in snake case.
    pub facts: Map<String, Value>,
}

impl Event {
    /// An event of `kind` in the tenant's default project, without facts yet.
    pub fn new(tenant: &TenantId, kind: EventKind, actor: Actor) -> Self {
        Self {
            tenant: tenant.clone(),
            project: ProjectId::default_project(),
            kind,
            actor,
            facts: Map::new(),
        }
    }

    /// The event with one more fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_distinct_texts_that_find_them_again() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_text(kind.as_str()), Some(*kind));
        }
    }
}
