//! What came of a pass.

use crate::aws::LoadBalancer;
use crate::classic::{self, Classic};
use crate::found::{self, Found};
use crate::wanted::{Balancer, Group};

/// A load balancer that is as it should be, and how it is, as far as AWS knew when it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// The name at which it is reached.
    pub hostname: String,
    /// `active`, `provisioning`, `active_impaired` or `failed`
    pub state: String,
    /// Why it failed.
    pub reason: String,
    /// How many are to serve.
    pub targets: usize,
    /// How many of these are well.
    pub healthy: usize,
}

impl Reached {
    /// A network or an application load balancer.
    pub fn elastic(is: &LoadBalancer, wanted: &Balancer, found: &Found) -> Self {
        let known = wanted.groups.iter().map(|(name, group)| (group, found.groups.get(name)));
        Self {
            hostname: is.dns_name.clone(),
            state: is.state.code.clone(),
            reason: is.state.reason.clone().unwrap_or_else(|| "AWS says no more".to_owned()),
            targets: wanted.groups.values().map(|group| group.targets.len()).sum(),
            healthy: known.map(|(group, known)| known.map_or(0, |known| healthy(group, known))).sum(),
        }
    }

    /// A Classic one, which has no states: it is there or not.
    pub fn classic(hostname: String, wanted: &Classic, found: &classic::Found) -> Self {
        let known = found.balancers.get(&wanted.name).map(|known| &known.instances);
        let well = |id: &&String| known.and_then(|known| known.get(*id)).is_some_and(|state| state == "InService");
        Self {
            hostname,
            state: "active".to_owned(),
            reason: String::new(),
            targets: wanted.instances.len(),
            healthy: wanted.instances.iter().filter(well).count(),
        }
    }

    /// Whether it takes connections.
    pub fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "active" | "active_impaired")
    }

    /// Whether all who are to serve are well.
    pub fn is_well(&self) -> bool {
        self.healthy == self.targets
    }
}

/// Those that are wanted: what is about to go says nothing of who stays.
fn healthy(wanted: &Group, found: &found::Group) -> usize {
    wanted.targets.iter().filter(|target| found.targets.get(target).is_some_and(|state| state == "healthy")).count()
}
