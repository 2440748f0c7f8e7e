//! Stays linked up with the server, and carries out what it orders.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use gantry_api::Streams;
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinHandle, JoinSet};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;

use super::client::{Client, said};
use super::session;
use crate::wire::order::What;
use crate::wire::{Hello, Order};

/// The longest pause between tries, without its random part: a node is back soon after its server.
const LONGEST: Duration = Duration::from_secs(5);
/// All pauses. They double, and the random part is up to as long again.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(125))
    .with_max_delay(LONGEST)
    .without_max_times()
    .with_jitter();

/// What an uplink is made of.
pub struct Options {
    /// Calls to the server.
    pub client: Client,
    /// This node's name.
    pub node: String,
    /// Which agent this is, as nothing else is; empty: it does not matter.
    pub agent: String,
    /// What the server's orders are answered from.
    pub streams: Arc<dyn Streams>,
}

/// A running uplink. Dropping it ends it with every session.
pub struct Uplink {
    links: watch::Receiver<u64>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Uplink {
    /// Dials until it is stopped.
    pub fn start(options: Options) -> Self {
        let stop = CancellationToken::new();
        let (linked, links) = watch::channel(0);
        let service = Service { options, linked, sessions: JoinSet::new(), running: HashMap::new() };
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let _ = stopped.run_until_cancelled(service.run()).await;
        });
        Self { links, stop, task }
    }

    /// Counts how often the link came about: after each time the server may be another one.
    pub fn links(&self) -> watch::Receiver<u64> {
        self.links.clone()
    }

    /// Ends it, and every session.
    pub async fn stop(mut self) {
        self.stop.cancel();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Uplink {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

struct Service {
    options: Options,
    linked: watch::Sender<u64>,
    sessions: JoinSet<()>,
    /// Those of the call that lasts, by the server's number.
    running: HashMap<u64, AbortHandle>,
}

impl Service {
    async fn run(mut self) {
        let mut pauses = PAUSES.build();
        loop {
            let before = *self.linked.borrow();
            match self.follow_orders().await {
                Ok(()) => tracing::info!("the server ended the link"),
                Err(status) => tracing::warn!(error = said(&status), "not linked up with the server"),
            }
            if *self.linked.borrow() != before {
                pauses = PAUSES.build();
            }
            tokio::time::sleep(pauses.next().unwrap_or(LONGEST)).await;
        }
    }

    /// As long as the call lasts.
    async fn follow_orders(&mut self) -> Result<(), tonic::Status> {
        let Options { client, node, agent, streams } = &self.options;
        // The server numbers sessions anew on each call; those before are over for it.
        self.running.clear();
        self.sessions.abort_all();
        // Kept to the end: the server takes the end of this side for the end of the node.
        let (hello, said) = mpsc::channel(1);
        let _ = hello.send(Hello { node: node.clone(), agent: agent.clone() }).await;
        let mut orders = client.calls.clone().connect(ReceiverStream::new(said)).await?.into_inner();
        tracing::info!(node, "linked up with the server");
        self.linked.send_modify(|count| *count += 1);
        loop {
            tokio::select! {
                order = orders.message() => {
                    let Some(Order { session, what }) = order? else { return Ok(()) };
                    if let Some(What::Close(_)) = what {
                        self.running.remove(&session).inspect(AbortHandle::abort);
                        continue;
                    }
                    let run = session::run(session, what, client.calls.clone(), node.clone(), streams.clone());
                    self.running.insert(session, self.sessions.spawn(run));
                }
                Some(_) = self.sessions.join_next() => self.running.retain(|_, session| !session.is_finished()),
            }
        }
    }
}
