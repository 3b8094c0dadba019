//! Issuer, audience and times.

use behalf_core::Timestamp;

use super::*;

#[track_caller]
fn check(claims: &Value, expected: Result<(), ClaimError>) {
    let validation = Validation {
        issuer: Some("https://as.example/"),
        audience: Some("api"),
        now: Timestamp::from_secs(1_000),
        leeway_secs: 30,
    };
    assert_eq!(validation.check(claims.as_object().unwrap()), expected, "{claims}");
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = json!({"iss": "https://as.example/", "aud": "api", "exp": 1_100});
    claims[name] = value;
    claims
}

#[test]
fn issuers_are_compared_byte_for_byte() {
    check(&with("iss", json!("https://as.example/")), Ok(()));
    for other in ["https://as.example", "https://AS.example/", "https://as.example/ ", ""] {
        check(&with("iss", json!(other)), Err(ClaimError::Issuer));
    }
    check(&with("iss", json!(["https://as.example/"])), Err(ClaimError::Malformed("iss")));
    check(&json!({"aud": "api", "exp": 1_100}), Err(ClaimError::Missing("iss")));
}

#[test]
fn the_audience_is_one_string_or_one_of_several() {
    check(&with("aud", json!("api")), Ok(()));
    check(&with("aud", json!(["other", "api"])), Ok(()));
    for other in [json!("api2"), json!("ap"), json!([]), json!(["a", "pi"]), json!("")] {
        check(&with("aud", other), Err(ClaimError::Audience));
    }
    for malformed in [json!({"api": 1}), json!(["api", 1]), json!(null), json!(1)] {
        check(&with("aud", malformed), Err(ClaimError::Malformed("aud")));
    }
    let missing = json!({"iss": "https://as.example/", "exp": 1_100});
    check(&missing, Err(ClaimError::Missing("aud")));
}

#[test]
fn expiry_is_required_and_reached_on_the_second() {
    check(&with("exp", json!(971)), Ok(()));
    check(&with("exp", json!(970)), Err(ClaimError::Expired));
    check(&with("exp", json!(971.9)), Ok(()));
    check(&with("exp", json!(970.9)), Err(ClaimError::Expired));
    check(&with("exp", json!(-1)), Err(ClaimError::Expired));
    check(&with("exp", json!(i64::MAX)), Ok(()));
    for malformed in [json!("1100"), json!(1e300), json!(u64::MAX), json!(null), json!(true)] {
        check(&with("exp", malformed), Err(ClaimError::Malformed("exp")));
    }
    let missing = json!({"iss": "https://as.example/", "aud": "api"});
    check(&missing, Err(ClaimError::Missing("exp")));
}

#[test]
fn a_token_of_the_future_waits() {
    check(&with("nbf", json!(1_030)), Ok(()));
    check(&with("nbf", json!(1_031)), Err(ClaimError::NotYetValid));
    check(&with("nbf", json!("now")), Err(ClaimError::Malformed("nbf")));
}

#[test]
fn what_is_not_asked_for_is_not_checked() {
    let now = Timestamp::from_secs(1_000);
    let validation = Validation { issuer: None, audience: None, now, leeway_secs: 0 };
    assert_eq!(validation.check(json!({"exp": 1_001}).as_object().unwrap()), Ok(()));
    let expired = validation.check(json!({"exp": 1_000}).as_object().unwrap());
    assert_eq!(expired, Err(ClaimError::Expired));
}
