//! `behalf`: one binary for what agents may do on behalf of people.

use std::process::ExitCode;

fn main() -> ExitCode {
    behalf::run()
}
