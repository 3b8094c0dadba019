//! Which server a command asks: one at an address, the one that holds the data folder, or none; then
//! the command opens the folder itself.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use behalf_core::Secret;
use behalf_egress::OperatorAddress;
use behalf_identity::Issuer;

use super::apply::local_actor;
use super::system_rng;
use crate::cli::fga::TargetArgs;
use crate::config;
use crate::data_dir::DataDir;
use crate::server_client::ServerClient;
use crate::system::SystemClock;
use crate::wiring::{Ports, Server, ServerOptions};

/// The server that the flags name.
pub(super) async fn open(args: &TargetArgs) -> anyhow::Result<ServerClient> {
    if let Some(url) = &args.url {
        return at(url, args.token_file.as_deref());
    }
    let database = config::database(&args.database)?;
    let Some(dir) = DataDir::lock_existing(&args.data.data)? else {
        return Ok(ServerClient::behind_socket(&args.data.data));
    };
    let rng = system_rng();
    let root = dir.root_key(args.root_key.as_deref(), &rng)?;
    let ports = Ports { clock: Arc::new(SystemClock), rng: Arc::new(rng) };
    // No page is served, so no address matters.
    let issuer = Issuer::parse("http://127.0.0.1:8080/")?;
    let options = ServerOptions { database, ..ServerOptions::new(issuer) };
    let server = Server::open(dir.path(), &root, options, ports).await?;
    Ok(ServerClient::in_folder(server, dir, local_actor()?))
}

/// The server at an address.
pub(super) fn at(url: &str, token_file: Option<&Path>) -> anyhow::Result<ServerClient> {
    let address: OperatorAddress = url.parse().context("--url")?;
    ServerClient::at(address, token_file.map(token).transpose()?)
}

/// The first line of a file: a key or a token.
pub(super) fn token(path: &Path) -> anyhow::Result<Secret<String>> {
    let place = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {place}"))?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        bail!("the first line of {place} is empty; it must be the key or token");
    }
    Ok(Secret::new(line.to_owned()))
}
