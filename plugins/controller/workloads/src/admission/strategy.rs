//! How a Deployment's pods are replaced.

use gantry_sdk::admission::Cause;
use gantry_sdk::{Value, json};

const PATH: &str = "spec.strategy.rollingUpdate";

pub(super) fn check(spec: &Value, causes: &mut Vec<Cause>) {
    let Some(strategy) = spec.get("strategy") else { return };
    let Some(rolling) = strategy.get("rollingUpdate").filter(|rolling| !rolling.is_null()) else { return };
    if strategy.get("type").and_then(Value::as_str) == Some("Recreate") {
        causes.push(Cause::forbidden(PATH, "may not be specified when strategy `type` is 'Recreate'"));
        return;
    }
    let (surge, unavailable) = (rolling.get("maxSurge"), rolling.get("maxUnavailable"));
    let before = causes.len();
    for (field, value) in [("maxUnavailable", unavailable), ("maxSurge", surge)] {
        if let Some(text) = value.filter(|value| value.is_string() && percent(value).is_none()) {
            let detail = "must be an integer or percentage (e.g '5%%')";
            causes.push(Cause::invalid(format!("{PATH}.{field}"), text, detail));
        }
    }
    let zero = json!(0);
    let shown = unavailable.unwrap_or(&zero);
    if causes.len() == before && is_zero(unavailable) && is_zero(surge) {
        causes.push(Cause::invalid(format!("{PATH}.maxUnavailable"), shown, "may not be 0 when `maxSurge` is 0"));
    }
    if percent(shown).is_some_and(|percent| percent > 100) {
        causes.push(Cause::invalid(format!("{PATH}.maxUnavailable"), shown, "must not be greater than 100%"));
    }
}

/// What is absent has a default, which is not zero.
fn is_zero(value: Option<&Value>) -> bool {
    value.is_some_and(|value| value.as_i64() == Some(0) || percent(value) == Some(0))
}

/// The number of a percentage. One of more digits than anyone needs is very large.
fn percent(value: &Value) -> Option<u64> {
    let digits = value.as_str()?.strip_suffix('%')?;
    let good = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    good.then(|| digits.parse().unwrap_or(u64::MAX))
}
