//! An order among the ordinary containers of a pod, which otherwise all start at once: an annotation says after which state
//! of which others one starts.
//!
//! `gantry.dev/start-after: {"app": {"db": "ready", "migrate": "succeeded"}}` starts `app` once `db` is ready and `migrate`
//! has succeeded. Each is looked at until the container starts for the first time in its sandbox; restarts wait for nobody.
//! `docs/pods.md` tells the rest.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

/// The annotation's name.
pub const START_AFTER: &str = "gantry.dev/start-after";

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It runs, or has run.
    Started,
    /// It has ended, however.
    Ended,
    /// It has ended with exit code 0.
    Succeeded,
    /// It runs, and its startup and readiness probes, if it has any, succeed.
    Ready,
}

impl State {
    /// As the annotation has it.
    pub fn word(self) -> &'static str {
        match self {
            State::Started => "started",
            State::Ended => "ended",
            State::Succeeded => "succeeded",
            State::Ready => "ready",
        }
    }
}

/// By container: those before it, and what is waited for.
pub type Order = BTreeMap<String, BTreeMap<String, State>>;

/// Reads the annotation; nothing where there is none. An error says what is wrong with it.
pub fn read(pod: &Value) -> Result<Order, String> {
    let annotations = pod.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let text = annotations.and_then(|all| all.get(START_AFTER)).and_then(Value::as_str);
    text.map_or_else(|| Ok(Order::new()), parse)
}

/// Reads its value.
pub fn parse(text: &str) -> Result<Order, String> {
    serde_json::from_str(text).map_err(|error| {
        format!("must be JSON that has for containers those before them, each with started, ended, succeeded or ready: {error}")
    })
}

/// What is wrong with an order among these containers: a name that none of them has, or a circle.
pub fn check(order: &Order, containers: &[&str]) -> Result<(), String> {
    let names = order.iter().flat_map(|(name, before)| std::iter::once(name).chain(before.keys()));
    if let Some(unknown) = names.into_iter().find(|name| !containers.contains(&name.as_str())) {
        return Err(format!("{unknown:?} is none of the pod's ordinary containers"));
    }
    let mut left: BTreeSet<&str> = order.keys().map(String::as_str).collect();
    // Who waits for nobody that is left goes, until nobody is left or nobody goes.
    while !left.is_empty() {
        let waits =
            |name: &&str| order.get(*name).is_some_and(|before| before.keys().any(|b| left.contains(b.as_str())));
        let stuck: BTreeSet<&str> = left.iter().copied().filter(waits).collect();
        if stuck.len() == left.len() {
            let names: Vec<&str> = stuck.into_iter().collect();
            return Err(format!("these containers wait for each other: {}", names.join(", ")));
        }
        left = stuck;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_read_and_checked() {
        for (text, want) in [
            ("{}", None),
            (r#"{"a": {"b": "ready", "c": "succeeded"}, "b": {"c": "started"}}"#, None),
            (r#"{"a": {"a": "ended"}}"#, Some("these containers wait for each other: a")),
            (
                r#"{"a": {"b": "ended"}, "b": {"c": "ready"}, "c": {"b": "ready"}}"#,
                Some("wait for each other: a, b, c"),
            ),
            (r#"{"a": {"x": "ended"}}"#, Some("\"x\" is none of the pod's ordinary containers")),
            (r#"{"x": {"a": "ended"}}"#, Some("\"x\" is none")),
            (r#"{"a": {"b": "done"}}"#, Some("must be JSON")),
            ("a", Some("must be JSON")),
        ] {
            let said = parse(text).and_then(|order| check(&order, &["a", "b", "c"])).err();
            assert_eq!(said.is_some(), want.is_some(), "{text}: {said:?}");
            assert!(said.unwrap_or_default().contains(want.unwrap_or_default()), "{text}");
        }
    }
}
