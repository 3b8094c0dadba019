//! The definition of Check, as slow and as plain as it can be: tuples as text, every branch looked
//! at, nothing remembered, the path carried along.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::scope::Scope;

/// How a relation is computed.
#[derive(Clone, Debug)]
pub(super) enum Rewrite {
    This,
    Computed(String),
    /// `relation from tupleset`
    From(String, String),
    Or(Vec<Self>),
    And(Vec<Self>),
    ButNot(Box<Self>, Box<Self>),
}

/// A kind of user that a relation admits: its text without the id, and the condition's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Restriction {
    pub(super) user: String,
    pub(super) is_conditioned: bool,
}

/// A relation's rewrite and restrictions, by type and relation.
#[derive(Clone, Debug, Default)]
pub(super) struct Model(pub(super) BTreeMap<(String, String), (Rewrite, Vec<Restriction>)>);

/// The kinds of user that some tuples might give a relation, by type and relation.
pub(super) type Ways = BTreeMap<(String, String), BTreeSet<String>>;

impl Model {
    /// Which kinds of user can have which relations at all. As in OpenFGA, a relation that the
    /// user's kind cannot have is false and is not looked into, not even for cycles
    /// (`TypeSystem.PathExists`, docs/decisions/0016).
    pub(super) fn ways(&self) -> Ways {
        let mut ways = Ways::new();
        loop {
            let mut is_done = true;
            for (place, (rewrite, admitted)) in &self.0 {
                let mut kinds = BTreeSet::new();
                self.kinds(rewrite, place, admitted, &ways, &mut kinds);
                is_done &= ways.get(place).map_or(0, BTreeSet::len) == kinds.len();
                ways.insert(place.clone(), kinds);
            }
            if is_done {
                return ways;
            }
        }
    }

    fn kinds(
        &self,
        rewrite: &Rewrite,
        (name, relation): &(String, String),
        admitted: &[Restriction],
        ways: &Ways,
        kinds: &mut BTreeSet<String>,
    ) {
        let mut own = Vec::new();
        // What has a relation has what refers to it, and so has the userset itself.
        let mut refer = |name: &str, relation: &str| {
            let place = (name.to_owned(), relation.to_owned());
            if self.0.contains_key(&place) {
                kinds.insert(format!("{name}#{relation}"));
                kinds.extend(ways.get(&place).into_iter().flatten().cloned());
            }
        };
        match rewrite {
            Rewrite::This => {
                for restriction in admitted {
                    match restriction.user.split_once('#') {
                        Some((name, relation)) => refer(name, relation),
                        None => own.push(type_of(&restriction.user).to_owned()),
                    }
                }
            }
            Rewrite::Computed(other) => refer(name, other),
            Rewrite::From(other, tupleset) => {
                let tupleset = self.0.get(&(name.clone(), tupleset.clone()));
                for parent in tupleset.map_or(&[][..], |(_, admitted)| admitted) {
                    refer(&parent.user, other);
                }
            }
            Rewrite::Or(operands) | Rewrite::And(operands) => {
                for operand in operands {
                    let place = (name.clone(), relation.clone());
                    self.kinds(operand, &place, admitted, ways, kinds);
                }
            }
            Rewrite::ButNot(base, subtract) => {
                for operand in [base, subtract] {
                    let place = (name.clone(), relation.clone());
                    self.kinds(operand, &place, admitted, ways, kinds);
                }
            }
        }
        kinds.extend(own);
    }

    /// True if there are unions only in all that the relation depends on.
    pub(super) fn is_plain(&self, name: &str, relation: &str) -> bool {
        let mut found = vec![(name.to_owned(), relation.to_owned())];
        let mut next = 0;
        while let Some(place) = found.get(next).cloned() {
            next += 1;
            let Some((rewrite, admitted)) = self.0.get(&place) else { continue };
            let mut refer = |name: &str, relation: &str| {
                let place = (name.to_owned(), relation.to_owned());
                if !found.contains(&place) {
                    found.push(place);
                }
            };
            let mut parts = vec![rewrite];
            while let Some(part) = parts.pop() {
                match part {
                    Rewrite::This => {
                        let usersets = admitted.iter().filter_map(|of| of.user.split_once('#'));
                        usersets.for_each(|(name, relation)| refer(name, relation));
                    }
                    Rewrite::Computed(other) => refer(&place.0, other),
                    Rewrite::From(other, tupleset) => {
                        let tupleset = self.0.get(&(place.0.clone(), tupleset.clone()));
                        for parent in tupleset.map_or(&[][..], |(_, admitted)| admitted) {
                            refer(&parent.user, other);
                        }
                    }
                    Rewrite::Or(operands) => parts.extend(operands),
                    Rewrite::And(_) | Rewrite::ButNot(..) => return false,
                }
            }
        }
        true
    }
}

/// A tuple; under the one condition `limit` if there is one, with the value stored for it, if any,
/// and from when until when it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tuple {
    pub(super) object: String,
    pub(super) relation: String,
    pub(super) user: String,
    pub(super) limit: Option<Option<i64>>,
    pub(super) from: Option<i64>,
    pub(super) until: Option<i64>,
}

impl Tuple {
    pub(super) fn key(&self) -> (&str, &str, &str) {
        (&self.object, &self.relation, &self.user)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    True,
    False,
    /// False, because of a cycle.
    Cycle,
    /// A condition that decides lacks a value.
    Failure,
}

/// The work is more than a test waits for.
#[derive(Debug)]
pub(super) struct TooMuch;

/// A tuple that the model admits.
pub(super) struct Held {
    pub(super) tuple: Tuple,
    /// Whether it is its time, and its condition is met.
    pub(super) holds: Truth,
    /// A contextual tuple stands in its place when its very user is asked about.
    is_hidden: bool,
}

/// A relation of an object.
struct Place {
    rewrite: Rewrite,
    /// The kinds of user that can have it at all.
    kinds: BTreeSet<String>,
    /// Contextual ones first.
    tuples: Vec<Held>,
}

/// What a definition of Check needs of a case, by object and relation.
pub(super) struct Oracle {
    places: HashMap<String, HashMap<String, Place>>,
}

/// What is there besides the model.
pub(super) struct Facts<'a> {
    pub(super) stored: &'a [Tuple],
    pub(super) contextual: &'a [Tuple],
    /// The request's value for the condition.
    pub(super) value: Option<i64>,
    /// The request's time.
    pub(super) now: Option<i64>,
    /// What a condition without a value, or a time without the request's, counts as.
    pub(super) unknown: Truth,
}

pub(super) fn type_of(text: &str) -> &str {
    text.split(':').next().unwrap_or_default()
}

/// A user's text without its id.
pub(super) fn kind_of(user: &str) -> String {
    match user.split_once('#') {
        Some((object, relation)) => format!("{}#{relation}", type_of(object)),
        None if user.ends_with(":*") => user.to_owned(),
        None => type_of(user).to_owned(),
    }
}

/// A true beats a failure, a failure beats a cycle.
fn any(answers: impl IntoIterator<Item = Truth>) -> Truth {
    answers.into_iter().fold(Truth::False, |sum, next| match (sum, next) {
        (Truth::True, _) | (_, Truth::True) => Truth::True,
        (Truth::Failure, _) | (_, Truth::Failure) => Truth::Failure,
        (Truth::Cycle, _) | (_, Truth::Cycle) => Truth::Cycle,
        _ => Truth::False,
    })
}

/// A false beats a cycle, a cycle beats a failure.
fn all(answers: impl IntoIterator<Item = Truth>) -> Truth {
    answers.into_iter().fold(Truth::True, |sum, next| match (sum, next) {
        (Truth::False, _) | (_, Truth::False) => Truth::False,
        (Truth::Cycle, _) | (_, Truth::Cycle) => Truth::Cycle,
        (Truth::Failure, _) | (_, Truth::Failure) => Truth::Failure,
        _ => Truth::True,
    })
}

/// Base false or subtract true beats a failure; a cycle in either is false.
fn but_not(base: Truth, subtract: Truth) -> Truth {
    match (base, subtract) {
        (Truth::False | Truth::Cycle, _) => base,
        (_, Truth::True) => Truth::False,
        (_, Truth::Cycle) => Truth::Cycle,
        (Truth::Failure, _) | (_, Truth::Failure) => Truth::Failure,
        (Truth::True, Truth::False) => Truth::True,
    }
}

impl Oracle {
    pub(super) fn new(scope: &Scope, model: &Model, facts: &Facts<'_>) -> Self {
        let ways = model.ways();
        let mut places: HashMap<String, HashMap<String, Place>> = HashMap::new();
        for (of, (rewrite, admitted)) in &model.0 {
            let kinds = &ways[of];
            for id in &scope.ids {
                let object = format!("{}:{id}", of.0);
                let tuples = facts.held(&object, &of.1, admitted);
                let place = Place { rewrite: rewrite.clone(), kinds: kinds.clone(), tuples };
                places.entry(object).or_default().insert(of.1.clone(), place);
            }
        }
        Self { places }
    }

    fn place(&self, object: &str, relation: &str) -> Option<&Place> {
        self.places.get(object)?.get(relation)
    }

    /// The tuples that the model admits; a contextual tuple of the very user hides a stored one.
    pub(super) fn tuples<'a>(
        &'a self,
        object: &str,
        relation: &str,
        user: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Held> + use<'a> {
        let tuples = self.place(object, relation).map_or(&[][..], |place| &place.tuples);
        let is_seen = move |held: &&Held| !held.is_hidden || user != Some(held.tuple.user.as_str());
        tuples.iter().filter(is_seen)
    }

    pub(super) fn check(
        &self,
        user: &str,
        relation: &str,
        object: &str,
        steps: u32,
    ) -> Result<Truth, TooMuch> {
        let kind = kind_of(user);
        let kind = kind.strip_suffix(":*").unwrap_or(&kind);
        let userset = user.split_once('#');
        Walk { oracle: self, user, userset, kind, steps, path: Vec::new() }.check(object, relation)
    }
}

/// One check: who is asked about, and the path that leads to what is looked at now.
struct Walk<'a> {
    oracle: &'a Oracle,
    user: &'a str,
    userset: Option<(&'a str, &'a str)>,
    kind: &'a str,
    steps: u32,
    path: Vec<&'a Place>,
}

impl<'a> Walk<'a> {
    fn check(&mut self, object: &'a str, relation: &'a str) -> Result<Truth, TooMuch> {
        self.steps = self.steps.checked_sub(1).ok_or(TooMuch)?;
        if self.userset == Some((object, relation)) {
            return Ok(Truth::True);
        }
        let Some(place) = self.oracle.place(object, relation) else { return Ok(Truth::False) };
        if self.path.iter().any(|on_path| std::ptr::eq(*on_path, place)) {
            return Ok(Truth::Cycle);
        }
        if !place.kinds.contains(self.kind) {
            return Ok(Truth::False);
        }
        self.path.push(place);
        let answer = self.rewrite(&place.rewrite, object, relation);
        self.path.pop();
        answer
    }

    fn rewrite(
        &mut self,
        rewrite: &'a Rewrite,
        object: &'a str,
        relation: &'a str,
    ) -> Result<Truth, TooMuch> {
        let mut each = |operands: &'a [Rewrite]| -> Result<Vec<Truth>, TooMuch> {
            operands.iter().map(|one| self.rewrite(one, object, relation)).collect()
        };
        Ok(match rewrite {
            Rewrite::Or(operands) => any(each(operands)?),
            Rewrite::And(operands) => all(each(operands)?),
            Rewrite::ButNot(base, subtract) => {
                let base = self.rewrite(base, object, relation)?;
                but_not(base, self.rewrite(subtract, object, relation)?)
            }
            Rewrite::Computed(other) => self.check(object, other)?,
            Rewrite::From(other, tupleset) => {
                let mut answers = Vec::new();
                for Held { tuple, holds, .. } in self.oracle.tuples(object, tupleset, None) {
                    let is_plain = !tuple.user.contains(['#', '*']);
                    if !is_plain || self.oracle.place(&tuple.user, other).is_none() {
                        continue;
                    }
                    answers.push(match holds {
                        Truth::True => self.check(&tuple.user, other)?,
                        otherwise => *otherwise,
                    });
                }
                any(answers)
            }
            Rewrite::This => {
                let mut answers = Vec::new();
                let tuples = self.oracle.tuples(object, relation, Some(self.user));
                for Held { tuple, holds, .. } in tuples {
                    let is_everybody = tuple.user.strip_suffix('*').is_some_and(|prefix| {
                        self.user.starts_with(prefix) && self.userset.is_none()
                    });
                    let reached = match tuple.user.split_once('#') {
                        _ if tuple.user == self.user || is_everybody => Truth::True,
                        Some(_) if *holds != Truth::True => Truth::True,
                        Some((group, member)) => self.check(group, member)?,
                        None => continue,
                    };
                    answers.push(match holds {
                        Truth::True => reached,
                        otherwise => *otherwise,
                    });
                }
                any(answers)
            }
        })
    }
}

impl Facts<'_> {
    /// The tuples of an object's relation that these restrictions admit.
    fn held(&self, object: &str, relation: &str, admitted: &[Restriction]) -> Vec<Held> {
        let is_admitted = |tuple: &Tuple| {
            let kind = kind_of(&tuple.user);
            let mut of_kind = admitted.iter().filter(|admits| admits.user == kind);
            // As in OpenFGA, a condition is admitted by the user's type, whatever its kind.
            let mut of_type = admitted.iter().filter(|admits| {
                type_of(&admits.user).split('#').next() == type_of(&kind).split('#').next()
            });
            match tuple.limit {
                None => of_kind.any(|admits| !admits.is_conditioned),
                Some(_) => of_kind.next().is_some() && of_type.any(|admits| admits.is_conditioned),
            }
        };
        let is_hidden = |tuple: &Tuple| {
            !tuple.user.contains(['#', '*'])
                && self.contextual.iter().any(|other| other.key() == tuple.key())
        };
        let contextual = self.contextual.iter().map(|tuple| (tuple, false));
        let stored = self.stored.iter().map(|tuple| (tuple, is_hidden(tuple)));
        contextual
            .chain(stored)
            .filter(|(tuple, _)| tuple.object == object && tuple.relation == relation)
            .filter(|(tuple, _)| is_admitted(tuple))
            .map(|(tuple, is_hidden)| Held {
                tuple: tuple.clone(),
                holds: self.holds(tuple),
                is_hidden,
            })
            .collect()
    }

    /// Whether it is the tuple's time, and its condition is met: `x < 10`, the tuple's value before
    /// the request's.
    fn holds(&self, tuple: &Tuple) -> Truth {
        if tuple.from.is_some() || tuple.until.is_some() {
            match self.now {
                None if self.unknown != Truth::True => return self.unknown,
                None => {}
                Some(now) if tuple.from.is_some_and(|from| now < from) => return Truth::False,
                Some(now) if tuple.until.is_some_and(|until| now >= until) => return Truth::False,
                Some(_) => {}
            }
        }
        let Some(stored) = tuple.limit else { return Truth::True };
        match stored.or(self.value) {
            Some(x) if x < 10 => Truth::True,
            Some(_) => Truth::False,
            None => self.unknown,
        }
    }
}
