//! Which addresses are free, which are whose.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use gantry_sdk::{Error, Result};
use ipnet::IpNet;

/// The addresses of one range. The network's own address, the gateway (the first one) and, in IPv4, the broadcast address
/// are never given out.
#[derive(Clone, Debug)]
struct Range {
    net: IpNet,
    /// Offset of the last address given out.
    last: u128,
}

/// The addresses of a node.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    ranges: Vec<Range>,
    owners: BTreeMap<IpAddr, String>,
    of: HashMap<String, Vec<IpAddr>>,
}

impl Addresses {
    /// The node's ranges, the primary first.
    pub fn new(ranges: &[IpNet]) -> Result<Self> {
        for net in ranges {
            if host_count(net) < 4 {
                return Err(Error::invalid(format!("pod range {net} is too small: it has no address for a pod")));
            }
        }
        let ranges = ranges.iter().map(|net| Range { net: net.trunc(), last: 1 }).collect();
        Ok(Self { ranges, ..Self::default() })
    }

    /// An address that is in use already. One outside the ranges stays with its owner until it is released: the range
    /// may have changed since.
    pub fn restore(&mut self, address: IpAddr, sandbox: &str) {
        for range in &mut self.ranges {
            if let Some(offset) = offset(&range.net, address) {
                range.last = range.last.max(offset);
            }
        }
        if self.owners.insert(address, sandbox.to_owned()).is_none() {
            self.of.entry(sandbox.to_owned()).or_default().push(address);
        }
    }

    /// The sandbox's addresses, one per range; new ones if it has none.
    pub fn take(&mut self, sandbox: &str) -> Result<Vec<IpAddr>> {
        if let Some(held) = self.of.get(sandbox) {
            return Ok(held.clone());
        }
        let mut found = Vec::with_capacity(self.ranges.len());
        for range in &self.ranges {
            let free = next(range, &self.owners).ok_or_else(|| {
                Error::exhausted(format!(
                    "every address of pod range {} is in use: remove pods or widen the range",
                    range.net
                ))
            })?;
            found.push(free);
        }
        for (range, (offset, _)) in self.ranges.iter_mut().zip(&found) {
            range.last = *offset;
        }
        let addresses: Vec<IpAddr> = found.into_iter().map(|(_, address)| address).collect();
        for address in &addresses {
            self.owners.insert(*address, sandbox.to_owned());
        }
        self.of.insert(sandbox.to_owned(), addresses.clone());
        Ok(addresses)
    }

    /// Frees what a sandbox has.
    pub fn release(&mut self, sandbox: &str) -> Vec<IpAddr> {
        let freed = self.of.remove(sandbox).unwrap_or_default();
        for address in &freed {
            self.owners.remove(address);
        }
        freed
    }

    /// What a sandbox has.
    pub fn held(&self, sandbox: &str) -> &[IpAddr] {
        self.of.get(sandbox).map_or(&[], Vec::as_slice)
    }

    /// Everyone who has addresses.
    pub fn sandboxes(&self) -> Vec<String> {
        self.of.keys().cloned().collect()
    }

    /// The first address of the range that this one is of: the bridge's own.
    pub fn gateway(&self, address: IpAddr) -> Option<IpAddr> {
        let range = self.ranges.iter().find(|range| range.net.contains(&address))?;
        at(&range.net, 1)
    }

    /// The bridge's addresses with prefix lengths.
    pub fn gateways(&self) -> Vec<String> {
        self.ranges
            .iter()
            .filter_map(|range| Some(format!("{}/{}", at(&range.net, 1)?, range.net.prefix_len())))
            .collect()
    }

    /// The length of the prefix of an address's range.
    pub fn prefix_len(&self, address: IpAddr) -> Option<u8> {
        self.ranges.iter().find(|range| range.net.contains(&address)).map(|range| range.net.prefix_len())
    }
}

/// Addresses in a range, as far as they can be counted.
fn host_count(net: &IpNet) -> u128 {
    let bits = u32::from(net.max_prefix_len() - net.prefix_len());
    1_u128.checked_shl(bits).unwrap_or(u128::MAX)
}

/// The offset behind the last one that pods may have.
fn end(net: &IpNet) -> u128 {
    match net {
        IpNet::V4(_) => host_count(net) - 1,
        IpNet::V6(_) => host_count(net),
    }
}

fn at(net: &IpNet, offset: u128) -> Option<IpAddr> {
    match net {
        IpNet::V4(v4) => {
            let address = u32::from(v4.network()).checked_add(u32::try_from(offset).ok()?)?;
            Some(IpAddr::V4(address.into()))
        }
        IpNet::V6(v6) => Some(IpAddr::V6(u128::from(v6.network()).checked_add(offset)?.into())),
    }
}

fn offset(net: &IpNet, address: IpAddr) -> Option<u128> {
    match (net, address) {
        (IpNet::V4(net), IpAddr::V4(address)) if net.contains(&address) => {
            Some(u128::from(u32::from(address) - u32::from(net.network())))
        }
        (IpNet::V6(net), IpAddr::V6(address)) if net.contains(&address) => {
            Some(u128::from(address) - u128::from(net.network()))
        }
        _ => None,
    }
}

/// The next free address after the last one given out, round the end. No more are looked at than are in use, and one.
fn next(range: &Range, owners: &BTreeMap<IpAddr, String>) -> Option<(u128, IpAddr)> {
    let count = end(&range.net) - 2;
    let tries = count.min(owners.len() as u128 + 1);
    (0..tries).find_map(|step| {
        let offset = 2 + (range.last - 1 + step) % count;
        let address = at(&range.net, offset)?;
        (!owners.contains_key(&address)).then_some((offset, address))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn addresses(ranges: &[&str]) -> Addresses {
        Addresses::new(&ranges.iter().map(|r| r.parse().unwrap()).collect::<Vec<_>>()).unwrap()
    }

    #[test]
    fn every_address_is_given_out_once_and_the_last_released_comes_last() {
        let mut all = addresses(&["10.0.0.0/29"]);
        let given: Vec<String> = (0..5).map(|n| all.take(&format!("s{n}")).unwrap()[0].to_string()).collect();
        assert_eq!(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        let error = all.take("s5").unwrap_err();
        assert!(error.message.contains("10.0.0.0/29"), "{}", error.message);
        all.release("s4");
        all.release("s1");
        assert_eq!(all.take("s6").unwrap()[0].to_string(), "10.0.0.3");
        assert_eq!(all.take("s7").unwrap()[0].to_string(), "10.0.0.6");
        assert_eq!(all.take("s6").unwrap()[0].to_string(), "10.0.0.3", "the same again");
        assert_eq!(all.gateways(), ["10.0.0.1/29"]);
    }

    #[test]
    fn both_families_get_an_address() {
        let mut all = addresses(&["10.0.0.0/24", "fd00::/64"]);
        let got: Vec<String> = all.take("a").unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(got, ["10.0.0.2", "fd00::2"]);
        assert_eq!(all.gateway("fd00::2".parse().unwrap()).unwrap().to_string(), "fd00::1");
    }

    #[test]
    fn ranges_without_room_are_refused() {
        for small in ["10.0.0.0/31", "10.0.0.0/32", "fd00::/127"] {
            assert!(Addresses::new(&[small.parse().unwrap()]).is_err(), "{small}");
        }
    }

    proptest! {
        #[test]
        fn no_address_is_ever_in_use_twice(steps in proptest::collection::vec((any::<bool>(), 0..20_u8, any::<bool>()), 1..200)) {
            let mut all = addresses(&["10.0.0.0/28"]);
            let mut model: HashMap<String, IpAddr> = HashMap::new();
            for (take, sandbox, restart) in steps {
                let sandbox = format!("s{sandbox}");
                if restart {
                    all = addresses(&["10.0.0.0/28"]);
                    for (sandbox, address) in &model {
                        all.restore(*address, sandbox);
                    }
                }
                if take {
                    match all.take(&sandbox) {
                        Ok(got) => { model.insert(sandbox, got[0]); }
                        Err(_) => prop_assert_eq!(model.len(), 13, "only a full range refuses"),
                    }
                } else {
                    let freed = all.release(&sandbox);
                    prop_assert_eq!(freed.first().copied(), model.remove(&sandbox));
                }
                let used: HashSet<&IpAddr> = model.values().collect();
                prop_assert_eq!(used.len(), model.len());
            }
        }
    }
}
