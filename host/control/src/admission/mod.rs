//! Plugins as reviewers of writes. A write waits in a bounded queue until one of the plugin's workers has an instance
//! free; what waits by then is reviewed in one call.

mod away;
mod queue;
mod translate;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use gantry_objects::admission::{Down, Request, Reviewer, Rule, Verdict};
use gantry_plugin::Admission;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub use away::Away;

use queue::{Job, Queue};

/// Writes that may wait.
const WAITING: usize = 1024;
/// How often a plugin is asked for its rules before it counts as broken.
const ATTEMPTS: u32 = 4;
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(250);

/// A plugin that reviews.
pub struct Options {
    /// Its name.
    pub plugin: String,
    /// The plugin.
    pub admission: Arc<dyn Admission>,
    /// Calls under way at once.
    pub concurrency: usize,
    /// Writes in one call.
    pub batch: usize,
    /// The longest that a write waits for its verdict, in the queue and in the call together.
    pub patience: Duration,
}

impl Options {
    /// The usual ones.
    pub fn new(plugin: &str, admission: Arc<dyn Admission>) -> Self {
        let patience = Duration::from_secs(10);
        Self { plugin: plugin.to_owned(), admission, concurrency: 2, batch: 16, patience }
    }
}

/// Why a plugin can't review.
#[derive(Debug, thiserror::Error)]
#[error("it does not say what it reviews: {0}")]
pub struct Error(String);

/// A plugin that reviews. Its workers end with the set that they were spawned on.
pub struct Reviews {
    plugin: String,
    rules: Vec<Rule>,
    queue: mpsc::Sender<Job>,
    patience: Duration,
}

/// Asks a plugin for its rules. One that refuses is asked once; one that fails a few times.
pub async fn rules(admission: &dyn Admission) -> Result<Vec<Rule>, Error> {
    let mut last = String::new();
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(PAUSE).await;
        }
        match admission.describe().await {
            Ok(Ok(description)) => return translate::rules(description).map_err(Error),
            Ok(Err(refused)) => return Err(Error(refused.message)),
            Err(fault) => last = fault.finding.to_string(),
        }
    }
    Err(Error(last))
}

/// Starts the workers of a plugin with these rules.
pub fn start(options: Options, rules: Vec<Rule>, tasks: &mut JoinSet<()>) -> Reviews {
    let (queue, waiting) = mpsc::channel(WAITING);
    let shared = Arc::new(Queue::new(options.admission, waiting, options.batch));
    for _ in 0..options.concurrency.max(1) {
        tasks.spawn(queue::work(shared.clone()));
    }
    Reviews { plugin: options.plugin, rules, queue, patience: options.patience }
}

#[async_trait]
impl Reviewer for Reviews {
    fn name(&self) -> &str {
        &self.plugin
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    async fn review(&self, request: Request) -> Result<Verdict, Down> {
        let (answer, verdict) = oneshot::channel();
        let until = Instant::now() + self.patience;
        let job = Job { request: translate::request(request), until, answer };
        let asked = async {
            self.queue.send(job).await.ok()?;
            verdict.await.ok()
        };
        match tokio::time::timeout_at(until, asked).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => Err(Down::Away("the host is stopping".to_owned())),
            Err(_) => Err(Down::Away(format!("no verdict within {} ms", self.patience.as_millis()))),
        }
    }
}
