//! What is in the kernel because of one frontend, and how to get from that to something else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use gantry_sdk::load_balancer::KeptFlow;
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
    /// Protocol and port of the node that nobody serves.
    DeadPorts,
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
            Set::DeadPorts => "dead-ports",
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
    /// Sets of clients that stay with a backend. The kernel fills them: they last as long as the backend does, whatever else
    /// changes.
    pub clients: BTreeSet<String>,
    /// For a protocol without connections of its own, who serves what, as `ADDRESS:PORT`.
    pub flows: BTreeMap<To, BTreeSet<String>>,
}

/// Where clients send to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct To {
    /// Empty: any of the node's.
    pub address: String,
    /// Its port.
    pub port: u16,
    /// What leads there, if anything does.
    pub element: Element,
}

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
    kept: BTreeMap<(String, u16), BTreeSet<String>>,
}

impl Change {
    /// Commands of one transaction, and which flows may stay once it is made.
    pub fn finish(self) -> (Vec<Value>, Vec<KeptFlow>) {
        let kept = |((address, port), backends): (_, BTreeSet<String>)| KeptFlow {
            address,
            port,
            backends: backends.into_iter().collect(),
        };
        let commands = [self.chains, self.flushes, self.rules, self.elements, self.removals].concat();
        (commands, self.kept.into_iter().map(kept).collect())
    }

    /// From one state of a frontend to the next.
    pub fn step(&mut self, id: &str, old: &Installed, new: &Installed, owners: &mut Owners) {
        let set = |verb: &str, name: &String| table::clients(verb, name);
        // Before the rules that name them, and gone after those.
        self.chains.extend(new.clients.difference(&old.clients).map(|name| set("add", name)));
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
        self.removals.extend(old.clients.difference(&new.clients).map(|name| set("delete", name)));
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
        self.flows(id, old, new, owners);
    }

    /// Notes whom clients may go on sending to, where somebody whom they may have been led to is not among these.
    fn flows(&mut self, id: &str, old: &Installed, new: &Installed, owners: &Owners) {
        let all: BTreeSet<&To> = old.flows.keys().chain(new.flows.keys()).collect();
        for to in all {
            let now = new.flows.get(to).cloned().unwrap_or_default();
            let same = old.flows.get(to).is_some_and(|before| new.flows.contains_key(to) && before.is_subset(&now));
            // What is another frontend's is kept as that one says.
            if !same && owners.is_free_for(&to.element, id) {
                self.kept.insert((to.address.clone(), to.port), now);
            }
        }
    }
}

impl Owners {
    fn active(&self, element: &Element) -> Option<String> {
        self.wanted.get(element)?.first().map(|(_, chain)| chain.clone())
    }

    /// Whether no other frontend has it.
    fn is_free_for(&self, element: &Element, id: &str) -> bool {
        self.wanted.get(element).and_then(|wanted| wanted.first()).is_none_or(|(owner, _)| owner == id)
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
