//! A loaded plugin as an object.

use gantry_objects::admission::Rule;
use gantry_plugin::{Loaded, State};
use serde_json::{Value, json};

/// Where the kinds that a plugin declared are kept, so that they outlive it.
pub(super) const DECLARED: &str = "/status/declared";

/// Where its rules of review are kept, for a start at which it can't be loaded.
pub(super) const REVIEWS: &str = "/status/reviews";

pub(super) fn spec(bundle: &str, plugin: &Loaded) -> Value {
    let entry = plugin.entry();
    json!({
        "bundle": bundle,
        "source": plugin.file().display().to_string(),
        "digest": plugin.digest(),
        "required": entry.required,
        "config": entry.config,
        // Where it may send requests: other plugins tell by it what this one can do.
        "grants": {"http": plugin.grants().http().iter().map(ToString::to_string).collect::<Vec<_>>()},
    })
}

pub(super) fn status(plugin: &Loaded, reviews: &[Rule]) -> Value {
    let manifest = plugin.manifest();
    let health = plugin.health();
    let (phase, well) = match health.state {
        State::Ready => ("Ready", true),
        State::Degraded => ("Degraded", false),
        State::Halted => ("Failed", false),
    };
    let last = health.last_fault.as_ref().map(|(at, fault)| {
        let at = jiff::Timestamp::try_from(*at).unwrap_or_default();
        json!({"time": format!("{at:.0}"), "call": fault.call, "message": fault.finding.to_string()})
    });
    let message = match (&health.last_fault, well) {
        (Some((_, fault)), false) => fault.to_string(),
        _ => String::new(),
    };
    json!({
        "version": manifest.version,
        "digest": plugin.digest(),
        "description": manifest.description,
        "families": manifest.families.iter().map(|family| family.name()).collect::<Vec<_>>(),
        "kinds": manifest.kinds.iter().map(|kind| kind.resource().to_string()).collect::<Vec<_>>(),
        "declared": manifest.kinds,
        "reviews": reviews,
        "phase": phase,
        "message": message,
        "calls": health.calls,
        "faults": health.faults,
        "lastFault": last,
    })
}
