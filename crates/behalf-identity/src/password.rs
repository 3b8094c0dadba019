//! Passwords: hashed off the async workers, a bounded number at once, and failures counted.

use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use behalf_core::{Actor, Event, EventKind, Rng, Secret};
use behalf_crypto::password::{self, PasswordError};
use behalf_store::StoreError;
use behalf_store::identity::users;
use thiserror::Error;
use tokio::sync::Semaphore;

use crate::Identity;
use crate::user::{Profile, User};

/// Failed sign-ins in a row that an account has from one address before it is blocked there.
const FAILURES_ALLOWED: i64 = 10;
/// How long the block lasts after the last failure.
pub(crate) const BLOCK: Duration = Duration::from_mins(15);
/// How long a hash may wait for its turn, measured in hashes per permit.
const QUEUE_PER_PERMIT: usize = 32;
/// The fewest characters of a password that a person chooses.
const MIN_CHARS: usize = 10;

/// A chosen password is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PasswordPolicyError {
    /// Fewer than ten characters.
    #[error("use at least 10 characters")]
    TooShort,
    /// More than 1,024 bytes.
    #[error("use at most 1,024 bytes")]
    TooLong,
    /// It is the address or the name.
    #[error("choose a password that is not your name or address")]
    Personal,
    /// The two fields differ.
    #[error("the two passwords differ")]
    Differ,
}

/// Checks a password that a person chose.
///
/// # Errors
/// Says what to change.
pub fn check_password(
    password: &Secret<String>,
    profile: &Profile,
) -> Result<(), PasswordPolicyError> {
    let text = password.expose();
    if text.chars().count() < MIN_CHARS {
        return Err(PasswordPolicyError::TooShort);
    }
    if text.len() > password::PASSWORD_BYTES_MAX {
        return Err(PasswordPolicyError::TooLong);
    }
    let lower = text.to_lowercase();
    let is_personal = [&profile.email, &profile.username, &profile.name]
        .into_iter()
        .flatten()
        .any(|known| known.to_lowercase() == lower);
    if is_personal { Err(PasswordPolicyError::Personal) } else { Ok(()) }
}

/// Hashes at most `permits` passwords at once; beyond the queue it refuses.
#[derive(Debug)]
pub(crate) struct HashingPool {
    turns: Arc<Semaphore>,
    places: Semaphore,
}

/// The hashing pool refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HashingError {
    /// The queue is full.
    Busy,
    /// The hash is not one of ours, or the task died.
    Failed,
}

impl HashingPool {
    pub(crate) fn new(permits: usize) -> Self {
        let permits = permits.max(1);
        Self {
            turns: Arc::new(Semaphore::new(permits)),
            places: Semaphore::new(permits.saturating_mul(QUEUE_PER_PERMIT)),
        }
    }

    /// True if `phc` is a hash of `password`; with no hash, false after the same work.
    pub(crate) async fn verify(
        &self,
        password: Secret<String>,
        phc: Option<String>,
    ) -> Result<bool, HashingError> {
        self.run(move || match phc {
            Some(phc) => match password::verify(&password, &phc) {
                // Nobody's password, and as quick for an account that does not exist.
                Err(PasswordError::TooLong) => Ok(false),
                answer => answer.map_err(|_broken| HashingError::Failed),
            },
            None => {
                password::verify_nobody(&password);
                Ok(false)
            }
        })
        .await
    }

    /// The hash of `password` as a PHC string.
    pub(crate) async fn hash(
        &self,
        password: Secret<String>,
        rng: Arc<dyn Rng>,
    ) -> Result<String, HashingError> {
        self.run(move || password::hash(&password, &*rng).map_err(|_broken| HashingError::Failed))
            .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashingError> + Send + 'static,
    ) -> Result<T, HashingError> {
        let _place = self.places.try_acquire().map_err(|_full| HashingError::Busy)?;
        let turn =
            self.turns.clone().acquire_owned().await.map_err(|_closed| HashingError::Failed)?;
        // The turn ends with the work, also when the caller has gone.
        let task = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(turn);
            result
        });
        task.await.map_err(|_panicked| HashingError::Failed)?
    }
}

/// Why a name and a password do not open an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CredentialsError {
    /// The name is unknown or the password is wrong; callers never learn which.
    Wrong,
    /// Too many failures in a row from this address; in `retry_after` the next may be tried.
    TooMany {
        /// Until then.
        retry_after: Duration,
    },
    /// The password is right, but an administrator keeps the person out.
    Blocked,
    /// Too many passwords are being checked.
    Busy,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for CredentialsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<HashingError> for CredentialsError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::Busy,
            HashingError::Failed => {
                Self::Store(StoreError::Internal { reason: "password hashing failed".into() })
            }
        }
    }
}

/// Where an attempt to sign in comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt<'a> {
    /// What was typed as address or user name.
    pub(crate) name: &'a str,
    /// The peer's IP address.
    pub(crate) address: &'a str,
    /// Through which client, if by the password grant.
    pub(crate) client_id: Option<&'a str>,
}

impl Identity {
    /// The person whom name and password open. Each attempt is counted before the password is
    /// looked at, so that parallel guesses count too; a right one clears the count.
    pub(crate) async fn check_credentials(
        &self,
        attempt: Attempt<'_>,
        password: &Secret<String>,
    ) -> Result<User, CredentialsError> {
        let name: String = attempt.name.trim().to_lowercase().chars().take(255).collect();
        let user = self.find_user_by_sign_in_name(&name).await?;
        // By person where there is one: her address and her user name are one account.
        let account = user
            .as_ref()
            .map_or_else(|| format!("name:{name}"), |user| format!("user:{}", user.user_id));
        let network = network_of(attempt.address);
        self.count_attempt(&account, &network).await?;
        let phc = user.as_ref().and_then(|user| user.password_hash.clone());
        let is_right = self.0.hashing.verify(password.clone(), phc).await?;
        let refused = |user: Option<&User>, reason| {
            let mut event = Event::new(self.tenant(), EventKind::SignInFailed, Actor::Anonymous)
                .with("address", attempt.address)
                .with("reason", reason);
            if let Some(user) = user {
                event = event.with("sub", user.user_id.as_str());
            }
            if let Some(client_id) = attempt.client_id {
                event = event.with("client_id", client_id);
            }
            event
        };
        let mut unit = self.unit();
        let outcome = match user {
            Some(user) if is_right && user.blocked => {
                unit.record(&refused(Some(&user), "blocked"));
                Err(CredentialsError::Blocked)
            }
            Some(user) if is_right => {
                unit.add(users::clear_failures(self.tenant(), &account, &network));
                Ok(user)
            }
            // What was typed is not recorded: people type passwords into the wrong field.
            other => {
                unit.record(&refused(other.as_ref(), "credentials"));
                Err(CredentialsError::Wrong)
            }
        };
        self.storage().commit(unit).await?;
        outcome
    }

    async fn count_attempt(&self, account: &str, network: &str) -> Result<(), CredentialsError> {
        let (tenant, now) = (self.tenant(), self.now());
        let known = users::find_failures(self.storage(), tenant, account, network).await?;
        if let Some(row) = known
            && row.failures >= FAILURES_ALLOWED
            && now < row.last_at.plus(BLOCK)
        {
            return Err(CredentialsError::TooMany {
                retry_after: row.last_at.plus(BLOCK).since(now),
            });
        }
        let mut unit = self.unit();
        let since = now.minus(BLOCK);
        unit.add(users::count_failure(tenant, account, network, since, now));
        let failures: i64 = self.storage().commit(unit).await?.value("failures")?;
        if failures == FAILURES_ALLOWED {
            // Recorded when the last allowed attempt is spent; a right password still opens it.
            tracing::info!(address = network, "last sign-in attempt before a block");
        }
        if failures > FAILURES_ALLOWED {
            return Err(CredentialsError::TooMany { retry_after: BLOCK });
        }
        Ok(())
    }
}

/// What counts as one address: with IPv6 the network of 64 bits, because a host there has as many
/// addresses as it likes.
fn network_of(address: &str) -> String {
    match address.parse::<Ipv6Addr>() {
        Ok(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        Err(_) => address.to_owned(),
    }
}
