//! Names of things, each a type of its own so that one cannot stand where another belongs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::clock::Timestamp;
use crate::rng::{Rng, random_bytes};

/// The text is no id of this kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a {kind} is 1 to {max} characters without spaces or control characters")]
pub struct InvalidId {
    kind: &'static str,
    max: usize,
}

/// Ids that people or other systems choose: 1 to `$max` bytes, no white space, no control characters.
macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident, $kind:literal, $max:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                let is_plain = |c: char| !c.is_whitespace() && !c.is_control();
                if text.is_empty() || text.len() > $max || !text.chars().all(is_plain) {
                    return Err(InvalidId { kind: $kind, max: $max });
                }
                Ok(Self(text))
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_id! {
    /// A tenant: one issuer with its own users, keys and quotas. `default` unless more are declared.
    TenantId, "tenant id", 64;
    /// A user's `sub`, e.g. `auth0|owner`.
    UserId, "user id", 255;
    /// An application's `client_id`.
    ClientId, "client id", 255;
    /// A browser session's `sid`.
    SessionId, "session id", 64;
    /// A workspace of traces; `default` always exists.
    ProjectId, "project id", 64;
    /// A connection to a provider of third-party tokens, e.g. `github`.
    ConnectionName, "connection name", 128;
}

impl TenantId {
    /// The tenant that exists when no other is declared.
    pub fn default_tenant() -> Self {
        Self("default".to_owned())
    }
}

impl ProjectId {
    /// The project that always exists.
    pub fn default_project() -> Self {
        Self("default".to_owned())
    }
}

/// A platform role (DESIGN §1). Everybody without one is a plain user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoleId {
    /// Sets up users, applications, APIs, connections, models and policies.
    Administrator,
    /// Runs the server: health, metrics, back-ups, upgrades.
    Operator,
    /// Stops risky behaviour and investigates.
    Security,
    /// Checks without trusting the operator; read-only.
    Auditor,
    /// Sees cost, budgets and invoices.
    BillingAdministrator,
}

impl RoleId {
    /// Every role, in the order of the documents.
    pub const ALL: [Self; 5] = [
        Self::Administrator,
        Self::Operator,
        Self::Security,
        Self::Auditor,
        Self::BillingAdministrator,
    ];

    /// The role's id on the wire and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Operator => "operator",
            Self::Security => "security",
            Self::Auditor => "auditor",
            Self::BillingAdministrator => "billing_administrator",
        }
    }

    /// The role of that id, if there is one.
    pub fn from_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == id)
    }
}

/// Crockford's base 32: no I, L, O, U.
const CROCKFORD: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A fresh ULID: 26 characters, 48 bits of milliseconds then 80 random bits, so ids sort by time.
pub fn new_ulid(now: Timestamp, rng: &dyn Rng) -> String {
    let random: [u8; 10] = random_bytes(rng);
    ulid_of(now, random.iter().fold(0, |bits, &byte| (bits << 8) | u128::from(byte)))
}

/// The ULID of a time, to the millisecond, and of the lowest 80 bits of `rest`.
pub fn ulid_of(time: Timestamp, rest: u128) -> String {
    let millis = u128::from(time.as_micros().div_euclid(1000).unsigned_abs()) & ((1 << 48) - 1);
    let mut bits = (millis << 80) | (rest & ((1 << 80) - 1));
    let mut text = [b'0'; 26];
    for place in text.iter_mut().rev() {
        let digit = usize::try_from(bits & 31).unwrap_or(0);
        *place = CROCKFORD.get(digit).copied().unwrap_or(b'0');
        bits >>= 5;
    }
    text.iter().map(|&b| char::from(b)).collect()
}

/// The 80 bits behind the time of a ULID.
pub fn ulid_rest(ulid: &str) -> Option<u128> {
    if ulid.len() != 26 {
        return None;
    }
    let digit = |b: u8| CROCKFORD.iter().position(|&known| known == b).map(|n| n as u128);
    let bits = ulid.bytes().try_fold(0_u128, |bits, b| Some((bits << 5) | digit(b)?))?;
    Some(bits & ((1 << 80) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::DangerousSeededRng;

    #[test]
    fn ids_refuse_what_no_header_or_log_line_could_carry() {
        assert!("auth0|owner".parse::<UserId>().is_ok());
        for bad in ["", "a b", "a\nb", "a\u{0}b", &"x".repeat(256)] {
            assert!(bad.parse::<UserId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ulids_sort_by_time_and_fit_openfgas_pattern() {
        let rng = DangerousSeededRng::new(1);
        let early = new_ulid(Timestamp::from_secs(1_000), &rng);
        let late = new_ulid(Timestamp::from_secs(2_000), &rng);
        assert!(early < late);
        assert_eq!(early.len(), 26);
        assert!(late.bytes().all(|b| CROCKFORD.contains(&b)));
    }

    #[test]
    fn roles_round_trip_through_their_ids() {
        for role in RoleId::ALL {
            assert_eq!(RoleId::from_id(role.as_str()), Some(role));
        }
        assert_eq!(RoleId::from_id("root"), None);
    }
}
