//! Names of links, from names of sandboxes.

/// What every link of this plugin begins with.
pub const PREFIX: &str = "gtr";

/// The node's end of a sandbox's veth pair: 15 bytes, the same every time. Two sandboxes of one node share a name with a
/// probability of about one in 10^12.
pub fn node_end(sandbox: &str) -> String {
    // FNV-1a, 64 bits: small, and the same on every machine and in every version.
    let hash = sandbox
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{PREFIX}{:012x}", hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_fit_the_kernel_and_differ() {
        let names: HashSet<String> = (0..10_000).map(|n| node_end(&format!("sandbox-{n}"))).collect();
        assert_eq!(names.len(), 10_000);
        assert!(names.iter().all(|name| name.len() == 15 && name.starts_with(PREFIX)));
        assert_eq!(node_end("a"), node_end("a"));
    }
}
