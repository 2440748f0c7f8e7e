//! What of other objects a pod reads.

use serde_json::Value;

/// Kinds whose objects a pod may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    ConfigMap,
    Secret,
}

impl Read {
    /// The kind of this plural.
    pub fn of(plural: &str) -> Option<Self> {
        match plural {
            "configmaps" => Some(Self::ConfigMap),
            "secrets" => Some(Self::Secret),
            _ => None,
        }
    }
}

/// Whether a pod names this object of its namespace: in a volume, for the environment, or to pull images.
pub fn names(pod: &Value, kind: Read, name: &str) -> bool {
    let Some(spec) = pod.get("spec") else { return false };
    let list = |field: &str| spec.get(field).and_then(Value::as_array).into_iter().flatten();
    let is = |at: &Value, pointer: &str| at.pointer(pointer).and_then(Value::as_str) == Some(name);
    let pulls = kind == Read::Secret && list("imagePullSecrets").any(|secret| is(secret, "/name"));
    let containers = ["containers", "initContainers", "ephemeralContainers"].into_iter().flat_map(list);
    pulls || list("volumes").any(|volume| in_volume(volume, kind, &is)) || { containers }
        .any(|c| in_container(c, kind, &is))
}

/// Whether a Frontend names this Secret of its namespace as a certificate.
pub fn certified_by(frontend: &Value, secret: &str) -> bool {
    let listeners = frontend.pointer("/spec/http/listeners").and_then(Value::as_array).into_iter().flatten();
    let certificates = listeners.filter_map(|listener| listener.get("certificates")?.as_array()).flatten();
    certificates.filter_map(|certificate| certificate.get("secretName")?.as_str()).any(|name| name == secret)
}

fn in_volume(volume: &Value, kind: Read, is: &impl Fn(&Value, &str) -> bool) -> bool {
    let sources = volume.pointer("/projected/sources").and_then(Value::as_array);
    let mut sources = sources.into_iter().flatten();
    match kind {
        Read::ConfigMap => is(volume, "/configMap/name") || sources.any(|source| is(source, "/configMap/name")),
        Read::Secret => {
            is(volume, "/secret/secretName")
                || is(volume, "/csi/nodePublishSecretRef/name")
                || sources.any(|source| is(source, "/secret/name"))
        }
    }
}

fn in_container(container: &Value, kind: Read, is: &impl Fn(&Value, &str) -> bool) -> bool {
    let (one, all) = match kind {
        Read::ConfigMap => ("/valueFrom/configMapKeyRef/name", "/configMapRef/name"),
        Read::Secret => ("/valueFrom/secretKeyRef/name", "/secretRef/name"),
    };
    let any = |field: &str, pointer: &str| {
        container.get(field).and_then(Value::as_array).into_iter().flatten().any(|entry| is(entry, pointer))
    };
    any("env", one) || any("envFrom", all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_place_that_names_an_object_counts_and_no_other() {
        let pod = json!({"spec": {
            "imagePullSecrets": [{"name": "pull"}],
            "volumes": [
                {"name": "s", "secret": {"secretName": "in-volume"}}, {"name": "c", "configMap": {"name": "map"}},
                {"name": "p", "projected": {"sources": [{"secret": {"name": "projected"}}, {"configMap": {"name": "pm"}}]}},
            ],
            "initContainers": [{"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "key", "key": "k"}}}]}],
            "containers": [{"envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "allmap"}}],
                            "env": [{"name": "plain", "value": "text"}]}],
        }});
        for name in ["pull", "in-volume", "projected", "key", "all"] {
            assert!(names(&pod, Read::Secret, name), "{name}");
            assert!(!names(&pod, Read::ConfigMap, name), "{name}");
        }
        for name in ["map", "pm", "allmap"] {
            assert!(names(&pod, Read::ConfigMap, name), "{name}");
            assert!(!names(&pod, Read::Secret, name), "{name}");
        }
        for name in ["s", "text", "plain", "k", ""] {
            assert!(!names(&pod, Read::Secret, name) && !names(&pod, Read::ConfigMap, name), "{name}");
        }
    }
}
