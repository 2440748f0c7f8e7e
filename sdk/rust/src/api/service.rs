use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Condition, IntOrString, ObjectMeta, or_default};
use crate::Value;

/// `v1` Service. Read-only: what it does not name is not kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Service {
    /// `metadata`
    pub metadata: ObjectMeta,
    /// `spec`
    #[serde(deserialize_with = "or_default")]
    pub spec: ServiceSpec,
    /// `status`
    #[serde(deserialize_with = "or_default")]
    pub status: ServiceStatus,
}

/// `spec` of a Service
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    /// Which pods serve it. Empty: somebody else says who does.
    #[serde(deserialize_with = "or_default")]
    pub selector: BTreeMap<String, String>,
    /// Empty, `None` or an address.
    #[serde(rename = "clusterIP", deserialize_with = "or_default")]
    pub cluster_ip: String,
    /// The same, one per address family.
    #[serde(rename = "clusterIPs", deserialize_with = "or_default")]
    pub cluster_ips: Vec<String>,
    /// Ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<ServicePort>,
    /// Addresses that lead to nodes.
    #[serde(rename = "externalIPs", deserialize_with = "or_default")]
    pub external_ips: Vec<String>,
    /// What an ExternalName stands for.
    #[serde(deserialize_with = "or_default")]
    pub external_name: String,
    /// `None` or `ClientIP`
    #[serde(deserialize_with = "or_default")]
    pub session_affinity: String,
    /// How long it lasts.
    pub session_affinity_config: Option<Value>,
    /// `Cluster` or `Local`
    #[serde(deserialize_with = "or_default")]
    pub internal_traffic_policy: String,
    /// `Cluster` or `Local`
    #[serde(deserialize_with = "or_default")]
    pub external_traffic_policy: String,
    /// Whether pods that are not ready count as ready.
    #[serde(deserialize_with = "or_default")]
    pub publish_not_ready_addresses: bool,
    /// `IPv4`
    #[serde(deserialize_with = "or_default")]
    pub ip_families: Vec<String>,
    /// `SingleStack`
    #[serde(deserialize_with = "or_default")]
    pub ip_family_policy: String,
    /// Whether the type LoadBalancer gets node ports; absent: yes.
    pub allocate_load_balancer_node_ports: Option<bool>,
    /// Where load balancers ask a node whether it serves; 0: nowhere.
    #[serde(deserialize_with = "or_default")]
    pub health_check_node_port: u16,
    /// Who is to make the load balancer; empty: whoever does by default.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_class: String,
    /// Clients that load balancers let through, in CIDR notation; none named: all.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer_source_ranges: Vec<String>,
    /// `PreferClose` or one of its kin; empty: no preference.
    #[serde(deserialize_with = "or_default")]
    pub traffic_distribution: String,
}

/// `spec.ports[]` of a Service
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServicePort {
    /// May be empty for a single port.
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// `TCP`, `UDP` or `SCTP`
    #[serde(deserialize_with = "or_default")]
    pub protocol: String,
    /// Where clients connect to.
    pub port: u16,
    /// Where pods listen: a number, or the name of a container's port.
    pub target_port: Option<IntOrString>,
    /// 0: none.
    #[serde(deserialize_with = "or_default")]
    pub node_port: u16,
    /// A hint.
    pub app_protocol: Option<String>,
}

/// `status` of a Service
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceStatus {
    /// Conditions.
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Where load balancers serve it.
    #[serde(deserialize_with = "or_default")]
    pub load_balancer: LoadBalancerStatus,
}

/// `status.loadBalancer`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadBalancerStatus {
    /// Addresses.
    #[serde(deserialize_with = "or_default")]
    pub ingress: Vec<LoadBalancerIngress>,
}

/// `status.loadBalancer.ingress[]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LoadBalancerIngress {
    /// The address; empty: it has a name.
    #[serde(deserialize_with = "or_default")]
    pub ip: String,
    /// The name in DNS.
    #[serde(deserialize_with = "or_default")]
    pub hostname: String,
    /// `VIP` (also when empty): packets arrive with that address. `Proxy`: they do not.
    #[serde(deserialize_with = "or_default")]
    pub ip_mode: String,
}

crate::resource!(Service, "", "v1", "Service");

impl Service {
    /// Only a name for something outside.
    pub fn is_name(&self) -> bool {
        self.spec.is_name()
    }

    /// Without a virtual address because the user wants none.
    pub fn is_headless(&self) -> bool {
        !self.is_name() && self.spec.cluster_ip == "None"
    }

    /// Whether a load balancer outside is to serve it.
    pub fn is_balanced(&self) -> bool {
        self.spec.is_balanced()
    }

    /// Whether its ports get ports of the nodes.
    pub fn wants_node_ports(&self) -> bool {
        match self.spec.kind.as_str() {
            "NodePort" => true,
            "LoadBalancer" => self.spec.allocate_load_balancer_node_ports.unwrap_or(true),
            _ => false,
        }
    }

    /// Whether traffic may come from outside the cluster.
    pub fn is_external(&self) -> bool {
        self.spec.may_have_node_ports() || !self.spec.external_ips.is_empty()
    }
}

impl ServiceSpec {
    /// Only a name for something outside.
    pub fn is_name(&self) -> bool {
        self.kind == "ExternalName"
    }

    /// Whether its type is one that leads from nodes to it.
    pub fn may_have_node_ports(&self) -> bool {
        matches!(self.kind.as_str(), "NodePort" | "LoadBalancer")
    }

    /// Whether a load balancer outside is to serve it.
    pub fn is_balanced(&self) -> bool {
        self.kind == "LoadBalancer"
    }

    /// Whether load balancers need to know which nodes serve it.
    pub fn wants_health_port(&self) -> bool {
        self.is_balanced() && self.external_traffic_policy == "Local"
    }
}

impl ServicePort {
    /// `TCP`
    pub fn protocol(&self) -> &str {
        if self.protocol.is_empty() { "TCP" } else { &self.protocol }
    }
}
