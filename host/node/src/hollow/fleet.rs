//! Thousands of nodes in one process, over one watch. A hollow node costs a Node object and a Lease; a hollow pod
//! costs an entry in a table and a timer, and a write for each of its steps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use jiff::Timestamp;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::model::{Model, Step};
use super::pod::Pod;
use crate::cluster::{Cluster, NodeLease, PodEvent, PodFeed, PodRef};
use crate::node::{Capacity, Description, Information, Pressure};

const LEASE_SECONDS: i32 = 40;
const FEED_RETRY: Duration = Duration::from_millis(200);
/// After a failed write of a pod.
const WRITE_RETRY: Duration = Duration::from_millis(500);

/// A fleet's size and manners.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// How many nodes.
    pub nodes: u32,
    /// Nodes are called this and a number from 0.
    pub prefix: String,
    /// What each node has.
    pub capacity: Capacity,
    /// How pods behave.
    pub model: Model,
    /// Writes under way at once, for each of: nodes, leases, pods.
    pub concurrency: usize,
    /// How often each lease is renewed.
    pub renew_every: Duration,
}

impl Default for FleetOptions {
    fn default() -> Self {
        Self {
            nodes: 10,
            prefix: "hollow-".to_owned(),
            capacity: Capacity { cpu_millis: 32_000, memory: 128 << 30, storage: 512 << 30, pods: 110 },
            model: Model::default(),
            concurrency: 64,
            renew_every: Duration::from_secs(10),
        }
    }
}

/// What a fleet has done so far.
#[derive(Debug, Default)]
pub struct Stats {
    registered: AtomicU64,
    running: AtomicU64,
    removed: AtomicU64,
    failed_writes: AtomicU64,
}

impl Stats {
    /// Nodes that are registered.
    pub fn registered(&self) -> u64 {
        self.registered.load(Ordering::Relaxed)
    }

    /// Times that a pod was written as running.
    pub fn running(&self) -> u64 {
        self.running.load(Ordering::Relaxed)
    }

    /// Pods removed after their deletion.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// Writes that failed and were tried again.
    pub fn failed_writes(&self) -> u64 {
        self.failed_writes.load(Ordering::Relaxed)
    }
}

/// A running fleet. Dropping it stops it; its nodes stay registered.
pub struct Fleet {
    stats: Arc<Stats>,
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Fleet {
    /// Starts a fleet. Returns at once; see [`Stats::registered`].
    pub fn start(cluster: Arc<dyn Cluster>, options: FleetOptions) -> Self {
        let (stats, stop) = (Arc::new(Stats::default()), CancellationToken::new());
        let nodes = Nodes { cluster: cluster.clone(), options: options.clone(), stats: stats.clone() };
        let pods = Pods::new(cluster.clone(), options, stats.clone());
        let feed = cluster.pods(None);
        let (stop_nodes, stop_pods) = (stop.clone(), stop.clone());
        let tasks = vec![
            tokio::spawn(async move {
                let _ = stop_nodes.run_until_cancelled(nodes.run()).await;
            }),
            tokio::spawn(async move {
                let _ = stop_pods.run_until_cancelled(pods.run(feed)).await;
            }),
        ];
        Self { stats, stop, tasks }
    }

    /// What it has done so far.
    pub fn stats(&self) -> &Arc<Stats> {
        &self.stats
    }

    /// Stops it and waits until it has.
    pub async fn stop(mut self) {
        self.stop.cancel();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await;
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn node_name(options: &FleetOptions, index: u32) -> String {
    format!("{}{index}", options.prefix)
}

/// The nodes' objects and leases.
struct Nodes {
    cluster: Arc<dyn Cluster>,
    options: FleetOptions,
    stats: Arc<Stats>,
}

impl Nodes {
    async fn run(self) {
        let width = self.options.concurrency.max(1);
        let register = |index| self.register_until_done(index);
        let uids: Vec<(u32, String)> =
            futures::stream::iter(0..self.options.nodes).map(register).buffer_unordered(width).collect().await;
        let mut tick = tokio::time::interval(self.options.renew_every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            futures::stream::iter(&uids).for_each_concurrent(width, |(index, uid)| self.renew(*index, uid)).await;
        }
    }

    async fn register_until_done(&self, index: u32) -> (u32, String) {
        loop {
            match self.register(index).await {
                Ok(uid) => {
                    self.stats.registered.fetch_add(1, Ordering::Relaxed);
                    return (index, uid);
                }
                Err(error) => tracing::warn!(%error, node = node_name(&self.options, index), "can't register"),
            }
            self.stats.failed_writes.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(WRITE_RETRY).await;
        }
    }

    async fn register(&self, index: u32) -> Result<String, Status> {
        let name = node_name(&self.options, index);
        let description = Description {
            name: name.clone(),
            addresses: vec![host_address(index).into()],
            capacity: self.options.capacity,
            information: Information {
                architecture: "amd64".to_owned(),
                runtime: concat!("hollow://", env!("CARGO_PKG_VERSION")).to_owned(),
                os_image: "none".to_owned(),
                ..Information::default()
            },
            // Their pods have addresses by the model.
            annotations: [("gantry.dev/pod-ranges".to_owned(), "none".to_owned())].into(),
            ..Description::default()
        };
        let now = Timestamp::now();
        let record = match self.cluster.create_node(description.object(Pressure::default(), Ok(()), now)).await {
            Ok(record) => record,
            Err(e) if e.reason == Reason::AlreadyExists => match self.cluster.node(&name).await? {
                Some(record) => record,
                None => return Err(e),
            },
            Err(e) => return Err(e),
        };
        let status = description.status(Pressure::default(), Ok(()), now, None);
        if record.value().pointer("/status/conditions").is_none() {
            self.cluster.merge_node_status(&name, status).await?;
        }
        Ok(record.meta.uid.clone())
    }

    async fn renew(&self, index: u32, uid: &str) {
        let lease =
            NodeLease { node: node_name(&self.options, index), uid: uid.to_owned(), duration_seconds: LEASE_SECONDS };
        if let Err(error) = self.cluster.renew_lease(&lease).await {
            self.stats.failed_writes.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, node = lease.node, "can't renew a lease");
        }
    }
}

/// 172.16.0.0/12 has room for a million nodes.
fn host_address(index: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 1)).wrapping_add(index))
}

/// What a finished write was for.
struct Written {
    uid: String,
    step: Step,
    result: Result<(), Status>,
}

type Timer = Reverse<(Instant, String, u32)>;

/// Every pod of every node of the fleet.
struct Pods {
    cluster: Arc<dyn Cluster>,
    options: FleetOptions,
    stats: Arc<Stats>,
    nodes: HashMap<String, Ipv4Addr>,
    pods: HashMap<String, Pod>,
    timers: BinaryHeap<Timer>,
    /// Pods whose next step is due, while all writers are busy.
    due: VecDeque<(String, Step)>,
    writes: JoinSet<Written>,
    addresses: u32,
}

impl Pods {
    fn new(cluster: Arc<dyn Cluster>, options: FleetOptions, stats: Arc<Stats>) -> Self {
        let nodes = (0..options.nodes).map(|i| (node_name(&options, i), host_address(i))).collect();
        Self {
            cluster,
            options,
            stats,
            nodes,
            pods: HashMap::new(),
            timers: BinaryHeap::new(),
            due: VecDeque::new(),
            writes: JoinSet::new(),
            addresses: 0,
        }
    }

    async fn run(mut self, mut feed: Box<dyn PodFeed>) {
        loop {
            let next = self.timers.peek().map(|Reverse((at, ..))| *at);
            tokio::select! {
                events = feed.next() => match events {
                    Ok(events) => events.into_iter().for_each(|event| self.see(event)),
                    Err(error) => {
                        tracing::debug!(%error, "the fleet's watch ended, it begins again");
                        tokio::time::sleep(FEED_RETRY).await;
                    }
                },
                Some(written) = self.writes.join_next() => self.wrote(written),
                () = sleep_until(next) => {}
            }
            self.fire(Instant::now());
            self.write_due();
        }
    }

    fn see(&mut self, event: PodEvent) {
        match event {
            PodEvent::Snapshot(records) => {
                let alive: HashSet<&str> = records.iter().map(|r| r.meta.uid.as_str()).collect();
                self.pods.retain(|uid, _| alive.contains(uid.as_str()));
                records.iter().for_each(|record| self.apply(record));
            }
            PodEvent::Applied(record) => self.apply(&record),
            PodEvent::Gone(record) => {
                self.pods.remove(&record.meta.uid);
            }
        }
    }

    fn apply(&mut self, record: &Arc<Record>) {
        let uid = &record.meta.uid;
        if !self.pods.contains_key(uid) && !self.adopt(record) {
            return;
        }
        let Some(pod) = self.pods.get_mut(uid) else { return };
        if record.meta.deletion_timestamp.is_some() && !pod.going {
            pod.going = true;
            let grace = record.meta.deletion_grace_period_seconds.unwrap_or(0).max(0);
            let delay = self.options.model.stopping(&pod.seed_name(), pod.steps, Duration::from_secs(grace as u64));
            // Whatever it was about to do does not happen: timers of an older step are void.
            pod.steps += 1;
            self.timers.push(Reverse((Instant::now() + delay, uid.clone(), pod.steps)));
        }
    }

    /// Takes in a pod of one of this fleet's nodes. One that has a phase behind it is left as it is.
    fn adopt(&mut self, record: &Arc<Record>) -> bool {
        let Some(host) = self.nodes.get(record.field("spec.nodeName")).copied() else { return false };
        self.addresses = self.addresses.wrapping_add(1) & 0x00ff_ffff;
        let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) | self.addresses);
        let mut pod = Pod::new(record, address, host, Timestamp::now());
        let phase = record.value().pointer("/status/phase").and_then(|p| p.as_str().map(str::to_owned));
        let ended = matches!(phase.as_deref(), Some("Succeeded" | "Failed"));
        if ended && record.meta.deletion_grace_period_seconds == Some(0) {
            // It was seen off, and its object waits for finalizers.
            return false;
        }
        match phase.as_deref() {
            Some("Running") => pod.make(Step::Run),
            Some("Succeeded" | "Failed") => pod.make(Step::Finish),
            _ => {}
        }
        let uid = pod.key.uid.clone();
        self.pods.insert(uid.clone(), pod);
        self.schedule(&uid);
        true
    }

    /// Sets the timer of a pod's next step.
    fn schedule(&mut self, uid: &str) {
        let Some(pod) = self.pods.get(uid) else { return };
        if pod.going {
            return;
        }
        if let Some((_, delay)) = self.options.model.next(&pod.seed_name(), pod.steps, pod.last, pod.ends()) {
            self.timers.push(Reverse((Instant::now() + delay, uid.to_owned(), pod.steps)));
        }
    }

    fn fire(&mut self, now: Instant) {
        while let Some(Reverse((at, ..))) = self.timers.peek() {
            if *at > now {
                break;
            }
            let Some(Reverse((_, uid, steps))) = self.timers.pop() else { break };
            let Some(pod) = self.pods.get(&uid).filter(|pod| pod.steps == steps) else { continue };
            let step = if pod.going {
                Some(pod.leaving())
            } else {
                self.options.model.next(&pod.seed_name(), pod.steps, pod.last, pod.ends()).map(|(step, _)| step)
            };
            self.due.extend(step.map(|step| (uid, step)));
        }
    }

    fn write_due(&mut self) {
        let mut held = Vec::new();
        while self.writes.len() < self.options.concurrency.max(1) {
            let Some((uid, step)) = self.due.pop_front() else { break };
            match self.pods.get(&uid) {
                // One write of a pod at a time, so that they land in order.
                Some(pod) if pod.busy => held.push((uid, step)),
                Some(pod) if pod.going && !matches!(step, Step::End | Step::Vanish) => {}
                Some(_) => self.write(uid, step),
                None => {}
            }
        }
        self.due.extend(held);
    }

    fn write(&mut self, uid: String, step: Step) {
        let Some(pod) = self.pods.get_mut(&uid) else { return };
        pod.busy = true;
        let (cluster, key) = (self.cluster.clone(), pod.key.clone());
        if step == Step::Vanish {
            self.writes.spawn(async move { Written { uid, step, result: cluster.remove_pod(&key).await } });
            return;
        }
        pod.make(step);
        let status = pod.status(Timestamp::now());
        self.writes.spawn(async move {
            let result = write_status(&*cluster, &key, status).await;
            Written { uid, step, result }
        });
    }

    fn wrote(&mut self, written: Result<Written, tokio::task::JoinError>) {
        let Ok(Written { uid, step, result }) = written else { return };
        let Some(pod) = self.pods.get_mut(&uid) else {
            self.stats.removed.fetch_add(u64::from(step == Step::Vanish), Ordering::Relaxed);
            return;
        };
        pod.busy = false;
        match (result, step) {
            (Err(error), _) => {
                tracing::debug!(%error, pod = %pod.key, "a hollow pod's write failed, it is tried again");
                self.stats.failed_writes.fetch_add(1, Ordering::Relaxed);
                let retry = Reverse((Instant::now() + WRITE_RETRY, uid.clone(), pod.steps));
                if step != Step::Vanish {
                    pod.last = undo(step);
                }
                self.timers.push(retry);
            }
            (Ok(()), Step::Vanish) => {
                self.pods.remove(&uid);
                self.stats.removed.fetch_add(1, Ordering::Relaxed);
            }
            (Ok(()), Step::End) => self.due.push_back((uid, Step::Vanish)),
            (Ok(()), _) => {
                self.stats.running.fetch_add(u64::from(step == Step::Run), Ordering::Relaxed);
                self.schedule(&uid);
            }
        }
    }
}

/// The state from which a step that could not be written is made again.
fn undo(step: Step) -> Option<Step> {
    match step {
        Step::FailPull | Step::Vanish => None,
        Step::Run => Some(Step::Crash),
        Step::Crash | Step::Finish | Step::End => Some(Step::Run),
    }
}

async fn write_status(cluster: &dyn Cluster, key: &PodRef, status: serde_json::Value) -> Result<(), Status> {
    match cluster.write_pod_status(key, None, status).await {
        // The pod is gone, or another one has its name: its watch event says so too.
        Err(e) if e.reason == Reason::NotFound => Ok(()),
        other => other.map(|_| ()),
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
