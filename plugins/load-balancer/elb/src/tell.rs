//! What a Frontend says of its load balancer: conditions, host names, Events.

use gantry_sdk::api::{Condition, Frontend, Resource, Time};
use gantry_sdk::objects::{self, Event, Write};
use gantry_sdk::{Error, Result, json};

use crate::reached::Reached;

/// Whether the load balancer is what the Frontend asks for.
const READY: &str = "Ready";
/// Whether everyone who serves is well, as far as AWS knows.
const HEALTHY: &str = "TargetsHealthy";

/// The reason of what only takes its time.
pub const PROVISIONING: &str = "Provisioning";

/// The annotation of a Frontend with the name at which it is reached.
pub const HOSTNAME: &str = "gantry.dev/hostname";

/// The load balancer is as it should be.
pub fn reached(frontend: &Frontend, reached: &Reached, now: Time) -> Result<()> {
    let ready = match reached.state.as_str() {
        _ if reached.is_active() => Condition::new(READY, true, "Active", "the load balancer takes connections", now),
        "failed" => Condition::new(READY, false, "Failed", reached.reason.clone(), now),
        _ => Condition::new(READY, false, PROVISIONING, "AWS is making the load balancer", now),
    };
    let well = reached.is_well();
    let message = format!("{} of {} targets", reached.healthy, reached.targets);
    let healthy = Condition::new(HEALTHY, well, if well { "Healthy" } else { "Unhealthy" }, message, now);
    write(frontend, vec![ready, healthy], Some(&reached.hostname))
}

/// It is not, for this reason. The host makes an Event of the error.
pub fn failed(frontend: &Frontend, reason: &str, error: &Error, now: Time) -> Result<()> {
    let mut conditions = vec![Condition::new(READY, false, reason, error.message.clone(), now)];
    if Condition::find(&frontend.status.conditions, HEALTHY).is_some() {
        // What was so last may be so no more.
        let unknown = Condition::new(HEALTHY, false, reason, "AWS was not asked, or said nothing", now);
        conditions.push(Condition { status: "Unknown".to_owned(), ..unknown });
    }
    write(frontend, conditions, None)
}

/// Everything that was made is gone.
pub fn removed(frontend: &Frontend) {
    objects::record(&[Event::normal(frontend, "LoadBalancerRemoved", "everything made for it in AWS is gone")]);
}

/// One that stays, for somebody else to serve, says nothing of what is gone. Whether something was written for that.
pub fn withdraw(frontend: &Frontend) -> Result<bool> {
    let ours = |condition: &Condition| matches!(condition.condition_type.as_str(), READY | HEALTHY);
    let named = frontend.metadata.annotations.contains_key(HOSTNAME);
    let told = frontend.status.conditions.iter().any(ours);
    if frontend.metadata.is_deleting() || !(named || told) {
        return Ok(false);
    }
    if named {
        let none = json!({"metadata": {"annotations": {HOSTNAME: null}}});
        objects::settle(Write::patch(frontend.reference(), &none).if_uid(frontend.uid()))?;
    }
    let others = frontend.status.conditions.iter().filter(|condition| !ours(condition)).cloned().collect();
    say(frontend, others)?;
    Ok(true)
}

/// Whether the load balancer of a Frontend is what it asks for.
pub fn ready(frontend: &Frontend) -> Option<&Condition> {
    Condition::find(&frontend.status.conditions, READY)
}

fn write(frontend: &Frontend, conditions: Vec<Condition>, hostname: Option<&str>) -> Result<()> {
    let known = frontend.metadata.annotations.get(HOSTNAME).map(String::as_str);
    if let Some(hostname) = hostname.filter(|hostname| known != Some(hostname)) {
        let annotations = json!({"metadata": {"annotations": {HOSTNAME: hostname}}});
        objects::settle(Write::patch(frontend.reference(), &annotations).if_uid(frontend.uid()))?;
    }
    let mut all = frontend.status.conditions.clone();
    for condition in conditions {
        Condition::set(&mut all, condition);
    }
    say(frontend, all)
}

fn say(frontend: &Frontend, conditions: Vec<Condition>) -> Result<()> {
    if conditions == frontend.status.conditions {
        return Ok(());
    }
    let status = json!({"status": {"conditions": conditions}});
    objects::settle(Write::patch_status(frontend.reference(), &status).if_uid(frontend.uid()))
}
