//! What is in the kernel because of one frontend, and how to get from that to something else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gantry_sdk::load_balancer::Flow;
use gantry_sdk::{Value, json};

use crate::table;

/// A set or map of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Set {
    /// Address, protocol and port to the chain that serves them.
    Services,
    /// Protocol and port of the node to the chain that serves them.
    NodePorts,
    /// Address, protocol and port, outside of the ranges, that nobody serves.
    Dead,
    /// Backends of this node, twice: what comes from one and goes to the same.
    Hairpin,
}

impl Set {
    /// Its name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Set::Services => "services",
            Set::NodePorts => "node-ports",
            Set::Dead => "dead",
            Set::Hairpin => "hairpin",
        }
    }
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Element {
    set: Set,
    /// JSON, so that it has an order.
    key: String,
}

impl Element {
    pub fn new(set: Set, key: Vec<Value>) -> Self {
        Self { set, key: Value::Array(key).to_string() }
    }

    fn key(&self) -> Value {
        let parts: Value = gantry_sdk::serde_json::from_str(&self.key).unwrap_or_default();
        json!({ "concat": parts })
    }

    fn add(&self, chain: &str) -> Value {
        let element = match chain {
            "" => self.key(),
            chain => json!([self.key(), table::goto(chain)]),
        };
        table::object("add", "element", json!({"name": self.set.name(), "elem": [element]}))
    }

    fn delete(&self) -> Value {
        table::object("delete", "element", json!({"name": self.set.name(), "elem": [self.key()]}))
    }
}

/// What is there because of one frontend.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Installed {
    /// Rules by chain.
    pub chains: BTreeMap<String, Vec<Vec<Value>>>,
    /// The chain that an element leads to; empty in sets.
    pub elements: BTreeMap<Element, String>,
    /// Where clients of protocols without connections of their own may be on their way to a backend.
    pub flows: BTreeSet<To>,
}

/// Protocol, address (empty: any of the node), port and backend.
pub type To = (u8, String, u16, String);

/// Who wants an element. Several may: a backend that serves two frontends, or (for a moment) a frontend and its successor at
/// the same address. The first has it.
#[derive(Debug, Default)]
pub struct Owners {
    wanted: HashMap<Element, Vec<(String, String)>>,
}

/// A change, in the order in which the kernel must see its parts.
#[derive(Debug, Default)]
pub struct Change {
    chains: Vec<Value>,
    flushes: Vec<Value>,
    rules: Vec<Value>,
    elements: Vec<Value>,
    removals: Vec<Value>,
    over: BTreeSet<To>,
}

impl Change {
    /// Commands of one transaction, and the flows that are over once it is made.
    pub fn finish(self) -> (Vec<Value>, Vec<Flow>) {
        let flow = |(protocol, address, port, backend)| Flow { protocol, address, port, backend };
        let commands = [self.chains, self.flushes, self.rules, self.elements, self.removals].concat();
        (commands, self.over.into_iter().map(flow).collect())
    }

    /// From one state of a frontend to the next.
    pub fn step(&mut self, id: &str, old: &Installed, new: &Installed, owners: &mut Owners) {
        for (chain, rules) in &new.chains {
            match old.chains.get(chain) {
                Some(known) if known == rules => continue,
                Some(_) => self.flushes.push(table::chain("flush", chain)),
                None => self.chains.push(table::chain("add", chain)),
            }
            self.rules.extend(rules.iter().map(|expr| table::rule(chain, expr)));
        }
        for chain in old.chains.keys().filter(|chain| !new.chains.contains_key(*chain)) {
            // First empty, since chains lead to each other.
            self.flushes.push(table::chain("flush", chain));
            self.removals.push(table::chain("delete", chain));
        }
        self.over.extend(old.flows.difference(&new.flows).cloned());
        let both: BTreeSet<&Element> = old.elements.keys().chain(new.elements.keys()).collect();
        for element in both {
            let before = owners.active(element);
            match new.elements.get(element) {
                Some(chain) => owners.want(element, id, chain),
                None => owners.leave(element, id),
            }
            let after = owners.active(element);
            if before != after {
                self.elements.extend(before.map(|_| element.delete()));
                self.elements.extend(after.map(|chain| element.add(&chain)));
            }
        }
    }
}

impl Owners {
    fn active(&self, element: &Element) -> Option<String> {
        self.wanted.get(element)?.first().map(|(_, chain)| chain.clone())
    }

    fn want(&mut self, element: &Element, id: &str, chain: &str) {
        let wanted = self.wanted.entry(element.clone()).or_default();
        match wanted.iter_mut().find(|(owner, _)| owner == id) {
            Some((_, known)) => chain.clone_into(known),
            None => wanted.push((id.to_owned(), chain.to_owned())),
        }
    }

    fn leave(&mut self, element: &Element, id: &str) {
        let Some(wanted) = self.wanted.get_mut(element) else { return };
        wanted.retain(|(owner, _)| owner != id);
        if wanted.is_empty() {
            self.wanted.remove(element);
        }
    }
}
