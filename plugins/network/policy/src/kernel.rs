//! What is in the kernel's table, and how to get from one state of it to the next.

use std::collections::BTreeMap;

use gantry_sdk::{Value, json, serde_json};

use crate::ledger::Ledger;
use crate::table::{self, UNADDRESSED};

/// Expressions, of which the last is a verdict.
pub type Rule = Vec<Value>;

/// Sets, chains and verdicts beyond those that are always there. Names are given by whoever adds them.
#[derive(Default)]
pub struct Kernel {
    /// Types of the elements.
    sets: Ledger<String, Value>,
    /// How many want an element, by set and JSON of the element.
    elements: Ledger<(String, String), u32>,
    chains: Ledger<String, Vec<Rule>>,
    /// Chains, by verdict map and address.
    verdicts: Ledger<(String, String), String>,
}

impl Kernel {
    pub fn add_set(&mut self, name: &str, type_: Value) {
        self.sets.set(name.to_owned(), Some(type_));
    }

    /// Its elements must have been removed.
    pub fn remove_set(&mut self, name: &str) {
        self.sets.set(name.to_owned(), None);
    }

    /// One more who wants it.
    pub fn add_element(&mut self, set: &str, element: &Value) {
        let key = (set.to_owned(), element.to_string());
        let count = self.elements.get(&key).copied().unwrap_or(0);
        self.elements.set(key, Some(count.saturating_add(1)));
    }

    /// One less who wants it.
    pub fn remove_element(&mut self, set: &str, element: &Value) {
        let key = (set.to_owned(), element.to_string());
        let count = self.elements.get(&key).copied().unwrap_or(0).saturating_sub(1);
        self.elements.set(key, (count > 0).then_some(count));
    }

    /// `None`: there is none.
    pub fn set_chain(&mut self, name: &str, rules: Option<Vec<Rule>>) {
        self.chains.set(name.to_owned(), rules);
    }

    /// `None`: an address leads to no chain.
    pub fn set_verdict(&mut self, map: &str, address: &str, chain: Option<String>) {
        self.verdicts.set((map.to_owned(), address.to_owned()), chain);
    }

    /// The commands of one transaction from what the last call left to what is now.
    pub fn finish(&mut self) -> Vec<Value> {
        // Only while somebody is isolated is there something to get past.
        let loose = (!self.verdicts.is_empty()).then(table::unaddressed).unwrap_or_default();
        let mut steps = Steps::default();
        for (name, old, new) in self.sets.finish() {
            match (old, new) {
                (None, Some(type_)) => {
                    steps.before.push(table::object("add", "set", json!({"name": name, "type": type_})));
                }
                (Some(_), None) => steps.after.push(table::object("delete", "set", json!({ "name": name }))),
                _ => {}
            }
        }
        self.finish_chains(loose, &mut steps);
        let mut gone: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut come: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for ((set, element), old, new) in self.elements.finish() {
            let element = serde_json::from_str(&element).unwrap_or_default();
            match (old, new) {
                (None, Some(_)) => come.entry(set).or_default().push(element),
                (Some(_), None) if self.is_set(&set) => gone.entry(set).or_default().push(element),
                // They go with their set.
                _ => {}
            }
        }
        for ((map, address), old, new) in self.verdicts.finish() {
            if old.is_some() {
                gone.entry(map.clone()).or_default().push(json!(address));
            }
            if let Some(chain) = new {
                come.entry(map).or_default().push(json!([address, table::jump(&chain)]));
            }
        }
        let elements = |verb: &str, all: BTreeMap<String, Vec<Value>>| -> Vec<Value> {
            let command = |(name, elem)| table::object(verb, "element", json!({"name": name, "elem": elem}));
            all.into_iter().map(command).collect()
        };
        let (gone, come) = (elements("delete", gone), elements("add", come));
        [steps.before, steps.flushes, steps.rules, gone, come, steps.after_chains, steps.after].concat()
    }

    /// Whether elements of it can be named: sets that are always there are not in the ledger.
    fn is_set(&self, name: &str) -> bool {
        name.starts_with("self") || self.sets.get(&name.to_owned()).is_some()
    }

    fn finish_chains(&mut self, loose: Vec<Rule>, steps: &mut Steps) {
        self.chains.set(UNADDRESSED.to_owned(), (!loose.is_empty()).then_some(loose));
        for (name, old, new) in self.chains.finish() {
            let fixed = name == UNADDRESSED;
            match (&old, &new) {
                (None, _) if !fixed => steps.before.push(table::chain("add", &name)),
                (None, _) => {}
                (Some(_), _) => steps.flushes.push(table::chain("flush", &name)),
            }
            match new {
                Some(rules) => steps.rules.extend(rules.iter().map(|expr| table::rule(&name, expr))),
                None if fixed => {}
                None => steps.after_chains.push(table::chain("delete", &name)),
            }
        }
    }
}

/// Parts of a transaction, in the order in which the kernel must see them.
#[derive(Default)]
struct Steps {
    before: Vec<Value>,
    flushes: Vec<Value>,
    rules: Vec<Value>,
    after_chains: Vec<Value>,
    after: Vec<Value>,
}
