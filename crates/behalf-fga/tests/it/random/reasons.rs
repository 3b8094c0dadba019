//! Explain, against Check: what it says is so, and proofs prove.

use std::collections::BTreeMap;
use std::fmt::Arguments;

use behalf_fga::{
    Change, CheckRequest, FgaStore, Lack, Proof, Reason, RequestContext, RequestError, Snapshot,
    TupleKey, Validity,
};

use super::oracle::{Rewrite, Truth, Tuple, kind_of};
use super::{Case, STEPS, Tally, key};

impl Case {
    pub(super) fn reasons(
        &self,
        snapshot: &Snapshot,
        check: &CheckRequest<'_>,
        answer: &Result<bool, RequestError>,
        tally: &mut Tally,
    ) {
        let question = format_args!("explain {} {} {}", check.user, check.relation, check.object);
        let explanation = snapshot.explain(&self.bound, check);
        let Ok(is_allowed) = *answer else {
            assert_eq!(explanation.err(), answer.clone().err(), "{}", self.describe(question));
            return;
        };
        let explanation = explanation.unwrap();
        assert_eq!(explanation.allowed, is_allowed, "{}", self.describe(question));
        assert_eq!(explanation.because.is_some(), is_allowed, "{}", self.describe(question));
        assert!(!is_allowed || explanation.missing.is_empty(), "{}", self.describe(question));
        for missing in &explanation.missing {
            if let Lack::Excluded { by } = &missing.what {
                self.is_proof(by, check.user, question);
            }
            assert!(missing.via.iter().all(|tuple| self.is_held(tuple)), "{missing:?}");
        }
        let Some(proof) = &explanation.because else { return };
        self.is_proof(proof, check.user, question);
        tally.proofs += 1;
        if self.model.0.values().any(|(rewrite, _)| has_but_not(rewrite)) {
            return;
        }
        // Without exclusions, the proof's tuples alone are enough.
        assert!(self.allows_by(&explanation.path, check), "{}", self.describe(question));
        if self.model.0.values().any(|(rewrite, _)| has_and(rewrite)) {
            return;
        }
        let shortest = self.shortest(check.user, check.relation, check.object);
        assert_eq!(Some(explanation.path.len()), shortest, "{}", self.describe(question));
    }

    /// How many tuples the shortest proof has, in a model of unions only: every relation of every
    /// object begins without a proof and takes the cheapest way, until nothing changes.
    fn shortest(&self, user: &str, relation: &str, object: &str) -> Option<usize> {
        let mut known: BTreeMap<(String, String), usize> = BTreeMap::new();
        loop {
            let before = known.clone();
            for ((name, relation), (rewrite, _)) in &self.model.0 {
                for id in &self.scope.ids {
                    let place = (format!("{name}:{id}"), relation.clone());
                    if let Some(cost) = self.cost(user, rewrite, &place, &before) {
                        known.insert(place, cost);
                    }
                }
            }
            if known == before {
                return known.get(&(object.to_owned(), relation.to_owned())).copied();
            }
        }
    }

    fn cost(
        &self,
        user: &str,
        rewrite: &Rewrite,
        place: &(String, String),
        known: &BTreeMap<(String, String), usize>,
    ) -> Option<usize> {
        let (object, relation) = place;
        if user == format!("{object}#{relation}") {
            return Some(0);
        }
        let of = |object: &str, relation: &str| {
            let is_user = user == format!("{object}#{relation}");
            let known = known.get(&(object.to_owned(), relation.to_owned())).copied();
            if is_user { Some(0) } else { known }
        };
        let holding = |relation: &str, user| {
            let tuples = self.oracle.tuples(object, relation, user);
            tuples.filter(|held| held.holds == Truth::True).map(|held| &held.tuple)
        };
        match rewrite {
            Rewrite::This => {
                let one = |tuple: &Tuple| match tuple.user.split_once('#') {
                    _ if tuple.user == user => Some(1),
                    Some((group, member)) => Some(1 + of(group, member)?),
                    None => (tuple.user == format!("{}:*", kind_of(user))).then_some(1),
                };
                holding(relation, Some(user)).filter_map(one).min()
            }
            Rewrite::Computed(other) => of(object, other),
            Rewrite::From(other, tupleset) => {
                let parents = holding(tupleset, None);
                let plain = parents.filter(|tuple| !tuple.user.contains(['#', '*']));
                plain.filter_map(|tuple| Some(1 + of(&tuple.user, other)?)).min()
            }
            Rewrite::Or(operands) => {
                operands.iter().filter_map(|one| self.cost(user, one, place, known)).min()
            }
            Rewrite::And(_) | Rewrite::ButNot(..) => None,
        }
    }

    /// Every step of a proof is a tuple that is there, holds, and leads from what it proves to what
    /// proves that, and is what the definition says too.
    fn is_proof(&self, proof: &Proof, user: &str, question: Arguments<'_>) {
        let Proof { object, relation, reason } = proof;
        let is = |is: bool| assert!(is, "{proof:?}: {}", self.describe(question));
        let is_of_object = |tuple: &TupleKey| tuple.object == *object && self.is_held(tuple);
        let goes_on = |from: &Proof| {
            self.is_proof(from, user, question);
            // What an exclusion leads back to can be true only on the way there.
            let has_but_not = self.model.0.values().any(|(rewrite, _)| has_but_not(rewrite));
            if let (false, Ok(truth)) =
                (has_but_not, self.oracle.check(user, &from.relation, &from.object, STEPS))
            {
                is(truth == Truth::True);
            }
        };
        match reason {
            Reason::Itself => is(user == format!("{object}#{relation}")),
            Reason::Tuple { tuple } => {
                let is_user = tuple.user == user || tuple.user == format!("{}:*", kind_of(user));
                is(is_of_object(tuple) && tuple.relation == *relation && is_user);
            }
            Reason::Computed { from } => {
                is(from.object == *object);
                goes_on(from);
            }
            Reason::Userset { tuple, from } => {
                is(is_of_object(tuple) && tuple.relation == *relation);
                is(tuple.user == format!("{}#{}", from.object, from.relation));
                goes_on(from);
            }
            Reason::Parent { tuple, from } => {
                is(is_of_object(tuple) && tuple.user == from.object);
                goes_on(from);
            }
            Reason::Except { base } => self.is_part(proof, base, user, question),
            Reason::All { of } => {
                for part in of {
                    self.is_part(proof, part, user, question);
                }
            }
        }
    }

    /// The proof of an operand is one of the same relation of the same object.
    fn is_part(&self, proof: &Proof, part: &Proof, user: &str, question: Arguments<'_>) {
        let is_same = (&proof.object, &proof.relation) == (&part.object, &part.relation);
        assert!(is_same, "{proof:?}: {}", self.describe(question));
        self.is_proof(part, user, question);
    }

    fn is_held(&self, tuple: &TupleKey) -> bool {
        self.oracle
            .tuples(&tuple.object, &tuple.relation, None)
            .any(|held| key(&held.tuple) == *tuple && held.holds == Truth::True)
    }

    /// The answer of a store that has only these tuples, without conditions and times.
    fn allows_by(&self, path: &[TupleKey], check: &CheckRequest<'_>) -> bool {
        let mut fga = FgaStore::new();
        let bound = fga.add_model(self.bound.model().clone()).unwrap();
        let always = |tuple: &TupleKey| TupleKey { validity: Validity::default(), ..tuple.clone() };
        let changes: Vec<Change> = path.iter().map(always).map(Change::Write).collect();
        fga.apply(&changes).unwrap();
        let request = RequestContext { contextual_tuples: &[], ..check.request };
        fga.snapshot().check(&bound, &CheckRequest { request, ..*check }).unwrap()
    }
}

fn has_but_not(rewrite: &Rewrite) -> bool {
    match rewrite {
        Rewrite::ButNot(..) => true,
        Rewrite::Or(operands) | Rewrite::And(operands) => operands.iter().any(has_but_not),
        _ => false,
    }
}

fn has_and(rewrite: &Rewrite) -> bool {
    match rewrite {
        Rewrite::And(_) => true,
        Rewrite::Or(operands) => operands.iter().any(has_and),
        _ => false,
    }
}
