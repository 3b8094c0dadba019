//! Vectors of RFC 8785, and what must be refused.

use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use serde_json::json;

use super::*;

/// RFC 8785 appendix B.
#[test]
fn doubles_print_as_in_ecmascript() {
    for (bits, expected) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(format_double(f64::from_bits(bits)), expected);
    }
    assert_eq!(format_double(f64::NAN), "null");
    assert_eq!(format_double(f64::NEG_INFINITY), "null");
}

/// RFC 8785 §3.2.2 and §3.2.3.
#[test]
fn the_examples_of_the_rfc() {
    let value = parse(
        r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#,
    );
    let expected = "{\"literals\":[null,true,false],\
        \"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
        \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
    assert_eq!(to_canonical(&value.unwrap()).unwrap(), expected);

    let names = json!({
        "\u{20ac}": "Euro Sign",
        "\r": "Carriage Return",
        "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\u{1f600}": "Emoji: Grinning Face",
        "\u{80}": "Control",
        "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    let expected = "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":\"Control\",\
        \"ö\":\"Latin Small Letter O With Diaeresis\",\"€\":\"Euro Sign\",\
        \"😀\":\"Emoji: Grinning Face\",\"\u{fb33}\":\"Hebrew Letter Dalet With Dagesh\"}";
    assert_eq!(to_canonical(&names).unwrap(), expected);
}

#[test]
fn controls_have_short_escapes_where_json_has_them() {
    let all: String = (0_u8..=0x20).map(char::from).chain(['"', '\\', '/', '\u{7f}']).collect();
    let expected = "\"\\u0000\\u0001\\u0002\\u0003\\u0004\\u0005\\u0006\\u0007\\b\\t\\n\\u000b\\f\\r\
        \\u000e\\u000f\\u0010\\u0011\\u0012\\u0013\\u0014\\u0015\\u0016\\u0017\\u0018\\u0019\\u001a\
        \\u001b\\u001c\\u001d\\u001e\\u001f \\\"\\\\/\u{7f}\"";
    assert_eq!(to_canonical(&json!(all)).unwrap(), expected);
}

#[test]
fn integers_beyond_2_to_the_53_are_refused_and_named() {
    let largest = 1_u64 << 53;
    assert_eq!(to_canonical(&json!(largest)).unwrap(), "9007199254740992");
    assert_eq!(to_canonical(&json!(-(1_i64 << 53))).unwrap(), "-9007199254740992");
    for (value, text) in [
        (json!(largest + 1), "9007199254740993"),
        (json!(u64::MAX), "18446744073709551615"),
        (json!(i64::MIN), "-9223372036854775808"),
        (json!({"a": [1, {"ts": largest + 2}]}), "9007199254740994"),
    ] {
        let error = to_canonical(&value).unwrap_err();
        assert_eq!(error, CanonicalError::InexactInteger(text.to_owned()));
        assert!(error.to_string().contains(text));
    }
    // As a double the value is what it says.
    assert_eq!(to_canonical(&json!(1e20)).unwrap(), "100000000000000000000");
}

#[test]
fn nesting_is_bounded_in_both_directions() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let deepest = parse(&nested(DEPTH_MAX)).unwrap();
    assert_eq!(to_canonical(&deepest).unwrap(), nested(DEPTH_MAX));
    assert_eq!(parse(&nested(DEPTH_MAX + 1)), Err(ParseError::TooDeep));
    assert_eq!(parse(&"[".repeat(1_000_000)), Err(ParseError::TooDeep));
    assert_eq!(parse(&"{\"a\":".repeat(1_000_000)), Err(ParseError::TooDeep));
    assert_eq!(to_canonical(&json!([deepest])), Err(CanonicalError::TooDeep));
}

#[test]
fn only_one_spelling_is_canonical() {
    for good in [
        "null",
        "0",
        "-1",
        "1e+30",
        "0.000001",
        "\"\"",
        "[]",
        "{}",
        "{\"a\":1,\"b\":[true,null]}",
        "9007199254740994",
        "\"\u{7f}\"",
    ] {
        assert!(is_canonical(good), "{good}");
    }
    for bad in [
        "",
        " null",
        "null ",
        "null\n",
        "-0",
        "1.0",
        "1e30",
        "1E+30",
        "01",
        "+1",
        "0.0000001",
        "1e1",
        "9007199254740993",
        "\"\\u0041\"",
        "\"\\/\"",
        "\"\\u000A\"",
        "\"\\u001F\"",
        "[1, 2]",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"a\": 1}",
        "\u{feff}null",
        "NaN",
        "nul",
        "{\"\u{fb33}\":1,\"\u{1f600}\":1}",
    ] {
        assert!(!is_canonical(bad), "{bad:?}");
    }
}

#[test]
fn refusals_say_what_and_where() {
    use ParseError::*;
    for (text, expected) in [
        ("", UnexpectedEnd),
        ("  ", UnexpectedEnd),
        ("[1,", UnexpectedEnd),
        ("[1", UnexpectedEnd),
        ("{\"a\"", UnexpectedEnd),
        ("\"abc", UnexpectedEnd),
        ("\"\\", UnexpectedEnd),
        ("\"\\u12", UnexpectedEnd),
        ("[1,]", UnexpectedCharacter { at: 3 }),
        ("[1 2]", UnexpectedCharacter { at: 3 }),
        ("{a:1}", UnexpectedCharacter { at: 1 }),
        ("{\"a\" 1}", UnexpectedCharacter { at: 5 }),
        ("{\"a\":1,}", UnexpectedCharacter { at: 7 }),
        ("tru", UnexpectedCharacter { at: 0 }),
        ("'a'", UnexpectedCharacter { at: 0 }),
        ("/* x */ 1", UnexpectedCharacter { at: 0 }),
        ("\u{a0}1", UnexpectedCharacter { at: 0 }),
        ("1 2", TrailingCharacters { at: 2 }),
        ("nullx", TrailingCharacters { at: 4 }),
        ("{}{}", TrailingCharacters { at: 2 }),
        ("{\"a\":1,\"\\u0061\":2}", DuplicateMember { name: "a".to_owned() }),
        ("\"\n\"", InvalidString { at: 1 }),
        ("\"\\x\"", InvalidString { at: 2 }),
        ("\"\\u12G4\"", InvalidString { at: 3 }),
        ("\"\\u+123\"", InvalidString { at: 3 }),
        ("\"\\ud800\"", LoneSurrogate { at: 2 }),
        ("\"\\udc00\"", LoneSurrogate { at: 2 }),
        ("\"\\ud800\\ud800\"", LoneSurrogate { at: 2 }),
        ("\"\\ud800x\"", LoneSurrogate { at: 2 }),
        ("01", InvalidNumber { at: 0 }),
        ("-01", InvalidNumber { at: 0 }),
        ("-", InvalidNumber { at: 0 }),
        ("1.", InvalidNumber { at: 0 }),
        ("1.e1", InvalidNumber { at: 0 }),
        ("1e", InvalidNumber { at: 0 }),
        ("[1e999]", InvalidNumber { at: 1 }),
    ] {
        assert_eq!(parse(text), Err(expected), "{text:?}");
    }
}

#[test]
fn numbers_keep_their_kind() {
    for (text, expected) in [
        ("0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("1.0", json!(1.0)),
        ("1e2", json!(100.0)),
        ("-0", json!(-0.0)),
        ("1e-400", json!(0.0)),
    ] {
        assert_eq!(parse(text).unwrap(), expected, "{text}");
    }
    assert_eq!(parse("\"\\ud83d\\ude00\"").unwrap(), json!("😀"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..=(1 << 53)).prop_map(Value::from),
        any::<f64>().prop_map(|double| Number::from_f64(double).map_or(Value::Null, Value::Number)),
        ".{0,20}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(".{0,8}", inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_is_canonical_and_stable(value in json_value()) {
        let text = to_canonical(&value).unwrap();
        prop_assert!(is_canonical(&text));
        let again = parse::parse_doubles(&text).unwrap();
        prop_assert_eq!(to_canonical(&again).unwrap(), text);
    }

    #[test]
    fn it_reads_what_serde_json_writes(value in json_value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let read = parse(&text).unwrap();
        prop_assert_eq!(to_canonical(&read).unwrap(), to_canonical(&value).unwrap());
    }

    #[test]
    fn it_accepts_nothing_that_serde_json_refuses(text in "[\\[\\]{}\":,0-9eE+.\\-tfn a\\\\u]{0,30}") {
        if parse(&text).is_ok() {
            prop_assert!(serde_json::from_str::<Value>(&text).is_ok(), "{}", text);
        }
    }

    #[test]
    fn every_double_reads_back_as_itself(bits: u64) {
        let double = f64::from_bits(bits);
        if double.is_finite() {
            prop_assert_eq!(format_double(double).parse::<f64>().unwrap(), double);
        }
    }
}
