//! The scheduling loop: which pod goes on which node is the policies' word; queueing, caching their verdicts and binding
//! are the host's.
//!
//! Policies are told of changes and asked per class of pods (all pods that look the same to a scheduler). A verdict is
//! kept until something that it depends on changes, so that placing a pod costs what the last placement changed and not
//! the number of nodes.

mod binder;
mod class;
mod conditions;
mod explain;
mod held;
mod node;
mod placing;
mod pods;
mod policies;
mod queue;
mod service;
mod sift;
mod tally;
mod verdicts;

use gantry_objects::Objects;
use gantry_plugin::Scheduler;
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;

/// `spec.schedulerName` of pods that did not ask for another scheduler.
pub const DEFAULT_SCHEDULER: &str = "default-scheduler";

/// A policy and its say.
pub struct Policy {
    /// The plugin's name.
    pub name: String,
    /// The plugin.
    pub scheduler: Box<dyn Scheduler>,
    /// Its scores count this many times.
    pub weight: u32,
}

/// What a loop is made of.
pub struct Options {
    /// Pods and nodes.
    pub objects: Objects,
    /// For what became of pods.
    pub recorder: Recorder,
    /// A node must be feasible for all of them; their weighted scores are added up. None: pods stay Pending, and are told
    /// why.
    pub policies: Vec<Policy>,
    /// Pods with this `spec.schedulerName` are this loop's.
    pub scheduler_name: String,
    /// Bindings under way at once: they share flushes of the store.
    pub concurrent_binds: usize,
}

impl Options {
    /// For pods that did not ask for another scheduler, policies of equal weight.
    pub fn new(objects: Objects, recorder: Recorder, policies: Vec<(String, Box<dyn Scheduler>)>) -> Self {
        let policies = policies.into_iter().map(|(name, scheduler)| Policy { name, scheduler, weight: 1 }).collect();
        let scheduler_name = DEFAULT_SCHEDULER.to_owned();
        Self { objects, recorder, policies, scheduler_name, concurrent_binds: 512 }
    }
}

/// A running loop. Dropping it stops it.
pub struct Handle {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Starts a loop. Without the kinds Pod and Node it does nothing.
pub fn start(options: Options) -> Handle {
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move {
        let _ = stopped.run_until_cancelled(service::run(options)).await;
    });
    Handle { stop, task }
}

impl Handle {
    /// Stops it. Bindings under way may or may not come to pass.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
