//! Containers, folders and logs whose pod is gone: left by an agent that was not there when the pod went.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::context::Context;
use super::instance::Instance;
use super::prepare;
use crate::cluster::PodRef;

/// Nobody remembers the grace of a pod that is gone. The kubelet is as short with them.
const GRACE: Duration = Duration::from_secs(2);

/// Pods of which something is here, by uid, with their containers.
pub type Found = BTreeMap<String, (PodRef, Vec<Instance>)>;

/// What there is. To be compared with who is alive only afterwards: a pod that comes meanwhile is not in it yet.
pub async fn look(context: &Context) -> Found {
    let mut found = Found::new();
    match context.runtime.containers().await {
        Ok(containers) => {
            for (pod, instance) in containers.iter().filter_map(|found| Instance::found(found, &context.boot)) {
                found.entry(pod.uid.clone()).or_insert_with(|| (pod, Vec::new())).1.push(instance);
            }
        }
        Err(error) => {
            tracing::warn!(%error, "can't look for containers whose pod is gone");
            return found;
        }
    }
    for pod in folders(context) {
        found.entry(pod.uid.clone()).or_insert_with(|| (pod, Vec::new()));
    }
    // The pod's uid names its sandbox.
    for uid in context.runtime.sandboxes().await.unwrap_or_default() {
        found.entry(uid.clone()).or_insert_with(|| (nameless(uid), Vec::new()));
    }
    found
}

/// Removes everything of pods that nobody looks after.
pub async fn sweep(context: &Context, orphans: Found) {
    for (pod, instances) in orphans.into_values() {
        // Known to the control plane, but not yet to this node.
        if context.cluster.pod(&pod).await.map_or(true, |found| found.is_some()) {
            continue;
        }
        tracing::info!(%pod, uid = pod.uid, containers = instances.len(), "removing what is left of a pod that is gone");
        end(context, &instances).await;
        let ids: Vec<String> = instances.iter().map(|instance| instance.id.clone()).collect();
        if let Err(error) = prepare::erase(context, &pod, &ids).await {
            tracing::warn!(error, %pod, "can't remove what is left of a pod");
        }
    }
}

async fn end(context: &Context, instances: &[Instance]) {
    let running: Vec<&Instance> = instances.iter().filter(|instance| instance.is_running()).collect();
    if running.is_empty() {
        return;
    }
    for instance in &running {
        let _ = context.runtime.signal(&instance.id, Signal::SIGTERM as i32, false).await;
    }
    tokio::time::sleep(GRACE).await;
    for instance in &running {
        let _ = context.runtime.signal(&instance.id, Signal::SIGKILL as i32, true).await;
    }
}

/// Pods that have a folder or logs here.
fn folders(context: &Context) -> Vec<PodRef> {
    let mut all = Vec::new();
    for name in names(&context.logs) {
        let mut parts = name.splitn(3, '_').map(str::to_owned);
        if let (Some(namespace), Some(name), Some(uid)) = (parts.next(), parts.next(), parts.next()) {
            all.push(PodRef { namespace, name, uid });
        }
    }
    for uid in names(&context.data.join("pods")) {
        if !all.iter().any(|pod: &PodRef| pod.uid == uid) {
            all.push(nameless(uid));
        }
    }
    all
}

fn nameless(uid: String) -> PodRef {
    PodRef { namespace: String::new(), name: String::new(), uid }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
