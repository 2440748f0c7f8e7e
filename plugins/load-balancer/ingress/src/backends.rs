//! The Services that an Ingress leads to, as backends of its Frontend.

use std::collections::BTreeMap;

use gantry_sdk::api::{EndpointSlice, Service, ServicePort};
use gantry_sdk::objects;
use gantry_sdk::{ObjectRef, Result, Value, json};

use crate::object::{Backend, ServiceBackend};
use crate::options::Options;

/// Why a backend serves nobody.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// For programs.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// As a Frontend lists it.
type Found = std::result::Result<Value, Missing>;

/// Backends of one Ingress, each once.
pub struct Backends<'a> {
    options: &'a Options,
    namespace: &'a str,
    services: BTreeMap<String, Option<Service>>,
    found: BTreeMap<String, Value>,
    missing: BTreeMap<String, Missing>,
}

impl<'a> Backends<'a> {
    /// None yet.
    pub fn new(options: &'a Options, namespace: &'a str) -> Self {
        let (services, found, missing) = Default::default();
        Self { options, namespace, services, found, missing }
    }

    /// What becomes of requests for a backend: an action of a Frontend's rule.
    pub fn action(&mut self, backend: &Backend) -> Result<Value> {
        let name = title(backend);
        if !self.found.contains_key(&name) && !self.missing.contains_key(&name) {
            match self.resolve(backend)? {
                Ok(found) => drop(self.found.insert(name.clone(), found)),
                Err(missing) => drop(self.missing.insert(name.clone(), missing)),
            }
        }
        Ok(match self.missing.get(&name) {
            None => json!({"forward": [{"backend": name, "weight": 1}]}),
            Some(_) => {
                let body = format!("backend {name} is not there\n");
                json!({"response": {"status": 503, "contentType": "text/plain", "body": body}})
            }
        })
    }

    /// Those that were found, as a Frontend lists them, and what is wrong with the others.
    pub fn finish(self) -> (Vec<Value>, Vec<Missing>) {
        (self.found.into_values().collect(), self.missing.into_values().collect())
    }

    fn resolve(&mut self, backend: &Backend) -> Result<Found> {
        let Some(wanted) = &backend.service else {
            let message = "a backend that is no Service is not served: it is answered with 503".to_owned();
            return Ok(Err(Missing { reason: "BackendNotSupported", message }));
        };
        let Some(service) = self.service(&wanted.name)? else {
            let message = format!("Service {}/{} is not there: it is answered with 503", self.namespace, wanted.name);
            return Ok(Err(Missing { reason: "ServiceNotFound", message }));
        };
        if service.is_name() {
            let message =
                format!("Service {}/{} is an ExternalName, which has no endpoints", self.namespace, wanted.name);
            return Ok(Err(Missing { reason: "BackendNotSupported", message }));
        }
        let Some(port) = port(&service, wanted) else {
            let message = format!(
                "Service {}/{} has no port {}: it is answered with 503",
                self.namespace,
                wanted.name,
                port_title(wanted)
            );
            return Ok(Err(Missing { reason: "PortNotFound", message }));
        };
        Ok(Ok(json!({
            "name": title(backend), "selector": {"matchLabels": {(EndpointSlice::SERVICE_NAME): wanted.name}}, "port": port.name,
            "protocol": protocol(port), "balance": self.options.balance.name(),
        })))
    }

    fn service(&mut self, name: &str) -> Result<Option<Service>> {
        if let Some(known) = self.services.get(name) {
            return Ok(known.clone());
        }
        let found = objects::get::<Service>(&ObjectRef::of::<Service>(self.namespace, name))?;
        self.services.insert(name.to_owned(), found.clone());
        Ok(found)
    }
}

fn port<'a>(service: &'a Service, wanted: &ServiceBackend) -> Option<&'a ServicePort> {
    service.spec.ports.iter().find(|port| match wanted.port.name.as_str() {
        "" => i64::from(port.port) == wanted.port.number,
        name => port.name == name,
    })
}

/// Kubernetes' name for HTTP/2 without TLS, see <https://kep.k8s.io/3726>.
fn protocol(port: &ServicePort) -> &'static str {
    if port.app_protocol.as_deref() == Some("kubernetes.io/h2c") { "H2C" } else { "HTTP" }
}

/// `web:80`, `web:http`
fn title(backend: &Backend) -> String {
    match &backend.service {
        Some(service) => format!("{}:{}", service.name, port_title(service)),
        None => "resource".to_owned(),
    }
}

fn port_title(service: &ServiceBackend) -> String {
    match service.port.name.as_str() {
        "" => service.port.number.to_string(),
        name => name.to_owned(),
    }
}
