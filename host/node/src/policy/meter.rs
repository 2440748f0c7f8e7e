//! What the plugin's tables hold, counted from its own transactions, and how long changes take.

use std::collections::BTreeMap;
use std::time::Duration;

use gantry_plugin::family::network::Operation;
use serde_json::Value;

/// Counts of one plugin's rules and elements.
pub(super) struct Meter {
    plugin: String,
    /// Rules by chain, elements by set, with the table before.
    rules: BTreeMap<(String, String), usize>,
    elements: BTreeMap<(String, String), usize>,
}

impl Meter {
    pub(super) fn new(plugin: &str) -> Self {
        Self { plugin: plugin.to_owned(), rules: BTreeMap::new(), elements: BTreeMap::new() }
    }

    /// A plan was applied.
    pub(super) fn applied(&mut self, plan: &[Operation], took: Duration) {
        for operation in plan {
            if let Operation::Nftables(text) = operation {
                let value: Value = serde_json::from_str(text).unwrap_or_default();
                let commands = value.get("nftables").and_then(Value::as_array).into_iter().flatten();
                commands.filter_map(Value::as_object).flatten().for_each(|(verb, object)| self.count(verb, object));
            }
        }
        let plugin = || self.plugin.clone();
        let sum = |counts: &BTreeMap<_, usize>| counts.values().sum::<usize>() as f64;
        metrics::gauge!("gantry_network_policy_rules", "plugin" => plugin()).set(sum(&self.rules));
        metrics::gauge!("gantry_network_policy_sets", "plugin" => plugin()).set(self.elements.len() as f64);
        metrics::gauge!("gantry_network_policy_elements", "plugin" => plugin()).set(sum(&self.elements));
        metrics::histogram!("gantry_network_policy_sync_seconds", "plugin" => plugin()).record(took.as_secs_f64());
    }

    /// Policies could not be put in force.
    pub(super) fn failed(&self) {
        metrics::counter!("gantry_network_policy_failures_total", "plugin" => self.plugin.clone()).increment(1);
    }

    fn count(&mut self, verb: &str, object: &Value) {
        let Some((kind, object)) = object.as_object().and_then(|object| object.iter().next()) else { return };
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = || (text("table"), text("name"));
        match (verb, kind.as_str()) {
            ("delete" | "flush", "table") => {
                let name = text("name");
                self.rules.retain(|(table, _), _| *table != name);
                self.elements.retain(|(table, _), _| *table != name);
            }
            ("add" | "create", "set" | "map") => drop(self.elements.entry(key()).or_default()),
            ("delete", "set" | "map") => drop(self.elements.remove(&key())),
            ("add" | "create", "element") => {
                let count = self.elements.entry(key()).or_default();
                *count = count.saturating_add(length(object));
            }
            ("delete", "element") => {
                let count = self.elements.entry(key()).or_default();
                *count = count.saturating_sub(length(object));
            }
            ("add" | "insert", "rule") => {
                let count = self.rules.entry((text("table"), text("chain"))).or_default();
                *count = count.saturating_add(1);
            }
            ("flush" | "delete", "chain") => drop(self.rules.remove(&key())),
            _ => {}
        }
    }
}

fn length(object: &Value) -> usize {
    object.get("elem").and_then(Value::as_array).map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_transactions_leave() {
        let mut meter = Meter::new("sample");
        let mut apply = |commands: &str| {
            let plan = [Operation::Nftables(format!("{{\"nftables\": [{commands}]}}"))];
            meter.applied(&plan, Duration::ZERO);
            (meter.rules.values().sum::<usize>(), meter.elements.len(), meter.elements.values().sum::<usize>())
        };
        let rule = r#"{"add": {"rule": {"table": "t", "chain": "c", "expr": []}}}"#;
        let set = r#"{"add": {"set": {"table": "t", "name": "s"}}}"#;
        let add = r#"{"add": {"element": {"table": "t", "name": "s", "elem": [1, 2, 3]}}}"#;
        assert_eq!(apply(&[rule, rule, set, add].join(",")), (2, 1, 3));
        assert_eq!(apply(r#"{"delete": {"element": {"table": "t", "name": "s", "elem": [1]}}}"#), (2, 1, 2));
        assert_eq!(apply(&format!(r#"{{"flush": {{"chain": {{"table": "t", "name": "c"}}}}}},{rule}"#)), (1, 1, 2));
        assert_eq!(apply(r#"{"delete": {"set": {"table": "t", "name": "s"}}}"#), (1, 0, 0));
        assert_eq!(apply(r#"{"delete": {"table": {"name": "t"}}}"#), (0, 0, 0));
    }
}
