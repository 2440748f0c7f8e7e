//! Names in DNS on this node: command line and wiring.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use gantry_node::agent;
use gantry_node::cluster::Cluster;
use gantry_node::dns::{self, Dns, Plugin, UpstreamOptions};
use gantry_node::node::Description;
use gantry_plugin::Loaded;
use gantry_plugin::family::discovery::NodeInfo;

/// Where caches on nodes listen in other clusters too: nothing else has it.
const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 20, 10));
/// DNS.
const PORT: u16 = 53;

#[derive(Args, Clone, Debug)]
pub struct DnsArgs {
    /// Where the node's DNS server listens, if the bundle has a plugin for names: an address that is nowhere else. Pods and
    /// the node itself reach it.
    #[arg(long, default_value_t = ADDRESS, value_name = "ADDRESS")]
    pub dns_address: IpAddr,
    /// Whom it asks about names outside of the cluster; may be repeated. By default the servers in `--resolv-conf`.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server)]
    pub dns_upstream: Vec<SocketAddr>,
    /// How this machine looks names up: for pods with `dnsPolicy: Default`, and search domains for all.
    #[arg(long, default_value = "/etc/resolv.conf", value_name = "FILE")]
    pub resolv_conf: PathBuf,
}

fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    address.or_else(|_| text.parse()).map_err(|_| "no address, and no address with a port".to_owned())
}

/// Whether one of these plugins has names.
pub fn is_wanted(plugins: &[Arc<Loaded>]) -> bool {
    plugins.iter().any(|loaded| loaded.discovery().is_some())
}

/// Removes the link of an earlier bundle that had names.
pub async fn tidy(links: &[String], plugins: &[Arc<Loaded>]) {
    if !is_wanted(plugins)
        && links.iter().any(|link| link == dns::LINK)
        && let Err(error) = dns::remove_link(None).await
    {
        tracing::warn!(%error, link = dns::LINK, "the link of the earlier DNS server stays");
    }
}

/// Starts the node's DNS, if a plugin has names. How pods look names up follows.
pub fn start(
    args: &DnsArgs,
    node: &Description,
    cluster_ranges: &[String],
    folder: &Path,
    cluster: &Arc<dyn Cluster>,
    plugins: &[Arc<Loaded>],
) -> (Option<Dns>, agent::Dns) {
    let named = |loaded: &Arc<Loaded>| Some(Plugin { plugin: loaded.discovery()?, name: loaded.name().to_owned() });
    let plugins: Vec<Plugin> = plugins.iter().filter_map(named).collect();
    if plugins.is_empty() {
        return (None, agent::Dns::none(args.resolv_conf.clone()));
    }
    let dns = Dns::start(dns::Options {
        plugins,
        node: NodeInfo {
            name: node.name.clone(),
            addresses: node.addresses.iter().map(ToString::to_string).collect(),
            cluster_ranges: cluster_ranges.to_vec(),
        },
        cluster: cluster.clone(),
        address: args.dns_address,
        upstream: UpstreamOptions {
            servers: args.dns_upstream.clone(),
            file: args.resolv_conf.clone(),
            own: Some(args.dns_address),
        },
        data: folder.join("dns"),
        node_netns: None,
    });
    let names = agent::Dns { names: dns.names(), node_file: args.resolv_conf.clone() };
    (Some(dns), names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_have_a_port_or_the_usual_one() {
        for (text, want) in
            [("192.0.2.1", "192.0.2.1:53"), ("127.0.0.1:5353", "127.0.0.1:5353"), ("fd00::1", "[fd00::1]:53")]
        {
            assert_eq!(server(text).map(|server| server.to_string()).as_deref(), Ok(want));
        }
        assert!(server("dns.example.com").is_err());
    }
}
