//! The store by itself: what a write may do, which tuples a filter admits, which versions are kept,
//! how much memory is said to be in use, and which files are refused.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use behalf_fga::{
    AuthorizationModel, Change, CheckRequest, DeleteKey, FgaStore, History,
    MAX_CONDITION_CONTEXT_BYTES, MAX_TUPLES_PER_WRITE, OnConflict, RequestContext, RequestError,
    Revision, Snapshot, SnapshotError, SnapshotReader, StoreModel, TupleCondition, TupleError,
    TupleFilter, TupleKey, Validity, WriteError, WriteRequest,
};
use serde_json::json;

const MODEL: &str = "model
  schema 1.1
type user
type group
  relations
    define member: [user, user:*, group#member]
    define owner: [user]
type doc
  relations
    define viewer: [user, user:*, user with named, group#member, group#owner]
    define editor: [user, group#member]
condition named(name: string) {
  name == 'x'
}
";

fn store() -> (FgaStore, Arc<StoreModel>) {
    let mut store = FgaStore::new();
    let model = store.add_model(AuthorizationModel::validate_dsl(MODEL).unwrap()).unwrap();
    (store, model)
}

fn tuple(text: &str) -> TupleKey {
    let (object, rest) = text.split_once('#').unwrap();
    let (relation, user) = rest.split_once('@').unwrap();
    TupleKey::new(user, relation, object)
}

fn named(text: &str, name: &str) -> TupleKey {
    let context = json!({ "name": name }).as_object().unwrap().clone();
    let condition = Some(TupleCondition { name: "named".to_owned(), context });
    TupleKey { condition, ..tuple(text) }
}

fn lasting(text: &str, from: Option<i64>, until: Option<i64>) -> TupleKey {
    let validity = Validity { not_before_micros: from, expires_at_micros: until };
    TupleKey { validity, ..tuple(text) }
}

fn writes(tuples: &[TupleKey]) -> WriteRequest {
    WriteRequest { writes: tuples.to_vec(), ..WriteRequest::default() }
}

fn deletes(texts: &[&str]) -> WriteRequest {
    let deletes = texts.iter().map(|text| tuple(text).delete_key()).collect();
    WriteRequest { deletes, ..WriteRequest::default() }
}

fn reason(result: Result<Vec<Change>, WriteError>) -> TupleError {
    match result {
        Err(WriteError::InvalidTuple { reason, .. }) => reason,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_write_is_refused_as_a_whole_for_one_tuple_that_may_not_be() {
    let (store, model) = store();
    let plan = |request: &WriteRequest| store.plan_write(&model, request);
    let refused = |tuple: TupleKey| reason(plan(&writes(&[tuple])));
    assert_eq!(plan(&WriteRequest::default()), Err(WriteError::Empty));
    assert_eq!(plan(&writes(&[tuple("doc:1#viewer@user:1")])).map(|changes| changes.len()), Ok(1));

    assert_eq!(refused(tuple("group:1#member@group:1#member")), TupleError::Implicit);
    for fine in ["group:1#member@group:2#member", "doc:1#viewer@group:1#member"] {
        assert!(plan(&writes(&[tuple(fine)])).is_ok(), "{fine}");
    }
    let until = |from, until| lasting("doc:1#viewer@user:1", Some(from), Some(until));
    assert_eq!(refused(until(5, 5)), TupleError::NeverValid);
    assert!(plan(&writes(&[until(5, 6)])).is_ok());

    let limit = MAX_CONDITION_CONTEXT_BYTES;
    let around = r#"{"name":""}"#.len();
    let sized = |size: usize| named("doc:1#viewer@user:1", &"a".repeat(size - around));
    assert!(plan(&writes(&[sized(limit)])).is_ok());
    let size = limit + 1;
    assert_eq!(refused(sized(size)), TupleError::ContextTooLarge { size, limit });

    // A key to delete needs a user, and nothing of the model.
    let delete = |user: &str| {
        let key = DeleteKey {
            user: user.to_owned(),
            relation: "none".to_owned(),
            object: "none:1".to_owned(),
        };
        let on_missing = OnConflict::Ignore;
        plan(&WriteRequest { deletes: vec![key], on_missing, ..WriteRequest::default() })
    };
    assert_eq!(reason(delete("user:1#")), TupleError::MalformedUser);
    assert_eq!(delete("user:1"), Ok(Vec::new()));
}

#[test]
fn a_key_comes_once_in_a_write_and_a_write_has_so_many() {
    let (store, model) = store();
    let plan = |request: &WriteRequest| store.plan_write(&model, request);
    let one = tuple("doc:1#viewer@user:1");
    let is_duplicate =
        |request: &WriteRequest| matches!(plan(request), Err(WriteError::Duplicate { .. }));
    assert!(is_duplicate(&writes(&[one.clone(), one.clone()])));
    assert!(is_duplicate(&WriteRequest { deletes: vec![one.delete_key()], ..writes(&[one]) }));

    let many = |count: usize| -> Vec<TupleKey> {
        (0..count).map(|n| tuple(&format!("doc:{n}#viewer@user:1"))).collect()
    };
    let most = MAX_TUPLES_PER_WRITE;
    assert_eq!(plan(&writes(&many(most))).map(|changes| changes.len()), Ok(most));
    assert_eq!(plan(&writes(&many(most + 1))), Err(WriteError::TooMany(most)));
    let of_three = |tuples: &[TupleKey]| {
        plan(&WriteRequest { max_tuples: Some(3), ..writes(tuples) }).map(|changes| changes.len())
    };
    assert_eq!(of_three(&many(3)), Ok(3));
    assert_eq!(of_three(&many(4)), Err(WriteError::TooMany(3)));
}

#[test]
fn a_write_says_what_is_there_already_and_what_is_not() {
    let (mut store, model) = store();
    let (plain, other) = (tuple("doc:1#viewer@user:1"), tuple("doc:2#viewer@user:*"));
    let under = named("doc:3#viewer@user:1", "x");
    let brief = lasting("doc:4#viewer@user:1", None, Some(100));
    let stored = [plain.clone(), other.clone(), under, brief.clone()];
    assert_eq!(store.write(&model, &writes(&stored)), Ok(Revision(1)));
    let snapshot = store.snapshot();
    for tuple in &stored {
        assert_eq!(snapshot.find_tuple(&tuple.delete_key()).as_ref(), Some(tuple));
    }
    for absent in ["doc:1#viewer@user:2", "doc:1#editor@user:1", "doc:1#viewer@user:*"] {
        assert_eq!(snapshot.find_tuple(&tuple(absent).delete_key()), None);
    }

    let plan = |request: &WriteRequest| store.plan_write(&model, request);
    let exists =
        |request: &WriteRequest| matches!(plan(request), Err(WriteError::AlreadyExists { .. }));
    let ignoring = |tuples: &[TupleKey]| {
        plan(&WriteRequest { on_duplicate: OnConflict::Ignore, ..writes(tuples) })
    };
    for tuple in &stored {
        assert!(exists(&writes(std::slice::from_ref(tuple))), "{tuple}");
    }
    assert_eq!(ignoring(&stored), Ok(Vec::new()));
    let differing = [
        named("doc:1#viewer@user:1", "x"),
        named("doc:3#viewer@user:1", "y"),
        tuple("doc:3#viewer@user:1"),
        lasting("doc:1#viewer@user:1", None, Some(100)),
        lasting("doc:4#viewer@user:1", None, Some(101)),
        tuple("doc:4#viewer@user:1"),
    ];
    for tuple in differing {
        let conflict = Err(WriteError::Conflict(tuple.to_string()));
        assert_eq!(ignoring(std::slice::from_ref(&tuple)), conflict);
    }

    // What has expired is not in the way, if the request has a time.
    let at = |now| WriteRequest { now_micros: Some(now), ..writes(std::slice::from_ref(&brief)) };
    assert!(exists(&at(99)));
    assert_eq!(plan(&at(100)), Ok(vec![Change::Write(brief.clone())]));
    assert!(exists(&WriteRequest { now_micros: Some(100), ..writes(&[plain]) }));

    let key = "doc:2#viewer@user:*";
    assert_eq!(plan(&deletes(&[key])), Ok(vec![Change::Delete(other.delete_key())]));
    let missing = deletes(&["doc:2#viewer@user:2"]);
    assert!(matches!(plan(&missing), Err(WriteError::DoesNotExist { .. })));
    let passed_over = WriteRequest { on_missing: OnConflict::Ignore, ..missing };
    assert_eq!(plan(&passed_over), Ok(Vec::new()));
}

#[test]
fn an_import_takes_the_last_of_a_key_and_passes_over_what_is_there() {
    let (mut store, model) = store();
    let there = named("doc:1#viewer@user:1", "x");
    let brief = lasting("doc:4#viewer@user:1", None, Some(100));
    store.write(&model, &writes(&[there.clone(), brief.clone()])).unwrap();
    let import = |tuples: &[TupleKey], now| store.plan_import(&model, tuples.to_vec(), now);
    let (one, two) = (tuple("doc:2#viewer@user:1"), named("doc:2#viewer@user:1", "y"));
    let three = tuple("doc:3#viewer@user:1");
    assert_eq!(
        import(&[one, three.clone(), there, two.clone()], None),
        Ok(vec![Change::Write(three), Change::Write(two)])
    );
    let other = named("doc:1#viewer@user:1", "y");
    let conflict = Err(WriteError::Conflict(other.to_string()));
    assert_eq!(import(&[other], None), conflict);
    assert_eq!(import(std::slice::from_ref(&brief), Some(99)), Ok(Vec::new()));
    let again = import(std::slice::from_ref(&brief), Some(100));
    assert_eq!(again, Ok(vec![Change::Write(brief)]));
    let never = lasting("doc:5#viewer@user:1", Some(2), Some(1));
    assert_eq!(reason(import(&[never], None)), TupleError::NeverValid);
}

#[test]
fn a_model_of_another_store_plans_nothing() {
    let ((one, _), (_, model)) = (store(), store());
    let tuple = tuple("doc:1#viewer@user:1");
    let request = writes(std::slice::from_ref(&tuple));
    assert_eq!(one.plan_write(&model, &request), Err(WriteError::ForeignModel));
    assert_eq!(one.plan_import(&model, vec![tuple], None), Err(WriteError::ForeignModel));
}

#[test]
fn a_model_tried_on_a_version_is_for_what_came_of_it_alone() {
    let (mut store, own) = store();
    store.apply(&[Change::Write(tuple("doc:1#editor@user:1"))]).unwrap();
    let editors = "model
  schema 1.1
type agent
type user
type doc
  relations
    define reader: [agent] or editor
    define editor: [user]
";
    let editors = AuthorizationModel::validate_dsl(editors).unwrap();
    let (tried, model) = store.snapshot().with_model(editors).unwrap();
    let ask = |snapshot: &Snapshot, model: &StoreModel, relation| {
        let (user, object, request) = ("user:1", "doc:1", RequestContext::default());
        snapshot.check(model, &CheckRequest { user, relation, object, request })
    };
    assert_eq!(ask(&tried, &model, "reader"), Ok(true));
    assert_eq!(ask(&store.snapshot(), &own, "editor"), Ok(true));
    let foreign = Err(RequestError::ForeignModel);
    assert_eq!(ask(&store.snapshot(), &model, "reader"), foreign);
    assert_eq!(ask(&tried, &own, "editor"), foreign);
}

/// A store with every kind of user, and more documents than fit in one page of names or rows.
fn filled() -> FgaStore {
    let (mut store, _) = store();
    let mut tuples: Vec<TupleKey> = (0..150)
        .flat_map(|n| {
            let group = if n % 2 == 0 { "member" } else { "owner" };
            [
                tuple(&format!("doc:{n}#viewer@user:{}", n % 7)),
                tuple(&format!("doc:{n}#viewer@group:{}#{group}", n % 5)),
                tuple(&format!("doc:{}#editor@user:{n}", n % 3)),
            ]
        })
        .collect();
    tuples.extend([
        tuple("doc:9#viewer@user:*"),
        tuple("group:1#member@user:*"),
        tuple("group:1#member@group:2#member"),
        named("doc:1#viewer@user:none", "x"),
        lasting("doc:2#viewer@user:none", Some(1), None),
    ]);
    let changes: Vec<Change> = tuples.into_iter().map(Change::Write).collect();
    store.apply(&changes).unwrap();
    store
}

fn texts(tuples: impl Iterator<Item = TupleKey>) -> Vec<String> {
    tuples.map(|tuple| format!("{tuple} {:?}", tuple.validity)).collect()
}

fn filters() -> Vec<TupleFilter> {
    let users = [
        "",
        "user:1",
        "user:none",
        "user:*",
        "group:1",
        "group:1#member",
        "group:1#owner",
        "group:none#member",
    ];
    let objects =
        ["", "doc:", "group:", "none:", "doc:1", "doc:9", "doc:149", "doc:none", "group:1"];
    let mut filters = Vec::new();
    for user in users {
        for relation in ["", "viewer", "editor", "member", "none"] {
            for object in objects {
                let [user, relation, object] = [user, relation, object].map(str::to_owned);
                filters.push(TupleFilter { user, relation, object });
            }
        }
    }
    filters
}

#[test]
fn a_filter_admits_what_it_says_and_goes_on_behind_any_tuple() {
    let mut store = filled();
    let snapshot = store.snapshot();
    let all: Vec<TupleKey> = snapshot.tuples().collect();
    assert_eq!(all.len(), snapshot.tuple_count());
    let is_or = |wanted: &str, text: &str| wanted.is_empty() || wanted == text;
    let mut found_any = 0;
    for filter in filters() {
        let is_object = |object: &str| match filter.object.ends_with(':') {
            true => object.starts_with(&filter.object),
            false => is_or(&filter.object, object),
        };
        let is_admitted = |tuple: &&TupleKey| {
            is_or(&filter.user, &tuple.user)
                && is_or(&filter.relation, &tuple.relation)
                && is_object(&tuple.object)
        };
        let expected: BTreeSet<String> =
            texts(all.iter().filter(is_admitted).cloned()).into_iter().collect();
        let found: Vec<TupleKey> = snapshot.matching(&filter, None).unwrap().collect();
        let found_texts = texts(found.iter().cloned());
        assert_eq!(found_texts.len(), expected.len(), "{filter:?}");
        assert_eq!(found_texts.iter().cloned().collect::<BTreeSet<_>>(), expected, "{filter:?}");
        for (at, tuple) in found.iter().enumerate() {
            let key = tuple.delete_key();
            let behind = texts(snapshot.matching(&filter, Some(&key)).unwrap());
            assert_eq!(behind, found_texts[at + 1..], "{filter:?} behind {tuple}");
        }
        found_any += usize::from(!found.is_empty());
        let deletes: Vec<Change> = snapshot.deletes(&filter).collect();
        let keys = found.iter().map(|tuple| Change::Delete(tuple.delete_key()));
        assert_eq!(deletes, keys.collect::<Vec<_>>());
    }
    assert!(found_any > 50, "{found_any}");
    for never in
        ["doc:1#viewer@user:unheard", "doc:unheard#viewer@user:1", "unheard:1#viewer@user:1"]
    {
        let key = tuple(never).delete_key();
        assert!(snapshot.matching(&TupleFilter::default(), Some(&key)).is_none(), "{never}");
    }
    for malformed in ["doc", "doc:1:2"] {
        let filter = TupleFilter { object: malformed.to_owned(), ..TupleFilter::default() };
        assert_eq!(snapshot.matching(&filter, None).unwrap().count(), 0);
    }

    // Behind one that is gone.
    let filter = TupleFilter::default();
    let before: Vec<TupleKey> = snapshot.matching(&filter, None).unwrap().collect();
    for at in [0, 7, 149, 200, before.len() - 1] {
        let key = before[at].delete_key();
        store.apply(&[Change::Delete(key.clone())]).unwrap();
        let behind = texts(store.snapshot().matching(&filter, Some(&key)).unwrap());
        assert_eq!(behind, texts(before[at + 1..].iter().cloned()));
        store.apply(&[Change::Write(before[at].clone())]).unwrap();
    }

    let of_docs = TupleFilter { object: "doc:".to_owned(), ..TupleFilter::default() };
    let changes: Vec<Change> = store.snapshot().deletes(&of_docs).collect();
    store.apply(&changes).unwrap();
    assert_eq!(
        texts(store.snapshot().tuples()).len(),
        all.iter().filter(|tuple| tuple.object.starts_with("group:")).count()
    );
}

#[test]
fn a_history_keeps_so_many_versions_for_so_long_and_so_many_changes() {
    let mut store = FgaStore::new();
    let mut history = History::new(3, 10).with_max_changes(5);
    assert_eq!(history.oldest(), None);
    for (at, changes, oldest) in [
        (100, 0, 1),
        // Ten microseconds and five changes later it is still there.
        (110, 5, 1),
        (110, 6, 2),
        (120, 6, 2),
        // A fourth.
        (120, 6, 3),
        (130, 6, 4),
        (131, 6, 6),
        // The newest is kept, however old and far away the others are.
        (500, 6, 8),
        (500, 100, 9),
        (500, 105, 9),
    ] {
        store.apply(&[]).unwrap();
        history.push_after(store.snapshot(), at, changes);
        assert_eq!(history.oldest(), Some(Revision(oldest)), "at {at} after {changes}");
    }
    // As many changes as the last.
    store.apply(&[]).unwrap();
    history.push(store.snapshot(), 505);
    store.apply(&[]).unwrap();
    history.push_after(store.snapshot(), 505, 110);
    assert_eq!(history.oldest(), Some(Revision(10)));
    for (revision, is_kept) in [(9, false), (10, true), (11, true), (12, true), (13, false)] {
        let found = history.find(Revision(revision)).map(|snapshot| snapshot.revision());
        assert_eq!(found, is_kept.then_some(Revision(revision)));
    }
    // The same revision again takes the place of the one before, and of no other.
    let again = Arc::new((*store.snapshot()).clone());
    history.push(Arc::clone(&again), 505);
    assert!(Arc::ptr_eq(history.find(Revision(12)).unwrap(), &again));
    assert_eq!(history.oldest(), Some(Revision(10)));

    let mut history = History::new(0, 10);
    history.push(store.snapshot(), 0);
    assert_eq!(history.oldest(), Some(Revision(12)));
}

#[test]
fn a_file_is_read_back_as_it_was_or_refused() {
    let store = filled();
    let snapshot = store.snapshot();
    let bytes = snapshot.encode("label");
    let read = SnapshotReader::open(&*bytes, bytes.len() as u64).unwrap();
    assert_eq!(read.label(), "label");
    let read = read.read().unwrap();
    assert_eq!(read.revision(), snapshot.revision());
    assert_eq!(texts(read.tuples()), texts(snapshot.tuples()));
    assert_eq!(read.encode("label"), bytes);

    let refused = |bytes: &[u8]| Snapshot::decode(bytes, "label").err();
    assert_eq!(refused(b"behalf"), Some(SnapshotError::NotASnapshot));
    assert_eq!(refused(b"not a snapshot of any kind"), Some(SnapshotError::NotASnapshot));
    let mut newer = bytes.clone();
    newer[8] = 77;
    assert_eq!(refused(&newer), Some(SnapshotError::Format(77)));
    assert_eq!(Snapshot::decode(&bytes, "").err(), Some(SnapshotError::AnotherStore));
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(refused(&longer), Some(SnapshotError::Damaged));
    for length in [bytes.len() - 1, bytes.len() + 1] {
        let read = SnapshotReader::open(&*bytes, length as u64).and_then(SnapshotReader::read);
        assert_eq!(read.err(), Some(SnapshotError::Damaged), "{length}");
    }
}

/// Gives or takes so many bytes, then fails.
struct Failing<'a> {
    bytes: &'a [u8],
    left: usize,
}

impl io::Read for Failing<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left);
        if count == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.left -= count;
        self.bytes.read(&mut buffer[..count])
    }
}

impl io::Write for Failing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.left);
        if count == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.left -= count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_that_fails_is_said_to() {
    let snapshot = filled().snapshot();
    let bytes = snapshot.encode("label");
    let kind = io::ErrorKind::BrokenPipe;
    for left in (0..bytes.len()).step_by(53) {
        let input = Failing { bytes: &bytes, left };
        let read = SnapshotReader::open(input, bytes.len() as u64).and_then(SnapshotReader::read);
        assert_eq!(read.err(), Some(SnapshotError::Unreadable(kind)), "after {left}");
        let mut output = Failing { bytes: &[], left };
        let error = snapshot.write_to("label", &mut output).unwrap_err();
        assert_eq!(error.kind(), kind, "after {left}");
    }
    let mut output = Failing { bytes: &[], left: bytes.len() };
    assert!(snapshot.write_to("label", &mut output).is_ok());
}

/// The sizes of what it is given.
#[derive(Default)]
struct Sizes(Vec<usize>);

impl io::Write for Sizes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.push(bytes.len());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_large_store_is_written_in_pieces() {
    let (mut store, _) = store();
    let tuples = (0..30_000).map(|n| tuple(&format!("doc:{n:020}#viewer@user:{}", n % 50)));
    let changes: Vec<Change> = tuples.map(Change::Write).collect();
    store.apply(&changes).unwrap();
    let mut sizes = Sizes::default();
    store.snapshot().write_to("label", &mut sizes).unwrap();
    let whole: usize = sizes.0.iter().sum();
    assert_eq!(whole, store.snapshot().encode("label").len());
    assert!(whole > 1_000_000 && sizes.0.iter().all(|size| *size < 300_000), "{:?}", sizes.0);
    // And in few of them.
    assert!(sizes.0.len() < 60, "{:?}", sizes.0);
}

/// Documents in several pages with so many viewers each, and a user with as many documents.
#[test]
fn rows_of_every_length_are_read_back_and_written_to() {
    const LENGTHS: [usize; 9] = [1, 254, 255, 256, 257, 258, 512, 513, 70_000];
    let (mut store, model) = store();
    let mut tuples: Vec<TupleKey> =
        (0..200).map(|n| tuple(&format!("doc:{n}#editor@user:0"))).collect();
    // The numbers of the documents are those of their names, so these lie in pages of their own.
    let documents = [0, 63, 64, 65, 127, 128, 150, 191, 199];
    for (document, length) in documents.into_iter().zip(LENGTHS) {
        tuples.extend((0..length).map(|n| tuple(&format!("doc:{document}#viewer@user:{n}"))));
    }
    tuples.extend((0..70_000).map(|n| tuple(&format!("group:{n}#member@user:0"))));
    let changes: Vec<Change> = tuples.into_iter().map(Change::Write).collect();
    store.apply(&changes).unwrap();
    let bytes = store.snapshot().encode("label");
    let mut read = FgaStore::from_snapshot(Snapshot::decode(&bytes, "label").unwrap());
    read.add_model(model.model().clone()).unwrap();
    for store in [&mut store, &mut read] {
        let lengths = |store: &FgaStore| {
            let snapshot = store.snapshot();
            documents.map(|document| {
                let object = format!("doc:{document}");
                let of_document =
                    TupleFilter { object, relation: "viewer".to_owned(), ..TupleFilter::default() };
                snapshot.matching(&of_document, None).unwrap().count()
            })
        };
        assert_eq!(lengths(store), LENGTHS);
        // One more at the end and one less in the middle of each.
        for document in documents {
            let more = tuple(&format!("doc:{document}#viewer@user:none"));
            store.apply(&[Change::Write(more.clone())]).unwrap();
            assert_eq!(store.snapshot().find_tuple(&more.delete_key()), Some(more));
            let less = tuple(&format!("doc:{document}#viewer@user:0")).delete_key();
            store.apply(&[Change::Delete(less.clone())]).unwrap();
            assert_eq!(store.snapshot().find_tuple(&less), None);
        }
        assert_eq!(lengths(store), LENGTHS);
        let user = "user:0".to_owned();
        let of_user = TupleFilter { user, relation: "member".to_owned(), ..TupleFilter::default() };
        assert_eq!(store.snapshot().matching(&of_user, None).unwrap().count(), 70_000);
    }
    assert_eq!(
        texts(store.snapshot().tuples()).into_iter().collect::<BTreeSet<_>>(),
        texts(read.snapshot().tuples()).into_iter().collect::<BTreeSet<_>>()
    );
}
