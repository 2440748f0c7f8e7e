//! A control plane without plugins: kinds, a store, namespaces.

use std::sync::Arc;
use std::time::Duration;

use gantry_control::recorder::{self, Recorder};
use gantry_model::kind::{Origin, Scope};
use gantry_model::{Kind, Kinds, Record, Status};
use gantry_objects::{DeleteOptions, ListOptions, Objects, Patch, Propagation, Subresource, WriteOptions};
use gantry_store::Sled;
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct World {
    pub objects: Objects,
    pub recorder: Recorder,
    /// Loops of the test; they end with it.
    pub tasks: JoinSet<()>,
}

pub fn write() -> WriteOptions {
    WriteOptions { manager: "tester".into(), ..WriteOptions::default() }
}

pub fn status_write() -> WriteOptions {
    WriteOptions { subresource: Subresource::Status, ..write() }
}

/// A kind of some plugin, with any fields.
pub fn kind(kind: &str, plural: &str, scope: Scope, origin: Origin) -> Kind {
    let schema = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    Kind {
        group: "test.dev".into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: plural.into(),
        singular: kind.to_lowercase(),
        short_names: vec![],
        categories: vec![],
        scope,
        schema: Arc::new(schema),
        definition: String::new(),
        status: true,
        scale: None,
        columns: vec![],
        selectable_fields: vec![],
        origin,
    }
}

impl World {
    pub async fn new() -> Self {
        let kinds = Kinds::default();
        gantry_model::core::register(&kinds);
        kinds.insert(kind("Thing", "things", Scope::Namespaced, Origin::Plugin("test".into())));
        kinds.insert(kind("Global", "globals", Scope::Cluster, Origin::Plugin("test".into())));
        let objects = Objects::new(Arc::new(Sled::temporary().unwrap()), kinds);
        let (recorder, writing) = recorder::recorder(&objects);
        let mut tasks = JoinSet::new();
        tasks.spawn(writing);
        let world = Self { objects, recorder, tasks };
        for namespace in ["default", "a", "b", "kube-node-lease"] {
            world.create("namespaces", "", json!({"metadata": {"name": namespace}})).await;
        }
        world
    }

    pub fn kind(&self, plural: &str) -> Arc<Kind> {
        let kinds = self.objects.kinds().all();
        kinds.into_iter().find(|kind| kind.plural == plural).unwrap_or_else(|| panic!("no kind {plural}"))
    }

    pub async fn create(&self, plural: &str, namespace: &str, mut object: Value) -> Arc<Record> {
        let kind = self.kind(plural);
        object["apiVersion"] = json!(kind.api_version());
        object["kind"] = json!(kind.kind);
        self.objects.create(&kind, namespace, object, &write()).await.unwrap().record
    }

    pub async fn merge(&self, plural: &str, namespace: &str, name: &str, patch: Value) {
        self.objects.patch(&self.kind(plural), namespace, name, Patch::Merge(patch), &write()).await.unwrap();
    }

    pub async fn status(&self, plural: &str, namespace: &str, name: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.objects.patch(&self.kind(plural), namespace, name, patch, &status_write()).await.unwrap();
    }

    pub async fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let options = DeleteOptions { grace_seconds: Some(0), ..DeleteOptions::default() };
        self.objects.delete(&self.kind(plural), namespace, name, &options).await.unwrap();
    }

    pub async fn delete_with(&self, plural: &str, namespace: &str, name: &str, propagation: Propagation) {
        let options = DeleteOptions { propagation: Some(propagation), ..DeleteOptions::default() };
        self.objects.delete(&self.kind(plural), namespace, name, &options).await.unwrap();
    }

    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let found: Result<_, Status> = self.objects.get(&self.kind(plural), namespace, name);
        found.ok().map(|record| record.value())
    }

    pub fn list(&self, plural: &str) -> Vec<Value> {
        let list = self.objects.list(&self.kind(plural), &ListOptions::default()).unwrap();
        list.items.iter().map(|record| record.value()).collect()
    }

    /// The messages of Events about an object of this name.
    pub fn told(&self, name: &str, reason: &str) -> Vec<String> {
        let about = |event: &Value| event["involvedObject"]["name"] == name && event["reason"] == reason;
        let events = self.list("events");
        events.into_iter().filter(about).map(|e| e["message"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Waits until `check` says so; says what it waited for if it never does.
    pub async fn until(&self, what: &str, check: impl Fn(&World) -> bool) {
        let end = tokio::time::Instant::now() + PATIENCE;
        while !check(self) {
            assert!(tokio::time::Instant::now() < end, "waited in vain: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

pub fn node(name: &str, cpu: &str, pods: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"zone": "z1"}},
        "status": {"allocatable": {"cpu": cpu, "memory": "64Gi", "pods": pods}},
    })
}

pub fn pod(name: &str, cpu: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"app": "x"}},
        "spec": {"containers": [{"name": "c", "image": "i:1", "resources": {"requests": {"cpu": cpu}}}]},
    })
}

impl World {
    /// A node with its allocatable resources, which only the status subresource takes.
    pub async fn node(&self, name: &str, cpu: &str, pods: &str) {
        let node = node(name, cpu, pods);
        let status = node["status"].clone();
        self.create("nodes", "", node).await;
        self.status("nodes", "", name, status).await;
    }

    pub async fn pod(&self, name: &str, cpu: &str) -> Arc<Record> {
        self.create("pods", "a", pod(name, cpu)).await
    }

    /// The node that a pod of namespace `a` is on; empty when it is on none.
    pub fn home(&self, name: &str) -> String {
        let pod = self.get("pods", "a", name);
        pod.and_then(|p| p["spec"]["nodeName"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// The message of the condition that says why a pod has no node.
    pub fn refusal(&self, name: &str) -> String {
        let pod = self.get("pods", "a", name).unwrap_or_default();
        let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let ours = |c: &&Value| c["type"] == "PodScheduled" && c["status"] == "False";
        conditions.iter().find(ours).and_then(|c| c["message"].as_str()).unwrap_or_default().to_owned()
    }
}
