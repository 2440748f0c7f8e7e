//! What every plugin of network policies keeps to.

use crate::network::Operation;
use crate::network_policy::{Delta as Change, Namespace, NodeInfo, Pod};
use crate::{Config, Label, NetworkPolicy};

use super::misspelt;

/// Network policies: an unknown key is refused; pods and namespaces that no policy speaks of are no plan, nor is what goes
/// without having been there; what is told twice is nothing new; a full sync forgets what was before. What policies
/// mean is the plugin's own business.
pub fn network_policy<P: NetworkPolicy>(config: &Config, node: &NodeInfo) {
    assert!(P::default().configure(misspelt(config), node.clone()).is_err(), "an unknown key is refused");
    let start = || {
        let mut plugin = P::default();
        plugin.configure(config.clone(), node.clone()).expect("takes its configuration");
        plugin
    };
    let mut plugin = start();
    plugin.node().expect("says what the node needs");
    let everything = |count: u8| -> Vec<Change> { (0..count).flat_map(pod).collect() };
    let empty = plugin.sync(true, Vec::new()).expect("takes nothing");
    assert!(!empty.is_empty(), "a full sync replaces whatever is on the node, even by nothing");
    let one_transaction = |plan: &[Operation]| {
        let count = plan.iter().filter(|operation| matches!(operation, Operation::Nftables(_))).count();
        assert!(count <= 1, "no packet meets half of a plan: {count} transactions");
    };
    one_transaction(&empty);
    assert_eq!(plugin.sync(false, everything(9)).expect("takes pods"), [], "without policies pods are no plan");
    assert_eq!(plugin.sync(false, everything(9)).expect("takes them again"), [], "the same again is no plan");
    let unknown = vec![Change::PodGone("unknown".into()), Change::NamespaceGone("unknown".into())];
    assert_eq!(plugin.sync(false, unknown).expect("takes an unknown one"), [], "one that is unknown may go");
    let again = plugin.sync(true, everything(9)).expect("takes everything");
    assert_eq!(again, empty, "a full sync says what a full sync said");
    one_transaction(&again);
    let gone = (0..9).map(|n| Change::PodGone(format!("uid-{n}"))).collect();
    assert_eq!(plugin.sync(false, gone).expect("takes them away"), []);
    assert_eq!(start().sync(true, Vec::new()).expect("takes nothing"), empty, "the same deltas, the same plan");
}

/// A pod of this node in a namespace of its own.
fn pod(number: u8) -> [Change; 2] {
    let namespace = format!("ns-{number}");
    let labels = vec![Label::new("app", "web")];
    let pod = Pod {
        id: format!("uid-{number}"),
        namespace: namespace.clone(),
        name: "web".into(),
        labels: labels.clone(),
        addresses: vec![format!("10.64.0.{number}")],
        ports: Vec::new(),
        local: true,
        host_network: number == 3,
    };
    [Change::PodSet(pod), Change::NamespaceSet(Namespace { name: namespace, labels })]
}
