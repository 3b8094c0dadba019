//! Documents as text and passages, and the search that shows only what may be read.
