//! Measures the embedded store: durable writes and reads per second.
//!
//! `cargo run --release -p gantry-store --example store_bench [directory] [seconds a row]`
//! A directory that holds a store is only opened; otherwise the store goes into a new one below it, which `KEEP` keeps.
//! CPU time is this process's, of all threads: it tells more than the rate when the machine is shared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use gantry_model::key::Resource;
use gantry_model::{Draft, Key};
use gantry_store::{Expect, Op, Options, Range, Sled, Store, Write};
use serde_json::json;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let seconds = Duration::from_secs_f64(arguments.next().and_then(|s| s.parse().ok()).unwrap_or(3.0));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if parent.join("meta.json").exists() {
        return reopen(&parent);
    }
    let directory = tempfile::TempDir::new_in(parent).unwrap();
    runtime.block_on(run(directory.path(), seconds));
    if std::env::var_os("KEEP").is_some() {
        println!("kept {}", directory.keep().display());
    }
}

fn reopen(directory: &Path) {
    let (start, cpu) = (Instant::now(), cpu());
    let store = Sled::open(Options::new(directory)).unwrap();
    let count = store.list(&all()).records.len();
    println!(
        "open with {count} objects: {:?}, {:.2} s of CPU, {} MiB resident",
        start.elapsed(),
        self::cpu() - cpu,
        resident()
    );
}

async fn run(directory: &Path, seconds: Duration) {
    let store = Arc::new(Sled::open(Options::new(directory)).unwrap());
    println!("objects of {} bytes of JSON", write(&key(0, 0), Expect::Any, 0).1);
    for writers in [1, 16, 64, 256] {
        creates(&store, writers, seconds).await;
    }
    let watching = watchers(&store, 100);
    println!("with 100 watchers:");
    creates(&store, 64, seconds).await;
    watching.store(true, Ordering::Relaxed);
    updates(&store, 64, seconds).await;
    gets(&store, seconds).await;
    lists(&store);
    store.close().await;
    drop(store);
    reopen(directory);
}

fn pods() -> Resource {
    Resource::new("", "pods")
}

fn all() -> Range {
    Range { resource: pods(), namespace: None, after: None, limit: 0 }
}

fn key(writer: usize, n: u64) -> Key {
    Key::new(pods(), "default", &format!("pod-{writer}-{n}"))
}

/// A write of about 1 KB, and how long the JSON is.
fn write(key: &Key, expect: Expect, n: u64) -> (Write, usize) {
    let object = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": &*key.name, "namespace": "default", "uid": format!("uid-{n}"), "labels": {"app": "web", "n": n.to_string()},
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web", "uid": format!("owner-{}", n % 50), "controller": true}]},
        "spec": {"nodeName": format!("node-{}", n % 100), "filler": "x".repeat(700)},
    });
    let draft = Draft::new(key.clone(), object, &["spec.nodeName".to_owned()]);
    let size = draft.size();
    (Write { key: key.clone(), expect, op: Op::Put(draft) }, size)
}

async fn creates(store: &Arc<Sled>, writers: usize, seconds: Duration) {
    // Names that no earlier row used.
    let base = store.revision();
    measure("create", store, writers, seconds, move |w, n| (key(w, base + n), Expect::Absent)).await;
}

async fn updates(store: &Arc<Sled>, writers: usize, seconds: Duration) {
    measure("update", store, writers, seconds, |w, n| (key(w, n % 20), Expect::Any)).await;
}

async fn measure(
    what: &str,
    store: &Arc<Sled>,
    writers: usize,
    seconds: Duration,
    next: impl Fn(usize, u64) -> (Key, Expect) + Copy + Send + 'static,
) {
    let (start, cpu) = (Instant::now(), cpu());
    let tasks = (0..writers).map(|w| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let mut took = Vec::new();
            while start.elapsed() < seconds {
                let (key, expect) = next(w, took.len() as u64);
                let (write, _) = write(&key, expect, took.len() as u64);
                let begin = Instant::now();
                store.write(write).await.unwrap();
                took.push(begin.elapsed());
            }
            took
        })
    });
    let mut took: Vec<Duration> =
        join_all(tasks.collect::<Vec<_>>()).await.into_iter().flat_map(Result::unwrap).collect();
    let rate = took.len() as f64 / start.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: f64| took[((took.len() - 1) as f64 * part) as usize];
    let cost = (self::cpu() - cpu) * 1e6 / took.len() as f64;
    println!(
        "{what} by {writers:>3} writers: {rate:>8.0}/s, p50 {:?}, p99 {:?}, {cost:.0} µs of CPU each, {} MiB resident",
        at(0.5),
        at(0.99),
        resident()
    );
}

/// Watches that read everything until they are told to stop; says how many events they got.
fn watchers(store: &Arc<Sled>, count: usize) -> Arc<AtomicBool> {
    let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    for _ in 0..count {
        let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
        let mut watch = store.watch(&pods(), None).unwrap();
        tokio::spawn(async move {
            while let Ok(events) = watch.next().await {
                seen.fetch_add(events.len() as u64, Ordering::Relaxed);
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        });
    }
    stop
}

async fn gets(store: &Arc<Sled>, seconds: Duration) {
    let start = Instant::now();
    let tasks = (0..2).map(|w| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let (mut n, mut found) = (0u64, 0u64);
            while start.elapsed() < seconds {
                for _ in 0..1000 {
                    found += u64::from(store.get(&key(w, n % 20)).is_some());
                    n += 1;
                }
            }
            assert_eq!(found, n);
            n
        })
    });
    let total: u64 = join_all(tasks.collect::<Vec<_>>()).await.into_iter().map(Result::unwrap).sum();
    println!("get by 2 readers: {:.0}/s", total as f64 / start.elapsed().as_secs_f64());
}

fn lists(store: &Sled) {
    let start = Instant::now();
    let page = store.list(&Range { limit: 10_000, ..all() });
    println!("list of {} (of {} more): {:?}", page.records.len(), page.remaining, start.elapsed());
    let start = Instant::now();
    let found = store.indexed(&pods(), None, "spec.nodeName", "node-7").records.len();
    println!("index look-up of {found}: {:?}", start.elapsed());
}

/// Memory of this process in MiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// CPU seconds of this process so far; the kernel counts in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
