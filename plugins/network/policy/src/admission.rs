//! What a write of a NetworkPolicy must keep to beyond the schema, and what it means where it is silent. The host answers
//! 422 with every cause, before anything is stored.
//!
//! An update that leaves `spec` alone is let through: what was stored before a rule existed can still be labelled.

use gantry_sdk::admission::{Cause, Request, Rule, Verdict};
use gantry_sdk::api::LabelSelector;
use gantry_sdk::{Admission, Config, KindRef, Result, Value, json};
use ipnet::IpNet;

use crate::object::{Direction, IpBlock, Peer, Port, Spec};
use crate::options::Options;

const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Looks at writes of NetworkPolicies.
#[derive(Default)]
pub struct Review;

impl Admission for Review {
    fn configure(&mut self, config: Config) -> Result<()> {
        // It is about nodes, but this is where it is refused first.
        config.parse::<Options>().map(drop)
    }

    fn rules(&self) -> Vec<Rule> {
        vec![Rule::on(KindRef::new("networking.k8s.io", "NetworkPolicy")).mutating()]
    }

    fn review(&mut self, request: &Request) -> Result<Verdict> {
        let object: Value = request.object()?;
        let before = request.before::<Value>()?;
        if before.is_some_and(|old| old.get("spec") == object.get("spec")) {
            return Ok(Verdict::allow());
        }
        let spec = Spec::read(object.get("spec").cloned().unwrap_or_default())?;
        let causes = check(&spec);
        if !causes.is_empty() || !request.may_change {
            return Ok(Verdict::invalid(causes));
        }
        Ok(Verdict::change(&object, &filled(&object, &spec)))
    }
}

/// With what is left out.
fn filled(object: &Value, spec: &Spec) -> Value {
    let mut object = object.clone();
    let Some(fields) = object.get_mut("spec").and_then(Value::as_object_mut) else { return object };
    if spec.policy_types.is_empty() {
        let types = [(Direction::Ingress, "Ingress"), (Direction::Egress, "Egress")];
        let types: Vec<&str> = types.into_iter().filter(|(d, _)| spec.applies(*d)).map(|(_, name)| name).collect();
        fields.insert("policyTypes".to_owned(), json!(types));
    }
    for rules in ["ingress", "egress"] {
        let rules = fields.get_mut(rules).and_then(Value::as_array_mut).into_iter().flatten();
        let ports = rules.filter_map(|rule| rule.get_mut("ports")?.as_array_mut()).flatten();
        for port in ports.filter_map(Value::as_object_mut) {
            let protocol = port.entry("protocol").or_insert(Value::Null);
            if protocol.is_null() {
                *protocol = json!("TCP");
            }
        }
    }
    object
}

fn check(spec: &Spec) -> Vec<Cause> {
    let mut causes = Vec::new();
    selector("spec.podSelector", &spec.pod_selector, &mut causes);
    types(&spec.policy_types, &mut causes);
    for (direction, rules, side) in [(Direction::Ingress, "ingress", "from"), (Direction::Egress, "egress", "to")] {
        for (index, (peers, ports)) in spec.rules(direction).enumerate() {
            let at = format!("spec.{rules}[{index}]");
            for (index, port) in ports.iter().enumerate() {
                check_port(&format!("{at}.ports[{index}]"), port, &mut causes);
            }
            for (index, peer) in peers.iter().enumerate() {
                check_peer(&format!("{at}.{side}[{index}]"), peer, &mut causes);
            }
        }
    }
    causes
}

fn types(types: &[String], causes: &mut Vec<Cause>) {
    if types.len() > 2 {
        causes.push(Cause::invalid("spec.policyTypes", &json!(types), "may not specify more than two policyTypes"));
        return;
    }
    for (index, type_) in types.iter().enumerate().filter(|(_, t)| !matches!(t.as_str(), "Ingress" | "Egress")) {
        let field = format!("spec.policyTypes[{index}]");
        causes.push(Cause::not_supported(field, &json!(type_), &["Egress", "Ingress"]));
    }
}

fn selector(at: &str, selector: &LabelSelector, causes: &mut Vec<Cause>) {
    for (index, requirement) in selector.match_expressions.iter().enumerate() {
        let at = format!("{at}.matchExpressions[{index}]");
        match requirement.operator.as_str() {
            "In" | "NotIn" if requirement.values.is_empty() => {
                let detail = "must be specified when `operator` is 'In' or 'NotIn'";
                causes.push(Cause::required(format!("{at}.values"), detail));
            }
            "Exists" | "DoesNotExist" if !requirement.values.is_empty() => {
                let detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'";
                causes.push(Cause::forbidden(format!("{at}.values"), detail));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
            other => {
                causes.push(Cause::invalid(format!("{at}.operator"), &json!(other), "not a valid selector operator"));
            }
        }
    }
}

fn check_port(at: &str, port: &Port, causes: &mut Vec<Cause>) {
    if port.protocol().is_none() {
        let given = json!(port.protocol);
        causes.push(Cause::not_supported(format!("{at}.protocol"), &given, &["SCTP", "TCP", "UDP"]));
    }
    let valid = |number: i64| (1..=65_535).contains(&number);
    let between = "must be between 1 and 65535, inclusive";
    match &port.port {
        None if port.end_port.is_some() => {
            causes.push(Cause::required(format!("{at}.port"), "must be specified when `endPort` is specified"));
        }
        None => {}
        Some(Value::String(name)) => {
            if let Some(detail) = misnamed(name) {
                causes.push(Cause::invalid(format!("{at}.port"), &json!(name), detail));
            }
            if let Some(end) = port.end_port {
                let detail = "may not be specified when `port` is non-numeric";
                causes.push(Cause::invalid(format!("{at}.endPort"), &json!(end), detail));
            }
        }
        Some(given) => {
            let number = given.as_i64().unwrap_or_default();
            if !valid(number) {
                causes.push(Cause::invalid(format!("{at}.port"), given, between));
            }
            let detail = |end| match end {
                end if end < number => Some("must be greater than or equal to `port`"),
                end if !valid(end) => Some(between),
                _ => None,
            };
            if let Some((end, detail)) = port.end_port.and_then(|end| Some((end, detail(end)?))) {
                causes.push(Cause::invalid(format!("{at}.endPort"), &json!(end), detail));
            }
        }
    }
}

/// What is wrong with a port's name.
fn misnamed(name: &str) -> Option<&'static str> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    match name {
        name if name.len() > 15 => Some("must be no more than 15 characters"),
        name if !name.bytes().all(allowed) => {
            Some("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
        }
        name if !name.bytes().any(|b| b.is_ascii_lowercase()) => Some("must contain at least one letter (a-z)"),
        name if name.contains("--") => Some("must not contain consecutive hyphens"),
        name if name.starts_with('-') || name.ends_with('-') => Some("must not begin or end with a hyphen"),
        _ => None,
    }
}

fn check_peer(at: &str, peer: &Peer, causes: &mut Vec<Cause>) {
    let selectors = [("podSelector", &peer.pod_selector), ("namespaceSelector", &peer.namespace_selector)];
    for (name, given) in selectors {
        if let Some(given) = given {
            selector(&format!("{at}.{name}"), given, causes);
        }
    }
    let selects = peer.pod_selector.is_some() || peer.namespace_selector.is_some();
    match &peer.ip_block {
        Some(block) => {
            if selects {
                causes.push(Cause::forbidden(at, "may not specify both ipBlock and another peer"));
            }
            check_block(&format!("{at}.ipBlock"), block, causes);
        }
        None if !selects => causes.push(Cause::required(at, "must specify a peer")),
        None => {}
    }
}

fn check_block(at: &str, block: &IpBlock, causes: &mut Vec<Cause>) {
    if block.cidr.is_empty() {
        causes.push(Cause::required(format!("{at}.cidr"), ""));
        return;
    }
    let Ok(range) = block.cidr.parse::<IpNet>() else {
        causes.push(Cause::invalid(format!("{at}.cidr"), &json!(block.cidr), CIDR));
        return;
    };
    for (index, text) in block.except.iter().enumerate() {
        let field = format!("{at}.except[{index}]");
        match text.parse::<IpNet>() {
            Err(_) => causes.push(Cause::invalid(field, &json!(text), CIDR)),
            Ok(except) if !range.contains(&except) || range.prefix_len() == except.prefix_len() => {
                causes.push(Cause::invalid(field, &json!(text), "must be a strict subset of `cidr`"));
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::admission::{Decision, Denial};

    fn policy(spec: Value) -> Value {
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "p", "namespace": "default"}, "spec": spec,
        })
    }

    fn review(spec: Value) -> Decision {
        Review.review(&Request::create(&policy(spec)).changeable()).unwrap().decision
    }

    fn port(port: Value) -> Value {
        json!({"podSelector": {}, "ingress": [{"ports": [port]}]})
    }

    fn peer(peer: Value) -> Value {
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [peer]}]})
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_field() {
        let table = [
            (port(json!({"port": 80, "endPort": 79})), "ports[0].endPort", "must be greater than or equal to `port`"),
            (port(json!({"port": "http", "endPort": 90})), "ports[0].endPort", "when `port` is non-numeric"),
            (port(json!({"endPort": 90})), "spec.ingress[0].ports[0].port", "must be specified when `endPort`"),
            (port(json!({"port": 0})), "ports[0].port", "must be between 1 and 65535"),
            (port(json!({"port": 70_000})), "ports[0].port", "must be between 1 and 65535"),
            (port(json!({"port": 80, "endPort": 70_000})), "ports[0].endPort", "must be between 1 and 65535"),
            (port(json!({"port": "no_name"})), "ports[0].port", "must contain only"),
            (port(json!({"port": 80, "protocol": "ICMP"})), "ports[0].protocol", "\"SCTP\", \"TCP\", \"UDP\""),
            (peer(json!({})), "spec.egress[0].to[0]", "must specify a peer"),
            (peer(json!({"ipBlock": {"cidr": "10.0.0.0/33"}})), "to[0].ipBlock.cidr", "must be a valid CIDR value"),
            (peer(json!({"ipBlock": {"cidr": ""}})), "to[0].ipBlock.cidr", "Required value"),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["192.0.2.0/24"]}})),
                "to[0].ipBlock.except[0]",
                "must be a strict subset of `cidr`",
            ),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/8"]}})),
                "to[0].ipBlock.except[0]",
                "must be a strict subset",
            ),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8", "except": ["ten"]}})),
                "to[0].ipBlock.except[0]",
                "must be a valid CIDR value",
            ),
            (
                peer(json!({"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}})),
                "spec.egress[0].to[0]",
                "may not specify both ipBlock and another peer",
            ),
            (
                peer(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}})),
                "to[0].podSelector.matchExpressions[0].values",
                "Required value",
            ),
            (json!({"podSelector": {}, "policyTypes": ["Both"]}), "spec.policyTypes[0]", "\"Egress\", \"Ingress\""),
        ];
        for (spec, field, words) in table {
            let Decision::Deny(Denial { causes, .. }) = review(spec.clone()) else { panic!("{spec} passes") };
            assert_eq!(causes.len(), 1, "{spec}: {causes:?}");
            assert!(causes[0].field.ends_with(field), "{spec}: {}", causes[0].field);
            assert!(causes[0].message.contains(words), "{spec}: {}", causes[0].message);
        }
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let spec = json!({"podSelector": {}, "egress": [{"ports": [{"port": 53}, {"port": 53, "protocol": "UDP"}]}]});
        let Decision::Change(patch) = review(spec.clone()) else { panic!("nothing is filled in") };
        let patch = String::from_utf8(patch).unwrap();
        assert!(patch.contains("policyTypes") && patch.contains("\"Egress\"") && patch.contains("\"TCP\""), "{patch}");
        let whole = json!({"podSelector": {}, "policyTypes": ["Ingress"]});
        assert!(matches!(review(whole), Decision::Allow));
        // What is stored may be labelled, whatever it is.
        let odd = policy(port(json!({"port": 0})));
        assert!(matches!(Review.review(&Request::update(&odd, &odd)).unwrap().decision, Decision::Allow));
    }
}
