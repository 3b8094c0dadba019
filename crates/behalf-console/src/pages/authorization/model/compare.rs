//! Two versions of a model as text, line by line.

use super::super::colour::{Line, colour};
use super::super::shortened;

/// Lines of each text that are compared; what is between longer ones is shown as replaced.
const MAX_LINES: usize = 1_500;
/// Lines that are the same and stand around those that differ.
const AROUND: usize = 3;

/// Two texts, compared.
#[derive(Clone, Debug)]
pub(crate) struct Comparison {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) lines: Vec<Line>,
    pub(super) added: usize,
    pub(super) removed: usize,
}

/// What became of a line, by its place in the old and the new text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Same(usize),
    Added(usize),
    Removed(usize),
}

/// Compares two texts, each with its id.
pub(super) fn compare(from: (&str, &str), to: (&str, &str)) -> Comparison {
    let (old, new): (Vec<&str>, Vec<&str>) = (from.1.lines().collect(), to.1.lines().collect());
    let steps = steps(&old, &new);
    let (old, new) = (colour(from.1), colour(to.1));
    let mut lines = Vec::new();
    let mut is_gap = false;
    for (index, step) in steps.iter().enumerate() {
        let (line, mark) = match step {
            Step::Same(at) => (new.get(*at), ""),
            Step::Added(at) => (new.get(*at), "added"),
            Step::Removed(at) => (old.get(*at), "removed"),
        };
        let start = index.saturating_sub(AROUND);
        let near = steps.get(start..).unwrap_or_default().iter().take(2 * AROUND + 1);
        if near.into_iter().all(|step| matches!(step, Step::Same(_))) {
            if !is_gap {
                lines.push(Line { mark: "gap", ..Line::default() });
            }
            is_gap = true;
            continue;
        }
        is_gap = false;
        lines.extend(line.map(|line| Line { mark, ..line.clone() }));
    }
    let count = |is: fn(&Step) -> bool| steps.iter().filter(|step| is(step)).count();
    Comparison {
        from: shortened(from.0),
        to: shortened(to.0),
        added: count(|step| matches!(step, Step::Added(_))),
        removed: count(|step| matches!(step, Step::Removed(_))),
        lines,
    }
}

/// The fewest steps from the old lines to the new ones.
fn steps(old: &[&str], new: &[&str]) -> Vec<Step> {
    let start = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let (old_rest, new_rest) =
        (old.get(start..).unwrap_or_default(), new.get(start..).unwrap_or_default());
    let is_same = |(a, b): &(&&str, &&str)| a == b;
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(is_same).count();
    let middle = |lines: &[&str]| lines.len().saturating_sub(start).saturating_sub(end);
    let mut steps: Vec<Step> = (0..start).map(Step::Same).collect();
    let (rows, columns) = (middle(old), middle(new));
    if rows > MAX_LINES || columns > MAX_LINES {
        steps.extend((start..start + rows).map(Step::Removed));
        steps.extend((start..start + columns).map(Step::Added));
    } else {
        between(old_rest, new_rest, (rows, columns), start, &mut steps);
    }
    steps.extend((start + columns..new.len()).map(Step::Same));
    steps
}

/// The longest common subsequence of the middles, by dynamic programming from their ends.
fn between(
    old: &[&str],
    new: &[&str],
    (rows, columns): (usize, usize),
    start: usize,
    steps: &mut Vec<Step>,
) {
    let width = columns + 1;
    let mut longest = vec![0_u32; (rows + 1) * width];
    let at = |longest: &[u32], row: usize, column: usize| {
        longest.get(row * width + column).copied().unwrap_or(0)
    };
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            let best = if old.get(row) == new.get(column) {
                at(&longest, row + 1, column + 1) + 1
            } else {
                at(&longest, row + 1, column).max(at(&longest, row, column + 1))
            };
            if let Some(cell) = longest.get_mut(row * width + column) {
                *cell = best;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    while row < rows || column < columns {
        if row < rows && column < columns && old.get(row) == new.get(column) {
            steps.push(Step::Same(start + column));
            (row, column) = (row + 1, column + 1);
        } else if column >= columns
            || row < rows && at(&longest, row + 1, column) >= at(&longest, row, column + 1)
        {
            steps.push(Step::Removed(start + row));
            row += 1;
        } else {
            steps.push(Step::Added(start + column));
            column += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn diff(old: &str, new: &str) -> String {
        let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
        let said = steps(&old, &new).into_iter().map(|step| match step {
            Step::Same(at) => format!(" {}", new[at]),
            Step::Added(at) => format!("+{}", new[at]),
            Step::Removed(at) => format!("-{}", old[at]),
        });
        said.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn lines_that_stay_stay() {
        assert_eq!(diff("a\nb\nc", "a\nb\nc"), " a  b  c");
        assert_eq!(diff("a\nb\nc", "a\nx\nc"), " a -b +x  c");
        assert_eq!(diff("", "a\nb"), "+a +b");
        assert_eq!(diff("a\nb\nc\nd", "b\nc\ne\nd\nd"), "-a  b  c +e +d  d");
        assert_eq!(diff("a\na", "a"), " a -a");
    }

    #[test]
    fn what_is_far_from_a_change_is_left_out() {
        let text = (0..40).map(|n| format!("# {n}\n")).collect::<String>();
        let comparison = compare(("1", &text), ("2", &text.replace("# 20\n", "# x\n")));
        assert_eq!((comparison.added, comparison.removed), (1, 1));
        let marks: Vec<_> = comparison.lines.iter().map(|line| line.mark).collect();
        let expected = ["gap", "", "", "", "removed", "added", "", "", "", "gap"];
        assert_eq!(marks, expected);
    }
}
