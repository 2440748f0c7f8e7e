//! The load balancer itself.

use std::collections::BTreeSet;

use gantry_sdk::{Error, Result};

use super::With;
use crate::aws::{Described, LoadBalancer, Params};
use crate::found::Found;
use crate::wanted::Balancer;

/// Finds or makes it, where it is wanted.
pub fn ensure(with: &With<'_>, wanted: &Balancer, found: &Found) -> Result<LoadBalancer> {
    let Some(known) = found.balancers.get(&wanted.name) else { return create(with, wanted) };
    let arn = &known.is.load_balancer_arn;
    let of = || Params::default().set("LoadBalancerArn", arn);
    let subnets: BTreeSet<String> =
        known.is.availability_zones.member.iter().map(|zone| zone.subnet_id.clone()).collect();
    if subnets != wanted.subnets {
        with.client.act("SetSubnets", &of().list("Subnets", &wanted.subnets))?;
    }
    let groups: BTreeSet<String> = known.is.security_groups.member.iter().cloned().collect();
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
    let made: Described = with.client.ask("CreateLoadBalancer", &params)?;
    let one = made.load_balancers.member.into_iter().next();
    one.ok_or_else(|| Error::unavailable("CreateLoadBalancer: the answer names no load balancer"))
}
