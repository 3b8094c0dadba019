//! Set-up files as text: read whole, all of them before the first is applied.

use anyhow::{Context, anyhow};
use behalf_gate::flows::{self, ApplyOptions, SetupFile, SetupOutcome};

use crate::wiring::Server;

/// A set-up file as it was read.
#[derive(Debug)]
pub struct Source {
    /// Where it comes from, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Applies the files as one, all or nothing.
///
/// # Errors
/// When a file is wrong or the store fails; then nothing was stored.
pub async fn apply(
    server: &Server,
    sources: &[Source],
    options: &ApplyOptions,
) -> anyhow::Result<SetupOutcome> {
    let mut merged = SetupFile::default();
    for source in sources {
        merged = merged.merged(parse(source)?);
    }
    flows::apply(&server.identity, &server.authz, &server.vault, merged, options)
        .await
        .context("nothing was applied")
}

fn parse(source: &Source) -> anyhow::Result<SetupFile> {
    if source.text.trim().is_empty() {
        return Ok(SetupFile::default());
    }
    serde_saphyr::from_str(&source.text)
        .map_err(|error| anyhow!("{}: {}", source.name, in_words(&error.to_string())))
}

/// The parser names its own types, which whoever writes the file does not know.
fn in_words(message: &str) -> String {
    const NUMBERS: [&str; 8] = ["u8", "u16", "u32", "u64", "i32", "i64", "usize", "isize"];
    let mut message = message
        .replace("expected sequence start", "expected a list")
        .replace("expected mapping start", "expected a mapping");
    for number in NUMBERS {
        for said in ["invalid", "expected"] {
            let words = format!("{said} {number}");
            message = message.replace(&words, "expected a whole number that fits here");
        }
    }
    message
}
