//! Addresses of the link itself (169.254.0.0/16) at which pods ask a dialect, on whatever node they are.

use std::fmt;
use std::net::SocketAddrV4;

use serde::Deserialize;

/// What a manifest or a bundle says of such addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Locals {
    /// `*`, only in manifests: those that the bundle names, since only the operator knows what else is on the nodes.
    Named,
    /// Just this one, `169.254.170.2:80`.
    One(SocketAddrV4),
}

impl TryFrom<String> for Locals {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Named);
        }
        let wrong = || format!("{text:?} is no address with a port such as 169.254.170.2:80");
        let address: SocketAddrV4 = text.parse().map_err(|_| wrong())?;
        if address.port() == 0 {
            return Err(wrong());
        }
        // Anything else could be somebody's, whom pods then would not reach any more. Of these the first and the last 256 are
        // reserved (RFC 3927).
        let [_, _, third, _] = address.ip().octets();
        match address.ip().is_link_local() && (1..=254).contains(&third) {
            true => Ok(Self::One(address)),
            false => Err(format!("{text}: pods ask at link-local addresses only, 169.254.1.0 to 169.254.254.255")),
        }
    }
}

impl fmt::Display for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named => f.write_str("*"),
            Self::One(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_link_local() {
        for text in ["169.254.170.2:80", "169.254.1.0:8080", "*"] {
            assert_eq!(Locals::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for (text, want) in [
            ("169.254.170.2", "no address with a port"),
            ("169.254.170.2:0", "no address with a port"),
            ("[fe80::1]:80", "no address with a port"),
            ("10.0.0.1:80", "link-local addresses only"),
            ("127.0.0.1:80", "link-local addresses only"),
            ("0.0.0.0:80", "link-local addresses only"),
            ("169.254.0.1:80", "link-local addresses only"),
            ("169.254.255.255:80", "link-local addresses only"),
        ] {
            let error = Locals::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(want), "{error:?} does not say {want:?}");
        }
    }
}
