//! `behalf verify`: offline, without a data folder. Exit 0 valid, 1 invalid, 2 not a bundle.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use behalf_core::counted;
use behalf_verify::bundle::{self, BundleError, BundleReport};
use behalf_verify::hex;
use behalf_verify::note::{NOTE_BYTES_MAX, VerifierKey};
use behalf_verify::receipt::{self, ReceiptExtra, ReceiptReport};

use crate::cli::VerifyArgs;
use crate::output::{complain, say};

/// The largest file that is read.
const FILE_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

pub(super) fn verify(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let file = args.file.display();
    let bytes = match read(&args.file, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        // Nothing was checked, so it is not called invalid.
        Err(error) => {
            complain!("behalf: {error:#}");
            return Ok(ExitCode::from(2));
        }
    };
    let older = args.checkpoint.as_deref().map(read_note).transpose()?;
    if bytes.starts_with(receipt::HEADER.as_bytes()) {
        let text = String::from_utf8_lossy(&bytes);
        return Ok(match receipt::verify_file(&text, older.as_deref()) {
            Ok(report) => {
                print_receipt(&report);
                ExitCode::SUCCESS
            }
            Err(error) => {
                say!("invalid");
                say!("{file}: {error}");
                ExitCode::from(1)
            }
        });
    }
    Ok(match bundle::verify(&bytes, older.as_deref()) {
        Ok(report) => {
            print_bundle(&report);
            ExitCode::SUCCESS
        }
        Err(BundleError::Invalid(faults)) => {
            say!("invalid");
            say!("{faults}");
            ExitCode::from(1)
        }
        Err(error @ BundleError::NotABundle(_)) => {
            complain!("behalf: {file}: {error}");
            ExitCode::from(2)
        }
    })
}

fn print_bundle(report: &BundleReport) {
    let BundleReport { first, count, older, .. } = report;
    let end = first.saturating_add(*count);
    match older {
        None => say!("valid, unwitnessed"),
        Some(size) => say!("valid, and begins with the older checkpoint of {}", entries(*size)),
    }
    say!("  records      {count} (entries {first} to before {end})");
    say!("  receipts     {}", report.receipts);
    say!("  checkpoints  {} earlier ones, all consistent", report.checkpoints);
    say!("  log          {}", report.origin);
    say!("  tree         {}, root {}", entries(report.size), hex(&report.root));
    say!("  key          {}", key(&report.key));
}

fn print_receipt(report: &ReceiptReport) {
    let ReceiptReport { extra: ReceiptExtra { entry, key: signer }, index, checkpoint, agrees } =
        report;
    say!("{}", if *agrees { "valid, as in the older checkpoint" } else { "valid, unwitnessed" });
    say!("  entry        {index}");
    say!("  log          {}", checkpoint.origin);
    say!("  tree         {}, root {}", entries(checkpoint.size), hex(&checkpoint.root));
    say!("  key          {}", key(&signer.to_string()));
    say!("  record       {entry}");
}

/// How large a tree is.
fn entries(size: u64) -> String {
    counted(size, "entry", "entries")
}

/// A key as people compare it.
fn key(vkey: &str) -> String {
    match vkey.parse::<VerifierKey>() {
        Ok(key) => format!("{} {}", hex(&key.id()), hex(key.public())),
        Err(_) => vkey.to_owned(),
    }
}

fn read_note(path: &Path) -> anyhow::Result<String> {
    let max = u64::try_from(NOTE_BYTES_MAX).unwrap_or(u64::MAX);
    // Whatever it holds, the check says what is wrong with it.
    Ok(String::from_utf8_lossy(&read(path, max)?).into_owned())
}

fn read(path: &Path, max: u64) -> anyhow::Result<Vec<u8>> {
    let place = path.display();
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot read {place}"))?;
    let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
    read.with_context(|| format!("cannot read {place}"))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        bail!("{place} has more than {max} bytes");
    }
    Ok(bytes)
}
