//! Receipts verify offline, and only whole.

use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;
use crate::checkpoint::Checkpoint;
use crate::merkle::{MemoryTree, inclusion_proof};
use crate::note::{KeyKind, NoteSigner};

const ORIGIN: &str = "log.example/p/default";

fn entry(at: u64) -> Vec<u8> {
    format!("{{\"id\":{at}}}").into_bytes()
}

fn policy(witnesses_min: usize) -> LogPolicy {
    let log = NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap();
    let witness = NoteSigner::from_seed("w.example", KeyKind::CosignatureV1, &[2; 32]).unwrap();
    let (log, witness) = (log.verifier_key().clone(), witness.verifier_key().clone());
    LogPolicy::new(ORIGIN, &[log], &[witness], witnesses_min).unwrap()
}

fn receipt(extra: Option<Vec<u8>>, index: u64, size: u64) -> Receipt {
    let tree: MemoryTree = (0..size).map(|at| leaf_hash(&entry(at))).collect();
    let checkpoint =
        Checkpoint { origin: ORIGIN.to_owned(), size, root: tree.root(), extensions: Vec::new() };
    let text = checkpoint.to_string();
    let log = NoteSigner::from_seed(ORIGIN, KeyKind::Ed25519, &[1; 32]).unwrap();
    let witness = NoteSigner::from_seed("w.example", KeyKind::CosignatureV1, &[2; 32]).unwrap();
    let signatures = vec![log.sign(&text).unwrap(), witness.cosign(&text, 1_700_000_000).unwrap()];
    let note = Note::new(&text, signatures).unwrap();
    let proof = inclusion_proof(&tree, index, size).unwrap().unwrap();
    Receipt::new(extra, index, proof, note).unwrap()
}

#[test]
fn a_receipt_is_text_that_proves_its_entry() {
    let receipt = receipt(Some(b"salt".to_vec()), 2, 5);
    let text = receipt.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..3], ["c2sp.org/tlog-proof@v1", "extra c2FsdA==", "index 2"]);
    assert_eq!(lines[3..7].iter().map(|line| line.len()).collect::<Vec<_>>(), [44, 44, 44, 0]);
    assert_eq!(lines[7..9], [ORIGIN, "5"]);
    let read: Receipt = text.parse().unwrap();
    assert_eq!(read, receipt);
    assert_eq!((read.extra(), read.index(), read.proof().len()), (Some(&b"salt"[..]), 2, 3));
    let verified = read.verify(&entry(2), &policy(1)).unwrap();
    assert_eq!((verified.checkpoint.size, verified.witnesses.len()), (5, 1));
}

#[test]
fn receipts_of_every_entry_hold_for_that_entry_alone() {
    for size in 1..=12 {
        for index in 0..size {
            let receipt = receipt(None, index, size);
            for at in 0..=size {
                let held = receipt.verify(&entry(at), &policy(0));
                assert_eq!(held.is_ok(), at == index, "{index} of {size}");
            }
        }
    }
}

#[test]
fn a_receipt_without_enough_witnesses_or_of_another_log_is_refused() {
    let receipt = receipt(None, 2, 5);
    let few = CheckpointError::TooFewWitnesses { needed: 2, found: 1 };
    assert_eq!(receipt.verify(&entry(2), &policy(2)), Err(ReceiptError::Checkpoint(few)));
    let other = LogPolicy::new("log.example/p/other", &[], &[], 0).unwrap();
    let refused = receipt.verify(&entry(2), &other);
    assert!(matches!(refused, Err(ReceiptError::Checkpoint(CheckpointError::OtherLog { .. }))));
}

#[test]
fn malformed_receipts_are_refused_and_named() {
    let good = receipt(Some(b"salt".to_vec()), 2, 5).to_string();
    let with = |from: &str, to: &str| good.replacen(from, to, 1);
    let hash = good.lines().nth(3).unwrap();
    let long = STANDARD.encode(vec![1; EXTRA_BYTES_MAX + 1]);
    for (text, expected) in [
        (String::new(), ReceiptError::Header),
        (with("@v1", "@v2"), ReceiptError::Header),
        (with("@v1", "@v1 "), ReceiptError::Header),
        (format!("\u{feff}{good}"), ReceiptError::Header),
        (with("c2FsdA==", "c2FsdA"), ReceiptError::Extra),
        (with("c2FsdA==", ""), ReceiptError::Extra),
        (with("c2FsdA==", &long), ReceiptError::Extra),
        (with("extra ", "extra"), ReceiptError::Index),
        (with("extra ", "Extra "), ReceiptError::Index),
        (with("extra c2FsdA==\n", "extra c2FsdA==\nextra c2FsdA==\n"), ReceiptError::Index),
        (with("index 2", "index 02"), ReceiptError::Index),
        (with("index 2", "index +2"), ReceiptError::Index),
        (with("index 2", "index -2"), ReceiptError::Index),
        (with("index 2", "index 2 "), ReceiptError::Index),
        (with("index 2", "index"), ReceiptError::Index),
        (with("index 2\n", ""), ReceiptError::Index),
        (with(hash, "AAAA"), ReceiptError::Proof { line: 1 }),
        (with(hash, &format!("{hash} ")), ReceiptError::Proof { line: 1 }),
        (with(hash, &format!("{hash}\n{}", "x".repeat(44))), ReceiptError::Proof { line: 2 }),
        (with(hash, &vec![hash; 65].join("\n")), ReceiptError::Proof { line: 65 }),
        (good.lines().take(6).collect::<Vec<_>>().join("\n"), ReceiptError::NoCheckpoint),
        (good.replace('\n', "\r\n"), ReceiptError::Header),
        ("x".repeat(RECEIPT_BYTES_MAX + 1), ReceiptError::TooLong),
    ] {
        assert_eq!(text.parse::<Receipt>(), Err(expected), "{text:.200}");
    }
    let unsigned = good.split_once("\n\n— ").map(|(head, _)| format!("{head}\n\n"));
    let refused = unsigned.unwrap().parse::<Receipt>();
    assert_eq!(refused, Err(ReceiptError::Note(NoteError::NoSignatures)));
}

/// Whatever byte of a receipt changes, it no longer proves the entry; only the extra data, which
/// nobody vouches for, may change.
#[test]
fn every_changed_byte_is_noticed() {
    let good = receipt(Some(b"salt".to_vec()), 2, 5).to_string();
    let extra = good.find("c2FsdA").unwrap();
    let policy = policy(1);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let held = changed
                .parse::<Receipt>()
                .is_ok_and(|receipt| receipt.verify(&entry(2), &policy).is_ok());
            let is_extra = (extra..extra + 6).contains(&at);
            assert!(!held || is_extra, "byte {at} bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn receipts_read_back(
        size in 1_u64..200,
        at: u64,
        extra in proptest::option::of(proptest::collection::vec(any::<u8>(), 1..60)),
    ) {
        let receipt = receipt(extra, at % size, size);
        let read: Receipt = receipt.to_string().parse().unwrap();
        prop_assert_eq!(&read, &receipt);
        prop_assert_eq!(read.verify(&entry(at % size), &policy(1)).is_ok(), true);
    }

    #[test]
    fn what_is_read_prints_as_it_was(text in "(c2sp.org/tlog-proof@v1\n)?(extra [A-Za-z0-9+/=]{0,8}\n)?index [0-9]{1,3}\n\n[a-z\n]{0,9}\n\n— [a-z]{1,3} [A-Za-z0-9+/]{8}\n") {
        if let Ok(receipt) = text.parse::<Receipt>() {
            prop_assert_eq!(receipt.to_string(), text);
        }
    }
}
