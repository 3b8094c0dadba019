//! Measurements in Prometheus' text format: one recorder for the process, whose counters the crates
//! below increase where things happen.
//!
//! Labels are words that the program knows: routes as the rule table has them, outcomes, statuses.
//! Never a path as it was asked, an id or a name. That also bounds how many series there are.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    describe_counter, describe_gauge, describe_histogram, gauge,
};

/// Upper bounds of the classes of durations, in seconds.
const BOUNDS: [f64; 12] =
    [0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

static SERIES: OnceLock<Arc<Mutex<Series>>> = OnceLock::new();

/// Every series by its name and its labels as they are written.
#[derive(Debug, Default)]
struct Series {
    help: BTreeMap<String, String>,
    counters: BTreeMap<(String, String), Arc<AtomicU64>>,
    gauges: BTreeMap<(String, String), Arc<AtomicU64>>,
    durations: BTreeMap<(String, String), Arc<Durations>>,
}

/// Counts per class; what is above the last bound is only in the sum and the count.
#[derive(Debug, Default)]
struct Durations {
    classes: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

/// Starts to measure; once is enough for a process.
pub(crate) fn start() {
    SERIES.get_or_init(|| {
        let series = Arc::new(Mutex::new(Series::default()));
        let recording = Recording { series: Arc::clone(&series), ..Recording::default() };
        if metrics::set_global_recorder(recording).is_err() {
            tracing::error!("nothing is measured: another recorder runs in this process");
        }
        describe();
        series
    });
}

/// Everything measured so far.
pub(crate) fn render() -> String {
    if let Some(bytes) = resident_bytes() {
        gauge!("process_resident_memory_bytes").set(bytes);
    }
    let Some(series) = SERIES.get() else { return String::new() };
    let series = series.lock().unwrap_or_else(PoisonError::into_inner);
    let mut text = Text::default();
    for ((name, labels), value) in &series.counters {
        text.family(&series, name, "counter");
        text.line(name, labels, &value.load(Ordering::Relaxed));
    }
    for ((name, labels), value) in &series.gauges {
        text.family(&series, name, "gauge");
        text.line(name, labels, &f64::from_bits(value.load(Ordering::Relaxed)));
    }
    for ((name, labels), durations) in &series.durations {
        text.family(&series, name, "histogram");
        text.durations(name, labels, durations);
    }
    text.written
}

fn describe() {
    describe_counter!("behalf_http_requests_total", "Requests, by method, route and status.");
    describe_histogram!(
        "behalf_http_request_duration_seconds",
        "From a request's head to its answer's head, by route."
    );
    describe_counter!("behalf_decisions_total", "Decisions of the gate, by outcome.");
    describe_counter!("behalf_fga_checks_total", "Relationship checks, by answer.");
    describe_gauge!("behalf_fga_stores_loaded", "FGA stores in memory.");
    describe_gauge!("behalf_fga_stores_bytes", "What they take of it, about.");
    describe_counter!("behalf_fga_snapshots_total", "Snapshot files of FGA stores, by outcome.");
    describe_counter!("behalf_commits_total", "Units of work, by what became of them.");
    describe_histogram!(
        "behalf_commit_duration_seconds",
        "From a unit of work to its acknowledgement."
    );
    describe_gauge!("behalf_commit_queue", "Units of work that wait for the embedded store.");
    describe_gauge!("behalf_outbox_events", "Events that have no leaf in the log yet.");
    describe_gauge!("behalf_build_info", "The version that runs.");
    describe_gauge!("process_resident_memory_bytes", "Memory of this process.");
    gauge!("behalf_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// What the process holds in memory, where the system says so (Linux).
fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes = line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?;
    Some(kibibytes.saturating_mul(1024) as f64)
}

#[derive(Default)]
struct Recording {
    series: Arc<Mutex<Series>>,
    counters: Handles<Counter>,
    gauges: Handles<Gauge>,
    histograms: Handles<Histogram>,
}

impl Recording {
    fn describe(&self, name: &KeyName, help: SharedString) {
        self.series().help.insert(name.as_str().to_owned(), help.into_owned());
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handles given out so far. Whoever measures asks for one each time, on the hottest paths too,
/// so an old one is found without writing its labels out.
struct Handles<T>(RwLock<HashMap<Key, T>>);

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<T: Clone> Handles<T> {
    fn find_or(&self, key: &Key, make: impl FnOnce() -> T) -> T {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned();
        known.unwrap_or_else(|| {
            let made = make();
            let mut handles = self.0.write().unwrap_or_else(PoisonError::into_inner);
            handles.insert(key.clone(), made.clone());
            made
        })
    }
}

impl Recorder for Recording {
    fn describe_counter(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }

    fn describe_gauge(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }

    fn describe_histogram(&self, key: KeyName, _unit: Option<Unit>, description: SharedString) {
        self.describe(&key, description);
    }

    fn register_counter(&self, key: &Key, _metadata: &Metadata<'_>) -> Counter {
        self.counters.find_or(key, || {
            Counter::from_arc(Arc::clone(self.series().counters.entry(named(key)).or_default()))
        })
    }

    fn register_gauge(&self, key: &Key, _metadata: &Metadata<'_>) -> Gauge {
        self.gauges.find_or(key, || {
            Gauge::from_arc(Arc::clone(self.series().gauges.entry(named(key)).or_default()))
        })
    }

    fn register_histogram(&self, key: &Key, _metadata: &Metadata<'_>) -> Histogram {
        self.histograms.find_or(key, || {
            Histogram::from_arc(Arc::clone(self.series().durations.entry(named(key)).or_default()))
        })
    }
}

impl HistogramFn for Durations {
    fn record(&self, seconds: f64) {
        if let Some(class) = BOUNDS.iter().position(|bound| seconds <= *bound)
            && let Some(class) = self.classes.get(class)
        {
            class.fetch_add(1, Ordering::Relaxed);
        }
        let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

/// The series' name, and its labels as they are written.
fn named(key: &Key) -> (String, String) {
    let escaped =
        |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let labels =
        key.labels().map(|label| format!("{}=\"{}\"", label.key(), escaped(label.value())));
    (key.name().to_owned(), labels.collect::<Vec<_>>().join(","))
}

/// The text as it grows.
#[derive(Default)]
struct Text {
    written: String,
    family: String,
}

impl Text {
    /// Names the family of the lines that follow, once.
    fn family(&mut self, series: &Series, name: &str, kind: &str) {
        if self.family == name {
            return;
        }
        name.clone_into(&mut self.family);
        if let Some(help) = series.help.get(name) {
            self.push(format_args!("# HELP {name} {help}\n"));
        }
        self.push(format_args!("# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: &impl std::fmt::Display) {
        match labels {
            "" => self.push(format_args!("{name} {value}\n")),
            labels => self.push(format_args!("{name}{{{labels}}} {value}\n")),
        }
    }

    fn durations(&mut self, name: &str, labels: &str, durations: &Durations) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bucket = format!("{name}_bucket");
        // Read before the classes: no class may hold more than the whole.
        let count = durations.count.load(Ordering::Relaxed);
        let mut below = 0_u64;
        for (bound, class) in BOUNDS.iter().zip(&durations.classes) {
            below = below.saturating_add(class.load(Ordering::Relaxed));
            let labels = format!("{labels}{comma}le=\"{bound}\"");
            self.line(&bucket, &labels, &below.min(count));
        }
        self.line(&bucket, &format!("{labels}{comma}le=\"+Inf\""), &count);
        let seconds = durations.micros.load(Ordering::Relaxed) as f64 / 1e6;
        self.line(&format!("{name}_sum"), labels, &seconds);
        self.line(&format!("{name}_count"), labels, &count);
    }

    fn push(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a `String` cannot fail.
        if self.written.write_fmt(text).is_err() {
            tracing::debug!("a measurement could not be written");
        }
    }
}
