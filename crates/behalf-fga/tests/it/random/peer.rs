//! Random cases asked of an OpenFGA at an address as well: run by hand, `cargo xtask soak peer --http
//! ADDRESS`, with `--semantics v2` where its `weighted_graph_check` is on. Stores are left behind
//! there. What may differ is in `docs/reference/openfga.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use behalf_fga::{
    AuthorizationModel, CheckRequest, FgaStore, ListObjectsRequest, ListUsersRequest, PageRequest,
    RequestContext, RequestError, Semantics, Snapshot, TupleKey, User, UserFilter,
};
use serde_json::{Map, Value, json};

use super::made::widest;
use super::scope::{Filter, Scope};
use super::{CASES, Case, authorization_model, key, random_model};
use crate::dice::{Dice, number, said};

/// Checks of a request.
const BATCH: usize = 50;
/// One list in so many is asked for: each is a request of its own.
const SAMPLED: usize = 5;
/// An answer that takes longer may be cut off, and is not compared.
const LATE: Duration = Duration::from_secs(1);
/// Late answers after which the rest of a case is passed over.
const PATIENCE: u64 = 3;
/// Under v2, one in so many cases is asked whatever its model, and with lists: of the others those
/// that v2 takes, and checks only, since v2 has nothing else.
const WHOLE: u64 = 32;
/// How often a check that differs is asked again: OpenFGA's answer to some circles depends on which
/// of its branches ends first.
const AGAIN: usize = 10;
const VALIDATION: &str = "validation_error";
const TOO_COMPLEX: &str = "authorization_model_resolution_too_complex";

/// What a question was answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Is(bool),
    List(BTreeSet<String>),
    /// OpenFGA's name of the error.
    Error(String),
    Late,
}

impl Said {
    fn error(error: &RequestError) -> Self {
        Self::Error(error.code().name().to_owned())
    }

    /// Without what differs from case to case.
    fn kind(&self) -> &str {
        match self {
            Self::Is(true) => "true",
            Self::Is(false) => "false",
            Self::List(_) => "a list",
            Self::Error(name) => name,
            Self::Late => "late",
        }
    }
}

/// A store of an OpenFGA at an address.
struct Peer {
    address: String,
    store: String,
    model: String,
}

/// What goes along with each question.
struct Along {
    tuples: Vec<Value>,
    context: Value,
}

impl Peer {
    fn new(address: &str) -> Self {
        let (store, model) = (String::new(), String::new());
        let peer = Self { address: address.to_owned(), store, model };
        let (_, made) = peer.post("/stores", &json!({"name": "soak peer"}));
        Self { store: text_of(&made, "id"), ..peer }
    }

    /// Writes a model, under which is asked from then on, and says whether it was taken.
    fn add_model(&mut self, model: &AuthorizationModel) -> Said {
        let path = format!("/stores/{}/authorization-models", self.store);
        let (status, answer) = self.post(&path, &serde_json::to_value(model).unwrap());
        if status != 201 {
            return Said::Error(text_of(&answer, "code"));
        }
        self.model = text_of(&answer, "authorization_model_id");
        Said::Is(true)
    }

    fn write(&self, tuples: impl Iterator<Item = TupleKey>) {
        let tuples: Vec<Value> = tuples.map(|tuple| tuple_json(&tuple)).collect();
        for chunk in tuples.chunks(BATCH) {
            let (status, answer) = self.ask("write", json!({"writes": {"tuple_keys": chunk}}));
            assert_eq!(status, 200, "{answer}");
        }
    }

    fn ask(&self, operation: &str, mut body: Value) -> (u16, Value) {
        body["authorization_model_id"] = self.model.as_str().into();
        self.post(&format!("/stores/{}/{operation}", self.store), &body)
    }

    /// Asks over a connection of its own, by HTTP/1.0, whose answers end with the connection.
    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}")))
    }

    fn checks(&self, checks: &[CheckRequest<'_>], along: &Along) -> Vec<Said> {
        let item = |(at, check): (usize, &CheckRequest<'_>)| {
            let CheckRequest { user, relation, object, .. } = check;
            json!({
                "tuple_key": {"user": user, "relation": relation, "object": object},
                "contextual_tuples": {"tuple_keys": along.tuples},
                "context": along.context,
                "correlation_id": at.to_string(),
            })
        };
        let items: Vec<Value> = checks.iter().enumerate().map(item).collect();
        let begun = Instant::now();
        let (status, answer) = self.ask("batch-check", json!({"checks": items}));
        if begun.elapsed() > LATE {
            return vec![Said::Late; checks.len()];
        }
        assert_eq!(status, 200, "{answer}");
        let said = |at: usize| {
            let result = &answer["result"][at.to_string()];
            let error = &result["error"];
            let error = error["input_error"].as_str().or_else(|| error["internal_error"].as_str());
            match (result["allowed"].as_bool(), error) {
                (Some(is_allowed), _) => Said::Is(is_allowed),
                (None, Some(name)) => Said::Error(name.to_owned()),
                (None, None) => panic!("{result}"),
            }
        };
        (0..checks.len()).map(said).collect()
    }

    fn list(&self, operation: &str, mut body: Value, along: &Along) -> Said {
        body["context"] = along.context.clone();
        let begun = Instant::now();
        let (status, answer) = self.ask(operation, body);
        if begun.elapsed() > LATE {
            return Said::Late;
        }
        if status != 200 {
            return Said::Error(text_of(&answer, "code"));
        }
        let items = answer["objects"].as_array().or_else(|| answer["users"].as_array());
        Said::List(items.unwrap().iter().map(item_text).collect())
    }
}

fn text_of(answer: &Value, member: &str) -> String {
    answer[member].as_str().unwrap_or_else(|| panic!("no {member}: {answer}")).to_owned()
}

fn tuple_json(tuple: &TupleKey) -> Value {
    let TupleKey { user, relation, object, condition, .. } = tuple;
    let mut json = json!({"user": user, "relation": relation, "object": object});
    if let Some(condition) = condition {
        json["condition"] = json!({"name": condition.name, "context": condition.context});
    }
    json
}

/// An object as `ListObjects` lists it, or a user as `ListUsers` does.
fn item_text(item: &Value) -> String {
    let Some(user) = item.as_object() else { return item.as_str().unwrap().to_owned() };
    let (kind, of) = user.iter().next().unwrap();
    let part = |name: &str| of[name].as_str().unwrap();
    match kind.as_str() {
        "object" => format!("{}:{}", part("type"), part("id")),
        "wildcard" => format!("{}:*", part("type")),
        _ => format!("{}:{}#{}", part("type"), part("id"), part("relation")),
    }
}

/// How many were asked, how many answers came late, and what differs: by what was asked, by the
/// kinds of both answers and by whether a condition can lack its value, with the first of each.
#[derive(Default)]
struct Tally {
    asked: BTreeMap<&'static str, u64>,
    late: u64,
    /// Differences that were none when asked again.
    settled: u64,
    differ: BTreeMap<(&'static str, String, String), (u64, String)>,
}

impl Tally {
    fn compare(&mut self, what: &'static str, both: (&Said, &Said), told: impl Fn() -> String) {
        let (ours, theirs) = both;
        if *theirs == Said::Late {
            self.late += 1;
            return;
        }
        *self.asked.entry(what).or_default() += 1;
        if ours != theirs {
            let key = (what, ours.kind().to_owned(), theirs.kind().to_owned());
            let told = || (0, format!("ours {ours:?}, theirs {theirs:?}: {}", told()));
            self.differ.entry(key).or_insert_with(told).0 += 1;
        }
    }

    fn add(&mut self, other: Self) {
        for (what, count) in other.asked {
            *self.asked.entry(what).or_default() += count;
        }
        self.late += other.late;
        self.settled += other.settled;
        for (key, (count, told)) in other.differ {
            self.differ.entry(key).or_insert((0, told)).0 += count;
        }
    }

    const fn is_impatient(&self) -> bool {
        self.late >= PATIENCE
    }
}

/// True if answers of these kinds may differ (`docs/reference/openfga.md`).
fn may_differ(what: &str, ours: &str, theirs: &str) -> bool {
    match (what, ours, theirs) {
        // Whether a condition without its value, or the depth, matters to an answer.
        (_, VALIDATION | TOO_COMPLEX, _) | (_, _, VALIDATION | TOO_COMPLEX) => what != "model",
        ("list-objects", _, "internal_error") => true,
        // In circles v2 passes over tuples. Ours is held against v1 by `super::usersets`.
        ("check", "true", "false") => semantics() == Semantics::V2,
        // OpenFGA finds no way into some relations whose operands wait for each other.
        ("model", "true", "invalid_authorization_model") => true,
        _ => false,
    }
}

impl Case {
    /// Asks the case of both.
    fn ask_both(&self, address: &str, tally: &mut Tally) {
        let is_whole = semantics() == Semantics::V1 || self.seed.is_multiple_of(WHOLE);
        if !is_whole && self.bound.unfit().is_some() {
            return;
        }
        let mut peer = Peer::new(address);
        assert_eq!(peer.add_model(&authorization_model(&widest(&Scope::large()))), Said::Is(true));
        peer.write(self.stored.iter().map(key));
        if !self.models(&mut peer, tally) {
            return;
        }
        let contextual: Vec<TupleKey> = self.contextual.iter().map(key).collect();
        let context: Map<String, Value> =
            self.value.map(|x| ("x".to_owned(), x.into())).into_iter().collect();
        let along = Along {
            tuples: contextual.iter().map(tuple_json).collect(),
            context: Value::Object(context.clone()),
        };
        let request = RequestContext {
            contextual_tuples: &contextual,
            context: Some(&context),
            ..RequestContext::default()
        };
        let snapshot = self.fga.snapshot();
        for relation in self.scope.every_relation() {
            self.checks(&snapshot, (relation, request), (&peer, &along), tally);
            if !is_whole {
                continue;
            }
            self.objects(&snapshot, (relation, request), (&peer, &along), tally);
            self.users_listed(&snapshot, (relation, request), (&peer, &along), tally);
        }
    }

    /// Every model that was drawn for the case; true if both take the last, which is the case's.
    fn models(&self, peer: &mut Peer, tally: &mut Tally) -> bool {
        let mut dice = Dice(self.seed);
        let scope = Scope::drawn(self.seed, &mut dice);
        loop {
            let model = authorization_model(&random_model(&mut dice, &scope));
            let ours = match FgaStore::new().add_model(model.clone()) {
                Ok(_) => Said::Is(true),
                Err(error) => Said::Error(error.code().name().to_owned()),
            };
            let theirs = peer.add_model(&model);
            tally.compare("model", (&ours, &theirs), || model.to_json().unwrap());
            if ours == Said::Is(true) {
                return ours == theirs;
            }
        }
    }

    fn checks(
        &self,
        snapshot: &Snapshot,
        (relation, request): (&str, RequestContext<'_>),
        (peer, along): (&Peer, &Along),
        tally: &mut Tally,
    ) {
        let objects = || self.scope.objects.iter().flat_map(|(_, objects)| objects);
        let asked = self.scope.subjects.iter();
        let asked = asked.flat_map(|user| objects().map(move |object| (user, object)));
        let asked: Vec<(&String, &String)> = asked.collect();
        let semantics = semantics();
        let checks = asked.iter();
        let checks = checks.map(|(user, object)| CheckRequest { user, relation, object, request });
        for checks in checks.collect::<Vec<_>>().chunks(BATCH) {
            if tally.is_impatient() {
                return;
            }
            for (check, mut theirs) in checks.iter().zip(peer.checks(checks, along)) {
                let ours = match self.check_as(semantics, snapshot, check) {
                    Ok(is_allowed) => Said::Is(is_allowed),
                    Err(error) => Said::error(&error),
                };
                if let (Said::Is(_), Said::Is(_)) = (&ours, &theirs)
                    && ours != theirs
                    && peer.checks(&vec![*check; AGAIN], along).contains(&ours)
                {
                    tally.settled += 1;
                    theirs = ours.clone();
                }
                let question = format!("{} {relation} {}", check.user, check.object);
                tally.compare("check", (&ours, &theirs), || self.describe(&question));
            }
        }
    }

    /// A check of a batch.
    fn check_as(
        &self,
        semantics: Semantics,
        snapshot: &Snapshot,
        check: &CheckRequest<'_>,
    ) -> Result<bool, RequestError> {
        let checks = std::slice::from_ref(check);
        let mut answers = match semantics {
            Semantics::V1 => snapshot.batch_check(&self.bound, checks),
            Semantics::V2 => snapshot.batch_check_v2(&self.bound, checks),
        };
        answers.pop().unwrap()
    }

    fn objects(
        &self,
        snapshot: &Snapshot,
        (relation, request): (&str, RequestContext<'_>),
        (peer, along): (&Peer, &Along),
        tally: &mut Tally,
    ) {
        let users = &self.scope.subjects;
        let types = self.scope.types.iter();
        let asked = types.flat_map(|name| users.iter().map(move |user| (*name, user)));
        for (name, user) in asked.skip(self.first()).step_by(SAMPLED) {
            if tally.is_impatient() {
                return;
            }
            let list = ListObjectsRequest { user, relation, object_type: name, request };
            let ours = match snapshot.list_objects(&self.bound, &list) {
                Ok(objects) => Said::List(objects.into_iter().collect()),
                Err(error) => Said::error(&error),
            };
            let body = json!({
                "user": user, "relation": relation, "type": name,
                "contextual_tuples": {"tuple_keys": along.tuples},
            });
            let theirs = peer.list("list-objects", body, along);
            let told = || self.describe(format!("objects of {name}: {user} {relation}"));
            tally.compare("list-objects", (&ours, &theirs), told);
        }
    }

    fn users_listed(
        &self,
        snapshot: &Snapshot,
        (relation, request): (&str, RequestContext<'_>),
        (peer, along): (&Peer, &Along),
        tally: &mut Tally,
    ) {
        let objects = self.scope.objects.iter();
        let objects = objects
            .flat_map(|(name, of)| of.iter().zip(&self.scope.ids).map(move |of| (*name, of)));
        let filters = &self.scope.filters;
        let asked = objects.flat_map(|object| filters.iter().map(move |of| (object, of)));
        for ((name, (object, id)), of) in asked.skip(self.first()).step_by(SAMPLED) {
            if tally.is_impatient() {
                return;
            }
            let Filter { type_name: of, relation: userset, .. } = of;
            let filter = UserFilter { type_name: of, relation: *userset };
            let list = ListUsersRequest { object, relation, filter, request };
            let mut ours = match snapshot.list_users(&self.bound, &list, &PageRequest::default()) {
                Ok(users) => Said::List(users.items.iter().map(User::to_string).collect()),
                Err(error) => Said::error(&error),
            };
            let body = json!({
                "object": {"type": name, "id": id}, "relation": relation,
                "user_filters": [{"type": of, "relation": userset.unwrap_or_default()}],
                "contextual_tuples": along.tuples,
            });
            let mut theirs = peer.list("list-users", body, along);
            // OpenFGA lists objects as well where usersets are asked for.
            if let (Said::List(users), Some(_)) = (&mut theirs, userset) {
                users.retain(|user| user.contains('#'));
            }
            // Beside `user:*` it says nothing new who else is named.
            let everybody = format!("{of}:*");
            for said in [&mut ours, &mut theirs] {
                if let Said::List(users) = said
                    && users.contains(&everybody)
                {
                    *users = BTreeSet::from([everybody.clone()]);
                }
            }
            let told = || self.describe(format!("users of {object}: {filter:?} {relation}"));
            tally.compare("list-users", (&ours, &theirs), told);
        }
    }

    /// Where the sample of the case's lists begins.
    fn first(&self) -> usize {
        usize::try_from(self.seed).unwrap_or_default() % SAMPLED
    }
}

/// Whose checks the OpenFGA answers with.
pub(super) fn semantics() -> Semantics {
    let name = said("BEHALF_SEMANTICS");
    name.map_or(Semantics::V1, |name| Semantics::find(&name).unwrap())
}

#[test]
#[ignore = "asks an OpenFGA: cargo xtask soak peer --http ADDRESS"]
fn an_openfga_answers_alike() {
    let address = said("BEHALF_PEER").expect("the address of an OpenFGA's HTTP");
    let (seed, cases) = (number("BEHALF_RANDOM_SEED", 1), number("BEHALF_RANDOM_CASES", CASES));
    let next = AtomicU64::new(seed);
    let all = Mutex::new(Tally::default());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= seed + cases {
                    return;
                }
                let mut of_case = Tally::default();
                Case::plain(number).ask_both(&address, &mut of_case);
                all.lock().unwrap().add(of_case);
            }
        };
        for _thread in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let Tally { asked, late, settled, differ } = all.into_inner().unwrap();
    let count = |what: &str| asked.get(what).copied().unwrap_or_default();
    println!(
        "peer: {cases} cases from seed {seed}: {} models, {} checks, {} lists of objects, {} of \
         users, {late} late, {settled} settled",
        count("model"),
        count("check"),
        count("list-objects"),
        count("list-users"),
    );
    let mut unexplained = 0;
    for ((what, ours, theirs), (count, told)) in differ {
        println!("peer differs: {what}: ours {ours}, theirs {theirs}: {count} times");
        if !may_differ(what, &ours, &theirs) {
            unexplained += count;
            println!("{told}");
        }
    }
    assert_eq!(unexplained, 0, "answers differ that may not");
}
