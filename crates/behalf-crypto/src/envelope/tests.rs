//! Sealed values open in their own place only.

use std::collections::BTreeSet;

use behalf_core::{DangerousSeededRng, Rng, Secret};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

use super::*;

const CONTEXT: [&str; 4] = ["behalf.vault.v1", "acme", "auth0|owner", "refresh_token"];

fn rng() -> DangerousSeededRng {
    DangerousSeededRng::new(7)
}

fn ring(rng: &dyn Rng) -> (RootKey, Keyring, WrappedKek) {
    let root = RootKey::generate(rng);
    let (ring, wrapped) = Keyring::create(&root, rng, &["acme"]).unwrap();
    (root, ring, wrapped)
}

fn opened(ring: &Keyring, context: &[&str], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
    ring.open(context, sealed).map(|plaintext| plaintext.expose().clone())
}

#[test]
fn a_value_opens_where_it_was_sealed() {
    let rng = rng();
    let (root, ring, wrapped) = ring(&rng);
    let sealed = ring.seal(&CONTEXT, b"gho_secret", &rng).unwrap();
    assert_eq!(opened(&ring, &CONTEXT, &sealed).unwrap(), b"gho_secret");
    let again = Keyring::unlock(&root, &["acme"], &[wrapped]).unwrap();
    assert_eq!(opened(&again, &CONTEXT, &sealed).unwrap(), b"gho_secret");
    assert!(!sealed.windows(10).any(|window| window == b"gho_secret"));
}

#[test]
fn the_empty_value_and_the_longest_one_round_trip() {
    let rng = rng();
    let (_, ring, _) = ring(&rng);
    for len in [0, PLAINTEXT_BYTES_MAX] {
        let sealed = ring.seal(&CONTEXT, &vec![1; len], &rng).unwrap();
        assert_eq!(opened(&ring, &CONTEXT, &sealed).unwrap().len(), len);
    }
    let longer = vec![1; PLAINTEXT_BYTES_MAX + 1];
    assert_eq!(ring.seal(&CONTEXT, &longer, &rng), Err(SealError::TooLong));
    assert_eq!(ring.seal(&[], b"x", &rng), Err(SealError::EmptyContext));
}

/// Every row has its own context; no value opens in the place of another.
#[test]
fn no_value_opens_in_another_place() {
    let rng = rng();
    let (_, ring, _) = ring(&rng);
    let mut places: Vec<Vec<String>> = Vec::new();
    for tenant in ["acme", "globex"] {
        for user in ["auth0|owner", "auth0|other"] {
            for connection in ["github", "slack"] {
                for column in ["access_token", "refresh_token"] {
                    for version in ["1", "2"] {
                        let place = ["behalf.vault.v1", tenant, user, connection, column, version];
                        places.push(place.map(str::to_owned).to_vec());
                    }
                }
            }
        }
    }
    // Contexts that a careless encoding would confuse.
    for place in [&["ab", "c"][..], &["a", "bc"], &["abc"], &["abc", ""], &["", "abc"], &[""]] {
        places.push(place.iter().map(|&part| part.to_owned()).collect());
    }
    let contexts: Vec<Vec<&str>> =
        places.iter().map(|place| place.iter().map(String::as_str).collect()).collect();
    let sealed: Vec<Vec<u8>> = contexts
        .iter()
        .enumerate()
        .map(|(at, context)| ring.seal(context, at.to_string().as_bytes(), &rng).unwrap())
        .collect();
    for (from, value) in sealed.iter().enumerate() {
        for (to, context) in contexts.iter().enumerate() {
            let answer = opened(&ring, context, value);
            if from == to {
                assert_eq!(answer.unwrap(), from.to_string().as_bytes());
            } else {
                assert_eq!(answer, Err(OpenError::Decryption), "{from} in place {to}");
            }
        }
    }
}

/// Parts of two values of one place, put together, are neither of them.
#[test]
fn exchanged_parts_do_not_open() {
    let rng = rng();
    let (_, ring, _) = ring(&rng);
    let a = ring.seal(&CONTEXT, b"old token", &rng).unwrap();
    let b = ring.seal(&CONTEXT, b"new token", &rng).unwrap();
    // Format and version; wrapped key; commitment; payload.
    let cuts = [0, 5, 65, 97, a.len()];
    for mask in 1..15_u32 {
        let mut mixed = Vec::new();
        for (part, bounds) in cuts.windows(2).enumerate() {
            let source = if mask & (1 << part) == 0 { &a } else { &b };
            mixed.extend_from_slice(&source[bounds[0]..bounds[1]]);
        }
        if mixed != a && mixed != b {
            assert_eq!(opened(&ring, &CONTEXT, &mixed), Err(OpenError::Decryption), "{mask:b}");
        }
    }
}

#[test]
fn every_changed_bit_and_every_cut_is_noticed() {
    let rng = rng();
    let (_, ring, _) = ring(&rng);
    let sealed = ring.seal(&CONTEXT, b"token", &rng).unwrap();
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            assert!(ring.open(&CONTEXT, &changed).is_err(), "byte {at} bit {bit}");
            assert!(at >= 97 || ring.rewrap(&CONTEXT, &changed, &rng).is_err(), "byte {at}");
        }
        assert!(ring.open(&CONTEXT, &sealed[..at]).is_err(), "cut at {at}");
    }
    let mut longer = sealed;
    longer.push(0);
    assert_eq!(opened(&ring, &CONTEXT, &longer), Err(OpenError::Decryption));
}

#[test]
fn rotation_keeps_old_values_and_rewrapping_frees_the_old_key() {
    let rng = rng();
    let (root, mut ring, first) = ring(&rng);
    let old = ring.seal(&CONTEXT, b"token", &rng).unwrap();
    let second = ring.rotate(&root, &rng).unwrap();
    assert_eq!((second.version, ring.current_version()), (2, 2));
    assert_eq!(opened(&ring, &CONTEXT, &old).unwrap(), b"token");

    let rewrapped = ring.rewrap(&CONTEXT, &old, &rng).unwrap();
    assert_eq!(Keyring::version_of(&old), Ok(1));
    assert_eq!(Keyring::version_of(&rewrapped), Ok(2));
    assert_eq!(old[65..], rewrapped[65..], "the payload is not sealed again");

    let without_first = Keyring::unlock(&root, &["acme"], std::slice::from_ref(&second)).unwrap();
    assert_eq!(opened(&without_first, &CONTEXT, &rewrapped).unwrap(), b"token");
    assert_eq!(opened(&without_first, &CONTEXT, &old), Err(OpenError::UnknownKek(1)));
    assert_eq!(ring.rewrap(&["elsewhere"], &old, &rng), Err(OpenError::Decryption));

    // The version is part of what is authenticated.
    let mut relabelled = rewrapped;
    relabelled[4] = 1;
    assert_eq!(opened(&ring, &CONTEXT, &relabelled), Err(OpenError::Decryption));
    let both = Keyring::unlock(&root, &["acme"], &[second, first]).unwrap();
    assert_eq!(both.current_version(), 2);
}

#[test]
fn wrapped_keys_open_only_with_their_root_key_owner_and_version() {
    let rng = rng();
    let (root, mut ring, first) = ring(&rng);
    let second = ring.rotate(&root, &rng).unwrap();
    let unlock = |owner: &[&str], wrapped: &[WrappedKek]| {
        Keyring::unlock(&root, owner, wrapped).map(|ring| ring.current_version())
    };
    assert_eq!(unlock(&["acme"], &[first.clone(), second]), Ok(2));
    assert_eq!(unlock(&["globex"], std::slice::from_ref(&first)), Err(OpenError::Decryption));
    assert_eq!(unlock(&[], std::slice::from_ref(&first)), Err(OpenError::Decryption));
    assert_eq!(unlock(&["acme"], &[]), Err(OpenError::Versions));
    assert_eq!(unlock(&["acme"], &[first.clone(), first.clone()]), Err(OpenError::Versions));

    let relabelled = WrappedKek { version: 2, bytes: first.bytes.clone() };
    assert_eq!(unlock(&["acme"], &[relabelled]), Err(OpenError::Decryption));
    for at in 0..first.bytes.len() {
        let mut bytes = first.bytes.clone();
        bytes[at] ^= 1;
        assert!(unlock(&["acme"], &[WrappedKek { version: 1, bytes }]).is_err(), "byte {at}");
        let bytes = first.bytes[..at].to_vec();
        assert!(unlock(&["acme"], &[WrappedKek { version: 1, bytes }]).is_err(), "cut at {at}");
    }

    let other = RootKey::generate(&rng);
    let refused = Keyring::unlock(&other, &["acme"], &[first]).unwrap_err();
    let (expected, found) = (other.fingerprint(), root.fingerprint());
    assert_eq!(refused, OpenError::OtherRootKey { expected, found });

    let moved = ring.wrap_all(&other, &rng).unwrap();
    let sealed = ring.seal(&CONTEXT, b"token", &rng).unwrap();
    let ring = Keyring::unlock(&other, &["acme"], &moved).unwrap();
    assert_eq!(opened(&ring, &CONTEXT, &sealed).unwrap(), b"token");
}

#[test]
fn another_tenants_ring_opens_nothing() {
    let rng = rng();
    let (root, acme, _) = ring(&rng);
    let (globex, _) = Keyring::create(&root, &rng, &["globex"]).unwrap();
    let sealed = acme.seal(&CONTEXT, b"token", &rng).unwrap();
    assert_eq!(opened(&globex, &CONTEXT, &sealed), Err(OpenError::Decryption));
}

#[test]
fn equal_values_have_unequal_keys_nonces_and_texts() {
    let rng = rng();
    let (_, ring, _) = ring(&rng);
    let sealed: BTreeSet<Vec<u8>> =
        (0..50).map(|_| ring.seal(&CONTEXT, b"same", &rng).unwrap()).collect();
    assert_eq!(sealed.len(), 50);
    for part in [5..17, 17..65, 65..97, 97..109, 109..129] {
        let parts: BTreeSet<&[u8]> = sealed.iter().map(|value| &value[part.clone()]).collect();
        assert_eq!(parts.len(), 50, "{part:?}");
    }
}

#[test]
fn root_keys_travel_as_one_line() {
    let root = RootKey::generate(&rng());
    let text = root.to_text();
    let line = text.expose();
    assert!(line.starts_with("behalf-root-key-v1 ") && line.ends_with('\n'));
    let again = RootKey::from_text(&Secret::from(format!("  {line}\r\n"))).unwrap();
    assert_eq!(again.fingerprint(), root.fingerprint());
    assert_eq!(root.fingerprint().len(), 16);
    assert!(!line.contains(&root.fingerprint()));

    let digits = line.trim().split_once(' ').unwrap().1;
    let bad = [
        (String::new(), RootKeyError::Header),
        (digits.to_owned(), RootKeyError::Header),
        (format!("behalf-root-key-v2 {digits}"), RootKeyError::Header),
        (format!("behalf-root-key-v1  {digits}"), RootKeyError::Malformed),
        (format!("behalf-root-key-v1 {digits}="), RootKeyError::Malformed),
        (format!("behalf-root-key-v1 {digits} x"), RootKeyError::Malformed),
        (format!("behalf-root-key-v1 {}", &digits[1..]), RootKeyError::Malformed),
        ("behalf-root-key-v1 ".to_owned(), RootKeyError::Header),
    ];
    for (text, error) in bad {
        assert_eq!(RootKey::from_text(&Secret::from(text.as_str())).unwrap_err(), error, "{text}");
    }
    let short = Secret::new(vec![1; 31]);
    assert_eq!(RootKey::from_bytes(&short).unwrap_err(), RootKeyError::Length);
}

#[test]
fn nothing_that_prints_shows_key_material() {
    let rng = rng();
    let root = RootKey::from_bytes(&Secret::new(vec![0xAB; 32])).unwrap();
    let (ring, _) = Keyring::create(&root, &rng, &["acme"]).unwrap();
    let printed = format!("{root:?} {ring:?}");
    assert_eq!(
        printed,
        format!(
            "RootKey {{ fingerprint: \"{}\", .. }} Keyring {{ owner: [\"acme\"], versions: [1], .. }}",
            root.fingerprint()
        )
    );
}

proptest! {
    #[test]
    fn any_value_round_trips_in_any_context(
        plaintext in proptest::collection::vec(any::<u8>(), 0..300),
        context in proptest::collection::vec(".{0,12}", 1..6),
        other in proptest::collection::vec(".{0,12}", 1..6),
        seed: u64,
    ) {
        let rng = DangerousSeededRng::new(seed);
        let (_, ring, _) = ring(&rng);
        let context: Vec<&str> = context.iter().map(String::as_str).collect();
        let other: Vec<&str> = other.iter().map(String::as_str).collect();
        let sealed = ring.seal(&context, &plaintext, &rng).unwrap();
        prop_assert_eq!(&opened(&ring, &context, &sealed).unwrap(), &plaintext);
        prop_assert_eq!(opened(&ring, &other, &sealed).is_ok(), other == context);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let rng = rng();
        let (_, ring, _) = ring(&rng);
        prop_assert!(ring.open(&CONTEXT, &bytes).is_err());
        let mut framed = vec![1, 0, 0, 0, 1];
        framed.extend_from_slice(&bytes);
        prop_assert!(ring.open(&CONTEXT, &framed).is_err());
    }
}
