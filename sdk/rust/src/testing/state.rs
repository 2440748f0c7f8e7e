//! The objects and their rules.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::select;
use crate::api::{ObjectMeta, Time};
use crate::objects::{Deletion, Precondition, Propagation, Query, Subresource, Write, Written};
use crate::{Error, KindRef, ObjectRef, Result, merge};

/// What the host holds.
#[derive(Default)]
pub struct State {
    pub now: Time,
    objects: BTreeMap<ObjectRef, Value>,
    revision: u64,
    made: u64,
    /// Every change in order: the object as it is now, or as it last was.
    pub journal: Vec<(ObjectRef, Value)>,
}

impl State {
    pub fn get(&self, target: &ObjectRef) -> Result<&Value> {
        self.objects.get(target).ok_or_else(|| Error::not_found(format!("{target} not found")))
    }

    pub fn all(&self, kind: &KindRef) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |(key, _)| key.kind == *kind).map(|(_, object)| object)
    }

    pub fn counts(&self) -> BTreeMap<KindRef, usize> {
        let mut counts = BTreeMap::new();
        for key in self.objects.keys() {
            *counts.entry(key.kind.clone()).or_default() += 1;
        }
        counts
    }

    pub fn list(&self, query: &Query) -> Result<Value> {
        let labels = select::labels(&query.label_selector)?;
        let mut found = Vec::new();
        for object in self.all(&query.kind) {
            let meta = meta(object);
            let chosen = (query.namespace.is_empty() || meta.namespace == query.namespace)
                && query.owner.as_ref().is_none_or(|uid| owned(&meta, uid))
                && labels.matches(&meta.labels)
                && select::fields(&query.field_selector, object)?;
            if chosen {
                found.push(project(object, &query.fields));
            }
        }
        if query.limit > 0 {
            found.truncate(query.limit as usize);
        }
        Ok(Value::Array(found))
    }

    /// Stores an object as it is, with whatever of its identity is missing. The test's own way in.
    pub fn put(&mut self, mut object: Value) -> Result<Value> {
        let target = reference(&object)?;
        let known = self.objects.get(&target).map(meta);
        let meta = metadata(&mut object)?;
        if let Some(known) = known {
            meta.insert("uid".into(), json!(known.uid));
        } else {
            self.made += 1;
            let uid = format!("00000000-0000-4000-8000-{:012}", self.made);
            meta.entry("uid").or_insert(json!(uid));
            meta.entry("generation").or_insert(json!(1));
            meta.entry("creationTimestamp").or_insert(json!(self.now));
        }
        Ok(self.store(target, object))
    }

    pub fn write(&mut self, write: &Write) -> Result<Written> {
        match write {
            Write::Create(bytes) => self.create(serde_json::from_slice(bytes)?),
            Write::Update(bytes) => self.update(serde_json::from_slice(bytes)?),
            Write::Patch(patch) => {
                let merge: Value = serde_json::from_slice(&patch.merge)?;
                self.check(&patch.target, &patch.require)?;
                let mut object = self.get(&patch.target)?.clone();
                merge::apply(&mut object, &merge);
                self.replace(&patch.target, object, patch.subresource)
            }
            Write::Delete(deletion) => self.delete(deletion),
        }
    }

    fn create(&mut self, mut object: Value) -> Result<Written> {
        let is_pod = object.get("kind") == Some(&json!("Pod"));
        let meta = metadata(&mut object)?;
        if !meta.contains_key("name") {
            let prefix = meta.get("generateName").and_then(Value::as_str);
            let prefix = prefix.ok_or_else(|| Error::invalid("metadata.name or metadata.generateName is required"))?;
            let name = format!("{prefix}{:05}", self.made + 1);
            meta.insert("name".into(), json!(name));
        }
        for given_by_host in ["uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp"] {
            meta.remove(given_by_host);
        }
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
            if is_pod {
                fields.insert("status".into(), json!({"phase": "Pending"}));
            }
        }
        let target = reference(&object)?;
        if self.objects.contains_key(&target) {
            return Err(Error::already_exists(format!("{target} already exists")));
        }
        self.put(object).map(|stored| written(&stored))
    }

    fn update(&mut self, object: Value) -> Result<Written> {
        let target = reference(&object)?;
        let given = meta(&object);
        let some = |text: String| Some(text).filter(|t| !t.is_empty());
        let require = Precondition { uid: some(given.uid), resource_version: some(given.resource_version) };
        self.check(&target, &require)?;
        self.replace(&target, object, Subresource::None)
    }

    /// Puts `new` in the place of an object, as far as the subresource goes.
    fn replace(&mut self, target: &ObjectRef, mut new: Value, subresource: Subresource) -> Result<Written> {
        let old = self.get(target)?.clone();
        match subresource {
            Subresource::None => carry(&old, &mut new, "status"),
            Subresource::Status => {
                let status = new.get("status").cloned();
                new = old.clone();
                set(&mut new, "status", status);
            }
            Subresource::Scale => {
                let replicas = new.pointer("/spec/replicas").cloned();
                new = old.clone();
                let spec = new.get_mut("spec").ok_or_else(|| Error::invalid(format!("{target} has no scale")))?;
                set(spec, "replicas", replicas);
            }
        }
        let was = meta(&old);
        let meta = metadata(&mut new)?;
        meta.insert("uid".into(), json!(was.uid));
        meta.insert("resourceVersion".into(), json!(was.resource_version));
        meta.insert("generation".into(), json!(was.generation));
        if new == old {
            return Ok(written(&old));
        }
        if wanted(&new) != wanted(&old) {
            metadata(&mut new)?.insert("generation".into(), json!(was.generation + 1));
        }
        let stored = self.store(target.clone(), new);
        let now = self::meta(&stored);
        if now.is_deleting() && now.finalizers.is_empty() && !waits_for_node(&stored) {
            self.remove(target, Propagation::Background);
        }
        Ok(written(&stored))
    }

    fn delete(&mut self, deletion: &Deletion) -> Result<Written> {
        self.check(&deletion.target, &deletion.require)?;
        let mut object = self.get(&deletion.target)?.clone();
        let answer = written(&object);
        let graceful = waits_for_node(&object) && deletion.grace_seconds != Some(0);
        let meta = meta(&object);
        if meta.finalizers.is_empty() && !graceful {
            self.remove(&deletion.target, deletion.propagation);
        } else if !meta.is_deleting() {
            metadata(&mut object)?.insert("deletionTimestamp".into(), json!(self.now));
            self.store(deletion.target.clone(), object);
        }
        Ok(answer)
    }

    /// Takes an object away at once, and what it owned as the propagation says.
    pub fn remove(&mut self, target: &ObjectRef, propagation: Propagation) {
        let Some(object) = self.objects.remove(target) else { return };
        let uid = meta(&object).uid;
        self.revision += 1;
        self.journal.push((target.clone(), object));
        let owned: Vec<ObjectRef> = self
            .objects
            .iter()
            .filter(|(_, o)| meta(o).owner_references.iter().any(|owner| owner.uid == uid))
            .map(|(key, _)| key.clone())
            .collect();
        for dependent in owned {
            self.lose_owner(&dependent, &uid, propagation);
        }
    }

    fn lose_owner(&mut self, dependent: &ObjectRef, uid: &str, propagation: Propagation) {
        let Some(mut object) = self.objects.get(dependent).cloned() else { return };
        let mut owners = meta(&object).owner_references;
        owners.retain(|owner| owner.uid != uid);
        if owners.is_empty() && propagation != Propagation::Orphan {
            let deletion = Deletion {
                target: dependent.clone(),
                propagation: Propagation::Background,
                grace_seconds: None,
                require: Precondition::none(),
            };
            self.delete(&deletion).expect("a dependent that was just seen can be deleted");
        } else {
            let owners = Some(json!(owners)).filter(|o| *o != json!([]));
            set(object.get_mut("metadata").expect("stored objects have metadata"), "ownerReferences", owners);
            self.store(dependent.clone(), object);
        }
    }

    /// Objects whose deletion waits for nothing but the node.
    pub fn terminating(&self) -> Vec<ObjectRef> {
        let done = |o: &Value| meta(o).is_deleting() && meta(o).finalizers.is_empty();
        self.objects.iter().filter(|(_, o)| done(o)).map(|(key, _)| key.clone()).collect()
    }

    fn check(&self, target: &ObjectRef, require: &Precondition) -> Result<()> {
        let meta = meta(self.get(target)?);
        let differs = |wanted: &Option<String>, is: &str| wanted.as_ref().is_some_and(|wanted| wanted != is);
        if differs(&require.uid, &meta.uid) || differs(&require.resource_version, &meta.resource_version) {
            return Err(Error::conflict(format!("{target} is not the one that was read")));
        }
        Ok(())
    }

    fn store(&mut self, target: ObjectRef, mut object: Value) -> Value {
        self.revision += 1;
        let metadata = metadata(&mut object).expect("an object that is stored has metadata");
        metadata.insert("resourceVersion".into(), json!(self.revision.to_string()));
        self.objects.insert(target.clone(), object.clone());
        self.journal.push((target, object.clone()));
        object
    }
}

/// The reference that an object's own fields make.
pub fn reference(object: &Value) -> Result<ObjectRef> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_string();
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    if version.is_empty() || kind.is_empty() || name.is_empty() {
        return Err(Error::invalid("an object needs apiVersion, kind and metadata.name"));
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    Ok(ObjectRef { kind: KindRef::new(group, kind), namespace: text("/metadata/namespace"), name })
}

pub fn meta(object: &Value) -> ObjectMeta {
    let meta = object.get("metadata").cloned().unwrap_or_default();
    serde_json::from_value(meta).expect("metadata has the shape of metadata")
}

fn metadata(object: &mut Value) -> Result<&mut serde_json::Map<String, Value>> {
    let meta = object.as_object_mut().map(|o| o.entry("metadata").or_insert_with(|| json!({})));
    meta.and_then(Value::as_object_mut).ok_or_else(|| Error::invalid("metadata must be an object"))
}

/// A pod that a node runs goes only when the node says so.
fn waits_for_node(object: &Value) -> bool {
    object.get("kind") == Some(&json!("Pod"))
        && object.pointer("/spec/nodeName").and_then(Value::as_str).is_some_and(|node| !node.is_empty())
        && !matches!(object.pointer("/status/phase").and_then(Value::as_str), Some("Succeeded" | "Failed"))
}

fn project(object: &Value, fields: &[String]) -> Value {
    match fields {
        [] => object.clone(),
        fields => fields.iter().map(|pointer| find(object, pointer).cloned().unwrap_or_default()).collect(),
    }
}

/// No uid: objects without a controller.
fn owned(meta: &ObjectMeta, uid: &str) -> bool {
    match uid {
        "" => meta.controller().is_none(),
        uid => meta.owner_references.iter().any(|owner| owner.uid == uid),
    }
}

/// The value at a pointer whose steps may be `key=value` on arrays.
fn find<'a>(object: &'a Value, pointer: &str) -> Option<&'a Value> {
    pointer.split('/').skip(1).try_fold(object, |value, step| match (value, step.split_once('=')) {
        (Value::Array(elements), Some((key, wanted))) => elements.iter().find(|element| match element.get(key) {
            Some(Value::String(text)) => text == wanted,
            Some(plain @ (Value::Bool(_) | Value::Number(_))) => plain.to_string().as_str() == wanted,
            _ => false,
        }),
        _ => value.pointer(&format!("/{step}")),
    })
}

/// All but metadata and status: what a generation counts.
fn wanted(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status")).collect()
}

fn carry(from: &Value, to: &mut Value, field: &str) {
    set(to, field, from.get(field).cloned());
}

fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(fields.insert(field.into(), value)),
        None => drop(fields.remove(field)),
    }
}

fn written(object: &Value) -> Written {
    let meta = meta(object);
    Written { name: meta.name, uid: meta.uid, resource_version: meta.resource_version }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_pick_array_elements_by_a_member() {
        let pod = json!({
            "metadata": {"annotations": {"a.io/b": "c"}, "ownerReferences": [{"uid": "1"}, {"uid": "2", "controller": true}]},
            "status": {"conditions": [{"type": "Initialized", "status": "True"}, {"type": "Ready", "status": "False"}]},
        });
        let fields = [
            "/metadata/annotations/a.io~1b",
            "/metadata/ownerReferences/0/uid",
            "/metadata/ownerReferences/controller=true/uid",
            "/status/conditions/type=Ready/status",
            "/status/conditions/type=Gone/status",
        ];
        let row = project(&pod, &fields.map(String::from));
        assert_eq!(row, json!(["c", "1", "2", "False", null]));
    }
}
