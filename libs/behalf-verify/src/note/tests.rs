//! Signed notes: published ones verify, altered ones do not.

use super::*;

const LOG: &str = "example.com/log";

fn signer(name: &str, kind: KeyKind, seed: u8) -> NoteSigner {
    NoteSigner::from_seed(name, kind, &[seed; 32]).unwrap()
}

fn log() -> NoteSigner {
    signer(LOG, KeyKind::Ed25519, 1)
}

fn witness() -> NoteSigner {
    signer("witness.example/w1", KeyKind::CosignatureV1, 2)
}

fn keys(signers: &[&NoteSigner]) -> Vec<VerifierKey> {
    signers.iter().map(|signer| signer.verifier_key().clone()).collect()
}

/// A note with a signature of the log and one of the witness.
fn signed(text: &str) -> Note {
    let signatures =
        vec![log().sign(text).unwrap(), witness().cosign(text, 1_700_000_000).unwrap()];
    Note::new(text, signatures).unwrap()
}

/// The example of Go's package `golang.org/x/mod/sumdb/note`.
#[test]
fn a_note_of_another_implementation_verifies() {
    let key: VerifierKey =
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW".parse().unwrap();
    let text = "If you think cryptography is the answer to your problem,\n\
                then you don't know what your problem is.\n\
                \n\
                — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    let note = Note::parse(text).unwrap();
    assert_eq!(note.to_string(), text);
    let keys = [key];
    let signed = note.verify(&keys).unwrap();
    assert_eq!((signed.len(), signed[0].key.name(), signed[0].time), (1, "PeterNeumann", None));
}

#[test]
fn keys_of_other_implementations_read_back() {
    for text in [
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/log/testdata+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx",
        "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
    ] {
        let key: VerifierKey = text.parse().unwrap();
        assert_eq!(key.to_string(), text);
        assert_eq!(key.kind(), KeyKind::Ed25519);
    }
    for signer in [log(), witness()] {
        let text = signer.verifier_key().to_string();
        assert_eq!(text.parse::<VerifierKey>().as_ref(), Ok(signer.verifier_key()));
    }
}

#[test]
fn broken_keys_are_refused_and_named() {
    let good = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    for (from, to, expected) in [
        ("530d903a", "530d903b", VkeyError::Id),
        ("530d903a", "530D903A", VkeyError::Id),
        ("530d903a", "", VkeyError::Id),
        ("example.com/foo", "example.com/fop", VkeyError::Id),
        ("example.com/foo", "example.com foo", VkeyError::Name),
        ("example.com/foo", "", VkeyError::Name),
        ("Aeky", "BEky", VkeyError::Id),
        ("Aeky", "Auky", VkeyError::Kind),
        ("Aeky", "Buky", VkeyError::Kind),
        ("3U2k", "", VkeyError::Key),
        ("3U2k", "3U2kAAAA", VkeyError::Key),
        ("3U2k", "3U2", VkeyError::Malformed),
        ("3U2k", "3U2k=", VkeyError::Malformed),
        ("+Aeky", "-Aeky", VkeyError::Malformed),
        ("AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "", VkeyError::Malformed),
    ] {
        let refused = good.replacen(from, to, 1).parse::<VerifierKey>();
        assert_eq!(refused, Err(expected), "{from} to {to}");
    }
}

#[test]
fn notes_carry_logs_and_witnesses_signatures() {
    for text in ["one line\n", "a\n\nb\n", "\n", "a\n\n", "Grüße — 😀\n"] {
        let note = signed(text);
        assert_eq!(Note::parse(&note.to_string()).as_ref(), Ok(&note));
        assert_eq!(note.text(), text);
        let keys = keys(&[&log(), &witness()]);
        let verified: Vec<_> =
            note.verify(&keys).unwrap().iter().map(|s| (s.key.name().to_owned(), s.time)).collect();
        let expected =
            [(LOG.to_owned(), None), ("witness.example/w1".to_owned(), Some(1_700_000_000))];
        assert_eq!(verified, expected);
    }
}

#[test]
fn unknown_keys_are_ignored_and_known_ones_must_be_right() {
    let text = "text\n";
    let note = signed(text);
    let (log, witness) = (log(), witness());
    let stranger = signer("example.com/other", KeyKind::Ed25519, 3);
    assert_eq!(note.verify(&[]), Err(NoteError::NoKnownSignature));
    assert_eq!(note.verify(&keys(&[&stranger])), Err(NoteError::NoKnownSignature));
    assert_eq!(note.verify(&keys(&[&stranger, &log])).unwrap().len(), 1);

    // The same name or the same key alone is another key.
    let same_name = signer(LOG, KeyKind::Ed25519, 3);
    let same_key = signer("example.com/other", KeyKind::Ed25519, 1);
    let same_but_kind = signer(LOG, KeyKind::CosignatureV1, 1);
    for other in [&same_name, &same_key, &same_but_kind] {
        assert_eq!(note.verify(&keys(&[other])), Err(NoteError::NoKnownSignature));
    }

    // A signature of another text, in the name of a known key, condemns the note.
    let forged = Note::new(text, vec![log.sign("other\n").unwrap()]).unwrap();
    let bad = NoteError::BadSignature { key: LOG.to_owned() };
    assert_eq!(forged.verify(&keys(&[&log])), Err(bad.clone()));
    let mixed = signed(text).with_signature(log.sign("other\n").unwrap()).unwrap();
    assert_eq!(mixed.verify(&keys(&[&log, &witness])), Err(bad));
    assert_eq!(mixed.verify(&keys(&[&witness])).unwrap().len(), 1);
}

#[test]
fn one_key_counts_once() {
    let text = "text\n";
    let log = log();
    let note = Note::new(text, vec![log.sign(text).unwrap(); 5]).unwrap();
    assert_eq!(note.verify(&keys(&[&log])).unwrap().len(), 1);
    let ambiguous = NoteError::AmbiguousKey { key: LOG.to_owned() };
    assert_eq!(note.verify(&keys(&[&log, &log])), Err(ambiguous));
}

#[test]
fn signers_sign_only_what_their_kind_signs() {
    assert_eq!(log().cosign("x\n", 1), Err(SignerError::Time));
    assert_eq!(witness().sign("x\n"), Err(SignerError::Time));
    for time in [0, 1 << 63, u64::MAX] {
        assert_eq!(witness().cosign("x\n", time), Err(SignerError::Time));
    }
    let latest = witness().cosign("x\n", (1 << 63) - 1).unwrap();
    let note = Note::new("x\n", vec![latest]).unwrap();
    assert_eq!(note.verify(&keys(&[&witness()])).unwrap()[0].time, Some((1 << 63) - 1));
    let nameless = NoteSigner::from_seed("a b", KeyKind::Ed25519, &[1; 32]).unwrap_err();
    assert_eq!(nameless, SignerError::Key(VkeyError::Name));
}

/// A log's signature of a text that looks like a cosignature's is none, and the other way round.
#[test]
fn a_signature_of_one_kind_is_none_of_the_other() {
    let text = "example.com/log\n1\nroot\n";
    let (log, cosigner) =
        (signer(LOG, KeyKind::Ed25519, 7), signer(LOG, KeyKind::CosignatureV1, 7));
    let prefixed = format!("cosignature/v1\ntime 5\n{text}");
    let plain = log.sign(&prefixed).unwrap();
    let crossed = Signature {
        name: LOG.to_owned(),
        key_id: cosigner.verifier_key().id(),
        bytes: [&5_u64.to_be_bytes(), plain.bytes()].concat(),
    };
    // One key in both roles confuses the two, which is why a policy refuses it.
    let note = Note::new(text, vec![crossed]).unwrap();
    assert!(note.verify(&keys(&[&cosigner])).is_ok());
    let cosigned = cosigner.cosign(text, 5).unwrap();
    let as_plain = Signature { key_id: log.verifier_key().id(), ..cosigned };
    let note = Note::new(text, vec![as_plain]).unwrap();
    assert!(matches!(note.verify(&keys(&[&log])), Err(NoteError::BadSignature { .. })));
}

#[test]
fn malformed_notes_are_refused_and_named() {
    let good = signed("text\n").to_string();
    let line = good.lines().nth(2).unwrap();
    let malformed = |line| NoteError::SignatureLine { line };
    for (note, expected) in [
        (String::new(), NoteError::NoSignatures),
        ("text\n".to_owned(), NoteError::NoSignatures),
        ("text\n\n".to_owned(), NoteError::NoSignatures),
        (format!("text\n{line}\n"), NoteError::NoSignatures),
        (format!("\n{line}\n"), NoteError::NoSignatures),
        (format!("text\n\n{line}"), malformed(1)),
        (format!("text\n\n{line}\nx"), malformed(2)),
        (format!("text\n\n{line}\nx\n"), malformed(2)),
        (format!("text\n\n{line}\n\n"), NoteError::NoSignatures),
        (format!("text\n\n{line} \n"), malformed(1)),
        (format!("text\n\n {line}\n"), malformed(1)),
        (good.replacen('—', "-", 1), malformed(1)),
        (good.replacen("— ", "—  ", 1), malformed(1)),
        (good.replacen("— ", "—\u{a0}", 1), malformed(1)),
        (good.replacen(LOG, "a+b", 1), malformed(1)),
        (good.replacen(LOG, "a\u{2003}b", 1), malformed(1)),
        (good.replacen(LOG, "", 1), malformed(1)),
        ("text\n\n— name AAAA\n".to_owned(), malformed(1)),
        ("text\n\n— name AAAAAA==\n".to_owned(), malformed(1)),
        ("text\n\n— name AAAAAAA\n".to_owned(), malformed(1)),
        ("text\n\n— name AAAAAAB=\n".to_owned(), malformed(1)),
        ("text\n\n— name\n".to_owned(), malformed(1)),
        (good.replace('\n', "\r\n"), NoteError::ControlCharacter),
        (good.replacen("text", "te\tt", 1), NoteError::ControlCharacter),
        (format!("text\n\n{}", format!("{line}\n").repeat(65)), NoteError::TooManySignatures),
        ("x".repeat(NOTE_BYTES_MAX + 1), NoteError::TooLong),
    ] {
        assert_eq!(Note::parse(&note), Err(expected), "{note:?}");
    }
    let most = format!("text\n\n{}", format!("{line}\n").repeat(64));
    assert_eq!(Note::parse(&most).unwrap().signatures().len(), 64);
    assert_eq!(Note::new("text", Vec::new()), Err(NoteError::Text));
    assert_eq!(Note::new("text\n", Vec::new()), Err(NoteError::NoSignatures));
    let log = [log().sign("a\tb\n").unwrap()].to_vec();
    assert_eq!(Note::new("a\tb\n", log), Err(NoteError::ControlCharacter));
}

/// Whatever byte of a note changes, the log's word for it is gone.
#[test]
fn every_changed_byte_is_noticed() {
    let text = "example.com/log\n4\nroot\n";
    let log = log();
    let note = Note::new(text, vec![log.sign(text).unwrap()]).unwrap().to_string();
    let keys = keys(&[&log]);
    for at in 0..note.len() {
        for bit in 0..8 {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            let held = Note::parse(&changed).is_ok_and(|note| note.verify(&keys).is_ok());
            assert!(!held, "byte {at} bit {bit}: {changed}");
        }
        let cut: String = String::from_utf8_lossy(&note.as_bytes()[..at]).into_owned();
        assert!(!Note::parse(&cut).is_ok_and(|note| note.verify(&keys).is_ok()), "cut at {at}");
    }
}

#[test]
fn private_keys_do_not_print_themselves() {
    let log = log();
    assert_eq!(format!("{log:?}"), format!("NoteSigner({})", log.verifier_key()));
}
