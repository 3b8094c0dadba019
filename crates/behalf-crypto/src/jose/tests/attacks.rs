//! Tokens that must not get through.

use aws_lc_rs::hmac;
use proptest::prelude::{prop_assert, proptest};

use super::*;

/// A token with this header and payload, truly signed by `key`.
fn forge(key: &SigningKey, header: &str, payload: &str) -> String {
    let signed = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = key.sign_bytes(signed.as_bytes()).unwrap();
    format!("{signed}.{}", base64url::encode(&signature))
}

fn refused(token: &str) -> VerifyError {
    verify(token, &key_set(), AT).expect_err(token)
}

const PAYLOAD: &str = r#"{"sub":"auth0|owner"}"#;

/// N21: a token without a signature.
#[test]
fn alg_none_is_refused_in_every_spelling() {
    for key in KEYS.iter() {
        for none in ["none", "None", "NONE", "nOnE", ""] {
            let header = json!({"alg": none, "typ": "at+jwt", "kid": key.kid()}).to_string();
            let truly = forge(key, &header, PAYLOAD);
            assert_eq!(refused(&truly), VerifyError::Algorithm);
            let (signed, _) = truly.rsplit_once('.').unwrap();
            assert_eq!(refused(&format!("{signed}.")), VerifyError::Algorithm);
            assert_eq!(refused(signed), VerifyError::Malformed);
        }
        // The right algorithm and no signature.
        let token = key.sign("at+jwt", &claims()).unwrap();
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(refused(&format!("{signed}.")), VerifyError::Signature);
    }
}

/// N21: the public key, which everybody knows, used as an HMAC secret.
#[test]
fn a_public_key_is_no_shared_secret() {
    for key in KEYS.iter() {
        let secrets = [key.public_jwk().to_string(), key.kid().to_owned(), String::new()];
        for secret in secrets {
            for alg in ["HS256", "HS512", key.algorithm().as_str()] {
                let header = json!({"alg": alg, "typ": "at+jwt", "kid": key.kid()}).to_string();
                let signed = format!(
                    "{}.{}",
                    base64url::encode(header.as_bytes()),
                    base64url::encode(PAYLOAD.as_bytes())
                );
                let mac = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                let tag = hmac::sign(&mac, signed.as_bytes());
                let token = format!("{signed}.{}", base64url::encode(tag.as_ref()));
                let expected = if alg.starts_with("HS") {
                    VerifyError::Algorithm
                } else {
                    VerifyError::Signature
                };
                assert_eq!(refused(&token), expected, "{alg}");
            }
        }
    }
}

/// Each algorithm in the header with each key: only the key's own is accepted.
#[test]
fn the_key_pins_the_algorithm() {
    for key in KEYS.iter() {
        for alg in ["RS256", "ES256", "EdDSA", "PS256", "RS384", "ES256K", "Ed25519", "rs256"] {
            let header = json!({"alg": alg, "typ": "at+jwt", "kid": key.kid()}).to_string();
            let answer = verify(&forge(key, &header, PAYLOAD), &key_set(), AT).map(|_| ());
            let own = alg == key.algorithm().as_str();
            assert_eq!(answer, if own { Ok(()) } else { Err(VerifyError::Algorithm) }, "{alg}");
        }
    }
}

/// A token of one RSA key does not verify as the other padding of the same key.
#[test]
fn rs256_and_ps256_signatures_are_not_interchangeable() {
    let pkcs8 = key(Algorithm::RS256).to_pkcs8().unwrap();
    let pss = SigningKey::from_pkcs8(Algorithm::PS256, &pkcs8).unwrap();
    assert_eq!(pss.kid(), key(Algorithm::RS256).kid(), "the thumbprint has no algorithm in it");
    let header = json!({"alg": "RS256", "typ": "at+jwt", "kid": pss.kid()}).to_string();
    assert_eq!(refused(&forge(&pss, &header, PAYLOAD)), VerifyError::Signature);
}

#[test]
fn another_keys_signature_and_unknown_keys_are_refused() {
    let stranger = SigningKey::generate(Algorithm::ES256).unwrap();
    let token = stranger.sign("at+jwt", &claims()).unwrap();
    assert_eq!(refused(&token), VerifyError::UnknownKey);
    let kid = key(Algorithm::ES256).kid();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": kid}).to_string();
    assert_eq!(refused(&forge(&stranger, &header, PAYLOAD)), VerifyError::Signature);
    // A key that the token brings along counts for nothing.
    let header = json!({
        "alg": "ES256", "typ": "at+jwt", "kid": stranger.kid(), "jwk": stranger.public_jwk(),
        "jku": "https://evil.example/jwks.json", "x5u": "https://evil.example/cert",
    });
    let token = forge(&stranger, &header.to_string(), PAYLOAD);
    assert_eq!(refused(&token), VerifyError::UnknownKey);
    assert_eq!(verify(&token, &KeySet::new(), AT), Err(VerifyError::UnknownKey));
}

/// N03: every type of token at every reader; only the intended one is accepted.
#[test]
fn no_type_of_token_passes_for_another() {
    let types = [
        "at+jwt",
        "JWT",
        "logout+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "client-authentication+jwt",
        "approval-receipt+jwt",
        "dpop+jwt",
        "secevent+jwt",
    ];
    let key = key(Algorithm::EdDSA);
    for minted in types {
        let token = key.sign(minted, &claims()).unwrap();
        for expected in types {
            let answer = verify(&token, &key_set(), TypRule::Exactly(expected)).map(|_| ());
            let result = if minted == expected { Ok(()) } else { Err(VerifyError::Typ) };
            assert_eq!(answer, result, "{minted} as {expected}");
        }
        let as_id_token = verify(&token, &key_set(), TypRule::IdToken);
        assert_eq!(as_id_token.is_ok(), minted == "JWT", "{minted}");
    }
    let header = json!({"alg": "EdDSA", "kid": key.kid()}).to_string();
    let untyped = forge(key, &header, PAYLOAD);
    assert!(verify(&untyped, &key_set(), TypRule::IdToken).is_ok());
    for expected in types {
        let answer = verify(&untyped, &key_set(), TypRule::Exactly(expected));
        assert_eq!(answer, Err(VerifyError::Typ));
    }
}

#[test]
fn types_are_media_types() {
    let key = key(Algorithm::EdDSA);
    let accepts = |typ: &str| verify(&key.sign(typ, &claims()).unwrap(), &key_set(), AT).is_ok();
    for good in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
        assert!(accepts(good), "{good}");
    }
    for bad in [
        "",
        "at+jwt ",
        " at+jwt",
        "at",
        "jwt",
        "text/at+jwt",
        "at+jwt;v=1",
        "at+jwt\0",
        "application/application/at+jwt",
        "application/",
        "application/x/at+jwt",
        "ａt+jwt",
    ] {
        assert!(!accepts(bad), "{bad:?}");
    }
}

#[test]
fn headers_are_plain_objects_without_repetition() {
    let key = key(Algorithm::EdDSA);
    let kid = key.kid();
    let base = format!(r#""alg":"EdDSA","kid":"{kid}","typ":"at+jwt""#);
    assert!(verify(&forge(key, &format!("{{{base}}}"), PAYLOAD), &key_set(), AT).is_ok());
    let cases = [
        (format!(r#"{{{base},"alg":"EdDSA"}}"#), VerifyError::Header),
        (format!(r#"{{"alg":"none",{base}}}"#), VerifyError::Header),
        (format!(r#"{{{base},"a\u006cg":"none"}}"#), VerifyError::Header),
        (format!(r#"{{{base},"kid":"other"}}"#), VerifyError::Header),
        (format!(r#"{{{base},"x":{{"y":1,"y":2}}}}"#), VerifyError::Header),
        (format!(r#"[{{{base}}}]"#), VerifyError::Header),
        (format!(r#"{{{base}}} {{}}"#), VerifyError::Header),
        (format!("\u{feff}{{{base}}}"), VerifyError::Header),
        (format!("{{{base},}}"), VerifyError::Header),
        (String::new(), VerifyError::Header),
        ("null".to_owned(), VerifyError::Header),
        (
            format!("{}{}", r#"{"a":"#.repeat(200), "1".to_owned() + &"}".repeat(200)),
            VerifyError::Header,
        ),
        (format!(r#"{{"alg":7,"kid":"{kid}","typ":"at+jwt"}}"#), VerifyError::Header),
        (r#"{"alg":"EdDSA","kid":7,"typ":"at+jwt"}"#.to_owned(), VerifyError::Header),
        (r#"{"alg":"EdDSA","typ":"at+jwt"}"#.to_owned(), VerifyError::NoKid),
        (format!(r#"{{"kid":"{kid}","typ":"at+jwt"}}"#), VerifyError::Algorithm),
        (format!(r#"{{{base},"crit":["exp"],"exp":1}}"#), VerifyError::CriticalExtension),
        (format!(r#"{{{base},"crit":[]}}"#), VerifyError::CriticalExtension),
        (format!(r#"{{{base},"b64":false}}"#), VerifyError::CriticalExtension),
    ];
    for (header, expected) in cases {
        assert_eq!(refused(&forge(key, &header, PAYLOAD)), expected, "{header}");
    }
}

#[test]
fn claims_are_plain_objects_without_repetition() {
    let key = key(Algorithm::EdDSA);
    let header = json!({"alg": "EdDSA", "kid": key.kid(), "typ": "at+jwt"}).to_string();
    for payload in [
        "",
        "null",
        "[]",
        "\"x\"",
        "{} ",
        r#"{"sub":"a","sub":"b"}"#,
        r#"{"act":{"sub":"a","sub":"b"}}"#,
        r#"{"sub":"\ud800"}"#,
        r#"{"exp":1e999}"#,
        r#"{"sub":"a"}x"#,
        "{'sub':'a'}",
    ] {
        let answer = verify(&forge(key, &header, payload), &key_set(), AT).map(|_| ());
        // White space after the object is JSON.
        let expected = if payload == "{} " { Ok(()) } else { Err(VerifyError::Claims) };
        assert_eq!(answer, expected, "{payload}");
    }
    let signed = format!("{}.{}", base64url::encode(header.as_bytes()), base64url::encode(&[0xFF]));
    let signature = base64url::encode(&key.sign_bytes(signed.as_bytes()).unwrap());
    assert_eq!(refused(&format!("{signed}.{signature}")), VerifyError::Claims);
}

/// N18 for JWTs: nothing but the token itself, byte for byte.
#[test]
fn every_prefix_suffix_and_case_variant_is_refused() {
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", &claims()).unwrap();
        for cut in 0..token.len() {
            refused(&token[..cut]);
            if cut > 0 {
                refused(&token[cut..]);
            }
        }
        for extra in ["=", "==", "A", ".", "..", " ", "\n", "\0", "%3D", ".AAAA", "\u{feff}"] {
            refused(&format!("{token}{extra}"));
            refused(&format!("{extra}{token}"));
            refused(&token.replacen('.', &format!("{extra}."), 1));
        }
        refused(&token.to_lowercase());
        refused(&token.to_uppercase());
        refused(&token.replace('.', ","));
        for (at, c) in token.char_indices().filter(|(_, c)| c.is_ascii_alphabetic()) {
            let flipped = char::from(u8::try_from(c).unwrap() ^ 0x20);
            refused(&format!("{}{flipped}{}", &token[..at], &token[at + 1..]));
        }
    }
}

/// The last character of a part carries unused bits; only the spelling with zeros is accepted.
#[test]
fn base64url_has_one_spelling() {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=";
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", &claims()).unwrap();
        let ends: Vec<usize> =
            token.match_indices('.').map(|(at, _)| at).chain([token.len()]).collect();
        for end in ends {
            for c in alphabet.chars() {
                let variant = format!("{}{c}{}", &token[..end - 1], &token[end..]);
                assert!(variant == token || verify(&variant, &key_set(), AT).is_err(), "{variant}");
            }
        }
        // The same bytes in the other alphabet, or padded.
        let other = token.replace('-', "+").replace('_', "/");
        assert!(other == token || verify(&other, &key_set(), AT).is_err());
    }
}

#[test]
fn oversized_tokens_are_refused_before_any_work() {
    let long = "A".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(refused(&long), VerifyError::TooLong);
    assert_eq!(refused(&"A".repeat(TOKEN_BYTES_MAX)), VerifyError::Malformed);
    assert_eq!(refused(&".".repeat(TOKEN_BYTES_MAX)), VerifyError::Malformed);
    assert_eq!(refused(&"..".repeat(10)), VerifyError::Malformed);
    assert_eq!(refused(".."), VerifyError::Header);
    assert_eq!(refused(""), VerifyError::Malformed);
}

#[test]
fn signatures_of_other_lengths_are_refused() {
    for key in KEYS.iter() {
        let token = key.sign("at+jwt", &claims()).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let bytes = base64url::decode(signature).unwrap();
        let with_zero = [&bytes[..], &[0]].concat();
        let zero_first = [&[0], &bytes[..]].concat();
        for other in [&bytes[..bytes.len() - 1], &bytes[1..], &with_zero, &zero_first, &[]] {
            let variant = format!("{signed}.{}", base64url::encode(other));
            assert_eq!(refused(&variant), VerifyError::Signature);
        }
        let zeros = vec![0; bytes.len()];
        let variant = format!("{signed}.{}", base64url::encode(&zeros));
        assert_eq!(refused(&variant), VerifyError::Signature);
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_refused(text in "[A-Za-z0-9_.=-]{0,200}", other in ".{0,100}") {
        prop_assert!(verify(&text, &key_set(), AT).is_err());
        prop_assert!(verify(&other, &key_set(), AT).is_err());
    }

    #[test]
    fn any_other_character_anywhere_is_refused(at in 0_usize..1000, to in ".") {
        let token = key(Algorithm::EdDSA).sign("at+jwt", &claims()).unwrap();
        let at = at % token.len();
        let variant = format!("{}{to}{}", &token[..at], &token[at + 1..]);
        prop_assert!(variant == token || verify(&variant, &key_set(), AT).is_err());
    }
}
