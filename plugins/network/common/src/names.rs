//! Names of links, from names of sandboxes.

use std::hash::Hasher;

use fnv::FnvHasher;

/// What every link of this plugin begins with.
pub const PREFIX: &str = "gtr";

/// The node's end of a sandbox's veth pair: 15 bytes, the same every time. Two sandboxes of one node share a name with a
/// probability of about one in 10^12.
pub fn node_end(sandbox: &str) -> String {
    // FNV: the same on every machine and in every version.
    let mut hasher = FnvHasher::default();
    hasher.write(sandbox.as_bytes());
    format!("{PREFIX}{:012x}", hasher.finish() >> 16)
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
