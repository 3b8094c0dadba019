//! The commands, and what they print.

mod apply;
mod demo;
mod documents;
mod export;
mod fga;
mod migrate;
mod serve;
mod target;
mod verify;

use std::process::ExitCode;

use behalf_crypto::SystemRng;
use tracing_subscriber::EnvFilter;

use crate::cli::{Command, DataArgs};
use crate::config;
use crate::dev_ca::DevCa;
use crate::output::{self, complain, say};

/// Runs the command line; the process's exit code.
pub fn run() -> ExitCode {
    let cli = match config::file::command_line(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            complain!("behalf: {error:#}");
            // As for a wrong command line: 1 is an answer of some commands.
            return ExitCode::from(2);
        }
    };
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(dispatch(cli.command)));
    match outcome {
        Ok(_) if output::is_lost() => ExitCode::FAILURE,
        Ok(code) => code,
        Err(error) => {
            complain!("behalf: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Verify(args) => return verify::verify(&args),
        Command::Fga(command) => return Box::pin(fga::fga(command)).await,
        Command::Export(args) => export::export(args).await,
        Command::Serve(args) => {
            start_logging("info");
            Box::pin(serve::serve(*args)).await
        }
        Command::Demo(args) => {
            start_logging("warn");
            Box::pin(demo::demo(*args)).await
        }
        Command::Apply(args) => apply::apply(args).await,
        Command::Migrate(command) => migrate::migrate(command).await,
        Command::Documents(command) => Box::pin(documents::documents(command)).await,
        Command::DevCa(args) => dev_ca(&args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Logs to standard error; `BEHALF_LOG` chooses levels, e.g. `info,behalf_http=debug`.
fn start_logging(default_levels: &str) {
    #[expect(clippy::disallowed_methods, reason = "the binary reads the environment")]
    let levels = std::env::var("BEHALF_LOG").unwrap_or_else(|_unset| default_levels.to_owned());
    let filter = EnvFilter::try_new(levels).unwrap_or_else(|_bad| EnvFilter::new(default_levels));
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal)
        .init();
}

fn dev_ca(args: &DataArgs) -> anyhow::Result<()> {
    let ca = DevCa::open(&args.data)?;
    let path = ca.certificate();
    let path = path.canonicalize().unwrap_or(path);
    let path = path.display();
    say!("{path}");
    say!("");
    say!("Trust it in the environment of a client before it starts:");
    say!("  Node.js           export NODE_EXTRA_CA_CERTS={path}");
    say!("  Python requests   export REQUESTS_CA_BUNDLE={path}");
    say!("  Python httpx, Go  export SSL_CERT_FILE={path}");
    say!("In a browser, import it as an authority. Then: behalf serve --tls");
    Ok(())
}

/// The operating system's randomness.
const fn system_rng() -> SystemRng {
    SystemRng
}
