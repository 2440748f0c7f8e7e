//! Removal: listeners, which use target groups, then these, then the load balancer; nothing that lacks the tags.

use gantry_sdk::Result;

use super::With;
use crate::aws::{Failure, Params};
use crate::found::{Balancer, Found};
use crate::wanted;

/// What is gone already need not go.
pub(super) fn gone(outcome: std::result::Result<(), Failure>) -> Result<()> {
    match outcome {
        Err(failure) if !failure.is_missing() => Err(failure.error),
        _ => Ok(()),
    }
}

/// Everything of a Frontend.
pub fn all(with: &With<'_>, found: &Found) -> Result<()> {
    found.balancers.values().try_for_each(|balancer| listeners(with, balancer))?;
    found.groups.values().try_for_each(|group| delete_group(with, &group.is.target_group_arn))?;
    found.balancers.values().try_for_each(|balancer| delete_balancer(with, balancer))
}

/// What was wanted before and is not now.
pub(super) fn rest(with: &With<'_>, wanted: &wanted::Balancer, found: &Found) -> Result<()> {
    let over: Vec<&Balancer> =
        found.balancers.iter().filter(|(name, _)| **name != wanted.name).map(|(_, b)| b).collect();
    over.iter().try_for_each(|balancer| listeners(with, balancer))?;
    let groups = found.groups.iter().filter(|(name, _)| !wanted.groups.contains_key(*name));
    groups.map(|(_, group)| group).try_for_each(|group| delete_group(with, &group.is.target_group_arn))?;
    over.iter().try_for_each(|balancer| delete_balancer(with, balancer))
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
