//! The fuzz targets of `fuzz/` on stable Rust: over the corpus, over mutations of it from a seed,
//! and over giants, which would show a stack overflow or work that grows with the square.
//!
//! `BEHALF_FUZZ_SEED` and `BEHALF_FUZZ_CASES` (per target) are for long runs by hand.
#![expect(clippy::print_stdout, reason = "which cases ran is worth reading")]

#[path = "../../../../fuzz/src/targets.rs"]
#[expect(unreachable_pub, reason = "in `fuzz/` the same file is a library")]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::dice::{Dice, number};

const CASES: u64 = 300;
/// What grammars care about, and what is no UTF-8.
const BYTES: &[u8] = b" \t\r\n#:,[](){}<>'\"\\*@|&-%.0aZ_\xc3\xa9\xff";
/// Inputs do not grow beyond this by mutation.
const BYTES_MAX: usize = 8 * 1024;

impl Dice {
    /// A part of a text of that length.
    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(40) + 1)
    }
}

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

fn mutated(dice: &mut Dice, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut data = corpus[dice.below(corpus.len())].clone();
    for _ in 0..=dice.below(6) {
        let range = dice.range(data.len());
        match dice.below(7) {
            0 => data.splice(range, []).for_each(drop),
            1 => {
                let word = words[dice.below(words.len())];
                data.splice(range.start..range.start, word.bytes()).for_each(drop);
            }
            2 => {
                let word = words[dice.below(words.len())];
                data.splice(range, word.bytes()).for_each(drop);
            }
            3 => {
                let part = data[range.clone()].repeat(1 + dice.below(300));
                data.splice(range, part).for_each(drop);
            }
            4 => {
                let other = &corpus[dice.below(corpus.len())];
                let part = other[dice.range(other.len())].to_vec();
                data.splice(range, part).for_each(drop);
            }
            5 => {
                let byte = BYTES[dice.below(BYTES.len())];
                data.splice(range, [byte]).for_each(drop);
            }
            _ => {
                if let Some(byte) = data.get_mut(range.start) {
                    *byte ^= 1 << dice.below(8);
                }
            }
        }
        data.truncate(BYTES_MAX);
    }
    data
}

#[track_caller]
fn run(name: &str, target: fn(&[u8]), words: &[&str], giants: &[String]) {
    let (seed, cases) = (number("BEHALF_FUZZ_SEED", 1), number("BEHALF_FUZZ_CASES", CASES));
    let corpus = corpus(name);
    assert!(!corpus.is_empty(), "the corpus of {name} is empty");
    let mut dice = Dice(seed);
    let known = corpus.iter().cloned().chain(giants.iter().map(|text| text.clone().into_bytes()));
    let mut slowest = (Duration::ZERO, Vec::new());
    let mut check = |data: &[u8]| {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| target(data)));
        if outcome.is_err() {
            panic!("{name}, seed {seed}: {:?}", String::from_utf8_lossy(data));
        }
        if begun.elapsed() > slowest.0 {
            slowest = (begun.elapsed(), data[..data.len().min(200)].to_vec());
        }
    };
    known.for_each(|data| check(&data));
    for number in 0..cases {
        if number.is_multiple_of(1_000) {
            println!("progress: {name} {number} of {cases}");
        }
        check(&mutated(&mut dice, &corpus, words));
    }
    let (time, data) = slowest;
    println!(
        "fuzz: {name}: {} known and {cases} mutated from seed {seed}; the slowest took {time:?}: {:?}",
        corpus.len() + giants.len(),
        String::from_utf8_lossy(&data),
    );
}

const HEADER: &str = "model\n  schema 1.1\ntype user\ntype doc\n  relations\n";

#[test]
fn the_model_language_takes_any_text() {
    let words = [
        "model",
        "schema 1.1",
        "schema 1.2",
        "module m",
        "type ",
        "extend type ",
        "relations",
        "define ",
        ": ",
        "[user]",
        "[user:*, doc#a with c]",
        " or ",
        " and ",
        " but not ",
        " from ",
        "(",
        ")",
        "condition c(x: int) {",
        "}",
        "list<string>",
        "map<int>",
        "# x",
        "//",
        "'",
        "\"",
        "'''",
        "\r\n",
        "\n\n",
        "\t",
        "self",
        "this",
        "with",
        "\u{e9}",
        "{",
        "\\",
    ];
    let chain: String = (0..6_000).map(|n| format!("    define r{}: r{n}\n", n + 1)).collect();
    let union: Vec<String> = (0..6_000).map(|n| format!("r{n}")).collect();
    let each: String = union.iter().map(|name| format!("    define {name}: [user]\n")).collect();
    let giants = [
        format!("{HEADER}    define a: {}b{}\n", "(".repeat(100_000), ")".repeat(100_000)),
        format!("{HEADER}    define r0: [user]\n{chain}"),
        format!("{HEADER}    define r0: r6000\n{chain}"),
        format!("{HEADER}{each}    define a: {}\n", union.join(" or ")),
        format!("{HEADER}{each}    define a: {}\n", union.join(" and ")),
        format!("{HEADER}    define a: [{}]\n", vec!["user"; 20_000].join(", ")),
        format!("{HEADER}{}", "    define a: [user]\n".repeat(10_000)),
        format!("model\n  schema 1.1\n{}", "type user\n".repeat(20_000)),
        format!("model\n  schema 1.1{}", "\n# comment".repeat(50_000)),
        format!("model\n  schema 1.1{}", " ".repeat(200_000)),
        format!("{HEADER}    define a: [user]\ncondition c(x: int) {{{}}}", "{".repeat(100_000)),
        format!("{HEADER}    define a: [user]\ncondition c(x: int) {{ {}", "'''".repeat(50_000)),
    ];
    run("dsl", targets::dsl, &words, &giants);
}

#[test]
fn json_models_take_any_text() {
    let words = [
        "\"this\":{}",
        "\"union\":{\"child\":[",
        "]}}",
        "\"difference\":{\"base\":",
        "\"intersection\":",
        "\"computedUserset\":{\"relation\":\"a\"}",
        "\"tupleToUserset\":",
        "null",
        "{}",
        "[]",
        "\"\"",
        "1",
        "true",
        "\"TYPE_NAME_LIST\"",
        "\"generic_types\":[",
        "\"metadata\":",
        "\"relations\":",
        "\"condition\":\"c\"",
        "\"wildcard\":{}",
        "\"type\":",
        "\"schema_version\":\"1.2\"",
        ",",
        ":",
        "\\u0000",
    ];
    let deep = |depth: usize| {
        let open = r#"{"union":{"child":["#.repeat(depth);
        let close = "]}}".repeat(depth);
        format!(
            r#"{{"schema_version":"1.1","type_definitions":[{{"type":"a","relations":{{"b":{open}{{"this":{{}}}}{close}}}}}]}}"#
        )
    };
    let generic = r#"{"type_name":"TYPE_NAME_LIST","generic_types":["#.repeat(30)
        + r#"{"type_name":"TYPE_NAME_INT"}"#
        + &"]}".repeat(30);
    let giants = [
        deep(20),
        deep(40),
        deep(1_000),
        deep(100_000),
        format!(
            r#"{{"schema_version":"1.1","conditions":{{"c":{{"name":"c","expression":"true","parameters":{{"x":{generic}}}}}}}}}"#
        ),
    ];
    run("json_model", targets::json_model, &words, &giants);
}

#[test]
fn conditions_take_any_expression() {
    let words = [
        "x",
        "y",
        " && ",
        " || ",
        "!",
        "-",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "'a'",
        "1",
        "1u",
        "1.5",
        "0x7fffffffffffffff",
        "9223372036854775807",
        " + ",
        " * ",
        " / ",
        " % ",
        " == ",
        " < ",
        " in ",
        " ? ",
        " : ",
        ".all(z, ",
        ".map(z, ",
        ".exists_one(z, ",
        ".filter(z, ",
        ".size()",
        ".matches('",
        "r'",
        "b'",
        "'''",
        "\\",
        "timestamp(",
        "duration('1h')",
        ".getHours('America/New_York')",
        "ipaddress('",
        ".in_cidr('",
        "has(x.a)",
        "string(",
        "int(",
        "type(",
        "dyn(",
        "null",
        "\"x\":1",
        "[[:alpha:]&&",
        "{1000}",
        "(?i)",
        "\u{1F600}",
    ];
    let giants = [
        format!("x:int\n{}x{}\n{{}}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("x:bool\n{}x\n{{\"x\":true}}", "!".repeat(400)),
        format!("x:int\nx{} > 1\n{{\"x\":1}}", "+x".repeat(200)),
        format!("x:any\nx{} == 1\n{{\"x\":1}}", "[0]".repeat(160)),
        format!("x:any\nx == x\n{{\"x\":{}1{}}}", "[".repeat(100), "]".repeat(100)),
        format!(
            "x:list<int>\nx.all(a, x.all(b, x.all(c, a + b + c >= 0)))\n{{\"x\":[{}1]}}",
            "1,".repeat(5_000)
        ),
        format!(
            "x:string y:string\nx.matches(y)\n{{\"x\":\"{}\",\"y\":\"(a*)*b\"}}",
            "a".repeat(20_000)
        ),
        format!(
            "x:string y:string\nx.matches(y)\n{{\"x\":\"a\",\"y\":\"{}\"}}",
            "(a{1,9}){1,9}".repeat(2_000)
        ),
        "x:string\nx.matches('((a{99}){99}){99}')\n{\"x\":\"a\"}".to_owned(),
        format!(
            "x:string\n{}\n{{\"x\":\"{}\"}}",
            vec!["x"; 100].join("+") + " == x",
            "a".repeat(50_000)
        ),
    ];
    run("cel", targets::cel, &words, &giants);
}

#[test]
fn tuples_take_any_text() {
    let words = [
        "user:", "group:", "doc:", "#member", "#viewer", "*", ":", "#", "@", "viewer", "member",
        "parent", "can_view", "\n", " ", "\0", "\u{e9}", "\u{202e}",
    ];
    let groups: String =
        (0..20).map(|n| format!("group:g{n}#member\nmember\ngroup:g{}\n", n + 1)).collect();
    let giants = [
        format!("user:{}\nviewer\ndoc:1", "a".repeat(100_000)),
        format!("user:a\n{}\ndoc:1", "#".repeat(100_000)),
        format!("user:a\nviewer\n{}", "doc:".repeat(50_000)),
        format!("{groups}group:g20#member\nmember\ngroup:g0"),
    ];
    run("tuple", targets::tuple, &words, &giants);
}

#[test]
fn files_to_import_take_any_text() {
    let words = [
        "name: ",
        "model: |\n",
        "model_file: ",
        "tuples:\n",
        "tuple_file: t.csv\n",
        "tests:\n",
        "- user: user:a\n",
        "  check:\n",
        "assertions:",
        "context: {",
        "&a ",
        "*a",
        "!!str ",
        "<<: ",
        "? ",
        "| ",
        "> ",
        "---\n",
        "...\n",
        "%YAML 1.2\n",
        "[",
        "]",
        "{",
        "}",
        "'",
        "\"",
        "\t",
        "schema: '1.2'\n",
        "contents:\n  - a.fga\n",
        ",",
        "\"\"",
        "\r",
        "user_type,user_id",
        "condition_name,condition_context",
        "{\"user\":",
        "true",
        "1e309",
        "0x",
        "~",
    ];
    let giants = [
        format!("a: {}", "[".repeat(100_000)),
        format!("a:\n  {}x", "- ".repeat(5_000)),
        (0..2_000).map(|n| format!("{}a{n}:\n", " ".repeat(n))).collect(),
        format!("&a {}", "&a ".repeat(10_000)),
        format!("- &a x\n{}", "- *a\n".repeat(50_000)),
        format!("{}: 1\n", "? ".repeat(10_000)),
        format!("user_type,user_id,relation,object_type,object_id\n\"{}", "\"\"".repeat(100_000)),
        format!("{}\n", ",".repeat(200_000)),
        "{\"user\":\"a\",".repeat(20_000),
        (0..50_000).map(|n| format!("k{n}: v\n")).collect(),
    ];
    run("import", targets::import, &words, &giants);
}
