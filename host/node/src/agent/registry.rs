//! What can be asked about the pods of this node: which log is whose, which container to run a command in.

use std::collections::HashMap;
use std::net::IpAddr;
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
    /// Bytes that it may use.
    pub memory_limit: Option<u64>,
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
    /// Who has which address.
    addresses: Mutex<HashMap<IpAddr, PodRef>>,
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

    /// Notes the addresses of a pod. They are nobody else's: whoever had one before has given it up.
    pub fn claim(&self, pod: &PodRef, addresses: &[IpAddr]) {
        let mut all = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, of| of.uid != pod.uid);
        all.extend(addresses.iter().map(|address| (*address, pod.clone())));
    }

    /// Forgets the addresses of a pod: to be called before somebody else can get them.
    pub fn release(&self, uid: &str) {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, of| of.uid != uid);
    }

    /// The pod that has this address.
    pub fn at(&self, address: IpAddr) -> Option<PodRef> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(&address).cloned()
    }

    /// The containers of a pod that run, by name: which instance, and how many bytes it may use.
    pub fn running_of(&self, pod: &PodRef) -> Vec<(String, String, Option<u64>)> {
        let Some(shown) = self.find(&pod.namespace, &pod.name).filter(|shown| shown.uid == pod.uid) else {
            return Vec::new();
        };
        let of = |(name, c): (&String, &ShownContainer)| Some((name.clone(), c.running.clone()?, c.memory_limit));
        let mut running: Vec<_> = shown.containers.iter().filter_map(of).collect();
        running.sort();
        running
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_pods() {
        let registry = Registry::default();
        let pod = |uid: &str| PodRef { namespace: "team".into(), name: uid.into(), uid: uid.into() };
        let at = |address: &str| registry.at(address.parse().unwrap()).map(|pod| pod.uid);
        let (one, two) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        registry.claim(&pod("a"), &[one]);
        registry.claim(&pod("b"), &[two]);
        assert_eq!((at("10.0.0.1"), at("10.0.0.2"), at("10.0.0.3")), (Some("a".into()), Some("b".into()), None));
        // Prepared anew, with another address: the old one is nobody's.
        registry.claim(&pod("a"), &["10.0.0.3".parse().unwrap()]);
        assert_eq!((at("10.0.0.1"), at("10.0.0.3")), (None, Some("a".into())));
        registry.release("a");
        registry.claim(&pod("c"), &["10.0.0.3".parse().unwrap()]);
        registry.release("a");
        assert_eq!(at("10.0.0.3"), Some("c".into()));
    }

    #[test]
    fn what_runs_of_a_pod_is_not_that_of_a_later_one() {
        let registry = Registry::default();
        let pod = |uid: &str| PodRef { namespace: "team".into(), name: "web".into(), uid: uid.into() };
        let runs = ShownContainer { running: Some("i".into()), memory_limit: Some(7), ..ShownContainer::default() };
        let containers = [("a".to_owned(), runs), ("b".to_owned(), ShownContainer::default())].into();
        registry.show(&pod("u"), Shown { uid: "u".into(), containers });
        assert_eq!(registry.running_of(&pod("u")), [("a".to_owned(), "i".to_owned(), Some(7))]);
        assert!(registry.running_of(&pod("v")).is_empty());
    }
}
