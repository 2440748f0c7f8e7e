//! What every pod's worker shares.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Mutex as AsyncMutex, Semaphore, watch};

use super::admission::Ledger;
use super::clock::Clock;
use super::desired::{Desired, Role};
use super::downward::Facts;
use super::registry::Registry;
use super::volumes::{Maker, Mounts};
use crate::cluster::{Cluster, PodRef, Recorder, Severity, Source, Wanted};
use crate::dns::Names;
use crate::network::{HostNetwork, NetError, PodNetwork, PortMapping, Protocol, SandboxNet};
use crate::policy::PodGuard;
use crate::records;
use crate::runtime::Runtime;

/// How long a pod waits to hear how names are looked up, before it says so and tries again.
const NAMES_PATIENCE: Duration = Duration::from_secs(10);

/// How names are looked up in pods.
#[derive(Clone, Debug)]
pub struct Dns {
    /// As the cluster has it; nothing until that is known.
    pub names: watch::Receiver<Option<Arc<Names>>>,
    /// The node's own configuration: `/etc/resolv.conf`.
    pub node_file: PathBuf,
}

impl Dns {
    /// Of a cluster without names.
    pub fn none(node_file: PathBuf) -> Self {
        Self { names: watch::channel(Some(Arc::new(Names::none()))).1, node_file }
    }

    /// Waits until it is known, not for ever.
    pub async fn known(&self) -> Result<Arc<Names>, &'static str> {
        let mut names = self.names.clone();
        let known = tokio::time::timeout(NAMES_PATIENCE, names.wait_for(Option::is_some)).await;
        let known = known.ok().and_then(|known| known.ok()?.clone());
        known.ok_or("the cluster's plugin for names has not said yet how pods look them up")
    }

    /// What is known now.
    pub fn now(&self) -> Arc<Names> {
        self.names.borrow().clone().unwrap_or_else(|| Arc::new(Names::none()))
    }
}

/// Shared by every worker.
pub struct Context {
    /// The control plane.
    pub cluster: Arc<dyn Cluster>,
    /// Containers.
    pub runtime: Arc<dyn Runtime>,
    /// The runtime's name: `containerd`.
    pub runtime_name: String,
    /// Addresses.
    pub network: Arc<dyn PodNetwork>,
    /// What must be in force before a pod's first packet.
    pub guard: Arc<dyn PodGuard>,
    /// Of pods that use the node's own network.
    pub host_network: HostNetwork,
    /// tmpfs and bind mounts.
    pub mounts: Arc<dyn Mounts>,
    /// Events.
    pub recorder: Recorder,
    /// The time.
    pub clock: Clock,
    /// The node.
    pub facts: Facts,
    /// Which boot of the machine this is.
    pub boot: String,
    /// All of the node's memory, in bytes.
    pub memory: u64,
    /// Name lookup.
    pub dns: Dns,
    /// Where pods' files lie.
    pub data: PathBuf,
    /// Where containers' logs lie.
    pub logs: PathBuf,
    /// Bytes after which a log is rotated, and how many files are kept.
    pub log_limit: (u64, u32),
    /// Where log lines go before their files do.
    pub records: records::Handle,
    /// Pulls at once.
    pub pulls: Semaphore,
    /// Starts at once.
    pub starts: Semaphore,
    /// An image is pulled once, however many pods wait for it.
    pub pulling: Mutex<HashMap<String, Arc<AsyncMutex<()>>>>,
    /// What is taken of the node.
    pub ledger: Ledger,
    /// What can be asked about pods.
    pub registry: Registry,
    /// Which pods read which ConfigMaps and Secrets.
    pub interests: Interests,
}

impl Context {
    /// A pod's folder.
    pub fn pod_dir(&self, uid: &str) -> PathBuf {
        self.data.join("pods").join(uid)
    }

    /// A pod's log folder.
    pub fn log_dir(&self, pod: &PodRef) -> PathBuf {
        self.logs.join(format!("{}_{}_{}", pod.namespace, pod.name, pod.uid))
    }

    /// The log of one instance.
    pub fn log_path(&self, pod: &PodRef, container: &str, attempt: u32) -> PathBuf {
        self.log_dir(pod).join(container).join(format!("{attempt}.log"))
    }

    /// The termination message of one instance.
    pub fn termination_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.container_dir(uid, container).join(format!("{attempt}.termination"))
    }

    /// There once the postStart hook of one instance is done.
    pub fn hooked_path(&self, uid: &str, container: &str, attempt: u32) -> PathBuf {
        self.container_dir(uid, container).join(format!("{attempt}.hooked"))
    }

    fn container_dir(&self, uid: &str, container: &str) -> PathBuf {
        self.pod_dir(uid).join("containers").join(container)
    }

    /// What volumes are made with.
    pub fn maker(&self) -> Maker {
        Maker { cluster: self.cluster.clone(), mounts: self.mounts.clone(), facts: self.facts.clone() }
    }

    /// An Event about a pod or a container.
    pub fn tell(&self, pod: &PodRef, container: Option<&str>, reason: &'static str, message: impl Into<String>) {
        self.recorder.pod(pod, container, Severity::Normal, reason, message);
    }

    /// A warning about a pod or a container.
    pub fn warn(&self, pod: &PodRef, container: Option<&str>, reason: &'static str, message: impl Into<String>) {
        self.recorder.pod(pod, container, Severity::Warning, reason, message);
    }

    /// Makes the pod's network. May be repeated.
    pub async fn attach(&self, desired: &Desired) -> Result<crate::network::NetStatus, NetError> {
        let sandbox = sandbox(desired);
        if desired.host_network() {
            return self.host_network.attach(&sandbox).await;
        }
        self.network.attach(&sandbox).await
    }
}

/// The sandbox lives as long as its pod, so the pod's uid names it.
fn sandbox(desired: &Desired) -> SandboxNet {
    // Init containers that end serve nobody: as the scheduler has it, their ports take nothing of the node.
    let serving = desired.units.iter().filter(|unit| unit.role != Role::Init);
    let ports = serving.flat_map(|unit| unit.spec.ports.iter().flatten()).filter_map(|port| {
        let host_port = port.host_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0)?;
        Some(PortMapping {
            host_port,
            container_port: u16::try_from(port.container_port).ok()?,
            protocol: protocol(port.protocol.as_deref()),
            host_ip: port.host_ip.clone().unwrap_or_default(),
        })
    });
    SandboxNet {
        id: desired.key.uid.clone(),
        namespace: desired.key.namespace.clone(),
        pod: desired.key.name.clone(),
        uid: desired.key.uid.clone(),
        ports: ports.collect(),
    }
}

/// As ports name it.
pub fn protocol(name: Option<&str>) -> Protocol {
    match name {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

/// Which pods read which objects.
#[derive(Default)]
pub struct Interests {
    by_object: Mutex<HashMap<(Source, String, String), BTreeSet<String>>>,
    config_maps: watch::Sender<Arc<BTreeSet<(String, String)>>>,
    secrets: watch::Sender<Arc<BTreeSet<(String, String)>>>,
}

impl Interests {
    /// Notes what a pod reads, in place of what it read before.
    pub fn set(&self, pod: &PodRef, objects: Vec<(Source, String)>) {
        let mut all = self.by_object.lock().unwrap_or_else(PoisonError::into_inner);
        for (source, name) in &objects {
            all.entry((*source, pod.namespace.clone(), name.clone())).or_default().insert(pod.uid.clone());
        }
        all.retain(|(source, namespace, name), uids| {
            let read = *namespace == pod.namespace && objects.iter().any(|(s, n)| s == source && n == name);
            if !read {
                uids.remove(&pod.uid);
            }
            !uids.is_empty()
        });
        self.publish(&all);
    }

    /// Forgets a pod.
    pub fn remove(&self, uid: &str) {
        let mut all = self.by_object.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, uids| {
            uids.remove(uid);
            !uids.is_empty()
        });
        self.publish(&all);
    }

    /// The pods that read one of these objects.
    pub fn of(&self, source: Source, changed: &[(String, String)]) -> BTreeSet<String> {
        let all = self.by_object.lock().unwrap_or_else(PoisonError::into_inner);
        let uids = changed.iter().filter_map(|(ns, name)| all.get(&(source, ns.clone(), name.clone())));
        uids.flatten().cloned().collect()
    }

    /// The objects that any pod reads, from now on.
    pub fn wanted(&self, source: Source) -> Wanted {
        self.sender(source).subscribe()
    }

    fn sender(&self, source: Source) -> &watch::Sender<Arc<BTreeSet<(String, String)>>> {
        match source {
            Source::ConfigMap => &self.config_maps,
            Source::Secret => &self.secrets,
        }
    }

    fn publish(&self, all: &HashMap<(Source, String, String), BTreeSet<String>>) {
        for source in [Source::ConfigMap, Source::Secret] {
            let of_source = all.keys().filter(|(s, ..)| *s == source);
            let names: BTreeSet<_> = of_source.map(|(_, ns, name)| (ns.clone(), name.clone())).collect();
            self.sender(source).send_if_modified(|known| {
                let changed = **known != names;
                if changed {
                    *known = Arc::new(names);
                }
                changed
            });
        }
    }
}

/// Creates the folder of a file.
pub fn make_parent(path: &Path) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> PodRef {
        PodRef { namespace: "team".into(), name: uid.into(), uid: uid.into() }
    }

    #[test]
    fn what_pods_read_is_wanted_while_one_does() {
        let interests = Interests::default();
        let mut wanted = interests.wanted(Source::Secret);
        let names = |wanted: &mut Wanted| {
            wanted.borrow_and_update().iter().map(|(ns, name)| format!("{ns}/{name}")).collect::<Vec<_>>()
        };
        interests.set(&pod("a"), vec![(Source::Secret, "key".into()), (Source::ConfigMap, "conf".into())]);
        interests.set(&pod("b"), vec![(Source::Secret, "key".into()), (Source::Secret, "other".into())]);
        assert_eq!(names(&mut wanted), ["team/key", "team/other"]);
        // The same again is no change.
        interests.set(&pod("b"), vec![(Source::Secret, "key".into()), (Source::Secret, "other".into())]);
        assert!(!wanted.has_changed().unwrap());
        interests.set(&pod("b"), vec![(Source::Secret, "key".into())]);
        assert_eq!(names(&mut wanted), ["team/key"]);
        interests.remove("a");
        assert_eq!(names(&mut wanted), ["team/key"]);
        assert_eq!(interests.of(Source::Secret, &[("team".into(), "key".into())]), BTreeSet::from(["b".into()]));
        interests.remove("b");
        assert!(names(&mut wanted).is_empty() && interests.wanted(Source::ConfigMap).borrow().is_empty());
    }
}
