//! What the writer promises, with a disk that waits and fails on request: groups, visibility, failure, full queues,
//! history that runs out.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gantry_model::key::Resource;
use gantry_model::{Draft, Key};
use serde_json::json;

use super::database::Disk;
use super::load::Loaded;
use super::{Options, Sled};
use crate::memory::{Log, Memory};
use crate::{Error, Event, Expect, Op, Store, Write};

/// Tells of each commit and waits for its outcome.
struct Gate {
    begun: Sender<(Vec<u64>, Vec<u64>)>,
    outcome: Receiver<Result<(), String>>,
}

impl Disk for Gate {
    fn commit(&mut self, changes: &[&Event], evicted: &[&Event]) -> Result<(), String> {
        let revisions = |events: &[&Event]| events.iter().map(|event| event.revision).collect();
        self.begun.send((revisions(changes), revisions(evicted))).unwrap();
        self.outcome.recv().unwrap()
    }
}

/// The other side of the gate.
struct Keeper {
    begun: Receiver<(Vec<u64>, Vec<u64>)>,
    outcome: Sender<Result<(), String>>,
}

impl Keeper {
    /// Waits for a commit and answers the revisions in it and those it evicts.
    fn begun(&self) -> (Vec<u64>, Vec<u64>) {
        self.begun.recv_timeout(Duration::from_secs(20)).unwrap()
    }

    fn finish(&self, outcome: Result<(), &str>) {
        self.outcome.send(outcome.map_err(str::to_owned)).unwrap();
    }

    /// Lets the next `n` commits through.
    fn let_through(&self, n: usize) {
        (0..n).for_each(|_| self.finish(Ok(())));
    }
}

fn gated(change: impl FnOnce(&mut Options)) -> (Arc<Sled>, Keeper) {
    let mut options = Options::new("/nowhere");
    change(&mut options);
    let ((begin, begun), (finish, outcome)) = (channel(), channel());
    let loaded = Loaded {
        memory: Arc::new(Memory::default()),
        log: Log::new(options.log_events, options.log_bytes),
        disk: Box::new(Gate { begun: begin, outcome }),
        directory: None,
    };
    (Arc::new(Sled::run(loaded, options, None).unwrap()), Keeper { begun, outcome: finish })
}

fn key(plural: &str, name: &str) -> Key {
    Key::new(Resource::new("", plural), "a", name)
}

fn put(key: &Key, expect: Expect) -> Write {
    Write { key: key.clone(), expect, op: Op::Put(Draft::new(key.clone(), json!({}), &[])) }
}

type Answer = tokio::task::JoinHandle<Result<u64, Error>>;

/// Starts a write and waits until it is in the queue.
async fn start(store: &Arc<Sled>, write: Write) -> Answer {
    let before = store.room.available_permits();
    let writer = Arc::clone(store);
    let answer = tokio::spawn(async move { writer.write(write).await.map(|record| record.revision) });
    let queued = async {
        while store.room.available_permits() == before && !answer.is_finished() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), queued).await.unwrap();
    answer
}

async fn answer(answer: Answer) -> Result<u64, Error> {
    tokio::time::timeout(Duration::from_secs(20), answer).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_waits_shares_a_flush_and_sees_the_writes_before_it() {
    let (store, keeper) = gated(|_| {});
    let (x, y) = (key("pods", "x"), key("pods", "y"));
    let first = start(&store, put(&x, Expect::Absent)).await;
    assert_eq!(keeper.begun().0, [1]);
    let group = [
        put(&y, Expect::Absent),
        put(&y, Expect::Absent),
        put(&y, Expect::Revision(2)),
        Write { key: y.clone(), expect: Expect::Revision(3), op: Op::Delete },
        put(&y, Expect::Revision(3)),
        put(&y, Expect::Absent),
    ];
    let mut waiting = Vec::new();
    for write in group {
        waiting.push(start(&store, write).await);
    }
    assert!(store.get(&x).is_none(), "not durable, so not visible");
    assert_eq!(store.revision(), 0);
    keeper.finish(Ok(()));
    assert_eq!(answer(first).await.unwrap(), 1);
    assert_eq!(keeper.begun().0, [2, 3, 4, 5], "one commit for all that waited");
    assert!(waiting.iter().all(|w| !w.is_finished()), "refusals wait for what they depend on");
    keeper.finish(Ok(()));
    let mut results = Vec::new();
    for each in waiting {
        results.push(match answer(each).await {
            Ok(revision) => Ok(revision),
            Err(Error::Conflict { current, .. }) => Err(current),
            Err(other) => panic!("{other}"),
        });
    }
    assert_eq!(results, [Ok(2), Err(Some(2)), Ok(3), Ok(4), Err(None), Ok(5)]);
}

#[tokio::test]
async fn after_a_failed_flush_nothing_is_seen_and_nothing_is_taken() {
    let (store, keeper) = gated(|_| {});
    let (x, y) = (key("pods", "x"), key("pods", "y"));
    keeper.let_through(1);
    store.write(put(&x, Expect::Absent)).await.unwrap();
    keeper.begun();
    let mut watch = store.watch(&x.resource, None).unwrap();
    let failing = start(&store, put(&y, Expect::Absent)).await;
    keeper.begun();
    let waiting = start(&store, put(&x, Expect::Any)).await;
    keeper.finish(Err("no space left on device"));
    for refused in
        [answer(failing).await, answer(waiting).await, answer(start(&store, put(&x, Expect::Any)).await).await]
    {
        let Err(Error::Failed(reason)) = refused else { panic!("{refused:?}") };
        assert!(reason.contains("no space left"), "{reason}");
    }
    assert!(store.get(&y).is_none());
    assert_eq!((store.get(&x).unwrap().revision, store.revision()), (1, 1));
    let more = tokio::time::timeout(Duration::from_millis(20), watch.next()).await;
    assert!(more.is_err(), "reads and watches go on, with nothing new");
}

#[tokio::test]
async fn a_full_queue_says_busy() {
    let (store, keeper) = gated(|o| (o.queue, o.patience) = (2, Duration::from_millis(10)));
    busy(&store, &keeper, 3).await;
    // A permit is a KiB: the one being written and the two that wait have all three.
    let (store, keeper) = gated(|o| (o.queue_bytes, o.patience) = (2 * 1024, Duration::from_millis(10)));
    busy(&store, &keeper, 3).await;
}

/// With `fit` writes taken in, one more is refused; once they are done, it is taken.
async fn busy(store: &Arc<Sled>, keeper: &Keeper, fit: usize) {
    let mut waiting = Vec::new();
    for n in 0..fit {
        waiting.push(start(store, put(&key("pods", &n.to_string()), Expect::Any)).await);
        if n == 0 {
            keeper.begun();
        }
    }
    let refused = store.write(put(&key("pods", "x"), Expect::Any)).await;
    assert!(matches!(refused, Err(Error::Busy)), "{refused:?}");
    keeper.let_through(fit + 1);
    for each in waiting {
        answer(each).await.unwrap();
    }
    store.write(put(&key("pods", "x"), Expect::Any)).await.unwrap();
}

#[tokio::test]
async fn a_watch_that_falls_behind_is_told_so_and_others_go_on() {
    let (store, keeper) = gated(|o| o.log_events = 2);
    let (pod, node) = (key("pods", "x"), key("nodes", "n"));
    keeper.let_through(7);
    store.write(put(&node, Expect::Any)).await.unwrap();
    let mut slow = store.watch(&pod.resource, None).unwrap();
    let mut quiet = store.watch(&node.resource, None).unwrap();
    let mut quick = store.watch(&pod.resource, None).unwrap();
    for revision in 2..7 {
        store.write(put(&pod, Expect::Any)).await.unwrap();
        assert_eq!(quick.next().await.unwrap()[0].revision, revision);
    }
    let evicted: Vec<u64> = (0..6).flat_map(|_| keeper.begun().1).collect();
    assert_eq!(evicted, [1, 2, 3]);
    assert!(matches!(slow.next().await, Err(Error::Compacted { asked: 1, oldest: 3 })));
    assert!(matches!(store.watch(&pod.resource, Some(2)), Err(Error::Compacted { asked: 2, oldest: 3 })));
    assert_eq!(store.watch(&pod.resource, Some(3)).unwrap().next().await.unwrap().len(), 3);
    store.write(put(&node, Expect::Any)).await.unwrap();
    assert_eq!(quiet.next().await.unwrap()[0].revision, 7, "events of other kinds do not age this one's reader");
}
