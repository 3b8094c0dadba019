//! A PostgreSQL cluster of a test's own, which it may stop.

use std::path::{Path, PathBuf};
use std::process::Command;

use behalf_store::{Phase, Storage};

use crate::{START, database};

/// A cluster that is stopped and removed with this.
#[derive(Debug)]
pub struct Cluster(PathBuf);

impl Cluster {
    /// A cluster for the test `name`, not started yet; `None` after saying so when the tests do not
    /// run on PostgreSQL.
    pub fn new(name: &str) -> Option<Self> {
        let is_asked_for = database::address().is_some();
        if !is_asked_for {
            #[expect(clippy::print_stdout, reason = "a test that did not run says so")]
            {
                println!("{name}: NOT RUN (BEHALF_TEST_DATABASE is not set)");
            }
        }
        let dir = std::env::temp_dir().join(format!("behalf-{name}-{}", std::process::id()));
        is_asked_for.then_some(Self(dir))
    }

    /// Starts it, with the schema of this version; its address.
    pub async fn start(&self) -> String {
        let url = self.run("start").await;
        Storage::migrate_postgres(&url, Phase::Expand, START).await.unwrap();
        url
    }

    /// Stops it at once, as a crash would.
    pub async fn stop(&self) {
        self.run("stop").await;
    }

    async fn run(&self, action: &'static str) -> String {
        let mut command = self.command(action);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, action: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("postgres/cluster.sh");
        let mut command = Command::new(script);
        // What it acknowledged must be there after a crash.
        command.arg(action).arg(&self.0).env("PG_FSYNC", "on");
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.0.join("postmaster.pid").exists() {
            assert!(self.command("stop").output().unwrap().status.success());
        }
        if self.0.exists() {
            std::fs::remove_dir_all(&self.0).unwrap();
        }
    }
}
