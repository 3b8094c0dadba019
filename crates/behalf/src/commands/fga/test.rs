//! `behalf fga test`: every assertion of store files, and what does not hold.

use std::path::Path;
use std::process::ExitCode;

use behalf_fga::{Report, StoreFile, StoreFileErrors};

use super::{INVALID, Root, UNREADABLE, is_model_file, place};
use crate::cli::fga::FgaTestArgs;
use crate::output::{complain, say};

pub(super) fn test(args: &FgaTestArgs) -> ExitCode {
    let mut total = Report::default();
    let mut is_unreadable = false;
    for file in &args.files {
        let root = Root::new(file, args.allow_external_files);
        if is_model_file(file) {
            complain!(
                "{}: a model has no tests: they stand in a store file (.fga.yaml), which may name the \
                 model by `model_file`",
                file.display()
            );
            is_unreadable = true;
            continue;
        }
        let text = match root.read() {
            Ok(text) => text,
            Err(reason) => {
                complain!("{}: {reason}", file.display());
                is_unreadable = true;
                continue;
            }
        };
        match run(&root, &text) {
            Ok(report) => {
                print(file, &report);
                total.tests += report.tests;
                total.checks += report.checks;
                total.list_objects += report.list_objects;
                total.list_users += report.list_users;
                total.failures.extend(report.failures);
            }
            Err(errors) => {
                root.print(&errors);
                is_unreadable = true;
            }
        }
    }
    let Report { tests, checks, list_objects, list_users, failures } = total;
    say!("tests {tests}, checks {checks}, list objects {list_objects}, list users {list_users}");
    match (is_unreadable, failures.is_empty()) {
        (true, _) => ExitCode::from(UNREADABLE),
        (false, false) => ExitCode::from(INVALID),
        (false, true) => ExitCode::SUCCESS,
    }
}

fn run(root: &Root, text: &str) -> Result<Report, StoreFileErrors> {
    let file = StoreFile::parse(text)?;
    let loaded = file.load(&mut |name| root.read_named(name))?;
    for warning in &loaded.warnings {
        complain!("{}: warning: {}", place(&root.path, warning.region.start), warning.message);
    }
    loaded.run()
}

fn print(file: &Path, report: &Report) {
    for failure in &report.failures {
        let name = if failure.test.is_empty() { "a test without a name" } else { &failure.test };
        say!("{}: {name}: {}", place(file, failure.place), failure.question);
        say!("    expected  {}", failure.expected);
        say!("    got       {}", failure.got);
        for why in &failure.why {
            say!("              {why}");
        }
    }
}
