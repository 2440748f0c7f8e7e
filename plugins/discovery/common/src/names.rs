//! Names: those that users write, and those of addresses.

use std::net::IpAddr;

use ipnet::IpNet;

/// The longest name and the longest part of one, in bytes (RFC 1035).
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;
/// Below which the names of addresses are.
pub const REVERSE: [&str; 2] = ["in-addr.arpa", "ip6.arpa"];

/// A name in lower case without its last dot; `None`: it is none.
pub fn plain(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name).to_lowercase();
    (name.len() <= LONGEST && name.split('.').all(fits)).then_some(name)
}

/// One part of a name, in lower case; `None`: it is none.
pub fn label(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    fits(&text).then_some(text)
}

fn fits(label: &str) -> bool {
    let sound = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    !label.is_empty() && label.len() <= LONGEST_LABEL && label.bytes().all(sound)
}

/// `4.3.2.10.in-addr.arpa`
pub fn reverse(address: IpAddr) -> String {
    let (parts, below) = parts(address);
    join(&parts, below)
}

/// The zones that have the names of a range's addresses, and no others: several where its prefix ends within a part.
pub fn reverse_zones(range: IpNet) -> Vec<String> {
    let bits = if range.addr().is_ipv4() { 8 } else { 4 };
    let whole = range.prefix_len().div_ceil(bits) * bits;
    let subnets = range.subnets(whole).into_iter().flatten();
    let zones = subnets.map(|net| {
        let (parts, below) = parts(net.network());
        let skip = parts.len().saturating_sub(usize::from(whole / bits));
        join(parts.get(skip..).unwrap_or_default(), below)
    });
    zones.collect()
}

fn join(parts: &[String], below: &str) -> String {
    let mut name = parts.join(".");
    if !name.is_empty() {
        name.push('.');
    }
    name + below
}

/// The last part first.
fn parts(address: IpAddr) -> (Vec<String>, &'static str) {
    let [v4, v6] = REVERSE;
    match address {
        IpAddr::V4(address) => (address.octets().iter().rev().map(u8::to_string).collect(), v4),
        IpAddr::V6(address) => {
            let octets = address.octets().into_iter().rev();
            (octets.flat_map(|octet| [octet & 15, octet >> 4]).map(|nibble| format!("{nibble:x}")).collect(), v6)
        }
    }
}

/// What an endpoint without a name of its own is called: its address, with hyphens.
pub fn dashed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string().replace('.', "-"),
        IpAddr::V6(address) => address.segments().map(|segment| format!("{segment:x}")).join("-"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_names() {
        assert_eq!(reverse("10.64.0.7".parse().unwrap()), "7.0.64.10.in-addr.arpa");
        let six = "8.b.d.0.1.0.0.2.ip6.arpa";
        assert!(
            reverse("2001:db8::1".parse().unwrap()).starts_with("1.0.0.0.")
                && reverse("2001:db8::1".parse().unwrap()).ends_with(six)
        );
        assert_eq!(dashed("10.64.0.7".parse().unwrap()), "10-64-0-7");
        assert_eq!(dashed("2001:db8::1".parse().unwrap()), "2001-db8-0-0-0-0-0-1");
    }

    #[test]
    fn ranges_have_zones() {
        let zones = |range: &str| reverse_zones(range.parse().unwrap());
        assert_eq!(zones("10.64.0.0/16"), ["64.10.in-addr.arpa"]);
        assert_eq!(zones("10.64.0.0/15"), ["64.10.in-addr.arpa", "65.10.in-addr.arpa"]);
        assert_eq!(zones("10.64.3.0/24"), ["3.64.10.in-addr.arpa"]);
        assert_eq!(zones("0.0.0.0/0"), ["in-addr.arpa"]);
        assert_eq!(zones("fd00:1::/32"), ["1.0.0.0.0.0.d.f.ip6.arpa"]);
        assert_eq!(zones("10.64.0.0/17").len(), 128);
    }

    #[test]
    fn names_are_what_dns_takes() {
        assert_eq!(plain("Example.COM.").as_deref(), Some("example.com"));
        for bad in ["", ".", "a..b", "a b.c", "-".repeat(64).as_str(), &"a.".repeat(130)] {
            assert_eq!(plain(bad), None, "{bad:?}");
        }
        assert_eq!(label("Web").as_deref(), Some("web"));
        assert_eq!(label("a.b"), None);
    }
}
