//! `/etc/resolv.conf` of a pod, by its `dnsPolicy` and `dnsConfig`. Limits are those of Kubernetes
//! (<https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/>).

use k8s_openapi::api::core::v1::PodDNSConfig;

use super::desired::Desired;
use crate::dns::Names;
use crate::resolv::{Resolv, is_loopback};

/// The C library reads no more.
const MOST_SERVERS: usize = 3;
const MOST_SEARCHES: usize = 32;
/// Of all search domains together with the spaces between them, in bytes.
const LONGEST_SEARCH: usize = 2_048;

/// What a pod's file says, and what of it had to be left out, for an Event.
pub fn of(desired: &Desired, names: &Names, node: Resolv) -> (Resolv, Vec<String>) {
    let spec = desired.spec();
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let cluster = !names.servers.is_empty();
    let mut problems = Vec::new();
    let mut all = match policy {
        "None" => Resolv::default(),
        "ClusterFirst" if cluster && !desired.host_network() => within(names, &desired.key.namespace, node),
        "ClusterFirstWithHostNet" if cluster => within(names, &desired.key.namespace, node),
        _ if desired.host_network() => node,
        _ => reachable(node, &mut problems),
    };
    if let Some(config) = &spec.dns_config {
        add(&mut all, config);
    }
    limit(&mut all, &mut problems);
    (all, problems)
}

/// The cluster's server, and the node's domains after the cluster's.
fn within(names: &Names, namespace: &str, node: Resolv) -> Resolv {
    let servers = names.servers.iter().map(ToString::to_string).collect();
    let searches = names.search(namespace).chain(node.searches).collect();
    Resolv { servers, searches, options: names.options() }
}

/// Without servers on the node's loopback: in a network of its own a pod would ask itself.
fn reachable(mut node: Resolv, problems: &mut Vec<String>) -> Resolv {
    let before = node.servers.len();
    node.servers.retain(|server| !is_loopback(server));
    if node.servers.is_empty() && before > 0 {
        let why = "The node's resolv.conf names only servers on its loopback, which this pod cannot reach: it has none. \
                   Give it dnsConfig.nameservers, or the node another file with --resolv-conf";
        problems.push(why.to_owned());
    }
    node
}

fn add(all: &mut Resolv, config: &PodDNSConfig) {
    all.servers.extend(config.nameservers.iter().flatten().cloned());
    all.searches.extend(config.searches.iter().flatten().cloned());
    for option in config.options.iter().flatten() {
        let name = option.name.clone().unwrap_or_default();
        all.options.retain(|known| known.split(':').next() != Some(name.as_str()));
        all.options.push(match &option.value {
            Some(value) if !value.is_empty() => format!("{name}:{value}"),
            _ => name,
        });
    }
}

fn limit(all: &mut Resolv, problems: &mut Vec<String>) {
    all.servers = once(&all.servers);
    if all.servers.len() > MOST_SERVERS {
        all.servers.truncate(MOST_SERVERS);
        let line = all.servers.join(" ");
        problems.push(format!(
            "Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: {line}"
        ));
    }
    all.searches = once(&all.searches);
    let before = all.searches.len();
    let mut length = 0_usize;
    let fits = all.searches.iter().take(MOST_SEARCHES).take_while(|search| {
        length = length.saturating_add(search.len()).saturating_add(1);
        length <= LONGEST_SEARCH + 1
    });
    let fits = fits.count();
    all.searches.truncate(fits);
    if fits < before {
        let line = all.searches.join(" ");
        problems.push(format!(
            "Search Line limits were exceeded, some search paths have been omitted, the applied search line is: {line}"
        ));
    }
}

fn once(words: &[String]) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for word in words {
        if !seen.contains(word) {
            seen.push(word.clone());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::agent::testing::desired;

    const NODE: &str = "# made by hand\nnameserver 192.0.2.53\nsearch example.com\noptions edns0\n";
    const OWN: &str = "search example.com\nnameserver 192.0.2.53\noptions edns0\n";

    fn names() -> Names {
        Names::testing([169, 254, 20, 10].into())
    }

    fn resolver(spec: &Value, names: &Names, node: &str) -> (String, Vec<String>) {
        let (all, problems) = of(&desired("u", spec.clone(), json!({})), names, Resolv::parse(node));
        (all.to_string(), problems)
    }

    #[test]
    fn resolvers_follow_the_policy() {
        let cluster = "search default.svc.cluster.local svc.cluster.local cluster.local example.com\n\
                       nameserver 169.254.20.10\noptions ndots:5\n";
        let config =
            json!({"nameservers": ["1.1.1.1"], "searches": ["x"], "options": [{"name": "ndots", "value": "2"}]});
        let added = "search default.svc.cluster.local svc.cluster.local cluster.local example.com x\n\
                     nameserver 169.254.20.10\nnameserver 1.1.1.1\noptions ndots:2\n";
        for (spec, want) in [
            (json!({}), cluster),
            (json!({"dnsPolicy": "Default"}), OWN),
            (json!({"hostNetwork": true}), OWN),
            (json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), cluster),
            (json!({"dnsConfig": config}), added),
            (json!({"dnsPolicy": "None", "dnsConfig": config}), "search x\nnameserver 1.1.1.1\noptions ndots:2\n"),
        ] {
            assert_eq!(resolver(&spec, &names(), NODE), (want.to_owned(), Vec::new()), "{spec}");
        }
        assert_eq!(resolver(&json!({}), &Names::none(), NODE).0, OWN, "the cluster has no names");
    }

    #[test]
    fn a_loopback_that_is_not_the_pods_is_left_out() {
        let stub = "nameserver 127.0.0.53\nsearch example.com\n";
        let (text, problems) = resolver(&json!({"dnsPolicy": "Default"}), &names(), stub);
        assert_eq!((text.as_str(), problems.len()), ("search example.com\n", 1));
        let host = json!({"dnsPolicy": "Default", "hostNetwork": true});
        assert_eq!(
            resolver(&host, &names(), stub),
            ("search example.com\nnameserver 127.0.0.53\n".to_owned(), Vec::new())
        );
        let (text, problems) =
            resolver(&json!({"dnsPolicy": "Default"}), &names(), &format!("{stub}nameserver 192.0.2.1\n"));
        assert_eq!((text.as_str(), problems.len()), ("search example.com\nnameserver 192.0.2.1\n", 0));
    }

    #[test]
    fn limits_hold() {
        let long = format!("{}.{}", "a".repeat(60), "b".repeat(60));
        let numbered = |count: usize, of: &str| (0..count).map(|n| format!("{n}.{of}")).collect::<Vec<_>>();
        let servers = ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3", "192.0.2.4"];
        let count = |searches: Vec<String>| {
            let spec = json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": servers, "searches": searches}});
            let (all, problems) = of(&desired("u", spec, json!({})), &names(), Resolv::default());
            assert_eq!(all.servers, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]);
            (all.searches.len(), all.searches.join(" ").len(), problems.len())
        };
        assert_eq!(count(numbered(3, "x")), (3, 11, 1));
        assert_eq!(count(numbered(40, "x")).0, 32);
        let (fitting, length, problems) = count(numbered(30, &long));
        assert!(fitting == 16 && length <= LONGEST_SEARCH && problems == 2, "{fitting} {length} {problems}");
    }
}
