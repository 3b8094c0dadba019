//! What the command line says. Whoever reads only the first line (`head`, `grep -q`) has what she
//! asked for: a closed pipe ends the words, not the work, and the exit code is still the answer.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something that was said got lost, on a full disk say.
static IS_LOST: AtomicBool = AtomicBool::new(false);

/// Says a line on standard output.
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(&mut std::io::stdout(), format_args!($($text)*)) };
}

/// Says a line on standard error: what went wrong.
macro_rules! complain {
    ($($text:tt)*) => { $crate::output::line(&mut std::io::stderr(), format_args!($($text)*)) };
}

pub(crate) use {complain, say};

/// The text without what a terminal would take for a command; it may come from elsewhere.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Writes a line and sees that it leaves the process.
pub(crate) fn line(out: &mut impl Write, text: fmt::Arguments<'_>) {
    let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) else { return };
    if error.kind() != ErrorKind::BrokenPipe && !IS_LOST.swap(true, Ordering::Relaxed) {
        complain!("behalf: cannot write: {error}");
    }
}

/// True if a reader that was still there did not get everything.
pub(crate) fn is_lost() -> bool {
    IS_LOST.load(Ordering::Relaxed)
}
