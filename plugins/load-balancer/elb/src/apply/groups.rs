//! Target groups and who is in them.

use std::collections::BTreeMap;

use gantry_sdk::Result;

use super::{With, say};
use crate::aws::{Params, TargetGroup};
use crate::found::Found;
use crate::wanted::{Balancer, Group, Target};

/// Targets of one request; AWS's limit.
const TARGETS: usize = 100;

/// Makes and changes those that are wanted. Gives ARNs by name.
pub fn ensure(with: &With<'_>, wanted: &Balancer, found: &Found) -> Result<BTreeMap<String, String>> {
    let mut arns = BTreeMap::new();
    for (name, group) in &wanted.groups {
        let (arn, sticky, registered) = match found.groups.get(name) {
            Some(known) => {
                let arn = known.is.target_group_arn.clone();
                if !group.health.is_so(&known.is) {
                    let params = say::health(Params::default().set("TargetGroupArn", &arn), &group.health);
                    with.client.act("ModifyTargetGroup", &params)?;
                }
                (arn, known.sticky, known.targets.keys().cloned().collect())
            }
            None => (create(with, wanted, group)?, false, Vec::new()),
        };
        if sticky != group.sticky {
            with.client.act("ModifyTargetGroupAttributes", &say::sticky(&arn, group.sticky))?;
        }
        register(with, &arn, group, &registered)?;
        arns.insert(name.clone(), arn);
    }
    Ok(arns)
}

fn create(with: &With<'_>, wanted: &Balancer, group: &Group) -> Result<String> {
    let params = Params::default()
        .set("Name", &group.name)
        .set("Protocol", group.protocol)
        .set_some("ProtocolVersion", group.version)
        .set("Port", group.port)
        .set("VpcId", &wanted.vpc)
        .set("TargetType", group.target_type)
        .tags(&with.owner.tags());
    let params = say::health(params, &group.health);
    let made: TargetGroup = with.client.make("CreateTargetGroup", &params, "TargetGroups")?;
    Ok(made.target_group_arn)
}

/// Those that come before those that go: nobody is without a target meanwhile.
fn register(with: &With<'_>, arn: &str, group: &Group, registered: &[Target]) -> Result<()> {
    let come: Vec<&Target> = group.targets.iter().filter(|target| !registered.contains(target)).collect();
    let go: Vec<&Target> = registered.iter().filter(|target| !group.targets.contains(target)).collect();
    for (action, targets) in [("RegisterTargets", come), ("DeregisterTargets", go)] {
        for some in targets.chunks(TARGETS) {
            let params = Params::default().set("TargetGroupArn", arn).each("Targets", some, |params, at, target| {
                params.set(format!("{at}.Id"), &target.id).set(format!("{at}.Port"), target.port)
            });
            with.client.act(action, &params)?;
        }
    }
    Ok(())
}
