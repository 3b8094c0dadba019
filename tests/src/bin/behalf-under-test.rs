//! The binary that tests start and kill: the product's own `main`.

use std::process::ExitCode;

fn main() -> ExitCode {
    behalf::run()
}
