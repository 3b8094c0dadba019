//! Reachability inside a component of unions, depth first, without recursion.
//!
//! In such a component a pair is true exactly if a true operand can be reached from it, so every
//! pair is expanded once, however deep the data is. A pair met while it is still open is a cycle.

use hashbrown::HashMap;

use super::evaluate::{Answer, Any, Evaluator, Pair, Truth};

struct Frame {
    pair: Pair,
    successors: Vec<Pair>,
    next: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Color {
    Open,
    Done,
}

impl Evaluator<'_> {
    pub(super) fn search(&mut self, root: Pair, depth: u32) -> Answer {
        let mut colors: HashMap<Pair, Color> = HashMap::new();
        let mut done: Vec<Pair> = Vec::new();
        let mut stack: Vec<Frame> = Vec::new();
        let mut any = Any::default();
        let mut is_clean = true;
        let mut visit = Some(root);
        loop {
            if let Some(pair) = visit.take() {
                colors.insert(pair, Color::Open);
                let mut successors = Vec::new();
                let answer = self.expand(pair, depth, &mut successors);
                is_clean &= matches!(answer, Ok(Truth::True | Truth::False));
                stack.push(Frame { pair, successors, next: 0 });
                if any.add(answer) {
                    break;
                }
            }
            let Some(frame) = stack.last_mut() else { break };
            let Some(&next) = frame.successors.get(frame.next) else {
                colors.insert(frame.pair, Color::Done);
                done.push(frame.pair);
                stack.pop();
                continue;
            };
            frame.next += 1;
            match colors.get(&next) {
                Some(Color::Done) => {}
                Some(Color::Open) => {
                    any.add(Ok(Truth::Cycle));
                    is_clean = false;
                }
                None => match self.recall(next, depth) {
                    Some(truth) => {
                        is_clean &= truth != Truth::Cycle;
                        if any.add(Ok(truth)) {
                            break;
                        }
                    }
                    None => visit = Some(next),
                },
            }
        }
        let answer = any.answer();
        if matches!(answer, Ok(Truth::True)) {
            // Every open pair leads to the one found.
            for frame in &stack {
                self.remember(frame.pair, Truth::True, depth);
            }
        }
        if is_clean {
            // Finished pairs were explored to the end without cycle, error or true.
            for pair in done {
                self.remember(pair, Truth::False, depth);
            }
        }
        answer
    }

    /// The answer of a pair's operands outside the component; the pairs inside go to `successors`.
    fn expand(&mut self, pair: Pair, depth: u32, successors: &mut Vec<Pair>) -> Answer {
        self.step()?;
        if self.is_self(pair) {
            return Ok(Truth::True);
        }
        let Some(node) = self.scope.model.node(pair.0) else { return Ok(Truth::False) };
        if !node.reached_by.contains(self.subject.class) {
            return Ok(Truth::False);
        }
        self.expr(node, &node.expr, pair.1, depth, &mut Some(successors))
    }
}
