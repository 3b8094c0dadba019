//! Markdown: headings, paragraphs, code. Links keep their text; list marks and code stay.

use super::{Block, Pieces};

/// Lines among which the end of the front matter is looked for.
const FRONT_MATTER_LINES: usize = 60;

pub(super) fn blocks(content: &str) -> Vec<Block> {
    let mut pieces = Pieces::default();
    let mut fence: Option<&str> = None;
    let mut is_comment = false;
    for line in without_front_matter(content).lines() {
        let trimmed = line.trim();
        if let Some(mark) = fence {
            if trimmed.starts_with(mark) && trimmed.trim_start_matches(mark).trim().is_empty() {
                fence = None;
                pieces.end_paragraph();
            } else {
                pieces.push_line(line.trim_end());
            }
        } else if is_comment {
            is_comment = !trimmed.ends_with("-->");
        } else if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark))
        {
            pieces.end_paragraph();
            fence = Some(mark);
        } else if trimmed.starts_with("<!--") {
            is_comment = !trimmed.contains("-->");
        } else if trimmed.is_empty() {
            pieces.end_paragraph();
        } else if let Some((level, text)) = heading(trimmed) {
            pieces.heading(level, &inline(text));
        } else if let Some(level) = underline(trimmed).filter(|_| is_one_line(&pieces.text)) {
            let text = std::mem::take(&mut pieces.text);
            pieces.heading(level, &text);
        } else {
            pieces.push_line(&inline(line.trim_end()));
        }
    }
    pieces.finish()
}

/// What stands between lines of `---` at the very top is for programs.
fn without_front_matter(content: &str) -> &str {
    let Some(rest) = content.strip_prefix("---\n").or_else(|| content.strip_prefix("---\r\n"))
    else {
        return content;
    };
    let mut length = 0;
    for line in rest.split_inclusive('\n').take(FRONT_MATTER_LINES) {
        length += line.len();
        if line.trim_end() == "---" {
            return rest.get(length..).unwrap_or_default();
        }
    }
    content
}

/// `## Text ##`.
fn heading(line: &str) -> Option<(u8, &str)> {
    let text = line.trim_start_matches('#');
    let level = u8::try_from(line.len().checked_sub(text.len())?).ok()?;
    let is_heading = (1..=6).contains(&level) && text.starts_with([' ', '\t']);
    is_heading.then(|| (level, text.trim().trim_end_matches('#').trim_end()))
}

/// A line of `===` or `---` below a heading.
fn underline(line: &str) -> Option<u8> {
    let is_all = |mark| line.len() >= 2 && line.bytes().all(|b| b == mark);
    if is_all(b'=') { Some(1) } else { is_all(b'-').then_some(2) }
}

fn is_one_line(text: &str) -> bool {
    !text.trim().is_empty() && !text.contains('\n') && text.len() <= 300
}

/// `[text](address)` and `![text](address)` become their text; `**` and backquotes go.
fn inline(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('[') {
        let link = after.split_once("](").filter(|(label, _)| !label.contains('['));
        let Some((label, target)) = link else {
            text.push_str(before);
            text.push('[');
            rest = after;
            continue;
        };
        text.push_str(before.strip_suffix('!').unwrap_or(before));
        text.push_str(label);
        rest = after_target(target);
    }
    text.push_str(rest);
    text.replace("**", "").replace('`', "")
}

/// What follows the `)` that closes a link's address, which may have pairs of its own.
fn after_target(target: &str) -> &str {
    let mut depth = 0_usize;
    for (at, c) in target.char_indices() {
        match c {
            '(' => depth += 1,
            ')' if depth == 0 => return target.get(at + 1..).unwrap_or_default(),
            ')' => depth -= 1,
            _ => {}
        }
    }
    ""
}
