//! HTML: the text between the tags, without what is for browsers.

use super::{Block, Pieces};

/// Elements whose content is not text.
const RAW: [&str; 4] = ["script", "style", "textarea", "title"];
/// Elements whose content is not the document's.
const SKIPPED: [&str; 7] = ["head", "nav", "noscript", "template", "svg", "iframe", "object"];
/// Elements that end a paragraph.
const BREAKS: [&str; 34] = [
    "p",
    "div",
    "br",
    "li",
    "ul",
    "ol",
    "dl",
    "dt",
    "dd",
    "table",
    "tr",
    "section",
    "article",
    "header",
    "footer",
    "main",
    "aside",
    "blockquote",
    "figure",
    "figcaption",
    "hr",
    "pre",
    "form",
    "fieldset",
    "details",
    "summary",
    "body",
    "html",
    "address",
    "caption",
    "thead",
    "tbody",
    "option",
    "center",
];
/// Named characters that texts use.
const NAMED: [(&str, &str); 36] = [
    ("amp", "&"),
    ("lt", "<"),
    ("gt", ">"),
    ("quot", "\""),
    ("apos", "'"),
    ("nbsp", " "),
    ("mdash", "—"),
    ("ndash", "–"),
    ("hellip", "…"),
    ("copy", "©"),
    ("reg", "®"),
    ("trade", "™"),
    ("rarr", "→"),
    ("larr", "←"),
    ("laquo", "«"),
    ("raquo", "»"),
    ("ldquo", "“"),
    ("rdquo", "”"),
    ("lsquo", "‘"),
    ("rsquo", "’"),
    ("para", "¶"),
    ("sect", "§"),
    ("bull", "•"),
    ("middot", "·"),
    ("times", "×"),
    ("deg", "°"),
    ("euro", "€"),
    ("auml", "ä"),
    ("ouml", "ö"),
    ("uuml", "ü"),
    ("Auml", "Ä"),
    ("Ouml", "Ö"),
    ("Uuml", "Ü"),
    ("szlig", "ß"),
    ("eacute", "é"),
    ("egrave", "è"),
];

/// A tag, and what follows it.
struct Tag<'a> {
    name: String,
    is_end: bool,
    attributes: &'a str,
    rest: &'a str,
}

pub(super) fn blocks(content: &str) -> Vec<Block> {
    let mut reader = Reader::default();
    let mut rest = content;
    while let Some(at) = rest.find('<') {
        let (text, tail) = rest.split_at(at);
        reader.text(text);
        rest = reader.markup(tail);
    }
    reader.text(rest);
    reader.end_block();
    reader.pieces.finish()
}

/// What `<title>` holds.
pub(super) fn title(content: &str) -> Option<String> {
    let mut rest = content;
    while let Some(at) = rest.find('<') {
        let tail = rest.split_at(at).1;
        match after_comment(tail).or_else(|| tail.strip_prefix('<').filter(|_| tag(tail).is_none()))
        {
            Some(after) => rest = after,
            None => {
                let tag = tag(tail)?;
                if tag.name == "title" && !tag.is_end {
                    let text = tag.rest.split('<').next().unwrap_or_default();
                    return Some(decoded(text));
                }
                if tag.name == "body" {
                    return None;
                }
                rest = tag.rest;
            }
        }
    }
    None
}

#[derive(Default)]
struct Reader {
    pieces: Pieces,
    /// The text of the block so far, spaces folded unless within `<pre>`.
    line: String,
    heading: Option<u8>,
    pre_depth: usize,
    /// The element that is skipped, and how many of its name are open.
    skipping: Option<(String, usize)>,
}

impl Reader {
    fn text(&mut self, text: &str) {
        if self.skipping.is_some() {
            return;
        }
        // A pilcrow is what documentation generators link a heading by.
        for c in decoded(text).chars().filter(|c| *c != '¶') {
            if self.pre_depth > 0 || !c.is_whitespace() {
                self.line.push(c);
            } else if !self.line.is_empty() && !self.line.ends_with(' ') {
                self.line.push(' ');
            }
        }
    }

    /// Reads what `tail`, which begins with `<`, begins with, and gives back what follows.
    fn markup<'a>(&mut self, tail: &'a str) -> &'a str {
        if let Some(after) = after_comment(tail) {
            return after;
        }
        let Some(tag) = tag(tail) else {
            self.text("<");
            return tail.get(1..).unwrap_or_default();
        };
        let mut rest = tag.rest;
        if RAW.contains(&tag.name.as_str()) && !tag.is_end {
            rest = after_raw(rest, &tag.name);
        } else {
            self.element(&tag);
        }
        rest
    }

    fn element(&mut self, tag: &Tag<'_>) {
        let name = tag.name.as_str();
        if let Some((skipped, depth)) = &mut self.skipping {
            if skipped == name {
                *depth = if tag.is_end { depth.saturating_sub(1) } else { depth.saturating_add(1) };
            }
            // A body ends a head that nobody closed.
            if *depth == 0 || (name == "body" && skipped == "head") {
                self.skipping = None;
            }
            return;
        }
        let is_navigation = tag.attributes.contains("role=\"navigation\"");
        if !tag.is_end && (SKIPPED.contains(&name) || is_navigation) {
            self.end_block();
            self.skipping = Some((tag.name.clone(), 1));
            return;
        }
        let level = name.strip_prefix('h').and_then(|n| n.parse::<u8>().ok());
        if let Some(level) = level.filter(|level| (1..=6).contains(level)) {
            self.end_block();
            self.heading = (!tag.is_end).then_some(level);
        } else if BREAKS.contains(&name) {
            self.end_block();
        } else if matches!(name, "td" | "th") && !self.line.is_empty() {
            self.line.push(' ');
        }
        if name == "pre" {
            self.pre_depth = if tag.is_end { 0 } else { 1 };
        }
    }

    fn end_block(&mut self) {
        let line = std::mem::take(&mut self.line);
        match self.heading.take() {
            Some(level) => self.pieces.heading(level, &line),
            None => {
                self.pieces.push_line(if self.pre_depth > 0 { &line } else { line.trim() });
                self.pieces.end_paragraph();
            }
        }
    }
}

/// What follows a comment, a declaration or a processing instruction.
fn after_comment(tail: &str) -> Option<&str> {
    let after = |rest: &'_ str, end: &str| rest.find(end).map(|at| at + end.len());
    if let Some(rest) = tail.strip_prefix("<!--") {
        return Some(after(rest, "-->").and_then(|at| rest.get(at..)).unwrap_or_default());
    }
    let rest = tail.strip_prefix("<!").or_else(|| tail.strip_prefix("<?"))?;
    Some(after(rest, ">").and_then(|at| rest.get(at..)).unwrap_or_default())
}

/// The tag at the front; `None` when it is only a `<`. One that never ends goes to the end.
fn tag(tail: &str) -> Option<Tag<'_>> {
    let inner = tail.strip_prefix('<')?;
    let (is_end, inner) = match inner.strip_prefix('/') {
        Some(inner) => (true, inner),
        None => (false, inner),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if !inner.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return None;
    }
    let end = inner.find(|c| !is_name(c)).unwrap_or(inner.len());
    let (name, after) = inner.split_at(end);
    let mut quote = None;
    for (at, c) in after.char_indices() {
        match (quote, c) {
            (None, '>') => {
                let (attributes, rest) = after.split_at(at);
                let rest = rest.strip_prefix('>').unwrap_or_default();
                let name = name.to_ascii_lowercase();
                return Some(Tag { name, is_end, attributes, rest });
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            _ => {}
        }
    }
    Some(Tag { name: name.to_ascii_lowercase(), is_end, attributes: after, rest: "" })
}

/// What follows the end tag of an element whose content is not markup.
fn after_raw<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut tail = rest;
    while let Some(at) = tail.find("</") {
        let after = tail.get(at + 2..).unwrap_or_default();
        let is_end = after.get(..name.len()).is_some_and(|text| text.eq_ignore_ascii_case(name));
        if is_end {
            return after.split_once('>').map_or("", |(_, rest)| rest);
        }
        tail = after;
    }
    ""
}

/// The text with its character references resolved; unknown ones stay.
fn decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let end = after.bytes().take(12).position(|b| b == b';');
        let named = end.and_then(|end| Some((after.get(..end)?, after.get(end + 1..)?)));
        match named.and_then(|(name, tail)| Some((character(name)?, tail))) {
            Some((text, tail)) => {
                out.push_str(&text);
                rest = tail;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(name: &str) -> Option<String> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code).filter(|c| *c != '\0').map(String::from);
    }
    NAMED.iter().find(|(known, _)| *known == name).map(|(_, text)| (*text).to_owned())
}
