//! Objects that nobody acts on: of a kind that a plugin declared and that no loaded controller reconciles. Each gets one
//! Event that says so, when it is made or its spec changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gantry_model::kind::Origin;
use gantry_model::{Kind, Record};
use gantry_objects::Objects;
use tokio::task::JoinSet;

use super::Options;
use crate::follow::{Follower, Seen};
use crate::recorder::{self, Severity};

const COMPONENT: &str = "gantry-plugins";

pub(super) async fn run(options: Arc<Options>) {
    let mut tasks = JoinSet::new();
    for (kind, plugin) in idle(&options.objects, &reconciled(&options).await) {
        tasks.spawn(tell(options.clone(), kind, plugin));
    }
    while tasks.join_next().await.is_some() {}
}

/// Kinds by group and name.
type Kinds = HashSet<(String, String)>;

/// Kinds that a plugin declared and nobody acts on, each with that plugin.
pub(super) fn idle(objects: &Objects, acted_on: &Kinds) -> Vec<(Arc<Kind>, String)> {
    let declared = objects.kinds().all().into_iter().filter_map(|kind| match &kind.origin {
        Origin::Plugin(plugin) => Some((kind.clone(), plugin.clone())),
        _ => None,
    });
    declared.filter(|(kind, _)| !acted_on.contains(&(kind.group.clone(), kind.kind.clone()))).collect()
}

/// Kinds that a loaded controller reconciles, and of those that it declared what it reads on the way to that. Reading
/// another plugin's kind is no acting on it. One that does not say now gets the benefit of the doubt for the kinds that it
/// declared.
async fn reconciled(options: &Options) -> Kinds {
    let mut kinds = Kinds::new();
    for plugin in &options.loaded {
        let Some(controller) = plugin.controller() else { continue };
        let declared: Kinds =
            plugin.manifest().kinds.iter().map(|kind| (kind.group.clone(), kind.kind.clone())).collect();
        match controller.describe().await {
            Ok(Ok(description)) => {
                for watch in description.watches {
                    kinds.insert((watch.target.group, watch.target.kind));
                    kinds.extend(Some((watch.kind.group, watch.kind.kind)).filter(|kind| declared.contains(kind)));
                }
            }
            _ => kinds.extend(declared),
        }
    }
    kinds
}

pub(super) async fn tell(options: Arc<Options>, kind: Arc<Kind>, plugin: String) {
    let mut follower = Follower::new(options.objects.store().clone(), kind.resource());
    let mut told: HashMap<String, i64> = HashMap::new();
    loop {
        let records: Vec<Arc<Record>> = match follower.next().await {
            Seen::All(records) => records,
            Seen::Changes(events) => {
                for gone in events.iter().filter(|event| event.deleted) {
                    told.remove(&gone.record.meta.uid);
                }
                events.iter().filter(|event| !event.deleted).map(|event| event.record.clone()).collect()
            }
        };
        for record in records {
            if told.insert(record.meta.uid.clone(), record.meta.generation) == Some(record.meta.generation) {
                continue;
            }
            let message = format!(
                "no loaded plugin reconciles {}: nothing happens to this object until plugin {plugin}, or another for this kind, is in the bundle",
                kind.kind
            );
            let about = recorder::about(&kind, &record);
            options.recorder.tell(about, Severity::Warning, COMPONENT, "NoController", message);
        }
    }
}
