//! What a Service asks for by name and another one has. A look, no more: of two that are written at the same moment both
//! may pass, and the one that comes later to its claim is told by an Event and a condition.

use std::net::Ipv4Addr;

use gantry_sdk::admission::{Cause, Request};
use gantry_sdk::api::Resource;
use gantry_sdk::{ObjectRef, Result, json, objects};

use crate::object::{Claim, IpAddress, NodePort, Service, ServiceSpec};

/// Says what is taken of that which is new in this write.
pub fn check(
    request: &Request,
    spec: &ServiceSpec,
    before: Option<&ServiceSpec>,
    causes: &mut Vec<Cause>,
) -> Result<()> {
    address(request, spec, before, causes)?;
    node_ports(request, spec, before, causes)
}

fn address(request: &Request, spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) -> Result<()> {
    if spec.is_name() || before.is_some_and(|old| old.cluster_ip == spec.cluster_ip) {
        return Ok(());
    }
    // `None` and what is no address need no look.
    let Ok(address) = spec.cluster_ip.parse::<Ipv4Addr>() else { return Ok(()) };
    let name = address.to_string();
    let keeps = |other: &ServiceSpec| {
        !other.is_name() && other.cluster_ip != "None" && (other.cluster_ip == name || other.cluster_ip.is_empty())
    };
    if is_anothers::<IpAddress>(request, &name, keeps)? {
        let detail = format!("failed to allocate IP {name}: provided IP is already allocated");
        causes.push(Cause::invalid("spec.clusterIPs", &json!([name]), detail));
    }
    Ok(())
}

fn node_ports(
    request: &Request,
    spec: &ServiceSpec,
    before: Option<&ServiceSpec>,
    causes: &mut Vec<Cause>,
) -> Result<()> {
    if !spec.may_have_node_ports() {
        return Ok(());
    }
    let had = |number: u16| {
        before.is_some_and(|old| old.may_have_node_ports() && old.ports.iter().any(|port| port.node_port == number))
    };
    for (at, port) in spec.ports.iter().enumerate().filter(|(_, port)| port.node_port != 0 && !had(port.node_port)) {
        let number = port.node_port;
        node_port(request, number, format!("spec.ports[{at}].nodePort"), causes)?;
    }
    let number = spec.health_check_node_port;
    let had = before.is_some_and(|old| old.wants_health_port() && old.health_check_node_port == number);
    match number != 0 && spec.wants_health_port() && !had {
        true => node_port(request, number, "spec.healthCheckNodePort".to_owned(), causes),
        false => Ok(()),
    }
}

fn node_port(request: &Request, number: u16, field: String, causes: &mut Vec<Cause>) -> Result<()> {
    if is_anothers::<NodePort>(request, &number.to_string(), |other| may_keep(other, number))? {
        causes.push(Cause::invalid(field, &json!(number), "provided port is already allocated"));
    }
    Ok(())
}

/// Whether a Service keeps a port of the nodes that it has: it names it, or leaves open which one it is.
fn may_keep(spec: &ServiceSpec, number: u16) -> bool {
    let open = |named: u16| [0, number].contains(&named);
    spec.may_have_node_ports() && spec.ports.iter().any(|port| open(port.node_port))
        || spec.wants_health_port() && open(spec.health_check_node_port)
}

/// Whether somebody else has it and `keeps` it. What a Service that is gone or changed still holds is about to be free.
fn is_anothers<C: Claim>(request: &Request, name: &str, keeps: impl Fn(&ServiceSpec) -> bool) -> Result<bool> {
    let Some(claim) = objects::get::<C>(&ObjectRef::of::<C>("", name))? else { return Ok(false) };
    if claim.is_of(&request.namespace, &request.name) {
        return Ok(false);
    }
    let parent = claim.parent();
    if parent.resource != "services" {
        return Ok(true);
    }
    let service = objects::get::<Service>(&ObjectRef::of::<Service>(&parent.namespace, &parent.name))?;
    Ok(service.is_some_and(|service| service.uid() == claim.service_uid() && keeps(&service.spec)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admission::Review;
    use gantry_sdk::admission::Decision;
    use gantry_sdk::testing::Host;
    use gantry_sdk::{Admission, Value, serde_json};

    fn service(name: &str, spec: Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "a", "name": name}, "spec": spec})
    }

    fn refusals(request: &Request) -> Vec<String> {
        match Review::default().review(request).unwrap().decision {
            Decision::Allow => Vec::new(),
            Decision::Deny(denial) => {
                denial.causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn node(number: u16) -> Value {
        json!({"type": "NodePort", "clusterIP": "10.96.0.5", "ports": [{"port": 80, "nodePort": number}]})
    }

    const PORT: &str = "spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated";
    const ADDRESS: &str = "spec.clusterIPs: Invalid value: [\"10.96.0.5\"]: failed to allocate IP 10.96.0.5: provided IP is already allocated";

    #[test]
    fn what_another_has_is_refused_for_as_long_as_it_keeps_it() {
        let host = Host::new();
        let first: Service = serde_json::from_value(host.add_json(service("first", node(30001)))).unwrap();
        host.add(IpAddress::of("10.96.0.5", &first));
        host.add(NodePort::of("30001", &first));
        let plain = |spec: Value| service("second", spec);
        let old =
            plain(json!({"type": "NodePort", "clusterIP": "10.96.0.9", "ports": [{"port": 80, "nodePort": 30002}]}));
        let mut moved = old.clone();
        moved["spec"]["ports"][0]["nodePort"] = json!(30001);
        for (request, want) in [
            (Request::create(&plain(node(30001))), vec![ADDRESS, PORT]),
            (
                Request::create(&plain(
                    json!({"type": "ClusterIP", "clusterIP": "10.96.0.6", "ports": [{"port": 80}]}),
                )),
                vec![],
            ),
            (Request::update(&old, &moved), vec![PORT]),
            // It names what it was refused before there was this look; it may be labelled all the same.
            (Request::update(&moved, &moved), vec![]),
            (Request::create(&service("first", node(30001))), vec![]),
        ] {
            assert_eq!(refusals(&request), want, "{request}");
        }
        host.edit::<Service>("a", "first", |service| service.spec.ports[0].node_port = 30003);
        assert_eq!(refusals(&Request::create(&plain(node(30001)))), [ADDRESS]);
        host.remove(&ObjectRef::of::<Service>("a", "first"));
        assert!(refusals(&Request::create(&plain(node(30001)))).is_empty());
    }
}
