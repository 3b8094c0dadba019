//! Passages: paragraphs packed until a passage has enough to say, cut only where one ends.

use behalf_store::documents::ChunkRow;

use crate::convert::Block;

/// Characters after which a passage ends with its paragraph.
const TARGET: usize = 1_000;
/// A passage that a heading would end goes on instead while it is shorter than this.
const SHORT: usize = 300;
/// Characters that a passage never exceeds.
const MAX: usize = 2_000;
/// Characters of a passage's heading.
const MAX_HEADING: usize = 400;

/// Cuts a document into passages, each with the title and the headings above it.
pub(crate) fn chunks(title: &str, blocks: Vec<Block>) -> Vec<ChunkRow> {
    let mut cutter = Cutter {
        title,
        path: Vec::new(),
        heading: String::new(),
        text: String::new(),
        chars: 0,
        done: Vec::new(),
    };
    for block in blocks {
        match block {
            Block::Heading(level, text) => cutter.heading(level, &text),
            Block::Text(text) => cutter.paragraph(&text),
        }
    }
    cutter.flush();
    // A document without text is still found by its title.
    if cutter.done.is_empty() {
        cutter.text = title.to_owned();
        cutter.flush();
    }
    cutter.done
}

struct Cutter<'a> {
    title: &'a str,
    /// The headings above, by level.
    path: Vec<(u8, String)>,
    /// The heading of the passage that is being filled.
    heading: String,
    text: String,
    chars: usize,
    done: Vec<ChunkRow>,
}

impl Cutter<'_> {
    fn heading(&mut self, level: u8, text: &str) {
        if self.chars >= SHORT {
            self.flush();
        }
        let keep = self.path.iter().take_while(|(above, _)| *above < level).count();
        self.path.truncate(keep);
        self.path.push((level, text.chars().take(MAX_HEADING).collect()));
        if self.chars > 0 {
            self.add(text);
        }
    }

    fn paragraph(&mut self, text: &str) {
        for piece in pieces(text) {
            if self.chars.saturating_add(piece.chars().count()) > MAX {
                self.flush();
            }
            self.add(piece);
            if self.chars >= TARGET {
                self.flush();
            }
        }
    }

    fn add(&mut self, text: &str) {
        if self.chars == 0 {
            self.heading = self.place();
        } else {
            self.text.push_str("\n\n");
        }
        self.text.push_str(text);
        self.chars = self.chars.saturating_add(text.chars().count()).saturating_add(2);
    }

    /// `Title › Heading › Heading`.
    fn place(&self) -> String {
        let headings = self.path.iter().map(|(_, text)| text.as_str());
        let parts: Vec<&str> = std::iter::once(self.title).chain(headings).collect();
        parts.join(" › ").chars().take(MAX_HEADING).collect()
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.text);
        self.chars = 0;
        if text.trim().is_empty() {
            return;
        }
        let heading = std::mem::take(&mut self.heading);
        let heading = if heading.is_empty() { self.place() } else { heading };
        let ordinal = i64::try_from(self.done.len()).unwrap_or(i64::MAX);
        self.done.push(ChunkRow { ordinal, heading, text });
    }
}

/// A paragraph in pieces of at most [`TARGET`] characters, cut behind a line, a sentence or a word
/// where there is one.
fn pieces(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((limit, _)) = rest.char_indices().nth(TARGET) {
        let head = rest.get(..limit).unwrap_or(rest);
        let half = head.len() / 2;
        let behind =
            |mark: &str| head.rfind(mark).map(|at| at + mark.len()).filter(|at| *at > half);
        let cut = behind("\n").or_else(|| behind(". ")).or_else(|| behind(" ")).unwrap_or(limit);
        let (piece, tail) = rest.split_at(cut);
        found.push(piece.trim_end());
        rest = tail.trim_start_matches('\n');
    }
    if !rest.trim().is_empty() {
        found.push(rest);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Block {
        Block::Text(text.to_owned())
    }

    #[test]
    fn a_passage_knows_the_headings_above_it() {
        let long = "word ".repeat(100);
        let found = chunks(
            "Plan",
            vec![
                Block::Heading(1, "One".into()),
                text(&long),
                Block::Heading(2, "Two".into()),
                text(&long),
                Block::Heading(1, "Three".into()),
                text("short"),
                Block::Heading(1, "Four".into()),
                text("goes on"),
            ],
        );
        let headings: Vec<_> = found.iter().map(|chunk| chunk.heading.as_str()).collect();
        assert_eq!(headings, ["Plan › One", "Plan › One › Two", "Plan › Three"]);
        assert_eq!(found[2].text, "short\n\nFour\n\ngoes on");
        assert_eq!(found.iter().map(|chunk| chunk.ordinal).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn nothing_is_lost_and_no_passage_is_too_long() {
        let words: Vec<String> = (0..5_000).map(|n| format!("wörd{n}")).collect();
        for separator in [" ", "\n", ". ", "\u{a0}"] {
            let found = chunks("t", vec![text(&words.join(separator))]);
            assert!(found.iter().all(|chunk| chunk.text.chars().count() <= MAX));
            let all: String = found.iter().map(|chunk| chunk.text.as_str()).collect();
            assert!(words.iter().all(|word| all.contains(word)), "{separator:?}");
        }
        let unbroken = chunks("t", vec![text(&"ä".repeat(10_000))]);
        assert_eq!(unbroken.iter().map(|chunk| chunk.text.chars().count()).sum::<usize>(), 10_000);
    }

    #[test]
    fn many_headings_do_not_make_many_passages() {
        let blocks = (0..10_000).flat_map(|n| [Block::Heading(1, format!("{n}")), text("x")]);
        assert!(chunks("t", blocks.collect()).len() < 500);
        assert_eq!(chunks("Only a title", Vec::new())[0].text, "Only a title");
    }
}
