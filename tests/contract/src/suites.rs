use anyhow::Result;
use gantry_plugin::Family;
use gantry_sdk::admission::Request;
use gantry_sdk::load_balancer::NodeInfo;
use gantry_sdk::testing::suite;
use gantry_sdk::{Config, Value};

use crate::{
    Admission, Component, Controller, Dialect, Discovery, LoadBalancer, Network, NetworkPolicy, Scheduler, Sink, Stage,
};

/// What suites are given beside the component.
pub struct Given {
    /// The plugin's configuration.
    pub config: Value,
    /// Objects that are there when a controller starts, whose creation, update and deletion are reviewed, and that have names.
    pub objects: Vec<Value>,
}

/// Runs the suite of each of a component's families, and names them. Panics at the first broken rule.
pub fn run(component: Component, given: &Given) -> Result<Vec<Family>> {
    let families: Vec<Family> = component.manifest.families.iter().copied().collect();
    let config = Config::from(given.config.clone());
    let _stage = Stage::set(component)?;
    for family in &families {
        match family {
            Family::Admission => suite::admission::<Admission>(&config, &requests(&given.objects)),
            Family::Api => suite::dialect::<Dialect>(&config, &[]),
            Family::Controller => suite::controller::<Controller>(&config, &given.objects),
            Family::Discovery => suite::discovery::<Discovery>(&config, &named_node(), &given.objects),
            Family::LoadBalancer => suite::load_balancer::<LoadBalancer>(&config, &balanced_node()),
            Family::Scheduler => suite::scheduler::<Scheduler>(&config, &suite::history()),
            Family::Network => suite::network::<Network>(&config, &suite::node()),
            Family::NetworkPolicy => suite::network_policy::<NetworkPolicy>(&config, &guarded_node()),
            Family::Sink => suite::sink::<Sink>(&config),
        }
    }
    Ok(families)
}

/// A node whose load balancers are tried.
pub fn balanced_node() -> NodeInfo {
    let texts = |text: &str| vec![text.to_owned()];
    NodeInfo {
        name: "node".to_owned(),
        addresses: texts("192.0.2.1"),
        cluster_ranges: texts("10.64.0.0/16"),
        zone: String::new(),
    }
}

/// A node whose network policies are tried.
pub fn guarded_node() -> gantry_sdk::network_policy::NodeInfo {
    let NodeInfo { name, addresses, cluster_ranges, .. } = balanced_node();
    gantry_sdk::network_policy::NodeInfo { name, addresses, cluster_ranges }
}

/// A node whose names are tried.
pub fn named_node() -> gantry_sdk::discovery::NodeInfo {
    let NodeInfo { name, addresses, cluster_ranges, .. } = balanced_node();
    gantry_sdk::discovery::NodeInfo { name, addresses, cluster_ranges }
}

/// Writes of these objects, each also where it may be changed.
pub fn requests(objects: &[Value]) -> Vec<Request> {
    let writes =
        |o: &Value| [Request::create(o), Request::create(o).changeable(), Request::update(o, o), Request::delete(o)];
    objects.iter().flat_map(writes).collect()
}
