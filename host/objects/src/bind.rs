//! Putting pods on nodes. A scheduler does this thousands of times a second, so it has a way of its own: the two
//! fields that it changes are known to be good, and nothing else is looked at.

use std::sync::Arc;

use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Kind, Record, Status};
use gantry_store::{Error, Expect, Op, Write};
use serde_json::{Map, Value, json};

use crate::admission::{self, Operation, Subject};
use crate::next::ATTEMPTS;
use crate::options::User;
use crate::verbs::Objects;
use crate::{fault, metadata, special};

/// A pod and the node that it is to run on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Binding<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's name.
    pub name: &'a str,
    /// The pod's uid, if only this very pod is meant.
    pub uid: Option<&'a str>,
    /// The pod's revision, if it must not have changed since.
    pub revision: Option<u64>,
    /// The node's name.
    pub node: &'a str,
    /// On whose behalf; `None`: the host's own.
    pub user: Option<&'a Arc<User>>,
    /// Do everything but the write.
    pub dry_run: bool,
}

impl Binding<'_> {
    /// 409 unless the pod may still be put on a node.
    pub fn check(&self, pod: &Record) -> Result<(), Status> {
        let name = &pod.meta.name;
        let bound = pod.field("spec.nodeName");
        let detail = if let Some(uid) = self.uid.filter(|uid| *uid != pod.meta.uid) {
            format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", pod.meta.uid)
        } else if self.revision.is_some_and(|revision| revision != pod.revision) {
            fault::MODIFIED.to_owned()
        } else if pod.meta.deletion_timestamp.is_some() {
            format!("pod {name} is being deleted, cannot be assigned to a host")
        } else if !bound.is_empty() {
            format!("pod {name} is already assigned to node \"{bound}\"")
        } else {
            return Ok(());
        };
        Err(Status::conflict("", "pods/binding", name, detail))
    }
}

pub(crate) async fn bind(objects: &Objects, binding: &Binding<'_>) -> Result<Arc<Record>, Status> {
    let kind = objects.kinds().by_resource("", "v1", "pods");
    let kind = kind.ok_or_else(|| Status::internal("the control plane knows no pods"))?;
    let key = Key::new(Resource::new("", "pods"), binding.namespace, binding.name);
    for _ in 0..ATTEMPTS {
        let pod = objects.store().get(&key).ok_or_else(|| Status::not_found("", "pods", binding.name))?;
        binding.check(&pod)?;
        let mut object = pod.value();
        special::set(&mut object, "spec", "nodeName", json!(binding.node));
        scheduled(&mut object);
        review(objects, &kind, &pod, &object, binding).await?;
        if binding.dry_run {
            return Ok(pod);
        }
        let draft = Draft::new(key.clone(), object, &kind.selectable_fields);
        let write = Write { key: key.clone(), expect: Expect::Revision(pod.revision), op: Op::Put(draft) };
        match objects.store().write(write).await {
            Ok(record) => return Ok(record),
            Err(Error::Conflict { .. }) => {}
            Err(error) => return Err(fault::status(&kind, binding.name, &error)),
        }
    }
    Err(fault::modified(&kind, binding.name))
}

/// Asks reviewers, of whom there are none as a rule. Their warnings have nowhere to go: a binding answers with no object.
async fn review(
    objects: &Objects,
    kind: &Kind,
    pod: &Record,
    bound: &Value,
    binding: &Binding<'_>,
) -> Result<(), Status> {
    let mut subject = Subject {
        operation: Operation::Update,
        kind,
        subresource: "binding",
        namespace: binding.namespace,
        name: binding.name,
        user: binding.user,
        dry_run: binding.dry_run,
        old: None,
    };
    if !admission::wanted(objects, &subject) {
        return Ok(());
    }
    let (mut old, mut new) = (pod.value(), bound.clone());
    admission::strip(&mut old);
    admission::strip(&mut new);
    subject.old = Some(&old);
    admission::judge(objects, &subject, Some(&new), &mut Vec::new()).await
}

/// Sets the condition that says the pod has a node.
fn scheduled(pod: &mut Value) {
    let now = metadata::time(jiff::Timestamp::now());
    let condition = json!({
        "type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now,
    });
    let Some(map) = pod.as_object_mut() else { return };
    let status = map.entry("status").or_insert_with(|| Value::Object(Map::new()));
    let Some(status) = status.as_object_mut() else { return };
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    let Some(conditions) = conditions.as_array_mut() else { return };
    conditions.retain(|other| other.get("type") != condition.get("type"));
    conditions.push(condition);
}
