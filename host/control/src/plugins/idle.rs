//! Objects that nobody acts on: of a kind that a plugin declared and that no loaded controller reconciles. Each gets one
//! Event that says so, when it is made or its spec changes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use gantry_model::kind::Origin;
use gantry_model::{Kind, Record};
use tokio::task::JoinSet;

use super::Options;
use crate::follow::{Follower, Seen};
use crate::recorder::{self, Severity};

const COMPONENT: &str = "gantry-plugins";

pub(super) async fn run(options: Arc<Options>) {
    let acted_on = reconciled(&options).await;
    let mut tasks = JoinSet::new();
    for kind in options.objects.kinds().all() {
        if let Origin::Plugin(plugin) = &kind.origin
            && !acted_on.contains(&(kind.group.clone(), kind.kind.clone()))
        {
            tasks.spawn(tell(options.clone(), kind.clone(), plugin.clone()));
        }
    }
    while tasks.join_next().await.is_some() {}
}

async fn reconciled(options: &Options) -> HashSet<(String, String)> {
    let mut kinds = HashSet::new();
    for controller in options.loaded.iter().filter_map(|plugin| plugin.controller()) {
        if let Ok(Ok(description)) = controller.describe().await {
            kinds.extend(description.watches.into_iter().map(|w| (w.target.group, w.target.kind)));
        }
    }
    kinds
}

async fn tell(options: Arc<Options>, kind: Arc<Kind>, plugin: String) {
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
