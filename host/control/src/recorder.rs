//! Events that the control plane tells, into the same objects that it serves.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::{Kind, Record, Status};
use gantry_objects::recorder::EventWriter;
pub use gantry_objects::recorder::{About, Recorder, Severity};
use gantry_objects::{Objects, Patch, WriteOptions};
use serde_json::Value;

const MANAGER: &str = "gantry-control";

struct ToObjects(Objects);

#[async_trait]
impl EventWriter for ToObjects {
    async fn write_event(&self, namespace: &str, name: &str, event: Value, merge: bool) -> Result<(), Status> {
        let kind = self.0.kinds().by_kind("", "Event").ok_or_else(|| Status::internal("there is no kind Event"))?;
        let options = WriteOptions { manager: MANAGER.to_owned(), ..WriteOptions::default() };
        if merge {
            return self.0.patch(&kind, namespace, name, Patch::Merge(event), &options).await.map(drop);
        }
        self.0.create(&kind, namespace, event, &options).await.map(drop)
    }
}

/// A recorder over these objects, and the task that writes; it ends when every clone of the recorder is gone.
pub fn recorder(objects: &Objects) -> (Recorder, impl Future<Output = ()> + Send + use<>) {
    Recorder::new(Arc::new(ToObjects(objects.clone())), "")
}

/// Names an object for an Event.
pub fn about(kind: &Kind, record: &Record) -> About {
    About {
        api_version: kind.api_version(),
        kind: kind.kind.clone(),
        namespace: record.meta.namespace.clone(),
        name: record.meta.name.clone(),
        uid: record.meta.uid.clone(),
        field: String::new(),
    }
}
