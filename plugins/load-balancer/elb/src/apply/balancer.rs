//! The load balancer itself.

use std::collections::BTreeSet;

use gantry_sdk::Result;

use super::With;
use crate::aws::{LoadBalancer, Params};
use crate::found::Found;
use crate::wanted::Balancer;

/// Finds or makes it, where it is wanted.
pub fn ensure(with: &With<'_>, wanted: &Balancer, found: &Found) -> Result<LoadBalancer> {
    let Some(known) = found.balancers.get(&wanted.name) else { return create(with, wanted) };
    let arn = &known.is.load_balancer_arn;
    let of = || Params::default().set("LoadBalancerArn", arn);
    let subnets: BTreeSet<String> = known.is.availability_zones.iter().map(|zone| zone.subnet_id.clone()).collect();
    if subnets != wanted.subnets {
        with.client.act("SetSubnets", &of().list("Subnets", &wanted.subnets))?;
    }
    let groups: BTreeSet<String> = known.is.security_groups.iter().cloned().collect();
    if !wanted.security_groups.is_empty() && groups != wanted.security_groups {
        with.client.act("SetSecurityGroups", &of().list("SecurityGroups", &wanted.security_groups))?;
    }
    Ok(known.is.clone())
}

fn create(with: &With<'_>, wanted: &Balancer) -> Result<LoadBalancer> {
    let params = Params::default()
        .set("Name", &wanted.name)
        .set("Type", wanted.kind)
        .set("Scheme", wanted.scheme)
        .list("Subnets", &wanted.subnets)
        .list("SecurityGroups", &wanted.security_groups)
        .tags(&with.owner.tags());
    Ok(with.client.make("CreateLoadBalancer", &params, "LoadBalancers")?)
}
