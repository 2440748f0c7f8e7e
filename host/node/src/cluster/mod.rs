//! What a node needs of the control plane, and nothing more: the pods bound to it, the objects that those name, and
//! places to write what it saw. [`Local`] speaks to objects in the same process, [`Remote`] to the API of a control plane
//! elsewhere.

mod lease;
mod local;
pub mod recorder;
pub mod remote;
mod steady;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::{Record, Status};
use serde_json::Value;
use tokio::sync::watch;

pub use lease::{LEASE_NAMESPACE, NodeLease};
use lease::{lease_object, lease_spec};
pub use local::Local;
pub use recorder::{Recorder, Severity};
pub use remote::Remote;
pub(crate) use steady::Steady;

/// The address of one pod, for its whole life: a pod of the same name and another uid is another pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodRef {
    /// `metadata.namespace`
    pub namespace: String,
    /// `metadata.name`
    pub name: String,
    /// `metadata.uid`
    pub uid: String,
}

impl PodRef {
    /// Of an object of the store.
    pub fn of(record: &Record) -> Self {
        Self { namespace: record.meta.namespace.clone(), name: record.meta.name.clone(), uid: record.meta.uid.clone() }
    }
}

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// Kinds whose contents pods read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// v1 ConfigMap
    ConfigMap,
    /// v1 Secret
    Secret,
}

impl Source {
    /// As the kubelet's messages spell it.
    pub fn plural(self) -> &'static str {
        match self {
            Source::ConfigMap => "configmaps",
            Source::Secret => "secrets",
        }
    }
}

/// (namespace, name) of the objects of one kind that the pods of a node read: those worth following. Changes as pods
/// come and go.
pub type Wanted = watch::Receiver<Arc<BTreeSet<(String, String)>>>;

/// A change in the set of pods, or of the objects of another kind that a node follows.
#[derive(Clone, Debug)]
pub enum PodEvent {
    /// Everything there is; what is known and not in it is gone. First, and again after a gap.
    Snapshot(Vec<Arc<Record>>),
    /// New or changed.
    Applied(Arc<Record>),
    /// Gone, or (a pod) no longer of this node.
    Gone(Arc<Record>),
}

/// Changes of pods, or of the objects of another kind, in order.
#[async_trait]
pub trait PodFeed: Send {
    /// The next changes, at least one; waits. After an error the next call begins with a snapshot.
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status>;
}

/// Changes of a kind that pods read from.
#[async_trait]
pub trait SourceFeed: Send {
    /// (namespace, name) of objects that changed; waits. `None`: some changes were missed, look at everything again.
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status>;
}

/// The control plane as a node sees it. Every call may be repeated.
#[async_trait]
pub trait Cluster: Send + Sync + 'static {
    /// Pods bound to this node; `None`: every pod.
    fn pods(&self, node: Option<&str>) -> Box<dyn PodFeed>;

    /// Every object of a kind, for what a node does beside its pods (`discovery.k8s.io`, `v1`, `endpointslices`).
    fn follow(&self, group: &str, version: &str, plural: &str) -> Box<dyn PodFeed>;

    /// Changes of a kind that pods read from, at least of the wanted objects. What becomes wanted later may be told of
    /// as changed at once.
    fn changes(&self, source: Source, wanted: Wanted) -> Box<dyn SourceFeed>;

    /// One object that a pod names; `None` when there is none.
    async fn source(&self, source: Source, namespace: &str, name: &str) -> Result<Option<Arc<Record>>, Status>;

    /// The pod as it is now; `None` when it or this uid of it is gone.
    async fn pod(&self, pod: &PodRef) -> Result<Option<Arc<Record>>, Status>;

    /// Replaces a pod's status. With `base`, only if the pod is still at that revision.
    async fn write_pod_status(&self, pod: &PodRef, base: Option<u64>, status: Value) -> Result<Arc<Record>, Status>;

    /// Removes a pod object for good, its containers being gone. Succeeds when it is gone already.
    async fn remove_pod(&self, pod: &PodRef) -> Result<(), Status>;

    /// The node object; `None` when there is none.
    async fn node(&self, name: &str) -> Result<Option<Arc<Record>>, Status>;

    /// Creates the node object; `AlreadyExists` when there is one.
    async fn create_node(&self, node: Value) -> Result<Arc<Record>, Status>;

    /// Merges labels, annotations and spec fields into the node object.
    async fn merge_node(&self, name: &str, patch: Value) -> Result<Arc<Record>, Status>;

    /// Merges fields into the node's status.
    async fn merge_node_status(&self, name: &str, status: Value) -> Result<Arc<Record>, Status>;

    /// The Lease of a node; `None` when there is none.
    async fn lease(&self, node: &str) -> Result<Option<Arc<Record>>, Status>;

    /// Says that the node lives: writes `spec.renewTime` of its Lease, which is made if need be.
    async fn renew_lease(&self, lease: &NodeLease) -> Result<(), Status>;

    /// Creates an Event, or merges into the one of this name when `merge` is set.
    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status>;
}
