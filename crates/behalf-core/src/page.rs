//! Pages of lists: bounded, in a stable order, continued by an opaque token.

use serde::Serialize;

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page<T> {
    /// The items, in the list's stable order.
    pub items: Vec<T>,
    /// What to send to get the page after this one; `None` at the end.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// The same page with each item turned into another type.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(f).collect(), next: self.next }
    }
}

/// How many items a page holds: 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u16);

impl PageSize {
    /// The size used when none is asked for.
    pub const DEFAULT: Self = Self(50);
    /// The largest page.
    pub const MAX: u16 = 100;

    /// `size` if it lies in 1..=100.
    pub const fn new(size: u16) -> Option<Self> {
        if size == 0 || size > Self::MAX { None } else { Some(Self(size)) }
    }

    /// The number of items.
    pub const fn value(self) -> u16 {
        self.0
    }
}
