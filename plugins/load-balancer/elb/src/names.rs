//! Names and tags: by which the plugin finds again what it made, and knows what it did not make.

use std::hash::Hasher;

use fnv::FnvHasher;

/// The tag that says which cluster a thing is of.
const CLUSTER: &str = "gantry.dev/cluster";
/// The tag that says which Frontend of it: `NAMESPACE/NAME`.
const FRONTEND: &str = "gantry.dev/frontend";

/// Whose a thing in AWS is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The cluster's name.
    pub cluster: String,
    /// `NAMESPACE/NAME`
    pub frontend: String,
}

/// Tags of a thing.
pub type Tags = Vec<(String, String)>;

impl Owner {
    /// Of a Frontend.
    pub fn new(cluster: &str, namespace: &str, name: &str) -> Self {
        Self { cluster: cluster.to_owned(), frontend: format!("{namespace}/{name}") }
    }

    /// What is put on everything that is made.
    pub fn tags(&self) -> Tags {
        vec![(CLUSTER.to_owned(), self.cluster.clone()), (FRONTEND.to_owned(), self.frontend.clone())]
    }

    /// Whether a thing with these tags was made for this Frontend.
    pub fn owns(&self, tags: &[(String, String)]) -> bool {
        self.tags().iter().all(|tag| tags.contains(tag))
    }

    /// Names of AWS have 32 letters, digits and hyphens. Two hashes fit: of whose a thing is, and of what can't be changed
    /// about it. One that must be another then has another name, and is made before the old one goes.
    pub fn name(&self, what: &[&str]) -> String {
        format!("{}{:08x}", self.stem(), hash(what) & 0xffff_ffff)
    }

    /// How all names of this Frontend's things begin.
    pub fn stem(&self) -> String {
        format!("gtr-{:012x}-", hash(&[&self.cluster, &self.frontend]) & 0xffff_ffff_ffff)
    }
}

fn hash(parts: &[&str]) -> u64 {
    let mut hasher = FnvHasher::default();
    for part in parts {
        hasher.write(part.as_bytes());
        // No text has it: `ab`, `c` is not `a`, `bc`.
        hasher.write_u8(0xff);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_what_they_are_for() {
        let owner = |cluster: &str, name: &str| Owner::new(cluster, "default", name);
        let name = owner("c", "web").name(&["network", "internal"]);
        assert_eq!(name, owner("c", "web").name(&["network", "internal"]));
        let others = [
            owner("d", "web").name(&["network", "internal"]),
            owner("c", "web2").name(&["network", "internal"]),
            owner("c", "web").name(&["network", "internet-facing"]),
            owner("c", "web").name(&["networki", "nternal"]),
        ];
        assert!(!others.contains(&name));
        for name in others.iter().chain([&name]) {
            assert!(name.len() <= 32 && !name.contains("--"), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{name}");
        }
    }

    #[test]
    fn only_both_tags_make_an_owner() {
        let owner = Owner::new("c", "default", "web");
        let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert!(owner.owns(&[owner.tags(), vec![tag("more", "")]].concat()));
        for other in [
            vec![],
            vec![tag(CLUSTER, "c")],
            vec![tag(FRONTEND, "default/web")],
            vec![tag(CLUSTER, "c2"), tag(FRONTEND, "default/web")],
        ] {
            assert!(!owner.owns(&other), "{other:?}");
        }
    }
}
