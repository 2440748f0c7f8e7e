//! The link that has the server's address.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use ipnet::IpNet;

use crate::network::Links;

/// Its name. A bridge that nothing is plugged into: the address is only ever met on the node, where pods' packets pass.
pub const LINK: &str = "gtd0";

/// Makes the link with this address, or finds it.
pub(super) async fn ensure(address: IpAddr, netns: Option<&Path>) -> io::Result<()> {
    let links = Links::open(netns).await?;
    links.ensure_bridge(LINK, 0, &[IpNet::from(address)]).await
}

/// Removes it if it is there: the node has no server any more.
pub async fn remove(netns: Option<&Path>) -> io::Result<()> {
    Links::open(netns).await?.delete(LINK).await
}
