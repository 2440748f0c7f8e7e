//! The scheduling loop: which pod goes on which node is the policies' word; queueing, caching their verdicts and binding
//! are the host's.
//!
//! Policies are told of changes and asked per class of pods (all pods that look the same to a scheduler). A verdict is
//! kept until something that it depends on changes, so that placing a pod costs what the last placement changed and not
//! the number of nodes.
//!
//! Pods name their scheduler (`spec.schedulerName`), and a bundle may have several. They share one loop, its nodes and its
//! pods: what one has placed the other has counted before it is asked (`lane`).

mod binder;
mod class;
mod conditions;
mod explain;
mod held;
mod lane;
mod node;
mod placing;
mod pods;
mod policies;
mod queue;
mod service;
mod sift;
mod tally;
mod verdicts;
mod world;

use gantry_objects::Objects;
use gantry_plugin::Scheduler;
pub use gantry_plugin::manifest::DEFAULT_SCHEDULER;
use tokio_util::sync::CancellationToken;

use crate::recorder::Recorder;

/// A policy and its say.
pub struct Policy {
    /// The plugin's name.
    pub name: String,
    /// The plugin.
    pub scheduler: Box<dyn Scheduler>,
    /// Its scores count this many times.
    pub weight: u32,
}

/// A scheduler, as pods name it.
pub struct Profile {
    /// Pods with this `spec.schedulerName` are its own.
    pub name: String,
    /// A node must be feasible for all of them; their weighted scores are added up.
    pub policies: Vec<Policy>,
}

/// What a loop is made of.
pub struct Options {
    /// Pods and nodes.
    pub objects: Objects,
    /// For what became of pods.
    pub recorder: Recorder,
    /// One for each name. Pods of other names stay Pending, and are told why.
    pub profiles: Vec<Profile>,
    /// Bindings under way at once: they share flushes of the store.
    pub concurrent_binds: usize,
}

impl Options {
    /// For pods that did not ask for another scheduler, policies of equal weight.
    pub fn new(objects: Objects, recorder: Recorder, policies: Vec<(String, Box<dyn Scheduler>)>) -> Self {
        let named = policies.into_iter().map(|(name, policy)| (DEFAULT_SCHEDULER.to_owned(), name, policy));
        Self::serving(objects, recorder, named)
    }

    /// Each policy beside the name of the scheduler that it is a part of. All have equal weight.
    pub fn serving(
        objects: Objects,
        recorder: Recorder,
        policies: impl IntoIterator<Item = (String, String, Box<dyn Scheduler>)>,
    ) -> Self {
        let mut profiles: Vec<Profile> = Vec::new();
        for (scheduler_name, name, scheduler) in policies {
            let policy = Policy { name, scheduler, weight: 1 };
            match profiles.iter_mut().find(|profile| profile.name == scheduler_name) {
                Some(profile) => profile.policies.push(policy),
                None => profiles.push(Profile { name: scheduler_name, policies: vec![policy] }),
            }
        }
        Self { objects, recorder, profiles, concurrent_binds: 512 }
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
