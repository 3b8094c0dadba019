//! A vector of pages that versions share.
//!
//! Cloning copies one pointer per 64 pages. Changing a page copies the page and its group if an
//! older version still holds them, and nothing otherwise, so a batch copies each page once.

use std::sync::Arc;

const GROUP: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Paged<T> {
    groups: Vec<Arc<Vec<Arc<T>>>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { groups: Vec::new() }
    }
}

impl<T: Clone + Default> Paged<T> {
    pub(crate) fn get(&self, page: usize) -> Option<&T> {
        self.groups.get(page / GROUP)?.get(page % GROUP).map(|page| &**page)
    }

    /// The page for change; pages up to it come into being as needed.
    pub(crate) fn make_mut(&mut self, page: usize) -> Option<&mut T> {
        let (group, at) = (page / GROUP, page % GROUP);
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, Arc::default);
        }
        let group = Arc::make_mut(self.groups.get_mut(group)?);
        if group.len() <= at {
            group.resize_with(at + 1, Arc::default);
        }
        group.get_mut(at).map(Arc::make_mut)
    }

    /// The pages that no other version holds, for change.
    pub(crate) fn unshared(&mut self) -> impl Iterator<Item = &mut T> {
        let groups = self.groups.iter_mut().filter_map(Arc::get_mut);
        groups.flat_map(|group| group.iter_mut().filter_map(Arc::get_mut))
    }

    /// The number behind the last page's. Not all below are there: only those that were asked for,
    /// and those before them in their group.
    pub(crate) fn len(&self) -> usize {
        let last = self.groups.last().map_or(0, |group| group.len());
        self.groups.len().saturating_sub(1) * GROUP + last
    }

    /// The pages that are there.
    pub(crate) fn pages(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|group| group.iter()).map(|page| &**page)
    }

    /// Bytes of the directory, not of the pages' own heap.
    pub(crate) fn directory_bytes(&self) -> usize {
        // Two counters in front of everything shared.
        let pages: usize = self.groups.iter().map(|group| group.len()).sum();
        self.groups.len() * (8 + 16 + 24) + pages * (8 + 16 + size_of::<T>())
    }
}
