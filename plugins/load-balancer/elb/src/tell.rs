//! What a Frontend says of its load balancer: conditions, host names, Events.

use gantry_sdk::api::{Condition, Resource, Time};
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, Result, json};

use crate::aws::LoadBalancer;
use crate::found::Found;
use crate::object::Frontend;
use crate::wanted::Balancer;

/// Whether the load balancer is what the Frontend asks for.
const READY: &str = "Ready";
/// Whether everyone who serves is well, as far as AWS knows.
const HEALTHY: &str = "TargetsHealthy";

/// The annotation of a Frontend with the name at which it is reached.
pub const HOSTNAME: &str = "gantry.dev/hostname";

/// The load balancer is as it should be.
pub fn reached(frontend: &Frontend, is: &LoadBalancer, wanted: &Balancer, found: &Found, now: Time) -> Result<()> {
    let state = is.state.code.as_str();
    let ready = match state {
        "active" | "active_impaired" => Condition::new(READY, true, "Active", "", now),
        "failed" => {
            let why = is.state.reason.clone().unwrap_or_else(|| "AWS says no more".to_owned());
            Condition::new(READY, false, "Failed", why, now)
        }
        _ => Condition::new(READY, false, "Provisioning", "AWS is making the load balancer", now),
    };
    let all: usize = wanted.groups.values().map(|group| group.targets.len()).sum();
    let known = wanted.groups.keys().filter_map(|name| found.groups.get(name));
    let well = known.flat_map(|group| group.targets.values()).filter(|state| *state == "healthy").count();
    let message = format!("{well} of {all} targets");
    let healthy = Condition::new(HEALTHY, well >= all, if well >= all { "Healthy" } else { "Unhealthy" }, message, now);
    write(frontend, vec![ready, healthy], Some(&is.dns_name))
}

/// It is not, for this reason. The host makes an Event of the error.
pub fn failed(frontend: &Frontend, reason: &str, error: &Error, now: Time) -> Result<()> {
    write(frontend, vec![Condition::new(READY, false, reason, error.message.clone(), now)], None)
}

/// Everything that was made is gone.
pub fn removed(frontend: &Frontend) {
    objects::record(&[Event::normal(frontend, "LoadBalancerRemoved", "everything made for it in AWS is gone")]);
}

fn write(frontend: &Frontend, conditions: Vec<Condition>, hostname: Option<&str>) -> Result<()> {
    let known = frontend.metadata.annotations.get(HOSTNAME).map(String::as_str);
    if let Some(hostname) = hostname.filter(|hostname| known != Some(hostname)) {
        let annotations = json!({"metadata": {"annotations": {HOSTNAME: hostname}}});
        settled(Write::patch(frontend.reference(), &annotations).if_uid(frontend.uid()))?;
    }
    let mut all = frontend.status.conditions.clone();
    for condition in conditions {
        Condition::set(&mut all, condition);
    }
    if all == frontend.status.conditions {
        return Ok(());
    }
    settled(Write::patch_status(frontend.reference(), &json!({"status": {"conditions": all}})).if_uid(frontend.uid()))
}

/// One that is gone, or changed meanwhile, has a pass of its own to come.
fn settled(write: Write) -> Result<()> {
    match objects::apply_one(write) {
        Err(error) if !error.is_not_found() && !error.is_conflict() => Err(error),
        _ => Ok(()),
    }
}
