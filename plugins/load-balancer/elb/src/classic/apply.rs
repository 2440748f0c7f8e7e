//! The requests that bring what there is to what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use gantry_sdk::{Error, Result};

use super::answers::Created;
use super::found::{Balancer, Found};
use super::wanted::{Classic, Listener};
use crate::apply::{With, gone, taken};
use crate::aws::Params;

/// Makes and changes what must be, then removes what must not be any more. Gives the name at which it is reached.
pub fn apply(with: &With<'_>, wanted: &Classic, found: &Found) -> Result<String> {
    if found.taken.contains(&wanted.name) {
        return Err(taken(&wanted.name));
    }
    let of = || Params::default().set("LoadBalancerName", &wanted.name);
    let hostname = match found.balancers.get(&wanted.name) {
        Some(known) => {
            places(with, &of, wanted, known)?;
            listeners(with, &of, wanted, known)?;
            if known.is.health_check != wanted.check {
                with.client.act("ConfigureHealthCheck", &checked(of(), wanted))?;
            }
            instances(with, &of, wanted, known.instances.keys().cloned().collect())?;
            known.is.dns_name.clone()
        }
        None => {
            let made = create(with, of(), wanted)?;
            with.client.act("ConfigureHealthCheck", &checked(of(), wanted))?;
            instances(with, &of, wanted, BTreeSet::new())?;
            made
        }
    };
    let over = found.balancers.iter().filter(|(name, _)| **name != wanted.name);
    over.map(|(_, balancer)| balancer).try_for_each(|balancer| delete(with, balancer))?;
    Ok(hostname)
}

/// Removes everything of a Frontend. Listeners go with their load balancer, and nothing else uses it.
pub fn remove(with: &With<'_>, found: &Found) -> Result<()> {
    found.balancers.values().try_for_each(|balancer| delete(with, balancer))
}

/// Everything that lets somebody in.
pub fn close(with: &With<'_>, found: &Found) -> Result<()> {
    for (name, balancer) in &found.balancers {
        let ports: Vec<u16> =
            balancer.is.listener_descriptions.iter().map(|one| one.listener.load_balancer_port).collect();
        if !ports.is_empty() {
            let of = Params::default().set("LoadBalancerName", name).list("LoadBalancerPorts", ports);
            gone(with.client.act("DeleteLoadBalancerListeners", &of))?;
        }
    }
    Ok(())
}

fn delete(with: &With<'_>, balancer: &Balancer) -> Result<()> {
    let of = Params::default().set("LoadBalancerName", &balancer.is.load_balancer_name);
    gone(with.client.act("DeleteLoadBalancer", &of))
}

fn create(with: &With<'_>, of: Params, wanted: &Classic) -> Result<String> {
    let params = of
        .each("Listeners", &wanted.listeners, |params, at, (port, listener)| said(params, at, *port, listener))
        .list("Subnets", &wanted.subnets)
        .list("SecurityGroups", &wanted.security_groups)
        // AWS knows no word for the other one.
        .set_some("Scheme", (wanted.scheme == "internal").then_some("internal"))
        .tags(&with.owner.tags());
    let made: Created = with.client.ask("CreateLoadBalancer", &params)?;
    match made.dns_name.is_empty() {
        true => Err(Error::unavailable("CreateLoadBalancer: the answer says not where the load balancer is reached")),
        false => Ok(made.dns_name),
    }
}

fn said(params: Params, at: &str, port: u16, listener: &Listener) -> Params {
    params
        .set(format!("{at}.Protocol"), listener.protocol())
        .set(format!("{at}.LoadBalancerPort"), port)
        .set(format!("{at}.InstanceProtocol"), "TCP")
        .set(format!("{at}.InstancePort"), listener.instance_port)
        .set_some(&format!("{at}.SSLCertificateId"), listener.certificate.as_ref())
}

/// Subnets and security groups.
fn places(with: &With<'_>, of: &dyn Fn() -> Params, wanted: &Classic, known: &Balancer) -> Result<()> {
    let subnets: BTreeSet<String> = known.is.subnets.iter().cloned().collect();
    let come: Vec<&String> = wanted.subnets.difference(&subnets).collect();
    if !come.is_empty() {
        with.client.act("AttachLoadBalancerToSubnets", &of().list("Subnets", come))?;
    }
    let go: Vec<&String> = subnets.difference(&wanted.subnets).collect();
    if !go.is_empty() {
        with.client.act("DetachLoadBalancerFromSubnets", &of().list("Subnets", go))?;
    }
    let groups: BTreeSet<String> = known.is.security_groups.iter().cloned().collect();
    if !wanted.security_groups.is_empty() && groups != wanted.security_groups {
        let groups = of().list("SecurityGroups", &wanted.security_groups);
        with.client.act("ApplySecurityGroupsToLoadBalancer", &groups)?;
    }
    Ok(())
}

/// Of a listener only its certificate can be changed. Those that nobody made here go too: nothing tells them apart.
fn listeners(with: &With<'_>, of: &dyn Fn() -> Params, wanted: &Classic, known: &Balancer) -> Result<()> {
    let known: BTreeMap<u16, (Listener, &str)> = known
        .is
        .listener_descriptions
        .iter()
        .map(|one| &one.listener)
        .map(|one| {
            let certificate = one.certificate.clone().filter(|certificate| !certificate.is_empty());
            let listener = Listener { instance_port: one.instance_port, certificate };
            (one.load_balancer_port, (listener, one.protocol.as_str()))
        })
        .collect();
    let same = |port: &u16, listener: &Listener, protocol: &str| {
        wanted
            .listeners
            .get(port)
            .is_some_and(|wanted| wanted.instance_port == listener.instance_port && wanted.protocol() == protocol)
    };
    let over: Vec<u16> =
        known.iter().filter(|(port, (one, spoken))| !same(port, one, spoken)).map(|(port, _)| *port).collect();
    for port in &over {
        with.client.act("DeleteLoadBalancerListeners", &of().list("LoadBalancerPorts", [port]))?;
    }
    for (port, listener) in &wanted.listeners {
        match known.get(port).filter(|_| !over.contains(port)) {
            Some((known, _)) if known.certificate == listener.certificate => {}
            Some(_) => {
                let certificate =
                    of().set("LoadBalancerPort", port).set_some("SSLCertificateId", listener.certificate.as_ref());
                with.client.act("SetLoadBalancerListenerSSLCertificate", &certificate)?;
            }
            None => {
                let one = of().each("Listeners", [listener], |params, at, listener| said(params, at, *port, listener));
                with.client.act("CreateLoadBalancerListeners", &one)?;
            }
        }
    }
    Ok(())
}

fn checked(of: Params, wanted: &Classic) -> Params {
    of.set("HealthCheck.Target", &wanted.check.target)
        .set("HealthCheck.Interval", wanted.check.interval)
        .set("HealthCheck.Timeout", wanted.check.timeout)
        .set("HealthCheck.HealthyThreshold", wanted.check.healthy_threshold)
        .set("HealthCheck.UnhealthyThreshold", wanted.check.unhealthy_threshold)
}

/// Those that come before those that go: nobody is without a target meanwhile.
fn instances(with: &With<'_>, of: &dyn Fn() -> Params, wanted: &Classic, known: BTreeSet<String>) -> Result<()> {
    let come = ("RegisterInstancesWithLoadBalancer", wanted.instances.difference(&known));
    let go = ("DeregisterInstancesFromLoadBalancer", known.difference(&wanted.instances));
    for (action, instances) in [come, go] {
        let some: Vec<&String> = instances.collect();
        if !some.is_empty() {
            let named = of().each("Instances", some, |params, at, id| params.set(format!("{at}.InstanceId"), id));
            with.client.act(action, &named)?;
        }
    }
    Ok(())
}
