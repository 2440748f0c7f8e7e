//! Plans of plugins that look after the whole node, not after one pod.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use gantry_plugin::Fault;
use gantry_plugin::family::Error as Refusal;
use gantry_plugin::family::network::Operation;

use super::apply::Executor;
use super::{NetError, Owned, Permits};

/// Applies plans to the node, each checked before against what its plugin was granted.
pub(crate) struct Granted {
    executor: Executor,
    permits: Arc<Permits>,
    owned: Option<Arc<Owned>>,
}

/// Why what a plugin wants is not in force. Each is mended in the same way: a new instance that is told everything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    /// The plugin is at fault.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The plugin refuses.
    #[error("{0}")]
    Refused(String),
    /// Its plan can't be applied.
    #[error("{0}")]
    Plan(#[from] NetError),
    /// The node can't be reached.
    #[error("netlink: {0}")]
    Netlink(#[from] io::Error),
}

impl From<Refusal> for PlanError {
    fn from(error: Refusal) -> Self {
        PlanError::Refused(error.message)
    }
}

impl Granted {
    /// On the node whose namespace this is; `None`: the one of this process. With `owned` it is written down what plans make.
    pub(crate) async fn open(
        node_netns: Option<PathBuf>,
        permits: Arc<Permits>,
        owned: Option<Arc<Owned>>,
    ) -> io::Result<Self> {
        Ok(Self { executor: Executor::open(node_netns).await?, permits, owned })
    }

    /// Applies a plan in order; one that is not granted not even in part.
    pub(crate) async fn apply(&self, plan: &[Operation]) -> Result<(), NetError> {
        self.permits.check(plan)?;
        if let Some(owned) = &self.owned {
            owned.note(plan).map_err(|e| NetError::Failed(format!("write down what a plan makes: {e}")))?;
        }
        self.executor.apply(plan, None).await
    }
}
