//! The language by area, after the areas of CEL's own conformance tests.

use serde_json::{Value as Json, json};

use super::{condition, evaluate};
use crate::condition::compile;

#[track_caller]
fn all_true(expressions: &[&str]) {
    for expression in expressions {
        assert_eq!(evaluate(expression, "", json!({})), Ok(true), "{expression}");
    }
}

#[track_caller]
fn all_fail(expressions: &[&str]) {
    for expression in expressions {
        assert!(evaluate(expression, "", json!({})).is_err(), "{expression}");
    }
}

#[track_caller]
fn none_compile(expressions: &[&str]) {
    for expression in expressions {
        assert!(compile(&condition(expression, "")).is_err(), "{expression}");
    }
}

#[test]
fn literals() {
    all_true(&[
        "0x55555555 == 1431655765",
        "-0x7fffffffffffffff - 1 == -9223372036854775808",
        "18446744073709551615u == 0xffffffffffffffffu",
        "1e-3 == 0.001 && .5 == 0.5 && 2.5E2 == 250.0",
        r#"'\x41\u00e9\U0001F600\101' == 'Aé😀A'"#,
        r#""a\"b" == 'a"b' && '\a\b\f\n\r\t\v\\\?\'\"\`'.size() == 12"#,
        r#"r'\n' == '\\n' && R"""a"b""" == 'a"b'"#,
        "'''a\nb''' == 'a\\nb' && \"\"\"it's\"\"\" == 'it\\'s'",
        r#"b'\xff'.size() == 1 && b'é'.size() == 2"#,
        "null == null && [null] == [null]",
        "[1, 2,] == [1, 2] && {'a': 1,} == {'a': 1}",
        "true // a comment\n && true",
    ]);
    none_compile(&[
        "9223372036854775808 == 0",
        "-9223372036854775809 == 0",
        "'\\q' == ''",
        "'a\nb' == ''",
        "'abc",
        "'\\ud800' == ''",
        "1 = 1",
        "true && ",
        "if == 1",
        "{'a': 1, 'a': 2} == {}",
        "{1.5: 1} == {}",
        "{[1]: 1} == {}",
        "",
        "@",
        "a.",
        "(true",
        "true)",
        "[1 2] == []",
    ]);
}

#[test]
fn integers_are_checked() {
    all_true(&[
        "9223372036854775807 + 0 == 9223372036854775807",
        "7 / -2 == -3 && 7 % -2 == 1 && -7 % 2 == -1",
        "5u / 2u == 2u && 5u % 2u == 1u && 3u - 2u == 1u",
        "1 - -1 == 2 && 2 - 1 - 1 == 0 && 2 * 3 + 4 * 5 == 26",
    ]);
    all_fail(&[
        "9223372036854775807 + 1 == 0",
        "-9223372036854775808 - 1 == 0",
        "-9223372036854775808 * -1 == 0",
        "-9223372036854775808 / -1 == 0",
        "-(-9223372036854775808) == 0",
        "1u - 2u == 0u",
        "18446744073709551615u + 1u == 0u",
        "1 / 0 == 0",
        "1 % 0 == 0",
        "1u / 0u == 0u",
    ]);
    none_compile(&[
        "-1u == 0u",
        "1 + 1u == 2",
        "1 + 1.0 == 2.0",
        "1.5 % 1.0 == 0.5",
        "!1",
        "-'a' == ''",
    ]);
}

#[test]
fn doubles_are_ieee() {
    all_true(&[
        "1.0 / 0.0 > 1e308",
        "0.1 + 0.2 != 0.3",
        "!(0.0 / 0.0 == 0.0 / 0.0) && 0.0 / 0.0 != 0.0 / 0.0",
        "!(0.0 / 0.0 < 1.0) && !(0.0 / 0.0 >= 1.0)",
        "-0.0 == 0.0",
    ]);
}

#[test]
fn numbers_of_different_types_compare_where_the_types_are_not_known() {
    all_true(&[
        "dyn(1) == 1.0 && dyn(1u) == 1 && dyn(1.0) == 1u",
        "dyn(9007199254740993) != 9007199254740992.0",
        "dyn(1) < 1.5 && dyn(2u) > 1 && dyn(-1) < 0u",
        "dyn('a') != 1 && dyn(null) != 1 && dyn([1]) == [dyn(1.0)]",
        "dyn(1) in [1.0, 2.0] && dyn(3u) in {3: true}",
    ]);
    none_compile(&["1 == 1u", "1 < 1.0", "'a' == 1", "1 in ['a']", "null < null", "[1] < [2]"]);
}

#[test]
fn texts_are_counted_in_code_points() {
    all_true(&[
        "size('') == 0 && 'héllo😀'.size() == 6 && b'héllo'.size() == 6",
        "'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('') && !'abc'.contains('d')",
        "'a' < 'b' && 'B' < 'a' && '' < 'a' && 'é' > 'z' && b'a' < b'b'",
        "'a' + 'b' == 'ab' && b'a' + b'b' == b'ab'",
    ]);
    none_compile(&[
        "'a'.size('b') == 1",
        "size(1) == 1",
        "'a'.startsWith(1)",
        "'a' * 2 == 'aa'",
        "contains('a', 'b')",
    ]);
}

#[test]
fn patterns_are_those_of_re2() {
    all_true(&[
        "'hubba'.matches('ubb') && !'hubba'.matches('^ubb') && matches('ab', 'a.')",
        r"'cows'.matches('(?i)COWS') && 'a\nb'.matches('(?s)a.b') && !'a\nb'.matches('a.b')",
        r"'x1'.matches(r'^\w\d$') && !'é'.matches(r'\w') && !'٣'.matches(r'\d')",
        r"!'\u00a0'.matches(r'\s') && 'é'.matches(r'\W') && 'é'.matches(r'^[^\w]$')",
        r"'a-b'.matches(r'^[\w-]+$') && '[a'.matches('^[[]a$') && 'a&&b'.matches('^[a&&b]+$')",
        r"'a]'.matches('^[]a]+$') && 'ab'.matches('^[[:alpha:]]+$') && !'é'.matches('[[:alpha:]]')",
        r"'a.b'.matches(r'^\Qa.b\E$') && !'axb'.matches(r'^\Qa.b\E$')",
        r"'x é'.matches(r'x\b') && 'a\n'.matches('a') && !'a\n'.matches('a$')",
    ]);
    none_compile(&[
        "'a'.matches('(')",
        "'a'.matches('a{1,')  && 'a'.matches('[')",
        r"'a'.matches(r'[+-\d]')",
        r"'a'.matches(r'[\b]')",
        r"'a'.matches('(?=a)')",
        r"'a'.matches(r'(a)\1')",
        "'a'.matches('((a{100}){100}){100}')",
    ]);
}

#[test]
fn lists_and_maps() {
    all_true(&[
        "[1, 2] + [3] == [1, 2, 3] && [] + [] == [] && [1, 'a'].size() == 2",
        "[1, 2][1] == 2 && {'a': {'b': [1]}}.a['b'][0] == 1",
        "{1: 'a', 2u: 'b', true: 'c', 'k': 'd'}.size() == 4",
        "{'a': 1} == {'a': 1} && {'a': 1} != {'a': 2} && {'a': 1} != {'b': 1}",
        "'a' in {'a': 1} && !('b' in {'a': 1}) && 1 in [1] && !(2 in [1])",
        "has({'a': null}.a) && !has({'a': 1}.b)",
        "[[1, 2], [3]].exists(l, 3 in l)",
    ]);
    all_fail(&["[1][1] == 1", "[1][-1] == 1", "{'a': 1}['b'] == 1", "{'a': 1}.b == 1"]);
    none_compile(&[
        "[1]['a'] == 1",
        "{'a': 1}[1] == 1",
        "[1].a == 1",
        "has([1])",
        "has({'a': 1})",
        "1 in 1",
    ]);
}

#[test]
fn macros() {
    all_true(&[
        "[1, 2, 3].all(x, x > 0) && [].all(x, false) && !([1, 2].all(x, x > 1))",
        "[1, 2, 3].exists(x, x == 2) && ![].exists(x, true)",
        "[1, 2, 3].exists_one(x, x == 2) && ![1, 1].exists_one(x, x == 1) && ![].exists_one(x, true)",
        "[1, 2].map(x, x + 1) == [2, 3] && [1, 2, 3].map(x, x > 1, x * x) == [4, 9]",
        "[1, 2, 3].filter(x, x != 2) == [1, 3] && {'a': 1, 'b': 2}.filter(k, k == 'a') == ['a']",
        "{'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
        "[1, 2].all(x, [3, 4].all(y, x < y)) && [1].all(x, [2].all(x, x == 2))",
        // An error is absorbed where another element decides.
        "[1, 0].exists(x, 1 / x == 1) && [0, 1].exists(x, 1 / x == 1)",
        "!([0, 2].all(x, 2 / x == 0))",
    ]);
    all_fail(&[
        "[0, 2].exists(x, 2 / x == 0)",
        "[0, 1].all(x, 1 / x == 1)",
        "[0, 1].exists_one(x, 1 / x == 1)",
        "[0].map(x, 1 / x) == []",
    ]);
    none_compile(&[
        "[1].all(x, 1)",
        "[1].all(1, true)",
        "1.all(x, true)",
        "[1].map(x) == []",
        "[1].filter(x, y) == []",
        "[1].all(x, true) && x == 1",
    ]);
}

#[test]
fn logic_absorbs_errors() {
    all_true(&[
        "1 / 0 == 1 || true",
        "true || 1 / 0 == 1",
        "!(false && 1 / 0 == 1) && !(1 / 0 == 1 && false)",
        "(1 / 0 == 1 || false) || true",
        "true ? true : 1 / 0 == 1",
        "!false && !!true",
        "false || true && true",
    ]);
    all_fail(&["1 / 0 == 1 || false", "1 / 0 == 1 && true", "1 / 0 == 1 ? true : true"]);
    none_compile(&[
        "true ? false ? false : true : false",
        "1 || true",
        "true ? 1 : 'a'",
        "1 ? true : false",
        "(true ? 1 : 2)",
    ]);
}

#[test]
fn conversions() {
    all_true(&[
        "int(1.9) == 1 && int(-1.9) == -1 && int(7u) == 7 && int('-7') == -7",
        "int(timestamp('1970-01-01T00:01:00Z')) == 60 && int(duration('1s')) == 1000000000",
        "uint(1.9) == 1u && uint('7') == 7u && uint(7) == 7u",
        "double('1e3') == 1000.0 && double(3) == 3.0 && double('Inf') > 1e308 && double('NaN') != double('NaN')",
        "string(1) == '1' && string(-0.5) == '-0.5' && string(1e6) == '1e+06' && string(123456.0) == '123456'",
        "string(true) == 'true' && string(1u) == '1' && string(b'abc') == 'abc'",
        "string(timestamp('2009-02-13T23:31:30Z')) == '2009-02-13T23:31:30Z'",
        "string(duration('1h1.5s')) == '3601.5s' && string(duration('-1ms')) == '-0.001s'",
        "bool('true') && bool('1') && bool('T') && !bool('FALSE')",
        "bytes('é') == b'\\303\\251'",
        "type(1) == int && type('') == string && type([]) == list && type({}) == map && type(null) == null_type && type(type(1)) == type",
        "timestamp(60) == timestamp('1970-01-01T00:01:00Z') && timestamp(timestamp(0)) == timestamp(0)",
        "duration('1h') == duration('60m') && duration('1.5h') == duration('90m') && duration('10us') == duration('10µs')",
    ]);
    // A conversion of a constant is made when the model is written.
    none_compile(&[
        "int('a') == 0",
        "int(1e19) == 0",
        "int(double('NaN')) == 0",
        "int(9223372036854775808u) == 0",
        "uint(-1) == 0u",
        "uint('+1') == 1u",
        "uint(-1.0) == 0u",
        "double('1e400') == 0.0",
        "bool('yes')",
        "string(b'\\xff') == ''",
        "duration('1d') == duration('24h')",
        "duration('') == duration('0')",
        "duration('2562048h') == duration('0')",
        "timestamp('2023-01-01') == timestamp(0)",
        "timestamp('2023-02-30T00:00:00Z') == timestamp(0)",
        "timestamp('10000-01-01T00:00:00Z') == timestamp(0)",
        "timestamp(253402300800) == timestamp(0)",
        "int(true) == 1",
        "string([1]) == ''",
        "int() == 1",
        "int(1, 2) == 1",
    ]);
}

#[test]
fn times() {
    all_true(&[
        "timestamp('2023-06-01T12:00:00Z') < timestamp('2023-06-01T12:00:00.000000001Z')",
        "timestamp('2023-06-01T14:00:00+02:00') == timestamp('2023-06-01T12:00:00Z')",
        "timestamp('2023-01-01T00:00:00Z') + duration('1h') - timestamp('2023-01-01T00:00:00Z') == duration('1h')",
        "timestamp('2023-01-01T00:00:00Z') - duration('1s') == timestamp('2022-12-31T23:59:59Z')",
        "duration('1h') + duration('1m') == duration('61m') && duration('1h') - duration('2h') == duration('-1h')",
        "duration('1h') > duration('59m') && duration('1h30m').getMinutes() == 90 && duration('90s').getHours() == 0",
        "duration('1.5s').getMilliseconds() == 1500 && duration('1.5s').getSeconds() == 1",
        "timestamp('2023-05-07T01:02:03.456Z').getMilliseconds() == 456",
        "timestamp('2023-05-07T01:02:03Z').getMonth() == 4 && timestamp('2023-05-07T01:02:03Z').getDate() == 7",
        "timestamp('2023-05-07T01:02:03Z').getDayOfMonth() == 6 && timestamp('2023-12-31T01:02:03Z').getDayOfYear() == 364",
        "timestamp('2023-05-07T01:02:03Z').getDayOfWeek() == 0 && timestamp('2023-05-07T01:02:03Z').getDayOfWeek('America/New_York') == 6",
        "timestamp('2023-07-01T12:00:00Z').getHours('America/New_York') == 8",
        "timestamp('2023-01-01T12:00:00Z').getHours('America/New_York') == 7",
        "timestamp('2023-01-01T12:00:00Z').getHours('Australia/Sydney') == 23",
        "timestamp('2023-01-01T12:00:00Z').getMinutes('Asia/Kolkata') == 30",
        "timestamp('2023-01-01T12:00:00Z').getHours('+05:30') == 17 && timestamp('2023-01-01T12:00:00Z').getHours('-1:00') == 11",
        "timestamp('2023-01-01T12:00:00Z').getMinutes('-00:30') == 30 && timestamp('2023-01-01T12:00:00Z').getHours('') == 12",
        "timestamp('0001-01-01T00:00:00Z').getFullYear() == 1 && timestamp('9999-12-31T23:59:59Z').getFullYear() == 9999",
    ]);
    all_fail(&[
        "timestamp('2023-01-01T12:00:00Z').getHours('Nowhere/Land') == 0",
        "timestamp('2023-01-01T12:00:00Z').getHours('america/new_york') == 0",
        "timestamp('2023-01-01T12:00:00Z').getHours('+01:60') == 0",
        "timestamp('2023-01-01T12:00:00Z').getHours('Local') == 0",
        "timestamp('9999-12-31T23:59:59Z') + duration('1s') == timestamp(0)",
        "timestamp('0001-01-01T00:00:00Z') - duration('1s') == timestamp(0)",
        "timestamp('9999-12-31T23:59:59Z') - timestamp('0001-01-01T00:00:00Z') == duration('0')",
        "duration('2562047h') + duration('2562047h') == duration('0')",
    ]);
    none_compile(&[
        "duration('1h').getFullYear() == 0",
        "duration('1h').getHours('UTC') == 0",
        "timestamp('2023-01-01T12:00:00Z') + timestamp('2023-01-01T12:00:00Z') == timestamp(0)",
        "timestamp('2023-01-01T12:00:00Z') < duration('1h')",
        "duration('1h') * 2 == duration('2h')",
    ]);
}

#[test]
fn addresses() {
    all_true(&[
        "ipaddress('192.168.1.1').in_cidr('192.168.0.0/16') && !ipaddress('192.169.1.1').in_cidr('192.168.0.0/16')",
        "ipaddress('10.0.0.1').in_cidr('0.0.0.0/0') && ipaddress('10.0.0.1').in_cidr('10.0.0.1/32')",
        "ipaddress('2001:db8::1').in_cidr('2001:db8::/32') && ipaddress('::1').in_cidr('::/0')",
        // IPv4 in IPv6 is IPv4, in the address and in the block.
        "ipaddress('::ffff:192.168.1.1').in_cidr('192.168.0.0/16')",
        "ipaddress('192.168.1.1').in_cidr('::ffff:192.168.0.0/112')",
        "!ipaddress('192.168.1.1').in_cidr('::/0') && !ipaddress('::1').in_cidr('0.0.0.0/0')",
        // An address with a zone is in no block.
        "!ipaddress('fe80::1%eth0').in_cidr('fe80::/10') && ipaddress('fe80::1%a') != ipaddress('fe80::1%b')",
        "ipaddress('1.2.3.4') == ipaddress('::ffff:1.2.3.4') && ipaddress('1.2.3.4') != null",
    ]);
    all_fail(&[
        "ipaddress('1.2.3') == ipaddress('1.2.3.4')",
        "ipaddress('1.2.3.04') == ipaddress('1.2.3.4')",
        "ipaddress('') == ipaddress('1.2.3.4')",
        "ipaddress('1.2.3.4%eth0') == ipaddress('1.2.3.4')",
        "ipaddress('::ffff:1.2.3.4%eth0') == ipaddress('1.2.3.4')",
        "ipaddress('1.2.3.4').in_cidr('1.2.3.4')",
        "ipaddress('1.2.3.4').in_cidr('1.2.3.4/33')",
        "ipaddress('1.2.3.4').in_cidr('1.2.3.4/08')",
        "ipaddress('1.2.3.4').in_cidr('fe80::%eth0/10')",
        "ipaddress('1.2.3.4').in_cidr('')",
    ]);
    none_compile(&[
        "ipaddress(1) == ipaddress(2)",
        "'1.2.3.4'.in_cidr('1.2.3.0/24')",
        "ipaddress('1.2.3.4').in_cidr(8)",
        "ipaddress('1.2.3.4') < ipaddress('1.2.3.5')",
    ]);
}

#[test]
fn extension_libraries_are_absent() {
    none_compile(&[
        "'a,b'.split(',') == ['a', 'b']",
        "'A'.lowerAscii() == 'a'",
        "math.greatest(1, 2) == 2",
        "cel.bind(x, 1, x == 1)",
        "[1].sum() == 1",
        "optional.of(1).hasValue()",
    ]);
}

#[test]
fn any_takes_whatever_it_is_given() {
    for (expression, value) in [
        ("x == 'a'", json!("a")),
        ("x == 1", json!(1)),
        ("x == 1.5 && x < 2", json!(1.5)),
        ("x == true", json!(true)),
        ("x == null", json!(null)),
        ("x == [1, 'a', [true]]", json!([1, "a", [true]])),
        ("x == {'a': {'b': [1]}} && x.a.b[0] == 1", json!({"a": {"b": [1]}})),
        ("x.exists(y, y.n == 2)", json!([{"n": 1}, {"n": 2}])),
        ("type(x) == double", json!(1)),
    ] {
        assert_eq!(evaluate(expression, "x:any", json!({"x": value})), Ok(true), "{expression}");
    }
    for (expression, value) in [
        ("x && true", json!("true")),
        ("x.a == 1", json!(1)),
        ("x < 1", json!("a")),
        ("x[0] == 1", json!({"a": 1})),
        ("x + 1 == 2", json!("a")),
        ("x.size() == 1", json!(1)),
    ] {
        assert!(evaluate(expression, "x:any", json!({"x": value})).is_err(), "{expression}");
    }
    assert!(evaluate("x == 1", "x:any", json!({})).is_err());
}

#[test]
fn parameters_are_converted_or_refused() {
    let accepted: [(&str, &str, Json); 14] = [
        ("x == 7", "x:int", json!("7")),
        ("x == 1000", "x:int", json!("1e3")),
        ("x == 9223372036854775807", "x:int", json!("9223372036854775808")),
        ("x == 9007199254740993", "x:int", json!("9007199254740993")),
        ("x == 7u", "x:uint", json!(7.0)),
        ("x == 0.1", "x:double", json!("0.1")),
        ("x == 3.0", "x:double", json!(3)),
        ("x == duration('1h')", "x:duration", json!("60m")),
        (
            "x == timestamp('2023-01-01T00:00:00Z')",
            "x:timestamp",
            json!("2023-01-01T01:00:00+01:00"),
        ),
        ("x.in_cidr('10.0.0.0/8')", "x:ipaddress", json!("::ffff:10.1.1.1")),
        ("x.a == 1", "x:map<int>", json!({"a": "1"})),
        ("x == [duration('1s')]", "x:list<duration>", json!(["1s"])),
        ("x.size() == 0", "x:list<any>", json!([])),
        ("x == 'é'", "x:string", json!("é")),
    ];
    for (expression, parameters, value) in accepted {
        assert_eq!(evaluate(expression, parameters, json!({"x": value})), Ok(true), "{expression}");
    }
    for (parameters, value) in [
        ("x:int", json!(1.5)),
        ("x:int", json!("1.5")),
        ("x:int", json!("a")),
        ("x:int", json!("")),
        ("x:int", json!(null)),
        ("x:uint", json!("-1")),
        ("x:double", json!("1e400")),
        ("x:double", json!("NaN")),
        ("x:double", json!(true)),
        ("x:bool", json!("true")),
        ("x:bool", json!(1)),
        ("x:string", json!(1)),
        ("x:string", json!(null)),
        ("x:duration", json!(60)),
        ("x:duration", json!("1 h")),
        ("x:timestamp", json!(0)),
        ("x:timestamp", json!("2023-01-01 00:00:00Z")),
        ("x:timestamp", json!("2023-01-01T00:00:60Z")),
        ("x:ipaddress", json!("10.0.0")),
        ("x:ipaddress", json!(1)),
        ("x:map<int>", json!([1])),
        ("x:map<int>", json!({"a": "b"})),
        ("x:list<int>", json!({"a": 1})),
        ("x:list<int>", json!([1, "b"])),
    ] {
        let result = evaluate("x == x", parameters, json!({"x": value}));
        assert!(result.is_err(), "{parameters} takes {value}");
    }
}

#[test]
fn expressions_are_bounded() {
    for (open, close) in
        [("(", ")"), ("[", "]"), ("!", ""), ("-", ""), ("{'a':", "}"), ("size(", ")")]
    {
        let deep = format!("{}true{}", open.repeat(1_000), close.repeat(1_000));
        assert!(compile(&condition(&deep, "")).is_err());
        let within = format!("{}true{}", open.repeat(50), close.repeat(50));
        assert!(compile(&condition(&within, "")).is_err(), "{within}");
    }
    let long = format!("{} == 1", vec!["1"; 300].join("+"));
    assert!(compile(&condition(&long, "")).unwrap_err().contains("longer than 512 bytes"));
    let wide = format!("{} > 1", vec!["1"; 250].join("+"));
    assert_eq!(evaluate(&wide, "", json!({})), Err("failed to evaluate condition expression: operation cancelled: actual cost limit exceeded".to_owned()));
    let dots = format!("x{}", ".a".repeat(200));
    assert!(compile(&condition(&dots, "x:any")).is_err());
}
