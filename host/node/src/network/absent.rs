//! The network of a bundle without a network plugin.

use async_trait::async_trait;

use super::{NetError, NetStatus, PodNetwork, SandboxNet};

/// Connects nobody, and says why. Pods that use the node's own network run all the same.
pub struct Absent;

fn unavailable() -> NetError {
    NetError::Unavailable("no network plugin is loaded".to_owned())
}

#[async_trait]
impl PodNetwork for Absent {
    async fn attach(&self, _sandbox: &SandboxNet) -> Result<NetStatus, NetError> {
        Err(unavailable())
    }

    async fn detach(&self, _id: &str) -> Result<(), NetError> {
        Ok(())
    }

    async fn gc(&self, _alive: &[String]) -> Result<(), NetError> {
        Ok(())
    }

    async fn status(&self) -> Result<(), NetError> {
        Err(unavailable())
    }
}
