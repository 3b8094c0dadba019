//! Check where unions are all there is: reachability, searched from both ends.
//!
//! A node is *plain* if nothing it depends on has `and` or `but not`; then a check asks whether a
//! tuple that names the user can be reached, and a cycle is nothing but false. From the object's
//! end, pairs are visited once each, in waves, also those of many questions about one user at a
//! time. From the user's end, the groups the user is in are gathered
//! once per request: a *group* is a plain node made of its own tuples only, so that a userset is
//! decided by a look into that set instead of a search through its members.
//!
//! Whatever cannot be decided so (a condition without its values, the request's own tuples, usersets
//! and wildcards as users, too much work) has no answer here, and the evaluator is asked.

use std::hint::black_box;

use super::evaluate::{Pair, SubjectId, SubjectKindId};
use super::pairs::PairMap;
use super::plan::{Dependent, DirectClass, Node, NodeId, Step, Via};
use super::scope::Scope;
use crate::store::{Edge, Row, Rows};

/// A user in more groups than this is searched from the object's end only.
const MAX_GROUPS: usize = 4_096;
/// Pairs and edges looked at for one answer before the evaluator, which has a budget, takes over.
const MAX_WORK: u32 = 200_000;

/// So many pairs are looked at together, so that waiting for memory overlaps.
const TOGETHER: usize = 32;

/// No place in the list of askers.
const NOBODY: u32 = u32::MAX;

pub(super) struct Reach<'a> {
    scope: Scope<'a>,
    subject: SubjectId,
    /// Pairs met so far, by their places in `pairs`.
    places: PairMap,
    pairs: Vec<Met>,
    /// Who asked for a pair: (a pair's place, where the next one that asked for the same is).
    askers: Vec<(u32, u32)>,
    /// Places of pairs that are still to be looked at, in the order in which they were met.
    queue: Vec<u32>,
    /// Pairs of the current question.
    question: u32,
    /// Groups the user is in, each with the number of the gathering that last met it.
    groups: PairMap,
    gathered: Vec<(NodeId, Gathered)>,
    /// The objects whose tuples name the user, by table.
    named: Vec<(u32, Row<'a>)>,
    /// Rows to read before they are needed.
    reads: Vec<(&'a Rows, u32)>,
    work: u32,
}

/// A pair that was met.
#[derive(Clone, Copy)]
struct Met {
    pair: Pair,
    state: State,
    /// The first of its askers, or [`NOBODY`].
    asked_by: u32,
}

/// What is known of a pair.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It leads to the user.
    Allowed,
    /// It was explored to the end and does not lead to the user.
    Denied,
    /// It was explored to the end; a tuple on the way could not be decided.
    Undecided,
    /// It was queued in this question, and the answer is open.
    Open(u32),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gathered {
    /// All groups are known.
    All,
    /// Some tuple could not be decided, so only "is in" can be relied on.
    Undecided,
    /// There are too many.
    TooMany,
}

/// What a step says.
enum Found {
    User,
    Nothing,
    /// Nothing, as far as it can be decided here.
    Undecided,
}

impl<'a> Reach<'a> {
    /// Nothing if questions of this request are not for here.
    pub(super) fn new(scope: Scope<'a>, subject: SubjectId) -> Option<Self> {
        let is_for_here = subject.kind == SubjectKindId::Object && scope.overlay.is_empty();
        is_for_here.then(|| Self {
            scope,
            subject,
            places: PairMap::default(),
            pairs: Vec::new(),
            askers: Vec::new(),
            queue: Vec::new(),
            question: 0,
            groups: PairMap::default(),
            gathered: Vec::new(),
            named: Vec::new(),
            reads: Vec::new(),
            work: 0,
        })
    }

    /// Whether the user has the plain relation; nothing if it cannot be decided here.
    pub(super) fn check(&mut self, root: Pair) -> Option<bool> {
        self.explore(&[root]);
        self.answer(root)
    }

    /// Answers for many pairs at once, each as [`Self::check`].
    pub(super) fn check_all(&mut self, roots: &[Pair]) -> Vec<Option<bool>> {
        self.explore(roots);
        roots.iter().map(|root| self.answer(*root)).collect()
    }

    fn answer(&self, root: Pair) -> Option<bool> {
        let is_reached = self.is_reached(root.0);
        match self.places.get(root).and_then(|place| self.pairs.get(place as usize)) {
            Some(Met { state: State::Allowed, .. }) => Some(true),
            Some(Met { state: State::Denied, .. }) => Some(false),
            Some(_) => None,
            None => (!is_reached).then_some(false),
        }
    }

    /// Explores the pairs that the roots lead to, in waves, until all roots lead to the user, or to
    /// the end, or until it is too much.
    ///
    /// Pairs that were explored to the end need no second look. Those that were left open when a
    /// question ended early are begun anew by the next one that meets them.
    fn explore(&mut self, roots: &[Pair]) {
        self.question += 1;
        self.work = 0;
        self.queue.clear();
        if let Some(root) = roots.first().filter(|_| self.question == 1) {
            self.touch_user(*root);
        }
        for root in roots {
            self.push(*root, NOBODY);
        }
        // Roots are met first, so they are in front.
        let of_roots = self.queue.len();
        let mut next = 0;
        let mut undecided: Vec<u32> = Vec::new();
        while next < self.queue.len() {
            let is_open = |place: &u32| {
                self.pairs.get(*place as usize).is_some_and(|met| met.state != State::Allowed)
            };
            if !self.queue.iter().take(of_roots).any(is_open) || self.work > MAX_WORK {
                return;
            }
            let end = self.queue.len().min(next + TOGETHER);
            self.touch_wave(next, end);
            for at in next..end {
                let Some(&place) = self.queue.get(at) else { continue };
                let Some(&met) = self.pairs.get(place as usize) else { continue };
                if met.state != State::Allowed && self.look(place, met.pair) {
                    undecided.push(place);
                }
            }
            next = end;
        }
        self.finish(undecided);
    }

    /// Takes the pair's steps; true if one could not be decided.
    fn look(&mut self, place: u32, pair: Pair) -> bool {
        let Some(node) = self.scope.model.node(pair.0) else { return false };
        let mut is_undecided = false;
        for step in &node.steps {
            match self.step(place, node, step, pair.1) {
                Found::User => {
                    self.spread(place, State::Allowed);
                    return false;
                }
                Found::Nothing => {}
                Found::Undecided => is_undecided = true,
            }
        }
        is_undecided
    }

    /// Everything queued was looked at: what is not allowed by now is denied, or undecided.
    fn finish(&mut self, undecided: Vec<u32>) {
        for place in undecided {
            self.spread(place, State::Undecided);
        }
        for place in self.queue.drain(..) {
            if let Some(met) = self.pairs.get_mut(place as usize)
                && matches!(met.state, State::Open(_))
            {
                met.state = State::Denied;
            }
        }
    }

    /// Sets the state of a pair and of all that asked for it, as far as it is news.
    fn spread(&mut self, place: u32, state: State) {
        let mut stack = vec![place];
        while let Some(place) = stack.pop() {
            let Some(met) = self.pairs.get_mut(place as usize) else { continue };
            if met.state == state || met.state == State::Allowed {
                continue;
            }
            met.state = state;
            let mut asker = met.asked_by;
            while let Some(&(place, next)) = self.askers.get(asker as usize) {
                stack.push(place);
                asker = next;
            }
        }
    }

    /// Reads the rows that a wave will look at, without waiting for one before the next.
    fn touch_wave(&mut self, from: usize, to: usize) {
        let Scope { model, snapshot, .. } = self.scope;
        for place in self.queue.get(from..to).unwrap_or(&[]) {
            let Some(met) = self.pairs.get(*place as usize) else { continue };
            let Some(node) = model.node(met.pair.0) else { continue };
            for table in &node.looked_at {
                self.reads.extend(snapshot.table(*table).map(|t| (&t.forward, met.pair.1)));
            }
        }
        let mut sum = 0;
        for (rows, row) in &self.reads {
            sum ^= rows.touch_page(*row);
        }
        for (rows, row) in self.reads.drain(..) {
            sum ^= rows.touch_row(row);
        }
        black_box(sum);
    }

    /// Adds the rows of the user that a question may look at to the reads of the first wave.
    fn touch_user(&mut self, root: Pair) {
        let Scope { model, snapshot, .. } = self.scope;
        let Some(node) = model.node(root.0) else { return };
        for (subject_type, table) in &node.naming {
            if *subject_type == self.subject.type_number {
                let table = snapshot.table(*table);
                self.reads.extend(table.map(|table| (&table.reverse, self.subject.id)));
            }
        }
    }

    fn is_reached(&self, node: NodeId) -> bool {
        let node = self.scope.model.node(node);
        node.is_some_and(|node| node.reached_by.contains(self.subject.class))
    }

    /// Asks for a pair: it is queued unless its answer is known.
    fn push(&mut self, pair: Pair, asker: u32) {
        self.work += 1;
        if !self.is_reached(pair.0) {
            return;
        }
        let open = State::Open(self.question);
        let new = u32::try_from(self.pairs.len()).unwrap_or(NOBODY);
        let place = self.places.get_or_insert(pair, new);
        if place == new {
            self.pairs.push(Met { pair, state: open, asked_by: NOBODY });
            self.queue.push(place);
        }
        let Some(met) = self.pairs.get_mut(place as usize) else { return };
        match met.state {
            State::Denied => return,
            State::Allowed | State::Undecided => {}
            State::Open(_) if met.state == open => {}
            State::Open(_) => {
                met.state = open;
                self.queue.push(place);
            }
        }
        if asker == NOBODY {
            return;
        }
        let state = met.state;
        let link = u32::try_from(self.askers.len()).unwrap_or(NOBODY);
        self.askers.push((asker, met.asked_by));
        met.asked_by = link;
        if matches!(state, State::Allowed | State::Undecided) {
            self.spread(asker, state);
        }
    }

    fn step(&mut self, place: u32, node: &'a Node, step: &'a Step, object: u32) -> Found {
        match *step {
            Step::User { class } => self.user(node, class, object),
            Step::Wildcard { class } => {
                let Some(class) = node.direct.get(class) else { return Found::Nothing };
                if class.subject_type != self.subject.type_number {
                    return Found::Nothing;
                }
                self.tuples(class, object, &mut |_, _| Found::User)
            }
            Step::Usersets { class, target } => {
                let Some(class) = node.direct.get(class) else { return Found::Nothing };
                self.usersets(place, class, target, object)
            }
            Step::Parents { tupleset, class, target } => {
                let owner = self.scope.model.node(tupleset);
                let class = owner.and_then(|owner| owner.direct.get(class));
                let Some(class) = class else { return Found::Nothing };
                self.tuples(class, object, &mut |this, parent| {
                    this.push((target, parent), place);
                    Found::Nothing
                })
            }
            Step::Computed(target) => {
                self.push((target, object), place);
                Found::Nothing
            }
        }
    }

    /// Whether a tuple of the object names the user, looked for among the user's tuples, which are
    /// the same for every object of the request.
    fn user(&mut self, node: &'a Node, class: usize, object: u32) -> Found {
        let Some(class) = node.direct.get(class) else { return Found::Nothing };
        if class.subject_type != self.subject.type_number {
            return Found::Nothing;
        }
        let Some(table) = self.scope.snapshot.table(class.table) else { return Found::Nothing };
        let known = self.named.iter().find(|(number, _)| *number == class.table);
        let row = match known {
            Some((_, row)) => *row,
            None => {
                let row = table.reverse.row(self.subject.id);
                self.named.push((class.table, row));
                row
            }
        };
        let edge = if row.is_small() {
            row.find(object)
        } else {
            table.forward.find(object, self.subject.id)
        };
        let Some(edge) = edge else { return Found::Nothing };
        if !edge.is_guarded() {
            return if class.admits_plain { Found::User } else { Found::Nothing };
        }
        let own = Edge::new(self.subject.id, true);
        let Some(guard) = table.guard(object, own) else { return Found::Nothing };
        match self.scope.holds(class, guard) {
            Ok(true) => Found::User,
            Ok(false) => Found::Nothing,
            Err(_) => Found::Undecided,
        }
    }

    fn usersets(
        &mut self,
        place: u32,
        class: &'a DirectClass,
        target: NodeId,
        object: u32,
    ) -> Found {
        if !self.is_reached(target) {
            return Found::Nothing;
        }
        // Most objects name no userset, and then the user's groups need not be known.
        let table = self.scope.snapshot.table(class.table);
        let is_empty = table.is_none_or(|table| table.forward.row(object).is_empty());
        if is_empty {
            return Found::Nothing;
        }
        let gathered = self.gather(target);
        self.tuples(class, object, &mut |this, group| {
            let pair = (target, group);
            match gathered {
                Gathered::TooMany => this.push(pair, place),
                _ if this.groups.get(pair).is_some() => return Found::User,
                Gathered::All => {}
                Gathered::Undecided => return Found::Undecided,
            }
            Found::Nothing
        })
    }

    /// Goes through the tuples of an object that hold, until one leads to the user.
    fn tuples(
        &mut self,
        class: &'a DirectClass,
        object: u32,
        visit: &mut dyn FnMut(&mut Self, u32) -> Found,
    ) -> Found {
        let Some(table) = self.scope.snapshot.table(class.table) else { return Found::Nothing };
        let mut found = Found::Nothing;
        for edge in table.forward.row(object).iter() {
            self.work += 1;
            let Some(guard) = table.guard(object, edge) else { continue };
            match self.scope.holds(class, guard) {
                Ok(true) => match visit(self, edge.end()) {
                    Found::User => return Found::User,
                    Found::Nothing => {}
                    Found::Undecided => found = Found::Undecided,
                },
                Ok(false) => {}
                Err(_) => found = Found::Undecided,
            }
        }
        found
    }

    /// Gathers the groups of a group node that the user is in, once per request.
    fn gather(&mut self, target: NodeId) -> Gathered {
        if let Some((_, gathered)) = self.gathered.iter().find(|(node, _)| *node == target) {
            return *gathered;
        }
        let gathered = self.gather_now(target);
        self.gathered.push((target, gathered));
        gathered
    }

    fn gather_now(&mut self, target: NodeId) -> Gathered {
        let Some(node) = self.scope.model.node(target) else { return Gathered::TooMany };
        if node.group.is_empty() {
            return Gathered::TooMany;
        }
        let mut gathered = Gathered::All;
        let mut queue: Vec<Pair> = Vec::new();
        for member in &node.group {
            let Some(member) = self.scope.model.node(*member) else { continue };
            for class in &member.direct {
                let subject = match class.subject {
                    _ if class.subject_type != self.subject.type_number => continue,
                    super::plan::Subject::Object => self.subject.id,
                    super::plan::Subject::Wildcard => 0,
                    super::plan::Subject::Userset(_) => continue,
                };
                self.groups_naming(member.id, class, subject, &mut queue, &mut gathered);
            }
        }
        let mut next = 0;
        while let Some(&(from, object)) = queue.get(next) {
            next += 1;
            if queue.len() > MAX_GROUPS {
                return Gathered::TooMany;
            }
            let Some(from) = self.scope.model.node(from) else { continue };
            for Dependent { node: to, via, .. } in &from.dependents {
                let Via::Tuples { owner, class } = *via else { continue };
                if owner != *to || !node.group.contains(to) {
                    continue;
                }
                let owner = self.scope.model.node(owner);
                let Some(class) = owner.and_then(|owner| owner.direct.get(class)) else { continue };
                self.groups_naming(*to, class, object, &mut queue, &mut gathered);
            }
        }
        gathered
    }

    /// Adds the groups whose tuples of a class name the subject.
    fn groups_naming(
        &mut self,
        node: NodeId,
        class: &'a DirectClass,
        subject: u32,
        queue: &mut Vec<Pair>,
        gathered: &mut Gathered,
    ) {
        let Some(table) = self.scope.snapshot.table(class.table) else { return };
        for edge in table.reverse.row(subject).iter() {
            let group = edge.end();
            let own = Edge::new(subject, edge.is_guarded());
            let Some(guard) = table.guard(group, own) else { continue };
            let holds = self.scope.holds(class, guard);
            match holds {
                Ok(true) => {
                    // Another gathering may have met it, and gone on elsewhere from there.
                    let number = u32::try_from(self.gathered.len()).unwrap_or(u32::MAX);
                    if self.groups.insert((node, group), number) != Some(number) {
                        queue.push((node, group));
                    }
                }
                Ok(false) => {}
                Err(_) => *gathered = Gathered::Undecided,
            }
            if queue.len() > MAX_GROUPS {
                return;
            }
        }
    }
}
