//! A model's text in colours, line by line. It knows the words of the language and nothing of its
//! rules: a text with errors is coloured as far as it goes.

use std::collections::BTreeSet;

/// Lines that are coloured; later ones are plain.
const MAX_LINES: usize = 2_000;

/// A relation of a type, by name.
pub(crate) type RelationName = (String, String);

/// A line of the text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    pub(crate) tokens: Vec<Token>,
    /// The relation that it defines.
    pub(crate) defines: Option<RelationName>,
    /// How it stands out: empty, `used` by an answer, `wrong`, `added` or `removed`.
    pub(crate) mark: &'static str,
}

/// A piece of a line; without a class it is plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) class: &'static str,
    pub(crate) text: String,
}

/// Colours a model's text.
pub(crate) fn colour(text: &str) -> Vec<Line> {
    let mut state = State::default();
    let lines = text.lines().enumerate();
    lines
        .map(|(index, line)| {
            if index < MAX_LINES {
                return state.line(line);
            }
            let tokens = vec![Token { class: "", text: line.to_owned() }];
            Line { tokens, ..Line::default() }
        })
        .collect()
}

/// The same, with the lines of these relations marked.
pub(crate) fn colour_used(text: &str, used: &BTreeSet<RelationName>) -> Vec<Line> {
    let mut lines = colour(text);
    for line in &mut lines {
        if line.defines.as_ref().is_some_and(|name| used.contains(name)) {
            line.mark = "used";
        }
    }
    lines
}

/// Colours a relation's rule, what stands behind `define relation:`.
pub(crate) fn colour_rule(rule: &str) -> Vec<Token> {
    let mut state = State { expects: Expects::Relation, ..State::default() };
    state.line(rule).tokens
}

/// What a name in the next place names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Expects {
    #[default]
    Nothing,
    Type,
    Relation,
    Condition,
}

#[derive(Debug, Default)]
struct State {
    expects: Expects,
    type_name: String,
    /// Braces of a condition that are open.
    depth: usize,
    is_in_list: bool,
}

impl State {
    fn line(&mut self, text: &str) -> Line {
        let mut line = Line::default();
        let mut rest = text;
        if self.depth == 0 && self.expects != Expects::Relation {
            self.expects = Expects::Nothing;
        }
        while let Some(c) = rest.chars().next() {
            let is_first = rest.len() == text.len();
            let length = piece(rest, c, is_first || text_before(text, rest).ends_with([' ', '\t']));
            let (piece, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            self.token(piece, &mut line);
            rest = after;
        }
        if self.depth == 0 {
            self.expects = Expects::Nothing;
            self.is_in_list = false;
        }
        line
    }

    fn token(&mut self, piece: &str, line: &mut Line) {
        let is_word = piece.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let class = if piece.starts_with('#') && piece.len() > 1 || piece.starts_with("//") {
            "c-note"
        } else if piece.starts_with(['"', '\'']) {
            "c-text"
        } else if piece.starts_with(|c: char| c.is_ascii_digit()) {
            "c-number"
        } else if is_word {
            self.word(piece, line)
        } else {
            self.symbol(piece);
            ""
        };
        match line.tokens.last_mut() {
            Some(last) if last.class == class => last.text.push_str(piece),
            _ => line.tokens.push(Token { class, text: piece.to_owned() }),
        }
    }

    fn symbol(&mut self, piece: &str) {
        match piece {
            "[" if self.depth == 0 => {
                self.is_in_list = true;
                self.expects = Expects::Type;
            }
            "]" if self.depth == 0 => {
                self.is_in_list = false;
                self.expects = Expects::Relation;
            }
            "#" if self.is_in_list => self.expects = Expects::Relation,
            "," if self.is_in_list => self.expects = Expects::Type,
            "{" => self.depth += 1,
            "}" => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
    }

    fn word(&mut self, word: &str, line: &mut Line) -> &'static str {
        if self.depth > 0 {
            return if matches!(word, "true" | "false" | "null" | "in") { "c-key" } else { "" };
        }
        let is_start = line.tokens.iter().all(|token| token.text.trim().is_empty());
        match word {
            "model" | "schema" | "relations" | "extend" | "module" if is_start => "c-key",
            "type" if is_start || line.tokens.iter().any(|t| t.text == "extend") => {
                self.expects = Expects::Type;
                "c-key"
            }
            "define" if is_start => {
                self.expects = Expects::Relation;
                "c-key"
            }
            "condition" if is_start => {
                self.expects = Expects::Condition;
                "c-key"
            }
            "with" if self.is_in_list => {
                self.expects = Expects::Condition;
                "c-key"
            }
            "or" | "and" | "but" | "not" | "from" if !is_start => "c-key",
            _ => self.name(word, line, is_start),
        }
    }

    fn name(&mut self, word: &str, line: &mut Line, is_start: bool) -> &'static str {
        let expects = self.expects;
        let defines = line.tokens.iter().any(|token| token.text == "define");
        match expects {
            Expects::Type => {
                if !self.is_in_list {
                    word.clone_into(&mut self.type_name);
                    self.expects = Expects::Nothing;
                }
                "c-type"
            }
            Expects::Relation => {
                if defines && line.defines.is_none() && !is_start {
                    line.defines = Some((self.type_name.clone(), word.to_owned()));
                    return "c-name";
                }
                "c-relation"
            }
            Expects::Condition => {
                self.expects = if self.is_in_list { Expects::Type } else { Expects::Nothing };
                "c-condition"
            }
            Expects::Nothing => "",
        }
    }
}

fn text_before<'t>(text: &'t str, rest: &str) -> &'t str {
    text.get(..text.len().saturating_sub(rest.len())).unwrap_or_default()
}

/// How many bytes the piece at the start of `rest` has.
fn piece(rest: &str, first: char, follows_blank: bool) -> usize {
    let run = |is: fn(char) -> bool| rest.find(|c: char| !is(c)).unwrap_or(rest.len());
    match first {
        // `group#member` is no comment.
        '#' if follows_blank => rest.len(),
        '/' if rest.starts_with("//") => rest.len(),
        '"' | '\'' => {
            let inside = rest.get(1..).unwrap_or_default();
            inside.find(first).map_or(rest.len(), |end| end + 2)
        }
        c if c.is_ascii_alphabetic() || c == '_' => {
            run(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        }
        c if c.is_ascii_digit() => run(|c| c.is_ascii_digit() || c == '.'),
        c if c.is_whitespace() => run(char::is_whitespace),
        c => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coloured(text: &str) -> Vec<(&'static str, String)> {
        let tokens = colour(text).into_iter().flat_map(|line| line.tokens);
        tokens.filter(|t| !t.class.is_empty()).map(|t| (t.class, t.text)).collect()
    }

    #[test]
    fn words_of_the_language_have_their_colours() {
        let text = "type doc # a note\n  relations\n    define viewer: [user, group#member with c] or owner from parent";
        let expected = [
            ("c-key", "type"),
            ("c-type", "doc"),
            ("c-note", "# a note"),
            ("c-key", "relations"),
            ("c-key", "define"),
            ("c-name", "viewer"),
            ("c-type", "user"),
            ("c-type", "group"),
            ("c-relation", "member"),
            ("c-key", "with"),
            ("c-condition", "c"),
            ("c-key", "or"),
            ("c-relation", "owner"),
            ("c-key", "from"),
            ("c-relation", "parent"),
        ];
        let found = coloured(text);
        let found: Vec<_> = found.iter().map(|(class, text)| (*class, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_of_the_text_is_lost_and_relations_know_their_line() {
        let text = "type a\n  relations\n    define define: [user]\ncondition c(x: int) {\n  x > 1 && \"}\" != 'é' // fine\n}\n\ttype é{{]]#";
        let lines = colour(text);
        let joined: Vec<String> = lines
            .iter()
            .map(|line| line.tokens.iter().map(|token| token.text.as_str()).collect())
            .collect();
        assert_eq!(joined.join("\n"), text);
        let used = BTreeSet::from([("a".to_owned(), "define".to_owned())]);
        let marks: Vec<_> = colour_used(text, &used).iter().map(|line| line.mark).collect();
        assert_eq!(marks, ["", "", "used", "", "", "", ""]);
    }
}
