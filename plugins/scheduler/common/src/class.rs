//! Classes of pods, read once.

use gantry_sdk::Result;
use gantry_sdk::scheduler::{self, ClassSpec};

use crate::nodes::Nodes;
use crate::ports::HostPort;
use crate::profile::{Constraints, Profiles};
use crate::requests::{Amounts, Requests};

/// What one pod of the class needs, in the terms of the tables.
#[derive(Debug, Default)]
pub struct Class {
    /// What must be free.
    pub amounts: Amounts,
    /// Processor time, for scores.
    pub score_cpu: i64,
    /// Memory, for scores.
    pub score_memory: i64,
    /// Extended resources: number and amount.
    pub extended: Vec<(usize, i64)>,
    /// Ports of the node.
    pub ports: Vec<HostPort>,
    /// Its constraints' number.
    pub profile: usize,
    /// Pods of the class on nodes.
    pub assigned: i64,
    /// Why no node is feasible: the code of what can't be read of it.
    pub unreadable: Option<u16>,
}

impl Class {
    /// Reads a class; its profile and resources get their numbers.
    pub fn read(class: &scheduler::Class, nodes: &mut Nodes, profiles: &mut Profiles) -> Result<Self> {
        let spec = ClassSpec::parse(class)?.spec;
        let requests = Requests::of(&spec)?;
        let extended = requests.extended.iter().map(|(name, amount)| (nodes.resource(name), *amount));
        Ok(Class {
            amounts: requests.amounts,
            score_cpu: requests.score_cpu,
            score_memory: requests.score_memory,
            extended: extended.collect(),
            ports: HostPort::of(&spec),
            profile: profiles.join(Constraints::of(&spec))?,
            assigned: 0,
            unreadable: None,
        })
    }

    /// One that can't be read. What its pods take is not known, so they can't be placed; those that are on nodes all the
    /// same count as pods there.
    pub fn unreadable(code: u16, profiles: &mut Profiles) -> Result<Self> {
        let profile = profiles.join(Constraints::default())?;
        let amounts = Amounts { pods: 1, ..Amounts::default() };
        Ok(Class { amounts, profile, unreadable: Some(code), ..Class::default() })
    }
}
