//! Charts, drawn on the server: the title states what is found, axes have units, a table stands
//! behind each. Geometry is in attributes of the SVG, colours are the stylesheet's.

mod waterfall;

pub(crate) use waterfall::{Waterfall, icon, kind_words, outcome_words};

/// The picture's size, in its own units.
const WIDTH: i64 = 400;
const HEIGHT: i64 = 190;
/// What is left for the axes.
const LEFT: i64 = 58;
const RIGHT: i64 = 6;
const TOP: i64 = 30;
const BOTTOM: i64 = 26;

/// A series: what it is called, and the class that colours it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
}

/// A bar for each day, made of one piece for each series.
#[derive(Clone, Debug)]
pub(crate) struct BarChart {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) legend: Vec<Legend>,
    pub(crate) grid: Vec<GridLine>,
    pub(crate) ticks: Vec<Tick>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) table: Vec<TableRow>,
}

/// A series beside the picture, with its sum.
#[derive(Clone, Debug)]
pub(crate) struct Legend {
    pub(crate) label: &'static str,
    pub(crate) class: &'static str,
    pub(crate) sum: String,
    pub(crate) is_nothing: bool,
}

/// A line across, with its value.
#[derive(Clone, Debug)]
pub(crate) struct GridLine {
    pub(crate) y: i64,
    pub(crate) label: String,
}

/// A day below the picture.
#[derive(Clone, Debug)]
pub(crate) struct Tick {
    pub(crate) x: i64,
    pub(crate) anchor: &'static str,
    pub(crate) label: String,
}

/// A piece of a bar.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) x: i64,
    pub(crate) y: i64,
    pub(crate) width: i64,
    pub(crate) height: i64,
    pub(crate) class: &'static str,
    pub(crate) title: String,
}

/// A day in the table behind the picture.
#[derive(Clone, Debug)]
pub(crate) struct TableRow {
    pub(crate) day: String,
    pub(crate) values: Vec<String>,
}

/// What a chart shows: its title, its unit, and how a value is written.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) write: fn(i64) -> String,
}

impl BarChart {
    /// A chart of `days`: a label, and a value for each of `series`.
    pub(crate) fn new(about: About, series: &[Series], days: &[(String, Vec<i64>)]) -> Self {
        let sums = days.iter().map(|(_, values)| values.iter().sum::<i64>());
        let top = nice_top(sums.max().unwrap_or(0));
        let legend = series.iter().enumerate().map(|(index, series)| {
            let sum = days.iter().filter_map(|(_, values)| values.get(index)).sum();
            Legend {
                label: series.label,
                class: series.class,
                sum: (about.write)(sum),
                is_nothing: sum == 0,
            }
        });
        let grid = [0, 1, 2].map(|step| {
            let value = top * step / 2;
            GridLine { y: y_of(value, top), label: (about.write)(value) }
        });
        Self {
            id: about.id,
            title: about.title,
            unit: about.unit,
            legend: legend.collect(),
            grid: grid.to_vec(),
            ticks: ticks(days),
            pieces: pieces(series, days, top, about.write),
            table: days
                .iter()
                .map(|(day, values)| TableRow {
                    day: day.clone(),
                    values: values.iter().map(|value| (about.write)(*value)).collect(),
                })
                .collect(),
        }
    }

    /// True if there is anything to see.
    pub(crate) const fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }
}

/// The next of 2, 4, 10, 20, 40, 100, … that is not below `value`.
fn nice_top(value: i64) -> i64 {
    let mut power = 1_i64;
    loop {
        for step in [2, 4, 10] {
            let top = power.saturating_mul(step);
            if top >= value {
                return top;
            }
        }
        power = power.saturating_mul(10);
    }
}

fn y_of(value: i64, top: i64) -> i64 {
    HEIGHT - BOTTOM - scaled(value, top)
}

/// `value` of `top` in units of the picture's height.
fn scaled(value: i64, top: i64) -> i64 {
    let height = i128::from(HEIGHT - TOP - BOTTOM);
    let scaled = i128::from(value) * height / i128::from(top.max(1));
    i64::try_from(scaled).unwrap_or(0)
}

fn slot(index: usize, count: usize) -> (i64, i64) {
    let (index, count) = (i64::try_from(index).unwrap_or(0), i64::try_from(count).unwrap_or(1));
    let room = WIDTH - LEFT - RIGHT;
    let start = LEFT + room * index / count.max(1);
    let end = LEFT + room * (index + 1) / count.max(1);
    (start, end - start)
}

fn pieces(
    series: &[Series],
    days: &[(String, Vec<i64>)],
    top: i64,
    write: fn(i64) -> String,
) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, (day, values)) in days.iter().enumerate() {
        let (x, width) = slot(index, days.len());
        let mut below = 0;
        for (series, value) in series.iter().zip(values).filter(|(_, value)| **value > 0) {
            let y = y_of(below + value, top);
            pieces.push(Piece {
                x: x + width / 8,
                y: y.min(y_of(below, top) - 1),
                width: (width - width / 4).max(1),
                height: (y_of(below, top) - y).max(1),
                class: series.class,
                title: format!("{day}: {} {}", write(*value), series.label),
            });
            below += value;
        }
    }
    pieces
}

/// The first, the middle and the last day.
fn ticks(days: &[(String, Vec<i64>)]) -> Vec<Tick> {
    let last = days.len().saturating_sub(1);
    [(0, "start"), (last / 2, "middle"), (last, "end")]
        .into_iter()
        .filter_map(|(index, anchor)| {
            let (label, _) = days.get(index)?;
            let (x, width) = slot(index, days.len());
            let x = match anchor {
                "start" => x,
                "middle" => x + width / 2,
                _ => x + width,
            };
            Some(Tick { x, anchor, label: label.clone() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: fn() -> About =
        || About { id: "a", title: "Two".into(), unit: "runs", write: |value| value.to_string() };
    const SERIES: [Series; 2] =
        [Series { label: "ok", class: "ok" }, Series { label: "failed", class: "danger" }];

    #[test]
    fn axes_end_at_round_numbers() {
        let tops = [0, 2, 3, 5, 11, 41, 100, 101].map(nice_top);
        assert_eq!(tops, [2, 2, 4, 10, 20, 100, 100, 200]);
        assert!(nice_top(i64::MAX) > 0);
    }

    #[test]
    fn pieces_stand_on_each_other_and_inside_the_picture() {
        let days = [("1 Jan".to_owned(), vec![3, 1]), ("2 Jan".to_owned(), vec![0, 4])];
        let chart = BarChart::new(ABOUT(), &SERIES, &days);
        assert_eq!(chart.pieces.len(), 3, "nothing is drawn for zero");
        let [ok, failed, other] = chart.pieces.as_slice() else { panic!("three pieces") };
        assert_eq!(ok.y + ok.height, HEIGHT - BOTTOM);
        assert_eq!(failed.y + failed.height, ok.y);
        assert_eq!(failed.y, other.y, "both days have four");
        assert!(chart.pieces.iter().all(|p| p.x >= LEFT && p.x + p.width <= WIDTH - RIGHT));
        assert!(chart.pieces.iter().all(|p| p.y >= TOP));
        assert_eq!(chart.legend.iter().map(|l| l.sum.as_str()).collect::<Vec<_>>(), ["3", "5"]);
        assert_eq!(chart.table[1].values, ["0", "4"]);
    }

    #[test]
    fn no_values_draw_nothing_and_days_may_be_absent() {
        let days = [("1 Jan".to_owned(), vec![0, 0])];
        assert!(BarChart::new(ABOUT(), &SERIES, &days).is_empty());
        assert!(BarChart::new(ABOUT(), &SERIES, &[]).is_empty());
    }
}
