//! What the host calls: what wakes an Ingress, and the passes.

use gantry_sdk::api::{Node, ObjectMeta, Resource, Service, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Config, KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::object::{Frontend, Ingress, IngressClass, Namespace, or_default};
use crate::options::Options;
use crate::{addresses, class, pass, rules};

/// Ingresses.
#[derive(Default)]
pub struct Ingresses {
    options: Options,
}

impl Controller for Ingresses {
    fn configure(&mut self, config: Config) -> Result<()> {
        self.options = config.parse()?;
        self.options.check()
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::itself::<Ingress>(),
            Watch::owned::<Frontend, Ingress>(),
            Watch::mapped::<Service, Ingress>().reading(["/metadata/namespace", "/metadata/name"]),
            Watch::mapped::<IngressClass, Ingress>().reading(["/metadata/name"]),
            Watch::mapped::<Node, Ingress>(),
            Watch::itself::<IngressClass>(),
            Watch::mapped::<Namespace, IngressClass>().reading(["/metadata/name"]),
        ]
    }

    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        let Seen { metadata } = objects::parse(object)?;
        Ok(match kind.kind.as_str() {
            Service::KIND => leading_to(&metadata)?,
            IngressClass::KIND => of_class(&metadata.name)?,
            Node::KIND => every()?,
            _ if metadata.name == class::NAMESPACE => vec![class::reference(&self.options)],
            _ => Vec::new(),
        })
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        let mut outcomes = self.reconcile_batch(now, std::slice::from_ref(key));
        Ok(outcomes.pop().unwrap_or(Outcome::Done))
    }

    fn reconcile_batch(&mut self, _now: Time, keys: &[ObjectRef]) -> Vec<Outcome> {
        let nodes = match addresses::of_nodes() {
            Ok(nodes) => nodes,
            Err(error) => return keys.iter().map(|_| Outcome::Failed(error.clone())).collect(),
        };
        let pass = |key: &ObjectRef| match key.kind.kind.as_str() {
            IngressClass::KIND => class::ensure(&self.options, key).map(|()| Outcome::Done),
            _ => pass::reconcile(&self.options, &nodes, key),
        };
        keys.iter().map(|key| pass(key).unwrap_or_else(Outcome::Failed)).collect()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    #[serde(deserialize_with = "or_default")]
    metadata: ObjectMeta,
}

fn named(rows: Vec<(String, String)>) -> Vec<ObjectRef> {
    rows.into_iter().map(|(namespace, name)| ObjectRef::of::<Ingress>(namespace, name)).collect()
}

/// Ingresses with a backend of this Service.
fn leading_to(service: &ObjectMeta) -> Result<Vec<ObjectRef>> {
    let all = objects::list::<Ingress>(&Query::of::<Ingress>().namespace(&service.namespace))?;
    let leads = all.iter().filter(|ingress| rules::services(ingress).any(|name| name == service.name));
    Ok(leads.map(Resource::reference).collect())
}

fn of_class(name: &str) -> Result<Vec<ObjectRef>> {
    let rows: Vec<(String, String, Option<String>)> =
        objects::rows(&Query::of::<Ingress>(), ["/metadata/namespace", "/metadata/name", "/spec/ingressClassName"])?;
    let of = rows.into_iter().filter(|(_, _, class)| class.as_deref() == Some(name));
    Ok(named(of.map(|(namespace, ingress, _)| (namespace, ingress)).collect()))
}

/// All that have an address, or are to get one.
fn every() -> Result<Vec<ObjectRef>> {
    Ok(named(objects::rows(&Query::of::<Ingress>(), ["/metadata/namespace", "/metadata/name"])?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::serde_json;
    use gantry_sdk::testing::suite;
    use gantry_sdk::{Value, json};

    #[test]
    fn is_a_controller() {
        // With objects: in gantry-contract, natively and as a component.
        suite::controller::<Ingresses>(&Config::from(json!({})), &[]);
    }

    #[test]
    fn the_manifest_asks_for_what_is_watched() {
        let manifest: toml::Value = toml::from_str(crate::MANIFEST).unwrap();
        let manifest: Value = serde_json::to_value(manifest).unwrap();
        let asked = manifest.pointer("/grants/objects").and_then(Value::as_array).unwrap();
        for watch in Ingresses::default().watches() {
            let granted = asked.iter().any(|grant| {
                grant["group"] == json!(watch.kind.group)
                    && grant["kind"] == json!(watch.kind.kind)
                    && grant["verbs"].as_array().is_some_and(|verbs| verbs.contains(&json!("watch")))
            });
            assert!(granted, "{}", watch.kind);
        }
    }
}
