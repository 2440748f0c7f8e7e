//! Ranges of pod addresses for nodes: each Node gets one of every cluster range, in `spec.podCIDRs`, and has it until it is
//! deleted. What is given stands in the Nodes and nowhere else, so nothing can be lost in a crash or given twice after it:
//! there is one that gives, and it begins with what the Nodes say.

mod pool;
mod review;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use gantry_objects::{Objects, Patch, Preconditions, WriteOptions};
use gantry_store::Range;
use ipnet::IpNet;
use serde_json::{Value, json};

use crate::follow::{Follower, Seen};
use crate::recorder::{self, Recorder, Severity};

pub use pool::Taken;
use pool::{Pool, overlap};
pub use review::Review;

const MANAGER: &str = "gantry-ranges";
/// Says `none` of a node that has no pods with addresses.
pub const ANNOTATION: &str = "gantry.dev/pod-ranges";
/// How soon a Node that got none is looked at again.
const AGAIN: Duration = Duration::from_secs(10);
/// The smallest range of a node: Kubernetes' bounds, too.
const LONGEST: (u8, u8) = (30, 126);

/// What is given.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// One of each address family at most.
    pub clusters: Vec<IpNet>,
    /// The length of a node's prefix in those of IPv4, and of IPv6.
    pub prefixes: (u8, u8),
    /// What is for Services, and never for pods.
    pub reserved: Vec<IpNet>,
}

/// Options that can't be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Twice the same family.
    #[error("there may be one cluster range of each address family, not both {0} and {1}")]
    Family(IpNet, IpNet),
    /// A range with bits behind its prefix.
    #[error("the cluster range {0} must begin where the range begins: {1}")]
    Start(IpNet, IpNet),
    /// There is no room for a node.
    #[error(
        "a node's prefix of {prefix} bits does not fit the cluster range {cluster}: it must be between {from} and {to}"
    )]
    Prefix {
        /// The range.
        cluster: IpNet,
        /// As asked.
        prefix: u8,
        /// The shortest that fits.
        from: u8,
        /// The longest that makes sense.
        to: u8,
    },
    /// An address would be a pod's and a Service's.
    #[error("the cluster range {0} overlaps {1}, which is for Services: choose another range for one of them")]
    Overlap(IpNet, IpNet),
}

/// The ranges of all nodes. Cheap to clone.
#[derive(Clone)]
pub struct Ranges {
    pool: Arc<Mutex<Pool>>,
}

impl Ranges {
    /// With what the Nodes have.
    pub fn new(options: &Options, objects: &Objects) -> Result<Self, Error> {
        let mut pool = Pool::new(check(options)?, options.reserved.clone());
        if let Some(kind) = objects.kinds().by_kind("", "Node") {
            let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
            for node in objects.store().list(&range).records {
                pool.saw(&node.meta.name, ranges(&node.value()));
            }
        }
        Ok(Self { pool: Arc::new(Mutex::new(pool)) })
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has(&self, node: &str, texts: &[&str]) -> bool {
        let wanted: Vec<IpNet> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        wanted.len() == texts.len() && self.pool().held(node) == Some(&wanted)
    }
}

fn check(options: &Options) -> Result<Vec<(IpNet, u8)>, Error> {
    let mut clusters: Vec<(IpNet, u8)> = Vec::new();
    for cluster in &options.clusters {
        let four = cluster.addr().is_ipv4();
        if let Some((other, _)) = clusters.iter().find(|(other, _)| other.addr().is_ipv4() == four) {
            return Err(Error::Family(*other, *cluster));
        }
        if *cluster != cluster.trunc() {
            return Err(Error::Start(*cluster, cluster.trunc()));
        }
        let (prefix, to) = if four { (options.prefixes.0, LONGEST.0) } else { (options.prefixes.1, LONGEST.1) };
        let from = cluster.prefix_len();
        if !(from..=to).contains(&prefix) {
            return Err(Error::Prefix { cluster: *cluster, prefix, from, to });
        }
        if let Some(other) = options.reserved.iter().find(|other| overlap(cluster, other)) {
            return Err(Error::Overlap(*cluster, *other));
        }
        clusters.push((*cluster, prefix));
    }
    Ok(clusters)
}

/// Gives ranges to Nodes that have none. Runs for ever.
pub async fn run(objects: Objects, recorder: Recorder, ranges: Ranges) {
    let Some(kind) = objects.kinds().by_kind("", "Node") else { return };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let giver = Giver { objects, recorder, ranges, kind };
    let mut without: Vec<Arc<Record>> = Vec::new();
    loop {
        let seen = tokio::time::timeout(AGAIN, follower.next()).await;
        match seen {
            Ok(Seen::All(nodes)) => {
                let names: Vec<&str> = nodes.iter().map(|node| node.meta.name.as_str()).collect();
                giver.ranges.pool().only(&names);
                without = giver.see(nodes.iter().map(|node| (node, false)), Vec::new()).await;
            }
            Ok(Seen::Changes(events)) => {
                without = giver.see(events.iter().map(|event| (&event.record, event.deleted)), without).await;
            }
            Err(_) => {
                let again = std::mem::take(&mut without);
                without = giver.see(again.iter().map(|node| (node, false)), Vec::new()).await;
            }
        }
    }
}

struct Giver {
    objects: Objects,
    recorder: Recorder,
    ranges: Ranges,
    kind: Arc<Kind>,
}

impl Giver {
    /// Looks at Nodes as they are now. Answers those that still need a range.
    async fn see(
        &self,
        nodes: impl Iterator<Item = (&Arc<Record>, bool)>,
        mut without: Vec<Arc<Record>>,
    ) -> Vec<Arc<Record>> {
        for (node, gone) in nodes {
            let name = node.meta.name.as_str();
            without.retain(|other| other.meta.name != name);
            if gone {
                self.ranges.pool().gone(name);
                continue;
            }
            let object = node.value();
            let has = ranges(&object);
            let wants = has.is_empty() && node.meta.annotations.get(ANNOTATION).is_none_or(|said| said != "none");
            self.ranges.pool().saw(name, has);
            if wants && let Err(error) = self.give(node).await {
                tracing::warn!(node = name, %error, "can't give a node its range of addresses");
                without.push(node.clone());
            }
        }
        without
    }

    async fn give(&self, node: &Arc<Record>) -> Result<(), Status> {
        let Some(ranges) = self.ranges.pool().next(&node.meta.name, Instant::now()) else {
            let message = "no range of addresses is left for its pods: widen --cluster-pod-range, or remove nodes";
            self.recorder.tell(
                recorder::about(&self.kind, node),
                Severity::Warning,
                MANAGER,
                "CIDRNotAvailable",
                message,
            );
            return Err(Status::new(Reason::ServiceUnavailable, message));
        };
        let texts: Vec<String> = ranges.iter().map(ToString::to_string).collect();
        let Some(first) = texts.first() else { return Ok(()) };
        let patch = json!({"spec": {"podCIDR": first, "podCIDRs": texts}});
        let preconditions =
            Preconditions { uid: Some(node.meta.uid.clone()), resource_version: Some(node.revision.to_string()) };
        let options = WriteOptions { manager: MANAGER.to_owned(), preconditions, ..WriteOptions::default() };
        match self.objects.patch(&self.kind, "", &node.meta.name, Patch::Merge(patch), &options).await {
            Ok(_) => tracing::info!(node = node.meta.name, ?texts, "a node got its range of addresses"),
            // It changed, and is seen again: what was taken is kept for it until then.
            Err(error) if matches!(error.reason, Reason::Conflict | Reason::NotFound) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What a Node has.
fn ranges(node: &Value) -> Vec<IpNet> {
    texts(node).iter().filter_map(|text| text.parse().ok()).collect()
}

fn texts(node: &Value) -> Vec<&str> {
    let all = node.pointer("/spec/podCIDRs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
    match node.pointer("/spec/podCIDR").and_then(Value::as_str) {
        Some(one) if texts.is_empty() && !one.is_empty() => vec![one],
        _ => texts,
    }
}

#[cfg(test)]
mod tests;
