//! Documents: what the two full-text indexes and the two ways of taking a list apart must agree on.

use behalf_core::TenantId;
use behalf_store::documents::{self, ChunkRow, DocumentRow, PageOf};
use behalf_store::{Storage, StoreError, UnitOfWork};

use super::{at, tenant, unit};

pub(super) async fn run(storage: &Storage) {
    a_passage_is_found_by_its_words(storage).await;
    passages_come_back_whatever_they_hold(storage).await;
    only_the_given_documents_are_ranked(storage).await;
    a_replaced_or_deleted_passage_is_not_found(storage).await;
    documents_are_paged_from_the_newest(storage).await;
}

fn document(id: &str, title: &str, created: i64) -> DocumentRow {
    DocumentRow {
        document_id: id.to_owned(),
        owner: None,
        title: title.to_owned(),
        content_type: "text/plain".to_owned(),
        content_sha256: "00".repeat(32),
        revision: 1,
        created_at: at(created),
        updated_at: at(created),
    }
}

fn put(unit: &mut UnitOfWork, tenant: &TenantId, id: &str, heading: &str, passages: &[&str]) {
    let chunks: Vec<ChunkRow> = passages
        .iter()
        .zip(0..)
        .map(|(text, ordinal)| {
            let (heading, text) = (heading.to_owned(), (*text).to_owned());
            ChunkRow { ordinal, heading, text }
        })
        .collect();
    unit.add(documents::put(tenant, &document(id, heading, 1), &passages.concat()));
    for statement in documents::replace_chunks(tenant, id, &chunks) {
        unit.add(statement);
    }
}

async fn found(storage: &Storage, tenant: &TenantId, words: &str, ids: &[&str]) -> Vec<String> {
    let passages = documents::search(storage, tenant, words, ids, 10).await.unwrap();
    passages
        .into_iter()
        .map(|passage| format!("{}/{}", passage.document_id, passage.ordinal))
        .collect()
}

async fn a_passage_is_found_by_its_words(storage: &Storage) {
    let tenant = tenant("words");
    let mut create = unit(3_000);
    let text = "It is built with Next.js, see src/main.rs and write to bob@example.com. He runs a \
                Café in Zürich; pthread_create does not return EINVAL <b>here</b> &amp; there. \
                To be or not to be: version v1.2.3 of foo-bar, 3.14 at https://x.test/a/b?c=d. \
                Москва A\\B don't über-all";
    put(&mut create, &tenant, "d", "The Title", &[text]);
    storage.commit(create).await.unwrap();
    for words in [
        "\"next.js\"",
        "\"next\"",
        "\"js\"",
        "\"main.rs\"",
        "\"rs\"",
        "\"src/main.rs\"",
        "\"example.com\"",
        "\"bob\"",
        "\"bob@example.com\"",
        "\"running\"",
        "\"RUN\"",
        "\"cafe\"",
        "\"café\"",
        "\"cafe\u{301}\"",
        "\"zurich\"",
        "\"uber\"",
        "\"pthread_create\"",
        "\"einval\"",
        "\"here\"",
        "\"amp\"",
        "\"the\"",
        "\"to\" OR \"be\" OR \"or\" OR \"not\"",
        "\"v1.2.3\"",
        "\"2\"",
        "\"foo\"",
        "\"foo-bar\"",
        "\"3.14\"",
        "\"14\"",
        "\"x.test\"",
        "\"b?c\"",
        "\"москва\"",
        "\"a\\b\"",
        "\"don't\"",
        "\"title\"",
        "\"absent\" OR \"title\"",
    ] {
        assert_eq!(found(storage, &tenant, words, &["d"]).await, ["d/0"], "{words}");
    }
    for words in
        ["\"absent\"", "\"js.next\"", "\"bar-foo\"", "\"mos\"", "\"v1\" \"absent\"", "\".\""]
    {
        assert_eq!(found(storage, &tenant, words, &["d"]).await, [""; 0], "{words}");
    }
}

async fn passages_come_back_whatever_they_hold(storage: &Storage) {
    let tenant = tenant("passages");
    let texts = [
        "left\u{0}right",
        "\u{fdd0}0 marked \u{fdd0}\u{0}",
        "\\u0000 escaped \\\\u0000 \" \u{7f}",
        "\u{1f511} \u{feff}\u{ffff} key",
    ];
    let ids = ["d\u{0}x", "d\u{fdd0}0x", "d\\u0000x", "d\"x"];
    let mut create = unit(3_010);
    for id in ids {
        put(&mut create, &tenant, id, "head\u{0}ing", &texts);
    }
    storage.commit(create).await.unwrap();
    for id in ids {
        let rows = documents::list(storage, &tenant, &[id, "other\u{0}"]).await.unwrap();
        assert_eq!(rows.len(), 1, "{id:?}");
        assert_eq!(rows[0].title, "head\u{0}ing");
        let (_, content) =
            documents::find_with_content(storage, &tenant, id).await.unwrap().unwrap();
        assert_eq!(content, texts.concat());
        let words = ["left", "right", "marked", "escaped", "key", "heading"];
        for (word, text) in words.into_iter().zip([0, 0, 1, 2, 3]) {
            let expression = format!("\"{word}\"");
            let passages = documents::search(storage, &tenant, &expression, &[id], 10).await;
            let passages = passages.unwrap();
            assert_eq!(passages.len(), 1, "{word} in {id:?}");
            assert_eq!(passages[0].text, texts[text]);
            assert_eq!(passages[0].document_id, id);
        }
    }
    let both = documents::list_ids(storage, &tenant, &ids, "").await.unwrap();
    assert_eq!(both.len(), ids.len());
}

async fn only_the_given_documents_are_ranked(storage: &Storage) {
    let (mine, yours) = (tenant("ranked"), tenant("ranked-other"));
    let mut create = unit(3_020);
    for id in ["c", "a", "b"] {
        put(&mut create, &mine, id, "t", &["apple pear", "apple"]);
    }
    put(&mut create, &yours, "a", "t", &["apple"]);
    storage.commit(create).await.unwrap();
    let all = found(storage, &mine, "\"apple\"", &["a", "b", "c", "absent"]).await;
    assert_eq!(all.len(), 6);
    // Of the same rank, by document and place.
    let ends: Vec<_> = all.iter().filter(|one| one.ends_with("/1")).map(String::as_str).collect();
    assert_eq!(ends, ["a/1", "b/1", "c/1"]);
    assert_eq!(found(storage, &mine, "\"pear\"", &["c", "a"]).await, ["a/0", "c/0"]);
    assert_eq!(found(storage, &mine, "\"pear\"", &[]).await, [""; 0]);
    assert_eq!(found(storage, &yours, "\"pear\"", &["a"]).await, [""; 0]);
    let best = documents::search(storage, &mine, "\"apple\" OR \"pear\"", &["a", "b"], 1).await;
    let best = best.unwrap();
    assert_eq!((best.len(), best[0].ordinal), (1, 0), "both words are better than one");
    assert!(best[0].score > 0.0);
}

async fn a_replaced_or_deleted_passage_is_not_found(storage: &Storage) {
    let tenant = tenant("replaced");
    for (seed, text, revision) in [(3_030, "first edition", 1), (3_031, "second edition", 2)] {
        let mut write = unit(seed);
        put(&mut write, &tenant, "d", "t", &[text]);
        let committed = storage.commit(write).await.unwrap();
        assert_eq!(committed.value::<i64>("document_revision").unwrap(), revision);
    }
    assert_eq!(found(storage, &tenant, "\"first\"", &["d"]).await, [""; 0]);
    assert_eq!(found(storage, &tenant, "\"second\"", &["d"]).await, ["d/0"]);
    for expected in [Ok(()), Err(StoreError::Conflict { what: "document is gone" })] {
        let mut delete = unit(3_032);
        for statement in documents::delete_chunks(&tenant, "d") {
            delete.add(statement);
        }
        delete.add(documents::delete(&tenant, "d"));
        assert_eq!(storage.commit(delete).await.map(|_| ()), expected);
    }
    assert_eq!(found(storage, &tenant, "\"edition\"", &["d"]).await, [""; 0]);
}

async fn documents_are_paged_from_the_newest(storage: &Storage) {
    let tenant = tenant("document-pages");
    let mut create = unit(3_040);
    let rows = [
        ("B", "100% ÉTÉ", 1),
        ("a", "100 été_x", 1),
        ("b", "Été", 2),
        ("é", "Report", 2),
        ("z", "report", 3),
    ];
    for (id, title, created) in rows {
        create.add(documents::put(&tenant, &document(id, title, created), ""));
    }
    storage.commit(create).await.unwrap();
    let ids = rows.map(|(id, ..)| id);
    let page = async |title: &'static str, after: Option<(i64, &'static str)>, limit| {
        let after = after.map(|(time, id)| (at(time), id));
        let page = PageOf { ids: &ids, title, after, limit };
        let rows = documents::list_page(storage, &tenant, &page).await.unwrap();
        rows.into_iter().map(|row| row.document_id).collect::<Vec<_>>()
    };
    assert_eq!(page("", None, 9).await, ["z", "é", "b", "a", "B"]);
    assert_eq!(page("", Some((2, "é")), 2).await, ["b", "a"]);
    assert_eq!(page("", Some((1, "a")), 2).await, ["B"]);
    assert_eq!(page("REPORT", None, 9).await, ["z", "é"], "small and capital letters alike");
    assert_eq!(page("0%", None, 9).await, ["B"], "a percent sign is one");
    assert_eq!(page("é_", None, 9).await, ["a"], "an underscore is one");
}
