//! Ports of the nodes: those that lead to a Service, and the one that says whether a node serves it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use gantry_sdk::api::Resource;
use gantry_sdk::{Error, Result};

use super::claims::{self, Taken};
use super::order::candidates;
use super::{Granted, Refusal};
use crate::object::{NodePort, Service, ServicePort};
use crate::options::Options;

/// Ports that others took between the look and the attempt, before the pass gives up.
const ATTEMPTS: usize = 64;

/// What there is to give.
#[derive(Default)]
pub struct Ports {
    /// One per port of the Service; 0: none.
    pub numbers: Vec<u16>,
    /// The one for health checks; 0: none.
    pub health: u16,
    /// What was refused.
    pub refusals: Vec<Refusal>,
}

/// One port of the nodes that may be needed.
struct Need<'a> {
    title: String,
    field: &'static str,
    protocol: &'a str,
    /// What the user asks for; 0: nothing in particular.
    given: u16,
    /// Whether some number is needed if none is given.
    any: bool,
}

impl<'a> Need<'a> {
    fn of(service: &Service, port: &'a ServicePort) -> Self {
        let given = if service.spec.may_have_node_ports() { port.node_port } else { 0 };
        let any = service.wants_node_ports();
        Self { title: title(port), field: "nodePort", protocol: port.protocol(), given, any }
    }

    fn health(service: &Service) -> Self {
        let given = service.spec.health_check_node_port;
        Self { title: "the Service".to_owned(), field: "healthCheckNodePort", protocol: "TCP", given, any: true }
    }
}

/// For people.
fn title(port: &ServicePort) -> String {
    match port.name.as_str() {
        "" => format!("port {}/{}", port.port, port.protocol()),
        name => format!("port {name}"),
    }
}

/// Takes what the ports of a Service need, and its health checks.
pub fn settle(options: &Options, service: &Service, own: &BTreeSet<String>) -> Result<Ports> {
    let mut settling = Settling { range: options.node_ports.clone(), service, own, used: BTreeMap::new(), taken: None };
    let mut needs: Vec<Need<'_>> = service.spec.ports.iter().map(|port| Need::of(service, port)).collect();
    let checked = service.spec.wants_health_port();
    needs.extend(checked.then(|| Need::health(service)));
    let mut ports = Ports { numbers: vec![0; needs.len()], ..Ports::default() };
    // What users ask for comes first, so that nothing else in this Service takes it.
    for given in [true, false] {
        let needed = |need: &&Need<'_>| (need.given != 0) == given && (given || need.any);
        for (number, need) in ports.numbers.iter_mut().zip(&needs).filter(|(_, need)| needed(need)) {
            match settling.one(need)? {
                Ok(found) => *number = found,
                Err(refusal) => ports.refusals.push(refusal),
            }
        }
    }
    if checked {
        ports.health = ports.numbers.pop().unwrap_or_default();
    }
    Ok(ports)
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
    fn one(&mut self, need: &Need<'_>) -> Result<Granted<u16>> {
        let found = match need.given {
            0 => self.pick(need)?,
            given => self.honour(need, given)?,
        };
        if let Ok(number) = found {
            self.used.entry(number).or_default().insert(need.protocol.to_owned());
        }
        Ok(found)
    }

    fn honour(&self, need: &Need<'_>, number: u16) -> Result<Granted<u16>> {
        let Need { title, field, .. } = need;
        if !self.range.contains(&number) {
            let (first, last) = (self.range.start(), self.range.end());
            let message = format!("{field} {number} of {title} is not in the range {first}-{last}");
            return Ok(Err(Refusal::new("NodePortOutOfRange", message)));
        }
        if self.used.get(&number).is_some_and(|protocols| protocols.contains(need.protocol)) {
            let message = format!("{field} {number} of {title} is named twice");
            return Ok(Err(Refusal::new("NodePortTaken", message)));
        }
        if self.own.contains(&number.to_string()) {
            return Ok(Ok(number));
        }
        Ok(match claims::take::<NodePort>(&number.to_string(), self.service)? {
            Taken::Ours => Ok(number),
            Taken::By(owner) => {
                Err(Refusal::new("NodePortTaken", format!("{field} {number} of {title} belongs to {owner}")))
            }
        })
    }

    fn pick(&mut self, need: &Need<'_>) -> Result<Granted<u16>> {
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
        let seed = format!("{}/{}", self.service.uid(), need.title);
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
        let message = format!("every node port is taken; {} gets none", need.title);
        Ok(Err(Refusal::new("NodePortsExhausted", message)))
    }
}
