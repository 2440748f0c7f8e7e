//! Ports of the nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use gantry_sdk::api::Resource;
use gantry_sdk::{Error, Result};

use super::claims::{self, Taken};
use super::order::candidates;
use super::{Granted, Refusal};
use crate::object::{NodePort, Port, Service};
use crate::options::Options;

/// Ports that others took between the look and the attempt, before the pass gives up.
const ATTEMPTS: usize = 64;

/// One number per port, 0 for none, and what was refused.
pub fn settle(options: &Options, service: &Service, own: &BTreeSet<String>) -> Result<(Vec<u16>, Vec<Refusal>)> {
    let ports = &service.spec.ports;
    if !service.wants_node_ports() {
        return Ok((vec![0; ports.len()], Vec::new()));
    }
    let mut settling = Settling { range: options.node_ports.clone(), service, own, used: BTreeMap::new(), taken: None };
    let mut refusals = Vec::new();
    let mut numbers = vec![0; ports.len()];
    // What users ask for comes first, so that nothing else in this Service takes it.
    let given = |port: &Port| port.node_port != 0;
    for wanted in [true, false] {
        for (number, port) in numbers.iter_mut().zip(ports).filter(|(_, port)| given(port) == wanted) {
            match settling.one(port)? {
                Ok(found) => *number = found,
                Err(refusal) => refusals.push(refusal),
            }
        }
    }
    Ok((numbers, refusals))
}

struct Settling<'a> {
    range: RangeInclusive<u16>,
    service: &'a Service,
    own: &'a BTreeSet<String>,
    /// Numbers of this Service, with their protocols: one number may serve several.
    used: BTreeMap<u16, BTreeSet<String>>,
    /// Of all Services; read when it is needed first.
    taken: Option<BTreeSet<String>>,
}

impl Settling<'_> {
    fn one(&mut self, port: &Port) -> Result<Granted<u16>> {
        let found = match port.node_port {
            0 => self.pick(port)?,
            given => self.honour(port, given)?,
        };
        if let Ok(number) = found {
            self.used.entry(number).or_default().insert(port.protocol().to_owned());
        }
        Ok(found)
    }

    fn honour(&self, port: &Port, number: u16) -> Result<Granted<u16>> {
        let title = port.title();
        if !self.range.contains(&number) {
            let (first, last) = (self.range.start(), self.range.end());
            let message = format!("nodePort {number} of {title} is not in the range {first}-{last}");
            return Ok(Err(Refusal::new("NodePortOutOfRange", message)));
        }
        if self.used.get(&number).is_some_and(|protocols| protocols.contains(port.protocol())) {
            let message = format!("nodePort {number} of {title} is named twice");
            return Ok(Err(Refusal::new("NodePortTaken", message)));
        }
        if self.own.contains(&number.to_string()) {
            return Ok(Ok(number));
        }
        Ok(match claims::take::<NodePort>(&number.to_string(), self.service)? {
            Taken::Ours => Ok(number),
            Taken::By(owner) => {
                Err(Refusal::new("NodePortTaken", format!("nodePort {number} of {title} belongs to {owner}")))
            }
        })
    }

    fn pick(&mut self, port: &Port) -> Result<Granted<u16>> {
        // Claimed before a crash, and not named yet.
        let own = self.own.iter().filter_map(|name| name.parse::<u16>().ok());
        if let Some(number) = own.into_iter().find(|n| self.range.contains(n) && !self.used.contains_key(n)) {
            return Ok(Ok(number));
        }
        if self.taken.is_none() {
            self.taken = Some(claims::all::<NodePort>()?);
        }
        let size = u64::try_from(self.range.len()).unwrap_or_default();
        let band = if size < 32 { 0 } else { (size / 32).clamp(16, 128) };
        let seed = format!("{}/{}", self.service.uid(), port.title());
        let mut lost = 0;
        for offset in candidates(size, band, &seed) {
            let number = self.range.start().saturating_add(u16::try_from(offset).unwrap_or(u16::MAX));
            let name = number.to_string();
            if self.taken.as_ref().is_some_and(|taken| taken.contains(&name)) || self.used.contains_key(&number) {
                continue;
            }
            match claims::take::<NodePort>(&name, self.service)? {
                Taken::Ours => return Ok(Ok(number)),
                Taken::By(_) => lost += 1,
            }
            if lost == ATTEMPTS {
                return Err(Error::conflict("others were always faster to take a node port"));
            }
        }
        let message = format!("every node port is taken; {} gets none", port.title());
        Ok(Err(Refusal::new("NodePortsExhausted", message)))
    }
}
