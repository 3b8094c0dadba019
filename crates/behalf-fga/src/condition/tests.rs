//! Expressions and contexts as data.

mod cost;
mod language;

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::{MAX_CONDITION_COST, compile};
use crate::model::{Condition, ConditionParamTypeRef, TypeName};

fn condition(expression: &str, parameters: &str) -> Condition {
    let mut declared = BTreeMap::new();
    for parameter in parameters.split_whitespace() {
        let (name, of) = parameter.split_once(':').unwrap();
        let plain = |name: &str| ConditionParamTypeRef {
            type_name: TypeName::from_dsl(name).unwrap(),
            generic_types: Vec::new(),
        };
        let of = match of.split_once('<') {
            Some((outer, inner)) => ConditionParamTypeRef {
                type_name: TypeName::from_dsl(outer).unwrap(),
                generic_types: vec![plain(inner.trim_end_matches('>'))],
            },
            None => plain(of),
        };
        declared.insert(name.to_owned(), of);
    }
    Condition {
        name: "c".to_owned(),
        expression: expression.to_owned(),
        parameters: declared,
        metadata: None,
    }
}

#[track_caller]
fn evaluate(expression: &str, parameters: &str, context: Json) -> Result<bool, String> {
    let compiled = compile(&condition(expression, parameters)).expect(expression);
    let Json::Object(context) = context else { panic!("a context is an object") };
    compiled.evaluate(&context, None, MAX_CONDITION_COST)
}

#[test]
fn expressions_without_parameters_have_these_values() {
    for (expression, expected) in [
        ("1 + 2 * 3 == 7", true),
        ("(1 + 2) * 3 == 9", true),
        ("-7 / 2 == -3 && -7 % 2 == -1", true),
        ("-9223372036854775808 < 0", true),
        ("size('héllo') == 5", true),
        ("'a' + 'b' == 'ab'", true),
        ("'b' > 'a'", true),
        ("1 in [1, 2] && !(3 in [1, 2])", true),
        ("'k' in {'k': 1} && {'k': 1}['k'] == 1 && {'k': 1}.k == 1", true),
        ("has({'k': 1}.k) && !has({'k': 1}.j)", true),
        ("[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2)", true),
        ("[1, 2, 3].filter(x, x > 1).map(y, y * 2) == [4, 6]", true),
        ("[1, 1].exists_one(x, x == 1)", false),
        ("1 / 0 == 1 || true", true),
        ("false && 1 / 0 == 1", false),
        ("dyn(1) == dyn(1.0) && dyn(1u) == dyn(1)", true),
        ("duration('1h30m') == duration('90m')", true),
        (
            "timestamp('2023-01-01T00:00:00Z') + duration('24h') == timestamp('2023-01-02T00:00:00Z')",
            true,
        ),
        ("timestamp('2023-05-06T07:08:09Z').getHours('+02:00') == 9", true),
        ("timestamp('2023-05-07T07:08:09Z').getDayOfWeek() == 0", true),
        ("int('7') == 7 && string(7) == '7' && double('1.5') == 1.5 && bool('true')", true),
        ("ipaddress('::ffff:10.0.0.1') == ipaddress('10.0.0.1')", true),
        ("ipaddress('10.1.2.3').in_cidr('10.0.0.0/8')", true),
        ("ipaddress('10.1.2.3').in_cidr('::ffff:10.0.0.0/104')", true),
        ("'abc'.matches('^a.c$') && r'\\d' == '\\\\d'", true),
        ("true ? false : true", false),
        ("type(1) == int", true),
        ("b'abc' == bytes('abc')", true),
        ("0x1F == 31 && 1e3 == 1000.0", true),
    ] {
        assert_eq!(evaluate(expression, "", json!({})), Ok(expected), "{expression}");
    }
}

#[test]
fn these_expressions_do_not_compile() {
    for (expression, parameters) in [
        ("1 + 'a' == 2", ""),
        ("1 == 1.0", ""),
        ("1 < 1u", ""),
        ("x", "x:int"),
        ("y == 1", "x:int"),
        ("x != null", "x:string"),
        ("x.foo()", "x:string"),
        ("x[0] == 1", "x:string"),
        ("x.y == 1", "x:int"),
        ("!x", "x:int"),
        ("x == ", "x:int"),
        ("x == 1 1", "x:int"),
        ("[1, 2]", ""),
        ("x.matches('(')", "x:string"),
        (
            "((((((((((((((((((((((((((((((((((((((((((((((true))))))))))))))))))))))))))))))))))))))))))))))",
            "",
        ),
    ] {
        assert!(compile(&condition(expression, parameters)).is_err(), "{expression}");
    }
}

#[test]
fn parameters_are_converted() {
    for (expression, parameters, context, expected) in [
        ("x == 10", "x:int", json!({"x": "10"}), true),
        ("x == 10", "x:int", json!({"x": 10.0}), true),
        ("x == 10u", "x:uint", json!({"x": 10}), true),
        ("x > 0.5", "x:double", json!({"x": "0.75"}), true),
        ("x < duration('2s')", "x:duration", json!({"x": "1.5s"}), true),
        ("t.getFullYear() == 2024", "t:timestamp", json!({"t": "2024-02-29T23:00:00+01:00"}), true),
        ("x['a'] == 1", "x:map<int>", json!({"x": {"a": 1}}), true),
        ("'b' in x", "x:list<string>", json!({"x": ["a", "b"]}), true),
        ("x == 1", "x:any", json!({"x": 1}), true),
        ("x.a[1] == 'z'", "x:any", json!({"x": {"a": [null, "z"]}}), true),
        (
            "ip.in_cidr(c)",
            "ip:ipaddress c:string",
            json!({"ip": "192.168.1.1", "c": "192.168.0.0/16"}),
            true,
        ),
        (
            "ip.in_cidr(c)",
            "ip:ipaddress c:string",
            json!({"ip": "::1", "c": "192.168.0.0/16"}),
            false,
        ),
    ] {
        assert_eq!(evaluate(expression, parameters, context), Ok(expected), "{expression}");
    }
}

#[test]
fn these_contexts_are_errors() {
    for (expression, parameters, context) in [
        ("x == 10", "x:int", json!({"x": 10.5})),
        ("x == 10", "x:int", json!({"x": true})),
        ("x == 10u", "x:uint", json!({"x": -1})),
        ("x == 'a'", "x:string", json!({"x": 1})),
        ("x < duration('2s')", "x:duration", json!({"x": "1d"})),
        ("x < timestamp('2023-01-01T00:00:00Z')", "x:timestamp", json!({"x": "2023-01-01"})),
        ("x == ipaddress('::1')", "x:ipaddress", json!({"x": "10.0.0.256"})),
        ("x == 1 || true", "x:int y:int", json!({"x": 1})),
        ("ip.in_cidr(c)", "ip:ipaddress c:string", json!({"ip": "::1", "c": "192.168.0.0"})),
        ("1 == 1", "", json!({"x": 1})),
        ("x[5] == 1", "x:list<int>", json!({"x": [1]})),
    ] {
        assert!(evaluate(expression, parameters, context).is_err(), "{expression}");
    }
}

#[test]
fn cost_is_bounded() {
    let list: Vec<u32> = (0..200).collect();
    let result =
        evaluate("x.all(a, x.all(b, a >= 0 || b >= 0))", "x:list<int>", json!({"x": list}));
    assert!(result.unwrap_err().contains("cost limit"));
}

#[test]
fn the_tuple_context_wins() {
    let compiled = compile(&condition("x == 1", "x:int")).unwrap();
    let request = json!({"x": 1, "unknown": true});
    let tuple = json!({"x": 2});
    let result =
        compiled.evaluate(request.as_object().unwrap(), tuple.as_object(), MAX_CONDITION_COST);
    assert_eq!(result, Ok(false));
    assert!(compiled.check_context(request.as_object().unwrap()).is_err());
    assert_eq!(compiled.check_context(tuple.as_object().unwrap()), Ok(()));
}
