//! Runs the tests of a store file in memory: each on a store of its own, with the file's tuples and
//! the test's.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;

use serde_json::{Map, Value as Json};

use super::{
    Assertion, CheckTest, ListObjectsTest, ListUsersTest, LoadedStore, PlacedTuple, StoreFileError,
    StoreFileErrors, StoreTest,
};
use crate::engine::{
    CheckRequest, Explanation, Lack, ListObjectsRequest, ListUsersRequest, Missing, PageRequest,
    Proof, Reason, RequestContext, StoreModel, UserFilter,
};
use crate::error::RequestError;
use crate::store::{FgaStore, MAX_TUPLES_PER_WRITE, Snapshot, WriteRequest};
use crate::tuple::TupleKey;
use crate::yaml::{Position, Region};

/// What came of a file's tests.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Whole tests.
    pub tests: Passed,
    /// Checks, one per user, object and relation.
    pub checks: Passed,
    /// Lists of objects, one per relation.
    pub list_objects: Passed,
    /// Lists of users, one per relation.
    pub list_users: Passed,
    /// What did not go as expected, in the order of the file.
    pub failures: Vec<Failure>,
}

/// How many went as expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// As expected.
    pub passed: usize,
    /// All.
    pub total: usize,
}

/// An assertion that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The test's name.
    pub test: String,
    /// Where the assertion is written in the store file.
    pub place: Position,
    /// What was asked.
    pub question: String,
    /// What was expected.
    pub expected: String,
    /// What came instead.
    pub got: String,
    /// Of a check: the tuples that made it hold, or what was missing, nearest first.
    pub why: Vec<String>,
}

impl Passed {
    fn add(&mut self, is_passed: bool) {
        self.total += 1;
        self.passed += usize::from(is_passed);
    }
}

impl AddAssign for Passed {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.total += other.total;
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.passed, self.total)
    }
}

impl LoadedStore {
    /// Runs the tests.
    ///
    /// # Errors
    /// When a store does not take the model or a tuple, with the place of what it refuses.
    pub fn run(&self) -> Result<Report, StoreFileErrors> {
        let mut report = Report::default();
        let shared = self.store(&[])?;
        for (test, tuples) in &self.tests {
            let (snapshot, model) =
                if tuples.is_empty() { shared.clone() } else { self.store(tuples)? };
            let before = report.failures.len();
            Runner { snapshot: &snapshot, model: &model, test, report: &mut report }.run();
            let is_passed = report.failures.len() == before;
            report.tests.add(is_passed);
        }
        Ok(report)
    }

    /// A store with the file's tuples and these.
    fn store(
        &self,
        own: &[PlacedTuple],
    ) -> Result<(Arc<Snapshot>, Arc<StoreModel>), StoreFileErrors> {
        let mut store = FgaStore::new();
        let model = store.add_model(self.model.clone()).map_err(|error| {
            // The language's rules know places; what only binding finds has the model's.
            if !self.model_errors.is_empty() {
                return StoreFileErrors { errors: self.model_errors.clone() };
            }
            let (file, start) = self.model_place.clone();
            fail(error.to_string(), file, start)
        })?;
        let tuples: Vec<&PlacedTuple> = self.tuples.iter().chain(own).collect();
        for chunk in tuples.chunks(MAX_TUPLES_PER_WRITE) {
            let writes = chunk.iter().map(|placed| placed.tuple.clone()).collect();
            if store.write(&model, &WriteRequest { writes, ..WriteRequest::default() }).is_ok() {
                continue;
            }
            // One of them is refused: it is found one by one.
            for placed in chunk {
                let writes = vec![placed.tuple.clone()];
                store
                    .write(&model, &WriteRequest { writes, ..WriteRequest::default() })
                    .map_err(|error| fail(error.to_string(), placed.file.clone(), placed.place))?;
            }
        }
        Ok((store.snapshot(), model))
    }
}

fn fail(message: String, file: Option<String>, start: Position) -> StoreFileErrors {
    let error = StoreFileError {
        message,
        keyword: "content",
        path: String::new(),
        file,
        region: Region { start, end: start },
    };
    StoreFileErrors { errors: vec![error] }
}

struct Runner<'a> {
    snapshot: &'a Snapshot,
    model: &'a StoreModel,
    test: &'a StoreTest,
    report: &'a mut Report,
}

impl Runner<'_> {
    fn run(&mut self) {
        let test = self.test;
        test.check.iter().for_each(|check| self.check(check));
        test.list_objects.iter().for_each(|list| self.list_objects(list));
        test.list_users.iter().for_each(|list| self.list_users(list));
    }

    fn check(&mut self, check: &CheckTest) {
        for user in &check.users {
            for object in &check.objects {
                for assertion in &check.assertions {
                    let relation = &assertion.relation;
                    let request =
                        CheckRequest { user, relation, object, request: context(&check.context) };
                    let got = self.snapshot.check(self.model, &request);
                    let is_passed = matches!(&got, Ok(allowed) if *allowed == assertion.expected);
                    self.report.checks.add(is_passed);
                    if !is_passed {
                        let question = format!("is {user} {relation} of {object}?");
                        let got = got.map(|allowed| allowed.to_string());
                        let expected = assertion.expected.to_string();
                        self.fail(assertion, question, &check.context, expected, got);
                        let explained = self.snapshot.explain(self.model, &request);
                        if let (Ok(reasons), Some(failure)) =
                            (explained, self.report.failures.last_mut())
                        {
                            failure.why = why(&reasons);
                        }
                    }
                }
            }
        }
    }

    fn list_objects(&mut self, list: &ListObjectsTest) {
        for assertion in &list.assertions {
            let relation = &assertion.relation;
            let request = ListObjectsRequest {
                user: &list.user,
                relation,
                object_type: &list.object_type,
                request: context(&list.context),
            };
            let got = self.snapshot.list_objects(self.model, &request);
            let is_passed = is_same(&assertion.expected, &got);
            self.report.list_objects.add(is_passed);
            if !is_passed {
                let question =
                    format!("of which {} is {} {relation}?", list.object_type, list.user);
                self.fail_list(assertion, question, &list.context, got);
            }
        }
    }

    fn list_users(&mut self, list: &ListUsersTest) {
        for assertion in &list.assertions {
            let relation = &assertion.relation;
            let (type_name, users_relation) = &list.user_filter;
            let request = ListUsersRequest {
                object: &list.object,
                relation,
                filter: UserFilter { type_name, relation: users_relation.as_deref() },
                request: context(&list.context),
            };
            let got = self.snapshot.list_users(self.model, &request, &PageRequest::default());
            let got = got.map(|listing| listing.items.iter().map(ToString::to_string).collect());
            let is_passed = is_same(&assertion.expected, &got);
            self.report.list_users.add(is_passed);
            if !is_passed {
                let kind = users_relation
                    .as_ref()
                    .map_or_else(|| type_name.clone(), |of| format!("{type_name}#{of}"));
                let question = format!("which {kind} is {relation} of {}?", list.object);
                self.fail_list(assertion, question, &list.context, got);
            }
        }
    }

    fn fail_list(
        &mut self,
        assertion: &Assertion<Vec<String>>,
        question: String,
        context: &Map<String, Json>,
        got: Result<Vec<String>, RequestError>,
    ) {
        let expected: BTreeSet<&String> = assertion.expected.iter().collect();
        let got = got.map(|got| {
            let found: BTreeSet<&String> = got.iter().collect();
            let mut shown = shown_list(&found);
            for (what, items) in [
                ("missing", expected.difference(&found).copied().collect::<BTreeSet<_>>()),
                ("unexpected", found.difference(&expected).copied().collect()),
            ] {
                if !items.is_empty() {
                    shown.push_str(&format!("; {what}: {}", shown_list(&items)));
                }
            }
            shown
        });
        let expected = shown_list(&expected);
        self.fail(assertion, question, context, expected, got);
    }

    fn fail<T>(
        &mut self,
        assertion: &Assertion<T>,
        mut question: String,
        context: &Map<String, Json>,
        expected: String,
        got: Result<String, RequestError>,
    ) {
        if !context.is_empty() {
            question.push_str(&format!(" with {}", Json::Object(context.clone())));
        }
        self.report.failures.push(Failure {
            test: self.test.name.clone(),
            place: assertion.place,
            question,
            expected,
            got: got.unwrap_or_else(|error| format!("an error: {error}")),
            why: Vec::new(),
        });
    }
}

/// The reasons of an answer in lines, the first few.
fn why(reasons: &Explanation) -> Vec<String> {
    const SHOWN: usize = 5;
    let path = reasons.path.iter().map(|tuple| format!("by {tuple}"));
    path.chain(reasons.missing.iter().map(lack)).take(SHOWN).collect()
}

fn lack(missing: &Missing) -> String {
    let Missing { object, relation, what, .. } = missing;
    match what {
        Lack::Tuple { user } => format!("no tuple {object}#{relation}@{user}"),
        Lack::Parent { tupleset } => format!("no tuple {object}#{tupleset}"),
        Lack::Condition { tuple, error: None } => format!("the condition of {tuple} is not met"),
        Lack::Condition { tuple, error: Some(error) } => format!("{tuple}: {error}"),
        Lack::NotYet { tuple } => format!("{tuple} does not hold yet"),
        Lack::Expired { tuple } => format!("{tuple} does not hold any more"),
        Lack::Excluded { by } => {
            let by = first_tuple(by).map_or_else(String::new, |tuple| format!(" by {tuple}"));
            format!("{object}#{relation} is taken away{by}")
        }
        Lack::Cycle => format!("{object}#{relation} takes away what it depends on"),
    }
}

/// The first tuple of a proof.
fn first_tuple(mut proof: &Proof) -> Option<&TupleKey> {
    loop {
        proof = match &proof.reason {
            Reason::Itself => return None,
            Reason::Tuple { tuple }
            | Reason::Userset { tuple, .. }
            | Reason::Parent { tuple, .. } => return Some(tuple),
            Reason::Computed { from } | Reason::Except { base: from } => from,
            Reason::All { of } => of.first()?,
        };
    }
}

fn context(values: &Map<String, Json>) -> RequestContext<'_> {
    RequestContext { context: Some(values), ..RequestContext::default() }
}

/// Lists are sets: the order does not matter, and neither does a name that is written twice.
fn is_same(expected: &[String], got: &Result<Vec<String>, RequestError>) -> bool {
    let set = |of: &[String]| of.iter().cloned().collect::<BTreeSet<_>>();
    got.as_ref().is_ok_and(|got| set(got) == set(expected))
}

/// As messages show a list; a long one is cut.
fn shown_list(items: &BTreeSet<&String>) -> String {
    const SHOWN: usize = 20;
    if items.is_empty() {
        return "none".to_owned();
    }
    let named: Vec<&str> = items.iter().take(SHOWN).map(|item| item.as_str()).collect();
    match items.len() - named.len() {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
