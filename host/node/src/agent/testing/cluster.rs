//! A control plane that is a table of pods, ConfigMaps and Secrets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use gantry_model::status::Reason;
use gantry_model::{Record, Status};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::record;
use super::runtime::Journal;
use crate::cluster::{Cluster, NodeLease, PodEvent, PodFeed, PodRef, Source, SourceFeed, Wanted};

#[derive(Default)]
struct Table {
    revision: u64,
    /// By name: everything is in `default`.
    pods: BTreeMap<String, Arc<Record>>,
    sources: BTreeMap<(Source, String), Value>,
    events: Vec<Value>,
    failures: u32,
    writes: u32,
}

pub struct FakeCluster {
    journal: Arc<Journal>,
    table: Arc<Mutex<Table>>,
    pods: broadcast::Sender<PodEvent>,
    changes: broadcast::Sender<(Source, String)>,
}

impl FakeCluster {
    pub fn new(journal: Arc<Journal>) -> Self {
        Self { journal, table: Arc::default(), pods: broadcast::Sender::new(1024), changes: broadcast::Sender::new(64) }
    }

    /// Creates or replaces a pod.
    pub fn put_pod(&self, object: Value) -> Arc<Record> {
        let mut table = self.table.lock().unwrap();
        table.revision += 1;
        let record = Arc::new(record(object, "pods", table.revision));
        table.pods.insert(record.meta.name.clone(), record.clone());
        let _ = self.pods.send(PodEvent::Applied(record.clone()));
        record
    }

    pub fn edit_pod(&self, name: &str, edit: impl FnOnce(&mut Value)) {
        let mut object = self.value(name).unwrap();
        edit(&mut object);
        self.put_pod(object);
    }

    pub fn put_source(&self, source: Source, name: &str, object: Value) {
        self.table.lock().unwrap().sources.insert((source, name.to_owned()), object);
        let _ = self.changes.send((source, name.to_owned()));
    }

    /// The object is gone at once, as after a forced deletion.
    pub fn drop_pod(&self, name: &str) {
        let mut table = self.table.lock().unwrap();
        if let Some(record) = table.pods.remove(name) {
            let _ = self.pods.send(PodEvent::Gone(record));
        }
    }

    /// Status writes that fail from now on.
    pub fn fail_writes(&self, count: u32) {
        self.table.lock().unwrap().failures = count;
    }

    pub fn writes(&self) -> u32 {
        self.table.lock().unwrap().writes
    }

    pub fn value(&self, name: &str) -> Option<Value> {
        self.table.lock().unwrap().pods.get(name).map(|record| record.value())
    }

    /// `Reason: message` of every Event told.
    pub fn events(&self) -> Vec<String> {
        let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
        let table = self.table.lock().unwrap();
        table.events.iter().map(|e| format!("{}: {}", text(e, "reason"), text(e, "message"))).collect()
    }
}

#[async_trait]
impl Cluster for FakeCluster {
    fn pods(&self, node: Option<&str>) -> Box<dyn PodFeed> {
        // One node, or a fleet.
        assert!(matches!(node, None | Some("n1")), "{node:?}");
        Box::new(Feed { table: self.table.clone(), changes: self.pods.subscribe(), begun: false })
    }

    fn follow(&self, _group: &str, _version: &str, plural: &str) -> Box<dyn PodFeed> {
        panic!("an agent follows no {plural}")
    }

    fn changes(&self, source: Source, _wanted: Wanted) -> Box<dyn SourceFeed> {
        Box::new(SourceChanges { source, changes: self.changes.subscribe() })
    }

    async fn source(&self, source: Source, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status> {
        assert_eq!(namespace, "default");
        let found = self.table.lock().unwrap().sources.get(&(source, name.to_owned())).cloned();
        Ok(found.map(|object| Arc::new(record(object, source.plural(), 1))))
    }

    async fn pod(&self, pod: &PodRef) -> Result<Option<Arc<Record>>, Status> {
        let found = self.table.lock().unwrap().pods.get(&pod.name).cloned();
        Ok(found.filter(|record| record.meta.uid == pod.uid))
    }

    async fn write_pod_status(&self, pod: &PodRef, base: Option<u64>, status: Value) -> Result<Arc<Record>, Status> {
        self.journal.step("write").await;
        let record = {
            let mut table = self.table.lock().unwrap();
            table.writes += 1;
            if table.failures > 0 {
                table.failures -= 1;
                return Err(Status::new(Reason::ServiceUnavailable, "not now"));
            }
            let found = table.pods.get(&pod.name).cloned().filter(|record| record.meta.uid == pod.uid);
            let found = found.ok_or_else(|| Status::not_found("", "pods", &pod.name))?;
            if base.is_some_and(|base| base != found.revision) {
                return Err(Status::conflict("", "pods", &pod.name, "changed"));
            }
            let mut object = found.value();
            object["status"] = status;
            table.revision += 1;
            let record = Arc::new(record(object, "pods", table.revision));
            table.pods.insert(pod.name.clone(), record.clone());
            let _ = self.pods.send(PodEvent::Applied(record.clone()));
            record
        };
        self.journal.after("write").await;
        Ok(record)
    }

    async fn remove_pod(&self, pod: &PodRef) -> Result<(), Status> {
        self.journal.step("remove_pod").await;
        if self.pod(pod).await?.is_some() {
            self.drop_pod(&pod.name);
        }
        self.journal.after("remove_pod").await;
        Ok(())
    }

    async fn node(&self, _name: &str) -> Result<Option<Arc<Record>>, Status> {
        Ok(None)
    }

    async fn create_node(&self, node: Value) -> Result<Arc<Record>, Status> {
        Ok(Arc::new(record(node, "nodes", 1)))
    }

    async fn merge_node(&self, name: &str, _patch: Value) -> Result<Arc<Record>, Status> {
        Ok(Arc::new(record(json!({"metadata": {"name": name}}), "nodes", 1)))
    }

    async fn merge_node_status(&self, name: &str, _status: Value) -> Result<Arc<Record>, Status> {
        Ok(Arc::new(record(json!({"metadata": {"name": name}}), "nodes", 1)))
    }

    async fn lease(&self, _node: &str) -> Result<Option<Arc<Record>>, Status> {
        Ok(None)
    }

    async fn renew_lease(&self, _lease: &NodeLease) -> Result<(), Status> {
        Ok(())
    }

    async fn write_event(&self, _namespace: &str, _name: &str, event: Value, merge: bool) -> Result<(), Status> {
        if !merge {
            self.table.lock().unwrap().events.push(event);
        }
        Ok(())
    }
}

struct Feed {
    table: Arc<Mutex<Table>>,
    changes: broadcast::Receiver<PodEvent>,
    begun: bool,
}

#[async_trait]
impl PodFeed for Feed {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        if !self.begun {
            self.begun = true;
            let table = self.table.lock().unwrap();
            return Ok(vec![PodEvent::Snapshot(table.pods.values().cloned().collect())]);
        }
        match self.changes.recv().await {
            Ok(event) => Ok(vec![event]),
            Err(error) => {
                self.begun = false;
                Err(Status::new(Reason::Expired, error.to_string()))
            }
        }
    }
}

struct SourceChanges {
    source: Source,
    changes: broadcast::Receiver<(Source, String)>,
}

#[async_trait]
impl SourceFeed for SourceChanges {
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status> {
        loop {
            match self.changes.recv().await {
                Ok((source, name)) if source == self.source => return Ok(Some(vec![("default".to_owned(), name)])),
                Ok(_) => {}
                Err(error) => return Err(Status::new(Reason::Expired, error.to_string())),
            }
        }
    }
}
