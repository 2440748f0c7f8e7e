//! Objects for plugins on a node: none. What such a plugin must know it is told.

use async_trait::async_trait;
use gantry_plugin::family::objects::{Event, Query, Write, Written};
use gantry_plugin::family::{Error, ErrorCode, ObjectRef, RetryHint};

pub struct NoObjects;

fn refused() -> Error {
    let message = "objects can't be reached from a node: only plugins of the control plane read and write them";
    Error { code: ErrorCode::Forbidden, message: message.to_owned(), retry: RetryHint::Never }
}

#[async_trait]
impl gantry_plugin::Objects for NoObjects {
    async fn get(&self, _target: ObjectRef) -> Result<Vec<u8>, Error> {
        Err(refused())
    }

    async fn list(&self, _query: Query) -> Result<Vec<u8>, Error> {
        Err(refused())
    }

    async fn apply(&self, writes: Vec<Write>) -> Vec<Result<Written, Error>> {
        writes.iter().map(|_| Err(refused())).collect()
    }

    async fn record_events(&self, events: Vec<Event>) {
        tracing::debug!(count = events.len(), "Events of a plugin on a node are dropped");
    }
}
