//! Runs tests by name, says how far they are, and how a failure is seen again.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};

use super::root;

/// So often a test that runs is heard of.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names an OpenFGA's address to the tests, and whose checks it answers with.
const PEER: &str = "BEHALF_PEER";
const SEMANTICS: &str = "BEHALF_SEMANTICS";

/// Tests of a package whose names begin so, built.
pub struct Test {
    package: &'static str,
    name: &'static str,
    profile: String,
    /// The address of an OpenFGA that is asked too, and what else is said of it.
    peer: Vec<(&'static str, String)>,
}

impl Test {
    pub fn build(package: &'static str, name: &'static str, profile: &str) -> anyhow::Result<Self> {
        let test = Self { package, name, profile: profile.to_owned(), peer: Vec::new() };
        let status = test.cargo().arg("--no-run").status()?;
        ensure!(status.success(), "{package} does not build");
        Ok(test)
    }

    pub fn beside(self, address: &str, semantics: &str) -> Self {
        let peer = vec![(PEER, address.to_owned()), (SEMANTICS, semantics.to_owned())];
        Self { peer, ..self }
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo
            .args(["test", "--quiet", "--locked", "--profile", &self.profile])
            .args(["--package", self.package, "--test", "it"])
            .current_dir(root())
            .envs(self.peer.iter().map(|(name, value)| (name, value)));
        cargo
    }

    /// What they printed. Fails when one of them does, and says how to see it again.
    pub fn run(&self, settings: &[(&str, u64)]) -> anyhow::Result<String> {
        let mut child = self
            .cargo()
            .args(["--", "--nocapture", "--include-ignored", self.name])
            .envs(settings.iter().map(|(name, value)| (name, value.to_string())))
            .stdout(Stdio::piped())
            .spawn()?;
        let text = listen(&mut child)?;
        if !child.wait()?.success() {
            bail!("{text}\n{} fails; again with:\n  {}", self.name, self.again(settings, &text));
        }
        ensure!(!text.contains("running 0 tests"), "{} is no test", self.name);
        Ok(text)
    }

    /// The command that shows a failure again; of random cases, with the one that failed.
    fn again(&self, settings: &[(&str, u64)], text: &str) -> String {
        let mut settings = settings.to_vec();
        let failed = text.lines().find_map(|line| {
            let rest = line.get(line.find("random models: seed ")? + 20..)?;
            rest.strip_suffix(" fails")?.parse().ok()
        });
        if let Some(seed) = failed {
            settings = vec![("BEHALF_RANDOM_SEED", seed), ("BEHALF_RANDOM_CASES", 1)];
        }
        let settings = settings.iter().map(|(name, value)| format!("{name}={value} "));
        let peer = self.peer.iter().map(|(name, value)| format!("{name}={value} "));
        format!(
            "{}{}cargo test --profile {} -p {} --test it -- --nocapture --include-ignored {}",
            peer.collect::<String>(),
            settings.collect::<String>(),
            self.profile,
            self.package,
            self.name
        )
    }
}

/// Gathers what the child prints, and says how far it is. A line `progress: kills 3 of 200` counts.
fn listen(child: &mut Child) -> anyhow::Result<String> {
    let lines = lines_of(child.stdout.take().context("no output")?);
    let begun = Instant::now();
    let mut said: HashMap<String, Instant> = HashMap::new();
    let mut text = String::new();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => match parse(&line) {
                Some((what, done, all)) => {
                    if said.get(&what).is_none_or(|last| last.elapsed() >= PATIENCE) {
                        println!("{}", progress(&what, done, all, begun));
                        said.insert(what, Instant::now());
                    }
                }
                None => text += &(line + "\n"),
            },
            Err(RecvTimeoutError::Timeout) => println!("… {} s", begun.elapsed().as_secs()),
            Err(RecvTimeoutError::Disconnected) => return Ok(text),
        }
    }
}

/// A child's output, line by line, as it comes.
pub fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// What is counted, how many there are, and how many there will be.
fn parse(line: &str) -> Option<(String, u64, u64)> {
    let rest = line.get(line.find("progress: ")? + 10..)?;
    let (rest, all) = rest.rsplit_once(" of ")?;
    let (what, done) = rest.rsplit_once(' ')?;
    Some((what.to_owned(), done.parse().ok()?, all.parse().ok()?))
}

/// How far it is, how fast, and how long it will take.
pub fn progress(what: &str, done: u64, all: u64, begun: Instant) -> String {
    let rate = done as f64 / begun.elapsed().as_secs_f64().max(0.001);
    let left = all.saturating_sub(done) as f64 / rate.max(0.001);
    format!(
        "{what}: {done} of {all}, {rate:.1}/s, {:.0} min {:.0} s left",
        (left / 60.0).floor(),
        left % 60.0
    )
}
