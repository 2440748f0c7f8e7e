//! The ReplicaSet of the template of now: brought up to date, or made.

use gantry_sdk::Value;
use gantry_sdk::api::Resource;

use super::object::Deployment;
use super::work::{Tracked, Work};
use super::{progress, revision, rolling, scale, template};
use crate::replicaset::ReplicaSet;
use crate::replicaset::object::labels;

/// Brings the annotations of the set up to date if there is one.
pub fn sync(work: &mut Work) {
    let next = revision::next(work);
    let Some(new) = &mut work.new else { return };
    revision::annotate(&mut new.set, &work.deployment.metadata.annotations, next);
    new.set.spec.min_ready_seconds = work.deployment.spec.min_ready_seconds;
    let number = new.set.metadata.annotations.get(revision::REVISION).cloned();
    // The Deployment's annotation is written last: until then this rollout has not been noted as begun.
    let begun = work.deployment.metadata.annotations.get(revision::REVISION) == number.as_ref();
    if !begun || progress::condition(&work.status).is_none() {
        progress::note(work, "True", "FoundNewReplicaSet", |name| format!("Found new replica set \"{name}\""));
    }
    work.revision = number;
}

/// Plans the set if there is none.
pub fn ensure(work: &mut Work) {
    if work.new.is_some() {
        return;
    }
    let next = revision::next(work);
    let mut set = build(&work.deployment);
    revision::annotate(&mut set, &work.deployment.metadata.annotations, next);
    work.new = Some(Tracked::made(set));
    let size = rolling::new_size(work);
    let (wanted, most) = (work.deployment.replicas(), work.most());
    if let Some(new) = &mut work.new {
        scale::resize(new, size, wanted, most);
    }
    progress::note(work, "True", "NewReplicaSetCreated", |name| format!("Created new replica set \"{name}\""));
    work.revision = Some(next.to_string());
}

fn build(deployment: &Deployment) -> ReplicaSet {
    let hash = template::hash(&deployment.spec.template, deployment.status.collision_count.unwrap_or(0));
    let mut set = ReplicaSet::default();
    set.metadata.name = format!("{}-{hash}", deployment.metadata.name);
    set.metadata.namespace.clone_from(&deployment.metadata.namespace);
    set.metadata.owner_references = vec![deployment.controller_reference()];
    set.spec.min_ready_seconds = deployment.spec.min_ready_seconds;
    set.spec.selector = deployment.spec.selector.clone();
    set.spec.selector.match_labels.insert(template::HASH_LABEL.to_owned(), hash.clone());
    set.spec.template = deployment.spec.template.clone();
    if let Some(Value::Object(labels)) = set.spec.template.pointer_mut("/metadata/labels") {
        labels.insert(template::HASH_LABEL.to_owned(), Value::String(hash));
    }
    set.metadata.labels = labels(&set.spec.template);
    set
}
