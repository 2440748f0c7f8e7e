//! What may stand in the objects that nodes write: a node keeps up what it says of itself, and no more. And who asks for a
//! certificate: the server writes that down, not the client.
//! Kubernetes' rules: <https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction>.

use async_trait::async_trait;
use gantry_api::NODES;
use gantry_model::status::Reason;
use gantry_objects::User;
use gantry_objects::admission::{Decision, Down, Operation, Request, Reviewer, Rule, Verdict};
use serde_json::{Map, Value, json};

use super::NODE_USER;

/// Labels that say what a machine is; a node sets its own, at any time.
const LABELS: [&str; 9] = [
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
];
/// Fields of a Node's spec that its agent may fill in while they are empty.
const RANGES: [&str; 2] = ["podCIDR", "podCIDRs"];

/// The reviewer.
pub struct Restriction {
    rules: Vec<Rule>,
}

impl Default for Restriction {
    fn default() -> Self {
        use Operation::{Create, Update};
        let rule = |group: &str, kind: &str, operations: &[Operation], mutates| Rule {
            group: group.to_owned(),
            kind: kind.to_owned(),
            operations: operations.to_vec(),
            subresources: vec![String::new()],
            mutates,
            refuses_when_down: true,
        };
        let rules = vec![
            rule("", "Node", &[Create, Update], false),
            rule("coordination.k8s.io", "Lease", &[Create], false),
            rule("certificates.k8s.io", "CertificateSigningRequest", &[Create], true),
            rule("certificates.k8s.io", "CertificateSigningRequest", &[Update], false),
        ];
        Self { rules }
    }
}

#[async_trait]
impl Reviewer for Restriction {
    fn name(&self) -> &str {
        "host:node-restriction"
    }

    fn rules(&self) -> &[Rule] {
        &self.rules
    }

    async fn review(&self, request: Request) -> Result<Verdict, Down> {
        let (old, new) = request.objects()?;
        let judged = match request.kind.as_str() {
            "CertificateSigningRequest" if request.operation == Operation::Create => {
                return Ok(Decision::Change(requester(&request.user)).into());
            }
            "CertificateSigningRequest" if old.get("spec") != new.get("spec") => {
                Err("the spec of a request for a certificate does not change".to_owned())
            }
            "Node" | "Lease" => match node(&request.user) {
                Some(node) if request.kind == "Node" => own_node(node, &request, &old, &new),
                Some(node) => own_name(node, "Lease", &request.name),
                None => Ok(()),
            },
            _ => Ok(()),
        };
        Ok(judged.map_or_else(|why| Verdict::deny(Reason::Forbidden, why, Vec::new()), |()| Verdict::allow()))
    }
}

/// The node whose agent this is.
fn node(user: &User) -> Option<&str> {
    user.groups.iter().any(|group| group == NODES).then(|| user.name.strip_prefix(NODE_USER)).flatten()
}

/// Whoever asks, whatever the client says.
fn requester(user: &User) -> Value {
    json!([
        {"op": "add", "path": "/spec/username", "value": user.name},
        {"op": "add", "path": "/spec/groups", "value": user.groups},
        {"op": "add", "path": "/spec/extra", "value": {}},
        {"op": "add", "path": "/spec/uid", "value": ""},
    ])
}

fn own_name(node: &str, kind: &str, name: &str) -> Result<(), String> {
    match name == node {
        true => Ok(()),
        false => Err(format!("node {node:?} may not write the {kind} {name:?}: only its own")),
    }
}

fn own_node(node: &str, request: &Request, old: &Value, new: &Value) -> Result<(), String> {
    own_name(node, "Node", &request.name)?;
    let part = |object: &Value, pointer: &str| object.pointer(pointer).and_then(Value::as_object).cloned();
    let labels = |object| part(object, "/metadata/labels").unwrap_or_default();
    if let Some(label) = changed(&labels(old), &labels(new)).find(|label| !LABELS.contains(&label.as_str())) {
        return Err(format!("node {node:?} may not set or remove its label {label:?}"));
    }
    let spec = |object| part(object, "/spec").unwrap_or_default();
    let (before, after) = (spec(old), spec(new));
    let filled = |field: &str| RANGES.contains(&field) && !before.contains_key(field);
    if let Some(field) = changed(&before, &after).find(|field| !filled(field)) {
        return Err(format!("node {node:?} may not change spec.{field} of its Node"));
    }
    for field in ["ownerReferences", "finalizers"] {
        let at = format!("/metadata/{field}");
        if old.pointer(&at) != new.pointer(&at) {
            return Err(format!("node {node:?} may not change metadata.{field} of its Node"));
        }
    }
    Ok(())
}

/// Fields whose values differ.
fn changed(old: &Map<String, Value>, new: &Map<String, Value>) -> impl Iterator<Item = String> {
    let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
    names.filter(|name| old.get(*name) != new.get(*name)).cloned().collect::<Vec<_>>().into_iter()
}

#[cfg(test)]
mod tests {
    use super::super::judge::testing::world;
    use super::*;
    use gantry_objects::{Objects, Patch, WriteOptions};
    use std::sync::Arc;

    async fn reviewed() -> Objects {
        let objects = world().await;
        objects.reviewed_by(vec![Arc::new(Restriction::default())]);
        objects
    }

    fn by(name: &str, group: &str) -> WriteOptions {
        let user = User { name: name.to_owned(), groups: vec![group.to_owned()] };
        WriteOptions { user: Some(Arc::new(user)), ..WriteOptions::default() }
    }

    #[tokio::test]
    async fn a_node_says_what_it_is_and_nothing_else() {
        let objects = reviewed().await;
        let kind = objects.kinds().by_kind("", "Node").unwrap();
        let node = |name: &str, labels: Value, spec: Value| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}, "spec": spec});
        let own = by("system:node:n1", NODES);
        let hostname = || json!({"kubernetes.io/hostname": "n1"});
        for refused in [
            node("n2", hostname(), json!({})),
            node("n1", json!({"team": "a"}), json!({})),
            node("n1", hostname(), json!({"unschedulable": true})),
            node("n1", hostname(), json!({"taints": [{"key": "x", "effect": "NoSchedule"}]})),
        ] {
            let error = objects.create(&kind, "", refused.clone(), &own).await.err().unwrap();
            assert!(error.reason == Reason::Forbidden && !error.message.contains("plugin"), "{refused}: {error}");
        }
        objects.create(&kind, "", node("n1", hostname(), json!({})), &own).await.unwrap();
        let admin = by("root", "system:masters");
        let patch = json!({"metadata": {"labels": {"team": "a"}}, "spec": {"unschedulable": true}});
        objects.patch(&kind, "", "n1", Patch::Merge(patch), &admin).await.unwrap();
        for (patch, allowed) in [
            (json!({"metadata": {"labels": {"team": "b"}}}), false),
            (json!({"metadata": {"labels": {"team": null}}}), false),
            (json!({"metadata": {"labels": {"topology.kubernetes.io/zone": "z1"}}}), true),
            (json!({"metadata": {"finalizers": ["a.example/b"]}}), false),
            (json!({"spec": {"unschedulable": false}}), false),
            (json!({"spec": {"podCIDR": "10.64.1.0/24", "podCIDRs": ["10.64.1.0/24"]}}), true),
            (json!({"spec": {"podCIDR": "10.64.2.0/24", "podCIDRs": ["10.64.2.0/24"]}}), false),
        ] {
            let written = objects.patch(&kind, "", "n1", Patch::Merge(patch.clone()), &own).await;
            assert_eq!(written.is_ok(), allowed, "{patch}: {:?}", written.err());
        }
    }

    #[tokio::test]
    async fn a_request_says_who_sent_it() {
        let objects = reviewed().await;
        let kind = objects.kinds().by_kind("certificates.k8s.io", "CertificateSigningRequest").unwrap();
        let object = json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "r"},
            "spec": {"request": "eA==", "signerName": "a.example/b", "usages": ["client auth"],
                     "username": "system:node:n9", "groups": ["system:masters"]},
        });
        let eve = by("eve", "dev");
        let made = objects.create(&kind, "", object, &eve).await.unwrap().record.value();
        assert_eq!((&made["spec"]["username"], &made["spec"]["groups"]), (&json!("eve"), &json!(["dev"])));
        let patch = json!({"spec": {"username": "root"}});
        assert!(objects.patch(&kind, "", "r", Patch::Merge(patch), &eve).await.is_err());
    }
}
