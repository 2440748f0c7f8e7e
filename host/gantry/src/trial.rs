//! Whether a plugin can begin with its configuration and grants: what it would refuse later is refused at the start, and
//! by `gantry bundle check`.

use gantry_control::admission;
use gantry_objects::admission::Rule;
use gantry_plugin::family::network::NodeInfo;
use gantry_plugin::family::{Error, discovery, load_balancer, network_policy};
use gantry_plugin::{Call, Loaded};

/// What a trial came to.
#[derive(Default)]
pub struct Tried {
    /// Which writes it reviews.
    pub rules: Vec<Rule>,
    /// Kinds that its part on nodes sees whole.
    pub sources: Vec<discovery::Source>,
    /// Calls that gave no answer.
    pub faults: Vec<String>,
}

impl Tried {
    /// A fault is no answer: a control plane starts, and its loops try again and report it.
    fn take<T>(&mut self, answer: Call<Result<T, Error>>) -> Result<Option<T>, String> {
        match answer {
            Ok(answer) => answer.map(Some).map_err(|error| error.message),
            Err(fault) => {
                self.faults.push(fault.to_string());
                Ok(None)
            }
        }
    }
}

/// Tries a plugin. What it reviews must be known before the first write: there a fault is an error too.
pub async fn run(plugin: &Loaded) -> Result<Tried, String> {
    if let Some(what) = plugin.grants().lacking().into_iter().next() {
        return Err(format!("{what}: it can do nothing without"));
    }
    if plugin.entry().scheduler_names.is_some() && plugin.scheduler().is_none() {
        return Err("scheduler-names: it is no scheduler".to_owned());
    }
    let mut tried = Tried::default();
    if let Some(controller) = plugin.controller() {
        tried.take(controller.describe().await)?;
    }
    if let Some(api) = plugin.api() {
        tried.take(api.configure().await)?;
    }
    if let Some(mut scheduler) = plugin.scheduler() {
        tried.take(scheduler.reset().await)?;
    }
    if let Some(mut network) = plugin.network() {
        tried.take(network.reset(node(), Vec::new()).await)?;
    }
    if let Some(mut balancer) = plugin.load_balancer() {
        let NodeInfo { name, addresses, cluster_ranges, .. } = node();
        let zone = String::new();
        tried.take(balancer.reset(load_balancer::NodeInfo { name, addresses, cluster_ranges, zone }).await)?;
    }
    if let Some(mut policy) = plugin.network_policy() {
        let NodeInfo { name, addresses, cluster_ranges, .. } = node();
        tried.take(policy.reset(network_policy::NodeInfo { name, addresses, cluster_ranges }).await)?;
    }
    if let Some(mut names) = plugin.discovery() {
        let NodeInfo { name, addresses, cluster_ranges, .. } = node();
        let description = tried.take(names.reset(discovery::NodeInfo { name, addresses, cluster_ranges }).await)?;
        tried.sources = description.map(|description| description.sources).unwrap_or_default();
    }
    if let Some(admission) = plugin.admission() {
        tried.rules = admission::rules(&*admission).await.map_err(|error| error.to_string())?;
    }
    Ok(tried)
}

/// A node that any network can serve: only the configuration is tried on it.
fn node() -> NodeInfo {
    let range = vec!["10.64.0.0/24".to_owned()];
    NodeInfo {
        name: "trial".to_owned(),
        pod_ranges: range.clone(),
        cluster_ranges: range,
        addresses: vec!["192.0.2.1".to_owned()],
        mtu: 0,
    }
}
