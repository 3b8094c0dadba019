//! Checkpoints under policies of keys and witnesses.

use super::*;
use crate::merkle::leaf_hash;
use crate::note::NoteSigner;

const ORIGIN: &str = "log.example/p/default";

fn signer(name: &str, kind: KeyKind, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, kind, &[seed; 32]).unwrap()
}

fn log() -> NoteSigner {
    signer(ORIGIN, KeyKind::Ed25519, 1)
}

fn witnesses() -> Vec<NoteSigner> {
    (2..5).map(|at| signer(&format!("w{at}.example"), KeyKind::CosignatureV1, at)).collect()
}

fn checkpoint() -> Checkpoint {
    Checkpoint {
        origin: ORIGIN.to_owned(),
        size: 7,
        root: leaf_hash(b"root"),
        extensions: Vec::new(),
    }
}

fn policy(witnesses_min: usize) -> LogPolicy {
    let witnesses: Vec<VerifierKey> =
        witnesses().iter().map(|witness| witness.verifier_key().clone()).collect();
    LogPolicy::new(ORIGIN, &[log().verifier_key().clone()], &witnesses, witnesses_min).unwrap()
}

/// The checkpoint signed by the log and the first `count` witnesses.
fn signed(checkpoint: &Checkpoint, count: u8) -> String {
    let text = checkpoint.to_string();
    let mut signatures = vec![log().sign(&text).unwrap()];
    for (witness, at) in witnesses().iter().zip(0..count) {
        signatures.push(witness.cosign(&text, 1_700_000_000 + u64::from(at)).unwrap());
    }
    Note::new(&text, signatures).unwrap().to_string()
}

#[test]
fn checkpoints_are_three_lines() {
    let text = checkpoint().to_string();
    assert_eq!(text, format!("{ORIGIN}\n7\n{}\n", STANDARD.encode(leaf_hash(b"root"))));
    assert_eq!(text.parse(), Ok(checkpoint()));
    let extended =
        Checkpoint { extensions: vec!["a b".to_owned(), "c".to_owned()], ..checkpoint() };
    assert_eq!(extended.to_string().parse(), Ok(extended));
}

#[test]
fn malformed_checkpoints_are_refused_and_named() {
    let root = STANDARD.encode(leaf_hash(b"root"));
    for (text, expected) in [
        (String::new(), CheckpointError::Lines),
        (format!("o\n7\n{root}"), CheckpointError::Lines),
        ("o\n7\n".to_owned(), CheckpointError::Lines),
        (format!("\n7\n{root}\n"), CheckpointError::Origin),
        (format!("o\r\n7\n{root}\n"), CheckpointError::Origin),
        (format!("o\n07\n{root}\n"), CheckpointError::Size),
        (format!("o\n+7\n{root}\n"), CheckpointError::Size),
        (format!("o\n-1\n{root}\n"), CheckpointError::Size),
        (format!("o\n 7\n{root}\n"), CheckpointError::Size),
        (format!("o\n7 \n{root}\n"), CheckpointError::Size),
        (format!("o\n\n{root}\n"), CheckpointError::Size),
        (format!("o\n7.0\n{root}\n"), CheckpointError::Size),
        (format!("o\n18446744073709551616\n{root}\n"), CheckpointError::Size),
        ("o\n7\n\n".to_owned(), CheckpointError::Root),
        (format!("o\n7\n {root}\n"), CheckpointError::Root),
        (format!("o\n7\n{}\n", root.trim_end_matches('=')), CheckpointError::Root),
        (format!("o\n7\n{}\n", STANDARD.encode([1; 31])), CheckpointError::Root),
        (format!("o\n7\n{}\n", STANDARD.encode([1; 33])), CheckpointError::Root),
        (format!("o\n0\n{root}\n"), CheckpointError::EmptyTree),
        (format!("o\n7\n{root}\n\n"), CheckpointError::Extensions),
        (format!("o\n7\n{root}\nx\n\ny\n"), CheckpointError::Extensions),
        (format!("o\n7\n{root}\n{}", "x\n".repeat(17)), CheckpointError::Extensions),
    ] {
        assert_eq!(text.parse::<Checkpoint>(), Err(expected), "{text:?}");
    }
    let empty = format!("o\n0\n{}\n", STANDARD.encode(empty_root()));
    assert_eq!(empty.parse::<Checkpoint>().unwrap().size, 0);
}

#[test]
fn the_log_must_sign_and_enough_witnesses_must_have_seen() {
    for count in 0..=3_u8 {
        let note = signed(&checkpoint(), count);
        for needed in 0..=3 {
            let found = usize::from(count);
            match policy(needed).verify(&note) {
                Ok(verified) => {
                    assert!(found >= needed);
                    assert_eq!(verified.checkpoint, checkpoint());
                    let times: Vec<u64> = verified.witnesses.iter().map(|w| w.time).collect();
                    assert_eq!(
                        times,
                        (0..u64::from(count)).map(|t| 1_700_000_000 + t).collect::<Vec<_>>()
                    );
                }
                Err(error) => {
                    assert_eq!(error, CheckpointError::TooFewWitnesses { needed, found });
                    assert!(found < needed);
                }
            }
        }
    }
    // Witnesses alone cannot speak for the log.
    let text = checkpoint().to_string();
    let alone = vec![witnesses()[0].cosign(&text, 5).unwrap()];
    let note = Note::new(&text, alone).unwrap().to_string();
    assert_eq!(policy(0).verify(&note), Err(CheckpointError::NotSignedByLog));
    // One witness three times is one witness.
    let thrice = [1, 2, 3].map(|time| witnesses()[0].cosign(&text, time).unwrap());
    let signatures = [vec![log().sign(&text).unwrap()], thrice.to_vec()].concat();
    let note = Note::new(&text, signatures).unwrap().to_string();
    let few = CheckpointError::TooFewWitnesses { needed: 2, found: 1 };
    assert_eq!(policy(2).verify(&note), Err(few));
}

#[test]
fn another_logs_checkpoint_is_refused_even_when_the_key_signed_it() {
    let other = Checkpoint { origin: "log.example/p/other".to_owned(), ..checkpoint() };
    let refused = policy(0).verify(&signed(&other, 3)).unwrap_err();
    let (expected, found) = (ORIGIN.to_owned(), other.origin);
    assert_eq!(refused, CheckpointError::OtherLog { expected, found });
}

#[test]
fn policies_refuse_keys_in_the_wrong_role_and_the_same_key_twice() {
    let key = |signer: &NoteSigner| signer.verifier_key().clone();
    let (log, witnesses) = (log(), witnesses());
    let refused = |log_keys: &[VerifierKey], witness_keys: &[VerifierKey]| {
        LogPolicy::new(ORIGIN, log_keys, witness_keys, 0).map(|_| ()).unwrap_err()
    };
    let named = |name: &str| CheckpointError::Policy(name.to_owned());
    assert_eq!(refused(&[key(&witnesses[0])], &[]), named("w2.example"));
    assert_eq!(refused(&[], &[key(&log)]), named(ORIGIN));
    assert_eq!(refused(&[], &[key(&witnesses[0]), key(&witnesses[0])]), named("w2.example"));
    let alias = signer("alias.example", KeyKind::CosignatureV1, 2);
    assert_eq!(refused(&[], &[key(&witnesses[0]), key(&alias)]), named("alias.example"));
    // The log as its own witness.
    let own = signer("own.example", KeyKind::CosignatureV1, 1);
    assert_eq!(refused(&[key(&log)], &[key(&own)]), named("own.example"));
}

#[test]
fn a_wrong_cosignature_of_a_known_witness_condemns_the_checkpoint() {
    let text = checkpoint().to_string();
    let forked = Checkpoint { root: leaf_hash(b"fork"), ..checkpoint() }.to_string();
    let cosigned = witnesses()[0].cosign(&forked, 5).unwrap();
    let note = Note::new(&text, vec![log().sign(&text).unwrap(), cosigned]).unwrap().to_string();
    let bad = NoteError::BadSignature { key: "w2.example".to_owned() };
    assert_eq!(policy(0).verify(&note), Err(bad.into()));
}
