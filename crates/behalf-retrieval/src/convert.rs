//! From what a document is written in to plain text: paragraphs, and headings by level.
//!
//! Each converter reads its input once from front to back and never fails: what it does not
//! understand stands in the text as it is.

mod html;
mod markdown;
mod troff;

use crate::document::ContentType;

/// A piece of a document's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// A heading of this level, from 1.
    Heading(u8, String),
    /// A paragraph, or lines that belong together.
    Text(String),
}

/// The text of a document.
pub(crate) fn blocks(content_type: ContentType, content: &str) -> Vec<Block> {
    match content_type {
        ContentType::Plain => plain(content),
        ContentType::Markdown => markdown::blocks(content),
        ContentType::Html => html::blocks(content),
        ContentType::Troff => troff::blocks(content),
    }
}

/// The title that a document gives itself, if it does.
pub fn title_of(content_type: ContentType, content: &str) -> Option<String> {
    let title = match content_type {
        ContentType::Plain => None,
        ContentType::Html => html::title(content),
        ContentType::Troff => troff::title(content),
        ContentType::Markdown => markdown::blocks(content).into_iter().find_map(|b| match b {
            Block::Heading(_, text) => Some(text),
            Block::Text(_) => None,
        }),
    };
    title.map(|title| one_line(&title)).filter(|title| !title.is_empty())
}

/// The text of a document as it is searched, for people to read.
pub fn as_text(content_type: &str, content: &str) -> String {
    let content_type = ContentType::parse(content_type).unwrap_or(ContentType::Plain);
    let text = blocks(content_type, content).into_iter().map(|block| match block {
        Block::Heading(_, text) | Block::Text(text) => text,
    });
    text.collect::<Vec<_>>().join("\n\n")
}

/// Paragraphs are what blank lines separate.
fn plain(content: &str) -> Vec<Block> {
    let mut pieces = Pieces::default();
    for line in content.lines() {
        if line.trim().is_empty() {
            pieces.end_paragraph();
        } else {
            pieces.push_line(line.trim_end());
        }
    }
    pieces.finish()
}

/// Words with single spaces between them.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Collects blocks.
#[derive(Debug, Default)]
struct Pieces {
    blocks: Vec<Block>,
    text: String,
}

impl Pieces {
    /// Adds a line to the paragraph.
    fn push_line(&mut self, line: &str) {
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    fn end_paragraph(&mut self) {
        let text = std::mem::take(&mut self.text);
        let text = text.trim_end().trim_start_matches('\n');
        if !text.trim().is_empty() {
            self.blocks.push(Block::Text(text.to_owned()));
        }
    }

    fn heading(&mut self, level: u8, text: &str) {
        self.end_paragraph();
        let text = one_line(text);
        if !text.is_empty() {
            self.blocks.push(Block::Heading(level, text));
        }
    }

    fn finish(mut self) -> Vec<Block> {
        self.end_paragraph();
        self.blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blocks as a reader sees them: `# ` before a heading of level 1.
    pub(super) fn shown(content_type: ContentType, content: &str) -> Vec<String> {
        let show = |block| match block {
            Block::Heading(level, text) => format!("{} {text}", "#".repeat(usize::from(level))),
            Block::Text(text) => text,
        };
        blocks(content_type, content).into_iter().map(show).collect()
    }

    #[test]
    fn blank_lines_separate_paragraphs() {
        let shown = shown(ContentType::Plain, "one\ntwo \n\n \n  three\r\n\r\nfour");
        assert_eq!(shown, ["one\ntwo", "  three", "four"]);
    }

    #[test]
    fn markdown_loses_its_marks_and_keeps_its_code() {
        let text = "---\ntitle: x\n---\n# The *plan*\n\nSee [the docs](https://x.example/a_(b)) and \
                    **this**.\n<!-- hidden -->\n\nSetext\n------\n- item\n\n```rust\n# not a heading\nlet a = b[0];\n```\n## End ##";
        assert_eq!(
            shown(ContentType::Markdown, text),
            [
                "# The *plan*",
                "See the docs and this.",
                "## Setext",
                "- item",
                "# not a heading\nlet a = b[0];",
                "## End"
            ]
        );
        assert_eq!(title_of(ContentType::Markdown, text).as_deref(), Some("The *plan*"));
    }

    #[test]
    fn html_loses_its_tags_scripts_and_navigation() {
        let text = "<!doctype html><html><head><title>A &amp; B</title><style>p{}</style></head><body>\
                    <nav><ul><li>Home</li></ul></nav><div role=\"navigation\"><div>x</div>y</div>\
                    <h1>One<a class=\"headerlink\" href=\"#x\">\u{b6}</a></h1><p>Fish &lt; chips&#33; \
                    caf&eacute; &bogus; 5 < 6</p><script>alert('</p>')</script>\
                    <pre>a\n  b</pre><ul><li>one</li><li>two</li></ul><p title='>'>end</p><!-- no --></body>";
        assert_eq!(
            shown(ContentType::Html, text),
            ["# One", "Fish < chips! café &bogus; 5 < 6", "a\n  b", "one", "two", "end"]
        );
        assert_eq!(title_of(ContentType::Html, text).as_deref(), Some("A & B"));
    }

    #[test]
    fn html_that_breaks_off_is_read_to_its_end() {
        for text in [
            "<",
            "a<b",
            "<!--",
            "<script>",
            "<p title=\"",
            "</",
            "<title>",
            "&",
            "&#",
            "&#x;",
            "<!",
        ] {
            let started = std::time::Instant::now();
            shown(ContentType::Html, &text.repeat(20_000));
            title_of(ContentType::Html, &text.repeat(20_000));
            assert!(started.elapsed().as_secs() < 5, "{text}");
        }
    }

    #[test]
    fn manual_pages_lose_their_macros() {
        let page = ".\\\" comment\n.TH OPEN 2 2023-02-05 \"Linux man-pages\"\n.SH NAME\nopen, openat \\- open a file\n\
                    .SH SYNOPSIS\n.nf\n.B #include <fcntl.h>\n.PP\n.BI \"int open(const char *\" pathname \", int \" flags );\n.fi\n\
                    .SH DESCRIPTION\nThe\n.BR open ()\nsystem call opens \\fIpathname\\fP.\n.TP\n.B O_APPEND\nIt \\(em appends.\n\
                    .if n \\{\\\n.sp\n.\\}\n.SS Sub\n\\(bu one\\[em]two";
        assert_eq!(
            shown(ContentType::Troff, page),
            [
                "# NAME",
                "open, openat - open a file",
                "# SYNOPSIS",
                "#include <fcntl.h>",
                "int open(const char *pathname, int flags);",
                "# DESCRIPTION",
                "The open() system call opens pathname.",
                "O_APPEND It — appends.",
                "## Sub",
                "• one—two"
            ]
        );
        assert_eq!(
            title_of(ContentType::Troff, page).as_deref(),
            Some("open(2): open, openat - open a file")
        );
    }
}
