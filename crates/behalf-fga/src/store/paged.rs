//! A vector of pages that versions share.
//!
//! Cloning copies one pointer per 64 pages, and a look at a page follows one. Changing a page copies its group of pointers if an
//! older version still holds it; a page itself is something that is cheap to clone.

use std::sync::Arc;

const GROUP: usize = 64;

#[derive(Clone, Debug)]
pub(crate) struct Paged<P> {
    groups: Vec<Arc<[P]>>,
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
        let group = self.groups.get_mut(group)?;
        if group.len() <= at {
            let mut pages = match Arc::get_mut(group) {
                Some(own) => own.iter_mut().map(std::mem::take).collect(),
                None => group.to_vec(),
            };
            pages.resize_with(at + 1, P::default);
            *group = Arc::from(pages);
        }
        Arc::make_mut(group).get_mut(at)
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
        let pages: usize = self.groups.iter().map(|group| group.len()).sum();
        self.groups.len() * (16 + 16) + pages * size_of::<P>()
    }
}

#[cfg(test)]
mod tests {
    use super::Paged;

    #[test]
    fn pages_come_into_being_as_they_are_asked_for_and_versions_share_them() {
        let mut paged: Paged<u64> = Paged::default();
        assert_eq!((paged.len(), paged.get(0), paged.directory_bytes()), (0, None, 0));
        for page in [0, 1, 63, 64, 200] {
            *paged.make_mut(page).unwrap() = page as u64 + 1;
        }
        let old = paged.clone();
        *paged.make_mut(64).unwrap() = 7;
        *paged.make_mut(65).unwrap() = 8;
        for (page, before, after) in
            [(0, 1, 1), (1, 2, 2), (2, 0, 0), (63, 64, 64), (64, 65, 7), (200, 201, 201)]
        {
            assert_eq!((old.get(page), paged.get(page)), (Some(&before), Some(&after)), "{page}");
        }
        for absent in [66, 128, 201, 256] {
            assert_eq!(paged.get(absent), None, "{absent}");
        }
        assert_eq!((old.get(65), paged.get(65)), (None, Some(&8)));
        assert_eq!((old.len(), paged.len()), (201, 201));
        // A whole group, one of two pages, none, and one up to its ninth.
        assert_eq!(paged.pages().count(), 64 + 2 + 9);
        assert_eq!(paged.pages().sum::<u64>(), 1 + 2 + 64 + 7 + 8 + 201);
        assert_eq!(paged.directory_bytes(), 4 * 32 + (64 + 2 + 9) * 8);
    }
}
