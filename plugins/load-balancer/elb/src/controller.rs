//! What the host calls: what wakes a Frontend or a Service, and the passes.

use std::collections::BTreeMap;

use gantry_sdk::api::{EndpointSlice, Node, ObjectMeta, Resource, Service, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Config, KindRef, ObjectRef, Result, Value};
use serde::Deserialize;

use crate::object::Frontend;
use crate::options::Options;
use crate::pass::{self, CLASS};
use crate::service;
use crate::settings::{PREFIX, TargetType};
use crate::wanted::selects;

/// Frontends of the class `elb`, and the Services that come to some.
#[derive(Default)]
pub struct Frontends {
    options: Options,
}

impl Controller for Frontends {
    fn configure(&mut self, config: Config) -> Result<()> {
        self.options = config.parse()?;
        self.options.check()
    }

    fn watches(&self) -> Vec<Watch> {
        vec![
            Watch::itself::<Frontend>(),
            Watch::itself::<Service>(),
            // The name at which it is reached.
            Watch::owned::<Frontend, Service>(),
            Watch::mapped::<EndpointSlice, Frontend>(),
            Watch::mapped::<Node, Frontend>(),
        ]
    }

    fn map(&mut self, kind: &KindRef, object: &[u8]) -> Result<Vec<ObjectRef>> {
        if *kind == KindRef::of::<Node>() {
            return self.of_instances();
        }
        let seen: Seen = objects::parse(object)?;
        let all: Vec<Row> = objects::rows(&Query::of::<Frontend>().namespace(&seen.metadata.namespace), FIELDS)?;
        Ok(all.into_iter().filter(|row| row.is_served_by(&seen.metadata.labels)).map(Row::reference).collect())
    }

    fn reconcile(&mut self, now: Time, key: &ObjectRef) -> Result<Outcome> {
        match key.kind.kind.as_str() {
            Service::KIND => service::reconcile(&self.options, key),
            _ => pass::reconcile(&self.options, now, key),
        }
    }
}

impl Frontends {
    /// Frontends whose targets are nodes.
    fn of_instances(&self) -> Result<Vec<ObjectRef>> {
        let default = self.options.target_type == TargetType::Instance;
        let all: Vec<Row> = objects::rows(&Query::of::<Frontend>(), FIELDS)?;
        let nodes = all.into_iter().filter(|row| {
            let said = row.annotations.as_ref().and_then(|all| all.get(&format!("{PREFIX}target-type")));
            row.class.as_deref() == Some(CLASS) && said.map_or(default, |said| said == "instance")
        });
        Ok(nodes.map(Row::reference).collect())
    }
}

const FIELDS: [&str; 6] = [
    "/metadata/namespace",
    "/metadata/name",
    "/metadata/annotations",
    "/spec/class",
    "/spec/backends/selector/matchLabels",
    "/spec/http/backends",
];

/// What of a Frontend says whether something concerns it: one member for each of `FIELDS`.
#[derive(Deserialize)]
struct Row {
    namespace: String,
    name: String,
    annotations: Option<BTreeMap<String, String>>,
    class: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    backends: Option<Vec<Value>>,
}

impl Row {
    fn reference(self) -> ObjectRef {
        ObjectRef::of::<Frontend>(self.namespace, self.name)
    }

    fn is_served_by(&self, labels: &BTreeMap<String, String>) -> bool {
        let ports = self.labels.as_ref().is_some_and(|selector| selects(selector, labels));
        let mut backends = self.backends.iter().flatten();
        self.class.as_deref() == Some(CLASS) && (ports || backends.any(|backend| selected(backend, labels)))
    }
}

fn selected(backend: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selector = backend.pointer("/selector/matchLabels").cloned().unwrap_or_default();
    gantry_sdk::serde_json::from_value(selector).is_ok_and(|selector| selects(&selector, labels))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    metadata: ObjectMeta,
}
