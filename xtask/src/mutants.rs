//! Mutation testing of the engine: each mutant is one change that makes it wrong, and a test has to
//! fail with it.
//!
//! All mutants are in one binary behind a switch, so each costs a run and no build. Results are kept
//! in `target/mutants/`: a run that was stopped goes on, and after a change only what it may have
//! changed is run again. `docs/mutants.md` says what was found.

mod build;
mod kill;
mod list;
mod rewrite;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::soak::run::progress;
use kill::{Outcome, RANDOM_CASES, STAGES, Tests};
use list::Mutant;

const USAGE: &str = "usage: xtask mutants [--jobs N] [--minutes M] [--file PART]... \
                     [--changed-since COMMIT] [--report]";

struct Options {
    jobs: usize,
    /// When no new mutant begins.
    most: Option<Duration>,
    /// Only mutants of files with one of these in their path; none means all.
    files: Vec<String>,
    /// Runs nothing, says what is known.
    is_report: bool,
}

impl Options {
    fn read(mut words: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let jobs = std::thread::available_parallelism()?.get();
        let mut options = Self { jobs, most: None, files: Vec::new(), is_report: false };
        while let Some(word) = words.next() {
            if word == "--report" {
                options.is_report = true;
                continue;
            }
            let value = words.next().context(USAGE)?;
            match word.as_str() {
                "--jobs" => options.jobs = value.parse().context(USAGE)?,
                "--minutes" => {
                    options.most = Some(Duration::from_secs(value.parse::<u64>()? * 60));
                }
                "--file" => options.files.push(value),
                "--changed-since" => {
                    let changed = git(&["diff", "--name-only", &value, "--", "crates/behalf-fga"])?;
                    let sources = changed.lines().filter(|path| path.contains("/src/"));
                    options.files.extend(sources.map(str::to_owned));
                    ensure!(!options.files.is_empty(), "no source changed since {value}");
                }
                _ => bail!(USAGE),
            }
        }
        Ok(options)
    }

    fn wants(&self, mutant: &Mutant) -> bool {
        self.files.is_empty() || self.files.iter().any(|part| mutant.file.contains(part))
    }
}

/// Runs the mutants that are asked for and not known yet, and ends with what is to be written down.
pub fn run(words: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let options = Options::read(words)?;
    std::fs::create_dir_all(home())?;
    let mutants = list::all()?;
    let built = build::build(&mutants)?;
    println!("{} mutants behind the switch, left out: {}", built.numbers.len(), built.told());
    let mut results = Results::read(&mutants)?;
    if !options.is_report {
        let tests = Tests::of(&built)?;
        let mut left: Vec<usize> = built.numbers.clone();
        left.retain(|&at| options.wants(&mutants[at]) && results.known(&mutants[at]).is_none());
        // In no order that has a meaning, so that a part of them says something of all; last those
        // that earlier tests let live.
        let has_lived = |at: usize| results.lived.contains(&mutants[at].name);
        left.sort_by_key(|&at| (has_lived(at), hash(&mutants[at].name)));
        run_all(&options, &tests, &mutants, &left, &mut results)?;
    }
    println!("\n{}", report(&mutants, &built.numbers, &results));
    Ok(())
}

fn run_all(
    options: &Options,
    tests: &Tests,
    mutants: &[Mutant],
    left: &[usize],
    results: &mut Results,
) -> anyhow::Result<()> {
    let begun = Instant::now();
    let (sender, outcomes) = std::sync::mpsc::channel();
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..options.jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while options.most.is_none_or(|most| begun.elapsed() < most) {
                    let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(&mutant) = left.get(at) else { return };
                    if sender.send((mutant, tests.run(Some(mutant)))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut said = begun;
        for (done, (mutant, outcome)) in (1..).zip(outcomes) {
            let outcome = outcome?;
            let mutant = &mutants[mutant];
            if outcome == Outcome::Survived {
                println!("survived: {}", mutant.name);
            }
            results.keep(mutant, &outcome)?;
            if said.elapsed() > Duration::from_secs(15) {
                said = Instant::now();
                println!("{}", progress("mutants", done, left.len() as u64, begun));
            }
        }
        Ok(())
    })
}

/// What became of mutants, in this run and earlier ones.
struct Results {
    known: HashMap<String, (Outcome, String)>,
    /// Those that survived other tests.
    lived: HashSet<String>,
    /// Of the tests and which of them are run: one that survived others is run again.
    tests: u64,
    commit: String,
}

impl Results {
    fn read(mutants: &[Mutant]) -> anyhow::Result<Self> {
        let commit = git(&["describe", "--always", "--dirty", "--exclude=*"])?.trim().to_owned();
        let mut texts: Vec<_> = files(&root().join("crates/behalf-fga/tests"))?;
        texts.sort();
        let texts: std::io::Result<Vec<_>> = texts.iter().map(std::fs::read).collect();
        let mut this = Self {
            known: HashMap::new(),
            lived: HashSet::new(),
            tests: hash(&(texts?, STAGES, RANDOM_CASES)),
            commit,
        };
        let sources: HashMap<&str, u64> = mutants.iter().map(|m| (&*m.name, m.source)).collect();
        let kept = std::fs::read_to_string(home().join("results.jsonl")).unwrap_or_default();
        // The last line may be half a one.
        for line in kept.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let text = |key: &str| line[key].as_str().unwrap_or_default();
            let is_same = sources.get(text("name")).is_some_and(|source| line["source"] == *source);
            let outcome = Outcome::of(text("outcome"));
            if is_same && outcome == Outcome::Survived && line["tests"] != this.tests {
                this.lived.insert(text("name").to_owned());
            } else if is_same {
                this.known.insert(text("name").to_owned(), (outcome, text("commit").to_owned()));
            }
        }
        Ok(this)
    }

    fn known(&self, mutant: &Mutant) -> Option<&Outcome> {
        self.known.get(&mutant.name).map(|(outcome, _)| outcome)
    }

    fn keep(&mut self, mutant: &Mutant, outcome: &Outcome) -> anyhow::Result<()> {
        let line = json!({
            "name": mutant.name, "source": mutant.source, "tests": self.tests,
            "outcome": outcome.text(), "commit": self.commit,
        });
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(home().join("results.jsonl"))?;
        file.write_all(format!("{line}\n").as_bytes())?;
        self.known.insert(mutant.name.clone(), (outcome.clone(), self.commit.clone()));
        Ok(())
    }
}

/// The table for each file, and what survived.
fn report(mutants: &[Mutant], numbers: &[usize], results: &Results) -> String {
    let mut rows: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    let mut commits: BTreeMap<&str, usize> = BTreeMap::new();
    let mut survivors = Vec::new();
    for mutant in numbers.iter().map(|&at| &mutants[at]) {
        let file = mutant.file.trim_start_matches("crates/behalf-fga/src/");
        let known = results.known.get(&mutant.name);
        let counts = match known.map(|(outcome, _)| outcome) {
            None => [1, 0, 0, 0, 0],
            Some(Outcome::Killed(_)) => [1, 1, 1, 0, 0],
            Some(Outcome::TimedOut(_)) => [1, 1, 0, 1, 0],
            Some(Outcome::Survived) => [1, 1, 0, 0, 1],
        };
        for row in [file, "~all"] {
            let sums = rows.entry(row).or_default();
            sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        if let Some((outcome, commit)) = known {
            *commits.entry(commit).or_default() += 1;
            if *outcome == Outcome::Survived {
                survivors.push(format!(
                    "- `{}`",
                    mutant.name.trim_start_matches("crates/behalf-fga/src/")
                ));
            }
        }
    }
    let mut lines = vec![
        "| file | mutants | run | killed | timed out | survived |\n|---|---|---|---|---|---|"
            .to_owned(),
    ];
    for (file, [all, run, killed, late, survived]) in rows {
        let file = if file == "~all" { "all".to_owned() } else { format!("`{file}`") };
        lines.push(format!("| {file} | {all} | {run} | {killed} | {late} | {survived} |"));
    }
    let on = commits.iter().map(|(commit, count)| format!("{count} on {commit}"));
    lines.push(format!("\nRun: {}\n\nSurvived:", on.collect::<Vec<_>>().join(", ")));
    lines.extend(survivors);
    lines.join("\n")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// Where everything of this is kept.
fn home() -> PathBuf {
    root().join("target/mutants")
}

fn git(words: &[&str]) -> anyhow::Result<String> {
    let output = Command::new("git").args(words).current_dir(root()).output()?;
    ensure!(output.status.success(), "git: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// All files below a folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn hash(of: &(impl std::hash::Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}
