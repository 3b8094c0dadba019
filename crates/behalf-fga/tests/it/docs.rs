//! The examples of `docs/reference/fga-language.md`: each is what it says it is.

use std::collections::BTreeMap;

use behalf_fga::{AuthorizationModel, ModFile, ModuleFile, StoreFile};

/// The blocks of the page, by what stands behind the fence.
fn blocks() -> BTreeMap<String, String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/fga-language.md");
    let page = std::fs::read_to_string(page).unwrap();
    let mut blocks = BTreeMap::new();
    let mut parts = page.split("```");
    parts.next();
    while let (Some(block), Some(_text)) = (parts.next(), parts.next()) {
        let (name, text) = block.split_once('\n').unwrap();
        assert!(blocks.insert(name.to_owned(), text.to_owned()).is_none(), "{name} stands twice");
    }
    blocks
}

#[test]
fn the_model_is_valid_and_survives_both_forms() {
    let model = AuthorizationModel::validate_dsl(&blocks()["fga"]).unwrap();
    let json = AuthorizationModel::from_json(&model.to_json().unwrap()).unwrap();
    assert_eq!(AuthorizationModel::from_dsl(&json.to_dsl().unwrap()).unwrap(), model);
    behalf_fga::FgaStore::new().add_model(model).unwrap();
}

#[test]
fn the_modules_make_one_model() {
    let blocks = blocks();
    let list = ModFile::parse(&blocks["yaml mod"]).unwrap();
    let files: Vec<ModuleFile<'_>> = list
        .contents
        .iter()
        .map(|file| ModuleFile { name: &file.value, text: &blocks[&format!("fga {}", file.value)] })
        .collect();
    let model = AuthorizationModel::from_modules(&list.schema.value, &files).unwrap();
    assert_eq!(model.modules(), ["core", "wiki"]);
}

#[test]
fn the_store_files_tests_hold() {
    let store = StoreFile::parse(&blocks()["yaml store"]).unwrap();
    let loaded = store.load(&mut |name| Err(format!("{name} is not there"))).unwrap();
    let report = loaded.run().unwrap();
    assert_eq!(report.failures, []);
    assert_eq!(report.tests.to_string(), "1/1");
    assert_eq!(report.checks.to_string(), "2/2");
}
