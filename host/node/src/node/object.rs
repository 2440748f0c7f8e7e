//! The Node object, from plain facts. Pure.

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::claim::AGENT;
use super::machine::{Pressure, Reserved};
use crate::time::rfc3339;

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capacity {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes of ephemeral storage.
    pub storage: u64,
    /// How many pods.
    pub pods: u32,
}

/// `status.nodeInfo`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Information {
    /// `/etc/machine-id`
    pub machine_id: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// The kernel's release.
    pub kernel: String,
    /// `Debian GNU/Linux 12 (bookworm)`
    pub os_image: String,
    /// `containerd://1.6.20`
    pub runtime: String,
    /// `amd64`
    pub architecture: String,
}

/// Everything that a Node object says about a node.
#[derive(Clone, Debug, Default)]
pub struct Description {
    /// `metadata.name`
    pub name: String,
    /// Which agent this is, as nothing else is: two of one name must not take each other's pods. Empty: it does not matter.
    pub agent: String,
    /// Besides the well-known ones.
    pub labels: BTreeMap<String, String>,
    /// Besides that of the agent.
    pub annotations: BTreeMap<String, String>,
    /// `spec.podCIDRs`, one an address family.
    pub pod_ranges: Vec<String>,
    /// Where it can be reached; the primary first.
    pub addresses: Vec<IpAddr>,
    /// What it has.
    pub capacity: Capacity,
    /// What of that is not for pods.
    pub reserved: Reserved,
    /// What it runs.
    pub information: Information,
}

impl Description {
    /// The whole object.
    pub fn object(&self, pressure: Pressure, ready: Result<(), &str>, now: Timestamp) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels(), "annotations": self.annotations()},
            "spec": self.spec(),
            "status": self.status(pressure, ready, now, None),
        })
    }

    /// The object before anything is known of how the node is.
    pub fn registration(&self) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": self.name, "labels": self.labels(), "annotations": self.annotations()},
            "spec": self.spec(),
        })
    }

    /// Annotations: the agent's, and this node's own.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let mut annotations = self.annotations.clone();
        if !self.agent.is_empty() {
            annotations.insert(AGENT.to_owned(), self.agent.clone());
        }
        annotations
    }

    /// Labels that every node has, and this one's own.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.labels.clone();
        for (key, value) in [
            ("kubernetes.io/hostname", self.name.as_str()),
            ("kubernetes.io/os", "linux"),
            ("kubernetes.io/arch", self.information.architecture.as_str()),
        ] {
            labels.insert(key.to_owned(), value.to_owned());
        }
        labels
    }

    /// `spec`
    pub fn spec(&self) -> Value {
        match self.pod_ranges.first() {
            Some(first) => json!({"podCIDR": first, "podCIDRs": self.pod_ranges}),
            None => json!({}),
        }
    }

    /// `status`. Transition times are kept from `previous` where a condition did not change.
    pub fn status(
        &self,
        pressure: Pressure,
        ready: Result<(), &str>,
        now: Timestamp,
        previous: Option<&Value>,
    ) -> Value {
        let hostname = json!({"type": "Hostname", "address": self.name});
        let mut addresses: Vec<Value> =
            self.addresses.iter().map(|ip| json!({"type": "InternalIP", "address": ip.to_string()})).collect();
        addresses.push(hostname);
        json!({
            "capacity": quantities(&self.capacity),
            "allocatable": quantities(&self.allocatable()),
            "addresses": addresses,
            "conditions": conditions(pressure, ready, now, previous),
            "nodeInfo": self.node_info(),
        })
    }

    /// What pods may use.
    pub fn allocatable(&self) -> Capacity {
        Capacity {
            cpu_millis: self.capacity.cpu_millis.saturating_sub(self.reserved.cpu_millis),
            memory: self.capacity.memory.saturating_sub(self.reserved.memory),
            storage: self.capacity.storage.saturating_sub(self.reserved.storage),
            pods: self.capacity.pods,
        }
    }

    fn node_info(&self) -> Value {
        let info = &self.information;
        let version = concat!("v1.33.0-gantry.", env!("CARGO_PKG_VERSION"));
        json!({
            "machineID": info.machine_id, "systemUUID": info.machine_id, "bootID": info.boot_id,
            "kernelVersion": info.kernel, "osImage": info.os_image, "containerRuntimeVersion": info.runtime,
            "kubeletVersion": version, "kubeProxyVersion": "", "operatingSystem": "linux",
            "architecture": info.architecture,
        })
    }
}

fn quantities(capacity: &Capacity) -> Value {
    let cpu = match capacity.cpu_millis % 1000 {
        0 => (capacity.cpu_millis / 1000).to_string(),
        _ => format!("{}m", capacity.cpu_millis),
    };
    json!({
        "cpu": cpu,
        "memory": format!("{}Ki", capacity.memory / 1024),
        "ephemeral-storage": format!("{}Ki", capacity.storage / 1024),
        "pods": capacity.pods.to_string(),
    })
}

fn conditions(pressure: Pressure, ready: Result<(), &str>, now: Timestamp, previous: Option<&Value>) -> Vec<Value> {
    let (ready_status, ready_reason, ready_message) = match ready {
        Ok(()) => ("True", "KubeletReady", "the node takes pods"),
        Err(message) => ("False", "KubeletNotReady", message),
    };
    let [memory, disk, pid] = [
        (pressure.memory, "MemoryPressure", "Memory", "memory available"),
        (pressure.disk, "DiskPressure", "Disk", "disk space available"),
        (pressure.pid, "PIDPressure", "PID", "process ids available"),
    ]
    .map(|(short, type_, what, words)| {
        let (status, has, degree) =
            if short { ("True", "Insufficient", "too little") } else { ("False", "Sufficient", "enough") };
        // The kubelet's reason for a full disk is an odd one out.
        let reason = match (what, short) {
            ("Disk", false) => "KubeletHasNoDiskPressure".to_owned(),
            ("Disk", true) => "KubeletHasDiskPressure".to_owned(),
            _ => format!("KubeletHas{has}{what}"),
        };
        condition(type_, status, &reason, &format!("{degree} {words}"), now, previous)
    });
    vec![memory, disk, pid, condition("Ready", ready_status, ready_reason, ready_message, now, previous)]
}

fn condition(
    type_: &str,
    status: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
    previous: Option<&Value>,
) -> Value {
    let since = previous
        .and_then(|status| status.get("conditions")?.as_array())
        .and_then(|all| all.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(type_)))
        .filter(|c| c.get("status").and_then(Value::as_str) == Some(status))
        .and_then(|c| c.get("lastTransitionTime")?.as_str());
    let now = rfc3339(now);
    json!({
        "type": type_, "status": status, "reason": reason, "message": message,
        "lastHeartbeatTime": now, "lastTransitionTime": since.unwrap_or(&now),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description() -> Description {
        Description {
            name: "n1".into(),
            pod_ranges: vec!["10.1.2.0/24".into()],
            addresses: vec![[192, 0, 2, 7].into()],
            capacity: Capacity { cpu_millis: 2000, memory: 8 << 30, storage: 1 << 40, pods: 110 },
            reserved: Reserved { cpu_millis: 100, memory: 1 << 30, storage: 0 },
            information: Information { architecture: "amd64".into(), ..Information::default() },
            ..Description::default()
        }
    }

    #[test]
    fn a_node_object_says_what_the_machine_has() {
        let node = description().object(Pressure::default(), Ok(()), Timestamp::UNIX_EPOCH);
        assert_eq!(node["status"]["capacity"]["cpu"], "2");
        assert_eq!(node["status"]["allocatable"]["cpu"], "1900m");
        assert_eq!(node["status"]["allocatable"]["memory"], "7340032Ki");
        assert_eq!(node["spec"]["podCIDR"], "10.1.2.0/24");
        assert_eq!(node["metadata"]["labels"]["kubernetes.io/hostname"], "n1");
        assert_eq!(node["status"]["addresses"][0]["address"], "192.0.2.7");
    }

    #[test]
    fn transition_times_change_only_with_the_status() {
        let node = description();
        let [t0, t1, t2] = [0, 60, 120].map(|s| Timestamp::from_second(s).unwrap());
        let transition = |status: &Value, i: usize| status["conditions"][i]["lastTransitionTime"].clone();
        let first = node.status(Pressure::default(), Ok(()), t0, None);
        let second = node.status(Pressure::default(), Ok(()), t1, Some(&first));
        assert_eq!(transition(&second, 3), rfc3339(t0));
        let third = node.status(Pressure { memory: true, ..Pressure::default() }, Err("no network"), t2, Some(&second));
        assert_eq!(transition(&third, 3), rfc3339(t2));
        assert_eq!(transition(&third, 0), rfc3339(t2));
        assert_eq!(transition(&third, 1), rfc3339(t0));
        assert_eq!(third["conditions"][3]["message"], "no network");
    }
}
