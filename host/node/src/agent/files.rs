//! Files that the agent writes for a pod: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::PodSpec;

use super::context::Dns;
use super::desired::Desired;

/// The kernel's longest host name.
const LONGEST_HOSTNAME: usize = 63;
/// The C library reads no more of each.
const MOST_SERVERS: usize = 3;

/// What the pod calls itself: its name or `spec.hostname`; the full name where that is asked for.
pub fn hostname(desired: &Desired, domain: &str) -> String {
    let spec = desired.spec();
    let short = short_name(desired, &spec);
    match full_name(desired, &spec, domain) {
        Some(full) if spec.set_hostname_as_fqdn == Some(true) => full,
        _ => short,
    }
}

fn short_name(desired: &Desired, spec: &PodSpec) -> String {
    let name = spec.hostname.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| desired.key.name.clone());
    let name: String = name.chars().take(LONGEST_HOSTNAME).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

fn full_name(desired: &Desired, spec: &PodSpec, domain: &str) -> Option<String> {
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    let (short, namespace) = (short_name(desired, spec), &desired.key.namespace);
    Some(format!("{short}.{subdomain}.{namespace}.svc.{domain}"))
}

/// Writes the three files into the pod's folder.
pub fn write(desired: &Desired, addresses: &[IpAddr], dns: &Dns, pod_dir: &Path) -> io::Result<()> {
    fs::create_dir_all(pod_dir)?;
    let node_hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let node_dns = fs::read_to_string(&dns.node_file).unwrap_or_default();
    replace(&pod_dir.join("etc-hosts"), &hosts(desired, addresses, &dns.domain, &node_hosts))?;
    replace(&pod_dir.join("resolv.conf"), &resolver(desired, dns, &node_dns))?;
    replace(&pod_dir.join("hostname"), &format!("{}\n", hostname(desired, &dns.domain)))
}

/// In place: the file is mounted into containers, so it must stay the same file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text)
}

fn hosts(desired: &Desired, addresses: &[IpAddr], domain: &str, node: &str) -> String {
    let spec = desired.spec();
    let mut text = String::new();
    if desired.host_network() {
        let _ = write!(text, "# Kubernetes-managed hosts file (host network).\n{node}");
    } else {
        text.push_str("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n");
        text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n");
        text.push_str("fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        let short = short_name(desired, &spec);
        let names = full_name(desired, &spec, domain).map_or_else(|| short.clone(), |full| format!("{full}\t{short}"));
        for address in addresses {
            let _ = writeln!(text, "{address}\t{names}");
        }
    }
    let mut aliases = spec.host_aliases.iter().flatten().peekable();
    if aliases.peek().is_some() {
        text.push_str("\n# Entries added by HostAliases.\n");
    }
    for alias in aliases {
        let _ = writeln!(
            text,
            "{}\t{}",
            alias.ip,
            alias.hostnames.iter().flatten().cloned().collect::<Vec<_>>().join("\t")
        );
    }
    text
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Resolver {
    servers: Vec<String>,
    searches: Vec<String>,
    options: Vec<String>,
}

fn resolver(desired: &Desired, dns: &Dns, node: &str) -> String {
    let spec = desired.spec();
    let own = parse(node);
    let cluster = |own: Resolver| {
        if dns.servers.is_empty() {
            return own;
        }
        let (namespace, domain) = (&desired.key.namespace, &dns.domain);
        let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
        searches.extend(own.searches.into_iter().filter(|search| search != domain));
        let servers = dns.servers.iter().map(ToString::to_string).collect();
        Resolver { servers, searches, options: vec!["ndots:5".to_owned()] }
    };
    let policy = spec.dns_policy.as_deref().unwrap_or("ClusterFirst");
    let mut all = match policy {
        "None" => Resolver::default(),
        "Default" => own,
        "ClusterFirst" if desired.host_network() => own,
        _ => cluster(own),
    };
    if let Some(config) = &spec.dns_config {
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
    show(all)
}

fn parse(text: &str) -> Resolver {
    let mut all = Resolver::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => all.servers.extend(words.next()),
            Some("search") => all.searches = words.collect(),
            Some("options") => all.options.extend(words),
            _ => {}
        }
    }
    all
}

fn show(all: Resolver) -> String {
    fn once(words: Vec<String>) -> Vec<String> {
        let mut seen = Vec::new();
        for word in words {
            if !seen.contains(&word) {
                seen.push(word);
            }
        }
        seen
    }
    let mut text = String::new();
    let searches = once(all.searches);
    if !searches.is_empty() {
        let _ = writeln!(text, "search {}", searches.join(" "));
    }
    for server in once(all.servers).iter().take(MOST_SERVERS) {
        let _ = writeln!(text, "nameserver {server}");
    }
    if !all.options.is_empty() {
        let _ = writeln!(text, "options {}", all.options.join(" "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::desired;
    use serde_json::json;

    const NODE: &str = "# made by hand\nnameserver 192.0.2.53\nsearch example.com\noptions edns0\n";

    fn dns() -> Dns {
        Dns { servers: vec![[10, 0, 0, 10].into()], domain: "cluster.local".to_owned(), ..Dns::default() }
    }

    #[test]
    fn resolvers_follow_the_policy() {
        let cluster = "search default.svc.cluster.local svc.cluster.local cluster.local example.com\nnameserver 10.0.0.10\noptions ndots:5\n";
        let own = "search example.com\nnameserver 192.0.2.53\noptions edns0\n";
        let config =
            json!({"nameservers": ["1.1.1.1"], "searches": ["x"], "options": [{"name": "ndots", "value": "2"}]});
        for (spec, want) in [
            (json!({}), cluster),
            (json!({"dnsPolicy": "Default"}), own),
            (json!({"hostNetwork": true}), own),
            (json!({"hostNetwork": true, "dnsPolicy": "ClusterFirstWithHostNet"}), cluster),
            (json!({"dnsPolicy": "None", "dnsConfig": config}), "search x\nnameserver 1.1.1.1\noptions ndots:2\n"),
        ] {
            assert_eq!(resolver(&desired("u", spec.clone(), json!({})), &dns(), NODE), want, "{spec}");
        }
        assert_eq!(resolver(&desired("u", json!({}), json!({})), &Dns::default(), NODE), own, "no cluster DNS");
    }

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let spec =
            json!({"hostname": "h", "subdomain": "s", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts(&desired("u", spec, json!({})), &[[10, 1, 0, 5].into()], "cluster.local", "");
        assert!(text.contains("10.1.0.5\th.s.default.svc.cluster.local\th\n"), "{text}");
        assert!(text.contains("1.2.3.4\ta\tb\n"), "{text}");
        let text = hosts(&desired("u", json!({"hostNetwork": true}), json!({})), &[], "d", "127.0.0.1 node\n");
        assert!(text.ends_with("(host network).\n127.0.0.1 node\n"), "{text}");
    }
}
