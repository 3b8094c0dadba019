//! What the cases asked, and what was answered.

use std::fmt::{Display, Formatter, Result};

use super::scope::Size;

#[derive(Clone, Copy, Default)]
pub(super) struct Tally {
    /// Of each size.
    pub(super) cases: [usize; Size::ALL.len()],
    pub(super) checks: usize,
    pub(super) allowed: usize,
    pub(super) failures: usize,
    pub(super) passed_over: usize,
    pub(super) lists: usize,
    pub(super) user_lists: usize,
    pub(super) proofs: usize,
    pub(super) bounded: usize,
}

impl Tally {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            cases: std::array::from_fn(|size| self.cases[size] + other.cases[size]),
            checks: self.checks + other.checks,
            allowed: self.allowed + other.allowed,
            failures: self.failures + other.failures,
            passed_over: self.passed_over + other.passed_over,
            lists: self.lists + other.lists,
            user_lists: self.user_lists + other.user_lists,
            proofs: self.proofs + other.proofs,
            bounded: self.bounded + other.bounded,
        }
    }

    /// Of every kind of answer there are many.
    pub(super) fn says_enough(&self) {
        let Self { checks, allowed, failures, passed_over, .. } = *self;
        assert!(allowed > checks / 50 && passed_over < checks / 10, "the cases say too little");
        let Self { lists, user_lists, proofs, bounded, .. } = *self;
        assert!(failures > checks / 100 && bounded > checks / 100, "the cases say too little");
        assert!(lists > checks / 5 && user_lists > checks / 3, "the cases say too little");
        assert!(proofs > checks / 200, "the cases say too little");
    }
}

/// Numbers and what they count, which `cargo xtask soak` adds up.
impl Display for Tally {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let [small, middle, large] = self.cases;
        write!(f, "{small} small, {middle} middle, {large} large, ")?;
        let Self { checks, allowed, failures, passed_over, .. } = self;
        write!(f, "{checks} checks, {allowed} allowed, {failures} without a value, ")?;
        let Self { lists, user_lists, proofs, bounded, .. } = self;
        write!(f, "{passed_over} passed over, {lists} lists of objects, {user_lists} of users, ")?;
        write!(f, "{proofs} proofs, {bounded} ended at a bound")
    }
}
