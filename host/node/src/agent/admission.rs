//! Whether a pod that was bound to this node fits it. The scheduler saw to that; but two schedulers, or a pod bound by
//! hand, may not have, and a node that takes more than it has serves nobody.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::PodSpec;

use super::context::protocol;
use super::desired::Desired;
use super::resources;
use crate::network::Protocol;
use crate::node::Capacity;

/// A port of the node: number, protocol, address (empty: every one).
type HostPort = (u16, Protocol, String);

#[derive(Clone, Debug, Default)]
struct Demand {
    /// Thousandths of a core; thousandths of a byte.
    cpu: i128,
    memory: i128,
    storage: i128,
    ports: Vec<HostPort>,
}

/// A pod that is refused: its status' reason and message.
pub type Refusal = (String, String);

/// What is taken of a node.
pub struct Ledger {
    allocatable: Capacity,
    taken: Mutex<HashMap<String, Demand>>,
}

impl Ledger {
    /// Of a node that has this for pods.
    pub fn new(allocatable: Capacity) -> Self {
        Self { allocatable, taken: Mutex::default() }
    }

    /// Notes a pod that is here already, whether it fits or not.
    pub fn take(&self, desired: &Desired) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.insert(desired.key.uid.clone(), demand(&desired.spec()));
    }

    /// Takes a new pod's share, or says why there is none.
    pub fn admit(&self, desired: &Desired) -> Result<(), Refusal> {
        let demand = demand(&desired.spec());
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        self.check(&demand, &taken, &desired.key.uid)?;
        taken.insert(desired.key.uid.clone(), demand);
        Ok(())
    }

    /// Gives a pod's share back.
    pub fn release(&self, uid: &str) {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(uid);
    }

    fn check(&self, demand: &Demand, taken: &HashMap<String, Demand>, uid: &str) -> Result<(), Refusal> {
        let others = || taken.iter().filter(|(other, _)| *other != uid).map(|(_, demand)| demand);
        let short = |name: &str, asked: i128, used: i128, has: i128| {
            let message = format!(
                "Pod was rejected: Node didn't have enough resource: {name}, requested: {asked}, used: {used}, capacity: {has}"
            );
            Err((format!("OutOf{name}"), message))
        };
        let has = &self.allocatable;
        let count = others().count() as i128;
        if count + 1 > i128::from(has.pods) {
            return short("pods", 1, count, has.pods.into());
        }
        let sum = |of: fn(&Demand) -> i128| others().map(of).sum::<i128>();
        let (cpu, memory, storage) = (sum(|d| d.cpu), sum(|d| d.memory), sum(|d| d.storage));
        if demand.cpu > 0 && cpu + demand.cpu > has.cpu_millis.into() {
            return short("cpu", demand.cpu, cpu, has.cpu_millis.into());
        }
        if demand.memory > 0 && memory + demand.memory > i128::from(has.memory) * 1000 {
            return short("memory", demand.memory / 1000, memory / 1000, has.memory.into());
        }
        if demand.storage > 0 && storage + demand.storage > i128::from(has.storage) * 1000 {
            return short("ephemeral-storage", demand.storage / 1000, storage / 1000, has.storage.into());
        }
        if demand.ports.iter().any(|port| others().any(|other| other.ports.iter().any(|o| conflict(port, o)))) {
            let message = "Pod was rejected: node(s) didn't have free ports for the requested pod ports";
            return Err(("NodePorts".to_owned(), message.to_owned()));
        }
        Ok(())
    }
}

fn conflict(one: &HostPort, other: &HostPort) -> bool {
    let any = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
    one.0 == other.0 && one.1 == other.1 && (one.2 == other.2 || any(&one.2) || any(&other.2))
}

/// What a pod needs at its hungriest.
fn demand(spec: &PodSpec) -> Demand {
    let of = |name: &str| resources::at_most(spec, name, |c| resources::request(c, name).unwrap_or_default());
    let host_network = spec.host_network.unwrap_or(false);
    // The scheduler's rule: an init container that ends serves nobody.
    let sidecars = spec.init_containers.iter().flatten().filter(|c| c.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|c| c.ports.iter().flatten()).filter_map(|port| {
        let number = port.host_port.or(host_network.then_some(port.container_port))?;
        let number = u16::try_from(number).ok().filter(|number| *number != 0)?;
        Some((number, protocol(port.protocol.as_deref()), port.host_ip.clone().unwrap_or_default()))
    });
    Demand { cpu: of("cpu"), memory: of("memory"), storage: of("ephemeral-storage"), ports: ports.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::desired;
    use serde_json::json;

    fn pod(uid: &str, spec: serde_json::Value) -> Desired {
        desired(uid, spec, json!({}))
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let ledger = Ledger::new(Capacity { cpu_millis: 1000, memory: 1 << 30, storage: 1 << 30, pods: 3 });
        let asks =
            |resources: serde_json::Value| json!({"containers": [{"name": "c", "resources": {"requests": resources}}]});
        let port = |port: u16, ip: &str| json!({"containers": [{"name": "c", "ports": [{"containerPort": 80, "hostPort": port, "hostIP": ip}]}]});
        for (uid, spec, want) in [
            ("a", asks(json!({"cpu": "600m"})), None),
            ("b", asks(json!({"cpu": "500m"})), Some("OutOfcpu")),
            ("b", asks(json!({"memory": "2Gi"})), Some("OutOfmemory")),
            ("b", port(80, ""), None),
            ("c", port(80, "192.0.2.1"), Some("NodePorts")),
            ("c", port(81, ""), None),
            ("d", asks(json!({})), Some("OutOfpods")),
        ] {
            let refusal = ledger.admit(&pod(uid, spec)).err().map(|(reason, _)| reason);
            assert_eq!(refusal.as_deref(), want, "{uid}");
        }
        ledger.release("a");
        assert!(ledger.admit(&pod("d", asks(json!({"cpu": "1"})))).is_ok());
    }

    #[test]
    fn ports_of_init_containers_that_end_take_nothing() {
        let port = |name: &str, policy: Option<&str>| json!({"name": name, "restartPolicy": policy, "ports": [{"containerPort": 80, "hostPort": 80}]});
        let capacity = Capacity { cpu_millis: 1000, memory: 1 << 30, storage: 1 << 30, pods: 9 };
        for (init, free) in [(port("i", None), true), (port("s", Some("Always")), false)] {
            let ledger = Ledger::new(capacity);
            ledger.take(&pod("a", json!({"initContainers": [init], "containers": [{"name": "c"}]})));
            let other = pod("b", json!({"containers": [port("c", None)]}));
            assert_eq!(ledger.admit(&other).is_ok(), free, "{init}");
        }
    }

    #[test]
    fn init_containers_count_at_their_peak() {
        let cpu = |name: &str, cpu: &str, policy: Option<&str>| json!({"name": name, "restartPolicy": policy, "resources": {"requests": {"cpu": cpu}}});
        let spec: PodSpec = serde_json::from_value(json!({
            "initContainers": [cpu("s", "100m", Some("Always")), cpu("i", "900m", None)],
            "containers": [cpu("a", "300m", None), cpu("b", "300m", None)],
        }))
        .unwrap();
        assert_eq!(demand(&spec).cpu, 1000);
    }
}
