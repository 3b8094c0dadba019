//! Puts mutants behind a switch: `if crate::mutant(7) { the mutant } else { the code }`.
//!
//! The code holds the switches of what stands inside of it, the mutant does not: one at a time is on.
//! What is replaced is a whole expression, so `a - b * c` becomes `a - (b + c)`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use syn::visit::{self, Visit};

use super::list::Mutant;

/// A file with its switches.
pub struct Rewritten {
    pub text: String,
    /// Where the mutants' own text came to stand, by number.
    pub mutants: Vec<(usize, Range<usize>)>,
    /// Where the switches came to stand, with the mutants of each.
    pub switches: Vec<(Range<usize>, Vec<usize>)>,
}

impl Rewritten {
    /// Whether a mutant takes an arm of a `match` away.
    pub fn is_arm(&self, at: &Range<usize>) -> bool {
        self.text[at.clone()].starts_with(NO_MATCH)
    }
}

/// What a pattern gets that matches nothing.
const NO_MATCH: &str = " if !";

/// A place of the source with its mutants.
struct Place {
    range: Range<usize>,
    way: Way,
    numbers: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// Before the body of a function.
    Return,
    /// Around a body that gives `impl Iterator`: all mutants are iterators too.
    Iterator,
    /// Around an expression.
    Expression,
    /// After a pattern, which then matches nothing.
    Guard,
}

/// Rewrites a file with those of `mutants` that `numbers` has; they are all of this file.
pub fn rewrite(source: &str, mutants: &[Mutant], numbers: &[usize]) -> anyhow::Result<Rewritten> {
    // What is around something comes before it.
    let mut places: BTreeMap<(usize, Reverse<usize>, Way), Vec<usize>> = BTreeMap::new();
    let syntax = Syntax::of(source)?;
    for &number in numbers {
        if let Some((range, way)) = syntax.place(source, &mutants[number]) {
            places.entry((range.start, Reverse(range.end), way)).or_default().push(number);
        }
    }
    let places: Vec<Place> = places
        .into_iter()
        .map(|((start, Reverse(end), way), numbers)| Place { range: start..end, way, numbers })
        .collect();
    let done = Rewritten { text: String::new(), mutants: Vec::new(), switches: Vec::new() };
    let mut writer = Writer { source, mutants, done };
    writer.range(0..source.len(), &places);
    Ok(writer.done)
}

struct Writer<'a> {
    source: &'a str,
    mutants: &'a [Mutant],
    done: Rewritten,
}

impl Writer<'_> {
    fn range(&mut self, range: Range<usize>, mut places: &[Place]) {
        let mut at = range.start;
        while let Some((place, rest)) = places.split_first() {
            self.push(&self.source[at..place.range.start]);
            let inside = rest.iter().take_while(|next| next.range.start < place.range.end).count();
            let (inside, after) = rest.split_at(inside);
            let begin = self.done.text.len();
            self.place(place, inside);
            self.done.switches.push((begin..self.done.text.len(), place.numbers.clone()));
            (at, places) = (place.range.end, after);
        }
        self.push(&self.source[at..range.end]);
    }

    fn place(&mut self, place: &Place, inside: &[Place]) {
        match place.way {
            Way::Guard => {
                let [number] = place.numbers[..] else { return };
                self.mutant(number, &format!("{NO_MATCH}crate::mutant({number})"));
            }
            Way::Return => {
                for &number in &place.numbers {
                    self.push(&format!("if crate::mutant({number}) {{ return "));
                    self.mutant(number, &self.mutants[number].replacement);
                    self.push("; }\n");
                }
                self.range(place.range.clone(), inside);
            }
            Way::Iterator => {
                let all: Vec<_> =
                    place.numbers.iter().map(|n| format!("crate::mutant({n})")).collect();
                self.push(&format!("(!({})).then(move || {{\n", all.join(" || ")));
                self.range(place.range.clone(), inside);
                self.push("\n}).into_iter().flatten()");
                for &number in &place.numbers {
                    self.push(&format!(".chain(crate::mutant({number}).then(move || "));
                    self.mutant(number, &self.mutants[number].replacement);
                    self.push(").into_iter().flatten())");
                }
            }
            Way::Expression => {
                self.push("(");
                for &number in &place.numbers {
                    let mutant = &self.mutants[number];
                    let text = [
                        &self.source[place.range.start..mutant.span.start],
                        &mutant.replacement,
                        &self.source[mutant.span.end..place.range.end],
                    ];
                    self.push(&format!("if crate::mutant({number}) {{ "));
                    self.mutant(number, &text.concat());
                    self.push(" } else ");
                }
                self.push("{ ");
                self.range(place.range.clone(), inside);
                self.push(" })");
            }
        }
    }

    fn push(&mut self, text: &str) {
        self.done.text.push_str(text);
    }

    fn mutant(&mut self, number: usize, text: &str) {
        let begin = self.done.text.len();
        self.push(text);
        self.done.mutants.push((number, begin..self.done.text.len()));
    }
}

/// Where what is replaced belongs to, by its first byte.
#[derive(Default)]
struct Syntax {
    /// Expressions by their operator, and structs by each field. `None`: a chain with `let`.
    expressions: HashMap<usize, Option<Range<usize>>>,
    /// Arms: the end of the pattern, and the guard.
    arms: HashMap<usize, (usize, Option<Range<usize>>)>,
}

impl Syntax {
    fn of(source: &str) -> anyhow::Result<Self> {
        let mut this = Self::default();
        this.visit_file(&syn::parse_file(source)?);
        Ok(this)
    }

    /// `None` where no switch can stand.
    fn place(&self, source: &str, mutant: &Mutant) -> Option<(Range<usize>, Way)> {
        let start = mutant.span.start;
        let found = match mutant.genre.as_str() {
            "FnValue" if mutant.gives.starts_with("-> impl Iterator") => {
                return Some((mutant.span.clone(), Way::Iterator));
            }
            "FnValue" if mutant.gives.contains("impl ") => return None,
            "FnValue" => return Some((mutant.span.clone(), Way::Return)),
            "MatchArm" => match self.arms.get(&start)? {
                (pattern_end, None) => return Some((*pattern_end..*pattern_end, Way::Guard)),
                (_, Some(_)) => return None,
            },
            "MatchArmGuard" => mutant.span.clone(),
            _ => self.expressions.get(&start)?.clone()?,
        };
        let mutated =
            [&source[found.start..start], &mutant.replacement, &source[mutant.span.end..found.end]];
        // `a as u32 > b` turned is no expression.
        let is_expression = syn::parse_str::<syn::Expr>(&mutated.concat()).is_ok()
            && syn::parse_str::<syn::Expr>(&source[found.clone()]).is_ok_and(|e| !has_let(&e));
        is_expression.then_some((found, Way::Expression))
    }
}

impl<'ast> Visit<'ast> for Syntax {
    fn visit_expr_binary(&mut self, node: &'ast syn::ExprBinary) {
        let whole = (!has_let(&node.left) && !has_let(&node.right)).then(|| bytes(node));
        self.expressions.insert(bytes(&node.op).start, whole);
        visit::visit_expr_binary(self, node);
    }

    fn visit_expr_unary(&mut self, node: &'ast syn::ExprUnary) {
        self.expressions.insert(bytes(&node.op).start, Some(bytes(node)));
        visit::visit_expr_unary(self, node);
    }

    fn visit_expr_struct(&mut self, node: &'ast syn::ExprStruct) {
        for field in &node.fields {
            self.expressions.insert(bytes(field).start, Some(bytes(node)));
        }
        visit::visit_expr_struct(self, node);
    }

    fn visit_arm(&mut self, node: &'ast syn::Arm) {
        let guard = node.guard.as_ref().map(|(_, guard)| bytes(guard));
        self.arms.insert(bytes(node).start, (bytes(&node.pat).end, guard));
        visit::visit_arm(self, node);
    }
}

/// Whether it is a chain with a `let`, which can stand only in a condition.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn bytes(node: &impl syn::spanned::Spanned) -> Range<usize> {
    node.span().byte_range()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "\
fn f(a: u32, b: u32) -> bool {
    match a {
        1 => a + b > 2,
        _ if b > 3 => true,
        _ => false,
    }
}
";

    /// A mutant of the first place where the text stands.
    fn mutant(genre: &str, text: &str, replacement: &str) -> Mutant {
        let start = SOURCE.find(text).unwrap();
        Mutant {
            name: String::new(),
            file: String::new(),
            source: 0,
            genre: genre.to_owned(),
            gives: "-> bool".to_owned(),
            span: start..start + text.len(),
            replacement: replacement.to_owned(),
        }
    }

    #[test]
    fn switches_stand_in_each_other_and_mutants_hold_none() {
        let body = SOURCE.trim_start_matches("fn f(a: u32, b: u32) -> bool {\n    ");
        let mutants = [
            mutant("FnValue", body.trim_end_matches("\n}\n"), "true"),
            mutant("MatchArm", "1 => a + b > 2,", ""),
            Mutant { span: 64..65, ..mutant("BinaryOperator", "> 2", "<") },
            mutant("BinaryOperator", "+", "-"),
            mutant("BinaryOperator", "+", "*"),
            mutant("MatchArmGuard", "b > 3", "false"),
        ];
        let done = rewrite(SOURCE, &mutants, &[0, 1, 2, 3, 4, 5]).unwrap();
        let sum =
            "(if crate::mutant(3) { a - b } else if crate::mutant(4) { a * b } else { a + b })";
        let arm = format!("(if crate::mutant(2) {{ a + b < 2 }} else {{ {sum} > 2 }})");
        let guard = "(if crate::mutant(5) { false } else { b > 3 })";
        let expected = SOURCE
            .replace("match", "if crate::mutant(0) { return true; }\nmatch")
            .replace("1 => a + b > 2", &format!("1 if !crate::mutant(1) => {arm}"))
            .replace("_ if b > 3", &format!("_ if {guard}"));
        assert_eq!(done.text, expected);
        let text = |number| {
            let place = done.mutants.iter().find(|(known, _)| *known == number).unwrap();
            &done.text[place.1.clone()]
        };
        assert_eq!([0, 2, 4].map(text), ["true", "a + b < 2", "a * b"]);
    }

    #[test]
    fn a_chain_with_let_has_no_switch() {
        let source = "fn f(a: Option<u32>) { if let Some(b) = a && b > 1 {} }";
        let at = source.find("&&").unwrap();
        let turned = Mutant { span: at..at + 2, ..mutant("BinaryOperator", "+", "||") };
        let done = rewrite(source, &[turned], &[0]).unwrap();
        assert_eq!((done.text.as_str(), done.mutants.len()), (source, 0));
    }
}
