//! Words of an agent: untrusted text, made safe to show and never trusted as a fact.

use behalf_verify::sha256_hex;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization as _;
use unicode_width::UnicodeWidthChar as _;

/// How many cells of a terminal or a page the text may take.
const CELLS_MAX: usize = 200;

/// What an agent says, as a person is shown it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// The text: composed, without what hides or reorders other text, cut to [`CELLS_MAX`] cells.
    pub text: String,
    /// SHA-256 of the text as the agent sent it.
    pub raw_sha256: String,
}

impl Words {
    /// The words in `raw`; `None` when nothing of it can be seen.
    pub fn of(raw: &str) -> Option<Self> {
        let text = shown(raw);
        (!text.is_empty()).then(|| Self { text, raw_sha256: sha256_hex(raw.as_bytes()) })
    }
}

/// The text in composed form (NFC). Line breaks and runs of white space become one space; controls,
/// directional marks and everything else that takes no place of its own go, except marks on a
/// letter.
fn shown(raw: &str) -> String {
    let mut text = String::new();
    let mut cells = 0_usize;
    let mut marks = 0_usize;
    let mut is_spaced = true;
    for c in raw.nfc() {
        if c.is_whitespace() {
            if !is_spaced {
                text.push(' ');
                cells = cells.saturating_add(1);
                is_spaced = true;
            }
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        let width = c.width().unwrap_or(0);
        // Marks stand on a letter, a few at most: stacked ones would cover what is above.
        marks = if width == 0 { marks.saturating_add(1) } else { 0 };
        if width == 0 && (is_spaced || marks > 3) {
            continue;
        }
        if cells.saturating_add(width) > CELLS_MAX.saturating_sub(1) {
            text.truncate(text.trim_end().len());
            text.push('…');
            return text;
        }
        cells = cells.saturating_add(width);
        text.push(c);
        is_spaced = false;
    }
    text.truncate(text.trim_end().len());
    text
}

/// Controls, bidirectional controls, zero-width and other default-ignorable characters, private
/// use, unassigned specials and tags: what a reader cannot see, or what changes how the rest reads.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

/// A fact as a person is shown it: everything that will be sent, and nothing of it hidden.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Revealed {
    /// The text, with each character that cannot be seen, or that reorders others, as `⟦U+202E⟧`.
    pub text: String,
    /// How many of those there are.
    pub hidden: usize,
    /// True if a word mixes letters that look alike across alphabets.
    pub mixes_alphabets: bool,
}

/// Shows everything in `raw`. Unlike the words of an agent, a fact is not cleaned: what is sent is
/// what is approved.
pub fn reveal(raw: &str) -> Revealed {
    let mut revealed = Revealed { mixes_alphabets: mixes_alphabets(raw), ..Revealed::default() };
    for c in raw.chars() {
        // Emoji join and vary by these; between emoji they hide nothing.
        let is_emoji_joint = matches!(c, '\u{200d}' | '\u{fe0f}');
        if !is_invisible(c) || is_emoji_joint || matches!(c, '\n' | '\t') {
            revealed.text.push(c);
        } else if c != '\r' {
            revealed.text.push_str(&format!("⟦U+{:04X}⟧", u32::from(c)));
            revealed.hidden = revealed.hidden.saturating_add(1);
        }
    }
    revealed
}

/// True if a word has Latin letters beside Greek or Cyrillic ones, of which many look the same.
fn mixes_alphabets(text: &str) -> bool {
    let is_latin =
        |c: char| c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}' if c.is_alphabetic());
    let is_other = |c: char| matches!(c, '\u{370}'..='\u{52f}' if c.is_alphabetic());
    text.split(|c: char| !c.is_alphabetic())
        .any(|word| word.contains(is_latin) && word.contains(is_other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_question_marks_stand_as_they_are() {
        let text = r#"Do you approve creating a public Gist with the title: "Ünïcode 🎉"?"#;
        assert_eq!(Words::of(text).unwrap().text, text);
    }

    #[test]
    fn what_hides_or_reorders_text_goes() {
        for (raw, text) in [
            ("a\u{202e}b\u{202c}c", "abc"),
            ("pay\u{200b}pal\u{2066}x\u{2069}", "paypalx"),
            ("a\u{0}\u{1b}[31mb", "a[31mb"),
            ("one\r\n\n two\t\u{a0}three ", "one two three"),
            ("\u{e0041}\u{e0042}x", "x"),
            ("e\u{301}", "é"),
            ("\u{301}x", "x"),
        ] {
            assert_eq!(shown(raw), text, "{raw:?}");
        }
        assert_eq!(Words::of("\u{200b}\u{202e} \n"), None);
        let stacked: String =
            std::iter::once('a').chain(["\u{336}"; 50].concat().chars()).collect();
        assert_eq!(shown(&stacked).chars().count(), 4);
    }

    #[test]
    fn long_text_is_cut_at_two_hundred_cells() {
        let long = "x".repeat(300);
        assert_eq!(shown(&long).chars().count(), 200);
        assert!(shown(&long).ends_with('…'));
        assert_eq!(shown(&"界".repeat(300)).chars().count(), 100);
        assert_eq!(shown(&"x".repeat(199)), "x".repeat(199));
    }

    #[test]
    fn a_fact_hides_nothing() {
        let revealed = reveal("a\u{202e}b\u{200b}\nc\u{0}");
        assert_eq!(revealed.text, "a⟦U+202E⟧b⟦U+200B⟧\nc⟦U+0000⟧");
        assert_eq!(revealed.hidden, 3);
        assert_eq!(reveal("plain <b>\r\n").text, "plain <b>\n");
        assert!(reveal("p\u{430}ypal").mixes_alphabets, "a Cyrillic a");
        assert!(!reveal("Привет, Ann").mixes_alphabets);
    }

    #[test]
    fn the_hash_is_of_what_was_sent() {
        let words = Words::of("a\u{202e}b").unwrap();
        assert_eq!(words.raw_sha256, sha256_hex("a\u{202e}b".as_bytes()));
    }
}
