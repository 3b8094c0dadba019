//! The server as a process of its own: this program started again with a variable set.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::SERVER;
use crate::load::Connection;
use crate::report::{Budget, Report};

/// A running server; it ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
    /// How long it took until it answered.
    pub(crate) started_in: Duration,
}

impl Server {
    /// Starts a server on `dir` with what `setup` says, and waits until it answers.
    pub(crate) async fn start(dir: &Path, setup: &str) -> anyhow::Result<Self> {
        Self::start_as(Command::new(std::env::current_exe()?), dir, setup).await
    }

    /// As [`Self::start`], on the first core, which is all that the server knows of, and kept apart
    /// from the load.
    pub(crate) async fn start_apart(dir: &Path, setup: &str) -> anyhow::Result<Self> {
        if cores() < 2 {
            return Self::start(dir, setup).await;
        }
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).arg(std::env::current_exe()?);
        let this = Self::start_as(command, dir, setup).await?;
        keep_apart(&[this.id()])?;
        Ok(this)
    }

    async fn start_as(mut command: Command, dir: &Path, setup: &str) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let file = dir.join("setup.yaml");
        std::fs::write(&file, setup)?;
        let log = std::fs::File::create(dir.join("server.log"))?;
        let begun = Instant::now();
        let process = command
            .args(["serve", "--http", &address, "--data"])
            .arg(dir.join("data"))
            .arg("--apply")
            .arg(&file)
            .env(SERVER, "1")
            .env("BEHALF_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let mut this = Self { process, address, started_in: Duration::ZERO };
        loop {
            if let Ok(mut connection) = Connection::open(&this.address).await
                && connection.get("/healthz").await.is_ok_and(|answer| answer.status == 200)
            {
                this.started_in = begun.elapsed();
                return Ok(this);
            }
            if let Some(status) = this.process.try_wait()? {
                let log = std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
                bail!("the server ended with {status}: {log}");
            }
            if begun.elapsed() > Duration::from_secs(60) {
                bail!("the server did not start");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stops the server in order, and waits until it has ended.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let process = self.process.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &process]).status()?;
        anyhow::ensure!(sent.success(), "`kill` could not stop process {process}");
        anyhow::ensure!(self.process.wait()?.success(), "the server did not end well");
        Ok(())
    }

    /// Resident memory in MB.
    pub(crate) fn resident_mb(&self) -> anyhow::Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .context("the process has no VmRSS")?;
        Ok(kib / 1024.0)
    }

    /// Processor time used so far, user and system.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_of(self.id())
    }
}

/// Processor time that a process has used so far, user and system.
pub(crate) fn cpu_of(process: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    // Linux counts in hundredths of a second here, whatever its own clock does.
    Ok(Duration::from_millis(ticks * 10))
}

/// How many cores there are; one where processes cannot be kept on theirs, which it says.
fn cores() -> usize {
    // Counted before the first move, after which this process has fewer.
    static CORES: LazyLock<usize> = LazyLock::new(|| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        if cores > 1 && Command::new("taskset").arg("-V").output().is_ok() {
            return cores;
        }
        eprintln!("server and load share the cores: `taskset` or a second core is missing");
        1
    });
    *CORES
}

/// Gives these processes the first core and the load the others, so that figures are for one core
/// and neither waits for the other. Needs Linux's `taskset` and two cores.
pub(crate) fn keep_apart(servers: &[u32]) -> anyhow::Result<()> {
    let cores = cores();
    if cores < 2 {
        return Ok(());
    }
    let others = format!("1-{}", cores - 1);
    let servers = servers.iter().map(|server| (*server, "0"));
    for (process, cores) in servers.chain([(std::process::id(), others.as_str())]) {
        // `-a`: all of its threads.
        let moved = Command::new("taskset")
            .args(["-a", "-c", "-p", cores, &process.to_string()])
            .stdout(Stdio::null())
            .status()?;
        anyhow::ensure!(moved.success(), "`taskset` could not move process {process}");
    }
    Ok(())
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.process.kill().and_then(|()| self.process.wait().map(drop)) {
            eprintln!("the server could not be stopped: {error}");
        }
    }
}

/// Start time, memory and processor while idle, size of the program.
pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let first = Server::start(dir.path(), "").await?;
    report.row("first start, keys made", first.started_in.as_secs_f64(), "s", Budget::None);
    drop(first);
    let server = Server::start(dir.path(), "").await?;
    report.row("start", server.started_in.as_secs_f64(), "s", Budget::AtMost(0.5));
    tokio::time::sleep(Duration::from_secs(2)).await;
    report.row("resident memory, idle", server.resident_mb()?, "MB", Budget::AtMost(60.0));
    let before = server.cpu()?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let used = server.cpu()?.saturating_sub(before).as_secs_f64() / 5.0 * 100.0;
    report.row("processor, idle", used, "% of a core", Budget::None);
    let binary = std::env::current_exe()?.with_file_name("behalf");
    if let Ok(found) = binary.metadata() {
        #[expect(clippy::cast_precision_loss, reason = "a size for people")]
        let mb = found.len() as f64 / 1_000_000.0;
        report.row("program file", mb, "MB", Budget::None);
    }
    Ok(())
}
