//! A work queue of keys: a key waits at most once, never runs twice at once, and comes back when it was pushed while
//! it ran, when its pass asked for it, or after a failure with a growing wait. Its size is bounded by the number of
//! keys that exist.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::backoff::Backoff;

/// What becomes of a key after its pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It waits for the next push.
    Done,
    /// It comes back after this time, or with the next push.
    After(Duration),
    /// It failed and comes back after a growing wait. A push shortens the wait of a key that keeps failing to [`HURRY`] at
    /// best: what was changed may have mended it, but the change may also be of its own making.
    Retry,
    /// It failed for good: forgotten until the next push.
    Drop,
}

/// The shortest wait of a failing key that something changed about.
pub const HURRY: Duration = Duration::from_secs(1);

/// Delayed entries that may no longer count, beside as many as there are keys.
const SLACK: usize = 64;

/// The queue.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    backoff: Backoff,
}

struct State<K> {
    ready: VecDeque<K>,
    /// May hold entries that no longer count: the key's `due` decides.
    delayed: BinaryHeap<Reverse<(Instant, u64, K)>>,
    keys: HashMap<K, Entry>,
    serial: u64,
    retries: u64,
    closed: bool,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    ready_since: Option<Instant>,
    running: bool,
    /// Pushed while it ran.
    again: bool,
    /// The delayed entry that counts: when, and its serial.
    due: Option<(Instant, u64)>,
    failures: u32,
}

/// Figures of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Keys that wait to run now.
    pub ready: usize,
    /// Keys that wait for their time.
    pub delayed: usize,
    /// How long the first key has waited.
    pub oldest: Duration,
    /// Failed passes so far.
    pub retries: u64,
}

impl<K: Clone + Eq + Hash + Ord> Queue<K> {
    /// An empty queue.
    pub fn new(backoff: Backoff) -> Self {
        let state = State {
            ready: VecDeque::new(),
            delayed: BinaryHeap::new(),
            keys: HashMap::new(),
            serial: 0,
            retries: 0,
            closed: false,
        };
        Self { state: Mutex::new(state), changed: Notify::new(), backoff }
    }

    /// Something changed about these keys.
    pub fn push(&self, keys: impl IntoIterator<Item = K>) {
        let now = Instant::now();
        let mut state = self.lock();
        for key in keys {
            state.push(key, now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Looks at this key after a time, if nothing else wakes it before.
    pub fn push_after(&self, key: K, wait: Duration) {
        self.lock().delay(key, Instant::now() + wait);
        self.changed.notify_one();
    }

    /// The next keys to run, at least one and at most `most`; waits. Empty once the queue is closed.
    pub async fn take(&self, most: usize) -> Vec<K> {
        loop {
            let changed = self.changed.notified();
            let due = {
                let mut state = self.lock();
                if state.closed {
                    self.changed.notify_one();
                    return Vec::new();
                }
                let now = Instant::now();
                state.ripen(now);
                let taken = state.take(most);
                if !taken.is_empty() {
                    // Another taker may find the rest.
                    if !state.ready.is_empty() {
                        self.changed.notify_one();
                    }
                    return taken;
                }
                state.delayed.peek().map(|Reverse((at, ..))| *at)
            };
            match due {
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
                None => changed.await,
            }
        }
    }

    /// A key's pass is over.
    pub fn done(&self, key: K, next: Next) {
        let now = Instant::now();
        let mut state = self.lock();
        let entry = state.keys.entry(key.clone()).or_default();
        entry.running = false;
        let again = std::mem::take(&mut entry.again);
        let wait = match next {
            Next::Done | Next::Drop => {
                entry.failures = 0;
                None
            }
            Next::After(wait) => {
                entry.failures = 0;
                Some(wait)
            }
            Next::Retry => {
                entry.failures = entry.failures.saturating_add(1);
                Some(self.backoff.after(entry.failures))
            }
        };
        state.retries += u64::from(next == Next::Retry);
        match wait {
            Some(wait) if next == Next::Retry => state.delay(key, now + if again { wait.min(HURRY) } else { wait }),
            Some(wait) if !again => state.delay(key, now + wait),
            _ if again => state.push(key, now),
            _ => state.forget(&key),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// No key is given out any more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// How much waits.
    pub fn depth(&self) -> Depth {
        let state = self.lock();
        let now = Instant::now();
        let since = state.ready.front().and_then(|key| state.keys.get(key)?.ready_since);
        Depth {
            ready: state.ready.len(),
            delayed: state.keys.values().filter(|entry| entry.due.is_some()).count(),
            oldest: since.map(|since| now - since).unwrap_or_default(),
            retries: state.retries,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash + Ord> State<K> {
    fn push(&mut self, key: K, now: Instant) {
        let entry = self.keys.entry(key.clone()).or_default();
        if entry.running {
            entry.again = true;
        } else if let (1.., Some((at, _))) = (entry.failures, entry.due) {
            if at > now + HURRY {
                self.delay(key, now + HURRY);
            }
        } else if entry.ready_since.is_none() {
            entry.ready_since = Some(now);
            entry.due = None;
            self.ready.push_back(key);
        }
    }

    fn delay(&mut self, key: K, at: Instant) {
        self.serial += 1;
        let entry = self.keys.entry(key.clone()).or_default();
        if entry.ready_since.is_some() || entry.running {
            return;
        }
        entry.due = Some((at, self.serial));
        self.delayed.push(Reverse((at, self.serial, key)));
        // Entries that no longer count would stay until their time comes.
        if self.delayed.len() > 2 * self.keys.len() + SLACK {
            let keys = &self.keys;
            self.delayed
                .retain(|Reverse((at, serial, key))| keys.get(key).is_some_and(|e| e.due == Some((*at, *serial))));
        }
    }

    /// Moves keys whose time has come to the ready ones.
    fn ripen(&mut self, now: Instant) {
        while let Some(Reverse((at, ..))) = self.delayed.peek() {
            if *at > now {
                return;
            }
            let Some(Reverse((at, serial, key))) = self.delayed.pop() else { return };
            if let Some(entry) = self.keys.get_mut(&key)
                && entry.due == Some((at, serial))
            {
                entry.due = None;
                entry.ready_since = Some(now);
                self.ready.push_back(key);
            }
        }
    }

    fn take(&mut self, most: usize) -> Vec<K> {
        let count = most.min(self.ready.len());
        let taken: Vec<K> = self.ready.drain(..count).collect();
        for key in &taken {
            if let Some(entry) = self.keys.get_mut(key) {
                entry.ready_since = None;
                entry.running = true;
            }
        }
        taken
    }

    fn forget(&mut self, key: &K) {
        if self.keys.get(key).is_some_and(|e| !e.running && e.ready_since.is_none() && e.due.is_none()) {
            self.keys.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::sync::Arc;

    fn queue() -> Queue<u32> {
        Queue::new(Backoff { first: Duration::from_millis(1), most: Duration::from_millis(20) })
    }

    #[tokio::test]
    async fn a_key_waits_once_and_comes_back_when_pushed_while_it_runs() {
        let queue = queue();
        queue.push([1, 1, 2]);
        assert_eq!(queue.take(10).await, [1, 2]);
        queue.push([1]);
        assert_eq!(queue.depth().ready, 0, "it runs");
        queue.done(1, Next::Done);
        queue.done(2, Next::Done);
        assert_eq!(queue.take(10).await, [1]);
        queue.done(1, Next::Done);
        assert_eq!(queue.lock().keys.len(), 0, "nothing is remembered about keys at rest");
    }

    #[tokio::test]
    async fn failures_come_back_later_and_pushes_do_not_hurry_them() {
        let queue = queue();
        queue.push([1]);
        for _ in 0..4 {
            assert_eq!(queue.take(1).await, [1]);
            queue.push([1]);
            queue.done(1, Next::Retry);
            assert_eq!(queue.depth().ready, 0);
        }
        assert_eq!(queue.depth().retries, 4);
        assert_eq!(queue.take(1).await, [1]);
        queue.done(1, Next::After(Duration::from_millis(1)));
        assert_eq!(queue.take(1).await, [1]);
    }

    #[tokio::test]
    async fn a_push_hurries_a_key_that_only_waits_for_its_time() {
        let queue = queue();
        queue.push_after(1, Duration::from_secs(3600));
        queue.push([1]);
        assert_eq!(queue.take(1).await, [1]);
        queue.close();
        assert!(queue.take(1).await.is_empty());
    }

    #[tokio::test]
    async fn long_waits_that_were_cut_short_leave_nothing() {
        let queue = queue();
        for _ in 0..1000 {
            queue.push([1]);
            assert_eq!(queue.take(1).await, [1]);
            queue.done(1, Next::After(Duration::from_secs(86_400)));
        }
        assert!(queue.lock().delayed.len() <= 2 + SLACK + 1);
        assert_eq!(queue.depth().delayed, 1, "its last wait counts");
    }

    #[tokio::test]
    async fn a_push_shortens_a_long_wait_of_a_failing_key() {
        let hour = Duration::from_secs(3600);
        let queue = Queue::new(Backoff { first: hour, most: hour });
        queue.push([1]);
        assert_eq!(queue.take(1).await, [1]);
        queue.done(1, Next::Retry);
        let begun = Instant::now();
        queue.push([1]);
        queue.push([1]);
        assert_eq!(queue.depth(), Depth { delayed: 1, retries: 1, ..Depth::default() });
        assert_eq!(queue.take(1).await, [1]);
        assert!(begun.elapsed() >= HURRY);
        // The same when the change came during the pass.
        queue.push([1]);
        queue.done(1, Next::Retry);
        assert_eq!(queue.take(1).await, [1]);
        queue.done(1, Next::Retry);
        let waits = tokio::time::timeout(2 * HURRY, queue.take(1)).await;
        assert!(waits.is_err(), "nothing hurries it");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_key_runs_twice_at_once_and_none_is_lost() {
        let queue = Arc::new(queue());
        let running = Arc::new(Mutex::new(HashSet::new()));
        let passes = Arc::new(Mutex::new(HashMap::<u32, u32>::new()));
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let (queue, running, passes) = (queue.clone(), running.clone(), passes.clone());
                tokio::spawn(async move {
                    loop {
                        let keys = queue.take(3).await;
                        if keys.is_empty() {
                            return;
                        }
                        for key in keys {
                            assert!(running.lock().unwrap().insert(key), "{key} runs twice");
                            tokio::task::yield_now().await;
                            running.lock().unwrap().remove(&key);
                            *passes.lock().unwrap().entry(key).or_default() += 1;
                            queue.done(key, Next::Done);
                        }
                    }
                })
            })
            .collect();
        for round in 0..200 {
            queue.push((0..20).map(|n| (n * 7 + round) % 20));
            tokio::task::yield_now().await;
        }
        while queue.depth().ready > 0 || !queue.lock().keys.is_empty() {
            tokio::task::yield_now().await;
        }
        queue.close();
        for worker in workers {
            worker.await.unwrap();
        }
        assert_eq!(passes.lock().unwrap().len(), 20);
    }
}
