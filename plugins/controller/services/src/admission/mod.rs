//! What a write of a Service must keep to beyond the schema. The host answers 422 with every cause, before anything is
//! stored. Before that an update is completed with what the Service was given and the writer left out.
//!
//! An update that leaves `spec` alone is let through: what was stored before a rule existed can still be labelled.

mod balanced;
mod kept;
mod taken;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_sdk::admission::{Cause, Operation, Request, Rule, Verdict};
use gantry_sdk::{Admission, Config, Result, Value, json};
use serde::Deserialize;

use crate::object::{Service, ServicePort, ServiceSpec, or_default};
use crate::options::Options;

/// Looks at writes of Services.
#[derive(Default)]
pub struct Review {
    options: Options,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    #[serde(deserialize_with = "or_default")]
    spec: ServiceSpec,
}

impl Admission for Review {
    fn configure(&mut self, config: Config) -> Result<()> {
        self.options = config.parse()?;
        self.options.check()
    }

    fn rules(&self) -> Vec<Rule> {
        vec![Rule::of::<Service>().operations([Operation::Update]).mutating(), Rule::of::<Service>()]
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        let Object { spec } = request.object()?;
        let before = request.before::<Object>()?.map(|old| old.spec);
        if request.may_change {
            let Some(before) = before else { return Ok(Verdict::allow()) };
            let asked: Value = request.object()?;
            let mut wanted = asked.clone();
            kept::fill_in(&before, &spec, &mut wanted);
            return Ok(Verdict::change(&asked, &wanted));
        }
        if before.as_ref() == Some(&spec) {
            return Ok(Verdict::allow());
        }
        let mut causes = Vec::new();
        match spec.kind.as_str() {
            "ExternalName" => named(&spec, &mut causes),
            _ => addressed(&self.options, &spec, before.as_ref(), &mut causes),
        }
        ports(&self.options, &spec, before.as_ref(), &mut causes);
        addresses(&self.options, &spec, &mut causes);
        balanced::check(&self.options, &spec, before.as_ref(), &mut causes);
        taken::check(request, &spec, before.as_ref(), &mut causes)?;
        Ok(Verdict::invalid(causes))
    }
}

fn named(spec: &ServiceSpec, causes: &mut Vec<Cause>) {
    if spec.external_name.is_empty() {
        causes.push(Cause::required("spec.externalName", ""));
    }
    if spec.cluster_ip == "None" {
        causes.push(Cause::forbidden("spec.clusterIP", "may not be set to \"None\" for ExternalName services"));
    }
}

fn addressed(options: &Options, spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) {
    let headless = spec.cluster_ip == "None";
    if headless && spec.may_have_node_ports() {
        let detail = format!("may not be set to \"None\" for {} services", spec.kind);
        causes.push(Cause::invalid("spec.clusterIP", &json!("None"), detail));
    }
    if spec.ports.is_empty() && !headless {
        causes.push(Cause::required("spec.ports", ""));
    }
    if let Some(first) =
        spec.cluster_ips.first().filter(|first| !spec.cluster_ip.is_empty() && **first != spec.cluster_ip)
    {
        causes.push(Cause::invalid("spec.clusterIPs[0]", &json!(first), "must match the value of spec.clusterIP"));
    }
    let kept = |old: &ServiceSpec| old.kind == "ExternalName" || old.cluster_ip.is_empty();
    match before.filter(|old| !kept(old)) {
        // One that is left out is filled in again with what it was.
        Some(old) if !spec.cluster_ip.is_empty() && spec.cluster_ip != old.cluster_ip => {
            causes.push(Cause::invalid("spec.clusterIP", &json!(spec.cluster_ip), "field is immutable"));
        }
        Some(_) => {}
        None if spec.cluster_ip.is_empty() || headless => {}
        None => {
            let address = spec.cluster_ip.parse::<Ipv4Addr>();
            if !address.is_ok_and(|address| options.service_range.contains(&address)) {
                let detail = format!("must be an address of the range {}", options.service_range);
                causes.push(Cause::invalid("spec.clusterIP", &json!(spec.cluster_ip), detail));
            }
        }
    }
}

fn ports(options: &Options, spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let mut on_node = BTreeSet::new();
    for (at, port) in spec.ports.iter().enumerate() {
        let field = |name: &str| format!("spec.ports[{at}].{name}");
        if port.name.is_empty() && spec.ports.len() > 1 {
            causes.push(Cause::required(field("name"), ""));
        } else if !port.name.is_empty() && !names.insert(&port.name) {
            causes.push(duplicate(field("name"), &json!(port.name)));
        }
        if !(1..=65_535).contains(&u32::from(port.port)) {
            causes.push(Cause::invalid(field("port"), &json!(port.port), "must be between 1 and 65535, inclusive"));
        }
        if !numbers.insert((port.protocol(), port.port)) {
            causes
                .push(duplicate(format!("spec.ports[{at}]"), &json!({"port": port.port, "protocol": port.protocol()})));
        }
        if port.node_port != 0 && !on_node.insert((port.protocol(), port.node_port)) {
            causes.push(duplicate(field("nodePort"), &json!(port.node_port)));
        }
        // One that changes its type need not say that the old node ports go.
        let was = |old: &ServiceSpec| old.ports.iter().any(|known| known.node_port == port.node_port);
        if port.node_port != 0 && !before.is_some_and(was) {
            node_port(options, spec, port, field("nodePort"), causes);
        }
    }
}

fn node_port(options: &Options, spec: &ServiceSpec, port: &ServicePort, field: String, causes: &mut Vec<Cause>) {
    if !spec.may_have_node_ports() {
        causes.push(Cause::forbidden(field, "may not be used when `type` is 'ClusterIP'"));
    } else if !options.node_ports.contains(&port.node_port) {
        let (first, last) = (options.node_ports.start(), options.node_ports.end());
        let detail = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
        causes.push(Cause::invalid(field, &json!(port.node_port), detail));
    }
}

fn addresses(options: &Options, spec: &ServiceSpec, causes: &mut Vec<Cause>) {
    for (at, text) in spec.external_ips.iter().enumerate() {
        let field = format!("spec.externalIPs[{at}]");
        match text.parse::<std::net::IpAddr>() {
            Err(_) => causes.push(Cause::invalid(field, &json!(text), "must be a valid IP address")),
            Ok(address) if address.is_loopback() || address.is_unspecified() || address.is_multicast() => {
                let detail = "may not be a loopback, multicast or unspecified address";
                causes.push(Cause::invalid(field, &json!(text), detail));
            }
            // Those are given out: it would take the traffic of another Service.
            Ok(std::net::IpAddr::V4(address)) if options.service_range.contains(&address) => {
                let detail = "may not be in the range of virtual addresses";
                causes.push(Cause::invalid(field, &json!(text), detail));
            }
            Ok(_) => {}
        }
    }
    let seconds = spec.session_affinity_config.as_ref().and_then(|c| c.pointer("/clientIP/timeoutSeconds"));
    if let Some(seconds) = seconds.and_then(Value::as_i64).filter(|s| !(1..=86_400).contains(s)) {
        let field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds";
        causes.push(Cause::invalid(field, &json!(seconds), "must be greater than 0 and less than 86400"));
    }
}

fn duplicate(field: String, value: &Value) -> Cause {
    Cause { reason: "FieldValueDuplicate".to_owned(), message: format!("Duplicate value: {value}"), field }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::admission::Decision;
    use gantry_sdk::testing::{Host, suite};
    use gantry_sdk::{merge, serde_json};

    fn service(change: &Value) -> Value {
        let mut service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": "web"},
            "spec": {"type": "ClusterIP", "selector": {"app": "web"}, "ports": [{"port": 80, "protocol": "TCP"}]},
        });
        merge::apply(&mut service, &json!({ "spec": change }));
        service
    }

    fn fields(request: &Request) -> Vec<String> {
        let _host = Host::new();
        match Review::default().review(request).unwrap().decision {
            Decision::Allow => Vec::new(),
            Decision::Deny(denial) => denial.causes.into_iter().map(|cause| cause.field).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn creations() {
        let two = |a: Value, b: Value| json!({"ports": [a, b]});
        for (change, want) in [
            (json!({}), vec![]),
            (json!({"clusterIP": "None", "ports": null}), vec![]),
            (json!({"clusterIP": "10.96.0.10"}), vec![]),
            (json!({"type": "ExternalName", "externalName": "example.com", "ports": null}), vec![]),
            (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}), vec![]),
            (
                two(
                    json!({"name": "a", "port": 53, "protocol": "TCP"}),
                    json!({"name": "b", "port": 53, "protocol": "UDP"}),
                ),
                vec![],
            ),
            (json!({"ports": []}), vec!["spec.ports"]),
            (json!({"type": "ExternalName"}), vec!["spec.externalName"]),
            (json!({"type": "NodePort", "clusterIP": "None"}), vec!["spec.clusterIP"]),
            (json!({"clusterIP": "192.0.2.1"}), vec!["spec.clusterIP"]),
            (json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.8"]}), vec!["spec.clusterIPs[0]"]),
            (json!({"ports": [{"port": 80, "nodePort": 30080}]}), vec!["spec.ports[0].nodePort"]),
            (json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 80}]}), vec!["spec.ports[0].nodePort"]),
            (
                json!({"externalIPs": ["127.0.0.1", "x", "192.0.2.1", "10.96.0.1"]}),
                vec!["spec.externalIPs[0]", "spec.externalIPs[1]", "spec.externalIPs[3]"],
            ),
            (
                two(json!({"port": 80}), json!({"port": 80})),
                vec!["spec.ports[0].name", "spec.ports[1].name", "spec.ports[1]"],
            ),
            (two(json!({"name": "a", "port": 80}), json!({"name": "a", "port": 81})), vec!["spec.ports[1].name"]),
        ] {
            assert_eq!(fields(&Request::create(&service(&change))), want, "{change}");
        }
    }

    #[test]
    fn updates() {
        let old = service(&json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}));
        let node = service(&json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}));
        let wrong = service(&json!({"ports": []}));
        for (old, change, want) in [
            (&old, json!({"clusterIP": "10.96.0.8"}), vec!["spec.clusterIP"]),
            (&old, json!({"clusterIP": null, "clusterIPs": null}), vec![]),
            (&old, json!({"type": "ExternalName", "externalName": "x.y", "clusterIP": null}), vec![]),
            (&node, json!({"ports": [{"port": 80, "nodePort": 30080}]}), vec![]),
            (&wrong, json!({"ports": []}), vec![]),
        ] {
            assert_eq!(fields(&Request::update(old, &service(&change))), want, "{change}");
        }
    }

    #[test]
    fn a_replacement_keeps_what_was_given() {
        let old = service(
            &json!({"type": "NodePort", "clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"], "ports": [{"port": 80, "nodePort": 30080}]}),
        );
        let new = service(&json!({"type": "NodePort"}));
        let request = Request::update(&old, &new).changeable();
        let Decision::Change(patch) = Review::default().review(&request).unwrap().decision else { panic!("no change") };
        let patch: Value = serde_json::from_slice(&patch).unwrap();
        let ports = json!([{"port": 80, "protocol": "TCP", "nodePort": 30080}]);
        assert_eq!(
            patch,
            json!([
                {"op": "add", "path": "/spec/clusterIP", "value": "10.96.0.9"},
                {"op": "add", "path": "/spec/clusterIPs", "value": ["10.96.0.9"]},
                {"op": "replace", "path": "/spec/ports", "value": ports},
            ])
        );
        let request = Request::update(&old, &old).changeable();
        assert_eq!(Review::default().review(&request).unwrap(), Verdict::allow());
    }

    #[test]
    fn is_a_reviewer() {
        let _host = Host::new();
        suite::admission::<Review>(
            &Config::get(),
            &[
                Request::create(&service(&json!({}))),
                Request::create(&service(&json!({"ports": []}))),
                Request::update(&service(&json!({})), &service(&json!({"clusterIP": "x"}))),
            ],
        );
    }
}
