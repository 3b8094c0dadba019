//! The rules about the code itself: which crate may use which, where things may stand, how long a
//! file may be.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Rows of ARCHITECTURE.md from the bottom. A crate uses only lower rows.
const ROWS: [&[&str]; 9] = [
    &["behalf-core"],
    &["behalf-crypto", "behalf-egress", "behalf-fga"],
    &["behalf-store"],
    &[
        "behalf-authz",
        "behalf-identity",
        "behalf-vault",
        "behalf-ledger",
        "behalf-traces",
        "behalf-retrieval",
    ],
    &["behalf-gate"],
    &["behalf-agent"],
    &["behalf-http"],
    &["behalf-api", "behalf-console"],
    &["behalf"],
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Each workspace package with the workspace packages that it depends on, tests included.
fn packages() -> BTreeMap<String, (PathBuf, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let manifest = PathBuf::from(package["manifest_path"].as_str().unwrap());
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let ours = dependencies
                .map(|dependency| dependency["name"].as_str().unwrap().to_owned())
                .collect();
            let name = package["name"].as_str().unwrap().to_owned();
            (name, (manifest.parent().unwrap().to_owned(), ours))
        })
        .collect()
}

fn row(name: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&name))
}

#[test]
fn a_crate_uses_only_lower_rows() {
    let packages = packages();
    assert!(packages.len() > 5, "the workspace was not read");
    for (name, (folder, dependencies)) in &packages {
        let place = folder.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let ours = dependencies.iter().filter(|dependency| packages.contains_key(*dependency));
        if place.starts_with("libs/") {
            for dependency in ours {
                assert!(
                    !place_of(&packages, dependency).starts_with("crates/"),
                    "{name} → {dependency}"
                );
            }
        } else if place.starts_with("crates/") {
            assert_eq!(place, format!("crates/{name}"), "a folder has its package's name");
            let own = row(name).unwrap_or_else(|| panic!("{name} stands in no row"));
            for dependency in ours.filter(|d| place_of(&packages, d).starts_with("crates/")) {
                let other = row(dependency).unwrap();
                assert!(other < own, "{name} (row {own}) uses {dependency} (row {other})");
            }
        }
    }
}

fn place_of(packages: &BTreeMap<String, (PathBuf, Vec<String>)>, name: &str) -> String {
    packages[name].0.strip_prefix(root()).unwrap().to_string_lossy().into_owned()
}

#[test]
fn http_and_sql_libraries_stay_in_their_crates() {
    let allowed: [(&str, &[&str]); 6] = [
        ("axum", &["behalf-http", "behalf-api", "behalf-console", "behalf", "behalf-tests"]),
        ("askama", &["behalf-console"]),
        ("reqwest", &["behalf-egress"]),
        ("rusqlite", &["behalf-store"]),
        ("tokio-postgres", &["behalf-store", "behalf-tests"]),
        ("aws-lc-rs", &["behalf-crypto", "behalf-verify"]),
    ];
    for (name, (_, dependencies)) in packages() {
        for (library, crates) in allowed {
            if dependencies.iter().any(|dependency| dependency == library) {
                assert!(crates.contains(&name.as_str()), "{name} uses {library}");
            }
        }
    }
}

/// Every tracked or new file of the project with that extension.
fn files(extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if !matches!(name.as_str(), "target" | ".git" | "node_modules" | "gen") {
                    folders.push(entry.path());
                }
            } else if name.ends_with(&format!(".{extension}")) {
                found.push(entry.path());
            }
        }
    }
    found
}

#[test]
fn no_source_file_exceeds_a_thousand_lines() {
    let sources = files("rs");
    assert!(sources.len() > 50, "the sources were not found");
    for source in sources {
        let lines = std::fs::read_to_string(&source).unwrap().lines().count();
        assert!(lines <= 1_000, "{} has {lines} lines", source.display());
    }
}

#[test]
fn every_module_says_what_it_is() {
    for source in files("rs") {
        let text = std::fs::read_to_string(&source).unwrap();
        let is_documented = text.starts_with("//!") || text.trim().is_empty();
        assert!(is_documented, "{} does not begin with `//!`", source.display());
    }
}

#[test]
fn readme_and_ci_name_the_same_test_command() {
    const COMMAND: &str = "cargo test --workspace";
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let first = readme.lines().find(|line| line.contains("cargo test")).unwrap();
    assert_eq!(first.trim(), COMMAND);
    assert!(std::fs::read_to_string(root().join(".ci/run")).unwrap().contains(COMMAND));
}

#[test]
fn no_lock_file_names_a_registry() {
    let locks = files("json").into_iter().filter(|path| path.ends_with("package-lock.json"));
    let mut count = 0;
    for lock in locks {
        count += 1;
        // Whoever installs has a registry of her own; the folder's .npmrc keeps it out.
        let text = std::fs::read_to_string(&lock).unwrap();
        assert!(!text.contains("\"resolved\""), "{} names a registry", lock.display());
    }
    assert!(count > 0, "the lock files were not found");
}

#[test]
fn decisions_and_migrations_are_numbered_without_gaps() {
    for (folder, extension) in [("docs/decisions", "md"), ("crates/behalf-store/migrations", "sql")]
    {
        let mut numbers: Vec<u32> = std::fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.ends_with(extension) && name != "README.md")
            .map(|name| {
                name.split('_')
                    .next()
                    .and_then(|n| n.split('-').next()?.parse().ok())
                    .unwrap_or_else(|| panic!("{folder}/{name}"))
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        let expected: Vec<u32> = (1..=u32::try_from(numbers.len()).unwrap()).collect();
        assert_eq!(numbers, expected, "{folder}");
        assert!(!numbers.is_empty(), "{folder}");
    }
}
