//! Which host port leads to which sandbox.

use std::collections::HashMap;
use std::net::IpAddr;

use gantry_sdk::network::{PortMapping, Protocol};
use gantry_sdk::{Error, Result};

/// A port of the node. Without an address it is the port of all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Port {
    /// Lower case, as nftables writes it.
    pub protocol: &'static str,
    /// Of the node.
    pub address: Option<IpAddr>,
    /// On the node.
    pub number: u16,
}

impl Port {
    /// Of a mapping; refuses a host address that is none.
    pub fn of(mapping: &PortMapping) -> Result<Self> {
        let address = match mapping.host_ip.as_str() {
            "" => None,
            text => {
                let address: IpAddr = text.parse().map_err(|_| {
                    Error::invalid(format!("host address {text:?} of port {} is no address", mapping.host_port))
                })?;
                (!address.is_unspecified()).then_some(address)
            }
        };
        let protocol = match mapping.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        Ok(Self { protocol, address, number: mapping.host_port })
    }
}

/// Every host port in use.
#[derive(Clone, Debug, Default)]
pub struct Ports {
    owners: HashMap<Port, String>,
}

impl Ports {
    /// Takes the ports for a sandbox, all or none.
    pub fn take(&mut self, sandbox: &str, mappings: &[PortMapping]) -> Result<()> {
        let ports: Vec<Port> = mappings.iter().map(Port::of).collect::<Result<_>>()?;
        for port in &ports {
            if let Some(owner) = self.owner(port).filter(|owner| *owner != sandbox) {
                return Err(Error::exhausted(format!(
                    "host port {}/{} is in use by sandbox {owner}",
                    port.number, port.protocol
                )));
            }
        }
        self.owners.extend(ports.into_iter().map(|port| (port, sandbox.to_owned())));
        Ok(())
    }

    /// Gives a sandbox's ports back.
    pub fn release(&mut self, sandbox: &str) {
        self.owners.retain(|_, owner| owner != sandbox);
    }

    /// Whose a port is.
    pub fn owner(&self, port: &Port) -> Option<&str> {
        self.owners.get(port).map(String::as_str)
    }
}
