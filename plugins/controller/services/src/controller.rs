//! What the host calls: what wakes a Service, and the passes.

use std::collections::BTreeMap;

use gantry_sdk::api::{ObjectMeta, Pod, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Config, KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::endpoints::Zones;
use crate::object::{EndpointSlice, Endpoints, Frontend, IpAddress, NodePort, ParentRef, Service, or_default};
use crate::options::Options;
use crate::{kubernetes, pass};

/// Services.
#[derive(Default)]
pub struct Services {
    options: Options,
}

impl Controller for Services {
    fn configure(&mut self, config: Config) -> Result<()> {
        self.options = config.parse()?;
        self.options.check()
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::itself::<Service>(),
            Watch::mapped::<Pod, Service>().reading(["/metadata/namespace", "/metadata/labels"]),
            Watch::mapped::<EndpointSlice, Service>().reading(["/metadata/namespace", "/metadata/labels"]),
            Watch::mapped::<Endpoints, Service>().reading(["/metadata/namespace", "/metadata/name"]),
            Watch::owned::<Frontend, Service>(),
            // A claim whose Service is gone, or never came to name it, is let go of by a pass over that Service.
            Watch::mapped::<IpAddress, Service>().reading(["/spec/parentRef"]),
            Watch::mapped::<NodePort, Service>().reading(["/spec/parentRef"]),
            Watch::mapped::<kubernetes::Namespace, Service>().reading(["/metadata/name"]),
        ]
    }

    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        let seen: Seen = objects::parse(object)?;
        let meta = &seen.metadata;
        let of = |name: &str| vec![ObjectRef::of::<Service>(&meta.namespace, name)];
        Ok(match (kind.group.as_str(), kind.kind.as_str()) {
            ("", "Pod") => selecting(meta)?,
            ("", "Endpoints") => of(&meta.name),
            ("", "Namespace") => match self.options.api {
                Some(_) if meta.name == kubernetes::NAMESPACE => {
                    vec![ObjectRef::of::<Service>(kubernetes::NAMESPACE, kubernetes::NAME)]
                }
                _ => Vec::new(),
            },
            ("discovery.k8s.io", _) => {
                meta.labels.get(EndpointSlice::SERVICE_NAME).map(|name| of(name)).unwrap_or_default()
            }
            _ => match seen.spec.parent_ref {
                ParentRef { group, resource, namespace, name } if group.is_empty() && resource == "services" => {
                    vec![ObjectRef::of::<Service>(namespace, name)]
                }
                _ => Vec::new(),
            },
        })
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        pass::reconcile(&self.options, &mut Zones::default(), now, key)
    }

    fn reconcile_batch(&mut self, now: Time, keys: &[ObjectRef]) -> Vec<Outcome> {
        let mut zones = Zones::default();
        keys.iter()
            .map(|key| pass::reconcile(&self.options, &mut zones, now, key).unwrap_or_else(Outcome::Failed))
            .collect()
    }
}

/// Services of the same namespace that select a pod with these labels.
fn selecting(pod: &ObjectMeta) -> Result<Vec<ObjectRef>> {
    if pod.labels.is_empty() {
        return Ok(Vec::new());
    }
    let query = Query::of::<Service>().namespace(&pod.namespace);
    let all: Vec<(String, Option<BTreeMap<String, String>>)> =
        objects::rows(&query, ["/metadata/name", "/spec/selector"])?;
    let chosen = all.into_iter().filter(|(_, selector)| {
        let selector = selector.as_ref().filter(|selector| !selector.is_empty());
        selector.is_some_and(|selector| selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value)))
    });
    Ok(chosen.map(|(name, _)| ObjectRef::of::<Service>(&pod.namespace, name)).collect())
}

/// What says which Service an object concerns.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(deserialize_with = "or_default")]
    metadata: ObjectMeta,
    #[serde(deserialize_with = "or_default")]
    spec: SeenSpec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SeenSpec {
    #[serde(deserialize_with = "or_default")]
    parent_ref: ParentRef,
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::testing::suite;
    use gantry_sdk::{Value, json, serde_json};

    #[test]
    fn is_a_controller() {
        // With objects: in gantry-contract, natively and as a component.
        suite::controller::<Services>(&Config::from(json!({})), &[]);
    }

    #[test]
    fn the_manifest_asks_for_what_is_watched() {
        let manifest: toml::Value = toml::from_str(crate::MANIFEST).unwrap();
        let manifest: Value = serde_json::to_value(manifest).unwrap();
        let asked = manifest.pointer("/grants/objects").and_then(Value::as_array).unwrap();
        for watch in Services::default().watches() {
            let granted = asked.iter().any(|grant| {
                grant["group"] == json!(watch.kind.group)
                    && grant["kind"] == json!(watch.kind.kind)
                    && grant["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("watch")))
            });
            assert!(granted, "{}", watch.kind);
        }
    }
}
