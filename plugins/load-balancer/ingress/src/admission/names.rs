//! Names, as Kubernetes has them. Each function says what is wrong, if anything.

use std::net::IpAddr;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and \
                         must start and end with an alphanumeric character";
const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character, of at most 63";
const WILDCARD: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must \
                        consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";

/// A name as objects have it.
pub fn misnamed(name: &str) -> Option<&'static str> {
    let fine = name.len() <= 253 && name.split('.').all(|part| is_label(part, usize::MAX));
    (!fine).then_some(SUBDOMAIN)
}

/// A host of a rule or a certificate: a name, or `*.` before one.
pub fn unhosted(host: &str) -> Option<&'static str> {
    if host.parse::<IpAddr>().is_ok() {
        return Some("must be a DNS name, not an IP address");
    }
    match host.strip_prefix("*.") {
        Some(parent) => misnamed(parent).map(|_| WILDCARD),
        None if host.contains('*') => Some(WILDCARD),
        None => misnamed(host),
    }
}

/// The name of a Service.
pub fn no_label(name: &str) -> Option<&'static str> {
    let fine = is_label(name, 63) && name.starts_with(|c: char| c.is_ascii_lowercase());
    (!fine).then_some(LABEL)
}

/// The name of a port.
pub fn no_port(name: &str) -> Option<&'static str> {
    match name {
        name if name.len() > 63 => Some("must be no more than 63 characters"),
        name if !is_label(name, 63) => Some(LABEL),
        _ => None,
    }
}

fn is_label(text: &str, most: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    !text.is_empty() && text.len() <= most && text.bytes().all(inner) && !text.starts_with('-') && !text.ends_with('-')
}
