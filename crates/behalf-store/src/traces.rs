//! Rows and statements of traces: batches as they came, and the projections built from them.

mod batches;
mod lists;
mod spans;
mod statistics;

pub use batches::{BatchRow, find_batch, insert_batch, list_batches, next_sequence};
pub use lists::{
    Cursor, Filter, Place, TraceRow, find, list, list_changed, list_tags, list_values,
    newest_sequence,
};
pub use spans::{Key, SpanRow, clear_projections, list_spans, put_span, put_tag, put_trace};
pub use statistics::{DayRow, OutcomeRow, days, outcomes};
