//! Runs the tests against a mutant, until one of them fails.

use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use super::build::Built;
use crate::soak::run::lines_of;

/// The stages: what fails for most mutants in the least time first. `true`: the unit tests.
pub const STAGES: [(bool, &[&str]); 5] = [
    (false, &["conformance::"]),
    (false, &["bounds::", "circles::", "conditions::", "docs::", "ways::", "weighted::"]),
    (true, &["engine::", "store::"]),
    (false, &["random::the_engine"]),
    (false, &["store::", "history::a_damaged"]),
];
pub const RANDOM_CASES: &str = "100";
/// Of a stage of a mutant. Without a mutant half of it has to be enough.
const CPU_SECS: u64 = 6;
/// Of a stage, of real time: for what waits without end.
const PATIENCE: Duration = Duration::from_secs(300);
/// Of memory.
const KIB: u64 = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With what failed.
    Killed(String),
    TimedOut(String),
    Survived,
}

impl Outcome {
    pub fn text(&self) -> String {
        match self {
            Self::Killed(by) => format!("killed {by}"),
            Self::TimedOut(stage) => format!("timed out {stage}"),
            Self::Survived => "survived".to_owned(),
        }
    }

    pub fn of(text: &str) -> Self {
        match (text.strip_prefix("killed "), text.strip_prefix("timed out ")) {
            (Some(by), _) => Self::Killed(by.to_owned()),
            (_, Some(stage)) => Self::TimedOut(stage.to_owned()),
            _ => Self::Survived,
        }
    }
}

pub struct Tests {
    unit: PathBuf,
    it: PathBuf,
}

impl Tests {
    /// Fails when they fail without a mutant, or are too slow.
    pub fn of(built: &Built) -> anyhow::Result<Self> {
        let this = Self { unit: built.unit.clone(), it: built.it.clone() };
        let begun = Instant::now();
        let outcome = this.run(None)?;
        ensure!(outcome == Outcome::Survived, "without a mutant: {}", outcome.text());
        println!("without a mutant: {:.1} s", begun.elapsed().as_secs_f64());
        Ok(this)
    }

    pub fn run(&self, mutant: Option<usize>) -> anyhow::Result<Outcome> {
        for stage in STAGES {
            let outcome = self.stage(stage, mutant)?;
            if outcome != Outcome::Survived {
                return Ok(outcome);
            }
        }
        Ok(Outcome::Survived)
    }

    fn stage(&self, stage: (bool, &[&str]), mutant: Option<usize>) -> anyhow::Result<Outcome> {
        let (is_unit, names) = stage;
        let program = if is_unit { &self.unit } else { &self.it };
        let secs = if mutant.is_some() { CPU_SECS } else { CPU_SECS / 2 };
        let limits = format!("ulimit -t {secs} && ulimit -v {KIB} && exec \"$@\"");
        let mut child = Command::new("sh")
            .args(["-c", &limits, "sh"])
            .arg(program)
            .args(["--test-threads", "1"])
            .args(names)
            .env("BEHALF_RANDOM_CASES", RANDOM_CASES)
            .envs(mutant.map(|number| ("BEHALF_MUTANT", number.to_string())))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let lines = lines_of(child.stdout.take().context("no output")?);
        let begun = Instant::now();
        let (mut failed, mut last) = (None, String::new());
        while failed.is_none() {
            match lines.recv_timeout(PATIENCE.saturating_sub(begun.elapsed())) {
                Ok(line) if line.ends_with("FAILED") => failed = Some(line),
                Ok(line) => last = line,
                Err(_) => break,
            }
        }
        let is_late = begun.elapsed() >= PATIENCE;
        if failed.is_some() || is_late {
            // It may have ended by itself.
            child.kill().ok();
        }
        let status = child.wait()?;
        let name = names[0].trim_end_matches(':').to_owned();
        Ok(match (failed, status.signal()) {
            (Some(line), _) => Outcome::Killed(line),
            _ if status.success() => Outcome::Survived,
            // SIGKILL and SIGXCPU: the limit of time.
            (None, Some(9 | 24)) => Outcome::TimedOut(name),
            (None, _) => Outcome::Killed(format!("{name}: {status} {last}")),
        })
    }
}
