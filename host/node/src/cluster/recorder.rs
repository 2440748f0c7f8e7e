//! Events in the kubelet's words, about pods and this node.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::Status;
pub use gantry_objects::recorder::About;
pub use gantry_objects::recorder::Severity;
use gantry_objects::recorder::{self, EventWriter};
use serde_json::Value;

use super::{Cluster, PodRef};

const COMPONENT: &str = "kubelet";

/// Tells Events. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    inner: recorder::Recorder,
}

struct ToCluster(Arc<dyn Cluster>);

#[async_trait]
impl EventWriter for ToCluster {
    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status> {
        self.0.write_event(namespace, name, event, merge).await
    }
}

impl Recorder {
    /// A recorder for this node, and the task that writes; it ends when every clone of the recorder is gone.
    pub fn new(cluster: Arc<dyn Cluster>, node: &str) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (inner, run) = recorder::Recorder::new(Arc::new(ToCluster(cluster)), node);
        (Self { inner }, run)
    }

    /// About a pod, or one of its containers.
    pub fn pod(
        &self,
        pod: &PodRef,
        container: Option<&str>,
        severity: Severity,
        reason: &'static str,
        message: impl Into<String>,
    ) {
        let about = About {
            api_version: "v1".to_owned(),
            kind: "Pod".to_owned(),
            namespace: pod.namespace.clone(),
            name: pod.name.clone(),
            uid: pod.uid.clone(),
            field: container.map(|name| format!("spec.containers{{{name}}}")).unwrap_or_default(),
        };
        self.inner.tell(about, severity, COMPONENT, reason, message);
    }

    /// About any object.
    pub fn object(
        &self,
        about: About,
        severity: Severity,
        reason: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) {
        self.inner.tell(about, severity, COMPONENT, reason, message);
    }

    /// About the node.
    pub fn node(&self, name: &str, severity: Severity, reason: &'static str, message: impl Into<String>) {
        // By convention the uid of a node in Events is its name: whoever describes a node selects by that.
        let about = About {
            api_version: "v1".to_owned(),
            kind: "Node".to_owned(),
            name: name.to_owned(),
            uid: name.to_owned(),
            ..About::default()
        };
        self.inner.tell(about, severity, COMPONENT, reason, message);
    }
}
