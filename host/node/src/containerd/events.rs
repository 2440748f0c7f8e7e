//! Ends of containers, from containerd's events.

use std::sync::Arc;
use std::time::Duration;

use containerd_client::events::TaskExit;
use containerd_client::services::v1::{PublishRequest, SubscribeRequest};
use containerd_client::types::Envelope;
use prost::Message;
use prost_types::Any;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::output::wait_drained;
use super::runtime::Engine;
use super::tasks::exit;
use crate::runtime::{Ended, RuntimeError};

const EXIT: &str = "/tasks/exit";
/// Our own event, by which we see that a subscription is in place.
const HELLO: &str = "/gantry/hello";
/// How often it is sent until it comes back.
const KNOCK: Duration = Duration::from_millis(20);
/// Between attempts to subscribe.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the end waits for the last output, so that a log is complete once its container is known to have ended.
const DRAIN: Duration = Duration::from_secs(1);

/// Sends ends until nobody takes them. Each new subscription begins with a gap.
pub async fn watch(engine: Arc<Engine>, sender: mpsc::Sender<Option<Ended>>) {
    while !sender.is_closed() {
        let result = tokio::select! {
            result = subscription(&engine, &sender) => result,
            () = sender.closed() => return,
        };
        if let Err(status) = result {
            tracing::warn!(error = status.message(), "the runtime's events are interrupted");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn subscription(engine: &Arc<Engine>, sender: &mpsc::Sender<Option<Ended>>) -> Result<(), Status> {
    let mut events = subscribe(engine).await?;
    if sender.send(None).await.is_err() {
        return Ok(());
    }
    while let Some(envelope) = events.message().await? {
        let Some(exit) = task_exit(&envelope) else { continue };
        // One that waits for its output must not hold up others.
        tokio::spawn(report(Arc::clone(engine), exit, sender.clone()));
    }
    Ok(())
}

/// The answer to a subscription only comes with the first event: ours.
async fn subscribe(engine: &Engine) -> Result<Streaming<Envelope>, Status> {
    let namespace = engine.client.namespace();
    let filter = |topic| format!("namespace=={namespace},topic==\"{topic}\"");
    let request = engine.client.request(SubscribeRequest { filters: vec![filter(EXIT), filter(HELLO)] });
    let mut client = engine.client.events();
    let knocking = async {
        loop {
            tokio::time::sleep(KNOCK).await;
            let event = Some(Any { type_url: "containerd.events.TaskExit".to_owned(), value: Vec::new() });
            let request = engine.client.request(PublishRequest { topic: HELLO.to_owned(), event });
            if let Err(status) = engine.client.events().publish(request).await {
                return status;
            }
        }
    };
    tokio::select! {
        answer = client.subscribe(request) => Ok(answer?.into_inner()),
        status = knocking => Err(status),
    }
}

/// The end of a container's main process; others are nobody's business here.
fn task_exit(envelope: &Envelope) -> Option<TaskExit> {
    let event = envelope.event.as_ref().filter(|_| envelope.topic == EXIT)?;
    let exit = TaskExit::decode(event.value.as_slice()).ok()?;
    (exit.id == exit.container_id).then_some(exit)
}

async fn report(engine: Arc<Engine>, event: TaskExit, sender: mpsc::Sender<Option<Ended>>) {
    let entry = match engine.entry(&event.container_id).await {
        Ok(entry) => entry,
        // Removed, or not ours.
        Err(RuntimeError::NotFound(_)) => return,
        Err(_) => {
            // Whoever listens has to look for itself.
            let _ = sender.send(None).await;
            return;
        }
    };
    let exit = exit(&entry, event.exit_status, event.exited_at);
    if let Some(drained) = entry.drained() {
        wait_drained(drained, DRAIN).await;
    }
    // Nobody may listen any more.
    let _ = sender.send(Some(Ended { id: event.container_id, exit })).await;
}
