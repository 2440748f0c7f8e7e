//! What ports come to: a network load balancer, or an application load balancer that asks of requests no more than whence
//! they come.

use std::collections::{BTreeMap, BTreeSet};

use super::balancer::{Balancer, Listener, Maker};
use super::condition::conditions;
use super::{Action, Group, Health, Result, Rule, Target, unfit};
use crate::object::{Condition, Port};
use crate::settings::{Kind, TargetType};

impl Maker<'_> {
    pub(super) fn of_ports(&self) -> Result<Balancer> {
        let http = self.settings.kind == Kind::Alb;
        self.check_ports(http)?;
        let secured = self.secured()?;
        let mut balancer = self.bare(if http { "application" } else { "network" });
        for (number, ports) in by_number(&self.spec.ports) {
            let secure = secured.contains(&number);
            let protocol = protocol(number, &ports, http)?;
            let group = self.of_port(number, &ports, protocol)?;
            let name = self.add(&mut balancer, &key(number, &ports), group);
            let protocol = match (protocol, secure) {
                ("HTTP", true) => "HTTPS",
                ("TCP", true) => "TLS",
                (other, true) => {
                    return unfit(format!(
                        "port {number} is of {other}, of which AWS does not end TLS: name others in elb.gantry.dev/tls-ports"
                    ));
                }
                (protocol, false) => protocol,
            };
            let certificates = if secure { self.settings.certificates.clone() } else { Vec::new() };
            let (rules, default) = self.filtered(name)?;
            balancer.listeners.insert(number, Listener { protocol, certificates, default, rules });
        }
        Ok(balancer)
    }

    fn check_ports(&self, http: bool) -> Result<()> {
        let sources = self.spec.sources();
        if !http && !sources.is_empty() {
            return unfit(format!(
                "lets through only clients of {}: a network load balancer is told that by security groups alone; name some in \
                 the annotation elb.gantry.dev/security-groups and leave sourceRanges (of a Service \
                 loadBalancerSourceRanges) out, or set elb.gantry.dev/type: alb",
                sources.join(", ")
            ));
        }
        if http && self.sticks() {
            return unfit(
                "asks for session affinity by clients' addresses, which an application load balancer has not",
            );
        }
        if self.sticks() && !self.settings.certificates.is_empty() {
            return unfit(
                "asks for session affinity and for TLS, which a network load balancer does not have together",
            );
        }
        Ok(())
    }

    /// Ports at which TLS is spoken: those that are named, else all of TCP.
    pub fn secured(&self) -> Result<BTreeSet<u16>> {
        let named = &self.settings.tls_ports;
        if self.settings.certificates.is_empty() {
            return match named.is_empty() {
                true => Ok(BTreeSet::new()),
                false => unfit("elb.gantry.dev/tls-ports needs elb.gantry.dev/certificates"),
            };
        }
        let tcp = || self.spec.ports.iter().filter(|port| matches!(port.protocol.as_str(), "" | "TCP"));
        let is = |port: &Port, name: &String| *name == port.name || *name == port.port.to_string();
        if let Some(unknown) = named.iter().find(|name| !tcp().any(|port| is(port, name))) {
            return unfit(format!("elb.gantry.dev/tls-ports names {unknown}, which is no port of TCP here"));
        }
        let chosen: BTreeSet<u16> = tcp()
            .filter(|port| named.is_empty() || named.iter().any(|name| is(port, name)))
            .map(|port| port.port)
            .collect();
        match chosen.is_empty() {
            true => unfit("certificates are named, and no port is of TCP"),
            false => Ok(chosen),
        }
    }

    fn of_port(&self, number: u16, ports: &[&Port], protocol: &'static str) -> Result<Group> {
        let (target_type, targets) = self.targets(number, ports)?;
        Ok(Group {
            name: String::new(),
            protocol,
            version: (protocol == "HTTP").then_some("HTTP1"),
            port: targets.first().map_or(number, |target| target.port),
            target_type,
            health: Health::of_port(&self.settings.check, protocol == "HTTP")?,
            sticky: self.sticks(),
            targets,
        })
    }

    fn targets(&self, number: u16, ports: &[&Port]) -> Result<(&'static str, BTreeSet<Target>)> {
        let instance = self.settings.target_type == TargetType::Instance;
        if instance && ports.iter().any(|port| port.node_port == 0) {
            return unfit(format!("port {number} has no node port, at which instances could be reached"));
        }
        let of = |port: &Port| match instance {
            true => self.members.instances(self.spec, port),
            false => self.members.addresses(&self.spec.backends.selector, &port.name),
        };
        let mut all = ports.iter().map(|port| of(port));
        let first = all.next().unwrap_or_default();
        let both = all.fold(first.clone(), |both, other| both.intersection(&other).cloned().collect());
        if both.is_empty() && !first.is_empty() && ports.iter().all(|port| !of(port).is_empty()) {
            return unfit(format!(
                "port {number} leads to one port by TCP and to another by UDP, which a listener of AWS does not: give both \
                 the same {}",
                if instance { "nodePort" } else { "targetPort" }
            ));
        }
        Ok((if instance { "instance" } else { "ip" }, both))
    }

    /// All to a group, or only clients that are let through.
    fn filtered(&self, group: String) -> Result<(Vec<Rule>, Action)> {
        let sources = self.spec.sources().to_vec();
        if sources.is_empty() {
            return Ok((Vec::new(), Action::to(group)));
        }
        let all = conditions(&Condition { sources, ..Condition::default() })?;
        let rules = all.into_iter().map(|conditions| Rule { conditions, action: Action::to(group.clone()) }).collect();
        Ok((rules, Action::stranger()))
    }
}

fn by_number(ports: &[Port]) -> BTreeMap<u16, Vec<&Port>> {
    let mut all: BTreeMap<u16, Vec<&Port>> = BTreeMap::new();
    ports.iter().for_each(|port| all.entry(port.port).or_default().push(port));
    all
}

fn key(number: u16, ports: &[&Port]) -> String {
    let names: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
    format!("port {} {number}", names.join(" "))
}

/// Of a port's targets.
fn protocol(number: u16, ports: &[&Port], http: bool) -> Result<&'static str> {
    let mut spoken: Vec<&str> =
        ports.iter().map(|port| if port.protocol.is_empty() { "TCP" } else { port.protocol.as_str() }).collect();
    spoken.sort_unstable();
    match (spoken.as_slice(), http) {
        (["TCP"], true) => Ok("HTTP"),
        (["TCP"], false) => Ok("TCP"),
        (["UDP"], false) => Ok("UDP"),
        (["TCP", "UDP"], false) => Ok("TCP_UDP"),
        (other, http) => {
            let kind = if http { "an application" } else { "a network" };
            unfit(format!("port {number} is of {}, which {kind} load balancer does not serve", other.join(" and ")))
        }
    }
}
