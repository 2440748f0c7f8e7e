//! Files that the agent writes for a pod: `/etc/hosts`, `/etc/resolv.conf`, `/etc/hostname`.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use k8s_openapi::api::core::v1::PodSpec;

use super::desired::Desired;
use super::resolver;
use crate::dns::Names;
use crate::resolv::Resolv;

/// The kernel's longest host name.
const LONGEST_HOSTNAME: usize = 63;

/// What the pod calls itself: its name or `spec.hostname`; the full name where that is asked for.
pub fn hostname(desired: &Desired, names: &Names) -> String {
    let spec = desired.spec();
    let short = short_name(desired, &spec);
    match full_name(desired, &spec, names) {
        Some(full) if spec.set_hostname_as_fqdn == Some(true) => full,
        _ => short,
    }
}

fn short_name(desired: &Desired, spec: &PodSpec) -> String {
    let name = spec.hostname.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| desired.key.name.clone());
    let name: String = name.chars().take(LONGEST_HOSTNAME).collect();
    name.trim_end_matches(['-', '.']).to_owned()
}

fn full_name(desired: &Desired, spec: &PodSpec, names: &Names) -> Option<String> {
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty())?;
    let domain = names.pod_domain(&desired.key.namespace, subdomain)?;
    Some(format!("{}.{domain}", short_name(desired, spec)))
}

/// Writes the three files into the pod's folder. The answer is what its resolver can't have, for an Event.
pub fn write(
    desired: &Desired,
    addresses: &[IpAddr],
    names: &Names,
    node_resolv: &Path,
    pod_dir: &Path,
) -> io::Result<Vec<String>> {
    fs::create_dir_all(pod_dir)?;
    let node_hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
    let (resolv, problems) = resolver::of(desired, names, Resolv::of_node(node_resolv));
    replace(&pod_dir.join("etc-hosts"), &hosts(desired, addresses, names, &node_hosts))?;
    replace(&pod_dir.join("resolv.conf"), &resolv.to_string())?;
    replace(&pod_dir.join("hostname"), &format!("{}\n", hostname(desired, names)))?;
    Ok(problems)
}

/// In place: the file is mounted into containers, so it must stay the same file.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::write(path, text)
}

fn hosts(desired: &Desired, addresses: &[IpAddr], names: &Names, node: &str) -> String {
    let spec = desired.spec();
    let mut text = String::new();
    if desired.host_network() {
        let _ = write!(text, "# Kubernetes-managed hosts file (host network).\n{node}");
    } else {
        text.push_str("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n");
        text.push_str("::1\tlocalhost ip6-localhost ip6-loopback\nfe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\n");
        text.push_str("fe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n");
        let short = short_name(desired, &spec);
        let called = full_name(desired, &spec, names).map_or_else(|| short.clone(), |full| format!("{full}\t{short}"));
        for address in addresses {
            let _ = writeln!(text, "{address}\t{called}");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::testing::desired;
    use serde_json::json;

    #[test]
    fn hosts_name_the_pod_and_its_aliases() {
        let spec =
            json!({"hostname": "h", "subdomain": "s", "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]});
        let text = hosts(&desired("u", spec, json!({})), &[[10, 1, 0, 5].into()], &Names::none(), "");
        assert!(text.contains("10.1.0.5\th.s.default.svc.cluster.local\th\n"), "{text}");
        assert!(text.contains("1.2.3.4\ta\tb\n"), "{text}");
        let text =
            hosts(&desired("u", json!({"hostNetwork": true}), json!({})), &[], &Names::none(), "127.0.0.1 node\n");
        assert!(text.ends_with("(host network).\n127.0.0.1 node\n"), "{text}");
    }
}
