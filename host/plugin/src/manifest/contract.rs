//! Which version of `gantry:plugin` a component speaks. wasmtime's own error would blame a type or a function and never
//! say that the versions differ, so this is looked at first.

use super::{Anatomy, Error};

/// The version of the package `gantry:plugin` that this host serves. Older patch versions of the same minor link too.
pub const CONTRACT: &str = "0.1.0";

const PACKAGE: &str = "gantry:plugin/";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    major: u64,
    minor: u64,
    patch: u64,
}

impl Version {
    /// Reads `1.2.3`; a pre-release or build part is allowed and does not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let core = text.split(['-', '+']).next()?;
        let mut parts = core.split('.').map(|part| part.parse::<u64>().ok());
        let version = Self { major: parts.next()??, minor: parts.next()??, patch: parts.next()?? };
        parts.next().is_none().then_some(version)
    }

    /// Whether a host of version `self` can run a guest of version `guest`.
    fn serves(self, guest: Self) -> bool {
        self.major == guest.major && self.minor == guest.minor && self.patch >= guest.patch
    }
}

pub(super) fn check(anatomy: &Anatomy) -> Result<(), Error> {
    let ours = Version::parse(CONTRACT);
    for name in anatomy.imports.iter().chain(&anatomy.exports) {
        let Some(rest) = name.strip_prefix(PACKAGE) else { continue };
        let theirs = rest.split_once('@').map_or("without a version", |(_, version)| version);
        let served = matches!((ours, Version::parse(theirs)), (Some(ours), Some(theirs)) if ours.serves(theirs));
        if !served {
            return Err(Error::Contract { theirs: theirs.to_owned(), ours: CONTRACT });
        }
    }
    Ok(())
}

/// Who exports this is a dialect, with `gantry:plugin/api` or without.
const HANDLER: &str = "wasi:http/incoming-handler@0.2.";

/// The interfaces of the contract that the component exports: `controller`.
pub(super) fn exported(anatomy: &Anatomy) -> Vec<String> {
    let names = anatomy.exports.iter().filter_map(|name| match name.strip_prefix(PACKAGE) {
        Some(rest) => Some(rest.split('@').next().unwrap_or(rest).to_owned()),
        None => name.starts_with(HANDLER).then(|| "api".to_owned()),
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_its_own_track() {
        let table = [
            ("0.1.0", "0.1.0", true),
            ("0.1.2", "0.1.1", true),
            ("0.1.0", "0.1.1", false),
            ("0.1.0", "0.2.0", false),
            ("0.2.0", "0.1.0", false),
            ("1.1.0", "0.1.0", false),
        ];
        for (host, guest, want) in table {
            let (h, g) = (Version::parse(host).unwrap(), Version::parse(guest).unwrap());
            assert_eq!(h.serves(g), want, "{host} serves {guest}");
        }
    }

    #[test]
    fn names_both_versions() {
        let anatomy = Anatomy { exports: vec!["gantry:plugin/sink@0.0.9".into()], ..Anatomy::default() };
        let error = check(&anatomy).unwrap_err().to_string();
        assert!(error.contains("0.0.9") && error.contains(CONTRACT), "{error}");
        let other = Anatomy { imports: vec!["wasi:io/streams@0.2.6".into()], ..Anatomy::default() };
        assert_eq!(check(&other), Ok(()));
    }
}
