//! The language as an author meets it: comments, positions, bounds.

use expect_test::expect;

use super::{AuthorizationModel, ModuleFile, SemanticErrorKind};

const HEADER: &str = "model\n  schema 1.1\ntype user\n";

fn expression(body: &str) -> String {
    let text = format!(
        "{HEADER}type doc\n  relations\n    define viewer: [user with c]\ncondition c(x: int) {{{body}}}\n"
    );
    AuthorizationModel::validate_dsl(&text).unwrap().conditions["c"].expression.clone()
}

#[test]
fn comments_are_no_part_of_the_model() {
    let text = "\
# what it is about
model # the header
  schema 1.1
type user
type doc # module: a, file: b.fga
  relations
    # who may read
    define viewer: [user] # or nobody
";
    let model = AuthorizationModel::validate_dsl(text).unwrap();
    expect![[r#"
        model
          schema 1.1

        type user

        type doc
          relations
            define viewer: [user]
    "#]]
    .assert_eq(&model.to_dsl().unwrap());
}

#[test]
fn a_condition_keeps_its_strings_and_its_own_comments() {
    for (body, expected) in [
        (" x > 1 ", "x > 1"),
        (" x > 1 # too many\n ", "x > 1"),
        ("\n  x > 1 &&  \n  # the least\n  x < 9\n", "x > 1 &&\n\n  x < 9"),
        (" x > 1 // CEL's comment }\n ", "x > 1 // CEL's comment }"),
        (" 'a # b' == \"}\" ", "'a # b' == \"}\""),
        (" '''it's } # \n''' == '' ", "'''it's } # \n''' == ''"),
        (r" 'it\'s }' == r'\' ", r"'it\'s }' == r'\'"),
        (" {'a': {'b': 1}}.a.b == x ", "{'a': {'b': 1}}.a.b == x"),
    ] {
        assert_eq!(expression(body), expected, "{body}");
    }
}

#[test]
fn what_is_written_as_dsl_is_read_as_the_same_model() {
    let text = format!(
        "{HEADER}\
type group
  relations
    define member: [user, user:*, group#member, user with c, user:* with c, group#member with c]
type doc
  relations
    define parent: [doc]
    define owner: [user]
    define viewer: [user, group#member] or owner or (viewer from parent but not (owner and parent))
condition c(items: list<string>, limit: uint, of: map<double>) {{
  {{'a': 1u}}['a'] < limit && 'x' in items // enough
}}
"
    );
    let model = AuthorizationModel::from_dsl(&text).unwrap();
    let written = model.to_dsl().unwrap();
    assert_eq!(AuthorizationModel::from_dsl(&written).unwrap(), model);
    let json = AuthorizationModel::from_json(&model.to_json().unwrap()).unwrap();
    assert_eq!(json, model);
    assert_eq!(json.to_dsl().unwrap(), written);
}

#[test]
fn an_error_says_where_and_what_to_do() {
    let text = format!("{HEADER}type doc\n  relations\n    define viewer: editor\n");
    let errors = AuthorizationModel::validate_dsl(&text).unwrap_err();
    assert_eq!(errors.to_string(), "6:20: the relation `editor` does not exist.");
    let [error] = errors.errors.as_slice() else { panic!("{errors}") };
    assert_eq!(error.kind, Some(SemanticErrorKind::MissingDefinition));
    assert_eq!(error.hint(), Some("define the relation on this type, or correct its name"));

    let text = format!("{HEADER}type doc\n  relations\n    define a: [user] or b and c\n");
    let errors = AuthorizationModel::from_dsl(&text).unwrap_err();
    assert!(errors.errors[0].hint().is_some_and(|hint| hint.contains("parentheses")));

    let files = [
        ModuleFile { name: "core.fga", text: "module core\ntype user" },
        ModuleFile {
            name: "wiki.fga",
            text: "module wiki\nextend type user\n  relations\n    define a: b",
        },
    ];
    let errors = AuthorizationModel::from_modules("1.2", &files).unwrap_err();
    assert_eq!(errors.to_string(), "wiki.fga:4:15: the relation `b` does not exist.");
}

#[test]
fn a_thousand_levels_are_an_error() {
    let deep = |open: &str, close: &str| format!("{}x{}", open.repeat(1_000), close.repeat(1_000));
    let text = format!("{HEADER}type doc\n  relations\n    define viewer: {}\n", deep("(", ")"));
    let errors = AuthorizationModel::from_dsl(&text).unwrap_err();
    assert!(errors.to_string().contains("nested too deep"), "{errors}");

    let open = r#"{"union":{"child":["#;
    let rewrite = deep(open, "]}}").replace('x', r#"{"this":{}}"#);
    let json = format!(
        r#"{{"schema_version":"1.1","type_definitions":[{{"type":"doc","relations":{{"a":{rewrite}}}}}]}}"#
    );
    assert!(AuthorizationModel::from_json(&json).is_err());
}
