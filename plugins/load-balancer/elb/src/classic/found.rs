//! What there is in AWS of one Frontend: what carries its tags.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::{Description, State};
use crate::aws::{Client, Failure, Params};
use crate::found::ours;
use crate::names::Owner;

/// Entries of a page; AWS's most.
const PAGE: u32 = 400;

/// Everything of one Frontend.
#[derive(Debug, Default)]
pub struct Found {
    /// By name.
    pub balancers: BTreeMap<String, Balancer>,
    /// Names that others have.
    pub taken: BTreeSet<String>,
}

/// A load balancer.
#[derive(Debug)]
pub struct Balancer {
    /// As AWS tells it.
    pub is: Description,
    /// States of its instances.
    pub instances: BTreeMap<String, String>,
}

/// Reads it.
pub fn find(client: &Client, owner: &Owner) -> Result<Found, Failure> {
    let stem = owner.stem();
    let page = Params::default().set("PageSize", PAGE);
    let mut all: Vec<Description> = client.list("DescribeLoadBalancers", &page, "LoadBalancerDescriptions")?;
    all.retain(|one| one.load_balancer_name.starts_with(&stem));
    let names: Vec<&String> = all.iter().map(|one| &one.load_balancer_name).collect();
    let ours = ours(client, owner, "LoadBalancerNames", &names)?;
    let mut found = Found::default();
    for is in all {
        let name = is.load_balancer_name.clone();
        if ours.contains(&name) {
            let instances = states(client, &is)?;
            found.balancers.insert(name, Balancer { is, instances });
        } else {
            found.taken.insert(name);
        }
    }
    Ok(found)
}

fn states(client: &Client, is: &Description) -> Result<BTreeMap<String, String>, Failure> {
    let registered = is.instances.iter().map(|one| (one.instance_id.clone(), String::new()));
    let mut all: BTreeMap<String, String> = registered.collect();
    if !all.is_empty() {
        let of = Params::default().set("LoadBalancerName", &is.load_balancer_name);
        let told: Vec<State> = client.list("DescribeInstanceHealth", &of, "InstanceStates")?;
        all.extend(told.into_iter().map(|one| (one.instance_id, one.state)));
    }
    Ok(all)
}
