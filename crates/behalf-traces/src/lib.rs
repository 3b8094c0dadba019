//! Spans of agents' runs: kept, normalised, priced and searched.
