//! A vector of pages that versions share.
//!
//! Cloning copies one pointer per 64 pages. Changing a page copies its group of pointers if an
//! older version still holds it; a page itself is something that is cheap to clone.

use std::sync::Arc;

const GROUP: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Paged<P> {
    groups: Vec<Arc<Vec<P>>>,
}

impl<P> Default for Paged<P> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<P: Clone + Default> Paged<P> {
    #[inline]
    pub(crate) fn get(&self, page: usize) -> Option<&P> {
        self.groups.get(page / GROUP)?.get(page % GROUP)
    }

    /// The page for change; pages up to it come into being as needed.
    pub(crate) fn make_mut(&mut self, page: usize) -> Option<&mut P> {
        let (group, at) = (page / GROUP, page % GROUP);
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Arc::default);
        }
        let group = Arc::make_mut(self.groups.get_mut(group)?);
        if group.len() <= at {
            group.resize_with(at + 1, P::default);
        }
        group.get_mut(at)
    }

    /// The number behind the last page's. Not all below are there: only those that were asked for,
    /// and those before them in their group.
    pub(crate) fn len(&self) -> usize {
        match self.groups.split_last() {
            Some((last, full)) => full.len() * GROUP + last.len(),
            None => 0,
        }
    }

    /// The pages that are there.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &P> {
        self.groups.iter().flat_map(|group| group.iter())
    }

    /// Bytes of the directory, not of what the pages point to.
    pub(crate) fn directory_bytes(&self) -> usize {
        // Two counters in front of everything shared.
        let pages: usize = self.groups.iter().map(|group| group.capacity()).sum();
        self.groups.len() * (8 + 16 + 24) + pages * size_of::<P>()
    }
}
