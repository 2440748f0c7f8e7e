//! Where a node hands its records over. The node knows no sinks; whoever starts it does, in this process or beyond a
//! stream: a batch is plain data, and so is its fate.

use std::sync::Arc;

use async_trait::async_trait;
/// Records in the shape of `wit/sink.wit`.
pub use gantry_plugin::family::sink::Batch;

/// What became of a batch. Either way it is not offered again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The sink has it.
    Accepted,
    /// It can never be written; why.
    Rejected(String),
}

/// Nobody can say what became of a batch: the way to the sink broke. It is offered again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Away(pub String);

/// One sink, as the node sees it.
#[async_trait]
pub trait Outlet: Send + Sync + 'static {
    /// The sink's name: it labels metrics and names the file of its positions.
    fn name(&self) -> &str;

    /// Hands a batch over and waits for its fate, as long as it takes: retries that the sink asks for are behind this.
    /// One batch at a time, in the order of each origin's lines; at least once. Dropping the future gives up waiting;
    /// the same batch may then come again.
    async fn deliver(&self, batch: Arc<Batch>) -> Result<Fate, Away>;
}
