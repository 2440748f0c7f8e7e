//! Host ports: who may share a node.

use gantry_sdk::api::PodSpec;

/// A port of a node that a pod takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    port: u16,
    protocol: String,
    /// Empty: every address.
    address: String,
}

impl HostPort {
    /// Those that a pod takes, its sidecars included.
    pub fn of(spec: &PodSpec) -> Vec<Self> {
        let sidecars = spec.init_containers.iter().filter(|c| c.restart_policy == "Always");
        let ports = spec.containers.iter().chain(sidecars).flat_map(|container| &container.ports);
        ports.filter(|port| port.host_port != 0).map(HostPort::from_api).collect()
    }

    fn from_api(port: &gantry_sdk::api::ContainerPort) -> Self {
        let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
        let everywhere = matches!(port.host_ip.as_str(), "0.0.0.0" | "::");
        let address = if everywhere { String::new() } else { port.host_ip.clone() };
        HostPort { port: port.host_port, protocol: protocol.to_string(), address }
    }

    fn conflicts(&self, other: &HostPort) -> bool {
        let same_address = self.address.is_empty() || other.address.is_empty() || self.address == other.address;
        self.port == other.port && self.protocol == other.protocol && same_address
    }
}

/// The ports taken on a node. A list: nearly always short.
#[derive(Clone, Debug, Default)]
pub struct Taken(Vec<(HostPort, i64)>);

impl Taken {
    /// `count` pods with these ports came (or, negative, left).
    pub fn change(&mut self, ports: &[HostPort], count: i64) {
        for port in ports {
            match self.0.iter_mut().find(|(taken, _)| taken == port) {
                Some((_, pods)) => *pods += count,
                None => self.0.push((port.clone(), count)),
            }
        }
        self.0.retain(|(_, pods)| *pods > 0);
    }

    /// Is one of these ports taken?
    pub fn conflicts(&self, ports: &[HostPort]) -> bool {
        self.0.iter().any(|(taken, _)| ports.iter().any(|port| port.conflicts(taken)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(port: u16, protocol: &str, address: &str) -> HostPort {
        HostPort { port, protocol: protocol.into(), address: address.into() }
    }

    #[test]
    fn ports_conflict_on_the_same_protocol_and_a_common_address() {
        let mut taken = Taken::default();
        taken.change(&[port(80, "TCP", ""), port(53, "UDP", "10.0.0.1")], 1);
        for (asked, expected) in [
            (port(80, "TCP", ""), true),
            (port(80, "TCP", "10.0.0.1"), true),
            (port(80, "UDP", ""), false),
            (port(81, "TCP", ""), false),
            (port(53, "UDP", "10.0.0.1"), true),
            (port(53, "UDP", "10.0.0.2"), false),
            (port(53, "UDP", ""), true),
        ] {
            assert_eq!(taken.conflicts(std::slice::from_ref(&asked)), expected, "{asked:?}");
        }
        taken.change(&[port(80, "TCP", "")], -1);
        assert!(!taken.conflicts(&[port(80, "TCP", "")]));
    }
}
