//! What every store does, whatever it keeps objects in. Each property runs over each store of `stores`.
//!
//! Covered: compare-and-swap on revisions, one revision a write, consistent and paged lists in key order, the indexes,
//! watches (order, no gaps, resumption, bookmarks, refusal of lost and of unknown history, the last state of a deleted
//! object), many writers at once, large objects, closing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::future::Future;
use std::sync::Arc;

use futures::future::join_all;
use gantry_model::key::Resource;
use gantry_store::{Error, Expect, Range, Sled, Store};
use serde_json::json;
use support::*;

type Shared = Arc<dyn Store>;

fn stores() -> Vec<Shared> {
    vec![Arc::new(Sled::temporary().unwrap())]
}

fn over_all<F: Future<Output = ()>>(property: impl Fn(Shared) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for store in stores() {
        runtime.block_on(property(Arc::clone(&store)));
        runtime.block_on(store.close());
    }
}

fn current(error: Error) -> Option<u64> {
    match error {
        Error::Conflict { current, .. } => current,
        other => panic!("{other}"),
    }
}

#[test]
fn a_write_happens_only_as_expected() {
    over_all(|store| async move {
        let key = pod("a", "x");
        let put_if = |expect| store.write(put(&key, expect, json!({})));
        let delete_if = |expect| store.write(delete(&key, expect));
        assert_eq!(current(put_if(Expect::Revision(1)).await.unwrap_err()), None);
        assert_eq!(current(delete_if(Expect::Any).await.unwrap_err()), None);
        assert_eq!(current(delete_if(Expect::Revision(1)).await.unwrap_err()), None);
        let first = put_if(Expect::Absent).await.unwrap().revision;
        assert_eq!(current(put_if(Expect::Absent).await.unwrap_err()), Some(first));
        let second = put_if(Expect::Revision(first)).await.unwrap().revision;
        assert_eq!(current(put_if(Expect::Revision(first)).await.unwrap_err()), Some(second));
        assert_eq!(current(delete_if(Expect::Revision(first)).await.unwrap_err()), Some(second));
        assert_eq!(current(delete_if(Expect::Absent).await.unwrap_err()), Some(second));
        let third = put_if(Expect::Any).await.unwrap().revision;
        let gone = delete_if(Expect::Revision(third)).await.unwrap();
        assert!(store.get(&key).is_none());
        let again = put_if(Expect::Any).await.unwrap().revision;
        assert_eq!([first, second, third, gone.revision, again], [1, 2, 3, 4, 5]);
        assert_eq!(store.revision(), 5);
    });
}

#[test]
fn an_object_reads_as_written_with_its_revision() {
    over_all(|store| async move {
        let key = pod("a", "x");
        let written =
            create(&*store, &key, json!({"metadata": {"labels": {"k": "v"}}, "spec": {"nodeName": "n"}})).await;
        let read = store.get(&key).unwrap();
        assert_eq!(read.json, written.json);
        assert_eq!(read.value()["metadata"]["resourceVersion"], written.revision.to_string());
        assert_eq!((read.meta.labels["k"].as_str(), read.field("spec.nodeName")), ("v", "n"));
        let gone = store.write(delete(&key, Expect::Any)).await.unwrap();
        assert_eq!(gone.value()["metadata"]["resourceVersion"], gone.revision.to_string());
        assert_eq!((gone.meta.labels["k"].as_str(), gone.revision), ("v", written.revision + 1));
    });
}

#[test]
fn one_of_many_rivals_wins_each_round() {
    over_all(|store| async move {
        let key = pod("a", "counter");
        let mut at = create(&*store, &key, json!({})).await.revision;
        for _ in 0..20 {
            let tries = join_all((0..32).map(|_| store.write(put(&key, Expect::Revision(at), json!({}))))).await;
            let won: Vec<_> = tries.into_iter().filter_map(Result::ok).collect();
            assert_eq!(won.len(), 1);
            at = won[0].revision;
        }
    });
}

#[test]
fn every_write_of_many_tasks_gets_a_revision_of_its_own() {
    over_all(|store| async move {
        let tasks = (0..64).map(|task| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in 0..20 {
                    let record = create(&*store, &pod(&format!("ns{task}"), &format!("p{n}")), json!({})).await;
                    assert_eq!(store.get(&record.key).unwrap().revision, record.revision);
                    revisions.push(record.revision);
                }
                assert!(revisions.is_sorted());
                revisions
            })
        });
        let mut revisions: Vec<u64> = join_all(tasks).await.into_iter().flat_map(Result::unwrap).collect();
        revisions.sort_unstable();
        assert_eq!(revisions, (1..=64 * 20).collect::<Vec<u64>>());
        assert_eq!(store.list(&all(pods())).records.len(), 64 * 20);
    });
}

#[test]
fn lists_are_in_key_order_and_pages_join_without_seams() {
    over_all(|store| async move {
        for name in ["b/2", "a/1", "c/1", "b/1", "a/3", "a/2", "ab/1"] {
            let (namespace, name) = name.split_once('/').unwrap();
            create(&*store, &pod(namespace, name), json!({})).await;
        }
        let other = gantry_model::Key::new(Resource::new("apps", "pods"), "a", "other");
        create(&*store, &other, json!({})).await;
        let whole = ["a/1", "a/2", "a/3", "ab/1", "b/1", "b/2", "c/1"];
        let page = store.list(&all(pods()));
        assert_eq!(
            (names(&page.records), page.revision, page.more, page.remaining),
            (whole.map(String::from).to_vec(), 8, false, 0)
        );
        for (namespace, want) in
            [(None, &whole[..]), (Some("a"), &whole[..3]), (Some("b"), &whole[4..6]), (Some("zz"), &[])]
        {
            for limit in 1..8 {
                let mut range = Range { namespace: namespace.map(String::from), limit, ..all(pods()) };
                let mut joined = Vec::new();
                loop {
                    let page = store.list(&range);
                    assert!(page.records.len() <= limit);
                    joined.extend(names(&page.records));
                    assert_eq!(page.remaining, want.len() - joined.len());
                    assert_eq!(page.more, page.remaining > 0);
                    if !page.more {
                        break;
                    }
                    let last = &page.records.last().unwrap().key;
                    range.after = Some((last.namespace.to_string(), last.name.to_string()));
                }
                assert_eq!(joined, want, "{namespace:?} by {limit}");
            }
        }
        // A page goes on behind a place where nothing is any more, or never was in this namespace.
        let after = |namespace: Option<&str>, at: (&str, &str)| {
            let range = Range {
                namespace: namespace.map(String::from),
                after: Some((at.0.into(), at.1.into())),
                ..all(pods())
            };
            names(&store.list(&range).records)
        };
        assert_eq!(after(None, ("a", "2x")), whole[2..]);
        assert_eq!(after(None, ("aa", "zz")), whole[3..]);
        assert_eq!(after(Some("b"), ("a", "9")), whole[4..6]);
        assert!(after(Some("b"), ("c", "0")).is_empty());
        assert!(after(None, ("z", "")).is_empty());
    });
}

/// An ownerReference, as a controller's or not.
fn owned_by(controller: bool) -> serde_json::Value {
    json!({"metadata": {"ownerReferences": [{"uid": "u", "kind": "X", "name": "x", "apiVersion": "v1", "controller": controller}]}})
}

#[test]
fn those_without_a_controller_are_known_before_and_after_every_change() {
    over_all(|store| async move {
        let in_all = || names(&store.orphans(&pods(), None));
        let inside = |namespace: &str| names(&store.orphans(&pods(), Some(namespace)));
        assert!(in_all().is_empty(), "nobody has written this kind");
        let (x, y, z) = (pod("b", "x"), pod("a", "y"), pod("b", "z"));
        create(&*store, &x, json!({})).await;
        create(&*store, &y, owned_by(false)).await;
        create(&*store, &z, owned_by(true)).await;
        // The first question makes the index of what is there; from now on it follows.
        assert_eq!(in_all(), ["a/y", "b/x"]);
        assert_eq!((inside("a"), inside("b"), inside("")), (vec!["a/y".into()], vec!["b/x".into()], vec![]));
        store.write(put(&x, Expect::Any, owned_by(true))).await.unwrap();
        store.write(put(&z, Expect::Any, json!({"spec": {"nodeName": "n1"}}))).await.unwrap();
        assert_eq!(in_all(), ["a/y", "b/z"]);
        assert_eq!(store.orphans(&pods(), Some("b"))[0].revision, store.revision(), "the newest state");
        store.write(put(&z, Expect::Any, json!({}))).await.unwrap();
        assert_eq!(store.orphans(&pods(), Some("b"))[0].field("spec.nodeName"), "", "an orphan that changed");
        store.write(delete(&z, Expect::Any)).await.unwrap();
        store.write(delete(&x, Expect::Any)).await.unwrap();
        assert_eq!(in_all(), ["a/y"]);
        create(&*store, &z, json!({})).await;
        assert_eq!(in_all(), ["a/y", "b/z"]);
    });
}

#[test]
fn indexes_follow_every_change() {
    over_all(|store| async move {
        let on = |node: &str| names(&store.indexed(&pods(), None, "spec.nodeName", node).records);
        let owned = |uid: &str| names(&store.owned(uid));
        let owners = |uids: &[&str]| {
            let refs: Vec<_> =
                uids.iter().map(|uid| json!({"uid": uid, "kind": "X", "name": "x", "apiVersion": "v1"})).collect();
            json!({"metadata": {"ownerReferences": refs}})
        };
        let (x, y) = (pod("b", "x"), pod("a", "y"));
        create(&*store, &x, owners(&["u1", "u2"])).await;
        create(&*store, &y, owners(&["u1"])).await;
        assert_eq!((owned("u1"), owned("u2")), (vec!["a/y".into(), "b/x".into()], vec!["b/x".into()]));
        assert_eq!((on(""), on("n1")), (vec!["a/y".into(), "b/x".into()], vec![]));
        store.write(put(&x, Expect::Any, json!({"spec": {"nodeName": "n1"}}))).await.unwrap();
        assert_eq!((owned("u1"), owned("u2")), (vec!["a/y".into()], vec![]));
        assert_eq!((on(""), on("n1")), (vec!["a/y".into()], vec!["b/x".into()]));
        store.write(put(&x, Expect::Any, json!({"spec": {"nodeName": "n2"}}))).await.unwrap();
        assert_eq!((on("n1"), on("n2")), (vec![], vec!["b/x".into()]));
        assert_eq!(store.indexed(&pods(), None, "spec.nodeName", "n2").records[0].revision, store.revision());
        store.write(delete(&x, Expect::Any)).await.unwrap();
        store.write(delete(&y, Expect::Any)).await.unwrap();
        assert_eq!((on("n2"), on(""), owned("u1")), (vec![], vec![], vec![]));
        create(&*store, &x, json!({})).await;
        assert_eq!(names(&store.indexed(&pods(), None, "metadata.name", "x").records), ["b/x"]);
        assert_eq!(names(&store.indexed(&pods(), None, "metadata.namespace", "b").records), ["b/x"]);
        let within = |namespace: &str| names(&store.indexed(&pods(), Some(namespace), "metadata.name", "x").records);
        assert_eq!((within("b"), within("a")), (vec!["b/x".into()], vec![]));
        let free = |namespace: &str| names(&store.indexed(&pods(), Some(namespace), "spec.nodeName", "").records);
        assert_eq!((free("b"), free("a")), (vec!["b/x".into()], vec![]));
        assert!(store.indexed(&Resource::new("", "nothing"), None, "spec.nodeName", "n1").records.is_empty());
    });
}

#[test]
fn a_watch_delivers_every_change_of_its_resource_in_order() {
    over_all(|store| async move {
        let (x, other) = (pod("a", "x"), gantry_model::Key::new(Resource::new("", "secrets"), "a", "s"));
        create(&*store, &x, json!({})).await;
        let mut watch = store.watch(&pods(), None).unwrap();
        assert_eq!(watch.revision(), 1);
        create(&*store, &other, json!({})).await;
        assert_eq!(watch.revision(), 2, "nothing happened to pods, so everything up to 2 is delivered");
        store.write(put(&x, Expect::Any, json!({"spec": {"n": 2}}))).await.unwrap();
        assert_eq!(watch.revision(), 2, "3 is not delivered yet");
        store.write(delete(&x, Expect::Any)).await.unwrap();
        create(&*store, &x, json!({})).await;
        let events = until(&mut watch, 5).await;
        let seen: Vec<_> =
            events.iter().map(|e| (e.revision, e.deleted, e.previous.as_ref().map(|p| p.revision))).collect();
        assert_eq!(seen, [(3, false, Some(1)), (4, true, Some(3)), (5, false, None)]);
        assert_eq!(events[1].record.value()["spec"]["n"], 2, "the last state of what is gone");
        assert_eq!(events[1].record.value()["metadata"]["resourceVersion"], "4");
        store.write(put(&other, Expect::Any, json!({}))).await.unwrap();
        assert_eq!(watch.revision(), 6);
    });
}

#[test]
fn a_watch_resumes_anywhere_in_the_history_kept() {
    over_all(|store| async move {
        let mut revisions = Vec::new();
        for n in 0..10 {
            revisions.push(
                store.write(put(&pod("a", &format!("p{}", n % 3)), Expect::Any, json!({}))).await.unwrap().revision,
            );
        }
        for from in 0..=10 {
            let mut watch = store.watch(&pods(), Some(from)).unwrap();
            let seen: Vec<u64> = until(&mut watch, 10).await.iter().map(|e| e.revision).collect();
            assert_eq!(seen, revisions.iter().copied().filter(|r| *r > from).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_watch_from_a_revision_never_made_is_refused() {
    over_all(|store| async move {
        create(&*store, &pod("a", "x"), json!({})).await;
        for resource in [pods(), Resource::new("", "nothing")] {
            assert!(matches!(store.watch(&resource, Some(2)), Err(Error::Compacted { asked: 2, .. })));
        }
    });
}

#[test]
fn list_then_watch_under_load_never_misses_or_repeats() {
    over_all(|store| async move {
        let writers = (0..8).map(|w| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                for n in 0..60 {
                    store.write(put(&pod("a", &format!("w{w}-{}", n % 7)), Expect::Any, json!({}))).await.unwrap();
                }
            })
        });
        let writers: Vec<_> = writers.collect();
        let mut readers = Vec::new();
        for _ in 0..20 {
            let store = Arc::clone(&store);
            readers.push(tokio::spawn(async move {
                let page = store.list(&all(pods()));
                let mut seen: std::collections::BTreeMap<_, _> =
                    page.records.iter().map(|r| (r.key.clone(), r.revision)).collect();
                assert!(seen.values().all(|r| *r <= page.revision));
                let mut watch = store.watch(&pods(), Some(page.revision)).unwrap();
                let mut last = page.revision;
                for event in until(&mut watch, 480).await {
                    assert_eq!(event.revision, last + 1, "all writes are of pods, so there are no gaps");
                    last = event.revision;
                    let before = seen.insert(event.record.key.clone(), event.revision);
                    assert_eq!(before, event.previous.as_ref().map(|p| p.revision));
                }
                seen
            }));
            tokio::task::yield_now().await;
        }
        join_all(writers).await.into_iter().for_each(Result::unwrap);
        let end: std::collections::BTreeMap<_, _> =
            store.list(&all(pods())).records.iter().map(|r| (r.key.clone(), r.revision)).collect();
        for seen in join_all(readers).await {
            assert_eq!(seen.unwrap(), end);
        }
    });
}

#[test]
fn large_objects_are_kept_whole() {
    over_all(|store| async move {
        for (n, size) in [4_000, 70_000, 1 << 20, 3 << 20].into_iter().enumerate() {
            let key = pod("a", &format!("p{n}"));
            create(&*store, &key, json!({"data": "x".repeat(size)})).await;
            assert_eq!(store.get(&key).unwrap().value()["data"].as_str().unwrap().len(), size);
        }
    });
}

#[test]
fn a_closed_store_reads_and_refuses_writes() {
    over_all(|store| async move {
        let key = pod("a", "x");
        create(&*store, &key, json!({})).await;
        let mut watch = store.watch(&pods(), Some(0)).unwrap();
        store.close().await;
        store.close().await;
        assert!(matches!(store.write(put(&key, Expect::Any, json!({}))).await, Err(Error::Failed(_))));
        assert!(store.get(&key).is_some());
        assert_eq!(next(&mut watch).await.unwrap().len(), 1, "what happened before is delivered");
        assert!(matches!(next(&mut watch).await, Err(Error::Failed(_))));
    });
}
