//! What the host calls: which kinds are reconciled, what wakes them, and the passes.

use gantry_sdk::api::{Pod, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::{Error, ObjectRef, Result};

use crate::object::Task;
use crate::task;

/// Tasks.
#[derive(Default)]
pub struct Ecs;

impl Controller for Ecs {
    fn watches(&self) -> Vec<Watch> {
        vec![Watch::itself::<Task>(), Watch::owned::<Pod, Task>()]
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        match key.kind.kind.as_str() {
            "Task" => task::pass::reconcile(now, key),
            _ => Err(Error::invalid(format!("{} is not reconciled here", key.kind))),
        }
    }
}
