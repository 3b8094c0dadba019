//! Rows that are read together, so that waiting for memory overlaps.

use std::hint::black_box;

use super::rows::{Row, Rows};

/// First all rows are named, then they are read at once, then they are looked at.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    wanted: Vec<Wanted<'a>>,
}

#[derive(Debug)]
struct Wanted<'a> {
    rows: &'a Rows,
    number: u32,
    page: &'a [u32],
    row: Row<'a>,
}

impl<'a> Fetch<'a> {
    pub(crate) fn with_room_for(count: usize) -> Self {
        Self { wanted: Vec::with_capacity(count) }
    }

    pub(crate) fn clear(&mut self) {
        self.wanted.clear();
    }

    /// Asks for a row; the place is for [`Self::row`].
    #[inline]
    pub(crate) fn want(&mut self, rows: &'a Rows, number: u32) -> usize {
        let page = rows.page(number);
        self.wanted.push(Wanted { rows, number, page, row: Row::default() });
        self.wanted.len() - 1
    }

    /// Reads all that was asked for: first where the rows are in their pages, then the rows. What is
    /// read is used for something, or it would not be read.
    pub(crate) fn read(&mut self) {
        let heads = self.wanted.iter();
        let heads = heads.fold(0, |sum, wanted| sum ^ Rows::touch_head(wanted.page, wanted.number));
        let mut edges = 0;
        for wanted in &mut self.wanted {
            wanted.row = wanted.rows.row_of(wanted.page, wanted.number);
            edges ^= Rows::touch_row(wanted.page, wanted.number);
        }
        black_box(heads ^ edges);
    }

    /// A row that was read.
    #[inline]
    pub(crate) fn row(&self, place: usize) -> Row<'a> {
        self.wanted.get(place).map(|wanted| wanted.row).unwrap_or_default()
    }
}
