//! Regular expressions as RE2 reads them, on a library that reads some of them otherwise.
//!
//! In RE2 `\d`, `\w`, `\s` and `\b` are ASCII, and brackets hold no brackets and no set operators.
//! A pattern is rewritten so that it means here what it means there; what cannot be said is an
//! error, never another meaning.

use regex::{Regex, RegexBuilder};

/// A compiled pattern and the size it is charged for.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) regex: Regex,
    /// Its length in characters, as it was written.
    pub(crate) pattern_size: u64,
}

/// Compiles a pattern of RE2's syntax.
pub(crate) fn compile(pattern: &str) -> Result<Pattern, String> {
    let invalid = || format!("error parsing regexp: `{pattern}`");
    let rewritten = rewrite(pattern).ok_or_else(invalid)?;
    let regex = RegexBuilder::new(&rewritten)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .nest_limit(100)
        .build()
        .map_err(|_| invalid())?;
    Ok(Pattern { regex, pattern_size: pattern.chars().count() as u64 })
}

fn rewrite(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next()? {
                'Q' => quoted(&mut chars, &mut out),
                'b' => out.push_str(r"(?-u:\b)"),
                'B' => out.push_str(r"(?-u:\B)"),
                'd' => out.push_str("[0-9]"),
                'D' => out.push_str("[^0-9]"),
                'w' => out.push_str("[0-9A-Za-z_]"),
                'W' => out.push_str("[^0-9A-Za-z_]"),
                's' => out.push_str(r"[\t\n\f\r ]"),
                'S' => out.push_str(r"[^\t\n\f\r ]"),
                // Word boundaries that RE2 does not have.
                '<' | '>' => return None,
                other => out.extend(['\\', other]),
            },
            '[' => class(&mut chars, &mut out)?,
            c => out.push(c),
        }
    }
    Some(out)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// `\Q…\E`: everything up to `\E` is literal.
fn quoted(chars: &mut Chars<'_>, out: &mut String) {
    let mut literal = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            break;
        }
        literal.push(c);
    }
    out.push_str(&regex::escape(&literal));
}

/// What stands between brackets.
fn class(chars: &mut Chars<'_>, out: &mut String) -> Option<()> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    // A bracket in the first place is a character.
    if chars.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    loop {
        match chars.next()? {
            ']' => {
                out.push(']');
                return Some(());
            }
            '[' if chars.peek() == Some(&':') => {
                // `[:alpha:]`, which is ASCII in both.
                out.push('[');
                loop {
                    let c = chars.next()?;
                    out.push(c);
                    if c == ':' && chars.peek() == Some(&']') {
                        chars.next();
                        out.push(']');
                        break;
                    }
                    if c != ':' && c != '^' && !c.is_ascii_alphabetic() {
                        return None;
                    }
                }
            }
            '\\' if is_range_end(out) && chars.peek().is_some_and(|c| "dDwWsS".contains(*c)) => {
                return None;
            }
            '\\' => match chars.next()? {
                'd' => out.push_str("0-9"),
                'D' => out.push_str("[^0-9]"),
                'w' => out.push_str("0-9A-Za-z_"),
                'W' => out.push_str("[^0-9A-Za-z_]"),
                's' => out.push_str(r"\t\n\f\r "),
                'S' => out.push_str(r"[^\t\n\f\r ]"),
                'b' | 'B' => return None,
                other => out.extend(['\\', other]),
            },
            '-' if chars.peek() == Some(&'-') => out.push_str(r"\-"),
            c @ ('[' | '&' | '~') => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
}

/// True if a hyphen makes what follows the end of a range.
fn is_range_end(class: &str) -> bool {
    let is_literal = ["[-", "[^-", r"\-"].iter().any(|start| class.ends_with(start));
    class.ends_with('-') && !is_literal
}
