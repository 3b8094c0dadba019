//! Signatures, keys and the attacks on them.

use std::sync::LazyLock;

use behalf_core::Secret;
use serde_json::{Value, json};

use super::*;
use crate::base64url;

mod attacks;
mod claims;
mod vectors;

/// One key for each algorithm, made once: RSA keys take a while.
static KEYS: LazyLock<Vec<SigningKey>> = LazyLock::new(|| {
    Algorithm::ALL.into_iter().map(|alg| SigningKey::generate(alg).unwrap()).collect()
});

fn key_set() -> KeySet {
    KeySet::from_keys(KEYS.iter().map(|key| key.verifying_key().clone())).unwrap()
}

fn key(algorithm: Algorithm) -> &'static SigningKey {
    KEYS.iter().find(|key| key.algorithm() == algorithm).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://as.example/", "sub": "auth0|owner", "aud": "api", "exp": 2_000_000_000})
}

const AT: TypRule = TypRule::Exactly("at+jwt");

#[test]
fn what_is_signed_verifies_with_every_algorithm() {
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", &claims()).unwrap();
        let verified = verify(&token, &key_set(), AT).unwrap();
        assert_eq!(Value::Object(verified.claims), claims());
        assert_eq!(verified.header.algorithm, key.algorithm());
        assert_eq!(verified.header.kid, key.kid());
        assert_eq!(verified.header.typ.as_deref(), Some("at+jwt"));
    }
}

#[test]
fn keys_survive_storage_with_the_same_name() {
    for key in KEYS.iter() {
        let again = SigningKey::from_pkcs8(key.algorithm(), &key.to_pkcs8().unwrap()).unwrap();
        assert_eq!(again.kid(), key.kid());
        assert_eq!(again.public_jwk(), key.public_jwk());
        let token = again.sign("at+jwt", &claims()).unwrap();
        assert!(verify(&token, &key_set(), AT).is_ok());
    }
}

#[test]
fn a_document_of_another_key_type_is_refused() {
    for key in KEYS.iter() {
        for algorithm in Algorithm::ALL {
            let is_rsa = |alg| matches!(alg, Algorithm::RS256 | Algorithm::PS256);
            let same = algorithm == key.algorithm() || is_rsa(algorithm) && is_rsa(key.algorithm());
            let read = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap());
            assert_eq!(read.is_ok(), same, "{} as {algorithm}", key.algorithm());
        }
    }
    let rubbish = Secret::new(b"-----BEGIN PRIVATE KEY-----".to_vec());
    let refused = SigningKey::from_pkcs8(Algorithm::ES256, &rubbish).unwrap_err();
    assert_eq!(refused, KeyError::Pkcs8(Algorithm::ES256));
}

#[test]
fn public_jwks_hold_what_clients_need_and_nothing_private() {
    let members = |alg| {
        let jwk = key(alg).public_jwk();
        let mut names: Vec<String> = jwk.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    assert_eq!(members(Algorithm::RS256), ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(members(Algorithm::PS256), ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(members(Algorithm::ES256), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(members(Algorithm::EdDSA), ["alg", "crv", "kid", "kty", "use", "x"]);
    let jwk = key(Algorithm::RS256).public_jwk();
    assert_eq!(
        (&jwk["alg"], &jwk["use"], &jwk["e"]),
        (&"RS256".into(), &"sig".into(), &"AQAB".into())
    );
}

#[test]
fn a_set_read_back_from_its_jwks_verifies_the_same_tokens() {
    let set = KeySet::from_jwks(&key_set().public_jwks()).unwrap();
    assert_eq!(set.public_jwks(), key_set().public_jwks());
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", &claims()).unwrap();
        assert!(verify(&token, &set, AT).is_ok());
    }
}

#[test]
fn a_set_has_one_key_per_name_and_few_of_them() {
    let twice = [0, 0].map(|at| KEYS[at].verifying_key().clone());
    let refused = KeySet::from_keys(twice).unwrap_err();
    assert_eq!(refused, KeyError::DuplicateKid(KEYS[0].kid().to_owned()));

    let mut jwks: Vec<Value> = Vec::new();
    for at in 0..=KEYS_MAX {
        let mut jwk = key(Algorithm::EdDSA).public_jwk();
        jwk["kid"] = at.to_string().into();
        jwks.push(jwk);
    }
    assert_eq!(KeySet::from_jwks(&json!({"keys": jwks})).unwrap_err(), KeyError::TooMany);
    jwks.pop();
    assert_eq!(KeySet::from_jwks(&json!({"keys": jwks})).unwrap().len(), KEYS_MAX);
    assert_eq!(KeySet::from_jwks(&json!([])).unwrap_err(), KeyError::Jwk("keys"));
    assert!(KeySet::new().is_empty());
}

#[test]
fn foreign_keys_of_a_set_are_left_out_and_broken_ones_refused() {
    let good = key(Algorithm::ES256).public_jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        VerifyingKey::from_jwk(&jwk)
    };
    for (name, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("alg", json!("RS256")),
        ("alg", json!("none")),
        ("kty", json!("oct")),
        ("kty", json!("XYZ")),
        ("crv", json!("P-384")),
        ("crv", json!("secp256k1")),
        ("key_ops", json!(["sign"])),
    ] {
        let refused = with(name, value.clone()).unwrap_err();
        assert_eq!(refused, KeyError::Unsupported, "{name} {value}");
    }
    for (name, value) in [
        ("x", json!("AA")),
        ("x", json!(1)),
        ("x", json!("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU=")),
        ("kid", json!("")),
        ("kid", json!("k".repeat(256))),
        ("kid", json!(7)),
        ("use", json!(["sig"])),
        ("key_ops", json!("verify")),
    ] {
        let refused = with(name, value.clone()).unwrap_err();
        assert!(matches!(refused, KeyError::Jwk(_)), "{name} {value} {refused}");
    }
    assert!(with("x", good["y"].clone()).is_err(), "a point that is not on the curve");
    for name in ["d", "k", "p"] {
        assert_eq!(with(name, json!("AA")).unwrap_err(), KeyError::Private);
    }
    assert!(with("key_ops", json!(["verify"])).is_ok());

    let mut foreign = good.clone();
    foreign["crv"] = "P-521".into();
    let set = KeySet::from_jwks(&json!({"keys": [foreign, good.clone()]})).unwrap();
    assert_eq!(set.len(), 1);
}

#[test]
fn short_and_long_rsa_keys_are_refused() {
    let jwk = |n: &[u8], e: &str| {
        VerifyingKey::from_jwk(&json!({"kty": "RSA", "n": base64url::encode(n), "e": e}))
    };
    let odd = |len: usize, first: u8| {
        let mut n = vec![0xFF; len];
        n[0] = first;
        n
    };
    assert_eq!(jwk(&odd(128, 0xFF), "AQAB").unwrap_err(), KeyError::Size);
    assert_eq!(jwk(&odd(256, 0x7F), "AQAB").unwrap_err(), KeyError::Size);
    assert_eq!(jwk(&odd(513, 0x01), "AQAB").unwrap_err(), KeyError::Size);
    assert_eq!(jwk(&odd(257, 0x00), "AQAB").unwrap_err(), KeyError::Jwk("n"));
    assert_eq!(jwk(&[], "AQAB").unwrap_err(), KeyError::Jwk("n"));
    assert_eq!(jwk(&odd(256, 0xFF), "AAEAAQ").unwrap_err(), KeyError::Jwk("e"));
    assert_eq!(jwk(&odd(256, 0xFF), "AQAAAAAB").unwrap_err(), KeyError::Jwk("e"));
    assert!(jwk(&odd(256, 0xFF), "AQAB").is_ok());
}

#[test]
fn a_key_without_a_name_is_named_by_its_thumbprint() {
    for key in KEYS.iter() {
        let mut jwk = key.public_jwk();
        jwk.as_object_mut().unwrap().remove("kid");
        assert_eq!(VerifyingKey::from_jwk(&jwk).unwrap().kid(), key.kid());
    }
}

#[test]
fn what_no_reader_would_accept_is_not_signed() {
    let key = key(Algorithm::EdDSA);
    for claims in [json!([]), json!("x"), json!(null), json!(1)] {
        assert_eq!(key.sign("JWT", &claims), Err(SignError::ClaimsNotAnObject));
    }
    let huge = json!({"scope": "x".repeat(TOKEN_BYTES_MAX)});
    assert_eq!(key.sign("JWT", &huge), Err(SignError::TooLong));
    // The longest token that is signed is accepted.
    let overhead = key.sign("at+jwt", &json!({"s": ""})).unwrap().len();
    let mut fill = (TOKEN_BYTES_MAX - overhead) * 3 / 4 + 3;
    let token = loop {
        match key.sign("at+jwt", &json!({"s": "x".repeat(fill)})) {
            Ok(token) => break token,
            Err(_) => fill -= 1,
        }
    };
    assert!(token.len() > TOKEN_BYTES_MAX - 3);
    let set = KeySet::from_keys([key.verifying_key().clone()]).unwrap();
    assert!(verify(&token, &set, AT).is_ok());
}

#[test]
fn keys_do_not_print_themselves() {
    for key in KEYS.iter() {
        let printed = format!("{key:?}");
        let kid = key.kid();
        let algorithm = key.algorithm();
        assert_eq!(printed, format!("SigningKey {{ algorithm: {algorithm:?}, kid: {kid:?}, .. }}"));
    }
}
