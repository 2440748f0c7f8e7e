//! What an update leaves out and the Service was given before. Whoever replaces a Service with the manifest that it was
//! made from means no new address and no other ports.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::{Value, json};

use crate::object::ServiceSpec;

/// Fills it in. `new` is the spec of `object`.
pub fn fill_in(old: &ServiceSpec, new: &ServiceSpec, object: &mut Value) {
    if !old.is_name() && !new.is_name() {
        address(old, new, object);
    }
    if old.may_have_node_ports() && new.may_have_node_ports() {
        node_ports(old, new, object);
    }
    let health = old.health_check_node_port;
    if old.wants_health_port() && new.wants_health_port() && health != 0 && new.health_check_node_port == 0 {
        object
            .get_mut("spec")
            .and_then(Value::as_object_mut)
            .map(|spec| spec.insert("healthCheckNodePort".to_owned(), json!(health)));
    }
}

/// `None` is an address in this: what is headless stays so.
fn address(old: &ServiceSpec, new: &ServiceSpec, object: &mut Value) {
    let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if new.cluster_ip.is_empty() && !old.cluster_ip.is_empty() {
        spec.insert("clusterIP".to_owned(), json!(old.cluster_ip));
    }
    let same = new.cluster_ip.is_empty() || new.cluster_ip == old.cluster_ip;
    if same && new.cluster_ips.is_empty() && !old.cluster_ips.is_empty() {
        spec.insert("clusterIPs".to_owned(), json!(old.cluster_ips));
    }
}

/// By the names of the ports, since all else about a port may have changed.
fn node_ports(old: &ServiceSpec, new: &ServiceSpec, object: &mut Value) {
    let numbers = |spec: &ServiceSpec| spec.ports.iter().map(|port| port.node_port).filter(|n| *n != 0).collect();
    let (had, named): (BTreeSet<u16>, BTreeSet<u16>) = (numbers(old), numbers(new));
    let mut used: BTreeSet<u16> = had.intersection(&named).copied().collect();
    let by_name: BTreeMap<&str, u16> = old.ports.iter().map(|port| (port.name.as_str(), port.node_port)).collect();
    let Some(ports) = object.pointer_mut("/spec/ports").and_then(Value::as_array_mut) else { return };
    for (port, known) in ports.iter_mut().zip(&new.ports).filter(|(_, known)| known.node_port == 0) {
        let kept = by_name.get(known.name.as_str()).copied().filter(|number| *number != 0);
        let Some(number) = kept.filter(|number| used.insert(*number)) else { continue };
        if let Some(port) = port.as_object_mut() {
            port.insert("nodePort".to_owned(), json!(number));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{merge, serde_json};

    fn filled(old: &Value, new: &Value) -> Value {
        let spec = |value: &Value| serde_json::from_value::<ServiceSpec>(value.clone()).unwrap();
        let mut object = json!({ "spec": new });
        fill_in(&spec(old), &spec(new), &mut object);
        object["spec"].take()
    }

    #[test]
    fn what_was_given_stays() {
        let ports = |numbers: [u16; 2]| json!([{"name": "a", "port": 80, "nodePort": numbers[0]}, {"name": "b", "port": 81, "nodePort": numbers[1]}]);
        let bare = json!([{"name": "a", "port": 90}, {"name": "b", "port": 81}]);
        let turned = json!([{"name": "b", "port": 81}, {"name": "a", "port": 80}]);
        let address = json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]});
        let with = |kind: &str, base: &Value, more: Value| {
            let mut spec = json!({"type": kind});
            merge::apply(&mut spec, base);
            merge::apply(&mut spec, &more);
            spec
        };
        let none = json!({"clusterIP": "None", "clusterIPs": ["None"]});
        let plain = json!({});
        for (old, new, want) in [
            (with("ClusterIP", &address, json!({})), with("ClusterIP", &plain, json!({})), address.clone()),
            (with("ClusterIP", &none, json!({})), with("ClusterIP", &plain, json!({})), none.clone()),
            (
                with("NodePort", &address, json!({"ports": ports([30001, 30002])})),
                with("NodePort", &plain, json!({"ports": bare})),
                json!({"clusterIP": "10.96.0.9", "ports": [{"port": 90, "nodePort": 30001}, {"nodePort": 30002}]}),
            ),
            // In another order.
            (
                with("NodePort", &address, json!({"ports": ports([30001, 30002])})),
                with("LoadBalancer", &plain, json!({"ports": turned})),
                json!({"ports": [{"nodePort": 30002}, {"nodePort": 30001}]}),
            ),
            // One takes the other's.
            (
                with("NodePort", &address, json!({"ports": ports([30001, 30002])})),
                with(
                    "NodePort",
                    &plain,
                    json!({"ports": [{"name": "a", "port": 80, "nodePort": 30002}, {"name": "b", "port": 81}]}),
                ),
                json!({"ports": [{"nodePort": 30002}, {"nodePort": null}]}),
            ),
            // Nothing to keep: a name has no address, and a ClusterIP no node ports.
            (
                with("ExternalName", &plain, json!({})),
                with("ClusterIP", &plain, json!({})),
                json!({"clusterIP": null, "clusterIPs": null}),
            ),
            (
                with("NodePort", &address, json!({"ports": ports([30001, 30002])})),
                with("ExternalName", &plain, json!({"ports": bare})),
                json!({"clusterIP": null, "ports": [{"nodePort": null}, {"nodePort": null}]}),
            ),
            (
                with("NodePort", &address, json!({"ports": ports([30001, 30002])})),
                with("ClusterIP", &plain, json!({"ports": bare})),
                json!({"clusterIP": "10.96.0.9", "ports": [{"nodePort": null}, {"nodePort": null}]}),
            ),
            (
                json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009}),
                json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"}),
                json!({"healthCheckNodePort": 30009}),
            ),
            (
                json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009}),
                json!({"type": "LoadBalancer", "externalTrafficPolicy": "Cluster"}),
                json!({"healthCheckNodePort": null}),
            ),
            // Another address is somebody else's to refuse.
            (
                with("ClusterIP", &address, json!({})),
                with("ClusterIP", &plain, json!({"clusterIP": "10.96.0.8"})),
                json!({"clusterIP": "10.96.0.8", "clusterIPs": null}),
            ),
        ] {
            let found = filled(&old, &new);
            assert_holds(&found, &want, &format!("{old}\n{new}\n{found}"));
        }
    }

    /// Whether `found` has what `want` names; `null` is what must not be there.
    fn assert_holds(found: &Value, want: &Value, what: &str) {
        match want {
            Value::Object(fields) => {
                fields.iter().for_each(|(name, want)| assert_holds(&found[name.as_str()], want, what))
            }
            Value::Array(items) => items.iter().enumerate().for_each(|(n, want)| assert_holds(&found[n], want, what)),
            want => assert_eq!(found, want, "{what}"),
        }
    }
}
