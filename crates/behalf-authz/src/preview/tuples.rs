//! Dry runs of a write: who would gain and lose what, found by following the changed tuples to every
//! relation of every object that may depend on them, in a bounded time. Nothing is changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use behalf_core::Actor;
use behalf_fga::{
    Change, CheckRequest, ListUsersRequest, PageRequest, RequestContext, RequestError, Side, Stop,
    TupleFilter, User, UserFilter, WriteRequest,
};
use serde_json::{Map, Value};

use super::spread::Spread;
use super::{RelationChange, keep};
use crate::Authz;
use crate::assertions::Assertion;
use crate::error::AuthzError;
use crate::query::{At, Query};
use crate::table::TableFilter;

/// Changes that are looked at.
const MAX_CHANGES: usize = 1_000;
/// Relations of objects that are looked at.
const MAX_PLACES: usize = 20_000;
/// Pairs of a user and a place that are compared.
const MAX_PAIRS: usize = 100_000;

/// What a write would change.
#[derive(Clone, Debug, Default)]
pub struct TuplePreview {
    /// The store's revision that was looked at.
    pub revision: u64,
    /// Relations of which the access differs, by type and name.
    pub changes: Vec<RelationChange>,
    /// How many relations of objects were compared.
    pub compared: usize,
    /// Questions that could not be answered, such as for a condition without its values.
    pub unclear: usize,
    /// What was wrong with the first of them.
    pub first_unclear: Option<String>,
    /// False if there was more than a bound admits: more may change.
    pub is_complete: bool,
    /// The model's assertions, asked as after the write: what is expected, and the answer or why
    /// there is none.
    pub tests: Vec<(Assertion, Result<bool, String>)>,
}

impl Authz {
    /// Says what a write would give and take, without writing it. `context` is for conditions,
    /// `patience` bounds the work.
    ///
    /// # Errors
    /// As [`Authz::plan_write`].
    pub async fn preview_write(
        &self,
        store_id: &str,
        request: &WriteRequest,
        context: Option<Map<String, Value>>,
        patience: Duration,
    ) -> Result<TuplePreview, AuthzError> {
        // The same rules as for the write itself; the store is let go before anything is compared.
        let planned = self.plan_write(store_id, None, request, &Actor::System).await?;
        let changes = planned.map(|planned| planned.changes().to_vec()).unwrap_or_default();
        self.preview_changes(store_id, changes, context, patience).await
    }

    /// Says what deleting all tuples that the filter admits would take and give.
    ///
    /// # Errors
    /// `StoreNotFound`, `NoModel`.
    pub async fn preview_deletes(
        &self,
        store_id: &str,
        filter: &TableFilter,
        context: Option<Map<String, Value>>,
        patience: Duration,
    ) -> Result<TuplePreview, AuthzError> {
        let snapshot = self.snapshot(store_id).await?;
        let found = filter.find(&snapshot).take(MAX_CHANGES + 1);
        let changes = found.map(|tuple| Change::Delete(tuple.delete_key())).collect();
        self.preview_changes(store_id, changes, context, patience).await
    }

    async fn preview_changes(
        &self,
        store_id: &str,
        mut changes: Vec<Change>,
        context: Option<Map<String, Value>>,
        patience: Duration,
    ) -> Result<TuplePreview, AuthzError> {
        let at = self.at(Query { store_id, model_id: None }).await?;
        let tests = self.read_assertions(store_id, &at.model_id).await?;
        let until = Instant::now() + patience;
        let is_whole = changes.len() <= MAX_CHANGES;
        changes.truncate(MAX_CHANGES);
        let compared = tokio::task::spawn_blocking(move || {
            let after = at.snapshot().with_changes(&changes)?;
            let sides =
                [&*at.snapshot, &after].map(|snapshot| Side { snapshot, model: at.model() });
            let mut comparison = Comparison::new(&at, sides, context.as_ref(), until);
            comparison.preview.is_complete = is_whole && comparison.run(&changes);
            comparison.preview.tests =
                tests.into_iter().map(|test| test.asked_of(&at, sides[1])).collect();
            Ok(comparison.finish())
        });
        compared.await.map_err(|_panicked| AuthzError::Contention)?
    }
}

/// A relation of an object.
type Place = (String, String);

struct Comparison<'a> {
    at: &'a At,
    /// Before and after.
    sides: [Side<'a>; 2],
    context: Option<&'a Map<String, Value>>,
    until: Instant,
    spread: Spread<'a>,
    changes: BTreeMap<(String, String), RelationChange>,
    preview: TuplePreview,
}

impl<'a> Comparison<'a> {
    fn new(
        at: &'a At,
        sides: [Side<'a>; 2],
        context: Option<&'a Map<String, Value>>,
        until: Instant,
    ) -> Self {
        let spread = Spread::new(at.model().model());
        let preview = TuplePreview { revision: at.revision(), ..TuplePreview::default() };
        Self { at, sides, context, until, spread, changes: BTreeMap::new(), preview }
    }

    /// Compares; false if a bound was reached.
    fn run(&mut self, changes: &[Change]) -> bool {
        // A tuple about one user matters to that user only, unless objects are reached through it.
        let mut everybody: BTreeSet<Place> = BTreeSet::new();
        let mut single: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
        for change in changes {
            let (user, place) = match change {
                Change::Write(tuple) => (&tuple.user, (&tuple.object, &tuple.relation)),
                Change::Delete(key) => (&key.user, (&key.object, &key.relation)),
            };
            let place = (place.0.clone(), place.1.clone());
            if user.contains('#') || user.ends_with(":*") || self.spread.leads_on(&place) {
                everybody.insert(place);
            } else {
                single.entry(place).or_default().insert(user);
            }
        }
        let (everybody, mut is_whole) = self.reached(everybody);
        self.preview.compared = everybody.len();
        for place in &everybody {
            is_whole &= self.compare_all(place);
        }
        let mut pairs: BTreeMap<Place, BTreeSet<&str>> = BTreeMap::new();
        let mut count = 0_usize;
        for (place, users) in single {
            let (places, is_all) = self.reached([place].into());
            is_whole &= is_all;
            for place in places.difference(&everybody) {
                count = count.saturating_add(users.len());
                if count > MAX_PAIRS {
                    return false;
                }
                pairs.entry(place.clone()).or_default().extend(&users);
            }
        }
        for (place, users) in &pairs {
            if self.is_over() {
                return false;
            }
            self.preview.compared += 1;
            users.iter().for_each(|user| self.compare(user, place));
        }
        is_whole
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Every place whose answers may depend on these, and whether those are all.
    fn reached(&self, from: BTreeSet<Place>) -> (BTreeSet<Place>, bool) {
        let mut open: Vec<Place> = from.iter().cloned().collect();
        let mut reached = from;
        while let Some((object, relation)) = open.pop() {
            if reached.len() > MAX_PLACES || self.is_over() {
                return (reached, false);
            }
            let mut next: Vec<Place> = self
                .spread
                .beside(&object, &relation)
                .into_iter()
                .map(|beside| (object.clone(), beside.to_owned()))
                .collect();
            for side in self.sides {
                let user = format!("{object}#{relation}");
                let filter = TupleFilter { user, ..TupleFilter::default() };
                let usersets = side.snapshot.matching(&filter, None).into_iter().flatten();
                next.extend(usersets.map(|tuple| (tuple.object, tuple.relation)));
                for (object_type, tupleset, derived) in self.spread.through(&relation) {
                    let filter = TupleFilter {
                        user: object.clone(),
                        relation: tupleset.to_owned(),
                        object: format!("{object_type}:"),
                    };
                    let below = side.snapshot.matching(&filter, None).into_iter().flatten();
                    next.extend(below.map(|tuple| (tuple.object, derived.to_owned())));
                }
            }
            open.extend(next.into_iter().filter(|place| reached.insert(place.clone())));
        }
        (reached, true)
    }

    /// Compares everybody who may have the place's relation, before or after; false if a bound was
    /// reached.
    fn compare_all(&mut self, place: &Place) -> bool {
        let (object, relation) = place;
        let until = self.until;
        let is_over = || Instant::now() >= until;
        let stop = Stop(&is_over);
        for type_name in self.spread.users(object, relation) {
            let filter = UserFilter { type_name, relation: None };
            let request = RequestContext { stop: Some(stop), ..self.request() };
            let list = ListUsersRequest { object, relation, filter, request };
            let [before, after] = self.sides.map(|side| candidates(side, &list));
            let (before, after) = match (before, after) {
                (Ok(before), Ok(after)) => (before, after),
                (Err(RequestError::Stopped), _) | (_, Err(RequestError::Stopped)) => return false,
                (Err(error), _) | (_, Err(error)) => {
                    self.cannot_say(&error);
                    continue;
                }
            };
            // Whom a wildcard covers on one side may be named on the other: each is asked about.
            let differing = before.symmetric_difference(&after).map(|(user, _)| user.to_string());
            for user in differing.collect::<BTreeSet<String>>() {
                if self.is_over() {
                    return false;
                }
                self.compare(&user, place);
            }
        }
        true
    }

    /// Compares one user at one place.
    fn compare(&mut self, user: &str, (object, relation): &Place) {
        let check = CheckRequest { user, relation, object, request: self.request() };
        let answers = self.sides.map(|side| side.snapshot.check(side.model, &check));
        let is_gain = match answers {
            [Ok(before), Ok(after)] if before == after => return,
            [Ok(_), Ok(after)] => after,
            // A user of another type than the relation can have has it on neither side.
            [Err(RequestError::InvalidInput(_)), _] | [_, Err(RequestError::InvalidInput(_))] => {
                return;
            }
            [Err(error), _] | [_, Err(error)] => return self.cannot_say(&error),
        };
        let object_type = object.split(':').next().unwrap_or_default();
        let name = (object_type.to_owned(), relation.clone());
        let change = self.changes.entry(name).or_default();
        let (examples, count) = if is_gain {
            (&mut change.gained_examples, &mut change.gained)
        } else {
            (&mut change.lost_examples, &mut change.lost)
        };
        keep(examples, user, vec![object.clone()]);
        *count += 1;
    }

    fn request(&self) -> RequestContext<'a> {
        self.at.timed(RequestContext { context: self.context, ..RequestContext::default() })
    }

    fn cannot_say(&mut self, error: &RequestError) {
        self.preview.unclear += 1;
        self.preview.first_unclear.get_or_insert_with(|| error.to_string());
    }

    fn finish(self) -> TuplePreview {
        let changes = self.changes.into_iter().map(|((object_type, relation), change)| {
            RelationChange { object_type, relation, ..change }
        });
        TuplePreview { changes: changes.collect(), ..self.preview }
    }
}

/// Users who have the relation, and those whom it lacks although the wildcard has it.
fn candidates(
    side: Side<'_>,
    list: &ListUsersRequest<'_>,
) -> Result<BTreeSet<(User, bool)>, RequestError> {
    let listing = side.snapshot.list_users(side.model, list, &PageRequest::default())?;
    if !listing.is_complete {
        return Err(RequestError::Stopped);
    }
    let excluded = side.snapshot.list_excluded_users(side.model, list)?;
    let named = listing.items.into_iter().map(|user| (user, true));
    Ok(named.chain(excluded.into_iter().map(|user| (user, false))).collect())
}
