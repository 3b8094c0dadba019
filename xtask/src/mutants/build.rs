//! A copy of the crate with all mutants behind the switch, and its tests, built.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::list::Mutant;
use super::rewrite::{Rewritten, rewrite};
use super::{files, home, root};

const CRATE: &str = "crates/behalf-fga";
/// What the copy takes from the repository as it is.
const SHARED: [&str; 5] =
    ["docs", "fuzz", "clippy.toml", "crates/behalf-fga/tests", "crates/behalf-fga/Cargo.toml"];
/// Appended to the crate's root. No mutant has the number that stands for none.
const SWITCH: &str = "
/// Whether the mutant of this number is on.
pub(crate) fn mutant(number: u32) -> bool {
    static CHOSEN: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| {
        std::env::var(\"BEHALF_MUTANT\").ok().and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
    });
    *CHOSEN == number
}
";

pub struct Built {
    /// Those behind the switch, by their place in the list.
    pub numbers: Vec<usize>,
    /// Those that are not, and why.
    left_out: BTreeMap<usize, String>,
    /// Test programs.
    pub unit: PathBuf,
    pub it: PathBuf,
}

impl Built {
    pub fn told(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        self.left_out.values().for_each(|why| *counts.entry(why).or_default() += 1);
        let told: Vec<_> = counts.iter().map(|(why, count)| format!("{count} {why}")).collect();
        told.join(", ")
    }
}

/// Builds with as many of the mutants as can be. Those that do not compile are found by compiling, and
/// kept in mind until their file changes.
pub fn build(mutants: &[Mutant]) -> anyhow::Result<Built> {
    copy()?;
    let mut left_out = read_left_out(mutants);
    for round in 1.. {
        let numbers = (0..mutants.len()).filter(|number| !left_out.contains_key(number)).collect();
        let written = write(mutants, &numbers)?;
        let placed: BTreeSet<usize> = written
            .values()
            .flat_map(|file| file.mutants.iter().map(|(number, _)| *number))
            .collect();
        for number in numbers.difference(&placed) {
            left_out.insert(*number, "without a place for a switch".to_owned());
        }
        println!("compiling with {} mutants, round {round}", placed.len());
        let errors = cargo(&["check", "--lib"])?.1;
        for error in &errors {
            let code = error["code"]["code"].as_str().unwrap_or("syntax");
            for number in guilty(error, &written)? {
                left_out.entry(number).or_insert_with(|| format!("that do not compile ({code})"));
            }
        }
        keep_left_out(mutants, &left_out)?;
        if errors.is_empty() {
            break;
        }
    }
    println!("building the tests");
    let (programs, errors) = cargo(&["test", "--no-run", "--lib", "--test", "it"])?;
    ensure!(errors.is_empty(), "the tests do not build: {}", errors[0]["rendered"]);
    let find = |name: &str| programs.get(name).cloned().context("cargo built no tests");
    let numbers = (0..mutants.len()).filter(|number| !left_out.contains_key(number)).collect();
    Ok(Built { numbers, left_out, unit: find("behalf_fga")?, it: find("it")? })
}

fn read_left_out(mutants: &[Mutant]) -> BTreeMap<usize, String> {
    let kept = std::fs::read(home().join("left-out.json")).unwrap_or_default();
    let kept: Value = serde_json::from_slice(&kept).unwrap_or_default();
    let why = |mutant: &Mutant| {
        let known = &kept[&mutant.name];
        (known["source"] == mutant.source).then(|| known["why"].as_str().map(str::to_owned))?
    };
    (0..).zip(mutants).filter_map(|(number, mutant)| Some((number, why(mutant)?))).collect()
}

fn keep_left_out(mutants: &[Mutant], left_out: &BTreeMap<usize, String>) -> anyhow::Result<()> {
    let entry = |(&number, why): (&usize, &String)| {
        let mutant = &mutants[number];
        (mutant.name.clone(), json!({ "source": mutant.source, "why": why }))
    };
    let kept: Value = left_out.iter().map(entry).collect();
    Ok(std::fs::write(home().join("left-out.json"), kept.to_string())?)
}

fn tree() -> PathBuf {
    home().join("tree")
}

/// Makes a workspace of the one crate; of its sources only those that changed.
fn copy() -> anyhow::Result<()> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml"))?;
    let (head, rest) = manifest.split_once("\nmembers = [").context("no members")?;
    let (_, rest) = rest.split_once("\ndefault-members").context("no default members")?;
    let (_, rest) = rest.split_once('\n').context("no more")?;
    put("Cargo.toml", &format!("{head}\nmembers = [\"{CRATE}\"]\n{rest}"))?;
    if !tree().join("Cargo.lock").exists() {
        std::fs::copy(root().join("Cargo.lock"), tree().join("Cargo.lock"))?;
    }
    for shared in SHARED {
        let link = tree().join(shared);
        if !link.exists() {
            std::fs::create_dir_all(link.parent().context("no folder")?)?;
            std::os::unix::fs::symlink(root().join(shared).canonicalize()?, link)?;
        }
    }
    Ok(())
}

/// Writes a file of the copy, if it is another than before.
fn put(path: &str, text: &str) -> anyhow::Result<()> {
    let to = tree().join(path);
    std::fs::create_dir_all(to.parent().context("no folder")?)?;
    if std::fs::read_to_string(&to).ok().as_deref() != Some(text) {
        std::fs::write(to, text)?;
    }
    Ok(())
}

/// Writes all sources, those with mutants rewritten. These are returned, by path.
fn write(
    mutants: &[Mutant],
    numbers: &BTreeSet<usize>,
) -> anyhow::Result<HashMap<String, Rewritten>> {
    let mut written = HashMap::new();
    for path in files(&root().join(CRATE).join("src"))? {
        let name = path.strip_prefix(root())?.to_string_lossy().into_owned();
        let mut text = std::fs::read_to_string(&path)?;
        let is_here = |&number: &usize| mutants[number].file == name;
        let here: Vec<usize> = numbers.iter().copied().filter(is_here).collect();
        if path.ends_with("src/lib.rs") {
            text.write_str(SWITCH)?;
        } else if !here.is_empty() {
            let file = rewrite(&text, mutants, &here)?;
            text.clone_from(&file.text);
            written.insert(name.clone(), file);
        }
        put(&name, &text)?;
    }
    Ok(written)
}

/// The test programs by name, and the compiler's errors.
fn cargo(words: &[&str]) -> anyhow::Result<(HashMap<String, PathBuf>, Vec<Value>)> {
    let output = Command::new("cargo")
        .args(words)
        .args(["--profile", "mutants", "-p", "behalf-fga", "--message-format", "json"])
        .current_dir(tree())
        .env("CARGO_TARGET_DIR", home().join("target"))
        // A mutant that is wrong at sight is one all the same.
        .env("RUSTFLAGS", "--cap-lints allow")
        .stderr(Stdio::piped())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (mut programs, mut errors) = (HashMap::new(), Vec::new());
    for mut line in text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
        if let (Some(name), Some(path)) =
            (line["target"]["name"].as_str(), line["executable"].as_str())
        {
            programs.insert(name.to_owned(), PathBuf::from(path));
        }
        let message = line["message"].take();
        let has_place = message["spans"].as_array().is_some_and(|spans| !spans.is_empty());
        if message["level"] == "error" && has_place {
            errors.push(message);
        }
    }
    let is_told = output.status.success() || !errors.is_empty();
    ensure!(is_told, "cargo: {}", String::from_utf8_lossy(&output.stderr));
    Ok((programs, errors))
}

/// The mutants that an error is about: what it points at, or else what is around that.
fn guilty(error: &Value, written: &HashMap<String, Rewritten>) -> anyhow::Result<Vec<usize>> {
    let mut found = Vec::new();
    for (span, file) in spans(error, written) {
        let place = bytes(span);
        let before = found.len();
        if error["code"]["code"] == "E0004" {
            // Arms, without one of which the others are not all: up to where the compiler would add one.
            let helps = error["children"].as_array().into_iter().flatten();
            let ends = helps.flat_map(|help| spans(help, written)).map(|(span, _)| bytes(span).end);
            let arms = place.start..ends.max().unwrap_or(place.end);
            let hit = file.mutants.iter().filter(|(_, at)| holds(&arms, at) && file.is_arm(at));
            found.extend(hit.map(|(number, _)| *number));
            continue;
        }
        let hit = file.mutants.iter().filter(|(_, at)| holds(at, &place));
        found.extend(hit.map(|(number, _)| *number));
        if found.len() == before && span["is_primary"] == true {
            let around = file.switches.iter().filter(|(at, _)| holds(at, &place));
            let nearest = around.min_by_key(|(at, _)| at.len());
            found.extend(nearest.into_iter().flat_map(|(_, numbers)| numbers));
        }
    }
    if found.is_empty() {
        bail!("an error that is no mutant's: {}", error["rendered"].as_str().unwrap_or_default());
    }
    Ok(found)
}

/// Where a message points at in files with mutants.
fn spans<'a>(
    message: &'a Value,
    written: &'a HashMap<String, Rewritten>,
) -> impl Iterator<Item = (&'a Value, &'a Rewritten)> {
    let spans = message["spans"].as_array().into_iter().flatten();
    spans.filter_map(|span| Some((span, written.get(span["file_name"].as_str()?)?)))
}

fn bytes(span: &Value) -> Range<usize> {
    let [begin, end] = ["byte_start", "byte_end"].map(|key| span[key].as_u64().unwrap_or_default());
    begin as usize..end as usize
}

fn holds(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}
