//! Keeps the Node object and its Lease up to date.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gantry_model::Status;
use gantry_model::status::Reason;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::claim::claim;
use super::machine::Pressure;
use super::object::Description;
use crate::cluster::{Cluster, NodeLease, Recorder, Severity};

/// The kubelet's figures: a lease good for 40 s, renewed four times in that; the status looked at as often, and written
/// every five minutes even if nothing changed.
pub(crate) const LEASE: Duration = Duration::from_secs(40);
const REPORT_EVERY: Duration = Duration::from_secs(300);
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Whether this node can take pods now.
#[async_trait]
pub trait Ready: Send + Sync {
    /// An error says what is missing.
    async fn check(&self) -> Result<(), String>;
}

/// Registers a node and keeps saying that it lives.
pub struct Heartbeat {
    cluster: Arc<dyn Cluster>,
    description: Description,
    data: PathBuf,
    ready: Arc<dyn Ready>,
    recorder: Recorder,
    /// The `Ready` that this process found last.
    ready_was: Option<String>,
    reported: Option<Instant>,
    lease: Duration,
}

impl Heartbeat {
    /// For the node of this description; `data` is where pods' data lies.
    pub fn new(
        cluster: Arc<dyn Cluster>,
        description: Description,
        data: PathBuf,
        ready: Arc<dyn Ready>,
        recorder: Recorder,
    ) -> Self {
        Self { cluster, description, data, ready, recorder, ready_was: None, reported: None, lease: LEASE }
    }

    /// With a lease of another length, at least a second.
    pub fn lease(self, lease: Duration) -> Self {
        Self { lease: lease.max(Duration::from_secs(1)), ..self }
    }

    /// Runs until stopped. Never gives up: without a control plane it tries again.
    pub async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.beat()).await;
    }

    async fn beat(&mut self) {
        let mut uid = self.register_until_done().await;
        let mut tick = tokio::time::interval(self.lease / 4);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let duration_seconds = i32::try_from(self.lease.as_secs()).unwrap_or(i32::MAX);
            let lease = NodeLease { node: self.description.name.clone(), uid: uid.clone(), duration_seconds };
            if let Err(error) = self.cluster.renew_lease(&lease).await {
                tracing::warn!(%error, "can't renew this node's lease");
            }
            match self.report().await {
                Ok(()) => {}
                // Somebody deleted the node. It is still here, so it says so again.
                Err(error) if error.reason == Reason::NotFound => uid = self.register_until_done().await,
                Err(error) => tracing::warn!(%error, "can't write this node's status"),
            }
        }
    }

    async fn register_until_done(&mut self) -> String {
        loop {
            match self.register().await {
                Ok(uid) => return uid,
                Err(error) => tracing::warn!(%error, "can't register this node"),
            }
            tokio::time::sleep(RETRY_AFTER).await;
        }
    }

    /// Creates the Node, or brings the one there is up to date. Answers its uid.
    async fn register(&mut self) -> Result<String, Status> {
        let ready = self.ready.check().await;
        let ready = ready.as_ref().map(|_| ()).map_err(String::as_str);
        let status = self.description.status(self.pressure(), ready, Timestamp::now(), None);
        let record = claim(&*self.cluster, &self.description).await?;
        tracing::info!(node = self.description.name, "registered this node");
        // A created object may come without its status, as through any API server.
        let previous = record.value().get("status").cloned();
        let status = self.keep_transitions(status, previous.as_ref());
        self.ready_was = Some(condition_of(&status, "Ready").0);
        self.cluster.merge_node_status(&self.description.name, status).await?;
        self.reported = Some(Instant::now());
        self.recorder.node(&self.description.name, Severity::Normal, "Starting", "the node agent started");
        Ok(record.meta.uid.clone())
    }

    fn keep_transitions(&self, status: Value, previous: Option<&Value>) -> Value {
        let Some(previous) = previous else { return status };
        let ready = condition_of(&status, "Ready");
        let (ok, message) = (ready.0 == "True", ready.1);
        let ready = if ok { Ok(()) } else { Err(message.as_str()) };
        self.description.status(self.pressure(), ready, Timestamp::now(), Some(previous))
    }

    /// Writes the status when the Node says anything else but for the clock, or when it has not been written for long.
    /// Compared with the Node as it is, not with what was written last: a process that was stopped for a while (a
    /// suspended machine) finds that others have called it silent meanwhile.
    async fn report(&mut self) -> Result<(), Status> {
        let name = &self.description.name;
        let node = self.cluster.node(name).await?.ok_or_else(|| Status::not_found("", "nodes", name))?;
        let stored = node.value().get("status").cloned().unwrap_or_default();
        let ready = self.ready.check().await;
        let ready = ready.as_ref().map(|_| ()).map_err(String::as_str);
        let status = self.description.status(self.pressure(), ready, Timestamp::now(), Some(&stored));
        let same = says(&stored, &status);
        let fresh = self.reported.is_some_and(|at| at.elapsed() < REPORT_EVERY);
        if same && fresh {
            return Ok(());
        }
        self.tell_readiness(&status);
        self.ready_was = Some(condition_of(&status, "Ready").0);
        self.cluster.merge_node_status(&self.description.name, status).await?;
        self.reported = Some(Instant::now());
        Ok(())
    }

    fn tell_readiness(&self, status: &Value) {
        let (now, message) = condition_of(status, "Ready");
        if self.ready_was.as_ref().is_some_and(|before| *before != now) {
            let (severity, reason) = match now.as_str() {
                "True" => (Severity::Normal, "NodeReady"),
                _ => (Severity::Warning, "NodeNotReady"),
            };
            self.recorder.node(&self.description.name, severity, reason, message);
        }
    }

    fn pressure(&self) -> Pressure {
        Pressure::probe(&self.data).unwrap_or_else(|error| {
            tracing::warn!(%error, "can't read how much memory and disk is left");
            Pressure::default()
        })
    }
}

fn condition_of(status: &Value, type_: &str) -> (String, String) {
    let text = |c: &Value, key| c.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    status
        .get("conditions")
        .and_then(Value::as_array)
        .and_then(|all| all.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(type_)))
        .map(|c| (text(c, "status"), text(c, "message")))
        .unwrap_or_default()
}

/// Whether the status that is stored says all that this one does. Fields of others do not count.
fn says(stored: &Value, status: &Value) -> bool {
    let (before, mut after) = (without_heartbeats(stored), without_heartbeats(stored));
    gantry_model::patch::merge(&mut after, &without_heartbeats(status));
    before == after
}

fn without_heartbeats(status: &Value) -> Value {
    let mut status = status.clone();
    for condition in status.get_mut("conditions").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(map) = condition.as_object_mut() {
            map.remove("lastHeartbeatTime");
        }
    }
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::Local;
    use gantry_model::Kinds;
    use gantry_objects::Objects;
    use gantry_store::Sled;

    struct Always;

    #[async_trait]
    impl Ready for Always {
        async fn check(&self) -> Result<(), String> {
            Ok(())
        }
    }

    fn cluster() -> Arc<Local> {
        let kinds = Kinds::default();
        gantry_model::core::register(&kinds);
        Arc::new(Local::new(Objects::new(Arc::new(Sled::temporary().unwrap()), kinds)))
    }

    async fn ready_of(cluster: &Local) -> String {
        let node = cluster.node("n1").await.unwrap().unwrap();
        condition_of(&node.value()["status"], "Ready").0
    }

    #[tokio::test]
    async fn a_node_that_others_called_silent_takes_its_word_back() {
        let cluster = cluster();
        let (recorder, _writer) = Recorder::new(cluster.clone(), "n1");
        let description = Description { name: "n1".to_owned(), ..Description::default() };
        let data = std::env::temp_dir();
        let mut heartbeat = Heartbeat::new(cluster.clone(), description, data, Arc::new(Always), recorder);
        heartbeat.register().await.unwrap();
        heartbeat.report().await.unwrap();
        assert_eq!(ready_of(&cluster).await, "True");
        let revision = cluster.node("n1").await.unwrap().unwrap().revision;
        heartbeat.report().await.unwrap();
        assert_eq!(
            cluster.node("n1").await.unwrap().unwrap().revision,
            revision,
            "nothing changed, nothing is written"
        );
        let unknown = json!({"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}]});
        cluster.merge_node_status("n1", unknown).await.unwrap();
        heartbeat.report().await.unwrap();
        assert_eq!(ready_of(&cluster).await, "True");
    }
}
