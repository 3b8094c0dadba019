//! A person's question as words that both engines' indexes can look for.
//!
//! Whatever she types is taken as words: none of it is syntax to the index.

/// Words that are looked for at most.
const MAX_TERMS: usize = 32;
/// Characters of a word at most; nothing longer is worth looking for.
const MAX_TERM_CHARS: usize = 64;

/// English words that stand in nearly every passage and say nothing about it.
const STOP_WORDS: &[&str] = &[
    "a", "about", "all", "also", "am", "an", "and", "any", "are", "as", "at", "be", "been", "but",
    "by", "can", "could", "did", "do", "does", "for", "from", "had", "has", "have", "her", "his",
    "how", "i", "if", "in", "into", "is", "it", "its", "me", "my", "no", "not", "of", "on", "or",
    "our", "she", "should", "so", "than", "that", "the", "their", "them", "then", "there", "these",
    "they", "this", "to", "us", "was", "we", "were", "what", "when", "where", "which", "who",
    "why", "will", "with", "would", "you", "your",
];

/// The words of `query` as an expression of the index: each in double quotes, `OR` between them.
/// `None` when it has none. Stop words are left out unless there are no others.
pub(crate) fn expression(query: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    // Marks within a word stay: `next.js` is looked for as two words side by side.
    let is_part = |c: char| c.is_alphanumeric() || "_-.'/@+".contains(c);
    for word in query.split(|c| !is_part(c)) {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        let word: String = word.chars().take(MAX_TERM_CHARS).collect::<String>().to_lowercase();
        let is_text = word.contains(char::is_alphanumeric);
        if is_text && !words.contains(&word) {
            words.push(word);
        }
    }
    let telling: Vec<&String> =
        words.iter().filter(|word| !STOP_WORDS.contains(&word.as_str())).collect();
    let chosen = if telling.is_empty() { words.iter().collect() } else { telling };
    let quoted = chosen.into_iter().take(MAX_TERMS).map(|word| format!("\"{word}\""));
    let quoted: Vec<String> = quoted.collect();
    (!quoted.is_empty()).then(|| quoted.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_becomes_its_telling_words() {
        assert_eq!(
            expression("How do I open a file with pthread_create?").as_deref(),
            Some("\"open\" OR \"file\" OR \"pthread_create\"")
        );
        assert_eq!(
            expression("to be or not to be").as_deref(),
            Some("\"to\" OR \"be\" OR \"or\" OR \"not\"")
        );
        assert_eq!(expression("Next.js next.js").as_deref(), Some("\"next.js\""));
    }

    #[test]
    fn nothing_of_it_is_syntax() {
        for (query, expected) in [
            ("\" OR 1=1 --", "\"1\""),
            ("chunk_index: NEAR(a b, 2) *", "\"chunk_index\" OR \"near\" OR \"b\" OR \"2\""),
            ("a\" AND \"b", "\"b\""),
            ("{heading text} : x^2", "\"heading\" OR \"text\" OR \"x\" OR \"2\""),
        ] {
            assert_eq!(expression(query).as_deref(), Some(expected), "{query}");
        }
        for query in ["", "  ", "\"\"", "*", "()^:-", "\u{0}"] {
            assert_eq!(expression(query), None, "{query:?}");
        }
    }

    #[test]
    fn it_is_bounded() {
        let many: String = (0..1000).map(|n| format!("word{n} ")).collect();
        assert_eq!(expression(&many).unwrap().split(" OR ").count(), MAX_TERMS);
        assert!(expression(&"x".repeat(10_000)).unwrap().len() < 100);
    }
}
