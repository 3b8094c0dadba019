//! The long forms of the tests: hours instead of seconds, run by hand.
//!
//! Each form goes on at the seed where its last run ended, which is kept in `target/soak/`; so a run
//! that was stopped goes on, and nothing is run twice. It says how far it is, and ends at the first
//! failure, with the command that shows it again.

pub mod run;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use run::Test;

const USAGE: &str = "usage: xtask soak [random|kill|power|history|fuzz]... [--cases N] \
                     [--minutes M] [--rounds N] [--writes N] [--inputs N] [--seed S] \
                     [--profile NAME]\n       \
                     xtask soak peer --http HOST:PORT [--semantics v1|v2] [--cases N] [--seed S] \
                     [--profile NAME]";

/// Random cases of a batch: some seconds, after which the next seed is kept.
const BATCH: u64 = 50_000;
/// Of a run beside an OpenFGA: each case is some hundreds of requests.
const PEER_CASES: u64 = 1_000;
/// Seeds below are those of .ci/run, of which more cases are large.
const FIRST_SEED: u64 = 1_000_000;
/// An OpenFGA is asked few cases, so they are such as .ci/run has.
const PEER_SEED: u64 = 100_000;

pub struct Options {
    forms: Vec<String>,
    /// Random cases.
    cases: u64,
    /// When no new batch of random cases begins.
    most: Option<Duration>,
    /// Of kills, and of power cuts ten times as many.
    rounds: u64,
    /// Of a long history.
    writes: u64,
    /// Mutated inputs of each fuzz target.
    inputs: u64,
    seed: Option<u64>,
    /// Cargo's, of what is run.
    profile: String,
    /// The address of an OpenFGA.
    http: Option<String>,
    /// Whose checks it answers with.
    semantics: String,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut options = Self {
            forms: Vec::new(),
            cases: 10_000_000,
            most: None,
            rounds: 200,
            writes: 6_000,
            inputs: 60_000,
            seed: None,
            profile: "release".to_owned(),
            http: None,
            semantics: "v1".to_owned(),
        };
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                ensure!(FORMS.iter().any(|(name, _)| *name == word), USAGE);
                options.forms.push(word);
                continue;
            }
            let value = words.next().context(USAGE)?;
            let number = || value.parse::<u64>().context(USAGE);
            match word.as_str() {
                "--cases" => options.cases = number()?,
                "--minutes" => options.most = Some(Duration::from_secs(number()? * 60)),
                "--rounds" => options.rounds = number()?,
                "--writes" => options.writes = number()?,
                "--inputs" => options.inputs = number()?,
                "--seed" => options.seed = Some(number()?),
                "--profile" => options.profile = value,
                "--http" => options.http = Some(value),
                "--semantics" if ["v1", "v2"].contains(&value.as_str()) => {
                    options.semantics = value;
                }
                _ => bail!(USAGE),
            }
        }
        if options.forms.is_empty() {
            let alone = FORMS.iter().filter(|(name, _)| *name != "peer");
            options.forms = alone.map(|(name, _)| (*name).to_owned()).collect();
        }
        Ok(options)
    }

    /// The seed to begin with.
    fn seed_of(&self, form: &str) -> u64 {
        let known = std::fs::read_to_string(kept(form)).ok().and_then(|t| t.trim().parse().ok());
        let first = if form == "peer" { PEER_SEED } else { FIRST_SEED };
        self.seed.or(known).unwrap_or(first)
    }
}

type Form = fn(&Options) -> anyhow::Result<String>;

const FORMS: [(&str, Form); 6] = [
    ("random", random),
    ("kill", kill),
    ("power", power),
    ("history", history),
    ("fuzz", fuzz),
    ("peer", peer),
];

/// Runs the forms that are asked for, and ends with what is to be written down.
pub fn run(words: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    let mut summary = vec!["| soak | what passed | time |".to_owned(), "|---|---|---|".to_owned()];
    for (name, form) in FORMS {
        if !options.forms.iter().any(|wanted| wanted == name) {
            continue;
        }
        println!("== {name}");
        let begun = Instant::now();
        let passed = form(&options)?;
        summary.push(format!("| {name} | {passed} | {} s |", begun.elapsed().as_secs()));
    }
    println!("\n{}", summary.join("\n"));
    Ok(())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Where the next seed of a form is kept.
fn kept(form: &str) -> PathBuf {
    root().join("target/soak").join(form)
}

fn keep(form: &str, next: u64) -> anyhow::Result<()> {
    std::fs::create_dir_all(root().join("target/soak"))?;
    Ok(std::fs::write(kept(form), next.to_string())?)
}

fn random(options: &Options) -> anyhow::Result<String> {
    let first = options.seed_of("random");
    let test = Test::build("behalf-fga", "random::the_engine", &options.profile)?;
    let begun = Instant::now();
    let (mut done, mut told) = (0, Counts::default());
    while done < options.cases && options.most.is_none_or(|most| begun.elapsed() < most) {
        let (seed, cases) = (first + done, BATCH.min(options.cases - done));
        let text = test.run(&[("BEHALF_RANDOM_SEED", seed), ("BEHALF_RANDOM_CASES", cases)])?;
        let line = *lines(&text, "random models: ").first().context("the test printed nothing")?;
        told.add(line.split(": ").nth(2).context("no counts")?)?;
        done += cases;
        keep("random", first + done)?;
        println!("{line}\n{}", run::progress("random cases", done, options.cases, begun));
    }
    Ok(format!("{done} cases from seed {first}: {}", told.text()))
}

/// Numbers and what they count, in the order in which they were first told.
#[derive(Default)]
struct Counts(Vec<(u64, String)>);

impl Counts {
    /// Adds what a line `12 small, 3 large` says.
    fn add(&mut self, line: &str) -> anyhow::Result<()> {
        for part in line.split(", ") {
            let (number, what) = part.split_once(' ').context("no counts")?;
            let number: u64 = number.parse().context("no count")?;
            match self.0.iter_mut().find(|(_, known)| known == what) {
                Some((sum, _)) => *sum += number,
                None => self.0.push((number, what.to_owned())),
            }
        }
        Ok(())
    }

    fn text(&self) -> String {
        let parts = self.0.iter().map(|(number, what)| format!("{number} {what}"));
        parts.collect::<Vec<_>>().join(", ")
    }
}

/// The lines of a test's output from where they begin with `mark`.
fn lines<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines().filter_map(|line| line.get(line.find(mark)?..)).collect()
}

fn kill(options: &Options) -> anyhow::Result<String> {
    let rounds = options.rounds;
    let test = Test::build("behalf-tests", "kill::a_", &options.profile)?;
    let text = test.run(&[("BEHALF_KILL_ROUNDS", rounds)])?;
    Ok(lines(&text, "kill: ").join("; "))
}

fn power(options: &Options) -> anyhow::Result<String> {
    let seed = options.seed_of("power");
    let test = Test::build("behalf-store", "power_cut::", &options.profile)?;
    let text = test.run(&[("BEHALF_POWER_CUTS", options.rounds * 10), ("BEHALF_SEED", seed)])?;
    keep("power", seed + 1)?;
    Ok(lines(&text, "power cut: ").join("; "))
}

fn history(options: &Options) -> anyhow::Result<String> {
    let seed = options.seed_of("history");
    let settings = [("BEHALF_HISTORY_WRITES", options.writes), ("BEHALF_SEED", seed)];
    let engine = Test::build("behalf-fga", "history::", &options.profile)?.run(&settings)?;
    let service = Test::build("behalf-tests", "history_authz::", &options.profile)?;
    let told = [engine, service.run(&settings)?];
    // The engine's two histories have seeds that follow each other.
    keep("history", seed + 2)?;
    let told: Vec<&str> = told.iter().flat_map(|text| lines(text, "history: ")).collect();
    Ok(format!("from seed {seed}: {}", told.join("; ")))
}

fn fuzz(options: &Options) -> anyhow::Result<String> {
    let (seed, inputs) = (options.seed_of("fuzz"), options.inputs);
    let test = Test::build("behalf-fga", "fuzz_replay::", &options.profile)?;
    let text = test.run(&[("BEHALF_FUZZ_CASES", inputs), ("BEHALF_FUZZ_SEED", seed)])?;
    keep("fuzz", seed + 1)?;
    let targets = lines(&text, "fuzz: ").len();
    Ok(format!("{inputs} mutated inputs of each of {targets} targets from seed {seed}"))
}

/// Random cases asked of an OpenFGA as well.
fn peer(options: &Options) -> anyhow::Result<String> {
    let address = options.http.as_deref().context(USAGE)?;
    let (seed, cases) = (options.seed_of("peer"), options.cases.min(PEER_CASES));
    let test = Test::build("behalf-fga", "random::peer::", &options.profile)?;
    let settings = [("BEHALF_RANDOM_SEED", seed), ("BEHALF_RANDOM_CASES", cases)];
    let text = test.beside(address, &options.semantics).run(&settings)?;
    keep("peer", seed + cases)?;
    Ok(lines(&text, "peer").join("; "))
}
