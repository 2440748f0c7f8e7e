//! The links that have the addresses.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};

use crate::network::Links;

const PREFIX: &str = "gtl";

/// The link of an address: one each, so that nodes on one machine that answer at different addresses have nothing in
/// common. A bridge that nothing is plugged into: the address is only ever met on the node, where pods' packets pass.
pub fn link(address: Ipv4Addr) -> String {
    let [_, _, third, fourth] = address.octets();
    format!("{PREFIX}{third:02x}{fourth:02x}")
}

/// Whether a link of this name is one of these.
pub fn is_link(name: &str) -> bool {
    name.strip_prefix(PREFIX).is_some_and(|rest| rest.len() == 4 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Makes the link with its address, or finds it.
pub(super) async fn ensure(address: Ipv4Addr, netns: Option<&Path>) -> io::Result<()> {
    let links = Links::open(netns).await?;
    links.ensure_bridge(&link(address), 0, &[IpNet::V4(Ipv4Net::from(address))]).await
}

/// Removes a link if it is there: nobody answers at its address any more.
pub async fn remove_link(name: &str, netns: Option<&Path>) -> io::Result<()> {
    Links::open(netns).await?.delete(name).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_named_by_their_addresses() {
        assert_eq!(link(Ipv4Addr::new(169, 254, 170, 2)), "gtlaa02");
        for (name, want) in
            [("gtlaa02", true), ("gtlaa0", false), ("gtd0", false), ("gtlzz02", false), ("gtlaa021", false)]
        {
            assert_eq!(is_link(name), want, "{name}");
        }
    }
}
