//! Manual pages: the text between the macros of `man` and `mdoc`.

use super::{Block, Pieces, one_line};

/// Macros whose arguments are text, with spaces between them.
const WORDS: [&str; 6] = ["B", "I", "SM", "SB", "TQ", "OP"];
/// Macros whose arguments are text in two fonts, without spaces between them.
const JOINED: [&str; 6] = ["BR", "BI", "RB", "RI", "IB", "IR"];
/// Macros that begin a paragraph.
const PARAGRAPH: [&str; 8] = ["PP", "P", "LP", "Pp", "sp", "HP", "RS", "RE"];
/// mdoc's macros whose arguments are text.
const MDOC: [&str; 22] = [
    "Nm", "Nd", "Ar", "Cm", "Fl", "Op", "Pa", "Xr", "Em", "Sy", "Li", "Dq", "Ql", "Fn", "Fa", "Va",
    "Ev", "Dv", "Er", "Sq", "Ic", "Vt",
];
/// Named characters.
const NAMED: [(&str, &str); 26] = [
    ("em", "—"),
    ("en", "–"),
    ("bu", "•"),
    ("co", "©"),
    ("lq", "“"),
    ("rq", "”"),
    ("oq", "‘"),
    ("cq", "’"),
    ("aq", "'"),
    ("dq", "\""),
    ("ha", "^"),
    ("ti", "~"),
    ("hy", "-"),
    ("rs", "\\"),
    ("ga", "`"),
    ("+-", "±"),
    ("->", "→"),
    ("<-", "←"),
    ("mu", "×"),
    ("sc", "§"),
    ("de", "°"),
    ("Fo", "«"),
    ("Fc", "»"),
    ("tm", "™"),
    ("rg", "®"),
    ("at", "@"),
];

/// `open(2): open, openat - open a file`.
pub(super) fn title(content: &str) -> Option<String> {
    let header = content.lines().find_map(|line| {
        line.strip_prefix(".TH ").or_else(|| line.strip_prefix(".Dt ")).map(arguments)
    })?;
    let mut header = header.into_iter();
    let name = header.next()?.to_lowercase();
    let page = header.next().map_or_else(|| name.clone(), |section| format!("{name}({section})"));
    let mut summary = blocks(content).into_iter().skip_while(
        |block| !matches!(block, Block::Heading(_, text) if text.eq_ignore_ascii_case("name")),
    );
    match summary.nth(1) {
        Some(Block::Text(text)) => {
            let text: String = one_line(&text).chars().take(200).collect();
            Some(format!("{page}: {text}"))
        }
        _ => Some(page),
    }
}

pub(super) fn blocks(content: &str) -> Vec<Block> {
    let mut page = Page::default();
    for line in content.lines() {
        page.line(line);
    }
    page.pieces.finish()
}

#[derive(Default)]
struct Page {
    pieces: Pieces,
    /// Lines up to this one are not text: the end of a macro's definition.
    skip_until: Option<&'static str>,
    /// Open `\{` of conditions that are for printers.
    conditional: usize,
    /// A heading whose text stands on the next line.
    heading: Option<u8>,
    keeps_lines: bool,
    /// The format lines of a table, which end with a full stop.
    is_table_format: bool,
}

impl Page {
    fn line(&mut self, line: &str) {
        if let Some(end) = self.skip_until {
            if line.trim_end() == end {
                self.skip_until = None;
            }
            return;
        }
        if self.conditional > 0 {
            let opened = line.matches("\\{").count();
            let closed = line.matches("\\}").count();
            self.conditional = self.conditional.saturating_add(opened).saturating_sub(closed);
            return;
        }
        if self.is_table_format {
            self.is_table_format = !line.trim_end().ends_with('.');
            return;
        }
        match line.strip_prefix(['.', '\'']) {
            Some(request) => self.request(request.trim_start()),
            None if line.trim().is_empty() => self.pieces.end_paragraph(),
            None => self.text(&unescaped(line).replace('\t', " ")),
        }
    }

    fn request(&mut self, request: &str) {
        let name = request.split_whitespace().next().unwrap_or_default();
        let rest = request.strip_prefix(name).unwrap_or_default();
        match name {
            "SH" | "Sh" | "SS" | "Ss" => {
                let level = if name.eq_ignore_ascii_case("sh") { 1 } else { 2 };
                let text = arguments(rest).join(" ");
                self.pieces.end_paragraph();
                self.keeps_lines = false;
                self.heading = text.is_empty().then_some(level);
                self.pieces.heading(level, &text);
            }
            "TP" => self.pieces.end_paragraph(),
            "IP" | "It" => {
                self.pieces.end_paragraph();
                let arguments = arguments(rest);
                let count = if name == "IP" { 1 } else { arguments.len() };
                self.text(&arguments.into_iter().take(count).collect::<Vec<_>>().join(" "));
            }
            "nf" | "EX" => {
                self.pieces.end_paragraph();
                self.keeps_lines = true;
            }
            "fi" | "EE" => {
                self.pieces.end_paragraph();
                self.keeps_lines = false;
            }
            "de" | "ig" => self.skip_until = Some(".."),
            "TS" => self.is_table_format = true,
            "if" | "ie" | "el" => self.conditional = request.matches("\\{").count(),
            _ if PARAGRAPH.contains(&name) => self.pieces.end_paragraph(),
            _ if WORDS.contains(&name) => self.text(&arguments(rest).join(" ")),
            _ if JOINED.contains(&name) => self.text(&arguments(rest).concat()),
            _ if MDOC.contains(&name) => {
                let words = arguments(rest).into_iter().filter(|w| !MDOC.contains(&w.as_str()));
                let mark = if name == "Fl" { "-" } else { "" };
                self.text(&format!("{mark}{}", words.collect::<Vec<_>>().join(" ")));
            }
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        if let Some(level) = self.heading.take() {
            self.pieces.heading(level, text);
        } else if self.keeps_lines {
            self.pieces.push_line(text.trim_end());
        } else {
            if !self.pieces.text.is_empty() {
                self.pieces.text.push(' ');
            }
            self.pieces.text.push_str(text.trim());
        }
    }
}

/// The arguments of a request: words, or what stands in double quotes.
fn arguments(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() && !rest.starts_with("\\\"") {
        let (argument, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => rest.split_at(end_of_word(rest)),
        };
        found.push(unescaped(argument));
        rest = after.trim_start();
    }
    found
}

/// Where the first space stands that no backslash escapes.
fn end_of_word(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices() {
        if !is_escaped && c.is_whitespace() {
            return at;
        }
        is_escaped = !is_escaped && c == '\\';
    }
    text.len()
}

/// The text with its escape sequences resolved.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('-') => out.push('-'),
            Some('e' | '\\') => out.push('\\'),
            Some(' ' | '~' | '0') => out.push(' '),
            Some('\'') => out.push('\''),
            Some('`') => out.push('`'),
            Some('.') => out.push('.'),
            Some('"') | None => break,
            Some('(') => {
                let name: String = chars.by_ref().take(2).collect();
                out.push_str(named(&name));
            }
            Some('[') => {
                let name: String = chars.by_ref().take_while(|c| *c != ']').collect();
                out.push_str(named(&name));
            }
            Some('f' | '*' | 'n' | 'm' | 'M' | 'F' | 'k' | 'g') => skip_name(&mut chars),
            Some('s') => skip_size(&mut chars),
            Some('h' | 'v' | 'w' | 'o' | 'X' | 'Z' | 'D' | 'l' | 'L' | 'b' | 'N') => {
                skip_quoted(&mut chars);
            }
            // What only moves the print head.
            Some(_) => {}
        }
    }
    out
}

fn named(name: &str) -> &'static str {
    NAMED.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| *text)
}

/// `X`, `(XX` or `[XXX]`.
fn skip_name(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('(') => chars.by_ref().take(2).for_each(drop),
        Some('[') => chars.by_ref().take_while(|c| *c != ']').for_each(drop),
        _ => {}
    }
}

/// `0`, `+1`, `-1`, `(12`.
fn skip_size(chars: &mut std::str::Chars<'_>) {
    match chars.next() {
        Some('+' | '-') => chars.by_ref().take(1).for_each(drop),
        Some('(') => chars.by_ref().take(2).for_each(drop),
        Some('[') => chars.by_ref().take_while(|c| *c != ']').for_each(drop),
        _ => {}
    }
}

/// `'…'`.
fn skip_quoted(chars: &mut std::str::Chars<'_>) {
    if chars.as_str().starts_with('\'') {
        chars.next();
        chars.by_ref().take_while(|c| *c != '\'').for_each(drop);
    }
}
