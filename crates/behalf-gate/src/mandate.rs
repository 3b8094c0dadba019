//! Mandates: what a person has delegated to an agent.
//!
//! A mandate comes from a verified session or token only; model output and message bodies cannot
//! make one.

use behalf_core::{ClientId, Timestamp, UserId};
use behalf_identity::{AccessToken, Session};
use serde::{Deserialize, Serialize};

/// Who acts, for whom, through which application, until when. An agent's turn keeps its mandate with
/// its state, sealed, so that it can go on after a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mandate {
    subject: UserId,
    agent: ClientId,
    client: ClientId,
    until: Timestamp,
}

impl Mandate {
    /// The mandate of `agent` for whoever is signed in in this browser: the agent is its own
    /// application.
    pub fn of_session(session: &Session, agent: &ClientId) -> Self {
        Self {
            subject: session.user.user_id.clone(),
            agent: agent.clone(),
            client: agent.clone(),
            until: session.expires_at,
        }
    }

    /// The mandate of `agent` for the person of a verified token, through the application that
    /// holds it; `None` for a client's own token, which is about nobody.
    pub fn of_token(token: &AccessToken, agent: &ClientId) -> Option<Self> {
        Some(Self {
            subject: token.user_id()?,
            agent: agent.clone(),
            client: token.client_id.clone(),
            until: token.expires_at,
        })
    }

    /// A mandate as it was stored with its call.
    pub(crate) const fn stored(
        subject: UserId,
        agent: ClientId,
        client: ClientId,
        until: Timestamp,
    ) -> Self {
        Self { subject, agent, client, until }
    }

    /// For whom.
    pub const fn subject(&self) -> &UserId {
        &self.subject
    }

    /// Who acts (`act.sub`).
    pub const fn agent(&self) -> &ClientId {
        &self.agent
    }

    /// Through which application (`client_id`).
    pub const fn client(&self) -> &ClientId {
        &self.client
    }

    /// When it ends.
    pub const fn until(&self) -> Timestamp {
        self.until
    }
}
