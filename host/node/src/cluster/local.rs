//! The control plane in the same process.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use gantry_objects::{
    Change, Changes, DeleteOptions, ListOptions, Objects, Patch, Preconditions, Subresource, WatchOptions, WriteOptions,
};
use serde_json::{Value, json};

use super::{
    Cluster, LEASE_NAMESPACE, NodeLease, PodEvent, PodFeed, PodRef, Source, SourceFeed, Wanted, lease_object,
    lease_spec,
};

/// A field manager's name, for `managedFields`.
const MANAGER: &str = "gantry-node";

/// Objects in the same process.
#[derive(Clone)]
pub struct Local {
    objects: Objects,
}

impl Local {
    /// Over these objects.
    pub fn new(objects: Objects) -> Self {
        Self { objects }
    }

    fn kind(&self, group: &str, kind: &str) -> Result<Arc<Kind>, Status> {
        self.objects
            .kinds()
            .by_kind(group, kind)
            .ok_or_else(|| Status::internal(format!("the control plane knows no kind {kind}")))
    }

    fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status> {
        absent(self.objects.get(kind, namespace, name))
    }

    async fn create_lease(&self, kind: &Kind, lease: &NodeLease) -> Result<(), Status> {
        let object = lease_object(lease);
        match self.objects.create(kind, LEASE_NAMESPACE, object.clone(), &write()).await {
            Err(e) if e.reason == Reason::NotFound => {
                self.create_namespace(LEASE_NAMESPACE).await?;
                self.objects.create(kind, LEASE_NAMESPACE, object, &write()).await.map(|_| ())
            }
            other => other.map(|_| ()),
        }
    }

    async fn create_namespace(&self, name: &str) -> Result<(), Status> {
        let kind = self.kind("", "Namespace")?;
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        match self.objects.create(&kind, "", object, &write()).await {
            Err(e) if e.reason != Reason::AlreadyExists => Err(e),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Cluster for Local {
    fn pods(&self, node: Option<&str>) -> Box<dyn PodFeed> {
        let selector = node.map(|n| format!("spec.nodeName={n}")).unwrap_or_default();
        let (group, version, plural) = (String::new(), "v1".to_owned(), "pods".to_owned());
        Box::new(LocalFeed { local: self.clone(), group, version, plural, selector, changes: None })
    }

    fn follow(&self, group: &str, version: &str, plural: &str) -> Box<dyn PodFeed> {
        let (group, version, plural) = (group.to_owned(), version.to_owned(), plural.to_owned());
        Box::new(LocalFeed { local: self.clone(), group, version, plural, selector: String::new(), changes: None })
    }

    /// Of all objects: in one process that costs nothing.
    fn changes(&self, source: Source, _wanted: Wanted) -> Box<dyn SourceFeed> {
        Box::new(LocalSources { local: self.clone(), source, changes: None })
    }

    async fn source(&self, source: Source, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get(&*self.kind("", kind_of(source))?, namespace, name)
    }

    async fn pod(&self, pod: &PodRef) -> Result<Option<Arc<Record>>, Status> {
        let found = self.get(&*self.kind("", "Pod")?, &pod.namespace, &pod.name)?;
        Ok(found.filter(|record| record.meta.uid == pod.uid))
    }

    async fn write_pod_status(&self, pod: &PodRef, base: Option<u64>, status: Value) -> Result<Arc<Record>, Status> {
        let kind = self.kind("", "Pod")?;
        let mut object = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
        });
        if let Some(map) = object.as_object_mut() {
            map.insert("status".to_owned(), status);
        }
        let preconditions =
            Preconditions { uid: Some(pod.uid.clone()), resource_version: base.map(|revision| revision.to_string()) };
        let options = WriteOptions { subresource: Subresource::Status, preconditions, ..write() };
        Ok(self.objects.update(&kind, &pod.namespace, &pod.name, object, &options).await?.record)
    }

    async fn remove_pod(&self, pod: &PodRef) -> Result<(), Status> {
        let kind = self.kind("", "Pod")?;
        let options = DeleteOptions {
            grace_seconds: Some(0),
            preconditions: Preconditions { uid: Some(pod.uid.clone()), resource_version: None },
            ..DeleteOptions::default()
        };
        match self.objects.delete(&kind, &pod.namespace, &pod.name, &options).await {
            // A conflict is about the uid: another pod has the name now.
            Err(e) if !matches!(e.reason, Reason::NotFound | Reason::Conflict) => Err(e),
            _ => Ok(()),
        }
    }

    async fn node(&self, name: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get(&*self.kind("", "Node")?, "", name)
    }

    async fn create_node(&self, node: Value) -> Result<Arc<Record>, Status> {
        Ok(self.objects.create(&*self.kind("", "Node")?, "", node, &write()).await?.record)
    }

    async fn merge_node(&self, name: &str, patch: Value) -> Result<Arc<Record>, Status> {
        Ok(self.objects.patch(&*self.kind("", "Node")?, "", name, Patch::Merge(patch), &write()).await?.record)
    }

    async fn merge_node_status(&self, name: &str, status: Value) -> Result<Arc<Record>, Status> {
        let kind = self.kind("", "Node")?;
        let options = WriteOptions { subresource: Subresource::Status, ..write() };
        let patch = Patch::Merge(json!({ "status": status }));
        Ok(self.objects.patch(&kind, "", name, patch, &options).await?.record)
    }

    async fn lease(&self, node: &str) -> Result<Option<Arc<Record>>, Status> {
        self.get(&*self.kind("coordination.k8s.io", "Lease")?, LEASE_NAMESPACE, node)
    }

    async fn renew_lease(&self, lease: &NodeLease) -> Result<(), Status> {
        let kind = self.kind("coordination.k8s.io", "Lease")?;
        let patch = Patch::Merge(json!({ "spec": lease_spec(lease) }));
        match self.objects.patch(&kind, LEASE_NAMESPACE, &lease.node, patch, &write()).await {
            Err(e) if e.reason == Reason::NotFound => self.create_lease(&kind, lease).await,
            other => other.map(|_| ()),
        }
    }

    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status> {
        let kind = self.kind("", "Event")?;
        if merge {
            return self.objects.patch(&kind, namespace, name, Patch::Merge(event), &write()).await.map(|_| ());
        }
        self.objects.create(&kind, namespace, event, &write()).await.map(|_| ())
    }
}

struct LocalFeed {
    local: Local,
    group: String,
    version: String,
    plural: String,
    selector: String,
    changes: Option<Changes>,
}

#[async_trait]
impl PodFeed for LocalFeed {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        let Some(changes) = &mut self.changes else {
            let Self { group, version, plural, .. } = &*self;
            let kind = self.local.objects.kinds().by_resource(group, version, plural);
            let kind = kind.ok_or_else(|| Status::internal(format!("the control plane knows no {plural}")))?;
            let options = ListOptions { field_selector: self.selector.clone(), ..ListOptions::default() };
            let list = self.local.objects.list(&kind, &options)?;
            let options = WatchOptions {
                field_selector: self.selector.clone(),
                from: Some(list.revision),
                ..WatchOptions::default()
            };
            self.changes = Some(self.local.objects.watch(&kind, &options)?);
            return Ok(vec![PodEvent::Snapshot(list.items)]);
        };
        match changes.next().await {
            Ok(changes) => Ok(changes.into_iter().map(pod_event).collect()),
            Err(e) => {
                self.changes = None;
                Err(e)
            }
        }
    }
}

fn pod_event(change: Change) -> PodEvent {
    match change {
        Change::Added(record) | Change::Modified(record) => PodEvent::Applied(record),
        Change::Deleted(record) => PodEvent::Gone(record),
    }
}

struct LocalSources {
    local: Local,
    source: Source,
    changes: Option<Changes>,
}

#[async_trait]
impl SourceFeed for LocalSources {
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status> {
        let Some(changes) = &mut self.changes else {
            let kind = self.local.kind("", kind_of(self.source))?;
            let options = WatchOptions { from: Some(self.local.objects.store().revision()), ..WatchOptions::default() };
            self.changes = Some(self.local.objects.watch(&kind, &options)?);
            return Ok(None);
        };
        match changes.next().await {
            Ok(changes) => Ok(Some(changes.iter().map(changed_name).collect())),
            Err(e) => {
                self.changes = None;
                Err(e)
            }
        }
    }
}

fn changed_name(change: &Change) -> (String, String) {
    let (Change::Added(record) | Change::Modified(record) | Change::Deleted(record)) = change;
    (record.meta.namespace.clone(), record.meta.name.clone())
}

fn kind_of(source: Source) -> &'static str {
    match source {
        Source::ConfigMap => "ConfigMap",
        Source::Secret => "Secret",
    }
}

fn write() -> WriteOptions {
    WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() }
}

fn absent<T>(result: Result<T, Status>) -> Result<Option<T>, Status> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(e) if e.reason == Reason::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
