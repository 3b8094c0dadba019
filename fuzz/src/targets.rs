//! What is fuzzed: each function takes any bytes, and panics only if the code under it is wrong.

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, ListObjectsRequest, ModFile, ModuleFile,
    RequestContext, StoreFile, StoreModel, TupleCondition, TupleKey, WriteRequest, load_model,
    parse_tuples,
};
use serde_json::{Map, Value, json};

/// The DSL: what is read is written and read again as the same model, in both forms.
pub fn dsl(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let modules = [ModuleFile { name: "a.fga", text }, ModuleFile { name: "b.fga", text }];
    let _combined = AuthorizationModel::from_modules("1.2", &modules);
    let _valid = AuthorizationModel::validate_dsl(text);
    let Ok(model) = AuthorizationModel::from_dsl(text) else { return };
    round_trip(&model);
    if !model.schema_version.is_empty()
        && let Ok(written) = model.to_dsl()
    {
        let again = AuthorizationModel::from_dsl(&written);
        assert_eq!(again.as_ref(), Ok(&model), "written as:\n{written}");
    }
    let _bound = FgaStore::new().add_model(model);
}

/// Models as JSON.
pub fn json_model(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(model) = AuthorizationModel::from_json(text) else { return };
    round_trip(&model);
    let _valid = model.validate();
    let _modules = model.modules();
    let _dsl = model.to_dsl_with_sources();
    let _bound = FgaStore::new().add_model(model);
}

fn round_trip(model: &AuthorizationModel) {
    let json = model.to_json().unwrap_or_default();
    assert_eq!(AuthorizationModel::from_json(&json).ok().as_ref(), Some(model), "{json}");
}

/// Conditions: the first line declares parameters (`x:int y:list<string>`), the last is the context,
/// what stands between them is the expression.
pub fn cel(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some((parameters, rest)) = text.split_once('\n') else { return };
    let (expression, context) = rest.rsplit_once('\n').unwrap_or((rest, "{}"));
    let context: Map<String, Value> = serde_json::from_str(context).unwrap_or_default();
    let mut declared = Map::new();
    for parameter in parameters.split_whitespace() {
        let Some((name, of)) = parameter.split_once(':') else { continue };
        let (of, inner) = of
            .split_once('<')
            .map_or((of, None), |(of, inner)| (of, Some(inner.trim_end_matches('>'))));
        let named = |name: &str| format!("TYPE_NAME_{}", name.to_uppercase());
        let generic: Vec<Value> =
            inner.iter().map(|inner| json!({"type_name": named(inner)})).collect();
        declared.insert(name.to_owned(), json!({"type_name": named(of), "generic_types": generic}));
    }
    let condition = json!({"name": "c", "expression": expression, "parameters": declared});
    let Some((fga, model)) = conditioned(&condition) else { return };
    let request = RequestContext { context: Some(&context), ..RequestContext::default() };
    let check = CheckRequest { user: "user:a", relation: "viewer", object: "doc:1", request };
    let first = fga.snapshot().check(&model, &check);
    assert_eq!(first, fga.snapshot().check(&model, &check), "an answer must be the same again");
}

/// A store with one tuple under the condition, if a store takes it.
fn conditioned(condition: &Value) -> Option<(FgaStore, std::sync::Arc<StoreModel>)> {
    let model = json!({
        "schema_version": "1.1",
        "type_definitions": [
            {"type": "user"},
            {
                "type": "doc",
                "relations": {"viewer": {"this": {}}},
                "metadata": {"relations": {"viewer": {
                    "directly_related_user_types": [{"type": "user", "condition": "c"}],
                }}},
            },
        ],
        "conditions": {"c": condition},
    });
    let model: AuthorizationModel = serde_json::from_value(model).ok()?;
    let mut fga = FgaStore::new();
    let model = fga.add_model(model).ok()?;
    let condition = Some(TupleCondition { name: "c".to_owned(), context: Map::new() });
    let tuple = TupleKey { condition, ..TupleKey::new("user:a", "viewer", "doc:1") };
    let request = WriteRequest { writes: vec![tuple], ..WriteRequest::default() };
    fga.write(&model, &request).ok()?;
    Some((fga, model))
}

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, group#member]
type doc
  relations
    define parent: [doc]
    define blocked: [user]
    define viewer: [user, group#member] or viewer from parent
    define can_view: viewer but not blocked
";

/// Tuples as text: user, relation and object on three lines, over and over. What is written can be
/// asked for.
pub fn tuple(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(model) = AuthorizationModel::from_dsl(MODEL) else { return };
    let mut fga = FgaStore::new();
    let Ok(model) = fga.add_model(model) else { return };
    let lines: Vec<&str> = text.split('\n').take(60).collect();
    for lines in lines.chunks(3) {
        let [user, relation, object] = lines else { continue };
        let tuple = TupleKey::new(*user, *relation, *object);
        let writes = vec![tuple.clone()];
        let is_written =
            fga.write(&model, &WriteRequest { writes, ..WriteRequest::default() }).is_ok();
        let snapshot = fga.snapshot();
        let check = CheckRequest { user, relation, object, request: RequestContext::default() };
        let answer = snapshot.check(&model, &check);
        assert!(!is_written || answer == Ok(true), "{tuple} is written, but {answer:?}");
        let (object_type, _) = object.split_once(':').unwrap_or((object, ""));
        let request = RequestContext::default();
        let list = ListObjectsRequest { user, relation, object_type, request };
        let listed = snapshot.list_objects(&model, &list);
        let is_listed = listed.is_ok_and(|objects| objects.iter().any(|listed| listed == object));
        assert!(!is_written || is_listed, "{tuple} is not listed");
        let contextual = [tuple];
        let request =
            RequestContext { contextual_tuples: &contextual, ..RequestContext::default() };
        let _answer = snapshot.check(&model, &CheckRequest { request, ..check });
    }
}

/// Files to import: store files with what they name, lists of modules, and tuples in every format.
pub fn import(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for file in ["t.yaml", "t.json", "t.jsonl", "t.csv"] {
        let _tuples = parse_tuples(file, text);
    }
    let _list = ModFile::parse(text);
    // Every file that is named holds the same text.
    let mut read = |_name: &str| Ok(text.to_owned());
    let _model = load_model("fga.mod", &mut read);
    if let Ok(file) = StoreFile::parse(text)
        && let Ok(loaded) = file.load(&mut read)
    {
        let _report = loaded.run();
    }
}
