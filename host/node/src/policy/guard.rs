//! What the agent asks before a pod may send its first packet.

use std::net::IpAddr;

use async_trait::async_trait;
use k8s_openapi::api::core::v1::Pod;

use crate::cluster::PodRef;

/// Sees to it that what is forbidden to a pod is forbidden before it can try. Every call may be repeated.
#[async_trait]
pub trait PodGuard: Send + Sync + 'static {
    /// Returns when the policies of a pod of this node that has these addresses are in force. An error says why they can't
    /// be now: the pod must not start.
    async fn admit(&self, key: &PodRef, pod: &Pod, addresses: &[IpAddr]) -> Result<(), String>;

    /// The pod has given up its addresses.
    async fn forget(&self, key: &PodRef);
}

/// All guards of a node, in the bundle's order. Without any nothing is guarded.
#[derive(Default)]
pub struct Guards(pub Vec<Box<dyn PodGuard>>);

#[async_trait]
impl PodGuard for Guards {
    async fn admit(&self, key: &PodRef, pod: &Pod, addresses: &[IpAddr]) -> Result<(), String> {
        for guard in &self.0 {
            guard.admit(key, pod, addresses).await?;
        }
        Ok(())
    }

    async fn forget(&self, key: &PodRef) {
        for guard in &self.0 {
            guard.forget(key).await;
        }
    }
}
