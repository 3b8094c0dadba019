//! The repositories that the scripted search finds: invented ones, with plausible numbers.

use serde_json::{Value, json};

/// A repository.
pub(super) struct Repository {
    full_name: &'static str,
    description: &'static str,
    stars: u32,
    language: &'static str,
    topics: &'static [&'static str],
}

impl Repository {
    /// As the search shows it.
    pub(super) fn to_json(&self) -> Value {
        let (owner, name) = self.full_name.split_once('/').unwrap_or(("", self.full_name));
        json!({
            "id": 100_000_u32.saturating_add(self.stars),
            "name": name,
            "full_name": self.full_name,
            "private": false,
            "owner": {"login": owner, "type": "Organization"},
            "html_url": format!("https://github.com/{}", self.full_name),
            "description": self.description,
            "fork": false,
            "stargazers_count": self.stars,
            "watchers_count": self.stars,
            "forks_count": self.stars / 8,
            "open_issues_count": self.stars / 90,
            "language": self.language,
            "topics": self.topics,
            "license": {"key": "mit", "name": "MIT License", "spdx_id": "MIT"},
            "default_branch": "main",
            "archived": false,
            "score": 1.0,
        })
    }

    fn has(&self, word: &str) -> bool {
        self.full_name.to_ascii_lowercase().contains(word)
            || self
                .description
                .to_ascii_lowercase()
                .split(|c: char| !c.is_alphanumeric() && c != '.')
                .any(|part| part == word)
            || self.topics.contains(&word)
            || self.language.eq_ignore_ascii_case(word)
    }
}

/// The repositories that have a word of the query, those with more words first, then by stars.
/// Qualifiers such as `sort:` and `stars:>100` are left aside; `topic:` and `language:` are words.
pub(super) fn search(query: &str) -> Vec<&'static Repository> {
    let query = query.to_ascii_lowercase();
    let words: Vec<&str> = query
        .split_whitespace()
        .filter_map(|word| match word.split_once(':') {
            None => Some(word),
            Some(("topic" | "language", value)) => Some(value),
            Some(_) => None,
        })
        .map(|word| word.trim_matches(['"', '(', ')', ',']))
        .filter(|word| !word.is_empty() && !matches!(*word, "and" | "or" | "about" | "popular"))
        .collect();
    let mut found: Vec<(usize, &Repository)> = REPOSITORIES
        .iter()
        .map(|repository| (words.iter().filter(|word| repository.has(word)).count(), repository))
        .filter(|(hits, _)| *hits > 0)
        .collect();
    found.sort_by(|(a, left), (b, right)| b.cmp(a).then(right.stars.cmp(&left.stars)));
    found.into_iter().map(|(_, repository)| repository).collect()
}

const fn repository(
    full_name: &'static str,
    description: &'static str,
    stars: u32,
    language: &'static str,
    topics: &'static [&'static str],
) -> Repository {
    Repository { full_name, description, stars, language, topics }
}

const REPOSITORIES: &[Repository] = &[
    repository(
        "lumen-labs/next-ai-chat",
        "Chat template for Next.js with streaming answers, tools and saved threads",
        18_420,
        "TypeScript",
        &["nextjs", "ai", "chatbot", "react", "streaming"],
    ),
    repository(
        "northwind-dev/next-rag-starter",
        "Ask your documents: a Next.js starter for AI retrieval with citations",
        9_730,
        "TypeScript",
        &["nextjs", "ai", "rag", "postgres", "embeddings"],
    ),
    repository(
        "paperplane-hq/agent-kit",
        "Build AI agents in Next.js with typed tools, memory and approvals",
        7_915,
        "TypeScript",
        &["nextjs", "ai", "agents", "tools"],
    ),
    repository(
        "tidewater/next-image-studio",
        "Generate and edit images with AI in a Next.js application",
        5_204,
        "TypeScript",
        &["nextjs", "ai", "images", "diffusion"],
    ),
    repository(
        "civic-open/next-transcribe",
        "Meeting transcripts with AI summaries; Next.js front end, runs on your machine",
        3_388,
        "TypeScript",
        &["nextjs", "ai", "speech", "summaries"],
    ),
    repository(
        "brightfold/next-commerce",
        "Storefront for Next.js with server components and edge caching",
        11_060,
        "TypeScript",
        &["nextjs", "commerce", "react"],
    ),
    repository(
        "mica-tools/next-docs",
        "Documentation sites with Next.js and Markdown",
        6_471,
        "MDX",
        &["nextjs", "documentation", "markdown"],
    ),
    repository(
        "quillworks/prompt-lab",
        "Compare prompts and models of AI providers side by side",
        4_102,
        "Python",
        &["ai", "prompts", "evaluation"],
    ),
    repository(
        "ferrous-oss/tiny-vector",
        "An embedded vector index for AI search, in Rust",
        2_845,
        "Rust",
        &["ai", "search", "vectors", "rust"],
    ),
    repository(
        "openharbor/traceview",
        "Look at OpenTelemetry traces of AI applications",
        1_976,
        "Go",
        &["ai", "opentelemetry", "observability"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_ranks_by_words_and_stars() {
        let names: Vec<&str> =
            search("popular Next.js repositories about AI").iter().map(|r| r.full_name).collect();
        assert_eq!(names[..2], ["lumen-labs/next-ai-chat", "northwind-dev/next-rag-starter"]);
        assert_eq!(search("topic:rust stars:>100").len(), 1);
        assert!(search("cobol").is_empty());
        assert!(search("stars:>100").is_empty());
    }
}
