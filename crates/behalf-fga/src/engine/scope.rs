//! What all parts of a request look at: one version, one model, the request's own tuples, values
//! and time, and the bounds on its work.

use serde_json::Map;

use super::overlay::Overlay;
use super::plan::{DirectClass, NodeId, StoreModel, UNBOUNDED_HOPS};
use super::request::{Limits, RequestContext, Stop};
use crate::error::RequestError;
use crate::store::Snapshot;
use crate::tuple::Guard;

/// How many steps pass between two looks at the caller's own check.
const STEPS_PER_LOOK: u64 = 1024;

#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) snapshot: &'a Snapshot,
    pub(super) model: &'a StoreModel,
    pub(super) overlay: &'a Overlay<'a>,
    pub(super) request: RequestContext<'a>,
}

impl<'a> Scope<'a> {
    /// Whether a tuple counts: the model admits it, it is its time, and its condition is met.
    pub(super) fn holds(
        &self,
        class: &DirectClass,
        guard: Option<Guard<'_>>,
    ) -> Result<bool, RequestError> {
        let Some(guard) = guard else { return Ok(class.admits_plain) };
        if self.model.admits(class, guard.condition).is_err() {
            return Ok(false);
        }
        if !guard.validity.is_always() {
            let now = self.request.now_micros.ok_or(RequestError::NoTime)?;
            if !guard.validity.holds_at(now) {
                return Ok(false);
            }
        }
        let Some(condition) = guard.condition else { return Ok(true) };
        let Some(compiled) = self.model.conditions.get(condition.name.as_str()) else {
            return Ok(false);
        };
        let empty = Map::new();
        let context = self.request.context.unwrap_or(&empty);
        compiled
            .evaluate(context, Some(&condition.context), self.request.limits.max_condition_cost)
            .map_err(|reason| RequestError::Condition { condition: condition.name.clone(), reason })
    }

    /// The tuples of an object in a class, contextual ones first.
    pub(super) fn edges(
        &self,
        class: &DirectClass,
        object: u32,
    ) -> impl Iterator<Item = (u32, Option<Guard<'a>>)> + use<'a> {
        let contextual = self.overlay.edges(class.table, object).iter();
        let contextual = contextual.map(|edge| (edge.subject, edge.guard));
        let stored = self.snapshot.table(class.table).into_iter();
        contextual.chain(stored.flat_map(move |table| table.edges(object)))
    }

    /// The guards of the tuples of these two ends; with `hides`, only the first counts.
    pub(super) fn tuples_between(
        &self,
        class: &DirectClass,
        object: u32,
        subject: u32,
        hides: bool,
    ) -> impl Iterator<Item = Option<Guard<'a>>> + use<'a> {
        let contextual = self.overlay.edges(class.table, object).iter();
        let contextual = contextual.filter(move |edge| edge.subject == subject);
        let stored = self.snapshot.table(class.table).and_then(|table| table.find(object, subject));
        let most = if hides { 1 } else { usize::MAX };
        contextual.map(|edge| edge.guard).chain(stored).take(most)
    }

    /// The tuple of these two ends; a contextual one hides the stored one.
    pub(super) fn edge(
        &self,
        class: &DirectClass,
        object: u32,
        subject: u32,
    ) -> Option<Option<Guard<'a>>> {
        self.tuples_between(class, object, subject, true).next()
    }

    /// True if no check of the node can go deeper than the request allows, whatever the data.
    pub(super) fn has_bounded_hops(&self, node: NodeId) -> bool {
        let hops = self.model.node(node).map_or(UNBOUNDED_HOPS, |node| node.hops);
        let limit = self.request.limits.resolve_node_limit;
        hops != UNBOUNDED_HOPS && (limit == 0 || hops < limit)
    }

    pub(super) fn budget(&self) -> Budget<'a> {
        Budget::new(&self.request.limits, self.request.stop)
    }
}

/// What is left of a request's bound on work.
#[derive(Debug)]
pub(super) struct Budget<'a> {
    steps: u64,
    max_steps: u64,
    stop: Option<Stop<'a>>,
}

impl<'a> Budget<'a> {
    fn new(limits: &Limits, stop: Option<Stop<'a>>) -> Self {
        Self { steps: 0, max_steps: limits.max_steps, stop }
    }

    pub(super) fn step(&mut self) -> Result<(), RequestError> {
        self.steps += 1;
        if self.steps > self.max_steps {
            return Err(RequestError::BudgetExceeded(self.max_steps));
        }
        if self.steps.is_multiple_of(STEPS_PER_LOOK) { self.look() } else { Ok(()) }
    }

    /// Begins a part of the request that has the whole bound for itself.
    pub(super) fn renew(&mut self) {
        self.steps = 0;
    }

    /// Asks the caller's own check now.
    pub(super) fn look(&self) -> Result<(), RequestError> {
        match self.stop {
            Some(stop) if (stop.0)() => Err(RequestError::Stopped),
            _ => Ok(()),
        }
    }
}
