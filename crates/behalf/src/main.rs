//! `behalf`: one binary for what agents may do on behalf of people.

use std::process::ExitCode;

/// Many threads allocate and free small things here; the system's allocator keeps an arena for each
/// and gives little back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    behalf::run()
}
