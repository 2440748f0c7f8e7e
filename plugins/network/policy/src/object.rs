//! A NetworkPolicy as it is written, with the meanings of what is left out.

use gantry_sdk::api::LabelSelector;
use gantry_sdk::network_policy::Protocol;
use gantry_sdk::{Result, Value, serde_json};
use serde::Deserialize;

/// Which way traffic goes, seen from the selected pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// To them.
    Ingress,
    /// From them.
    Egress,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Ingress, Direction::Egress];
}

/// `spec`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Spec {
    /// The pods that it is about; empty: all of its namespace.
    pub pod_selector: LabelSelector,
    /// `Ingress`, `Egress`; absent: see [`Spec::applies`].
    pub policy_types: Vec<String>,
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// What one rule allows: any of the peers at any of the ports.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Of ingress; empty: everyone.
    pub from: Vec<Peer>,
    /// Of egress; empty: everyone.
    pub to: Vec<Peer>,
    /// Empty: every port and protocol.
    pub ports: Vec<Port>,
}

/// Who: pods, or a range of addresses.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Peer {
    /// Of the policy's namespace, unless there is a namespace selector.
    pub pod_selector: Option<LabelSelector>,
    /// With no pod selector: all pods of these.
    pub namespace_selector: Option<LabelSelector>,
    /// A range of addresses.
    pub ip_block: Option<IpBlock>,
}

/// `ipBlock`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct IpBlock {
    /// `192.0.2.0/24`
    pub cidr: String,
    /// Parts of it that are not meant.
    pub except: Vec<String>,
}

/// `ports[]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Port {
    /// `TCP` unless it says otherwise.
    pub protocol: Option<String>,
    /// A number, or the name that containers give one; absent: all.
    pub port: Option<Value>,
    /// The last of a range that begins with `port`.
    pub end_port: Option<i64>,
}

impl Spec {
    /// Reads a `spec`. `null` means the same as nothing, wherever it is.
    pub fn read(mut spec: Value) -> Result<Self> {
        strip(&mut spec);
        match spec {
            Value::Null => Ok(Self::default()),
            spec => Ok(serde_json::from_value(spec)?),
        }
    }

    /// Whether the selected pods are isolated in a direction. Without types: ingress always, egress if there are rules
    /// for it.
    pub fn applies(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.policy_types.is_empty() || self.policy_types.iter().any(|t| t == "Ingress"),
            Direction::Egress if self.policy_types.is_empty() => !self.egress.is_empty(),
            Direction::Egress => self.policy_types.iter().any(|t| t == "Egress"),
        }
    }

    /// The rules of a direction with their peers.
    pub fn rules(&self, direction: Direction) -> impl Iterator<Item = (&[Peer], &[Port])> {
        let rules = if direction == Direction::Ingress { &self.ingress } else { &self.egress };
        rules.iter().map(move |rule| {
            let peers = if direction == Direction::Ingress { &rule.from } else { &rule.to };
            (peers.as_slice(), rule.ports.as_slice())
        })
    }
}

impl Port {
    /// `None`: one that does not exist.
    pub fn protocol(&self) -> Option<Protocol> {
        match self.protocol.as_deref().unwrap_or("TCP") {
            "TCP" => Some(Protocol::Tcp),
            "UDP" => Some(Protocol::Udp),
            "SCTP" => Some(Protocol::Sctp),
            _ => None,
        }
    }
}

/// Removes what is `null`.
fn strip(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::json;

    #[test]
    fn types_follow_from_rules_when_they_are_left_out() {
        for (spec, ingress, egress) in [
            (json!({"podSelector": {}}), true, false),
            (json!({"podSelector": {}, "egress": []}), true, false),
            (json!({"podSelector": {}, "egress": [{}]}), true, true),
            (json!({"podSelector": {}, "ingress": [{}], "policyTypes": ["Egress"]}), false, true),
            (json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}), true, true),
        ] {
            let read = Spec::read(spec.clone()).unwrap();
            assert_eq!(
                (read.applies(Direction::Ingress), read.applies(Direction::Egress)),
                (ingress, egress),
                "{spec}"
            );
        }
    }

    #[test]
    fn null_is_nothing() {
        let spec = json!({
            "podSelector": {"matchLabels": null}, "ingress": null, "policyTypes": null,
            "egress": [{"to": null, "ports": [{"port": null, "protocol": null}]}],
        });
        let read = Spec::read(spec).unwrap();
        assert_eq!((read.ingress.len(), read.egress.len(), read.egress[0].ports.len()), (0, 1, 1));
        assert_eq!(read.egress[0].ports[0].protocol(), Some(Protocol::Tcp));
        assert_eq!(Spec::read(Value::Null).unwrap(), Spec::default());
        assert!(Spec::read(json!({"ingress": "all"})).is_err());
    }
}
