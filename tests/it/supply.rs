//! What the program is built from: `deny.toml` holds, checked without a tool to install.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rules() -> toml::Table {
    std::fs::read_to_string(root().join("deny.toml")).unwrap().parse().unwrap()
}

fn cargo(args: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(args)
        .args(["--offline", "--locked"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Every crate that is compiled for this machine, tests and build scripts included, as
/// `name version`.
fn compiled() -> BTreeSet<String> {
    let tree = cargo(&["tree", "--workspace", "--prefix", "none", "--format", "{p}"]);
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next()?, words.next()?);
            Some(format!("{name} {}", version.trim_start_matches('v')))
        })
        .collect()
}

#[test]
fn no_banned_crate_is_compiled() {
    let rules = rules();
    let banned = rules["bans"]["deny"].as_array().unwrap();
    assert!(banned.len() > 5);
    let compiled = compiled();
    assert!(compiled.len() > 100, "the tree was not read");
    for ban in banned {
        let name = ban["crate"].as_str().unwrap();
        let found = compiled.iter().find(|package| package.split(' ').next() == Some(name));
        assert_eq!(found, None, "{name} is banned: {:?}", ban["reason"]);
    }
}

#[test]
fn every_licence_is_allowed_and_every_source_is_the_registry() {
    let rules = rules();
    let allowed: Vec<&str> = rules["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|licence| licence.as_str().unwrap())
        .collect();
    let compiled = compiled();
    // A clean machine has fetched nothing for other platforms.
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let metadata = cargo(&["metadata", "--format-version", "1", "--filter-platform", host]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut checked = 0;
    for package in metadata["packages"].as_array().unwrap() {
        let (name, version) = (package["name"].as_str().unwrap(), &package["version"]);
        let name = format!("{name} {}", version.as_str().unwrap());
        if !compiled.contains(&name) {
            continue;
        }
        let licence = package["license"].as_str().unwrap_or_default().replace('/', " OR ");
        assert!(is_allowed(&licence, &allowed), "{name} is under {licence:?}");
        let source = package["source"].as_str().unwrap_or_default();
        let is_ours = package["source"].is_null();
        assert!(is_ours || source.starts_with("registry+https://github.com/rust-lang/crates.io"));
        checked += 1;
    }
    assert!(checked > 100, "the packages were not read");
}

/// True if an alternative of the expression is allowed whole. Parentheses only group alternatives
/// in practice, so what stands between ANDs must each have one.
fn is_allowed(expression: &str, allowed: &[&str]) -> bool {
    let expression = expression.replace(['(', ')'], "");
    let all_of = |alternative: &str| {
        alternative.split(" AND ").all(|licence| allowed.contains(&licence.trim()))
    };
    let any_of = |part: &str| part.split(" OR ").any(|licence| allowed.contains(&licence.trim()));
    expression.split(" OR ").any(all_of) || expression.split(" AND ").all(any_of)
}
