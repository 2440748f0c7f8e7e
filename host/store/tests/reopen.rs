//! What a directory holds over restarts, and which directories are refused.
//!
//! Covered: objects, indexes, revision and history come back; history stays bounded; the revision never goes back even
//! when all is deleted and forgotten; dead space is given back; a directory that is locked, newer, damaged or not ours
//! is refused with the reason and what to do.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::fs;
use std::path::Path;

use gantry_store::{Error, Expect, Options, Sled, Store};
use serde_json::json;
use support::*;
use tempfile::TempDir;

fn open(path: &Path) -> Sled {
    Sled::open(Options::new(path)).unwrap()
}

fn refusal(path: &Path) -> String {
    match Sled::open(Options::new(path)) {
        Err(error @ Error::Open { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// A directory with some objects in it, closed.
async fn filled(objects: usize) -> TempDir {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let keys: Vec<_> = (0..objects).map(|n| pod("a", &format!("p{n:04}"))).collect();
    let object = |n: usize| json!({"spec": {"nodeName": "n1"}, "data": "x".repeat(n % 9000)});
    futures::future::join_all(keys.iter().enumerate().map(|(n, key)| create(&store, key, object(n)))).await;
    store.close().await;
    directory
}

#[tokio::test]
async fn everything_comes_back() {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    let owner =
        json!({"metadata": {"ownerReferences": [{"uid": "u"}], "labels": {"a": "b"}}, "spec": {"nodeName": "n1"}});
    create(&store, &pod("a", "x"), json!({})).await;
    create(&store, &pod("a", "gone"), json!({"spec": {"n": 1}})).await;
    let written = store.write(put(&pod("a", "x"), Expect::Revision(1), owner)).await.unwrap();
    store.write(delete(&pod("a", "gone"), Expect::Any)).await.unwrap();
    drop(store);
    let store = open(directory.path());
    let read = store.get(&pod("a", "x")).unwrap();
    assert_eq!(
        (read.revision, &read.json, &read.meta, &read.fields),
        (3, &written.json, &written.meta, &written.fields)
    );
    assert_eq!((store.revision(), store.list(&all(pods())).records.len()), (4, 1));
    assert_eq!(names(&store.owned("u")), ["a/x"]);
    assert_eq!(names(&store.orphans(&pods(), None)), ["a/x"], "an owner that is no controller");
    assert_eq!(names(&store.indexed(&pods(), None, "spec.nodeName", "n1").records), ["a/x"]);
    let events = until(&mut store.watch(&pods(), Some(0)).unwrap(), 4).await;
    let seen: Vec<_> =
        events.iter().map(|e| (e.revision, e.deleted, e.previous.as_ref().map(|p| p.revision))).collect();
    assert_eq!(seen, [(1, false, None), (2, false, None), (3, false, Some(1)), (4, true, Some(2))]);
    assert_eq!(events[3].record.value()["spec"]["n"], 1);
    assert_eq!(create(&store, &pod("a", "gone"), json!({})).await.revision, 5);
}

#[tokio::test]
async fn history_is_bounded_and_the_revision_never_goes_back() {
    let directory = TempDir::new().unwrap();
    let options = || Options { log_events: 4, ..Options::new(directory.path()) };
    let store = Sled::open(options()).unwrap();
    create(&store, &pod("a", "old"), json!({"data": "y".repeat(10_000)})).await;
    for n in 0..10 {
        create(&store, &pod("a", &format!("p{n}")), json!({})).await;
        store.write(delete(&pod("a", &format!("p{n}")), Expect::Any)).await.unwrap();
    }
    drop(store);
    let store = Sled::open(options()).unwrap();
    assert_eq!((store.revision(), names(&store.list(&all(pods())).records)), (21, vec!["a/old".to_owned()]));
    let oldest = match store.watch(&pods(), Some(0)) {
        Err(Error::Compacted { oldest, .. }) => oldest,
        _ => panic!("this was forgotten"),
    };
    assert!((15..=17).contains(&oldest), "{oldest}");
    assert_eq!(until(&mut store.watch(&pods(), Some(oldest)).unwrap(), 21).await.len() as u64, 21 - oldest);
    // An object from before the history is replaced, and is known as what was before.
    let mut watch = store.watch(&pods(), None).unwrap();
    store.write(delete(&pod("a", "old"), Expect::Revision(1))).await.unwrap();
    assert_eq!(next(&mut watch).await.unwrap()[0].previous.as_ref().unwrap().revision, 1);
    for _ in 0..6 {
        let key = gantry_model::Key::new(gantry_model::key::Resource::new("", "other"), "", "o");
        store.write(put(&key, Expect::Any, json!({}))).await.unwrap();
    }
    drop(store);
    let store = Sled::open(Options { log_events: 0, ..options() }).unwrap();
    assert_eq!((store.revision(), store.list(&all(pods())).records.len()), (28, 0));
}

#[tokio::test]
async fn dead_space_is_given_back_at_opening() {
    let directory = TempDir::new().unwrap();
    let options =
        |rewrite_bytes| Options { log_events: 10, rewrite_bytes, rewrite_ratio: 2, ..Options::new(directory.path()) };
    let store = Sled::open(options(u64::MAX)).unwrap();
    for n in 0..600 {
        let data = json!({"data": "z".repeat(30_000)});
        store.write(put(&pod("a", &format!("p{}", n % 5)), Expect::Any, data)).await.unwrap();
    }
    let before: Vec<_> = store.list(&all(pods())).records.iter().map(|r| r.json.clone()).collect();
    drop(store);
    let size = |name: &str| fs::metadata(directory.path().join(name).join("db")).map(|m| m.len()).ok();
    let large = size("db-1").unwrap();
    // What an attempt that was killed left behind is in nobody's way.
    fs::create_dir(directory.path().join("db-2")).unwrap();
    fs::write(directory.path().join("db-2/db"), b"half").unwrap();
    let store = Sled::open(options(0)).unwrap();
    let after: Vec<_> = store.list(&all(pods())).records.iter().map(|r| r.json.clone()).collect();
    assert_eq!((before == after, store.revision(), size("db-1")), (true, 600, None));
    let small = size("db-2").unwrap();
    assert!(small < large, "{small} of {large}");
    assert_eq!(until(&mut store.watch(&pods(), Some(592)).unwrap(), 600).await.len(), 8);
    create(&store, &pod("a", "new"), json!({})).await;
    drop(store);
    assert_eq!(open(directory.path()).list(&all(pods())).records.len(), 6);
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_number_of_the_process() {
    let directory = filled(1).await;
    let store = open(directory.path());
    let reason = refusal(directory.path());
    assert!(reason.contains(&format!("process {} uses it", std::process::id())), "{reason}");
    drop(store);
    open(directory.path());
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let directory = filled(1).await;
    let meta = directory.path().join("meta.json");
    fs::write(&meta, r#"{"format": 2, "something": "new"}"#).unwrap();
    let reason = refusal(directory.path());
    assert!(reason.contains("its format is 2") && reason.contains("start the newer release"), "{reason}");
    fs::write(&meta, r#"{"format": 1, "database": 1, "revision": 1}"#).unwrap();
    assert_eq!(open(directory.path()).revision(), 1);
}

#[tokio::test]
async fn damage_is_refused_not_repaired_by_forgetting() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 6] = [
        ("meta.json", |path| fs::write(path.join("meta.json"), "{").unwrap()),
        ("meta.json", |path| fs::remove_file(path.join("meta.json")).unwrap()),
        ("db-1", |path| fs::remove_dir_all(path.join("db-1")).unwrap()),
        ("content", |path| fs::write(path.join("db-1/db"), "").unwrap()),
        ("damaged", |path| scribble(&path.join("db-1/db"), 0.5)),
        ("damaged", |path| scribble(&path.join("db-1/db"), 0.1)),
    ];
    for (n, (word, harm)) in harms.into_iter().enumerate() {
        let directory = filled(400).await;
        harm(directory.path());
        let reason = refusal(directory.path());
        println!("harm {n}: {reason}");
        assert!(reason.contains("damaged") && reason.contains(word) && reason.contains("backup"), "{n}: {reason}");
    }
}

/// Overwrites a stretch of a file.
fn scribble(file: &Path, at: f64) {
    let mut bytes = fs::read(file).unwrap();
    let start = (bytes.len() as f64 * at) as usize;
    bytes[start..start + 40_000].fill(0x5a);
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_path_that_can_not_be_a_directory_is_refused() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(refusal(&file.join("store")).contains("can't make it"));
    assert!(refusal(&file).contains("can't make it"));
}

#[tokio::test]
async fn a_first_start_that_was_cut_short_is_begun_anew() {
    let directory = TempDir::new().unwrap();
    drop(open(directory.path()));
    fs::remove_file(directory.path().join("meta.json")).unwrap();
    create(&open(directory.path()), &pod("a", "x"), json!({})).await;
    assert_eq!(open(directory.path()).revision(), 1);
}

#[tokio::test]
async fn a_temporary_store_leaves_nothing() {
    let ours = || {
        let mine = format!("gantry-store-{}-", std::process::id());
        let entries = fs::read_dir(std::env::temp_dir()).unwrap();
        entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with(&mine)).count()
    };
    let store = Sled::temporary().unwrap();
    create(&store, &pod("a", "x"), json!({})).await;
    let (during, ()) = (ours(), drop(store));
    assert_eq!((during, ours()), (1, 0));
}
