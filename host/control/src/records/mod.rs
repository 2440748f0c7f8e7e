//! Records on their way to one sink plugin, as many tries as the sink asks for. Events of this control plane go to every
//! sink; batches of others (log lines of nodes) come in through an [`Inlet`], which waits until their fate is decided.

mod batch;
mod events;
mod pieces;
mod pump;

use std::sync::Arc;

use gantry_objects::Objects;
use gantry_plugin::Sink;
use gantry_plugin::family::sink::Batch;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

pub use batch::Record;
pub use pump::Fate;
use pump::{Parcel, Pump};

/// Events that wait for one sink. Their follower waits for room: they are in the store anyway.
const QUEUE: usize = 1024;

/// What a pipeline is made of.
pub struct Options {
    /// The sink's name, for metrics and logs.
    pub plugin: String,
    /// The sink.
    pub sink: Box<dyn Sink>,
    /// Whose Events are sent.
    pub objects: Objects,
}

/// A running pipeline. Dropping it stops it.
pub struct Handle {
    inlet: Inlet,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// Where others hand batches in.
#[derive(Clone)]
pub struct Inlet {
    plugin: Arc<str>,
    parcels: mpsc::Sender<Parcel>,
}

/// Starts a pipeline.
pub fn start(options: Options) -> Handle {
    let (events, records) = mpsc::channel(QUEUE);
    // One waits while one is tried: whoever hands in holds the rest.
    let (parcels, handed_in) = mpsc::channel(1);
    let stop = CancellationToken::new();
    let pump = Pump::new(options.plugin.clone(), options.sink, records, handed_in);
    let (objects, stopped) = (options.objects, stop.clone());
    let task = tokio::spawn(async move {
        tokio::select! {
            () = events::follow(objects, events) => {}
            () = stopped.cancelled() => {}
            () = pump.run() => {}
        }
    });
    Handle { inlet: Inlet { plugin: options.plugin.into(), parcels }, stop, task }
}

impl Handle {
    /// For batches of others.
    pub fn inlet(&self) -> Inlet {
        self.inlet.clone()
    }

    /// Stops it. Events that wait are lost; whoever waits for a batch learns that nobody knows its fate.
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

impl Inlet {
    /// The sink's name.
    pub fn plugin(&self) -> &str {
        &self.plugin
    }

    /// Hands a batch in and waits for its fate. `None`: the pipeline has stopped, and nobody can say. Dropping the future
    /// ends the tries.
    pub async fn deliver(&self, batch: Arc<Batch>) -> Option<Fate> {
        let (done, fate) = oneshot::channel();
        self.parcels.send(Parcel { batch, done }).await.ok()?;
        fate.await.ok()
    }
}
