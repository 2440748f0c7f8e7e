//! The pods' network as a plugin wants it. The plugin decides and remembers; this keeps what it decided, applies it and
//! undoes it.
//!
//! Order on the way in: namespace, the plugin's `add`, record, plan. On the way out: record says so, `del`, plan,
//! namespace, record gone. A crash between any two steps leaves a record that tells the next start what to finish.
//! What a plugin has let go of is given to nobody before the record of the one who had it is gone.

mod lead;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::{Effective, Network};
use tokio::sync::{Notify, OnceCell};
use tokio::task::JoinSet;
use tracing::warn;

use crate::cluster::PodFeed;
use crate::locks::Locks;
use crate::network::apply::Executor;
use crate::network::driver::Driver;
use crate::network::grants::Permits;
use crate::network::leases::{Leases, Record, State};
use crate::network::netns::Namespaces;
use crate::network::peers::Peers;
use crate::network::{NetError, NetStatus, PodNetwork, SandboxNet};
use crate::pauses::Pauses;

/// How many sandboxes are changed at once when many are.
const AT_ONCE: usize = 8;
/// How long an `attach` waits for somebody else's `detach` to free what it is to get.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is needed to start.
pub struct Options {
    /// The plugin.
    pub plugin: Box<dyn Network>,
    /// Its name, for messages.
    pub plugin_name: String,
    /// What it may do.
    pub grants: Effective,
    /// The node's place in the cluster. The size of its packets is looked up.
    pub node: NodeInfo,
    /// The cluster's nodes (`v1`, `nodes`).
    pub nodes: Box<dyn PodFeed>,
    /// Where records are kept. Must outlive a restart of the machine.
    pub data_dir: PathBuf,
    /// Where the pods' namespaces are. Must not outlive one.
    pub netns_dir: PathBuf,
    /// The network namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<PathBuf>,
}

/// Where the pods' namespaces are unless configured otherwise.
pub const NETNS_DIR: &str = "/run/gantry/node/netns";

/// Where a node keeps records of its sandboxes, below its data directory.
pub(in crate::network) fn records(data_dir: &std::path::Path) -> PathBuf {
    data_dir.join("network").join("sandboxes")
}

/// Connects sandboxes with a plugin.
pub struct Plugged {
    inner: Arc<Inner>,
    /// They end with it.
    _tasks: JoinSet<()>,
}

struct Inner {
    driver: tokio::sync::Mutex<Driver>,
    leases: Arc<Leases>,
    loaded: OnceCell<()>,
    executor: OnceCell<Executor>,
    permits: Permits,
    plugin: String,
    namespaces: Namespaces,
    node_netns: Option<PathBuf>,
    locks: Locks,
    /// Why it is not ready; `None`: it is.
    trouble: Mutex<Option<String>>,
    wake: Notify,
    peers: Mutex<Peers>,
    /// Somebody among them came, changed or went, or they must be told anew.
    moved: Notify,
    /// Sandboxes alive according to a `gc` that came before everything was ready.
    collect: Mutex<Option<Vec<String>>>,
}

impl Plugged {
    /// Starts up: tells the plugin what is in force, makes what the node needs, finishes what a crash interrupted. If
    /// that fails it is tried again in the background, and `status` says why.
    pub async fn start(options: Options) -> Self {
        let leases = Arc::new(Leases::new(records(&options.data_dir)));
        let name = &options.plugin_name;
        let inner = Arc::new(Inner {
            peers: Mutex::new(Peers::new(&options.node.name)),
            moved: Notify::new(),
            driver: tokio::sync::Mutex::new(Driver::new(options.plugin, name, options.node, Arc::clone(&leases))),
            leases,
            loaded: OnceCell::new(),
            executor: OnceCell::new(),
            permits: Permits::new(name, &options.grants),
            plugin: name.clone(),
            namespaces: Namespaces::new(options.netns_dir),
            node_netns: options.node_netns,
            locks: Locks::default(),
            trouble: Mutex::new(Some("the pod network is starting".to_owned())),
            wake: Notify::new(),
            collect: Mutex::default(),
        });
        inner.try_start().await;
        let mut tasks = JoinSet::new();
        tasks.spawn(supervise(Arc::clone(&inner)));
        tasks.spawn(lead::watch(Arc::clone(&inner), options.nodes));
        tasks.spawn(lead::lead(Arc::clone(&inner)));
        Self { inner, _tasks: tasks }
    }

    /// Runs to the end even if the caller stops waiting: half a change would be found by nobody before a restart.
    async fn whole<T: Send + 'static>(
        &self,
        job: impl Future<Output = Result<T, NetError>> + Send + 'static,
    ) -> Result<T, NetError> {
        tokio::spawn(job).await.map_err(|error| NetError::Failed(error.to_string()))?
    }
}

#[async_trait]
impl PodNetwork for Plugged {
    async fn attach(&self, sandbox: &SandboxNet) -> Result<NetStatus, NetError> {
        let (inner, sandbox) = (Arc::clone(&self.inner), sandbox.clone());
        self.whole(async move { inner.attach(&sandbox).await }).await
    }

    async fn detach(&self, id: &str) -> Result<(), NetError> {
        let (inner, id) = (Arc::clone(&self.inner), id.to_owned());
        self.whole(async move { inner.detach(&id).await }).await
    }

    async fn gc(&self, alive: &[String]) -> Result<(), NetError> {
        let (inner, alive) = (Arc::clone(&self.inner), alive.to_vec());
        if inner.ready().is_err() {
            // The agent asks once.
            *inner.collect.lock().unwrap_or_else(PoisonError::into_inner) = Some(alive);
            return Ok(());
        }
        self.whole(async move { inner.gc(&alive).await }).await
    }

    async fn status(&self) -> Result<(), NetError> {
        self.inner.ready()?;
        let answer = self.inner.driver.lock().await.status().await;
        self.inner.noted(answer)
    }
}

/// Starts up again, with growing pauses, whenever something went wrong that only that can mend.
async fn supervise(inner: Arc<Inner>) {
    let mut pauses = Pauses::of_work();
    loop {
        if inner.ready().is_ok() {
            pauses.reset();
            inner.wake.notified().await;
        }
        pauses.wait().await;
        inner.try_start().await;
    }
}

impl Inner {
    fn ready(&self) -> Result<(), NetError> {
        match self.trouble.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            None => Ok(()),
            Some(trouble) => Err(NetError::Unavailable(trouble.clone())),
        }
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Notes an answer that shows that the plugin has lost its state for good.
    fn noted<T>(&self, answer: Result<T, crate::network::driver::Error>) -> Result<T, NetError> {
        answer.map_err(|error| {
            if let crate::network::driver::Error::Lost(why) = &error {
                self.set_trouble(Some(why.clone()));
                self.wake.notify_one();
            }
            error.into()
        })
    }

    async fn try_start(&self) {
        match self.start_up().await {
            Ok(()) => {
                self.set_trouble(None);
                self.moved.notify_one();
            }
            Err(error) => {
                warn!(plugin = %self.plugin, %error, "the pod network could not start; it will be tried again");
                self.set_trouble(Some(format!("the pod network could not start: {error}")));
            }
        }
    }

    async fn start_up(&self) -> Result<(), NetError> {
        // Records in memory are newer than the files from then on.
        self.loaded
            .get_or_try_init(|| async { self.leases.load() })
            .await
            .map_err(|error| NetError::Unavailable(format!("records of sandboxes: {error}")))?;
        let executor = self
            .executor
            .get_or_try_init(|| Executor::open(self.node_netns.clone()))
            .await
            .map_err(|error| NetError::Unavailable(format!("netlink: {error}")))?;
        let known = {
            let mut driver = self.driver.lock().await;
            driver.place().mtu = self.packet_size(driver.place()).await;
            let known = driver.reset().await?;
            let plan = driver.node().await?;
            self.permits.check(&plan)?;
            executor.apply(&plan, None).await?;
            known
        };
        self.finish_all().await;
        let known = futures::stream::iter(known).map(|(record, plan)| async move {
            let id = &record.sandbox;
            let _one = self.locks.lock(id).await;
            let connected = self.leases.get(id).is_some_and(|entry| entry.record.state == State::Attached);
            // After a restart of the machine there is nothing to connect before the agent makes the pod anew.
            if connected
                && self.namespaces.has(id)
                && let Err(error) = self.apply_in(id, &plan).await
            {
                warn!(pod = %record.pod, namespace = %record.namespace, %error, "a pod's network could not be put right");
            }
        });
        known.buffer_unordered(AT_ONCE).collect::<()>().await;
        let pending = self.collect.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(alive) = pending {
            self.gc(&alive).await?;
        }
        Ok(())
    }

    fn executor(&self) -> Result<&Executor, NetError> {
        self.executor.get().ok_or_else(|| NetError::Unavailable("the pod network is starting".to_owned()))
    }

    /// Checks and applies a plan about a sandbox.
    async fn apply_in(&self, id: &str, plan: &[gantry_plugin::family::network::Operation]) -> Result<(), NetError> {
        self.permits.check(plan)?;
        self.executor()?.apply(plan, Some(&self.namespaces.path(id))).await
    }

    async fn attach(&self, sandbox: &SandboxNet) -> Result<NetStatus, NetError> {
        self.ready()?;
        let id = &sandbox.id;
        check_id(id)?;
        let _one = self.locks.lock(id).await;
        if self.leases.get(id).is_some_and(|entry| entry.record.state == State::Detaching) {
            self.finish(id).await?;
        }
        let netns =
            self.namespaces.ensure(id).await.map_err(|error| failed("make the network namespace", id, error))?;
        match self.connect(sandbox).await {
            Ok(addresses) => Ok(NetStatus { netns_path: Some(netns), addresses }),
            Err(error) => {
                if self.leases.get(id).is_none() {
                    // Nothing else is left of this attempt; the agent may give the pod up without another word.
                    let _ = self.namespaces.remove(id).await;
                }
                Err(error)
            }
        }
    }

    async fn connect(&self, sandbox: &SandboxNet) -> Result<Vec<IpAddr>, NetError> {
        let id = &sandbox.id;
        let added = self.add(sandbox).await?;
        self.leases.save(id).await.map_err(|error| failed("keep a record", id, error))?;
        self.executor()?.apply(&added.plan, Some(&self.namespaces.path(id))).await?;
        Ok(added.addresses)
    }

    /// Asks the plugin, until what it gives is free.
    async fn add(&self, sandbox: &SandboxNet) -> Result<crate::network::driver::Added, NetError> {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut removals = self.leases.removals();
            let conflict = {
                let mut driver = self.driver.lock().await;
                let record = Record::new(sandbox, Vec::new());
                let added = driver.add(&record).await;
                let added = self.noted(added)?;
                let conflict = self.leases.conflict(&added.record);
                if conflict.is_none() && self.permits.check(&added.plan).is_ok() {
                    self.leases.take(added.record.clone());
                    return Ok(added);
                }
                // The plugin takes it for connected, and it is not going to be.
                if self.leases.get(&sandbox.id).is_none() {
                    let gone = driver.del(&record).await;
                    self.noted(gone)?;
                }
                self.permits.check(&added.plan)?;
                conflict
            };
            let Some(conflict) = conflict else { continue };
            let what = format!("{} of sandbox {}", conflict.thing, sandbox.id);
            if !conflict.passing {
                let (plugin, other) = (&self.plugin, &conflict.sandbox);
                return Err(NetError::Failed(format!("plugin {plugin} gave {what} also to sandbox {other}")));
            }
            if tokio::time::timeout_at(deadline, removals.changed()).await.is_err() {
                return Err(NetError::Exhausted(format!(
                    "{what} is still being freed by sandbox {}",
                    conflict.sandbox
                )));
            }
        }
    }

    async fn detach(&self, id: &str) -> Result<(), NetError> {
        self.ready()?;
        check_id(id)?;
        let _one = self.locks.lock(id).await;
        self.finish(id).await
    }

    /// Disconnects a sandbox, from whichever step on.
    async fn finish(&self, id: &str) -> Result<(), NetError> {
        if let Some(plan) = self.ending(id).await? {
            self.leases.save(id).await.map_err(|error| failed("keep a record", id, error))?;
            self.apply_in(id, &plan).await?;
        }
        self.namespaces.remove(id).await.map_err(|error| failed("remove the network namespace", id, error))?;
        self.leases.remove(id).await.map_err(|error| failed("remove the record", id, error))
    }

    /// The plan that disconnects a sandbox. It is asked for once: the plugin knows nothing of the sandbox afterwards.
    async fn ending(&self, id: &str) -> Result<Option<Vec<gantry_plugin::family::network::Operation>>, NetError> {
        let mut driver = self.driver.lock().await;
        let Some(entry) = self.leases.get(id) else { return Ok(None) };
        if entry.ending.is_some() {
            return Ok(entry.ending);
        }
        self.leases.end(id, None);
        let plan = driver.del(&entry.record).await;
        let plan = self.noted(plan)?;
        self.leases.end(id, Some(plan.clone()));
        Ok(Some(plan))
    }

    /// Finishes every detach that was begun. One that fails does not keep the others from starting.
    async fn finish_all(&self) {
        let ending = self.leases.all().into_iter().filter(|entry| entry.record.state == State::Detaching);
        let all = futures::stream::iter(ending).map(|entry| async move {
            let id = &entry.record.sandbox;
            let _one = self.locks.lock(id).await;
            if let Err(error) = self.finish(id).await {
                warn!(pod = %entry.record.pod, namespace = %entry.record.namespace, %error, "a pod's network could not be removed");
            }
        });
        all.buffer_unordered(AT_ONCE).collect::<()>().await;
    }

    async fn gc(&self, alive: &[String]) -> Result<(), NetError> {
        let dead = |id: &String| !alive.contains(id);
        let mut ids: Vec<String> =
            self.leases.all().into_iter().map(|entry| entry.record.sandbox).filter(dead).collect();
        let named = self.namespaces.list().map_err(|error| failed("list network namespaces", "", error))?;
        ids.extend(named.into_iter().filter(dead).collect::<Vec<_>>());
        ids.sort_unstable();
        ids.dedup();
        let mut all = futures::stream::iter(ids)
            .map(|id| async move {
                let _one = self.locks.lock(&id).await;
                self.finish(&id).await
            })
            .buffer_unordered(AT_ONCE);
        let mut first = Ok(());
        while let Some(done) = all.next().await {
            first = first.and(done);
        }
        first?;
        self.collect_rest().await
    }

    /// What the plugin still holds for nobody: only a plugin that counts otherwise than the records has any.
    async fn collect_rest(&self) -> Result<(), NetError> {
        let mut driver = self.driver.lock().await;
        let plan = driver.gc().await;
        let plan = self.noted(plan)?;
        self.permits.check(&plan)?;
        self.executor()?.apply(&plan, None).await
    }
}

/// It becomes the name of a file.
fn check_id(id: &str) -> Result<(), NetError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if id.is_empty() || id.len() > 128 || id.starts_with('.') || !id.chars().all(fine) {
        return Err(NetError::Invalid(format!("{id:?} can't name a sandbox")));
    }
    Ok(())
}

fn failed(what: &str, id: &str, error: impl std::fmt::Display) -> NetError {
    NetError::Failed(format!("{what} of sandbox {id}: {error}"))
}
