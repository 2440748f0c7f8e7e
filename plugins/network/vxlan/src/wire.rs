//! What packets look like outside.

use std::net::IpAddr;

use ipnet::IpNet;

/// Bytes that a packet grows by: the inner Ethernet header, VXLAN's, UDP's and that of the outer address family.
pub fn overhead(outside: IpAddr) -> u32 {
    14 + 8 + 8 + if outside.is_ipv4() { 20 } else { 40 }
}

/// Of a node's end, from its first pod range, so that nobody has to tell it.
pub fn mac(range: &IpNet) -> String {
    let [a, b, c, d] = match range.network() {
        IpAddr::V4(v4) => v4.octets(),
        // Ranges differ in their upper half.
        IpAddr::V6(v6) => {
            let [_, _, _, _, a, b, c, d, ..] = v6.octets();
            [a, b, c, d]
        }
    };
    format!("0a:59:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}
