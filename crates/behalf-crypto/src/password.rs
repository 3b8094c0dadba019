//! Password hashes: Argon2id as PHC strings, with what OWASP recommends (19 MiB, two passes).
//!
//! Hashing takes tens of milliseconds of one core and 19 MiB: callers run it off the async workers
//! and bound how many run at once.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use behalf_core::{Rng, Secret};
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest password in bytes, so that nobody makes the server hash megabytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;

/// A password could not be hashed or compared.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// More than [`PASSWORD_BYTES_MAX`] bytes.
    #[error("a password has at most {PASSWORD_BYTES_MAX} bytes")]
    TooLong,
    /// The stored text is no Argon2id PHC string with parameters that Behalf accepts.
    #[error("the stored password hash is not acceptable: {0}")]
    UnacceptableHash(&'static str),
    /// The machine could not provide what hashing needs.
    #[error("password hashing failed")]
    Hashing,
}

/// Hashes a password with a fresh salt.
///
/// # Errors
/// If the password is too long.
pub fn hash(password: &Secret<String>, rng: &dyn Rng) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    rng.fill(&mut salt);
    let cost = Cost::CURRENT;
    let key = derive(password, cost, &salt, KEY_BYTES)?;
    let Cost { memory_kib, passes, lanes } = cost;
    let (salt, key) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(key.as_slice()));
    Ok(format!("$argon2id$v=19$m={memory_kib},t={passes},p={lanes}${salt}${key}"))
}

/// Whether `password` is the one that `phc` was made from.
///
/// # Errors
/// If the password is too long or `phc` is no Argon2id string with bounded parameters.
pub fn verify(password: &Secret<String>, phc: &str) -> Result<bool, PasswordError> {
    let stored = Phc::parse(phc)?;
    let key = derive(password, stored.cost, &stored.salt, stored.key.len())?;
    Ok(key.as_slice().ct_eq(&stored.key).into())
}

/// Costs what [`verify`] costs and finds nothing: for an account that does not exist, so that the
/// time of the answer does not tell.
pub fn verify_nobody(password: &Secret<String>) {
    // The key is thrown away; only the work counts. A password that is too long costs nothing in
    // `verify` either.
    let key = derive(password, Cost::CURRENT, &[0; SALT_BYTES], KEY_BYTES);
    std::hint::black_box(&key);
}

/// Whether `phc` was made with other parameters than [`hash`] uses now. Also true for a text that
/// is no acceptable hash.
pub fn needs_rehash(phc: &str) -> bool {
    !Phc::parse(phc).is_ok_and(|stored| {
        stored.cost == Cost::CURRENT
            && stored.salt.len() == SALT_BYTES
            && stored.key.len() == KEY_BYTES
    })
}

fn derive(
    password: &Secret<String>,
    cost: Cost,
    salt: &[u8],
    key_bytes: usize,
) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let password = password.expose().as_bytes();
    if password.len() > PASSWORD_BYTES_MAX {
        return Err(PasswordError::TooLong);
    }
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key_bytes))
        .map_err(|_| PasswordError::UnacceptableHash("parameters out of range"))?;
    let mut key = Zeroizing::new(vec![0; key_bytes]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password, salt, &mut key)
        .map_err(|_| PasswordError::Hashing)?;
    Ok(key)
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl Cost {
    const CURRENT: Self = Self { memory_kib: 19_456, passes: 2, lanes: 1 };

    /// Below, a hash is too cheap to trust; above, comparing it would stall the server.
    fn is_acceptable(self) -> bool {
        (4_096..=262_144).contains(&self.memory_kib)
            && (1..=10).contains(&self.passes)
            && (1..=8).contains(&self.lanes)
    }
}

/// `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<key>`, unpadded base64.
struct Phc {
    cost: Cost,
    salt: Vec<u8>,
    key: Vec<u8>,
}

impl Phc {
    fn parse(text: &str) -> Result<Self, PasswordError> {
        Self::parse_fields(text).map_err(PasswordError::UnacceptableHash)
    }

    fn parse_fields(text: &str) -> Result<Self, &'static str> {
        if text.len() > PHC_BYTES_MAX {
            return Err("too long");
        }
        let fields = text.strip_prefix("$argon2id$").ok_or("not argon2id")?;
        let fields = fields.strip_prefix("v=19$").ok_or("not version 19")?;
        let mut fields = fields.split('$');
        let mut next = || fields.next().ok_or("a field is missing");
        let cost = parse_cost(next()?).ok_or("malformed parameters")?;
        if !cost.is_acceptable() {
            return Err("parameters out of range");
        }
        let salt = decode(next()?, 8..=64).ok_or("malformed salt")?;
        let key = decode(next()?, 16..=64).ok_or("malformed key")?;
        if fields.next().is_some() {
            return Err("something follows the key");
        }
        Ok(Self { cost, salt, key })
    }
}

fn parse_cost(text: &str) -> Option<Cost> {
    let (memory, rest) = text.strip_prefix("m=")?.split_once(",t=")?;
    let (passes, lanes) = rest.split_once(",p=")?;
    Some(Cost { memory_kib: decimal(memory)?, passes: decimal(passes)?, lanes: decimal(lanes)? })
}

fn decimal(text: &str) -> Option<u32> {
    let number: u32 = text.parse().ok()?;
    // One spelling per number: no sign, no leading zero.
    (number.to_string() == text).then_some(number)
}

fn decode(text: &str, bytes: std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(text).ok().filter(|decoded| bytes.contains(&decoded.len()))
}

const SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
const PHC_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use behalf_core::DangerousSeededRng;

    fn hashed(password: &str) -> String {
        hash(&password.into(), &DangerousSeededRng::new(1)).unwrap()
    }

    #[test]
    fn the_right_password_is_accepted_and_others_are_not() {
        let phc = hashed("correct horse");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert_eq!(verify(&"correct horse".into(), &phc), Ok(true));
        for wrong in ["correct horse ", "Correct horse", "", "correct"] {
            assert_eq!(verify(&wrong.into(), &phc), Ok(false), "{wrong:?}");
        }
        assert!(!needs_rehash(&phc));
    }

    #[test]
    fn a_hash_of_another_implementation_is_accepted() {
        // `password`, salt `somesalt`, m=65536 t=2 p=1: the Argon2 reference implementation's test.
        let phc = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ\
                   $CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert_eq!(verify(&"password".into(), phc), Ok(true));
        assert!(needs_rehash(phc));
    }

    #[test]
    fn long_passwords_are_refused_before_any_work() {
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        assert_eq!(verify(&longest.as_str().into(), &hashed(&longest)), Ok(true));
        let longer: Secret<String> = format!("{longest}x").into();
        let rng = DangerousSeededRng::new(1);
        assert_eq!(hash(&longer, &rng), Err(PasswordError::TooLong));
        assert_eq!(verify(&longer, &hashed("x")), Err(PasswordError::TooLong));
    }

    #[test]
    fn foreign_and_unbounded_hashes_are_refused() {
        let phc = hashed("x");
        let with = |from: &str, to: &str| phc.replacen(from, to, 1);
        let bad = [
            String::new(),
            "$".to_owned(),
            "$2b$12$abcdefghijklmnopqrstuv".to_owned(),
            with("argon2id", "argon2i"),
            with("argon2id", "argon2d"),
            with("v=19", "v=16"),
            with("m=19456", "m=8"),
            with("m=19456", "m=4294967295"),
            with("m=19456", "m=019456"),
            with("t=2", "t=0"),
            with("t=2", "t=1000000"),
            with("p=1", "p=255"),
            with("p=1", "p=+1"),
            with("p=1", "p=1,keyid=AA"),
            format!("{phc}="),
            format!("{phc}$"),
            format!(" {phc}"),
            phc.rsplit_once('$').unwrap().0.to_owned(),
        ];
        for text in bad {
            let answer = verify(&"x".into(), &text);
            assert!(matches!(answer, Err(PasswordError::UnacceptableHash(_))), "{text}");
            assert!(needs_rehash(&text), "{text}");
        }
    }

    #[test]
    fn every_hash_has_its_own_salt() {
        let rng = DangerousSeededRng::new(1);
        let password = Secret::from("x");
        assert_ne!(hash(&password, &rng).unwrap(), hash(&password, &rng).unwrap());
    }

    #[test]
    fn a_missing_account_takes_as_long_as_a_wrong_password() {
        let phc = hashed("right");
        let wrong = Secret::from("wrong");
        let fastest = |work: &dyn Fn()| {
            let once = |_| {
                let start = std::time::Instant::now();
                work();
                start.elapsed()
            };
            (0..5).map(once).min().unwrap()
        };
        let known = fastest(&|| assert_eq!(verify(&wrong, &phc), Ok(false)));
        let nobody = fastest(&|| verify_nobody(&wrong));
        // Loose: the machine is shared. The work is the same by construction.
        assert!(nobody * 3 > known && known * 3 > nobody, "{nobody:?} against {known:?}");
    }
}
