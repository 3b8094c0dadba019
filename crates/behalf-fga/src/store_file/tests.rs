//! Store files as text, with the files that they name beside them.

use super::{ModelSource, StoreFile, StoreFileErrors, parse_tuples};

const MODEL: &str =
    "model\n  schema 1.1\ntype user\ntype doc\n  relations\n    define viewer: [user]\n";

fn load(text: &str, files: &[(&str, &str)]) -> Result<super::LoadedStore, StoreFileErrors> {
    StoreFile::parse(text)?.load(&mut |name| {
        let file = files.iter().find(|(known, _)| *known == name);
        file.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "no such file".to_owned())
    })
}

#[track_caller]
fn fails(text: &str, files: &[(&str, &str)], expected: &[&str]) {
    let errors = load(text, files).unwrap_err();
    let got: Vec<String> = errors.errors.iter().map(ToString::to_string).collect();
    assert_eq!(got, expected);
}

#[test]
fn what_a_store_file_names_is_read() {
    let text = "\
name: Docs
model: not used
model_file: sub/fga.mod
tuples: [{user: 'user:ann', relation: viewer, object: 'doc:1'}]
tuple_file: more.csv
tuple_files: [a.json, b.jsonl]
tests:
  - name: one
    tuple_file: own.yaml
";
    let csv = "user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context\r\n\
               user,bob,,viewer,doc,\"2,\"\"x\"\"\",c,\"{\"\"a\"\": 1}\"\r\n\
               team,t,member,viewer,doc,3,,\r\n";
    let files = [
        ("more.csv", csv),
        ("a.json", r#"[{"user": "user:c", "relation": "viewer", "object": "doc:4"}]"#),
        ("b.jsonl", "\n{\"user\":\"user:d\",\"relation\":\"viewer\",\"object\":\"doc:5\"}\n"),
        ("own.yaml", "- user: user:e\n  relation: viewer\n  object: doc:6\n"),
        ("sub/fga.mod", "schema: '1.2'\ncontents:\n  - core.fga\n"),
        ("sub/core.fga", "module core\ntype user\n"),
    ];
    // `model` wins over `model_file`.
    assert!(load(text, &files).is_err());
    let loaded = load(&text.replace("model: not used\n", ""), &files).unwrap();
    assert_eq!(loaded.model.modules(), ["core"]);
    let shown: Vec<String> = loaded.tuples.iter().map(|t| t.tuple.to_string()).collect();
    assert_eq!(
        shown,
        [
            "doc:1#viewer@user:ann",
            "doc:2,\"x\"#viewer@user:bob (condition c)",
            "doc:3#viewer@team:t#member",
            "doc:4#viewer@user:c",
            "doc:5#viewer@user:d",
        ]
    );
    assert_eq!(loaded.tuples[1].place.line, 1);
    assert_eq!(loaded.tests[0].1[0].tuple.to_string(), "doc:6#viewer@user:e");
}

#[test]
fn errors_name_file_and_line() {
    fails("tests: []\n", &[], &["1:1: `model` or `model_file` must be given"]);
    fails("model: [\n", &[], &["1:8: unclosed bracket '['"]);
    fails(
        "model_file: a.fga\ntests:\n  - chekc: []\n",
        &[],
        &[
            "3:5: unknown key `chekc`; expected one of name, description, tuples, tuple_file, tuple_files, check, list_objects, list_users",
        ],
    );
    fails("model_file: a.fga\n", &[], &["1:13: cannot read `a.fga`: no such file"]);
    fails(
        "model: |\n  model\n    schema 1.1\n  type user\n    relation\n",
        &[],
        &["5:3: no viable alternative at input '\\n  relation'"],
    );
    fails(
        "model_file: a.fga\ntuple_file: t.yaml\n",
        &[("a.fga", MODEL), ("t.yaml", "- user: 1\n  relation: viewer\n")],
        &["t.yaml:1:9: expected a text, but found 1", "t.yaml:1:3: `object` is missing"],
    );
    fails(
        "model_file: a.fga\ntests:\n  - check:\n      - {user: 'user:a', users: [], object: 'doc:1', assertions: {viewer: 1}}\n",
        &[],
        &["4:33: give `user` or `users`, not both", "4:75: expected true or false, but found 1"],
    );
    fails(
        "model_file: fga.mod\n",
        &[("fga.mod", "schema: '1.2'\ncontents: [a.fga]"), ("a.fga", "module a\ntype b\n  x")],
        &["a.fga:3:3: no viable alternative at input '\\n  x'"],
    );
}

#[test]
fn csv_is_checked() {
    for (text, expected) in [
        ("", "line 1: the first line must name the columns"),
        (
            "user,relation\n",
            "line 1: unknown column `user`; known are user_type,user_id,user_relation,relation,object_type,object_id,condition_name,condition_context",
        ),
        ("user_type,user_id,relation,object_type\n", "line 1: the column `object_id` is missing"),
        (
            "user_type,user_id,relation,object_type,object_id\n\na,b,c,d\n",
            "line 3: 4 fields, but 5 columns",
        ),
        (
            "user_type,user_id,relation,object_type,object_id\na,\"b\n,c,d,e\n",
            "line 2: a quoted field does not end",
        ),
        (
            "user_type,user_id,relation,object_type,object_id\na,\"b\"x,c,d,e\n",
            "line 2: text behind the quote that ends a field",
        ),
    ] {
        assert_eq!(parse_tuples("a.csv", text).unwrap_err().to_string(), expected);
    }
    assert!(parse_tuples("a.txt", "").is_err());
}

#[test]
fn yaml_is_bounded() {
    let flow = format!("model: {}{}\n", "[".repeat(1_000), "]".repeat(1_000));
    for deep in [flow, format!("model:\n  {}x\n", "- ".repeat(1_000))] {
        let error = StoreFile::parse(&deep).unwrap_err().to_string();
        assert!(error.contains("nested deeper") || error.contains("recursion limit"), "{error}");
    }
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{},", level - 1).repeat(10);
        bomb.push_str(&format!("a{level}: &a{level} [{alias}]\n"));
    }
    let error = StoreFile::parse(&bomb).unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[test]
fn an_alias_stands_for_what_it_names() {
    let text = "model_file: a.fga\ntuples:\n  - {user: &ann 'user:ann', relation: viewer, object: 'doc:1'}\n  - {user: *ann, relation: viewer, object: 'doc:2'}\n";
    let file = StoreFile::parse(text).unwrap();
    assert_eq!(file.tuples.inline[1].tuple.user, "user:ann");
    assert!(matches!(file.model, ModelSource::File(..)));
}

const TESTED: &str = "\
model: |
  model
    schema 1.1
  type user
  type group
    relations
      define member: [user]
  type doc
    relations
      define viewer: [user, user:*, group#member] but not blocked
      define blocked: [user]
      define limited: [user with small]
  condition small(x: int) {
    x < 10
  }
tuples:
  - {user: 'user:ann', relation: member, object: 'group:g'}
  - {user: 'group:g#member', relation: viewer, object: 'doc:1'}
  - {user: 'user:ann', relation: limited, object: 'doc:1', condition: {name: small}}
tests:
  - name: first
    tuples:
      - {user: 'user:*', relation: viewer, object: 'doc:2'}
      - {user: 'user:bob', relation: blocked, object: 'doc:2'}
    check:
      - users: ['user:ann', 'user:bob']
        objects: ['doc:1', 'doc:2']
        assertions:
          viewer: true
      - user: user:ann
        object: doc:1
        context: {x: 11}
        assertions:
          limited: true
    list_objects:
      - user: user:bob
        type: doc
        assertions:
          viewer: ['doc:2', 'doc:3']
    list_users:
      - object: doc:2
        user_filter: [{type: user}]
        assertions:
          viewer: {users: ['user:*']}
          blocked: {users: ['user:bob']}
  - name: second
    check:
      - {user: 'user:ann', object: 'doc:1', assertions: {viewer: true, limited: false}}
    list_users:
      - object: doc:1
        user_filter: [{type: group, relation: member}]
        assertions:
          viewer: {users: ['group:g#member']}
";

#[test]
fn tests_say_what_was_expected_and_what_came() {
    let report = load(TESTED, &[]).unwrap().run().unwrap();
    let shown: Vec<String> = report
        .failures
        .iter()
        .map(|f| {
            format!(
                "{}: {}:{}: {} {} / {}",
                f.place.line + 1,
                f.place.column + 1,
                f.test,
                f.question,
                f.expected,
                f.got
            ) + &f.why.iter().map(|why| format!("\n    {why}")).collect::<String>()
        })
        .collect();
    expect_test::expect![[r#"
        29: 11:first: is user:bob viewer of doc:1? true / false
            no tuple doc:1#viewer@user:bob
            no tuple group:g#member@user:bob
        29: 11:first: is user:bob viewer of doc:2? true / false
            doc:2#viewer is taken away by doc:2#blocked@user:bob
        34: 11:first: is user:ann limited of doc:1? with {"x":11} true / false
            the condition of doc:1#limited@user:ann (condition small) is not met
            no tuple doc:1#limited@user:ann
        39: 11:first: of which doc is user:bob viewer? doc:2, doc:3 / none; missing: doc:2, doc:3
        48: 72:second: is user:ann limited of doc:1? false / an error: failed to evaluate relationship condition: 'small' - tuple is missing context parameters '[x]'"#]]
    .assert_eq(&shown.join("\n"));
    assert_eq!(report.tests.to_string(), "0/2");
    assert_eq!(report.checks.to_string(), "3/7");
    assert_eq!(report.list_objects.to_string(), "0/1");
    assert_eq!(report.list_users.to_string(), "3/3");
}

#[test]
fn a_tuple_that_is_refused_is_found() {
    let text = TESTED.replace("object: 'group:g'}", "object: 'doc:g'}");
    let error = load(&text, &[]).unwrap().run().unwrap_err();
    assert_eq!(
        error.to_string(),
        "17:5: Invalid tuple 'doc:g#member@user:ann'. Reason: relation 'doc#member' not found"
    );
    let text = TESTED.replace("type group\n", "type groups\n");
    let error = load(&text, &[]).unwrap().run().unwrap_err();
    assert!(error.to_string().starts_with("10:"), "{error}");
    let text = TESTED.replace("x < 10", "y < 10");
    let error = load(&text, &[]).unwrap().run().unwrap_err();
    assert!(error.to_string().contains("undeclared reference to 'y'"), "{error}");
}
