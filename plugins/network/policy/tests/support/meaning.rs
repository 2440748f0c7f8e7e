//! What NetworkPolicies mean, said in the plainest way: looks at everything for every packet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_sdk::api::LabelSelector;
use gantry_sdk::network_policy::{Delta, Pod, Protocol};
use gantry_sdk::{Label, Value, serde_json};

use super::Packet;

/// All there is.
#[derive(Clone, Default)]
pub struct World {
    pub pods: BTreeMap<String, Pod>,
    pub namespaces: BTreeMap<String, Vec<Label>>,
    pub policies: BTreeMap<(String, String), Value>,
}

impl World {
    pub fn take(&mut self, delta: &Delta) {
        match delta {
            Delta::PodSet(pod) => drop(self.pods.insert(pod.id.clone(), pod.clone())),
            Delta::PodGone(id) => drop(self.pods.remove(id)),
            Delta::NamespaceSet(n) => drop(self.namespaces.insert(n.name.clone(), n.labels.clone())),
            Delta::NamespaceGone(name) => drop(self.namespaces.remove(name)),
            Delta::PolicySet(p) => {
                let spec = serde_json::from_slice(&p.spec).unwrap();
                self.policies.insert((p.namespace.clone(), p.name.clone()), spec);
            }
            Delta::PolicyGone(p) => drop(self.policies.remove(&(p.namespace.clone(), p.name.clone()))),
        }
    }

    /// Everything, as a full sync tells it.
    pub fn deltas(&self) -> Vec<Delta> {
        let namespace = |(name, labels): (&String, &Vec<Label>)| {
            Delta::NamespaceSet(gantry_sdk::network_policy::Namespace { name: name.clone(), labels: labels.clone() })
        };
        let policies = self.policies.iter().map(|((namespace, name), spec)| super::policy(namespace, name, spec));
        let pods = self.pods.values().cloned().map(Delta::PodSet);
        self.namespaces.iter().map(namespace).chain(policies).chain(pods).collect()
    }

    fn of(&self, address: IpAddr) -> Option<&Pod> {
        let address = address.to_string();
        self.pods.values().find(|pod| !pod.host_network && pod.addresses.contains(&address))
    }

    /// Whether this node lets it pass.
    pub fn allows(&self, packet: &Packet) -> bool {
        let (from, to) = (self.of(packet.from), self.of(packet.to));
        if packet.reply || from.is_some_and(|from| to.is_some_and(|to| from.id == to.id)) {
            return true;
        }
        let out = from.is_none_or(|pod| self.side(pod, "Egress", packet, packet.to));
        out && to.is_none_or(|pod| self.side(pod, "Ingress", packet, packet.from))
    }

    fn side(&self, pod: &Pod, type_: &str, packet: &Packet, other: IpAddr) -> bool {
        let about = self.policies.iter().filter(|((namespace, _), spec)| {
            pod.local
                && *namespace == pod.namespace
                && applies(spec, type_)
                && chooses(&spec["podSelector"], &pod.labels)
        });
        let about: Vec<_> = about.collect();
        let (rules, peers) = if type_ == "Ingress" { ("ingress", "from") } else { ("egress", "to") };
        let allows = |(namespace, spec): (&str, &Value)| {
            list(&spec[rules]).iter().any(|rule| {
                let (peers, ports) = (list(&rule[peers]), list(&rule["ports"]));
                (peers.is_empty() || peers.iter().any(|peer| self.peer(peer, namespace, other)))
                    && (ports.is_empty() || ports.iter().any(|port| self.port(port, packet)))
            })
        };
        about.is_empty() || about.iter().any(|((namespace, _), spec)| allows((namespace, spec)))
    }

    fn peer(&self, peer: &Value, namespace: &str, other: IpAddr) -> bool {
        if let Some(cidr) = peer["ipBlock"]["cidr"].as_str() {
            let within = |cidr: &str| cidr.parse::<ipnet::IpNet>().unwrap().contains(&other);
            return within(cidr) && !list(&peer["ipBlock"]["except"]).iter().any(|e| within(e.as_str().unwrap()));
        }
        let Some(pod) = self.of(other) else { return false };
        let here = match &peer["namespaceSelector"] {
            Value::Null => pod.namespace == namespace,
            selector => self.namespaces.get(&pod.namespace).is_some_and(|labels| chooses(selector, labels)),
        };
        let nobody = peer["namespaceSelector"].is_null() && peer["podSelector"].is_null();
        !nobody && here && (peer["podSelector"].is_null() || chooses(&peer["podSelector"], &pod.labels))
    }

    fn port(&self, port: &Value, packet: &Packet) -> bool {
        if port["protocol"].as_str().unwrap_or("TCP").to_lowercase() != packet.protocol {
            return false;
        }
        match &port["port"] {
            Value::Null => true,
            Value::String(name) => self.of(packet.to).is_some_and(|pod| {
                let tells = |p: &gantry_sdk::network_policy::NamedPort| {
                    p.name == *name && p.port == packet.port && is(p.protocol, packet.protocol)
                };
                pod.ports.iter().any(tells)
            }),
            number => {
                let first = number.as_u64().unwrap();
                (first..=port["endPort"].as_u64().unwrap_or(first)).contains(&u64::from(packet.port))
            }
        }
    }
}

fn is(protocol: Protocol, name: &str) -> bool {
    let of = match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Sctp => "sctp",
    };
    of == name
}

fn applies(spec: &Value, type_: &str) -> bool {
    match list(&spec["policyTypes"]) {
        [] => type_ == "Ingress" || !list(&spec["egress"]).is_empty(),
        types => types.iter().any(|t| t == type_),
    }
}

fn chooses(selector: &Value, labels: &[Label]) -> bool {
    let selector: LabelSelector = serde_json::from_value(selector.clone()).unwrap();
    selector.matches(&labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect())
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}
