//! Check where unions are all there is: reachability, searched from both ends.
//!
//! A node is *plain* if nothing it depends on has `and` or `but not`; then a check asks whether a
//! tuple that names the user can be reached, and a cycle is nothing but false. From the object's
//! end, pairs are visited once each, in waves, also those of many questions at a time; what a wave
//! looks at is read together. Relations of one object are mostly looked at as one
//! ([`super::plain`]). From the user's end, the groups the user is in are gathered once per request:
//! a *group* is a plain node made of its own tuples only, so that a userset is decided by a look
//! into that set instead of a search through its members.
//!
//! Whatever cannot be decided so (a condition without its values, the request's own tuples, usersets
//! and wildcards as users, too much work) has no answer here, and the evaluator is asked.

use std::ops::Range;

use super::evaluate::{Pair, SubjectId, SubjectKindId};
use super::pairs::PairMap;
use super::plan::{Dependent, DirectClass, NodeId, Step, Subject, Via};
use super::scope::Scope;
use crate::store::{Edge, Fetch, Row};

/// A user in more groups than this is searched from the object's end only.
const MAX_GROUPS: usize = 4_096;
/// Pairs and edges looked at for one answer before the evaluator, which has a budget, takes over.
const MAX_WORK: u32 = 200_000;

/// So many pairs of a user are looked at together, so that waiting for memory overlaps.
const TOGETHER: usize = 32;
/// So many rows, pairs and steps a check has room for before it grows.
const ROOM: usize = 16;

/// So many questions of a user are worked on together.
pub(super) const MAX_ROOTS: usize = 128;

/// No place in the list of askers.
const NOBODY: u32 = u32::MAX;
/// The place of no row.
const NO_ROW: usize = usize::MAX;

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
    /// How many of them were asked for, and how many were looked at.
    roots: usize,
    next: usize,
    /// Which of a wave's tasks are of this user.
    tasks: Range<usize>,
    /// Places of pairs with a step that could not be decided.
    undecided: Vec<u32>,
    /// The number of the current question.
    question: u32,
    /// Groups the user is in, each with the number of the gathering that last met it.
    groups: PairMap,
    gathered: Vec<(NodeId, Gathered)>,
    /// The objects whose tuples name the user, by table.
    named: Vec<Named<'a>>,
    work: u32,
}

/// A step of a pair, and the place of the row that it looks at.
#[derive(Clone, Copy)]
struct Task<'a> {
    place: u32,
    object: u32,
    step: &'a Step,
    row: usize,
}

/// The user's row in a table; until the first wave has been read, only its place.
#[derive(Clone, Copy)]
struct Named<'a> {
    table: u32,
    place: usize,
    row: Option<Row<'a>>,
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
    /// True if questions of this user in this request are for here.
    pub(super) fn is_for(scope: &Scope<'_>, subject: &SubjectId) -> bool {
        subject.kind == SubjectKindId::Object && scope.overlay.is_empty()
    }

    /// True if a check of the node may be answered here.
    pub(super) fn is_for_node(scope: &Scope<'_>, node: NodeId) -> bool {
        scope.model.node(node).is_some_and(|node| node.is_plain) && scope.has_bounded_hops(node)
    }

    pub(super) fn new(scope: Scope<'a>, subject: SubjectId) -> Self {
        Self {
            scope,
            subject,
            places: PairMap::default(),
            pairs: Vec::with_capacity(ROOM),
            askers: Vec::with_capacity(ROOM),
            queue: Vec::with_capacity(ROOM),
            roots: 0,
            next: 0,
            tasks: 0..0,
            undecided: Vec::new(),
            question: 0,
            groups: PairMap::default(),
            gathered: Vec::new(),
            named: Vec::new(),
            work: 0,
        }
    }

    /// Whether the user has the plain relation; nothing if it cannot be decided here.
    pub(super) fn check(&mut self, root: Pair) -> Option<bool> {
        self.begin();
        self.push(root, NOBODY);
        self.roots = self.queue.len();
        explore(&mut [self]);
        self.answer(root)
    }

    /// Begins a question about the first of the pairs, as far as they are for here and not known yet.
    pub(super) fn ask_first(&mut self, pairs: &[Pair]) {
        self.begin();
        for pair in pairs.iter().take(MAX_ROOTS) {
            if Self::is_for_node(&self.scope, pair.0) && self.answer(*pair).is_none() {
                self.push(*pair, NOBODY);
            }
        }
        self.roots = self.queue.len();
    }

    /// The answer for a pair, if it is for here and was found.
    pub(super) fn known(&self, pair: Pair) -> Option<bool> {
        if Self::is_for_node(&self.scope, pair.0) { self.answer(pair) } else { None }
    }

    /// What is known of a pair that was asked for; nothing if it could not be decided.
    fn answer(&self, root: Pair) -> Option<bool> {
        match self.places.get(root).and_then(|place| self.pairs.get(place as usize)) {
            Some(Met { state: State::Allowed, .. }) => Some(true),
            Some(Met { state: State::Denied, .. }) => Some(false),
            Some(_) => None,
            None => (!self.is_reached(root.0)).then_some(false),
        }
    }

    /// Begins a question, whose roots are asked for next, and which [`explore`] answers.
    ///
    /// Pairs that were explored to the end need no second look. Those that were left open when a
    /// question ended early are begun anew by the next one that meets them.
    fn begin(&mut self) {
        self.question += 1;
        self.work = 0;
        self.queue.clear();
        self.next = 0;
        self.undecided.clear();
    }

    /// Says which rows the next wave looks at; false if there is none: all roots lead to the user, or
    /// everything was looked at, or it is too much.
    fn plan_wave(&mut self, fetch: &mut Fetch<'a>, tasks: &mut Vec<Task<'a>>) -> bool {
        if self.next >= self.queue.len() {
            self.finish();
            return false;
        }
        let is_open = |place: &u32| {
            self.pairs.get(*place as usize).is_some_and(|met| met.state != State::Allowed)
        };
        if !self.queue.iter().take(self.roots).any(is_open) || self.work > MAX_WORK {
            return false;
        }
        if self.named.is_empty() {
            self.want_user(fetch);
        }
        let first = tasks.len();
        let end = self.queue.len().min(self.next + TOGETHER);
        for at in self.next..end {
            let met = self.queue.get(at).and_then(|at| Some((*at, self.pairs.get(*at as usize)?)));
            let Some((place, met)) = met.filter(|(_, met)| met.state != State::Allowed) else {
                continue;
            };
            let (node, object) = met.pair;
            let Some(node) = self.scope.model.node(node) else { continue };
            for step in &node.steps {
                if let Some(row) = self.want(step, object, fetch) {
                    tasks.push(Task { place, step, object, row });
                }
            }
        }
        self.next = end;
        self.tasks = first..tasks.len();
        true
    }

    /// The place of the object's row that a step looks at, or of none; nothing if the step cannot
    /// lead to this user.
    fn want(&self, step: &'a Step, object: u32, fetch: &mut Fetch<'a>) -> Option<usize> {
        let model = self.scope.model;
        let class = match *step {
            Step::User(class) | Step::Wildcard(class) => {
                let class = model.class(class)?;
                (class.subject_type == self.subject.type_number).then_some(class)
            }
            Step::Usersets(class, target) | Step::Parents(class, target) => {
                if self.is_reached(target) { model.class(class) } else { None }
            }
            Step::Computed(_) => return Some(NO_ROW),
        };
        let class = class?;
        match step {
            Step::User(_) => Some(NO_ROW),
            _ => Some(fetch.want(&self.scope.snapshot.table(class.table)?.forward, object)),
        }
    }

    /// Adds the rows of the user that the first root may look at.
    fn want_user(&mut self, fetch: &mut Fetch<'a>) {
        let Scope { model, snapshot, .. } = self.scope;
        let root = self.queue.first().and_then(|place| self.pairs.get(*place as usize));
        let Some(node) = root.and_then(|root| model.node(root.pair.0)) else { return };
        for (subject_type, table) in &node.naming {
            if *subject_type == self.subject.type_number
                && let Some(rows) = snapshot.table(*table)
            {
                let place = fetch.want(&rows.reverse, self.subject.id);
                self.named.push(Named { table: *table, place, row: None });
            }
        }
    }

    /// Looks at the rows that were read.
    fn run_wave(&mut self, fetch: &Fetch<'a>, tasks: &[Task<'a>]) {
        for named in &mut self.named {
            named.row.get_or_insert_with(|| fetch.row(named.place));
        }
        for task in tasks.get(self.tasks.clone()).unwrap_or(&[]) {
            let met = self.pairs.get(task.place as usize);
            if met.is_some_and(|met| met.state == State::Allowed) {
                continue;
            }
            match self.step(task, fetch.row(task.row)) {
                Found::User => self.spread(task.place, State::Allowed),
                Found::Nothing => {}
                Found::Undecided => self.undecided.push(task.place),
            }
        }
    }

    /// Everything queued was looked at: what is not allowed by now is denied, or undecided.
    fn finish(&mut self) {
        for place in std::mem::take(&mut self.undecided) {
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

    fn step(&mut self, task: &Task<'a>, row: Row<'a>) -> Found {
        let Task { place, object, step, .. } = *task;
        let class = |class| self.scope.model.class(class);
        match *step {
            Step::Computed(target) => {
                self.push((target, object), place);
                Found::Nothing
            }
            Step::User(id) => class(id).map_or(Found::Nothing, |class| self.user(class, object)),
            Step::Wildcard(id) => class(id).map_or(Found::Nothing, |class| {
                self.tuples(class, object, row, |_, _| Found::User)
            }),
            Step::Usersets(id, target) => class(id)
                .map_or(Found::Nothing, |class| self.usersets(place, class, target, object, row)),
            Step::Parents(id, target) => class(id).map_or(Found::Nothing, |class| {
                self.tuples(class, object, row, |this, parent| {
                    this.push((target, parent), place);
                    Found::Nothing
                })
            }),
        }
    }

    /// Whether a tuple of the object names the user, looked for among the user's tuples, which are
    /// the same for every object of the request.
    fn user(&mut self, class: &'a DirectClass, object: u32) -> Found {
        let row = self.named_row(class.table);
        let edge = if row.is_small() {
            row.find(object)
        } else {
            let table = self.scope.snapshot.table(class.table);
            table.and_then(|table| table.forward.find(object, self.subject.id))
        };
        match edge.map(|edge| self.holds(class, object, self.subject.id, edge.is_guarded())) {
            Some(Some(true)) => Found::User,
            Some(Some(false)) | None => Found::Nothing,
            Some(None) => Found::Undecided,
        }
    }

    /// The objects whose tuples of a table name the user.
    fn named_row(&mut self, table: u32) -> Row<'a> {
        let known = self.named.iter().find(|named| named.table == table);
        if let Some(row) = known.and_then(|named| named.row) {
            return row;
        }
        let rows = self.scope.snapshot.table(table);
        let row = rows.map(|table| table.reverse.row(self.subject.id)).unwrap_or_default();
        self.named.push(Named { table, place: NO_ROW, row: Some(row) });
        row
    }

    fn usersets(
        &mut self,
        place: u32,
        class: &'a DirectClass,
        target: NodeId,
        object: u32,
        row: Row<'a>,
    ) -> Found {
        // Most objects name no userset, and then the user's groups need not be known.
        if row.is_empty() {
            return Found::Nothing;
        }
        let gathered = self.gather(target);
        self.tuples(class, object, row, |this, group| {
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
        row: Row<'a>,
        visit: impl Fn(&mut Self, u32) -> Found,
    ) -> Found {
        let mut found = Found::Nothing;
        for edge in row.iter() {
            self.work += 1;
            match self.holds(class, object, edge.end(), edge.is_guarded()) {
                Some(true) => match visit(self, edge.end()) {
                    Found::User => return Found::User,
                    Found::Nothing => {}
                    Found::Undecided => found = Found::Undecided,
                },
                Some(false) => {}
                None => found = Found::Undecided,
            }
        }
        found
    }

    /// Whether a stored tuple counts; nothing if it cannot be decided here.
    fn holds(
        &self,
        class: &DirectClass,
        object: u32,
        subject: u32,
        is_guarded: bool,
    ) -> Option<bool> {
        if !is_guarded {
            return Some(class.admits_plain);
        }
        let table = self.scope.snapshot.table(class.table);
        let guard = table.and_then(|table| table.guard(object, Edge::new(subject, true)));
        guard.map_or(Some(false), |guard| self.scope.holds(class, guard).ok())
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
                    Subject::Object => self.subject.id,
                    Subject::Wildcard => 0,
                    Subject::Userset(_) => continue,
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
        let is_user = class.subject == Subject::Object
            && (class.subject_type, subject) == (self.subject.type_number, self.subject.id);
        let row = if is_user {
            self.named_row(class.table)
        } else {
            let table = self.scope.snapshot.table(class.table);
            table.map(|table| table.reverse.row(subject)).unwrap_or_default()
        };
        for edge in row.iter() {
            let group = edge.end();
            match self.holds(class, group, subject, edge.is_guarded()) {
                Some(true) => {
                    // Another gathering may have met it, and gone on elsewhere from there.
                    let number = u32::try_from(self.gathered.len()).unwrap_or(u32::MAX);
                    if self.groups.insert((node, group), number) != Some(number) {
                        queue.push((node, group));
                    }
                }
                Some(false) => {}
                None => *gathered = Gathered::Undecided,
            }
            if queue.len() > MAX_GROUPS {
                return;
            }
        }
    }
}

/// Answers the questions of several users in waves, whose rows are read together.
pub(super) fn explore(asked: &mut [&mut Reach<'_>]) {
    let mut fetch = Fetch::with_room_for(ROOM);
    let mut tasks = Vec::with_capacity(ROOM);
    let mut open = asked.len();
    while open > 0 {
        fetch.clear();
        tasks.clear();
        let mut at = 0;
        while at < open {
            if asked.get_mut(at).is_some_and(|reach| reach.plan_wave(&mut fetch, &mut tasks)) {
                at += 1;
            } else {
                open -= 1;
                asked.swap(at, open);
            }
        }
        fetch.read();
        for reach in asked.iter_mut().take(open) {
            reach.run_wave(&fetch, &tasks);
        }
    }
}
