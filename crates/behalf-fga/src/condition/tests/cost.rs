//! What expressions cost, as cel-go counts it with constants folded.

use serde_json::{Value as Json, json};

use super::condition;
use crate::condition::compile;

/// The least limit under which the evaluation goes through.
#[track_caller]
fn cost(expression: &str, parameters: &str, context: &Json) -> u64 {
    let compiled = compile(&condition(expression, parameters)).expect(expression);
    let context = context.as_object().unwrap();
    (0..3_000)
        .find(|limit| match compiled.evaluate(context, None, *limit) {
            Err(reason) => !reason.contains("cost limit"),
            Ok(_) => true,
        })
        .expect(expression)
}

#[test]
fn operators_cost_what_they_look_at() {
    for (expression, expected) in [
        ("true", 0),
        ("true || false", 0),
        ("true ? true : 1 > 3", 0),
        ("false ? true : 1 > 3", 1),
        ("1 < 2", 1),
        ("1 + 1 == 2", 2),
        ("'' == ''", 0),
        ("'12345678901234567890' == '123456789012345678901234567890'", 2),
        ("'éééééééééé' == 'éééééééééé'", 1),
        ("'abc' < 'abd'", 1),
        ("'0123456789' + '0' == ''", 2),
        ("2 in [1, 2, 3]", 0),
        ("2 in []", 0),
        ("[2] in [[1], [2]]", 2),
        ("2 in [1, 1 + 1]", 13),
        ("'a' in {'a': 1}", 1),
        ("{'a': 1 + 1}.a == 2", 34),
        ("[1, 2][0] == 1", 3),
        ("size('123') == 3", 2),
        ("'123'.matches('[0-9]')", 2),
        ("matches('123', '[0-9]')", 1),
        ("'abc'.contains('b')", 1),
        ("'abc'.contains('')", 0),
        ("'abc'.startsWith('a')", 1),
        ("int('7') == 7", 1),
        ("timestamp('2024-01-01T00:00:00Z').getFullYear() == 2024", 2),
        ("ipaddress('10.0.0.1').in_cidr('10.0.0.0/8')", 2),
        ("!false && -(1) == -1", 3),
        ("(1 > 2 ? 5 : 3) > 1", 2),
        ("(1 > 2 || 2 > 1) == true", 3),
    ] {
        assert_eq!(cost(expression, "", &json!({})), expected, "{expression}");
    }
}

#[test]
fn variables_cost_one_and_so_does_each_step() {
    let long = "x".repeat(500);
    for (expression, parameters, context, expected) in [
        (
            "a || b || c || d",
            "a:bool b:bool c:bool d:bool",
            json!({"a": false, "b": false, "c": false, "d": true}),
            4,
        ),
        (
            "a || b || c || d",
            "a:bool b:bool c:bool d:bool",
            json!({"a": true, "b": false, "c": false, "d": true}),
            1,
        ),
        ("m['key'] == 'v'", "m:map<string>", json!({"m": {"key": "v"}}), 3),
        ("m.key == 'v'", "m:map<string>", json!({"m": {"key": "v"}}), 3),
        ("m['ke' + 'y'] == 'v'", "m:map<string>", json!({"m": {"key": "v"}}), 4),
        ("l[3 - 3] == 'v'", "l:list<string>", json!({"l": ["v"]}), 4),
        ("l[i] == 'v'", "l:list<string> i:int", json!({"l": ["v"], "i": 0}), 3),
        ("has(x.a.b)", "x:any", json!({"x": {"a": {"b": 0}}}), 3),
        ("s.matches('[0-9]')", "s:string", json!({"s": long}), 103),
        ("s.contains(t)", "s:string t:string", json!({"s": long, "t": long}), 2502),
        ("s.startsWith(t)", "s:string t:string", json!({"s": "idc", "t": long}), 3),
        ("bytes(s) == b''", "s:string", json!({"s": long}), 51),
        ("string(bytes(s)) == ''", "s:string", json!({"s": long}), 101),
        (
            "'abcdefg'.contains(s + t)",
            "s:string t:string",
            json!({"s": "val1", "t": "val2222222"}),
            6,
        ),
        (
            "(x > 2 ? l : k).all(y, true)",
            "x:int l:list<int> k:list<int>",
            json!({"x": 1, "l": [1], "k": [1]}),
            6,
        ),
        ("(l + k).all(x, true)", "l:list<int> k:list<int>", json!({"l": [], "k": []}), 4),
        ("s < t", "s:string t:string", json!({"s": long, "t": long}), 52),
        ("x < 'b'", "x:any", json!({"x": "a"}), 2),
    ] {
        assert_eq!(cost(expression, parameters, &context), expected, "{expression}");
    }
}

#[test]
fn macros_cost_what_their_loops_do() {
    for (expression, expected) in [
        // Making the lists costs nothing, since they are constant.
        ("[1, 2, 3].all(x, true)", 20 - 10),
        ("[1, 2, 3, 4, 5].filter(x, x % 2 == 0) == []", 62 - 20 + 1 - 1),
        ("[1, 2, 3, 4, 5].map(x, x) == []", 86 - 20),
        ("[1, 2, 3, 4, 5].map(x, x).filter(x, x % 2 == 0) == []", 138 - 30),
        ("[1, 2, 3, 4, 5].map(x, x).exists(x, x == 5) == true", 118 - 20),
        ("[1, 2, 3, 4, 5].map(x, [x, x]).filter(z, z.size() == 2) == []", 232 - 30),
        ("[1, 2, 3, 4, 5].map(x, [x, x]).all(y, y.all(y, y == 1))", 171 - 20),
        ("[1, 2, 3].all(i, i in [1, 2, 3].map(j, j + j))", 86 - 30),
    ] {
        assert_eq!(cost(expression, "", &json!({})), expected, "{expression}");
    }
    let maps = json!({"m": {"val": {"n": 4}}});
    assert_eq!(cost("m.all(k, m[k].n > 3)", "m:map<any>", &maps), 9);
}
