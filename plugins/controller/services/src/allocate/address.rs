//! One virtual address.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use gantry_sdk::api::Resource;
use gantry_sdk::{Error, Result};
use ipnet::Ipv4Net;

use super::claims::{self, Taken};
use super::order::candidates;
use super::{Granted, Refusal};
use crate::object::{IpAddress, Service};
use crate::options::Options;

/// Addresses that others took between the look and the attempt, before the pass gives up.
const ATTEMPTS: usize = 64;

/// The address that the Service may name; `None`: it needs none.
pub fn settle(options: &Options, service: &Service, own: &BTreeSet<String>) -> Result<Granted<Option<String>>> {
    if service.is_name() || service.is_headless() {
        return Ok(Ok(None));
    }
    let range = options.service_range;
    let given = match service.spec.cluster_ip.as_str() {
        "" => service.spec.cluster_ips.first().map(String::as_str).unwrap_or_default(),
        given => given,
    };
    if !given.is_empty() {
        return honour(range, given, service, own);
    }
    // Claimed before a crash, and not named yet.
    if let Some(address) = own.iter().find(|name| usable(range, name).is_some()) {
        return Ok(Ok(Some(address.clone())));
    }
    pick(range, service)
}

fn honour(range: Ipv4Net, given: &str, service: &Service, own: &BTreeSet<String>) -> Result<Granted<Option<String>>> {
    let Some(address) = usable(range, given) else {
        let message = format!("clusterIP {given:?} is no usable address of the range {range}");
        return Ok(Err(Refusal::new("ClusterIPOutOfRange", message)));
    };
    let name = address.to_string();
    if own.contains(&name) {
        return Ok(Ok(Some(name)));
    }
    Ok(match claims::take::<IpAddress>(&name, service)? {
        Taken::Ours => Ok(Some(name)),
        Taken::By(owner) => Err(Refusal::new("ClusterIPTaken", format!("clusterIP {name} belongs to {owner}"))),
    })
}

fn pick(range: Ipv4Net, service: &Service) -> Result<Granted<Option<String>>> {
    let taken = claims::all::<IpAddress>()?;
    let mut lost = 0;
    for offset in offsets(range, service.uid()) {
        let name = at(range, offset).to_string();
        if taken.contains(&name) {
            continue;
        }
        match claims::take::<IpAddress>(&name, service)? {
            Taken::Ours => return Ok(Ok(Some(name))),
            Taken::By(_) => lost += 1,
        }
        if lost == ATTEMPTS {
            return Err(Error::conflict("others were always faster to take an address"));
        }
    }
    Ok(Err(Refusal::new("ClusterIPsExhausted", format!("every address of the range {range} is taken"))))
}

/// Without the first two (the network, and the one that the API is known by) and the last (broadcast).
fn offsets(range: Ipv4Net, seed: &str) -> impl Iterator<Item = u64> {
    let size = size(range).saturating_sub(3);
    candidates(size, (size / 16).clamp(16, 256), seed).map(|n| n + 2)
}

fn size(range: Ipv4Net) -> u64 {
    1 << (32 - u32::from(range.prefix_len()))
}

fn at(range: Ipv4Net, offset: u64) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(range.network()).wrapping_add(u32::try_from(offset).unwrap_or_default()))
}

fn usable(range: Ipv4Net, text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    (range.contains(&address) && address != range.network() && address != range.broadcast()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_used_up_to_its_last_address() {
        let range: Ipv4Net = "10.96.0.0/28".parse().unwrap();
        let all: BTreeSet<Ipv4Addr> = offsets(range, "x").map(|n| at(range, n)).collect();
        assert_eq!(all.len(), 13);
        assert!(all.iter().all(|a| usable(range, &a.to_string()).is_some()));
        for (text, fine) in
            [("10.96.0.0", false), ("10.96.0.1", true), ("10.96.0.15", false), ("10.97.0.1", false), ("x", false)]
        {
            assert_eq!(usable(range, text).is_some(), fine, "{text}");
        }
    }
}
