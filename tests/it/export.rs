//! Exports: what is in a bundle, that any change of it is found and named, who may make one.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use behalf_core::{Actor, Event, EventKind, ProjectId, TenantId, Timestamp};
use behalf_ledger::{Export, ExportRequest};
use behalf_store::Statement;
use behalf_tests::TestServer;
use behalf_verify::bundle::{self, BundleError, Fault};
use behalf_verify::canonical_json::is_canonical;
use behalf_verify::sha256_hex;
use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The files of a bundle, by path.
type Files = BTreeMap<String, Vec<u8>>;

fn request(from: Option<Timestamp>, to: Option<Timestamp>) -> ExportRequest {
    ExportRequest { project: ProjectId::default_project(), from, to }
}

/// A server whose log has `count` more events, one a second.
async fn server(count: usize) -> TestServer {
    let server = TestServer::start("{}").await;
    for n in 0..count {
        server.advance(std::time::Duration::from_secs(1));
        happen(&server, n).await;
    }
    server
}

async fn happen(server: &TestServer, n: usize) {
    let mut unit = server.server.identity.unit();
    let event = Event::new(&TenantId::default_tenant(), EventKind::DocumentWritten, Actor::System);
    unit.record(&event.with("n", n).with("title", "Grüße 你好"));
    server.server.storage.commit(unit).await.unwrap();
}

async fn export(server: &TestServer, request: &ExportRequest) -> (Export, Vec<u8>) {
    let ledger = &server.server.ledger;
    let export = ledger.export(request, &Actor::Local { uid: 7 }).await.unwrap();
    let zip = ledger.bundle(&export).await.unwrap();
    (export, zip)
}

fn unpack(zip: &[u8]) -> Files {
    let mut archive = ZipArchive::new(Cursor::new(zip)).unwrap();
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index).unwrap();
        let name = file.name().unwrap().into_owned();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        files.insert(name, bytes);
    }
    files
}

fn pack<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    for (name, bytes) in files {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn repack(files: &Files) -> Vec<u8> {
    pack(files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

/// Makes the manifest say what `path` now is, as somebody would who hides a change.
fn cover_up(files: &mut Files, path: &str) {
    let mut manifest: Value = serde_json::from_slice(&files["manifest.json"]).unwrap();
    let listed = manifest["files"].as_array_mut().unwrap();
    let file = listed.iter_mut().find(|file| file["path"] == path).unwrap();
    file["sha256"] = sha256_hex(&files[path]).into();
    file["length"] = files[path].len().into();
    files.insert("manifest.json".to_owned(), manifest.to_string().into_bytes());
}

#[track_caller]
fn faults(zip: &[u8]) -> Vec<Fault> {
    match bundle::verify(zip, None) {
        Err(BundleError::Invalid(faults)) => faults.named().to_vec(),
        other => panic!("{other:?}"),
    }
}

fn lines(files: &Files) -> Vec<String> {
    let text = std::str::from_utf8(&files["records.jsonl"]).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn id_of(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap();
    line["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_bundle_holds_every_record_and_verifies_offline() {
    let server = server(300).await;
    let (export, zip) = export(&server, &request(None, None)).await;
    let report = bundle::verify(&zip, None).unwrap();
    assert_eq!((report.first, report.count, report.size), (0, export.count, export.count));
    assert_eq!(report.receipts, export.count);
    let files = unpack(&zip);
    let lines = lines(&files);
    assert_eq!(u64::try_from(lines.len()).unwrap(), export.count);
    assert!(lines.iter().all(|line| is_canonical(line)));
    for path in ["checkpoint", "keys/log.vkey", "tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1"] {
        assert!(files.contains_key(path) || path.contains(".p/"), "{path}");
    }
    // Made again, it is the same; and what it says of itself is the next record.
    assert_eq!(server.server.ledger.bundle(&export).await.unwrap(), zip);
    let (_, later) = self::export(&server, &request(None, None)).await;
    let text = String::from_utf8(unpack(&later)["records.jsonl"].clone()).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "records.exported");
    assert_eq!(last["actor"]["uid"], 7);
    assert_eq!(last["facts"]["record_count"], export.count);
    assert_eq!(last["facts"]["export_id"], export.id.as_str());
    // The earlier checkpoint vouches for the later bundle, and not the other way round.
    let older = String::from_utf8(files["checkpoint"].clone()).unwrap();
    assert_eq!(bundle::verify(&later, Some(&older)).unwrap().older, Some(export.count));
    let newer = String::from_utf8(unpack(&later)["checkpoint"].clone()).unwrap();
    assert!(bundle::verify(&zip, Some(&newer)).is_err());
}

#[tokio::test]
async fn any_flipped_byte_of_a_listed_file_is_found_and_named() {
    let server = server(2).await;
    let (_, zip) = export(&server, &request(None, None)).await;
    let files = unpack(&zip);
    bundle::verify(&repack(&files), None).unwrap();
    let ids: Vec<String> = lines(&files).iter().map(|line| id_of(line)).collect();
    for (path, bytes) in &files {
        if path == "manifest.json" {
            continue;
        }
        // Receipts are long and of one kind, and prose is prose: some bytes of them.
        let step = if path.starts_with("receipts/") || path == "README.txt" { 61 } else { 1 };
        for at in (0..bytes.len()).step_by(step) {
            let mut altered = files.clone();
            altered.get_mut(path).unwrap()[at] ^= 1 << (at % 8);
            let found = faults(&repack(&altered));
            assert!(found.iter().any(|fault| fault.file == *path), "{path} byte {at}: {found:?}");
            if path == "records.jsonl" {
                let line = bytes[..at].iter().filter(|byte| **byte == b'\n').count();
                let named = found.iter().any(|fault| {
                    fault.line == Some(u64::try_from(line).unwrap() + 1)
                        && fault.entry == Some(u64::try_from(line).unwrap())
                        && fault.record.as_ref() == Some(&ids[line])
                });
                assert!(named, "byte {at} of line {line}: {found:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_flipped_byte_of_the_zip_is_never_believed_nor_a_panic() {
    let server = server(1).await;
    let (_, zip) = export(&server, &request(None, None)).await;
    let sound = unpack(&zip);
    // The end, where the zip's own directory is, byte by byte.
    let directory = zip.len().saturating_sub(700);
    for at in (0..directory).step_by(13).chain(directory..zip.len()) {
        let mut altered = zip.clone();
        altered[at] ^= 0x10;
        if bundle::verify(&altered, None).is_ok() {
            // Only where the zip keeps times and the like: every file is as it was.
            assert_eq!(unpack(&altered), sound, "byte {at}");
        }
    }
}

#[tokio::test]
async fn a_covered_up_change_is_found_by_the_tree() {
    let server = server(5).await;
    let (_, zip) = export(&server, &request(None, None)).await;
    let files = unpack(&zip);
    let all = lines(&files);
    let line = all.iter().position(|line| line.contains(r#""n":3"#)).unwrap();
    let id = id_of(&all[line]);

    let mut altered = files.clone();
    let text = all.join("\n").replace(r#""n":3"#, r#""n":4"#) + "\n";
    altered.insert("records.jsonl".to_owned(), text.into_bytes());
    cover_up(&mut altered, "records.jsonl");
    let found = faults(&repack(&altered));
    let number = u64::try_from(line).unwrap();
    assert_eq!(found[0].file, "records.jsonl");
    assert_eq!((found[0].line, found[0].entry), (Some(number + 1), Some(number)));
    assert_eq!(found[0].record, Some(id));

    // A record left out, and the manifest made to count without it.
    let mut shorter = files;
    let mut kept = all;
    kept.remove(line);
    shorter.insert("records.jsonl".to_owned(), (kept.join("\n") + "\n").into_bytes());
    let mut manifest: Value = serde_json::from_slice(&shorter["manifest.json"]).unwrap();
    manifest["record_count"] = kept.len().into();
    shorter.insert("manifest.json".to_owned(), manifest.to_string().into_bytes());
    cover_up(&mut shorter, "records.jsonl");
    let found = faults(&repack(&shorter));
    assert!(found.iter().any(|fault| fault.file == "manifest.json"), "{found:?}");
    assert!(found.iter().any(|fault| fault.entry == Some(number)), "{found:?}");

    // The record and its hash in the tile, which is what a database's owner would rewrite.
    let mut rewritten = altered.clone();
    let tile = rewritten.keys().find(|path| path.starts_with("tile/0/")).unwrap().clone();
    let forged = lines(&rewritten)[line].clone();
    let hash = behalf_verify::merkle::leaf_hash(forged.as_bytes());
    rewritten.get_mut(&tile).unwrap()[32 * line..32 * line + 32].copy_from_slice(&hash);
    cover_up(&mut rewritten, &tile);
    let found = faults(&repack(&rewritten));
    assert!(found.iter().any(|fault| fault.file == "checkpoint"), "{found:?}");
}

#[tokio::test]
async fn a_window_exports_a_run_of_the_log_that_still_verifies() {
    let server = server(20).await;
    let start = behalf_tests::START;
    let at = |secs| Some(start.plus(std::time::Duration::from_secs(secs)));
    let (export, zip) = export(&server, &request(at(5), at(9))).await;
    assert_eq!(export.count, 4);
    let report = bundle::verify(&zip, None).unwrap();
    assert_eq!((report.first, report.count), (export.first, 4));
    assert!(report.size > 20);
    for (n, line) in (4..8).zip(lines(&unpack(&zip))) {
        assert!(line.contains(&format!(r#""n":{n}"#)), "{line}");
    }
    // A gap in the run shows, whoever edits the manifest.
    let mut files = unpack(&zip);
    let mut kept = lines(&files);
    let gone = id_of(&kept.remove(1));
    files.insert("records.jsonl".to_owned(), (kept.join("\n") + "\n").into_bytes());
    cover_up(&mut files, "records.jsonl");
    let found = faults(&repack(&files));
    assert!(found.iter().any(|fault| fault.record.as_ref() == Some(&gone)), "{found:?}");

    let (empty, zip) = self::export(&server, &request(at(900), None)).await;
    assert_eq!(empty.count, 0);
    assert_eq!(bundle::verify(&zip, None).unwrap().count, 0);
    let refused = server.server.ledger.export(&request(at(9), at(9)), &Actor::System).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn a_log_that_was_rewritten_and_signed_again_is_found_by_an_older_checkpoint() {
    let server = server(4).await;
    let (_, zip) = export(&server, &request(None, None)).await;
    let kept = String::from_utf8(unpack(&zip)["checkpoint"].clone()).unwrap();
    happen(&server, 100).await;
    let (_, honest) = export(&server, &request(None, None)).await;
    assert!(bundle::verify(&honest, Some(&kept)).unwrap().older.is_some());

    // The owner of the database starts the same log again with its own key and another history.
    let storage = &server.server.storage;
    let mut unit = server.server.identity.unit();
    for table in ["leaves", "log_tiles"] {
        let sql: &'static str =
            if table == "leaves" { "DELETE FROM leaves" } else { "DELETE FROM log_tiles" };
        unit.add(Statement::new(sql));
    }
    unit.add(Statement::new("DELETE FROM checkpoints WHERE size > 0"));
    unit.add(Statement::new("UPDATE logs SET size = 0, peaks = $1").bind(Vec::new()));
    storage.commit(unit).await.unwrap();
    let server = TestServer::start_in(server.dir, "{}").await;
    for n in 0..12 {
        happen(&server, 50 + n).await;
    }
    let (_, forged) = export(&server, &request(None, None)).await;
    // By itself it is valid: its key signed it. What was kept elsewhere tells.
    bundle::verify(&forged, None).unwrap();
    let refused = bundle::verify(&forged, Some(&kept)).unwrap_err();
    assert!(refused.to_string().contains("the older checkpoint"), "{refused}");

    let other = self::server(2).await;
    let (_, zip) = export(&other, &request(None, None)).await;
    assert!(bundle::verify(&zip, Some(&kept)).is_err());
    assert!(bundle::verify(&honest, Some("not a checkpoint")).is_err());
}

#[tokio::test]
async fn tricks_with_the_zip_are_refused() {
    let server = server(2).await;
    let (_, zip) = export(&server, &request(None, None)).await;
    let files = unpack(&zip);
    let with = |name: &str, bytes: &[u8]| {
        let own = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()));
        pack(own.chain([(name, bytes)]))
    };
    for (name, what) in [
        ("extra.txt", "is not listed"),
        ("../outside", "leads outside"),
        ("/etc/passwd", "leads outside"),
        ("a\\b", "leads outside"),
        ("receipts/../../x", "leads outside"),
    ] {
        let found = faults(&with(name, b"x"));
        assert!(found.iter().any(|fault| fault.what.contains(what)), "{name}: {found:?}");
    }

    // Two files of one name: the names have the same length, so one is overwritten in place.
    let twice = with("records.jsonX", b"{}\n");
    let twice = replaced(&twice, b"records.jsonX", b"records.jsonl");
    let found = faults(&twice);
    assert!(found.iter().any(|fault| fault.what.contains("one name")), "{found:?}");

    // Nothing is unpacked beyond what the manifest lists, whatever it inflates to.
    let mut bomb = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
    for (name, bytes) in &files {
        bomb.start_file(name.as_str(), options).unwrap();
        if name == "checkpoint" {
            bomb.write_all(&vec![b'a'; 64 * 1024 * 1024]).unwrap();
        } else {
            bomb.write_all(bytes).unwrap();
        }
    }
    let found = faults(&bomb.finish().unwrap().into_inner());
    assert!(
        found.iter().any(|fault| fault.file == "checkpoint" && fault.what.contains("more than"))
    );

    // A CRC that does not fit, a zip that ends early, other things.
    let stored = repack(&files);
    let first = lines(&files)[0].clone();
    let wrong = replaced(&stored, first.as_bytes(), first.replace("\"v\":1", "\"v\":2").as_bytes());
    assert!(faults(&wrong).iter().any(|fault| fault.file == "records.jsonl"));
    let no_manifest = pack([("records.jsonl", b"{}\n".as_slice())]);
    for (other, what) in [
        (&zip[..zip.len() / 2], "truncated"),
        (&zip[..zip.len() - 1], "truncated by one"),
        (b"".as_slice(), "empty"),
        (b"hello, I am no zip".as_slice(), "text"),
        (no_manifest.as_slice(), "without manifest"),
    ] {
        let refused = bundle::verify(other, None).unwrap_err();
        assert!(matches!(refused, BundleError::NotABundle(_)), "{what}: {refused}");
    }
    for manifest in ["", "[]", "{", r#"{"format":"behalf.export/9"}"#] {
        let mut altered = files.clone();
        altered.insert("manifest.json".to_owned(), manifest.as_bytes().to_vec());
        assert_eq!(faults(&repack(&altered))[0].file, "manifest.json");
    }
}

/// `bytes` with every `from` replaced by `to`, which is as long.
fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let mut found = 0;
    for at in 0..=bytes.len() - from.len() {
        if &bytes[at..at + from.len()] == from {
            out[at..at + to.len()].copy_from_slice(to);
            found += 1;
        }
    }
    assert!(found > 0);
    out
}

#[tokio::test]
async fn a_changed_row_of_the_database_is_exported_and_named() {
    let server = server(5).await;
    server.server.ledger.flush().await.unwrap();
    let mut unit = server.server.identity.unit();
    let change = "UPDATE leaves SET entry = REPLACE(entry, '\"n\":2', '\"n\":9')
         WHERE entry LIKE '%\"n\":2%'";
    unit.add(Statement::new(change).expect_rows(1, "one row"));
    server.server.storage.commit(unit).await.unwrap();
    let (_, zip) = export(&server, &request(None, None)).await;
    let found = faults(&zip);
    assert!(found.iter().any(|fault| fault.file == "records.jsonl" && fault.record.is_some()));
    let report = server.server.ledger.audit(&ProjectId::default_project()).await.unwrap();
    assert_eq!(report.fault_count, 1, "{:?}", report.faults);
    assert!(report.faults[0].contains("record"), "{:?}", report.faults);
}
