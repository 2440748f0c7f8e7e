//! The end of a Namespace: everything in it is deleted, and when nothing is left so is the Namespace.
//! See <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>.

use std::sync::Arc;
use std::time::Duration;

use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use gantry_objects::{DeleteOptions, Objects, Patch, Preconditions, Subresource, WriteOptions};
use gantry_store::Range;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::backoff::Backoff;
use crate::follow::{Follower, Seen};
use crate::queue::{Next, Queue};

const WORKERS: usize = 4;
const MANAGER: &str = "gantry-namespaces";
/// What still has finalizers or grace is looked at again after this.
const AGAIN: Duration = Duration::from_millis(500);
const FINALIZER: &str = "kubernetes";

/// Runs for ever.
pub async fn run(objects: Objects) {
    let Some(kind) = objects.kinds().by_kind("", "Namespace") else { return };
    let queue = Arc::new(Queue::new(Backoff::KEYS));
    let mut tasks = JoinSet::new();
    for _ in 0..WORKERS {
        let reaper = Reaper { objects: objects.clone(), kind: kind.clone(), queue: queue.clone() };
        tasks.spawn(reaper.work());
    }
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    loop {
        let ending = |record: &&Arc<Record>| record.meta.deletion_timestamp.is_some();
        let name = |record: &Arc<Record>| record.meta.name.clone();
        match follower.next().await {
            Seen::All(records) => queue.push(records.iter().filter(ending).map(name)),
            Seen::Changes(events) => {
                queue.push(events.iter().filter(|e| !e.deleted).map(|e| &e.record).filter(ending).map(name));
            }
        }
    }
}

struct Reaper {
    objects: Objects,
    kind: Arc<Kind>,
    queue: Arc<Queue<String>>,
}

impl Reaper {
    async fn work(self) {
        loop {
            for name in self.queue.take(1).await {
                let next = match self.pass(&name).await {
                    Ok(0) => Next::Done,
                    Ok(_) => Next::After(AGAIN),
                    Err(error) => {
                        tracing::warn!(namespace = name, %error, "can't empty a namespace");
                        Next::Retry
                    }
                };
                self.queue.done(name, next);
            }
        }
    }

    /// Deletes what is in it. Answers how much is left.
    async fn pass(&self, name: &str) -> Result<usize, Status> {
        let Ok(namespace) = self.objects.get(&self.kind, "", name) else { return Ok(0) };
        if namespace.meta.deletion_timestamp.is_none() {
            return Ok(0);
        }
        let (mut left, mut trouble) = (Vec::new(), None);
        for kind in self.objects.kinds().all().into_iter().filter(|kind| kind.namespaced()) {
            match self.empty(&kind, name).await {
                Ok(0) => {}
                Ok(count) => left.push((kind.resource().to_string(), count)),
                // One object that can't be deleted is no reason to keep the others.
                Err(error) => trouble = Some(error),
            }
        }
        if let Some(error) = trouble {
            return Err(error);
        }
        // A kind that is served in two versions is counted for each; only whether anything is left matters.
        let count = left.iter().map(|(_, count)| count).sum();
        if count == 0 {
            self.finish(&namespace).await?;
        } else {
            self.tell(&namespace, &left).await?;
        }
        Ok(count)
    }

    async fn empty(&self, kind: &Kind, namespace: &str) -> Result<usize, Status> {
        let range = Range { resource: kind.resource(), namespace: Some(namespace.to_owned()), after: None, limit: 0 };
        let records = self.objects.store().list(&range).records;
        for record in records.iter().filter(|record| record.meta.deletion_timestamp.is_none()) {
            let preconditions = Preconditions { uid: Some(record.meta.uid.clone()), resource_version: None };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            match self.objects.delete(kind, namespace, &record.meta.name, &options).await {
                Err(e) if !matches!(e.reason, Reason::NotFound | Reason::Conflict) => return Err(e),
                _ => {}
            }
        }
        Ok(self.objects.store().list(&range).records.len())
    }

    /// Takes the finalizer away, which lets the Namespace go.
    async fn finish(&self, namespace: &Record) -> Result<(), Status> {
        let object = namespace.value();
        let finalizers = object.pointer("/spec/finalizers").and_then(Value::as_array);
        let left: Vec<&Value> = finalizers.into_iter().flatten().filter(|f| f.as_str() != Some(FINALIZER)).collect();
        let patch = json!({"spec": {"finalizers": left}});
        self.patch(namespace, patch, Subresource::None).await
    }

    /// Says in the status what it waits for.
    async fn tell(&self, namespace: &Record, left: &[(String, usize)]) -> Result<(), Status> {
        let list: Vec<String> =
            left.iter().map(|(what, count)| format!("{what} has {count} resource instances")).collect();
        let message = format!("Some resources are remaining: {}", list.join(", "));
        let object = namespace.value();
        let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
        let told = conditions.into_iter().flatten().any(|c| c.get("message").and_then(Value::as_str) == Some(&message));
        if told {
            return Ok(());
        }
        let now = jiff::Timestamp::now();
        let patch = json!({"status": {"conditions": [{
            "type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
            "message": message, "lastTransitionTime": format!("{now:.0}"),
        }]}});
        self.patch(namespace, patch, Subresource::Status).await
    }

    async fn patch(&self, namespace: &Record, patch: Value, subresource: Subresource) -> Result<(), Status> {
        // Lists are replaced whole: whoever was faster has changed the object, which brings it back here.
        let preconditions = Preconditions {
            uid: Some(namespace.meta.uid.clone()),
            resource_version: Some(namespace.revision.to_string()),
        };
        let options =
            WriteOptions { manager: MANAGER.to_owned(), preconditions, subresource, ..WriteOptions::default() };
        match self.objects.patch(&self.kind, "", &namespace.meta.name, Patch::Merge(patch), &options).await {
            Err(e) if !matches!(e.reason, Reason::NotFound | Reason::Conflict) => Err(e),
            _ => Ok(()),
        }
    }
}
