//! What ports come to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::answers::Check;
use crate::object::Port;
use crate::settings;
use crate::wanted::{GOOD, INTERVAL, Maker, Result, TIMEOUT, times, unfit};

/// Failures in a row: more than elsewhere, as Kubernetes' own provider for AWS has it.
const BAD: u32 = 6;

/// A Classic load balancer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classic {
    /// Follows from what can't be changed about it.
    pub name: String,
    /// `internal` or `internet-facing`
    pub scheme: &'static str,
    /// Where it is.
    pub subnets: BTreeSet<String>,
    /// Empty: AWS's default.
    pub security_groups: BTreeSet<String>,
    /// By port.
    pub listeners: BTreeMap<u16, Listener>,
    /// How instances are asked.
    pub check: Check,
    /// Who serves.
    pub instances: BTreeSet<String>,
}

/// A listener. With a certificate it ends TLS; what comes to instances is TCP in any case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The node port.
    pub instance_port: u16,
    /// By its ARN.
    pub certificate: Option<String>,
}

impl Listener {
    /// `TCP` or `SSL`
    pub fn protocol(&self) -> &'static str {
        if self.certificate.is_some() { "SSL" } else { "TCP" }
    }
}

/// What the ports of a Frontend come to.
pub fn wanted(maker: &Maker<'_>) -> Result<Classic> {
    refuse(maker)?;
    let secured = maker.secured()?;
    let certificate = maker.settings.certificates.first();
    let mut listeners = BTreeMap::new();
    for port in &maker.spec.ports {
        let certificate = certificate.filter(|_| secured.contains(&port.port)).cloned();
        let listener = Listener { instance_port: port.node_port, certificate };
        if listeners.insert(port.port, listener).is_some() {
            return unfit(format!("port {} is there twice, which a Classic load balancer does not serve", port.port));
        }
    }
    let scheme = maker.scheme();
    let of = |port: &Port| maker.members.instances(maker.spec, port).into_iter().map(|target| target.id);
    Ok(Classic {
        name: maker.owner.name(&["balancer", "classic", scheme]),
        scheme,
        subnets: maker.settings.subnets.iter().cloned().collect(),
        security_groups: maker.settings.security_groups.iter().cloned().collect(),
        check: check(&maker.settings.check, listeners.values().next())?,
        listeners,
        instances: maker.spec.ports.iter().flat_map(of).collect(),
    })
}

fn refuse(maker: &Maker<'_>) -> Result<()> {
    if let Some(port) = maker.spec.ports.iter().find(|port| !matches!(port.protocol.as_str(), "" | "TCP")) {
        return unfit(format!(
            "port {} is of {}, which a Classic load balancer does not serve",
            port.port, port.protocol
        ));
    }
    if let Some(port) = maker.spec.ports.iter().find(|port| port.node_port == 0) {
        return unfit(format!("port {} has no node port, at which instances could be reached", port.port));
    }
    if !maker.spec.sources().is_empty() {
        return unfit(
            "lets through only some clients: a Classic load balancer is told that by security groups alone; name some in the \
             annotation elb.gantry.dev/security-groups and leave sourceRanges (of a Service loadBalancerSourceRanges) out",
        );
    }
    if maker.sticks() {
        return unfit("asks for session affinity by clients' addresses, which a Classic load balancer has not");
    }
    match maker.settings.certificates.len() {
        0 | 1 => Ok(()),
        n => unfit(format!("names {n} certificates, of which a Classic load balancer takes one")),
    }
}

/// AWS asks one port, also of several: the first one here.
fn check(given: &settings::Check, first: Option<&Listener>) -> Result<Check> {
    if given.codes.is_some() {
        return unfit("names status codes: for a Classic load balancer 200 alone is good");
    }
    let port = given.port.or(first.map(|first| first.instance_port)).unwrap_or_default();
    let (interval, timeout) = times(given.interval_seconds, given.timeout_seconds)?;
    Ok(Check {
        target: match &given.path {
            Some(path) => format!("HTTP:{port}{path}"),
            None => format!("TCP:{port}"),
        },
        interval: interval.unwrap_or(INTERVAL),
        timeout: timeout.unwrap_or(TIMEOUT),
        healthy_threshold: given.healthy.unwrap_or(GOOD),
        unhealthy_threshold: given.unhealthy.unwrap_or(BAD),
    })
}
