//! Removal: listeners, then load balancers, then target groups, which neither uses any more; nothing that lacks the tags, but
//! what somebody put on a load balancer of ours: it goes with that, and would keep our target groups otherwise.

use gantry_sdk::Result;

use super::With;
use crate::aws::{Failure, Params};
use crate::found::{Balancer, Found, Group};
use crate::wanted;

/// What is gone already need not go.
pub fn gone(outcome: std::result::Result<(), Failure>) -> Result<()> {
    match outcome {
        Err(failure) if !failure.is_missing() => Err(failure.error),
        _ => Ok(()),
    }
}

/// Everything that lets somebody in.
pub fn close(with: &With<'_>, found: &Found) -> Result<()> {
    found.balancers.values().try_for_each(|balancer| listeners(with, balancer))
}

/// Everything of a Frontend.
pub fn all(with: &With<'_>, found: &Found) -> Result<()> {
    these(with, found.balancers.values(), found.groups.values())
}

/// What was wanted before and is not now.
pub(super) fn rest(with: &With<'_>, wanted: &wanted::Balancer, found: &Found) -> Result<()> {
    let balancers = found.balancers.iter().filter(|(name, _)| **name != wanted.name);
    let groups = found.groups.iter().filter(|(name, _)| !wanted.groups.contains_key(*name));
    these(with, balancers.map(|(_, balancer)| balancer), groups.map(|(_, group)| group))
}

fn these<'a>(
    with: &With<'_>,
    mut balancers: impl Iterator<Item = &'a Balancer> + Clone,
    mut groups: impl Iterator<Item = &'a Group>,
) -> Result<()> {
    balancers.clone().try_for_each(|balancer| listeners(with, balancer))?;
    balancers.try_for_each(|balancer| delete_balancer(with, balancer))?;
    groups.try_for_each(|group| delete_group(with, &group.is.target_group_arn))
}

fn listeners(with: &With<'_>, balancer: &Balancer) -> Result<()> {
    let mut ours = balancer.listeners.values().filter(|listener| listener.ours);
    ours.try_for_each(|one| gone(with.client.act("DeleteListener", &Params::default().set("ListenerArn", &one.arn))))
}

fn delete_group(with: &With<'_>, arn: &str) -> Result<()> {
    gone(with.client.act("DeleteTargetGroup", &Params::default().set("TargetGroupArn", arn)))
}

fn delete_balancer(with: &With<'_>, balancer: &Balancer) -> Result<()> {
    let of = Params::default().set("LoadBalancerArn", &balancer.is.load_balancer_arn);
    gone(with.client.act("DeleteLoadBalancer", &of))
}
