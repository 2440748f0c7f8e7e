//! What of a pod matters to a scheduler, and which pods are alike.

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Fields of a PodSpec that bear on placement.
const FIELDS: [&str; 9] = [
    "overhead",
    "nodeSelector",
    "affinity",
    "tolerations",
    "topologySpreadConstraints",
    "priority",
    "schedulerName",
    "hostNetwork",
    "resources",
];
/// Fields of a container that do.
const CONTAINER_FIELDS: [&str; 3] = ["resources", "ports", "restartPolicy"];
/// Annotations that begin with this belong to placement.
const ANNOTATIONS: &str = "scheduling.";

/// A class, as a number. Small; used again after the class is gone.
pub(super) type ClassId = u32;

/// The JSON by which pods are told apart: `wit/scheduler.wit`, record `class`.
pub(super) fn spec_of(pod: &Value) -> Vec<u8> {
    let at = |pointer: &str| pod.pointer(pointer).cloned();
    let mut spec = Map::new();
    for field in FIELDS {
        if let Some(value) = pod.pointer("/spec").and_then(|spec| spec.get(field)) {
            spec.insert(field.to_owned(), value.clone());
        }
    }
    for list in ["containers", "initContainers"] {
        let containers = pod.pointer("/spec").and_then(|spec| spec.get(list)?.as_array());
        let reduced: Vec<Value> = containers.into_iter().flatten().map(container).collect();
        if !reduced.is_empty() {
            spec.insert(list.to_owned(), Value::Array(reduced));
        }
    }
    let mut class = Map::new();
    class.insert("namespace".to_owned(), at("/metadata/namespace").unwrap_or_default());
    class.insert("labels".to_owned(), at("/metadata/labels").unwrap_or_else(|| Value::Object(Map::new())));
    class.insert("spec".to_owned(), Value::Object(spec));
    let annotations = pod.pointer("/metadata/annotations").and_then(Value::as_object);
    let own = annotations.into_iter().flatten().filter(|(key, _)| key.starts_with(ANNOTATIONS));
    class.insert("annotations".to_owned(), Value::Object(own.map(|(k, v)| (k.clone(), v.clone())).collect()));
    Value::Object(class).to_string().into_bytes()
}

fn container(container: &Value) -> Value {
    let fields = CONTAINER_FIELDS.iter().filter_map(|field| Some(((*field).to_owned(), container.get(field)?.clone())));
    Value::Object(fields.collect())
}

/// The classes that there are.
#[derive(Default)]
pub(super) struct Classes {
    ids: HashMap<Vec<u8>, ClassId>,
    entries: Vec<Option<Entry>>,
    free: Vec<ClassId>,
}

struct Entry {
    spec: Vec<u8>,
    pods: usize,
}

impl Classes {
    /// Counts a pod in. The second part says whether the class is new.
    pub(super) fn join(&mut self, spec: Vec<u8>) -> (ClassId, bool) {
        if let Some(&id) = self.ids.get(&spec) {
            if let Some(Some(entry)) = self.entries.get_mut(index(id)) {
                entry.pods += 1;
            }
            return (id, false);
        }
        let entry = Some(Entry { spec: spec.clone(), pods: 1 });
        let id = match self.free.pop() {
            Some(id) => {
                if let Some(slot) = self.entries.get_mut(index(id)) {
                    *slot = entry;
                }
                id
            }
            None => {
                self.entries.push(entry);
                ClassId::try_from(self.entries.len() - 1).unwrap_or(ClassId::MAX)
            }
        };
        self.ids.insert(spec, id);
        (id, true)
    }

    /// Counts a pod out. Whether that was the last one, so that the class is gone.
    pub(super) fn leave(&mut self, id: ClassId) -> bool {
        let Some(slot) = self.entries.get_mut(index(id)) else { return false };
        let Some(entry) = slot else { return false };
        entry.pods -= 1;
        if entry.pods > 0 {
            return false;
        }
        self.ids.remove(&entry.spec);
        *slot = None;
        self.free.push(id);
        true
    }

    /// What makes the class.
    pub(super) fn spec(&self, id: ClassId) -> Option<&[u8]> {
        self.entries.get(index(id))?.as_ref().map(|entry| entry.spec.as_slice())
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = (ClassId, &[u8])> {
        let numbered = (0..).zip(&self.entries);
        numbered.filter_map(|(id, entry)| entry.as_ref().map(|entry| (id, entry.spec.as_slice())))
    }
}

/// A number of the contract as an index.
pub(super) fn index(id: u32) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pods_that_differ_only_in_what_does_not_matter_are_alike() {
        let pod = |name: &str, image: &str, cpu: &str| {
            json!({
                "metadata": {"name": name, "namespace": "a", "labels": {"app": "x"}, "annotations": {"note": name}},
                "spec": {"containers": [{"name": "c", "image": image, "resources": {"requests": {"cpu": cpu}}}]},
                "status": {"phase": name},
            })
        };
        assert_eq!(spec_of(&pod("one", "i", "1")), spec_of(&pod("two", "j", "1")));
        assert_ne!(spec_of(&pod("one", "i", "1")), spec_of(&pod("one", "i", "2")));
    }

    #[test]
    fn classes_live_as_long_as_their_pods() {
        let mut classes = Classes::default();
        let (a, new) = classes.join(b"a".to_vec());
        assert!(new && !classes.join(b"a".to_vec()).1);
        let (b, _) = classes.join(b"b".to_vec());
        assert_ne!(a, b);
        assert!(!classes.leave(a) && classes.leave(a));
        assert_eq!(classes.join(b"c".to_vec()).0, a, "numbers are used again");
        assert_eq!(classes.all().count(), 2);
    }
}
