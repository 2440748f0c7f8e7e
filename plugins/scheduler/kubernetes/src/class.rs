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
        })
    }
}
