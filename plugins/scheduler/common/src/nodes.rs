//! The nodes, by the host's numbers: a dense row of numbers each for the hot path, and the rest beside it.

use gantry_sdk::scheduler::{Node, Resources};
use gantry_sdk::{Error, Result};

use crate::class::Class;
use crate::ports::Taken;
use crate::profile::Traits;
use crate::reasons;
use crate::requests::{Amounts, bounded};

/// Ids are small; one beyond this is a mistake and must not become an allocation.
const MOST_NODES: usize = 1 << 20;

/// What every evaluation reads of a node.
#[derive(Clone, Copy, Debug, Default)]
pub struct Row {
    /// Is it there? Assignments may come first.
    pub known: bool,
    /// What pods may ask for.
    pub allocatable: Amounts,
    /// What they do ask for.
    pub requested: Amounts,
    /// The same for scores, where nothing asked counts something.
    pub score_cpu: i64,
    /// See `score_cpu`.
    pub score_memory: i64,
    /// 1 / allocatable, 0 without any: scores divide a lot.
    pub per_cpu: f64,
    /// See `per_cpu`.
    pub per_memory: f64,
}

/// What evaluations rarely read.
#[derive(Clone, Debug, Default)]
struct Rest {
    traits: Traits,
    ports: Taken,
    /// Pods by class. A list: a node has at most some hundred.
    pods: Vec<(u32, i64)>,
}

/// One extended resource over all nodes.
#[derive(Clone, Debug, Default)]
struct Extended {
    name: String,
    /// Allocatable and requested, by node; shorter than the table: zeros.
    amounts: Vec<(i64, i64)>,
}

/// The table.
#[derive(Debug, Default)]
pub struct Nodes {
    rows: Vec<Row>,
    rest: Vec<Rest>,
    extended: Vec<Extended>,
}

impl Row {
    /// Bits of what is short for one more pod of the class. Asking for nothing is always granted.
    pub fn short(&self, class: &Class) -> u16 {
        let lacks = |bit: u16, asked: i64, used: i64, all: i64| if asked > 0 && asked > all - used { bit } else { 0 };
        let (ask, used, all) = (&class.amounts, &self.requested, &self.allocatable);
        lacks(reasons::SHORT_PODS, ask.pods, used.pods, all.pods)
            | lacks(reasons::SHORT_CPU, ask.cpu, used.cpu, all.cpu)
            | lacks(reasons::SHORT_MEMORY, ask.memory, used.memory, all.memory)
            | lacks(reasons::SHORT_STORAGE, ask.storage, used.storage, all.storage)
    }

    fn take(&mut self, class: &Class, count: i64) {
        let add = |sum: &mut i64, amount: i64| *sum = sum.saturating_add(amount.saturating_mul(count));
        add(&mut self.requested.cpu, class.amounts.cpu);
        add(&mut self.requested.memory, class.amounts.memory);
        add(&mut self.requested.storage, class.amounts.storage);
        add(&mut self.requested.pods, class.amounts.pods);
        add(&mut self.score_cpu, class.score_cpu);
        add(&mut self.score_memory, class.score_memory);
    }
}

impl Nodes {
    /// All rows, by id.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// What constraints see of a node.
    pub fn traits(&self, id: usize) -> Option<&Traits> {
        self.rest.get(id).map(|rest| &rest.traits)
    }

    /// Are ports that the class needs taken?
    pub fn ports_conflict(&self, id: usize, class: &Class) -> bool {
        self.rest.get(id).is_some_and(|rest| rest.ports.conflicts(&class.ports))
    }

    /// Numbers of the extended resources that the node is short of.
    pub fn short_extended<'a>(&'a self, id: usize, class: &'a Class) -> impl Iterator<Item = usize> + 'a {
        let short = move |(number, asked): &&(usize, i64)| {
            let amounts = self.extended.get(*number).and_then(|r| r.amounts.get(id));
            let (all, used) = amounts.copied().unwrap_or_default();
            *asked > all - used
        };
        class.extended.iter().filter(short).map(|(number, _)| *number)
    }

    /// The number of an extended resource.
    pub fn resource(&mut self, name: &str) -> usize {
        match self.extended.iter().position(|resource| resource.name == name) {
            Some(number) => number,
            None => {
                self.extended.push(Extended { name: name.to_string(), amounts: Vec::new() });
                self.extended.len() - 1
            }
        }
    }

    /// The name behind a number.
    pub fn resource_name(&self, number: usize) -> &str {
        self.extended.get(number).map_or("", |resource| resource.name.as_str())
    }

    /// A node is new or changed. Says whether constraints see a difference.
    pub fn set(&mut self, node: Node) -> Result<bool> {
        let id = self.reach(node.id)?;
        self.set_extended(id, &node.allocatable.extended);
        if let Some(row) = self.rows.get_mut(id) {
            row.known = true;
            row.allocatable = allocatable(&node.allocatable);
            row.per_cpu = inverse(row.allocatable.cpu);
            row.per_memory = inverse(row.allocatable.memory);
        }
        let traits = Traits::of(node);
        let Some(rest) = self.rest.get_mut(id) else { return Ok(true) };
        let differs = rest.traits != traits;
        rest.traits = traits;
        Ok(differs)
    }

    fn set_extended(&mut self, id: usize, given: &[(String, u64)]) {
        for (name, _) in given {
            self.resource(name);
        }
        for resource in &mut self.extended {
            let amount = given.iter().find(|(name, _)| *name == resource.name).map_or(0, |(_, n)| bounded(*n));
            if let Some((all, _)) = reach_amounts(resource, id, amount != 0) {
                *all = amount;
            }
        }
    }

    /// A node is gone with its pods; gives what it had of each class.
    pub fn remove(&mut self, id: u32) -> Vec<(u32, i64)> {
        let id = id as usize;
        if let Some(row) = self.rows.get_mut(id) {
            *row = Row::default();
        }
        for amounts in self.extended.iter_mut().filter_map(|resource| resource.amounts.get_mut(id)) {
            *amounts = (0, 0);
        }
        self.rest.get_mut(id).map(std::mem::take).unwrap_or_default().pods
    }

    /// `count` pods of a class came or left. Refuses to have less than none.
    pub fn assign(&mut self, node: u32, class_id: u32, class: &Class, count: i64) -> Result<()> {
        let id = self.reach(node)?;
        let (Some(row), Some(rest)) = (self.rows.get_mut(id), self.rest.get_mut(id)) else {
            return Err(Error::internal(format!("node {node} has no row")));
        };
        let place = rest.pods.iter().position(|(class, _)| *class == class_id);
        let before = place.and_then(|at| rest.pods.get(at)).map_or(0, |(_, pods)| *pods);
        match (before + count, place) {
            (..0, _) => {
                return Err(Error::internal(format!(
                    "{} pods of class {class_id} leave node {node}, which has {before}",
                    -count
                )));
            }
            (0, Some(at)) => drop(rest.pods.swap_remove(at)),
            (after, Some(at)) => rest.pods.get_mut(at).into_iter().for_each(|entry| entry.1 = after),
            (0, None) => {}
            (after, None) => rest.pods.push((class_id, after)),
        }
        row.take(class, count);
        if !class.ports.is_empty() {
            rest.ports.change(&class.ports, count);
        }
        for (number, amount) in &class.extended {
            if let Some(resource) = self.extended.get_mut(*number)
                && let Some((_, used)) = reach_amounts(resource, id, true)
            {
                *used = used.saturating_add(amount.saturating_mul(count));
            }
        }
        Ok(())
    }

    /// Nodes that have pods of a class, with their number.
    pub fn with_class(&self, class_id: u32) -> Vec<(u32, i64)> {
        let of = |(id, rest): (usize, &Rest)| {
            let pods = rest.pods.iter().find(|(class, _)| *class == class_id);
            pods.map(|(_, pods)| (id as u32, *pods))
        };
        self.rest.iter().enumerate().filter_map(of).collect()
    }

    fn reach(&mut self, id: u32) -> Result<usize> {
        let id = id as usize;
        if id >= MOST_NODES {
            return Err(Error::invalid(format!("node id {id} is too large: ids are small numbers")));
        }
        if id >= self.rows.len() {
            self.rows.resize(id + 1, Row::default());
            self.rest.resize(id + 1, Rest::default());
        }
        Ok(id)
    }
}

/// A node's entry; made if it is not there and `make` says so.
fn reach_amounts(resource: &mut Extended, id: usize, make: bool) -> Option<&mut (i64, i64)> {
    if make && id >= resource.amounts.len() {
        resource.amounts.resize(id + 1, (0, 0));
    }
    resource.amounts.get_mut(id)
}

fn allocatable(given: &Resources) -> Amounts {
    Amounts {
        cpu: bounded(given.cpu_milli),
        memory: bounded(given.memory),
        storage: bounded(given.ephemeral_storage),
        pods: i64::from(given.pods),
    }
}

fn inverse(amount: i64) -> f64 {
    if amount > 0 { 1.0 / amount as f64 } else { 0.0 }
}
