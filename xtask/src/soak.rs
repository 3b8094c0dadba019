//! The long forms of the tests: hours instead of seconds, run by hand.
//!
//! Random cases run in batches, each from the seed where the last one ended, which is kept in
//! `target/soak-seed`; so a run that was stopped goes on, and no case is run twice.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

const USAGE: &str = "usage: xtask soak [random|kill|power|history|fuzz]... [--cases N] \
                     [--minutes M] [--seed S] [--rounds N]";

/// Random cases of a batch: some tens of seconds.
const BATCH: u64 = 20_000;

struct Options {
    parts: Vec<String>,
    /// Random cases.
    cases: u64,
    /// When no new batch of random cases begins.
    most: Option<Duration>,
    seed: Option<u64>,
    /// Of kills, and of power cuts ten times as many.
    rounds: u64,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options =
            Self { parts: Vec::new(), cases: 10_000_000, most: None, seed: None, rounds: 200 };
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                ensure!(PARTS.iter().any(|(name, _)| *name == word), USAGE);
                options.parts.push(word);
                continue;
            }
            let value: u64 = words.next().context(USAGE)?.parse().context(USAGE)?;
            match word.as_str() {
                "--cases" => options.cases = value,
                "--minutes" => options.most = Some(Duration::from_secs(value * 60)),
                "--seed" => options.seed = Some(value),
                "--rounds" => options.rounds = value,
                _ => bail!(USAGE),
            }
        }
        if options.parts.is_empty() {
            options.parts = PARTS.iter().map(|(name, _)| (*name).to_owned()).collect();
        }
        Ok(options)
    }
}

type Part = fn(&Options) -> anyhow::Result<String>;

const PARTS: [(&str, Part); 5] =
    [("random", random), ("kill", kill), ("power", power), ("history", history), ("fuzz", fuzz)];

/// Runs the parts that are asked for, and ends with what is to be written down.
pub fn run(words: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    let mut summary = vec!["| soak | what passed | time |".to_owned(), "|---|---|---|".to_owned()];
    for (name, part) in PARTS {
        if !options.parts.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("== {name}");
        let begun = Instant::now();
        let passed = part(&options)?;
        summary.push(format!("| {name} | {passed} | {} s |", begun.elapsed().as_secs()));
    }
    println!("\n{}", summary.join("\n"));
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Runs tests of a package by name, as fast code, and returns what they printed.
fn test(package: &str, name: &str, settings: &[(&str, String)]) -> anyhow::Result<String> {
    let output = Command::new("cargo")
        .args(["test", "--release", "--locked", "--quiet", "--package", package, "--test", "it"])
        .args(["--", "--nocapture", name])
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{name} fails with {settings:?}:\n{text}");
    ensure!(!text.contains("running 0 tests"), "{name} is no test");
    Ok(text)
}

/// The lines of a test's output from where they begin with `mark`.
fn lines<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.get(line.find(mark)?..)).collect()
}

fn random(options: &Options) -> anyhow::Result<String> {
    let kept = root().join("target/soak-seed");
    let known = std::fs::read_to_string(&kept).ok().and_then(|text| text.trim().parse().ok());
    // Seeds below are those of .ci/run.
    let first = options.seed.or(known).unwrap_or(1_000_000);
    let begun = Instant::now();
    let (mut done, mut checks) = (0, 0);
    while done < options.cases && options.most.is_none_or(|most| begun.elapsed() < most) {
        let (seed, cases) = (first + done, BATCH.min(options.cases - done));
        let settings = [
            ("BEHALF_RANDOM_SEED", seed.to_string()),
            ("BEHALF_RANDOM_CASES", cases.to_string()),
        ];
        let text = test("behalf-fga", "random::", &settings)?;
        let line = *lines(&text, "random models: ").first().context("the test printed nothing")?;
        let count = line.split(": ").nth(2).and_then(|rest| rest.split(' ').next());
        checks += count.and_then(|count| count.parse::<u64>().ok()).context("no count")?;
        done += cases;
        std::fs::write(&kept, (first + done).to_string())?;
        let rate = done as f64 / begun.elapsed().as_secs_f64();
        let left = (options.cases - done) as f64 / rate / 60.0;
        println!("{line}\n{done} of {}, {rate:.0}/s, {left:.0} min left", options.cases);
    }
    Ok(format!("{done} cases from seed {first}, {checks} checks"))
}

fn kill(options: &Options) -> anyhow::Result<String> {
    let rounds = options.rounds.to_string();
    test("behalf-tests", "kill::a_killed", &[("BEHALF_KILL_ROUNDS", rounds.clone())])?;
    Ok(format!("{rounds} kills during writes"))
}

fn power(options: &Options) -> anyhow::Result<String> {
    let seed = options.seed.unwrap_or(1);
    let settings = [
        ("BEHALF_POWER_CUTS", (options.rounds * 10).to_string()),
        ("BEHALF_SEED", seed.to_string()),
    ];
    let text = test("behalf-store", "power_cut::", &settings)?;
    Ok(lines(&text, "power cut: ").join("; "))
}

fn history(options: &Options) -> anyhow::Result<String> {
    let seed = options.seed.unwrap_or(1);
    let settings =
        [("BEHALF_HISTORY_WRITES", "6000".to_owned()), ("BEHALF_SEED", seed.to_string())];
    let engine = test("behalf-fga", "history::", &settings)?;
    let service = test("behalf-tests", "history_authz::", &settings)?;
    let told = [engine, service];
    let told: Vec<&str> = told.iter().flat_map(|text| lines(text, "history: ")).collect();
    Ok(told.join("; "))
}

fn fuzz(options: &Options) -> anyhow::Result<String> {
    let seed = options.seed.unwrap_or(1);
    let settings =
        [("BEHALF_FUZZ_CASES", "60000".to_owned()), ("BEHALF_FUZZ_SEED", seed.to_string())];
    let text = test("behalf-fga", "fuzz_replay::", &settings)?;
    Ok(format!("60000 mutated inputs of each of {} targets", lines(&text, "fuzz: ").len()))
}
