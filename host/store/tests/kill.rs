//! A process that writes is killed at random moments, over and over, in one directory.
//!
//! Covered: nothing acknowledged is lost, nothing is torn (objects of many chunks, the objects and the history that
//! leads to them), also when the kill hits a start, a rewrite of the database or a compaction of the history.
//! `GANTRY_SEED` repeats the moments, `GANTRY_KILLS` sets their number.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gantry_model::{Key, Record};
use gantry_store::{Expect, Options, Sled, Store};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use support::*;
use tempfile::TempDir;

const DIRECTORY: &str = "GANTRY_KILL_DIRECTORY";
const TASKS: u64 = 12;
const KEYS: u64 = 4;

/// Every start rewrites, and histories are short: the kills are to hit these too.
fn options(path: &Path) -> Options {
    Options { log_events: 300, rewrite_bytes: 0, rewrite_ratio: 1, ..Options::new(path) }
}

/// What write number `n` to a key leaves there: every fifth removes it.
fn content(n: u64) -> Option<String> {
    let size = if n.is_multiple_of(11) { 20_000 } else { 100 + n % 700 };
    (n % 5 != 4).then(|| char::from(b'a' + (n % 26) as u8).to_string().repeat(size as usize))
}

/// The number of the write that left this record; fails if it is torn.
fn number(record: &Record) -> u64 {
    let value = record.value();
    let n = value["n"].as_u64().expect("torn");
    assert_eq!(value["data"].as_str(), content(n).as_deref(), "torn");
    assert_eq!(value["metadata"]["resourceVersion"], record.revision.to_string());
    n
}

/// Not a test of its own: the process that is killed. Tells of each acknowledged write on its output.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Sled::open(options(Path::new(&directory))).unwrap());
        let tasks = (0..TASKS).map(|task| tokio::spawn(write_for_ever(Arc::clone(&store), task)));
        futures::future::join_all(tasks.collect::<Vec<_>>()).await;
    });
}

async fn write_for_ever(store: Arc<Sled>, task: u64) {
    let mut numbers: Vec<u64> =
        (0..KEYS).map(|k| store.get(&place(task, k)).map_or(0, |record| number(&record) + 1)).collect();
    loop {
        for k in 0..KEYS {
            let (key, n) = (place(task, k), numbers[k as usize]);
            let expect = store.get(&key).map_or(Expect::Absent, |record| Expect::Revision(record.revision));
            let write = match content(n) {
                Some(data) => put(&key, expect, json!({"n": n, "data": data})),
                None => delete(&key, expect),
            };
            let revision = store.write(write).await.unwrap().revision;
            let line = format!("ack {task} {k} {n} {revision}\n");
            std::io::stdout().write_all(line.as_bytes()).unwrap();
            numbers[k as usize] = n + 1;
        }
    }
}

fn place(task: u64, k: u64) -> Key {
    pod(&format!("t{task}"), &format!("k{k}"))
}

type Acked = BTreeMap<(u64, u64), (u64, u64)>;

/// Lets a child write until a random moment, kills it, and notes what it said. Answers the number of acknowledgements.
fn round(directory: &Path, random: &mut StdRng, acked: &mut Acked) -> usize {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--nocapture"])
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    // A third of the kills hit the start; the others come some time after the first acknowledgement.
    if random.random_bool(0.67) {
        while !said.contains("ack") && output.read_line(&mut said).unwrap() > 0 {}
    }
    // Not a wait for anything: the moment is what is random.
    let reader = std::thread::spawn(move || {
        output.read_to_string(&mut said).unwrap();
        said
    });
    std::thread::sleep(Duration::from_micros(random.random_range(0..80_000)));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = reader.join().unwrap();
    let mut count = 0;
    // The last line may have been cut by the kill.
    for line in said.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let Some((_, ack)) = line.split_once("ack ") else { continue };
        let parts: Vec<u64> = ack.split_whitespace().map(|part| part.parse().unwrap()).collect();
        let [task, k, n, revision] = parts[..] else { panic!("{line}") };
        acked.insert((task, k), (n, revision));
        count += 1;
    }
    count
}

/// The store holds what was acknowledged, or what was written just after it and cut off before its acknowledgement.
/// What it holds is what the next child begins with.
async fn verify(directory: &Path, acked: &mut Acked) {
    let store = Sled::open(options(directory)).unwrap();
    for (task, k) in (0..TASKS).flat_map(|task| (0..KEYS).map(move |k| (task, k))) {
        let found = store.get(&place(task, k)).map(|record| (number(&record), record.revision));
        let known = acked.get(&(task, k)).copied();
        let fits = match (known, found) {
            (None, found) => found.is_none_or(|(n, _)| n == 0),
            (Some((n, revision)), Some((m, at))) => (m == n && at == revision) || (m == n + 1 && at > revision),
            (Some((n, _)), None) => content(n).is_none() || content(n + 1).is_none(),
        };
        assert!(fits, "at {task}/{k} is {found:?}, acknowledged was {known:?}");
        assert!(known.is_none_or(|(_, revision)| store.revision() >= revision));
        match found {
            Some(found) => acked.insert((task, k), found),
            None => acked.remove(&(task, k)),
        };
    }
    let Err(gantry_store::Error::Compacted { oldest, .. }) = store.watch(&pods(), Some(0)) else {
        return history(&store, 0).await;
    };
    history(&store, oldest).await;
}

/// The history has no gap and ends in the objects there are.
async fn history(store: &Sled, from: u64) {
    let mut watch = store.watch(&pods(), Some(from)).unwrap();
    let mut last = from;
    let mut newest = BTreeMap::new();
    for event in until(&mut watch, store.revision()).await {
        assert_eq!(event.revision, last + 1);
        last = event.revision;
        number(&event.record);
        newest.insert(event.record.key.clone(), (!event.deleted).then_some(event.revision));
    }
    for (key, revision) in newest {
        assert_eq!(store.get(&key).map(|record| record.revision), revision);
    }
}

#[test]
fn nothing_acknowledged_is_lost_to_a_kill() {
    let seed = std::env::var("GANTRY_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    let kills = std::env::var("GANTRY_KILLS").ok().and_then(|s| s.parse().ok()).unwrap_or(50);
    println!("GANTRY_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let directory = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut acked, mut total) = (Acked::new(), 0);
    for _ in 0..kills {
        total += round(directory.path(), &mut random, &mut acked);
        runtime.block_on(verify(directory.path(), &mut acked));
    }
    println!("{total} writes were acknowledged over {kills} kills");
    assert!(total > kills * 10, "the children hardly wrote");
}
