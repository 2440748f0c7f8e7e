//! An Ingress as the spec of a Frontend.

use gantry_sdk::api::Resource;
use gantry_sdk::{Result, Value, json};

use crate::backends::{Backends, Missing};
use crate::balancer::CLASS;
use crate::object::{Ingress, Path, Tls};
use crate::options::Options;

/// The names of listeners.
const HTTP: &str = "http";
const HTTPS: &str = "https";

/// The spec, and which backends are missing.
pub fn spec(options: &Options, ingress: &Ingress) -> Result<(Value, Vec<Missing>)> {
    let mut rules = Rules { options, secure: !ingress.spec.tls.is_empty(), all: Vec::new() };
    let mut backends = Backends::new(options, ingress.namespace());
    for rule in &ingress.spec.rules {
        let Some(http) = &rule.http else {
            // Everything for this host is the default backend's.
            if let Some(backend) = &ingress.spec.default_backend {
                rules.push(&rule.host, None, backends.action(backend)?);
            }
            continue;
        };
        for path in &http.paths {
            rules.push(&rule.host, Some(path), backends.action(&path.backend)?);
        }
    }
    if let Some(backend) = &ingress.spec.default_backend {
        rules.push("", None, backends.action(backend)?);
    }
    let listeners = listeners(options, &ingress.spec.tls);
    let all = rules.all;
    let (backends, missing) = backends.finish();
    let http = json!({"listeners": listeners, "rules": all, "backends": backends});
    Ok((json!({"class": CLASS, "http": http}), missing))
}

fn listeners(options: &Options, tls: &[Tls]) -> Vec<Value> {
    let mut all = vec![json!({"name": HTTP, "port": options.http_port, "protocol": "HTTP"})];
    if !tls.is_empty() {
        let named = tls.iter().filter(|tls| !tls.secret_name.is_empty());
        let certificates: Vec<Value> =
            named.map(|tls| json!({"hosts": tls.hosts, "secretName": tls.secret_name})).collect();
        all.push(json!({
            "name": HTTPS, "port": options.https_port, "protocol": "HTTPS", "certificates": certificates,
        }));
    }
    all
}

struct Rules<'a> {
    options: &'a Options,
    /// The Ingress has certificates.
    secure: bool,
    all: Vec<Value>,
}

impl Rules<'_> {
    fn push(&mut self, host: &str, path: Option<&Path>, action: Value) {
        let condition = condition(host, path);
        let rule =
            |listeners: Value, action: Value| json!({"listeners": listeners, "match": condition, "action": action});
        if self.secure && self.options.redirect_to_https {
            let redirect = json!({"status": 308, "protocol": "https", "port": self.options.https_port.to_string()});
            self.all.push(rule(json!([HTTP]), json!({ "redirect": redirect })));
            self.all.push(rule(json!([HTTPS]), action));
        } else {
            let listeners = if self.secure { json!([HTTP, HTTPS]) } else { json!([HTTP]) };
            self.all.push(rule(listeners, action));
        }
    }
}

fn condition(host: &str, path: Option<&Path>) -> Value {
    let mut condition = json!({});
    let Some(fields) = condition.as_object_mut() else { return condition };
    if !host.is_empty() {
        let kind = if host.starts_with("*.") { "Wildcard" } else { "Exact" };
        fields.insert("hosts".to_owned(), json!([{"type": kind, "value": host}]));
    }
    // What is left to the implementation is as Prefix here, and no path is every path.
    let path = path.map(|path| (if path.path_type == "Exact" { "Exact" } else { "Prefix" }, path.path.as_str()));
    if let Some((kind, value)) = path.filter(|(_, value)| !value.is_empty()) {
        fields.insert("paths".to_owned(), json!([{"type": kind, "value": value}]));
    }
    condition
}

/// Names of the Services that an Ingress leads to.
pub fn services(ingress: &Ingress) -> impl Iterator<Item = &str> {
    ingress.backends().filter_map(|backend| backend.service.as_ref()).map(|service| service.name.as_str())
}
