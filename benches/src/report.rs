//! Figures as a table of Markdown, each beside its budget.

use std::fs;

/// Prints rows as they come.
#[derive(Debug)]
pub(crate) struct Report;

/// What a figure is compared with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Budget {
    /// It should be at least this.
    AtLeast(f64),
    /// It should be at most this.
    AtMost(f64),
    /// There is none.
    None,
}

impl Report {
    /// Prints the machine and the table's head.
    pub(crate) fn begin() -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpu
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown", |(_, name)| name.trim());
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let kib: u64 = memory
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
            .unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        println!(
            "machine: {cores} x {model}, {} GB, Linux {}, load before {}",
            kib / 1_000_000,
            kernel.trim(),
            load.split(' ').next().unwrap_or_default(),
        );
        println!();
        println!("| what | figure | budget | ratio |");
        println!("|---|---|---|---|");
        Self
    }

    /// A row. The ratio is above 1 when the figure is better than the budget.
    pub(crate) fn row(&mut self, what: &str, figure: f64, unit: &str, budget: Budget) {
        let (budget, ratio) = match budget {
            Budget::AtLeast(least) => {
                (format!(">= {} {unit}", number(least)), format!("{:.2}", figure / least))
            }
            Budget::AtMost(most) => {
                (format!("<= {} {unit}", number(most)), format!("{:.2}", most / figure))
            }
            Budget::None => ("-".to_owned(), "-".to_owned()),
        };
        println!("| {what} | {} {unit} | {budget} | {ratio} |", number(figure));
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
