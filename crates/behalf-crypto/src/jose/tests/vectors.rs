//! Published examples.

use super::*;

#[test]
fn thumbprint_of_rfc_7638_section_3_1() {
    let jwk = json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_\
              BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_\
              FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4\
              vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
    });
    let key = VerifyingKey::from_jwk(&jwk).unwrap();
    assert_eq!(key.kid(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    let mut named = jwk;
    named["kid"] = "2011-04-29".into();
    assert_eq!(VerifyingKey::from_jwk(&named).unwrap().kid(), "2011-04-29");
}

#[test]
fn signature_of_rfc_7515_appendix_a_3() {
    let key = VerifyingKey::from_jwk(&json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }))
    .unwrap();
    let signed = "eyJhbGciOiJFUzI1NiJ9.\
                  eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature =
        "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    let bytes = base64url::decode(signature).unwrap();
    assert!(key.is_signature(signed.as_bytes(), &bytes));
    assert!(!key.is_signature(signed.to_lowercase().as_bytes(), &bytes));
    // The example names no key and has no type, so as a token it is refused.
    let set = KeySet::from_keys([key]).unwrap();
    let token = format!("{signed}.{signature}");
    assert_eq!(verify(&token, &set, TypRule::IdToken), Err(VerifyError::NoKid));
}

#[test]
fn key_and_signature_of_rfc_8037_appendix_a() {
    let key = VerifyingKey::from_jwk(&json!({
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }))
    .unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature =
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let bytes = base64url::decode(signature).unwrap();
    assert!(key.is_signature(signed.as_bytes(), &bytes));
}

#[test]
fn eddsa_tokens_are_the_same_each_time() {
    // RFC 8037 appendix A.1's private key as PKCS #8 (RFC 8410 §7).
    let seed = base64url::decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = Secret::new([&prefix[..], &seed].concat());
    let key = SigningKey::from_pkcs8(Algorithm::EdDSA, &pkcs8).unwrap();
    assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    let token = key.sign("JWT", &json!({"sub": "auth0|owner"})).unwrap();
    assert_eq!(token, key.sign("JWT", &json!({"sub": "auth0|owner"})).unwrap());
    let header = token.split_once('.').unwrap().0;
    assert_eq!(
        base64url::decode(header).unwrap(),
        br#"{"alg":"EdDSA","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","typ":"JWT"}"#
    );
}
