//! A node's Lease.

use serde_json::{Value, json};

/// Where node leases live.
pub const LEASE_NAMESPACE: &str = "kube-node-lease";

/// A node's sign of life.
#[derive(Clone, Debug)]
pub struct NodeLease {
    /// The node's name, which is the lease's.
    pub node: String,
    /// The node's uid: the lease goes with it.
    pub uid: String,
    /// How long the sign is good for.
    pub duration_seconds: i32,
}

/// `spec` of a lease that is renewed now.
pub(super) fn lease_spec(lease: &NodeLease) -> Value {
    json!({
        "holderIdentity": lease.node,
        "leaseDurationSeconds": lease.duration_seconds,
        "renewTime": crate::time::micros(jiff::Timestamp::now()),
    })
}

/// The whole object, renewed now.
pub(super) fn lease_object(lease: &NodeLease) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": lease.node, "namespace": LEASE_NAMESPACE,
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": lease.node, "uid": lease.uid}],
        },
        "spec": lease_spec(lease),
    })
}
