//! The model's text as a page shows it: paragraphs, lists, code, bold and links, and nothing else.
//! What comes out are plain pieces that the template escapes; no markup of the model survives.

/// A block of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Block {
    Heading(Vec<Inline>),
    Paragraph(Vec<Inline>),
    List(Vec<Vec<Inline>>),
    Code(String),
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Inline {
    Text(String),
    Bold(String),
    Code(String),
    /// An address, which is also its text: a page never shows one and leads to another.
    Link(String),
}

/// The blocks of `text`.
pub(super) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph: Vec<&str> = Vec::new();
    let mut list: Vec<Vec<Inline>> = Vec::new();
    let mut code: Option<String> = None;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(lines) = &mut code {
            if trimmed.starts_with("```") {
                blocks.push(Block::Code(code.take().unwrap_or_default()));
            } else {
                lines.push_str(line);
                lines.push('\n');
            }
            continue;
        }
        let item = trimmed.strip_prefix("- ").or_else(|| trimmed.strip_prefix("* "));
        if item.is_none() && !list.is_empty() {
            blocks.push(Block::List(std::mem::take(&mut list)));
        }
        let heading = trimmed.trim_start_matches('#');
        let is_heading = heading.len() < trimmed.len() && heading.starts_with(' ');
        if item.is_some() || is_heading || trimmed.is_empty() || trimmed.starts_with("```") {
            end_paragraph(&mut blocks, &mut paragraph);
        }
        match item {
            Some(item) => list.push(inlines(item)),
            None if trimmed.starts_with("```") => code = Some(String::new()),
            None if is_heading => blocks.push(Block::Heading(inlines(heading.trim()))),
            None if trimmed.is_empty() => {}
            None => paragraph.push(trimmed),
        }
    }
    end_paragraph(&mut blocks, &mut paragraph);
    if !list.is_empty() {
        blocks.push(Block::List(list));
    }
    if let Some(lines) = code {
        blocks.push(Block::Code(lines));
    }
    blocks
}

fn end_paragraph(blocks: &mut Vec<Block>, paragraph: &mut Vec<&str>) {
    if !paragraph.is_empty() {
        blocks.push(Block::Paragraph(inlines(&std::mem::take(paragraph).join(" "))));
    }
}

fn inlines(text: &str) -> Vec<Inline> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let next = [("**", 2), ("`", 1), ("https://", 0), ("http://", 0)]
            .into_iter()
            .filter_map(|(mark, length)| rest.find(mark).map(|place| (place, mark, length)))
            .min_by_key(|(place, ..)| *place);
        let Some((place, mark, length)) = next else { break };
        let (before, after) = rest.split_at(place);
        let found = if length == 0 {
            let end = after.find(|c: char| c.is_whitespace() || "<>\"`)]*".contains(c));
            let (link, tail) = after.split_at(end.unwrap_or(after.len()));
            let plain = link.trim_end_matches(['.', ',', ';', ':', '!', '?']);
            let tail_length = link.len().saturating_sub(plain.len()).saturating_add(tail.len());
            let tail = after.split_at(after.len().saturating_sub(tail_length)).1;
            (plain.len() > mark.len()).then(|| (Inline::Link(plain.to_owned()), tail))
        } else {
            let inner = after.split_at(length).1;
            inner.split_once(mark).filter(|(inside, _)| !inside.is_empty()).map(|(inside, tail)| {
                let inside = inside.to_owned();
                let piece = if length == 2 { Inline::Bold(inside) } else { Inline::Code(inside) };
                (piece, tail)
            })
        };
        match found {
            Some((piece, tail)) => {
                push_text(&mut pieces, before);
                pieces.push(piece);
                rest = tail;
            }
            // An open mark is text.
            None => {
                let cut = place.saturating_add(mark.len());
                let (text, tail) = rest.split_at(cut);
                push_text(&mut pieces, text);
                rest = tail;
            }
        }
    }
    push_text(&mut pieces, rest);
    pieces
}

fn push_text(pieces: &mut Vec<Inline>, text: &str) {
    if text.is_empty() {
        return;
    }
    match pieces.last_mut() {
        Some(Inline::Text(known)) => known.push_str(text),
        _ => pieces.push(Inline::Text(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Inline {
        Inline::Text(text.to_owned())
    }

    #[test]
    fn text_becomes_blocks() {
        let source =
            "# Title\nOne\ntwo\n\n- **a**: `b`\n- https://x.example/y.\n```rust\n<b>\n```\nend";
        assert_eq!(
            blocks(source),
            [
                Block::Heading(vec![text("Title")]),
                Block::Paragraph(vec![text("One two")]),
                Block::List(vec![
                    vec![Inline::Bold("a".into()), text(": "), Inline::Code("b".into())],
                    vec![Inline::Link("https://x.example/y".into()), text(".")],
                ]),
                Block::Code("<b>\n".into()),
                Block::Paragraph(vec![text("end")]),
            ]
        );
    }

    #[test]
    fn only_plain_web_addresses_become_links_and_open_marks_stay_text() {
        assert_eq!(inlines("a ** b ` c"), [text("a ** b ` c")]);
        assert_eq!(inlines("javascript:alert(1) https://"), [text("javascript:alert(1) https://")]);
        let evil = inlines("see https://a.example/\"onclick=x");
        assert_eq!(evil[1], Inline::Link("https://a.example/".into()));
        assert_eq!(
            inlines("[x](https://evil.example)")[1],
            Inline::Link("https://evil.example".into())
        );
        assert_eq!(blocks("```\nopen"), [Block::Code("open\n".into())]);
    }
}
