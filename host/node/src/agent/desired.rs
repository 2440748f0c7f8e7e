//! A Pod object as the agent reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gantry_model::Record;
use gantry_model::order::{self, Order, START_AFTER, State};
use gantry_model::ulimits::{self, ULIMITS, Ulimit, Ulimits};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodStatus};
use sha2::{Digest, Sha256};

use crate::cluster::PodRef;

/// What a container is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Runs to its end before the next one starts.
    Init,
    /// Starts among the init containers and goes on for the pod's whole life.
    Sidecar,
    /// An ordinary container.
    Main,
}

/// When a container that ended is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Whatever its exit code.
    Always,
    /// When it failed.
    OnFailure,
    /// Not at all.
    Never,
}

/// A container of the spec.
#[derive(Clone, Debug)]
pub struct Unit {
    /// What it is for.
    pub role: Role,
    /// Changes when the container must be made anew.
    pub hash: String,
    /// As the spec has it.
    pub spec: Arc<Container>,
    /// Containers that come before it, and what of each is waited for.
    pub after: BTreeMap<String, State>,
    /// What its processes may have, by the names of limits.
    pub ulimits: BTreeMap<String, Ulimit>,
}

impl Unit {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }
}

/// A pod at one revision.
#[derive(Clone, Debug)]
pub struct Desired {
    /// Its address.
    pub key: PodRef,
    /// The revision read.
    pub revision: u64,
    /// The whole object.
    pub pod: Arc<Pod>,
    /// Init containers and sidecars in their order, then the ordinary ones.
    pub units: Vec<Unit>,
    /// Restarts of ordinary containers.
    pub policy: Policy,
    /// When it must be gone, once its deletion began.
    pub deletion: Option<Timestamp>,
}

impl Desired {
    /// Reads an object of the store. An object that is no Pod gives the reason.
    pub fn read(record: &Record) -> Result<Self, String> {
        let pod: Pod = serde_json::from_slice(&record.json).map_err(|e| format!("can't read the pod: {e}"))?;
        let spec = pod.spec.clone().unwrap_or_default();
        let policy = match spec.restart_policy.as_deref() {
            Some("Never") => Policy::Never,
            Some("OnFailure") => Policy::OnFailure,
            _ => Policy::Always,
        };
        let init = spec.init_containers.unwrap_or_default().into_iter().map(|container| {
            let sidecar = container.restart_policy.as_deref() == Some("Always");
            unit(if sidecar { Role::Sidecar } else { Role::Init }, container)
        });
        let mut units: Vec<Unit> =
            init.chain(spec.containers.into_iter().map(|container| unit(Role::Main, container))).collect();
        let mut order = order(&pod)?;
        for unit in units.iter_mut().filter(|unit| unit.role == Role::Main) {
            unit.after = order.remove(&unit.spec.name).unwrap_or_default();
        }
        let mut ulimits = ulimits(&pod)?;
        for unit in &mut units {
            unit.ulimits = ulimits.remove(&unit.spec.name).unwrap_or_default();
        }
        let deletion = pod.metadata.deletion_timestamp.as_ref().map(|at| at.0);
        Ok(Self { key: PodRef::of(record), revision: record.revision, pod: Arc::new(pod), units, policy, deletion })
    }

    /// `spec`, empty when there is none.
    pub fn spec(&self) -> std::borrow::Cow<'_, PodSpec> {
        match &self.pod.spec {
            Some(spec) => std::borrow::Cow::Borrowed(spec),
            None => std::borrow::Cow::Owned(PodSpec::default()),
        }
    }

    /// `status` as it was last written.
    pub fn status(&self) -> Option<&PodStatus> {
        self.pod.status.as_ref()
    }

    /// A container of the spec.
    pub fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name() == name)
    }

    /// Seconds between the polite signal and the one that can't be refused.
    pub fn grace_seconds(&self) -> i64 {
        let own = self.pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds).unwrap_or(30);
        self.pod.metadata.deletion_grace_period_seconds.unwrap_or(own).max(1)
    }

    /// Whether it uses the node's network.
    pub fn host_network(&self) -> bool {
        self.pod.spec.as_ref().and_then(|spec| spec.host_network).unwrap_or(false)
    }

    /// Whether its status says that it has come to its end.
    pub fn is_over(&self) -> bool {
        matches!(self.status().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
    }

    /// As messages name it: `web_default(1234-…)`.
    pub fn full_name(&self) -> String {
        format!("{}_{}({})", self.key.name, self.key.namespace, self.key.uid)
    }
}

/// The API takes no order that can't be read, so none is read that it did not see.
fn order(pod: &Pod) -> Result<Order, String> {
    let text = pod.metadata.annotations.as_ref().and_then(|all| all.get(START_AFTER));
    let names: Vec<&str> =
        pod.spec.iter().flat_map(|spec| &spec.containers).map(|container| container.name.as_str()).collect();
    let order = text.map_or_else(|| Ok(Order::new()), |text| order::parse(text));
    let order = order.and_then(|order| order::check(&order, &names).map(|()| order));
    order.map_err(|problem| format!("annotation {START_AFTER}: {problem}"))
}

/// The same of limits.
fn ulimits(pod: &Pod) -> Result<Ulimits, String> {
    let text = pod.metadata.annotations.as_ref().and_then(|all| all.get(ULIMITS));
    let spec = pod.spec.as_ref();
    let all = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten().chain(&spec.containers));
    let names: Vec<&str> = all.map(|container| container.name.as_str()).collect();
    let limits = text.map_or_else(|| Ok(Ulimits::new()), |text| ulimits::parse(text));
    let limits = limits.and_then(|limits| ulimits::check(&limits, &names).map(|()| limits));
    limits.map_err(|problem| format!("annotation {ULIMITS}: {problem}"))
}

fn unit(role: Role, container: Container) -> Unit {
    // What may change in a pod that exists and needs a new container: the image. Resources change in place.
    let text = format!("{}\0{}", container.name, container.image.as_deref().unwrap_or_default());
    let digest = Sha256::digest(text.as_bytes());
    let hash = hex::encode(digest).chars().take(16).collect();
    Unit { role, hash, spec: Arc::new(container), after: BTreeMap::new(), ulimits: BTreeMap::new() }
}
