//! Tasks that are run by hand: `cargo xtask proto`, `cargo xtask soak`, `cargo xtask mutants`.

mod mutants;
mod soak;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use prost::Message as _;

/// The interfaces that Behalf speaks over gRPC.
const PROTOS: [&str; 4] = [
    "openfga/v1/openfga.proto",
    "authzen/v1/authzen.proto",
    "grpc/health/v1/health.proto",
    "grpc/reflection/v1/reflection.proto",
];

fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    match words.next().as_deref() {
        Some("proto") => generate(),
        Some("soak") => soak::run(words),
        Some("mutants") => mutants::run(words),
        _ => bail!("usage: xtask proto|soak|mutants"),
    }
}

/// Writes the Rust types and the descriptors of [`PROTOS`] into `crates/behalf-api/src/fga/gen`.
fn generate() -> anyhow::Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let api = root.parent().context("xtask has no parent folder")?.join("crates/behalf-api");
    let to = api.join("src/fga/gen");
    let descriptors = protox::compile(PROTOS, [api.join("proto")])?;
    std::fs::write(to.join("descriptors.bin"), descriptors.encode_to_vec())?;
    prost_build::Config::new().btree_map(["."]).out_dir(&to).compile_fds(descriptors)?;
    for entry in std::fs::read_dir(&to)? {
        format(&entry?.path())?;
    }
    Ok(())
}

fn format(path: &Path) -> anyhow::Result<()> {
    if path.extension().is_some_and(|extension| extension == "rs") {
        let done = std::process::Command::new("rustfmt")
            .args(["--edition", "2024", "--config", "max_width=100"])
            .arg(path)
            .status()?;
        if !done.success() {
            bail!("rustfmt failed on {}", path.display());
        }
    }
    Ok(())
}
