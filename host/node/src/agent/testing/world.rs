//! Everything around an agent, and agents that come and go.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::cluster::FakeCluster;
use super::mounts::FakeMounts;
use super::network::FakeNetwork;
use super::runtime::{FakeRuntime, Journal};
use super::{UID, object};
use crate::agent::{Agent, Clock, Handle, Options};
use crate::cluster::Recorder;
use crate::node::{Capacity, Description, Information};

/// How long a condition is waited for, on the paused clock.
const PATIENCE: Duration = Duration::from_secs(3600);

pub struct World {
    pub journal: Arc<Journal>,
    pub cluster: Arc<FakeCluster>,
    pub runtime: Arc<FakeRuntime>,
    pub network: Arc<FakeNetwork>,
    pub mounts: Arc<FakeMounts>,
    pub clock: Clock,
    /// Of the machine, for agents that start from now on.
    pub boot: String,
    folder: tempfile::TempDir,
    agent: Option<Handle>,
}

impl World {
    /// Without an agent yet.
    pub fn empty() -> Self {
        let journal = Arc::new(Journal::default());
        let clock = Clock::tokio(Timestamp::from_second(1_700_000_000).unwrap());
        Self {
            cluster: Arc::new(FakeCluster::new(journal.clone())),
            runtime: Arc::new(FakeRuntime::new(journal.clone(), clock.clone())),
            network: Arc::new(FakeNetwork::new(journal.clone())),
            mounts: Arc::default(),
            clock,
            boot: "first".to_owned(),
            folder: tempfile::tempdir().unwrap(),
            journal,
            agent: None,
        }
    }

    pub fn new() -> Self {
        let mut world = Self::empty();
        world.start();
        world
    }

    pub fn start(&mut self) {
        let (recorder, writer) = Recorder::new(self.cluster.clone(), "n1");
        tokio::spawn(writer);
        let description = Description {
            name: "n1".to_owned(),
            addresses: vec![[192, 0, 2, 1].into()],
            information: Information { boot_id: self.boot.clone(), ..Information::default() },
            capacity: Capacity { cpu_millis: 4000, memory: 8 << 30, storage: 1 << 40, pods: 10 },
            ..Description::default()
        };
        let (cluster, runtime, network) = (self.cluster.clone(), self.runtime.clone(), self.network.clone());
        let mut options = Options::new(description, cluster, runtime, network, recorder, self.data());
        options.clock = self.clock.clone();
        options.mounts = self.mounts.clone();
        options.heartbeat = false;
        self.agent = Some(Agent::start(options));
    }

    /// As kill -9: nothing of the agent goes on.
    pub async fn kill(&mut self) {
        if let Some(agent) = self.agent.take() {
            agent.stop().await;
        }
    }

    pub fn agent(&self) -> &Handle {
        self.agent.as_ref().unwrap()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub fn pod_dir(&self) -> PathBuf {
        self.data().join("pods").join(UID)
    }

    pub fn create(&self, spec: Value) {
        self.cluster.put_pod(object(UID, spec, json!({})));
    }

    pub fn delete(&self, grace: i64) {
        let at = crate::time::after(self.clock.now(), Duration::from_secs(grace.unsigned_abs()));
        self.cluster.edit_pod("web", |pod| {
            pod["metadata"]["deletionTimestamp"] = json!(crate::time::rfc3339(at));
            pod["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        });
    }

    /// `/phase`, `/containerStatuses/0/state`, … of the pod's status.
    pub fn status(&self, pointer: &str) -> Value {
        let pod = self.cluster.value("web").unwrap_or_default();
        pod.pointer(&format!("/status{pointer}")).cloned().unwrap_or_default()
    }

    pub fn condition(&self, type_: &str) -> String {
        let all = self.status("/conditions");
        let found = all.as_array().and_then(|all| all.iter().find(|c| c["type"] == type_)).cloned();
        found.map(|c| c["status"].as_str().unwrap_or_default().to_owned()).unwrap_or_default()
    }

    /// Waits for a condition; what it waits for is shown when it never comes.
    pub async fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        let waited = async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waited).await.is_err() {
            let pod = serde_json::to_string_pretty(&self.cluster.value("web")).unwrap();
            panic!("never: {what}\n{pod}\n{:#?}\n{:#?}", self.journal.all(), self.cluster.events());
        }
    }

    pub async fn until_phase(&self, phase: &str) {
        self.until(&format!("phase {phase}"), |world| world.status("/phase") == phase).await;
    }

    pub async fn until_gone(&self) {
        self.until("the pod is gone", |world| world.cluster.value("web").is_none()).await;
    }

    pub async fn until_event(&self, text: &str) {
        self.until(&format!("event {text}"), |world| world.cluster.events().iter().any(|e| e.contains(text))).await;
    }

    pub fn steps(&self, wanted: &[&str]) -> Vec<String> {
        self.journal.all().into_iter().filter(|step| wanted.iter().any(|wanted| step.starts_with(wanted))).collect()
    }
}
