//! The agent: follows the pods of its node and keeps a worker for each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gantry_model::{Record, Status, caller};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::admission::Ledger;
use super::clock::Clock;
use super::context::{Context, Dns};
use super::desired::Desired;
use super::downward::Facts;
use super::instance::{End, Instance, Life};
use super::registry::LogTarget;
use super::volumes::{Kernel, Mounts};
use super::worker::{Event, Worker};
use super::{housekeeping, usage};
use crate::cluster::{Cluster, PodEvent, PodRef, Recorder, Source};
use crate::local::Pods;
use crate::network::{HostNetwork, PodNetwork};
use crate::node::{Description, Heartbeat, LEASE, Ready};
use crate::policy::{Guards, PodGuard};
use crate::records;
use crate::runtime::{Ended, ExecProcess, ExecSpec, Runtime, RuntimeError, Usage};

/// Events that wait for one worker. It takes them at once, so more would only hide that it does not.
const MAILBOX: usize = 64;
/// Between tries of what must work before anything else can.
const RETRY: Duration = Duration::from_secs(1);
/// How often things without an owner are looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(300);

/// What an agent is made of.
#[derive(Clone)]
pub struct Options {
    /// The node.
    pub description: Description,
    /// The control plane.
    pub cluster: Arc<dyn Cluster>,
    /// Containers.
    pub runtime: Arc<dyn Runtime>,
    /// Addresses of pods.
    pub network: Arc<dyn PodNetwork>,
    /// What must be in force before a pod's first packet.
    pub guard: Arc<dyn PodGuard>,
    /// Events.
    pub recorder: Recorder,
    /// Where pods' files lie.
    pub data: PathBuf,
    /// Where containers' logs lie; `None`: in `data`.
    pub logs: Option<PathBuf>,
    /// Name lookup in pods.
    pub dns: Dns,
    /// tmpfs and bind mounts.
    pub mounts: Arc<dyn Mounts>,
    /// The time.
    pub clock: Clock,
    /// Bytes after which a container's log is rotated, and how many files are kept.
    pub log_limit: (u64, u32),
    /// How long the node's lease is good for; it is renewed four times in that.
    pub lease: Duration,
    /// Images pulled at once.
    pub parallel_pulls: usize,
    /// Containers started at once.
    pub parallel_starts: usize,
    /// Where log lines go before their files do.
    pub records: records::Handle,
    /// Whether the agent keeps its Node and Lease up to date.
    pub heartbeat: bool,
}

impl Options {
    /// With the usual figures.
    pub fn new(
        description: Description,
        cluster: Arc<dyn Cluster>,
        runtime: Arc<dyn Runtime>,
        network: Arc<dyn PodNetwork>,
        recorder: Recorder,
        data: PathBuf,
    ) -> Self {
        Self {
            description,
            cluster,
            runtime,
            network,
            guard: Arc::new(Guards::default()),
            recorder,
            data,
            logs: None,
            dns: Dns::none(PathBuf::from("/etc/resolv.conf")),
            mounts: Arc::new(Kernel),
            clock: Clock::System,
            log_limit: (10 << 20, 5),
            lease: LEASE,
            parallel_pulls: 4,
            parallel_starts: 8,
            records: records::Handle::default(),
            heartbeat: true,
        }
    }
}

/// What a container uses.
#[derive(Clone, Debug)]
pub struct ContainerUsage {
    /// Its pod.
    pub pod: PodRef,
    /// Its name.
    pub container: String,
    /// What it uses.
    pub usage: Usage,
}

/// The agent of one node.
pub struct Agent;

/// A running agent. Cheap to clone; it stops with [`Handle::stop`] or when every handle is gone.
#[derive(Clone)]
pub struct Handle {
    context: Arc<Context>,
    stop: Arc<StopOnDrop>,
    task: Arc<tokio::sync::Mutex<Option<JoinHandle<()>>>>,
}

struct StopOnDrop(CancellationToken);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl Agent {
    /// Starts an agent. It waits for the runtime by itself.
    pub fn start(options: Options) -> Handle {
        let stop = CancellationToken::new();
        let context = Arc::new(context(&options));
        let task = tokio::spawn(run(context.clone(), options, stop.clone()));
        Handle { context, stop: Arc::new(StopOnDrop(stop)), task: Arc::new(tokio::sync::Mutex::new(Some(task))) }
    }
}

impl Handle {
    /// Stops the agent and waits until it has. Containers go on.
    pub async fn stop(&self) {
        self.stop.0.cancel();
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }

    /// The log of a container, in the API's words if there is none.
    pub fn log(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Result<LogTarget, Status> {
        self.context.registry.log(namespace, pod, container, previous)
    }

    /// Starts a process in a container that runs.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        spec: ExecSpec,
    ) -> Result<ExecProcess, Status> {
        let id = self.context.registry.running(namespace, pod, container)?;
        self.context.runtime.exec(&id, spec).await.map_err(|error| match error {
            RuntimeError::NotFound(_) => {
                let message = format!("container not found (\"{container}\")");
                Status::new(gantry_model::status::Reason::NotFound, message)
            }
            error => Status::internal(error.to_string()),
        })
    }

    /// What every running container uses now.
    pub async fn usage(&self) -> Vec<ContainerUsage> {
        let mut all = Vec::new();
        for (pod, container, id) in self.context.registry.all_running() {
            if let Ok(usage) = self.context.runtime.usage(&id).await {
                all.push(ContainerUsage { pod, container, usage });
            }
        }
        all
    }
}

#[async_trait]
impl Pods for Handle {
    fn at(&self, address: IpAddr) -> Option<PodRef> {
        self.context.registry.at(address)
    }

    async fn usage(&self, pod: &PodRef) -> Option<caller::Usage> {
        usage::of(&self.context, pod).await
    }
}

fn context(options: &Options) -> Context {
    let description = &options.description;
    let allocatable = description.allocatable();
    let facts = Facts { node: description.name.clone(), addresses: description.addresses.clone(), allocatable };
    Context {
        cluster: options.cluster.clone(),
        runtime: options.runtime.clone(),
        runtime_name: "containerd".to_owned(),
        network: options.network.clone(),
        guard: options.guard.clone(),
        host_network: HostNetwork::new(description.addresses.clone()),
        mounts: options.mounts.clone(),
        recorder: options.recorder.clone(),
        clock: options.clock.clone(),
        facts,
        boot: description.information.boot_id.clone(),
        memory: description.capacity.memory,
        dns: options.dns.clone(),
        data: options.data.clone(),
        logs: options.logs.clone().unwrap_or_else(|| options.data.join("logs")),
        log_limit: options.log_limit,
        records: options.records.clone(),
        pulls: Semaphore::new(options.parallel_pulls.max(1)),
        starts: Semaphore::new(options.parallel_starts.max(1)),
        pulling: std::sync::Mutex::default(),
        ledger: Ledger::new(allocatable),
        registry: super::registry::Registry::default(),
        interests: super::context::Interests::default(),
    }
}

async fn run(context: Arc<Context>, options: Options, stop: CancellationToken) {
    let mut tasks = JoinSet::new();
    if options.heartbeat {
        tasks.spawn(heartbeat(context.clone(), options.clone(), stop.clone()));
    }
    let (to_router, inbox) = mpsc::channel(MAILBOX);
    for source in [Source::ConfigMap, Source::Secret] {
        tasks.spawn(follow_sources(context.clone(), source, to_router.clone()));
    }
    tasks.spawn(follow_pods(context.clone(), to_router));
    let router = Router {
        context,
        workers: HashMap::new(),
        running: JoinSet::new(),
        looking: JoinSet::new(),
        found: HashMap::new(),
        stop: stop.clone(),
        swept: false,
    };
    let _ = stop.run_until_cancelled(router.run(inbox)).await;
    tasks.shutdown().await;
}

struct NodeReady {
    context: Arc<Context>,
}

#[async_trait]
impl Ready for NodeReady {
    async fn check(&self) -> Result<(), String> {
        if let Err(error) = self.context.runtime.version().await {
            return Err(format!("container runtime is not ready: {error}"));
        }
        self.context.network.status().await.map_err(|error| format!("container runtime network not ready: {error}"))
    }
}

async fn heartbeat(context: Arc<Context>, options: Options, stop: CancellationToken) {
    let mut description = options.description;
    if description.information.runtime.is_empty() {
        description.information.runtime =
            context.runtime.version().await.unwrap_or_else(|_| "containerd://".to_owned());
    }
    let ready = Arc::new(NodeReady { context: context.clone() });
    let recorder = options.recorder;
    let heartbeat = Heartbeat::new(options.cluster, description, options.data, ready, recorder);
    heartbeat.lease(options.lease).run(stop).await;
}

enum News {
    Pods(Vec<PodEvent>),
    /// Objects that changed; `None`: any may have.
    Sources(Source, Option<Vec<(String, String)>>),
}

async fn follow_pods(context: Arc<Context>, to: mpsc::Sender<News>) {
    let mut feed = context.cluster.pods(Some(&context.facts.node));
    loop {
        match feed.next().await {
            Ok(events) => {
                if to.send(News::Pods(events)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "can't follow the pods of this node");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn follow_sources(context: Arc<Context>, source: Source, to: mpsc::Sender<News>) {
    let mut feed = context.cluster.changes(source, context.interests.wanted(source));
    loop {
        match feed.next().await {
            Ok(changed) => {
                if to.send(News::Sources(source, changed)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "can't follow the {} that pods read", source.plural());
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

struct Router {
    context: Arc<Context>,
    /// By pod uid.
    workers: HashMap<String, mpsc::Sender<Event>>,
    running: JoinSet<String>,
    looking: JoinSet<housekeeping::Found>,
    /// What was running when the agent started, until its pod is known.
    found: HashMap<String, (PodRef, Vec<Instance>)>,
    stop: CancellationToken,
    swept: bool,
}

impl Router {
    async fn run(mut self, mut inbox: mpsc::Receiver<News>) {
        // Listened to before the first look, so that no end falls between the two.
        let mut ends = self.context.runtime.ends();
        self.find().await;
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        sweep.tick().await;
        loop {
            tokio::select! {
                news = inbox.recv() => match news {
                    Some(News::Pods(events)) => self.pods(events).await,
                    Some(News::Sources(source, changed)) => self.sources(source, changed).await,
                    None => return,
                },
                ended = ends.recv() => match ended {
                    Some(Some(ended)) => self.ended(ended).await,
                    Some(None) => self.all(|| Event::Look).await,
                    None => {
                        tokio::time::sleep(RETRY).await;
                        ends = self.context.runtime.ends();
                        self.all(|| Event::Look).await;
                    }
                },
                Some(done) = self.running.join_next() => {
                    if let Ok(uid) = done
                        && self.workers.get(&uid).is_some_and(mpsc::Sender::is_closed)
                    {
                        self.workers.remove(&uid);
                    }
                }
                Some(found) = self.looking.join_next() => {
                    if let Ok(found) = found {
                        self.remove_orphans(found);
                    }
                }
                _ = sweep.tick(), if self.swept => self.sweep(),
            }
        }
    }

    /// What the runtime has of earlier agents.
    async fn find(&mut self) {
        let containers = loop {
            match self.context.runtime.containers().await {
                Ok(containers) => break containers,
                Err(error) => tracing::warn!(%error, "can't list containers"),
            }
            tokio::time::sleep(RETRY).await;
        };
        for (pod, instance) in containers.iter().filter_map(|found| Instance::found(found, &self.context.boot)) {
            self.found.entry(pod.uid.clone()).or_insert_with(|| (pod, Vec::new())).1.push(instance);
        }
    }

    async fn pods(&mut self, events: Vec<PodEvent>) {
        for event in events {
            match event {
                PodEvent::Snapshot(records) => self.snapshot(records).await,
                PodEvent::Applied(record) => self.applied(record).await,
                PodEvent::Gone(record) => self.gone(&record.meta.uid).await,
            }
        }
    }

    async fn snapshot(&mut self, records: Vec<Arc<Record>>) {
        let alive: Vec<String> = records.iter().map(|record| record.meta.uid.clone()).collect();
        if !self.swept
            && let Err(error) = self.context.network.gc(&alive).await
        {
            tracing::warn!(%error, "can't release what networks of pods that are gone hold");
        }
        // Who was here first keeps its share of the node.
        let (old, new): (Vec<_>, Vec<_>) = records.into_iter().partition(|record| self.is_known(record));
        for record in old.into_iter().chain(new) {
            self.applied(record).await;
        }
        let known: Vec<String> = self.workers.keys().cloned().collect();
        for uid in known.iter().filter(|uid| !alive.contains(uid)) {
            self.gone(uid).await;
        }
        if !self.swept {
            self.swept = true;
            self.found.clear();
            self.sweep();
        }
    }

    fn is_known(&self, record: &Record) -> bool {
        self.found.contains_key(&record.meta.uid) || record.value().pointer("/status/startTime").is_some()
    }

    async fn applied(&mut self, record: Arc<Record>) {
        let uid = record.meta.uid.clone();
        if let Some(worker) = self.workers.get(&uid)
            && worker.send(Event::Pod(record.clone())).await.is_ok()
        {
            return;
        }
        match Desired::read(&record) {
            Ok(desired) => self.hire(desired),
            Err(error) => tracing::warn!(error, pod = %record.key, "this pod can't be run"),
        }
    }

    fn hire(&mut self, desired: Desired) {
        let uid = desired.key.uid.clone();
        let instances = self.found.remove(&uid).map(|(_, instances)| instances).unwrap_or_default();
        let known = !instances.is_empty() || desired.status().is_some_and(|status| status.start_time.is_some());
        let mut verdict = None;
        if known && !desired.is_over() {
            self.context.ledger.take(&desired);
        } else if !known
            && desired.deletion.is_none()
            && let Err(refusal) = self.context.ledger.admit(&desired)
        {
            self.context.warn(&desired.key, None, "FailedAdmission", refusal.1.clone());
            verdict = Some(refusal);
        }
        let (sender, mailbox) = mpsc::channel(MAILBOX);
        let worker = Worker::new(self.context.clone(), desired, instances, verdict, (sender.downgrade(), mailbox));
        let stop = self.stop.clone();
        self.running.spawn({
            let uid = uid.clone();
            async move {
                worker.run(stop).await;
                uid
            }
        });
        self.workers.insert(uid, sender);
    }

    async fn gone(&mut self, uid: &str) {
        if let Some(worker) = self.workers.get(uid) {
            let _ = worker.send(Event::Gone).await;
        }
    }

    async fn ended(&mut self, ended: Ended) {
        // Its pod may not be known yet.
        let mut found = self.found.values_mut().flat_map(|(_, instances)| instances);
        if let Some(instance) = found.find(|instance| instance.id == ended.id) {
            instance.life = Life::Ended(End::of(&ended.exit));
            return;
        }
        let uid = ended.id.get(..36).filter(|uid| self.workers.contains_key(*uid)).map(str::to_owned);
        let uid = uid.or_else(|| self.workers.keys().find(|uid| ended.id.starts_with(uid.as_str())).cloned());
        if let Some(worker) = uid.and_then(|uid| self.workers.get(&uid)) {
            let _ = worker.send(Event::Ended(ended.id, ended.exit)).await;
        }
    }

    async fn sources(&mut self, source: Source, changed: Option<Vec<(String, String)>>) {
        let Some(changed) = changed else { return self.all(|| Event::Sources).await };
        for uid in self.context.interests.of(source, &changed) {
            if let Some(worker) = self.workers.get(&uid) {
                let _ = worker.send(Event::Sources).await;
            }
        }
    }

    async fn all(&self, event: fn() -> Event) {
        for worker in self.workers.values() {
            let _ = worker.send(event()).await;
        }
    }

    /// Removes what belongs to no pod of this node. In the background: it may take a while, and nobody waits for it.
    fn sweep(&mut self) {
        let context = self.context.clone();
        self.looking.spawn(async move { housekeeping::look(&context).await });
    }

    /// Who has a worker now is alive, even if it came after the look.
    fn remove_orphans(&mut self, mut found: housekeeping::Found) {
        found.retain(|uid, _| !self.workers.contains_key(uid));
        let context = self.context.clone();
        self.running.spawn(async move {
            housekeeping::sweep(&context, found).await;
            String::new()
        });
    }
}
