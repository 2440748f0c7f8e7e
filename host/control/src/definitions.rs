//! CustomResourceDefinitions: their kinds are served while they exist, and what is of those kinds goes with them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use gantry_model::kind::Origin;
use gantry_model::status::Cause;
use gantry_model::{Kind, Record, crd};
use gantry_objects::{DeleteOptions, Objects, Patch, Preconditions, Subresource, WriteOptions};
use gantry_store::Range;
use serde_json::{Value, json};

use crate::follow::{Follower, Seen};

const GROUP: &str = "apiextensions.k8s.io";
const MANAGER: &str = "gantry-definitions";
/// Keeps a definition until no object of its kinds is left. The name is Kubernetes' own.
const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// What still has finalizers is looked at again after this.
const AGAIN: Duration = Duration::from_millis(500);

/// Serves the kinds of all definitions that there are now. Called before the API listens, so that no client is told
/// that a kind is unknown only because the host has just started.
pub fn load(objects: &Objects) {
    if let Some(kind) = objects.kinds().by_kind(GROUP, "CustomResourceDefinition") {
        let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
        for record in objects.store().list(&range).records {
            // The loop says so on the object.
            if let Err(error) = serve(objects, &record) {
                tracing::warn!(definition = record.meta.name, error, "can't serve a definition");
            }
        }
    }
}

/// Runs for ever.
pub async fn run(objects: Objects) {
    let Some(kind) = objects.kinds().by_kind(GROUP, "CustomResourceDefinition") else { return };
    let mut follower = Follower::new(objects.store().clone(), kind.resource());
    let mut keeper = Keeper { objects, kind, known: HashMap::new(), ending: HashSet::new() };
    let mut again = tokio::time::interval(AGAIN);
    loop {
        tokio::select! {
            seen = follower.next() => keeper.see(seen).await,
            _ = again.tick(), if !keeper.ending.is_empty() => {}
        }
        keeper.clean().await;
    }
}

struct Keeper {
    objects: Objects,
    kind: Arc<Kind>,
    /// Definitions and their revisions.
    known: HashMap<String, u64>,
    /// Those that wait for the objects of their kinds to go.
    ending: HashSet<String>,
}

impl Keeper {
    async fn see(&mut self, seen: Seen) {
        let (present, gone) = match seen {
            Seen::All(records) => {
                let there: HashSet<&String> = records.iter().map(|record| &record.meta.name).collect();
                let gone = self.known.keys().filter(|name| !there.contains(name)).cloned().collect::<Vec<_>>();
                (records, gone)
            }
            Seen::Changes(events) => {
                let (gone, present): (Vec<_>, Vec<_>) = events.iter().partition(|event| event.deleted);
                let gone = gone.iter().map(|e| e.record.meta.name.clone()).collect::<Vec<_>>();
                (present.iter().map(|e| e.record.clone()).collect(), gone)
            }
        };
        for name in gone {
            self.known.remove(&name);
            self.ending.remove(&name);
            self.objects.kinds().remove(&Origin::Definition(name));
        }
        for record in present {
            if self.known.insert(record.meta.name.clone(), record.revision) != Some(record.revision) {
                self.present(&record).await;
            }
        }
    }

    async fn present(&mut self, record: &Record) {
        let outcome = serve(&self.objects, record);
        if record.meta.deletion_timestamp.is_some() {
            self.ending.insert(record.meta.name.clone());
            return;
        }
        let served = outcome.is_ok();
        tell(&self.objects, &self.kind, record, outcome).await;
        if served && !record.meta.finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            let finalizers: Vec<&str> =
                record.meta.finalizers.iter().map(String::as_str).chain(std::iter::once(CLEANUP)).collect();
            self.finalizers(record, &finalizers).await;
        }
    }

    /// Deletes what is of the kinds of definitions that end, and lets those go of which nothing is left.
    async fn clean(&mut self) {
        for name in self.ending.clone() {
            let Ok(record) = self.objects.get(&self.kind, "", &name) else { continue };
            let origin = Origin::Definition(name);
            let kinds = self.objects.kinds().all().into_iter().filter(|kind| kind.origin == origin);
            let mut left = 0;
            for kind in kinds {
                left += empty(&self.objects, &kind).await;
            }
            if left == 0 && record.meta.finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
                let others: Vec<&str> =
                    record.meta.finalizers.iter().map(String::as_str).filter(|f| *f != CLEANUP).collect();
                self.finalizers(&record, &others).await;
            }
        }
    }

    /// If somebody else was faster, the change that they made brings the definition back.
    async fn finalizers(&self, record: &Record, finalizers: &[&str]) {
        let preconditions =
            Preconditions { uid: Some(record.meta.uid.clone()), resource_version: Some(record.revision.to_string()) };
        let options = WriteOptions { manager: MANAGER.to_owned(), preconditions, ..WriteOptions::default() };
        let patch = Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
        if let Err(error) = self.objects.patch(&self.kind, "", &record.meta.name, patch, &options).await {
            tracing::debug!(definition = record.meta.name, %error, "can't change a definition's finalizers");
        }
    }
}

/// Deletes all objects of a kind. Answers how many are left.
async fn empty(objects: &Objects, kind: &Kind) -> usize {
    let range = Range { resource: kind.resource(), namespace: None, after: None, limit: 0 };
    for record in objects.store().list(&range).records {
        if record.meta.deletion_timestamp.is_none() {
            let preconditions = Preconditions { uid: Some(record.meta.uid.clone()), resource_version: None };
            let options = DeleteOptions { preconditions, ..DeleteOptions::default() };
            if let Err(error) = objects.delete(kind, &record.meta.namespace, &record.meta.name, &options).await {
                tracing::debug!(key = %record.key, %error, "can't delete an object of a definition that ends");
            }
        }
    }
    objects.store().list(&range).records.len()
}

/// Replaces the kinds of one definition. An error says why none of them can be served.
fn serve(objects: &Objects, record: &Record) -> Result<(), String> {
    let causes = |causes: Vec<Cause>| {
        causes.iter().map(|c| format!("{}: {}", c.field, c.message)).collect::<Vec<_>>().join("; ")
    };
    let kinds = crd::kinds(&record.value()).map_err(causes)?;
    for kind in &kinds {
        let other = objects.kinds().by_kind(&kind.group, &kind.kind).filter(|other| other.origin != kind.origin);
        let place = objects.kinds().of(&kind.resource()).filter(|other| other.origin != kind.origin);
        if place.is_some() {
            return Err(format!("{} of group {} are declared already", kind.plural, kind.group));
        }
        if other.is_some() {
            return Err(format!("kind {} of group {} is declared already", kind.kind, kind.group));
        }
    }
    // At once: no request meets a moment in which the kind is unknown.
    objects.kinds().replace(&Origin::Definition(record.meta.name.clone()), kinds);
    Ok(())
}

/// Writes the conditions that clients wait for, once.
async fn tell(objects: &Objects, kind: &Arc<Kind>, record: &Record, outcome: Result<(), String>) {
    let object = record.value();
    let wanted = if outcome.is_ok() { "True" } else { "False" };
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let said = |type_: &str| {
        let of = |c: &&Value| c.get("type").and_then(Value::as_str) == Some(type_);
        conditions.into_iter().flatten().find(of).and_then(|c| c.get("status")?.as_str())
    };
    if said("Established") == Some(wanted) && said("NamesAccepted") == Some(wanted) {
        return;
    }
    let status = match &outcome {
        Ok(()) => crd::established(&object, jiff::Timestamp::now()),
        Err(error) => refused(error),
    };
    let options =
        WriteOptions { manager: MANAGER.to_owned(), subresource: Subresource::Status, ..WriteOptions::default() };
    let patch = Patch::Merge(json!({ "status": status }));
    if let Err(error) = objects.patch(kind, "", &record.meta.name, patch, &options).await {
        tracing::warn!(definition = record.meta.name, %error, "can't write a definition's conditions");
    }
}

fn refused(error: &str) -> Value {
    let now = format!("{:.0}", jiff::Timestamp::now());
    let condition = |type_: &str| json!({"type": type_, "status": "False", "reason": "NotAccepted", "message": error, "lastTransitionTime": now});
    json!({"conditions": [condition("NamesAccepted"), condition("Established")]})
}
