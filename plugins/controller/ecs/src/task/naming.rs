//! What a task calls itself, and whom it asks for names. A pod has one of each, which all of its containers share.

use gantry_sdk::{Value, json};

use super::definition::{ContainerDefinition, DefinitionSpec};
use super::pod::set;

/// Adds what the containers say of it to the pod's spec. That they say the same was seen to when they were registered.
pub fn add(definition: &DefinitionSpec, spec: &mut Value) {
    let all = &definition.container_definitions;
    let hostname = all.iter().find_map(|container| container.hostname.as_ref().filter(|name| !name.is_empty()));
    set(spec, "hostname", hostname.map(|name| json!(name)));
    let servers = first(all, |container| &container.dns_servers);
    let searches = first(all, |container| &container.dns_search_domains);
    if !servers.is_empty() || !searches.is_empty() {
        set(spec, "dnsConfig", Some(json!({"nameservers": servers, "searches": searches})));
    }
    // Servers of its own are in place of the node's.
    set(spec, "dnsPolicy", (!servers.is_empty()).then(|| json!("None")));
    let mut aliases: Vec<Value> = Vec::new();
    for entry in all.iter().flat_map(|container| &container.extra_hosts) {
        let alias = json!({"ip": entry.ip_address, "hostnames": [entry.hostname]});
        if !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    // Containers of a task are at one place: a link is another name for it.
    let linked = all.iter().flat_map(|container| &container.links);
    for link in linked.map(|link| link.split_once(':').map_or(link.as_str(), |(_, alias)| alias)) {
        let alias = json!({"ip": "127.0.0.1", "hostnames": [link]});
        if !aliases.contains(&alias) {
            aliases.push(alias);
        }
    }
    set(spec, "hostAliases", (!aliases.is_empty()).then(|| json!(aliases)));
}

fn first(all: &[ContainerDefinition], of: fn(&ContainerDefinition) -> &Vec<String>) -> &[String] {
    all.iter().map(of).find(|list| !list.is_empty()).map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use gantry_sdk::serde_json::from_value;

    use super::*;

    #[test]
    fn names_are_the_pods() {
        let host = |name: &str| json!({"hostname": name, "ipAddress": "192.0.2.1"});
        for (containers, want) in [
            (json!([{"name": "a"}]), json!({})),
            (
                json!([{"name": "a", "extraHosts": [host("x")]}, {"name": "b", "hostname": "h", "extraHosts": [host("x"), host("y")]}]),
                json!({"hostname": "h", "hostAliases": [{"ip": "192.0.2.1", "hostnames": ["x"]}, {"ip": "192.0.2.1", "hostnames": ["y"]}]}),
            ),
            (
                json!([{"name": "a", "links": ["b:db", "b"]}, {"name": "b"}, {"name": "c", "links": ["b:db"]}]),
                json!({"hostAliases": [{"ip": "127.0.0.1", "hostnames": ["db"]}, {"ip": "127.0.0.1", "hostnames": ["b"]}]}),
            ),
            (
                json!([{"name": "a", "dnsServers": ["192.0.2.2"]}, {"name": "b", "dnsSearchDomains": ["example.com"]}]),
                json!({"dnsPolicy": "None", "dnsConfig": {"nameservers": ["192.0.2.2"], "searches": ["example.com"]}}),
            ),
            (
                json!([{"name": "a", "dnsSearchDomains": ["example.com"]}]),
                json!({"dnsConfig": {"nameservers": [], "searches": ["example.com"]}}),
            ),
        ] {
            let definition: DefinitionSpec = from_value(json!({"containerDefinitions": containers})).unwrap();
            let mut spec = json!({});
            add(&definition, &mut spec);
            assert_eq!(spec, want, "{containers}");
        }
    }
}
