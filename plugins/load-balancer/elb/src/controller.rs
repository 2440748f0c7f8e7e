//! What the host calls: what wakes a Frontend or a Service, and the passes.

use std::collections::BTreeMap;

use gantry_sdk::api::{EndpointSlice, Frontend, LabelSelector, Node, ObjectMeta, Resource, Service, Time};
use gantry_sdk::controller::{Controller, Outcome, Watch};
use gantry_sdk::objects::{self, Query};
use gantry_sdk::{Config, KindRef, ObjectRef, Result};
use serde::Deserialize;

use crate::options::Options;
use crate::pass::{self, CLASS};
use crate::service;
use crate::settings::Settings;

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
            Watch::mapped::<EndpointSlice, Frontend>().reading(["/metadata/namespace", "/metadata/labels"]),
            Watch::mapped::<Node, Frontend>().reading(["/metadata/name"]),
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
        let all: Vec<Row> = objects::rows(&Query::of::<Frontend>(), FIELDS)?;
        let nodes = all.into_iter().filter(|row| {
            let annotations = row.annotations.clone().unwrap_or_default();
            row.class.as_deref() == Some(CLASS)
                && Settings::new(&self.options, &annotations).is_ok_and(|settings| settings.leads_to_nodes())
        });
        Ok(nodes.map(Row::reference).collect())
    }
}

const FIELDS: [&str; 6] = [
    "/metadata/namespace",
    "/metadata/name",
    "/metadata/annotations",
    "/spec/class",
    "/spec/backends/selector",
    "/spec/http/backends",
];

/// What of a Frontend says whether something concerns it: one member for each of `FIELDS`.
#[derive(Deserialize)]
struct Row {
    namespace: String,
    name: String,
    annotations: Option<BTreeMap<String, String>>,
    class: Option<String>,
    selector: Option<LabelSelector>,
    backends: Option<Vec<Chosen>>,
}

impl Row {
    fn reference(self) -> ObjectRef {
        ObjectRef::of::<Frontend>(self.namespace, self.name)
    }

    fn is_served_by(&self, labels: &BTreeMap<String, String>) -> bool {
        let backends = self.backends.iter().flatten().map(|backend| &backend.selector);
        let mut selectors = self.selector.iter().chain(backends);
        self.class.as_deref() == Some(CLASS) && selectors.any(|selector| selector.matches(labels))
    }
}

/// A backend of rules.
#[derive(Deserialize)]
struct Chosen {
    #[serde(default)]
    selector: LabelSelector,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Seen {
    metadata: ObjectMeta,
}
