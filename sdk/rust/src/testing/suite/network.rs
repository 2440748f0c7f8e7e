use super::misspelt;
use crate::network::{Attached, Attachment, NodeInfo, Peer, PeerDelta, PortMapping, Protocol};
use crate::{Config, Network};

/// Networks: an address belongs to one sandbox at a time, over repeats and restarts; a repeat gives the same plan;
/// letting go is always possible; what is told of other nodes again changes nothing. `node` is `suite::node()`, or one of the author's.
pub fn network<N: Network>(config: &Config, node: &NodeInfo) {
    let refused = N::default().configure(misspelt(config), node.clone());
    assert!(refused.is_err(), "an unknown key of the configuration is refused");
    let (a, b) = shares::<N>(config, node);
    restarts::<N>(config, node, &a, &b);
    reaches::<N>(config, node);
}

/// Another node comes and goes.
fn reaches<N: Network>(config: &Config, node: &NodeInfo) {
    let mut plugin = started::<N>(config, node, &[]);
    plugin.node().expect("says what the node needs");
    let peer =
        Peer { name: "another".into(), pod_ranges: vec!["10.64.77.0/24".into()], addresses: vec!["192.0.2.77".into()] };
    let set = || vec![PeerDelta::PeerSet(peer.clone())];
    let first = plugin.peers(true, set()).expect("takes all nodes");
    assert_eq!(
        plugin.peers(true, set()).expect("takes all nodes again"),
        first,
        "everything told again, the same plan"
    );
    assert_eq!(plugin.peers(false, set()).expect("takes a node again"), [], "what is known changes nothing");
    plugin.peers(false, vec![PeerDelta::PeerGone("another".into())]).expect("lets a node go");
    let unknown = vec![PeerDelta::PeerGone("never seen".into())];
    assert_eq!(plugin.peers(false, unknown).expect("lets an unknown node go"), [], "nobody went");
}

/// Two sandboxes side by side, one with a host port.
fn shares<N: Network>(config: &Config, node: &NodeInfo) -> (Attached, Attached) {
    let mut plugin = started::<N>(config, node, &[]);
    let own = plugin.node().expect("says what the node needs");
    assert_eq!(own, plugin.node().expect("says what the node needs"), "the node's plan stays the same");
    plugin.status().expect("is ready on a good node");
    let (a, b) = (plugin.add(&exposed("a")).expect("adds a"), plugin.add(&sandbox("b")).expect("adds b"));
    assert!(!a.addresses.is_empty(), "a sandbox gets an address");
    assert!(a.addresses.iter().all(|address| !b.addresses.contains(address)), "no address twice");
    for lease in &a.leases {
        assert_eq!(lease.sandbox, "a", "a lease names its sandbox");
    }
    let again = plugin.add(&exposed("a")).expect("adds a again");
    assert_eq!(again.addresses, a.addresses, "the same sandbox has the same addresses");
    assert_eq!(again.plan, a.plan, "a repeated add gives the same plan");
    (a, b)
}

/// A new instance that gets the leases.
fn restarts<N: Network>(config: &Config, node: &NodeInfo, a: &Attached, b: &Attached) {
    let mut plugin = started::<N>(config, node, &[a, b]);
    let again = plugin.add(&exposed("a")).expect("adds a after a restart");
    assert_eq!(again.addresses, a.addresses, "addresses survive a restart");
    let c = plugin.add(&sandbox("c")).expect("adds c");
    assert!(c.addresses.iter().all(|x| !a.addresses.contains(x) && !b.addresses.contains(x)), "no address twice");
    plugin.del(&sandbox("never seen")).expect("deletes an unknown sandbox");
    let released = plugin.del(&sandbox("b")).expect("deletes b").released;
    assert_eq!(released, leased(b), "what was leased is released");
    assert!(plugin.del(&sandbox("b")).expect("deletes b again").released.is_empty(), "nothing is released twice");
    let swept = plugin.gc(&["a".to_string()]).expect("collects").released;
    assert_eq!(swept, leased(&c), "only what is not alive goes");
    let swept = plugin.gc(&[]).expect("collects").released;
    assert_eq!(swept, leased(a), "with nobody alive all goes");
}

fn started<N: Network>(config: &Config, node: &NodeInfo, attached: &[&Attached]) -> N {
    let mut plugin = N::default();
    plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
    let leases = attached.iter().flat_map(|attached| attached.leases.clone()).collect();
    plugin.restore(leases).expect("takes the leases");
    plugin
}

fn leased(attached: &Attached) -> Vec<String> {
    attached.leases.iter().map(|lease| lease.address.clone()).collect()
}

fn sandbox(name: &str) -> Attachment {
    Attachment {
        sandbox: name.into(),
        namespace: "default".into(),
        pod: name.into(),
        uid: name.into(),
        ports: Vec::new(),
    }
}

fn exposed(name: &str) -> Attachment {
    let port = PortMapping { host_port: 8080, container_port: 80, protocol: Protocol::Tcp, host_ip: String::new() };
    Attachment { ports: vec![port], ..sandbox(name) }
}

/// A node with room for a few hundred pods.
pub fn node() -> NodeInfo {
    NodeInfo {
        name: "node-1".into(),
        pod_ranges: vec!["10.64.1.0/24".into()],
        cluster_ranges: vec!["10.64.0.0/16".into()],
        addresses: vec!["192.0.2.1".into()],
        mtu: 1500,
    }
}
