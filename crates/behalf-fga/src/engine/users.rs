//! List users: a walk forwards from the object, along tuples that hold.
//!
//! Users and usersets met on a way that grants by itself at every step are answers. Those met only
//! on ways through `and` or `but not` are candidates, which a check decides, each for itself. Users
//! that no tuple on the way names are like each other: they have the relation exactly if the
//! wildcard of their type has it, so the answer is complete with the wildcard beside those named.
//! As in OpenFGA, a condition on the way that cannot be evaluated is an error, whoever is asked for.

use std::collections::VecDeque;
use std::fmt;

use hashbrown::{HashMap, HashSet};

use super::evaluate::{Evaluator, Pair, SubjectId, SubjectKindId};
use super::overlay::Overlay;
use super::plan::{ComponentKind, DirectClass, Expr, Node, NodeId, Place, StoreModel, Subject};
use super::request::{Listing, PageRequest, RequestContext, target};
use super::scope::{Budget, Scope};
use crate::error::RequestError;
use crate::store::Snapshot;
use crate::tuple::parse_object;

/// Which users have the relation to the object?
#[derive(Clone, Copy, Debug, Default)]
pub struct ListUsersRequest<'a> {
    /// `type:id`.
    pub object: &'a str,
    /// A relation of the object's type.
    pub relation: &'a str,
    /// Which users are asked for.
    pub filter: UserFilter<'a>,
    /// Tuples, values and bounds.
    pub request: RequestContext<'a>,
}

/// Users of a type, or usersets of a type's relation.
#[derive(Clone, Copy, Debug, Default)]
pub struct UserFilter<'a> {
    /// The type.
    pub type_name: &'a str,
    /// The relation of the usersets; nothing for plain users and their wildcard.
    pub relation: Option<&'a str>,
}

/// A user that was found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each field is the part of its name")]
pub enum User {
    /// `type:*`
    Wildcard { type_name: String },
    /// `type:id`
    Object { type_name: String, id: String },
    /// `type:id#relation`
    Userset { type_name: String, id: String, relation: String },
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wildcard { type_name } => write!(f, "{type_name}:*"),
            Self::Object { type_name, id } => write!(f, "{type_name}:{id}"),
            Self::Userset { type_name, id, relation } => write!(f, "{type_name}:{id}#{relation}"),
        }
    }
}

impl Snapshot {
    /// Lists the users that have the relation to the object, each once, or one page of them. The
    /// wildcard, which stands for all that are not named, comes first.
    ///
    /// Pages of the same version and question, one after the other, are the whole list. When the
    /// caller's own check ends the request, the page is what was found until then.
    ///
    /// # Errors
    /// When the request is invalid under the model, a bound is reached, a condition on the way
    /// cannot be evaluated, or no page gave the token.
    pub fn list_users(
        &self,
        model: &StoreModel,
        list: &ListUsersRequest<'_>,
        page: &PageRequest<'_>,
    ) -> Result<Listing<User>, RequestError> {
        let (root, wanted, overlay) = self.prepare_users(model, list)?;
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: list.request };
        let after = page.after.map(|after| wanted.place(scope, &list.filter, after)).transpose()?;
        let mut walk = Walk::new(scope, wanted, root.0);
        let is_whole = walk.run_until_stopped(root)?;
        let mut named: Vec<(Found, bool)> = walk.named.into_iter().collect();
        named.retain(|(found, _)| after.is_none_or(|after| *found > after));
        named.sort_unstable();
        let mut listing = Listing::default();
        for (found, is_sure) in named {
            if page.max_results.is_some_and(|most| listing.items.len() >= most) {
                listing.next = listing.items.last().map(User::to_string);
                return Ok(listing);
            }
            let check = || Evaluator::new(scope, wanted.subject(found)).check(root.0, root.1);
            match if is_sure { Ok(true) } else { check() } {
                Ok(true) => listing.items.extend(wanted.user(scope, &list.filter, found)),
                Ok(false) => {}
                Err(RequestError::Stopped) => {
                    listing.next = listing.items.last().map(User::to_string).filter(|_| is_whole);
                    return Ok(listing);
                }
                Err(error) => return Err(error),
            }
        }
        listing.is_complete = is_whole;
        Ok(listing)
    }

    /// Lists the users who lack the relation to the object although the wildcard of their type has
    /// it: of `user:* but not blocked`, those blocked.
    ///
    /// # Errors
    /// As [`Snapshot::list_users`], and when the caller's own check ends the request.
    pub fn list_excluded_users(
        &self,
        model: &StoreModel,
        list: &ListUsersRequest<'_>,
    ) -> Result<Vec<User>, RequestError> {
        let (root, wanted, overlay) = self.prepare_users(model, list)?;
        let scope = Scope { snapshot: self, model, overlay: &overlay, request: list.request };
        let mut walk = Walk::new(scope, wanted, root.0);
        walk.run(root)?;
        let check = |found| Evaluator::new(scope, wanted.subject(found)).check(root.0, root.1);
        if !walk.named.contains_key(&None) || !check(None)? {
            return Ok(Vec::new());
        }
        let unsure = walk.named.iter().filter(|(_, is_sure)| !**is_sure).map(|(found, _)| *found);
        let mut others: Vec<Found> = unsure.chain(walk.subtracted.iter().copied()).collect();
        others.sort_unstable();
        others.dedup();
        let mut excluded = Vec::new();
        for found in others {
            if found.is_some() && !check(found)? {
                excluded.extend(wanted.user(scope, &list.filter, found));
            }
        }
        Ok(excluded)
    }

    /// The pair asked about, what is asked for, and the request's own tuples.
    fn prepare_users<'r>(
        &self,
        model: &StoreModel,
        list: &ListUsersRequest<'r>,
    ) -> Result<(Pair, Wanted, Overlay<'r>), RequestError> {
        let object = parse_object(list.object).map_err(RequestError::InvalidInput)?;
        let node = target(model, object.type_name, list.relation)?;
        let wanted = Wanted::new(model, &list.filter)?;
        let mut overlay = Overlay::new(self, model, &list.request)?;
        let object_type = model.node(node).map_or(u32::MAX, |node| node.object_type);
        let object = overlay.object(self, object_type, object.id);
        Ok(((node, object), wanted, overlay))
    }
}

/// The number of a user or of a userset's object; nothing for the wildcard.
type Found = Option<u32>;

/// What a filter means under a model.
#[derive(Clone, Copy)]
struct Wanted {
    type_number: u32,
    /// The relation of usersets.
    node: Option<NodeId>,
    /// See [`Node::reached_by`].
    class: u32,
}

impl Wanted {
    fn new(model: &StoreModel, filter: &UserFilter<'_>) -> Result<Self, RequestError> {
        let node = match filter.relation {
            Some(relation) => Some(target(model, filter.type_name, relation)?),
            None => None,
        };
        let plan = model
            .type_plan(filter.type_name)
            .ok_or_else(|| RequestError::TypeNotFound(filter.type_name.to_owned()))?;
        let class = node.map_or(plan.class, |node| model.userset_class(node));
        Ok(Self { type_number: plan.number, node, class })
    }

    fn subject(&self, found: Found) -> SubjectId {
        let kind = match (self.node, found) {
            (Some(node), _) => SubjectKindId::Userset(node),
            (None, None) => SubjectKindId::Wildcard,
            (None, Some(_)) => SubjectKindId::Object,
        };
        let (type_number, id) = (self.type_number, found.unwrap_or_default());
        SubjectId { kind, type_number, id, class: self.class }
    }

    fn user(&self, scope: Scope<'_>, filter: &UserFilter<'_>, found: Found) -> Option<User> {
        let type_name = filter.type_name.to_owned();
        let Some(number) = found else { return Some(User::Wildcard { type_name }) };
        let id = scope.overlay.id(scope.snapshot, self.type_number, number)?.to_owned();
        Some(match filter.relation {
            Some(relation) => User::Userset { type_name, id, relation: relation.to_owned() },
            None => User::Object { type_name, id },
        })
    }

    /// What a page token stands for.
    fn place(
        &self,
        scope: Scope<'_>,
        filter: &UserFilter<'_>,
        token: &str,
    ) -> Result<Found, RequestError> {
        let id = token.strip_prefix(filter.type_name).and_then(|id| id.strip_prefix(':'));
        let id = id.and_then(|id| match filter.relation {
            Some(relation) => id.strip_suffix(relation)?.strip_suffix('#'),
            None => Some(id),
        });
        match id {
            Some("*") if self.node.is_none() => Some(None),
            Some(id) => scope.overlay.known(scope.snapshot, self.type_number, id).map(Some),
            None => None,
        }
        .ok_or(RequestError::PageToken)
    }

    /// True if a way from the node leads to what is wanted.
    fn is_reached_by(&self, node: &Node) -> bool {
        self.node == Some(node.id) || node.reached_by.contains(self.class)
    }
}

struct Walk<'a> {
    scope: Scope<'a>,
    wanted: Wanted,
    /// A way that grants at every step is known to be no longer than a check may go.
    may_be_sure: bool,
    /// Users met where they may grant, and whether they are sure.
    named: HashMap<Found, bool>,
    /// Users met on the subtracted side of a `but not`.
    subtracted: HashSet<Found>,
    /// Whether a pair, met on a side, is sure.
    seen: HashMap<(Pair, bool), bool>,
    /// Nearest first: pairs with their place and how many hops away they are.
    queue: VecDeque<(Pair, Place, u32)>,
    budget: Budget<'a>,
}

impl<'a> Walk<'a> {
    fn new(scope: Scope<'a>, wanted: Wanted, root: NodeId) -> Self {
        Self {
            scope,
            wanted,
            may_be_sure: scope.has_bounded_hops(root),
            named: HashMap::new(),
            subtracted: HashSet::new(),
            seen: HashMap::new(),
            queue: VecDeque::new(),
            budget: scope.budget(),
        }
    }

    /// False if the caller's own check ended the walk.
    fn run_until_stopped(&mut self, root: Pair) -> Result<bool, RequestError> {
        match self.run(root) {
            Ok(()) => Ok(true),
            Err(RequestError::Stopped) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn run(&mut self, root: Pair) -> Result<(), RequestError> {
        self.budget.look()?;
        let place = if self.may_be_sure { Place::Enough } else { Place::Needed };
        self.reach(root, place, 0, false)?;
        while let Some((pair, place, depth)) = self.queue.pop_front() {
            let is_stale = place != Place::Enough && self.seen.get(&(pair, false)) == Some(&true);
            if is_stale && place != Place::Subtracted {
                continue;
            }
            if self.wanted.node == Some(pair.0) {
                self.name(Some(pair.1), place);
            }
            let Some(node) = self.scope.model.node(pair.0) else { continue };
            self.expr(node, &node.expr, pair.1, place, depth)?;
        }
        Ok(())
    }

    fn expr(
        &mut self,
        node: &'a Node,
        expr: &'a Expr,
        object: u32,
        place: Place,
        depth: u32,
    ) -> Result<(), RequestError> {
        match expr {
            Expr::This => self.direct(node, object, place, depth),
            Expr::Computed(target) => self.reach((*target, object), place, depth, false),
            Expr::TupleToUserset { tupleset, targets } => {
                let Some(tupleset) = self.scope.model.node(*tupleset) else { return Ok(()) };
                for (class, target) in targets {
                    let Some(class) = tupleset.direct.get(*class) else { continue };
                    self.usersets(node, class, *target, object, place, depth)?;
                }
                Ok(())
            }
            Expr::Union(children) => {
                children.iter().try_for_each(|child| self.expr(node, child, object, place, depth))
            }
            Expr::Intersection(children) => children
                .iter()
                .try_for_each(|child| self.expr(node, child, object, place.needed(), depth)),
            Expr::Difference(base, subtract) => {
                self.expr(node, base, object, place.needed(), depth)?;
                self.expr(node, subtract, object, place.subtracted(), depth)
            }
        }
    }

    fn direct(
        &mut self,
        node: &'a Node,
        object: u32,
        place: Place,
        depth: u32,
    ) -> Result<(), RequestError> {
        for class in &node.direct {
            if let Subject::Userset(target) = class.subject {
                self.usersets(node, class, target, object, place, depth)?;
                continue;
            }
            let is_wanted =
                self.wanted.node.is_none() && class.subject_type == self.wanted.type_number;
            let is_user = class.subject == Subject::Object;
            let has_contextual = !self.scope.overlay.edges(class.table, object).is_empty();
            for (user, guard) in self.scope.edges(class, object) {
                self.budget.step()?;
                if !self.scope.holds(class, guard)? || !is_wanted {
                    continue;
                }
                let found = is_user.then_some(user);
                // A contextual tuple of the user stands before the stored one: let a check decide.
                let is_hidden = is_user && has_contextual;
                self.name(found, if is_hidden { place.needed() } else { place });
            }
        }
        Ok(())
    }

    fn usersets(
        &mut self,
        node: &'a Node,
        class: &'a DirectClass,
        target: NodeId,
        object: u32,
        place: Place,
        depth: u32,
    ) -> Result<(), RequestError> {
        let Some(to) = self.scope.model.node(target) else { return Ok(()) };
        let is_reached = self.wanted.is_reached_by(to);
        let kind = self.scope.model.components.get(node.component as usize).map(|c| c.kind);
        let is_circle = kind == Some(ComponentKind::Monotone) && to.component == node.component;
        for (other, guard) in self.scope.edges(class, object) {
            self.budget.step()?;
            if self.scope.holds(class, guard)? && is_reached {
                self.reach((target, other), place, depth, !is_circle)?;
            }
        }
        Ok(())
    }

    fn reach(
        &mut self,
        pair: Pair,
        place: Place,
        depth: u32,
        is_hop: bool,
    ) -> Result<(), RequestError> {
        self.budget.step()?;
        let is_reached =
            self.scope.model.node(pair.0).is_some_and(|n| self.wanted.is_reached_by(n));
        let key = (pair, place == Place::Subtracted);
        let is_sure = place == Place::Enough;
        match self.seen.get(&key) {
            _ if !is_reached => return Ok(()),
            Some(was_sure) if *was_sure || !is_sure => return Ok(()),
            _ => {}
        }
        self.seen.insert(key, is_sure);
        if !is_hop {
            self.queue.push_front((pair, place, depth));
            return Ok(());
        }
        let limit = self.scope.request.limits.resolve_node_limit;
        if limit != 0 && depth + 1 >= limit {
            return Err(RequestError::TooComplex);
        }
        self.queue.push_back((pair, place, depth + 1));
        Ok(())
    }

    fn name(&mut self, found: Found, place: Place) {
        if place == Place::Subtracted {
            self.subtracted.insert(found);
        } else {
            *self.named.entry(found).or_default() |= place == Place::Enough;
        }
    }
}
