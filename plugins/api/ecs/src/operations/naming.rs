//! What containers call themselves, and whom they ask for names. Those of a task share one network here, and so all of
//! this: they can't each have their own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use gantry_sdk::Value;

use crate::fault::{Fault, Result};
use crate::object::{items, text, texts};

/// What tasks with a network of their own can't have in ECS.
const NAMES: [&str; 4] = ["dnsSearchDomains", "dnsServers", "extraHosts", "hostname"];
/// What only one can have.
const ONE: [&str; 3] = ["dnsSearchDomains", "dnsServers", "hostname"];

/// Where containers of one task find each other.
const LOCAL: &str = "127.0.0.1";

/// Looks at all containers of a definition.
pub fn check(definition: &Value) -> Result<()> {
    let all = items(definition, "containerDefinitions");
    let mode = text(definition, "networkMode");
    for container in all {
        allowed(container, mode)?;
        valid(container)?;
        links(container, all, mode)?;
    }
    for name in ONE {
        let mut said =
            all.iter().filter(|container| is_said(container, name)).filter_map(|container| container.get(name));
        if let Some(first) = said.next()
            && said.any(|other| other != first)
        {
            return Err(Fault::client(format!(
                "Containers of a task share one network here, and can't have different values of {name}."
            )));
        }
    }
    let mut hosts: BTreeMap<&str, &str> = BTreeMap::new();
    let own = all.iter().flat_map(|container| items(container, "extraHosts"));
    let own = own.map(|entry| (text(entry, "hostname"), text(entry, "ipAddress")));
    // All containers of a task are at one place.
    let linked = all.iter().flat_map(|container| texts(container, "links")).map(|given| (link(given).1, LOCAL));
    for (name, address) in own.chain(linked) {
        if hosts.insert(name, address).is_some_and(|other| other != address) {
            return Err(Fault::client(format!(
                "Containers of a task share one network here, and extraHosts and links give {name} two addresses."
            )));
        }
    }
    Ok(())
}

/// `NAME` or `NAME:ALIAS` of a link: the container, and what it is called.
pub fn link(given: &str) -> (&str, &str) {
    given.split_once(':').unwrap_or((given, given))
}

/// Whether links lead somewhere.
fn links(container: &Value, all: &[Value], mode: &str) -> Result<()> {
    let path = format!("containerDefinitions[{}].links", text(container, "name"));
    for given in texts(container, "links") {
        if !matches!(mode, "" | "bridge") {
            return Err(Fault::client(format!("Links are not supported when networkMode={mode}.")));
        }
        let (name, alias) = link(given);
        if !all.iter().any(|other| text(other, "name") == name) {
            return Err(Fault::client(format!("{path}: Unknown container '{name}'.")));
        }
        if !is_domain(alias) {
            return Err(Fault::client(format!(
                "Invalid value {given:?} for {path}: give NAME:ALIAS, where ALIAS is a name of a host."
            )));
        }
    }
    Ok(())
}

fn is_said(container: &Value, name: &str) -> bool {
    match container.get(name) {
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::String(text)) => !text.is_empty(),
        _ => false,
    }
}

fn allowed(container: &Value, mode: &str) -> Result<()> {
    let not = |name: &str| match mode {
        "awsvpc" => true,
        // The node has a name already.
        "host" => name == "hostname",
        _ => false,
    };
    match NAMES.iter().find(|name| is_said(container, name) && not(name)) {
        Some(name) => Err(Fault::client(format!("{name} is not supported on container when networkMode={mode}."))),
        None => Ok(()),
    }
}

fn valid(container: &Value) -> Result<()> {
    let path = format!("containerDefinitions[{}].", text(container, "name"));
    let wrong = |what: &str, value: &str, give: &str| {
        Err(Fault::client(format!("Invalid value {value:?} for {path}{what}: give {give}.")))
    };
    let hostname = text(container, "hostname");
    if !hostname.is_empty() && !is_label(hostname) {
        return wrong("hostname", hostname, "up to 63 lower case letters, numbers and hyphens");
    }
    if let Some(server) = texts(container, "dnsServers").find(|server| server.parse::<IpAddr>().is_err()) {
        return wrong("dnsServers", server, "an IP address");
    }
    if let Some(domain) = texts(container, "dnsSearchDomains").find(|domain| !is_domain(domain)) {
        return wrong("dnsSearchDomains", domain, "a domain in lower case");
    }
    for entry in items(container, "extraHosts") {
        if !is_domain(&text(entry, "hostname").to_ascii_lowercase()) {
            return wrong("extraHosts.hostname", text(entry, "hostname"), "a name of a host");
        }
        if text(entry, "ipAddress").parse::<IpAddr>().is_err() {
            return wrong("extraHosts.ipAddress", text(entry, "ipAddress"), "an IP address");
        }
    }
    Ok(())
}

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}

fn is_domain(text: &str) -> bool {
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(is_label)
}
