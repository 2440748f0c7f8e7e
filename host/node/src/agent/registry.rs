//! What can be asked about the pods of this node: which log is whose, which container to run a command in.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gantry_model::Status;
use gantry_model::status::Reason;
use tokio_util::sync::CancellationToken;

use crate::cluster::PodRef;

/// A pod as those who ask see it.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Its uid.
    pub uid: String,
    /// By name.
    pub containers: HashMap<String, ShownContainer>,
}

/// A container as those who ask see it.
#[derive(Clone, Debug, Default)]
pub struct ShownContainer {
    /// The instance that runs.
    pub running: Option<String>,
    /// The log of the latest instance that began, and whether it still runs.
    pub log: Option<LogTarget>,
    /// The log of the instance before.
    pub previous: Option<PathBuf>,
    /// Why it does not run.
    pub waiting: String,
}

/// A log to read.
#[derive(Clone, Debug)]
pub struct LogTarget {
    /// The file, in CRI's format; rotated files lie beside it.
    pub path: PathBuf,
    /// Cancelled once the container has ended: what follows the log then stops at its end.
    pub ended: CancellationToken,
}

/// Every pod of the node.
#[derive(Default)]
pub struct Registry {
    pods: Mutex<HashMap<(String, String), Arc<Shown>>>,
}

impl Registry {
    /// Shows a pod as it is now. A newer pod of the same name takes the place of an older one.
    pub fn show(&self, pod: &PodRef, shown: Shown) {
        let key = (pod.namespace.clone(), pod.name.clone());
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::new(shown));
    }

    /// Whether another pod of this name is shown.
    pub fn is_taken(&self, pod: &PodRef) -> bool {
        self.find(&pod.namespace, &pod.name).is_some_and(|shown| shown.uid != pod.uid)
    }

    /// Forgets a pod.
    pub fn remove(&self, pod: &PodRef) {
        let key = (pod.namespace.clone(), pod.name.clone());
        let mut pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        if pods.get(&key).is_some_and(|shown| shown.uid == pod.uid) {
            pods.remove(&key);
        }
    }

    fn find(&self, namespace: &str, pod: &str) -> Option<Arc<Shown>> {
        let key = (namespace.to_owned(), pod.to_owned());
        self.pods.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn container(&self, namespace: &str, pod: &str, container: &str) -> Result<ShownContainer, Status> {
        let shown = self.find(namespace, pod).ok_or_else(|| Status::not_found("", "pods", pod))?;
        let found = shown.containers.get(container).cloned();
        found.ok_or_else(|| Status::bad_request(format!("container {container} is not valid for pod {pod}")))
    }

    /// The log of a container.
    pub fn log(&self, namespace: &str, pod: &str, container: &str, previous: bool) -> Result<LogTarget, Status> {
        let found = self.container(namespace, pod, container)?;
        if previous {
            let ended = CancellationToken::new();
            ended.cancel();
            return found.previous.map(|path| LogTarget { path, ended }).ok_or_else(|| {
                let message = format!("previous terminated container \"{container}\" in pod \"{pod}\" not found");
                Status::bad_request(message)
            });
        }
        found.log.ok_or_else(|| {
            let why = if found.waiting.is_empty() { "ContainerCreating" } else { &found.waiting };
            let what = "is waiting to start";
            let message = format!("container \"{container}\" in pod \"{pod}\" {what}: {}", wait_reason(why));
            Status::bad_request(message)
        })
    }

    /// The id of a container that runs.
    pub fn running(&self, namespace: &str, pod: &str, container: &str) -> Result<String, Status> {
        let found = self.container(namespace, pod, container)?;
        let missing = || Status::new(Reason::NotFound, format!("container not found (\"{container}\")"));
        found.running.ok_or_else(missing)
    }

    /// Every instance that runs: (pod, container, id).
    pub fn all_running(&self) -> Vec<(PodRef, String, String)> {
        let pods = self.pods.lock().unwrap_or_else(PoisonError::into_inner);
        let of_pod = |((namespace, name), shown): (&(String, String), &Arc<Shown>)| {
            let pod = PodRef { namespace: namespace.clone(), name: name.clone(), uid: shown.uid.clone() };
            let running = shown.containers.iter().filter_map(|(name, c)| Some((name.clone(), c.running.clone()?)));
            running.map(|(name, id)| (pod.clone(), name, id)).collect::<Vec<_>>()
        };
        pods.iter().flat_map(of_pod).collect()
    }
}

/// How the kubelet's log errors spell a waiting reason.
fn wait_reason(reason: &str) -> &str {
    match reason {
        "ErrImagePull" | "ImagePullBackOff" => "trying and failing to pull image",
        "InvalidImageName" => "image name is invalid",
        other => other,
    }
}
