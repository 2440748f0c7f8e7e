//! What only Services of type LoadBalancer may say, and how traffic is spread.

use gantry_sdk::admission::Cause;
use gantry_sdk::json;
use ipnet::IpNet;

use crate::object::ServiceSpec;
use crate::options::Options;

const DISTRIBUTIONS: &[&str] = &["PreferClose", "PreferSameZone", "PreferSameNode"];

/// Looks at what is new in this write: one that changes its type need not say that the rest goes.
pub fn check(options: &Options, spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) {
    health(options, spec, before, causes);
    ranges(spec, before, causes);
    let allocates = spec.allocate_load_balancer_node_ports;
    if allocates.is_some() && !spec.is_balanced() && before.is_none_or(|old| !old.is_balanced()) {
        let detail = "may only be used when `type` is 'LoadBalancer'";
        causes.push(Cause::forbidden("spec.allocateLoadBalancerNodePorts", detail));
    }
    let wanted = spec.traffic_distribution.as_str();
    if !wanted.is_empty() && !DISTRIBUTIONS.contains(&wanted) {
        causes.push(Cause::not_supported("spec.trafficDistribution", &json!(wanted), DISTRIBUTIONS));
    }
}

fn health(options: &Options, spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) {
    const FIELD: &str = "spec.healthCheckNodePort";
    let number = spec.health_check_node_port;
    if number == 0 || before.is_some_and(|old| old.health_check_node_port == number) {
        return;
    }
    if !spec.wants_health_port() {
        let detail = "may only be used when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
        causes.push(Cause::forbidden(FIELD, detail));
    } else if before.is_some_and(|old| old.wants_health_port() && old.health_check_node_port != 0) {
        causes.push(Cause::invalid(FIELD, &json!(number), "field is immutable"));
    } else if !options.node_ports.contains(&number) {
        let (first, last) = (options.node_ports.start(), options.node_ports.end());
        let detail = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
        causes.push(Cause::invalid(FIELD, &json!(number), detail));
    }
}

fn ranges(spec: &ServiceSpec, before: Option<&ServiceSpec>, causes: &mut Vec<Cause>) {
    const FIELD: &str = "spec.loadBalancerSourceRanges";
    let ranges = &spec.load_balancer_source_ranges;
    if ranges.is_empty() || before.is_some_and(|old| old.load_balancer_source_ranges == *ranges) {
        return;
    }
    if !spec.is_balanced() {
        causes.push(Cause::forbidden(FIELD, "may only be used when `type` is 'LoadBalancer'"));
    }
    for (at, range) in ranges.iter().enumerate().filter(|(_, range)| range.trim().parse::<IpNet>().is_err()) {
        let detail = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";
        causes.push(Cause::invalid(format!("{FIELD}[{at}]"), &json!(range), detail));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_sdk::{Value, serde_json};

    #[test]
    fn what_only_load_balancers_have() {
        let spec = |value: &Value| serde_json::from_value::<ServiceSpec>(value.clone()).unwrap();
        let local = |more: Value| {
            let mut spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local"});
            gantry_sdk::merge::apply(&mut spec, &more);
            spec
        };
        let plain = json!({"type": "ClusterIP"});
        let had = local(json!({"healthCheckNodePort": 30_500, "allocateLoadBalancerNodePorts": true}));
        let kept = json!({"type": "ClusterIP", "healthCheckNodePort": 30_500, "allocateLoadBalancerNodePorts": true});
        let ranges =
            json!({"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24", "2001:db8::/32", "x"]});
        for (before, now, want) in [
            (None, plain.clone(), vec![]),
            (None, had.clone(), vec![]),
            (None, kept.clone(), vec!["spec.healthCheckNodePort", "spec.allocateLoadBalancerNodePorts"]),
            (Some(&had), kept, vec![]),
            (None, local(json!({"healthCheckNodePort": 80})), vec!["spec.healthCheckNodePort"]),
            (Some(&had), local(json!({"healthCheckNodePort": 30_501})), vec!["spec.healthCheckNodePort"]),
            (Some(&plain), local(json!({"healthCheckNodePort": 30_501})), vec![]),
            (None, ranges, vec!["spec.loadBalancerSourceRanges[2]"]),
            (None, json!({"loadBalancerSourceRanges": ["192.0.2.0/24"]}), vec!["spec.loadBalancerSourceRanges"]),
            (None, json!({"trafficDistribution": "PreferClose"}), vec![]),
            (None, json!({"trafficDistribution": "PreferFar"}), vec!["spec.trafficDistribution"]),
        ] {
            let mut causes = Vec::new();
            check(&Options::default(), &spec(&now), before.map(spec).as_ref(), &mut causes);
            assert_eq!(causes.iter().map(|cause| cause.field.as_str()).collect::<Vec<_>>(), want, "{now}");
        }
    }
}
