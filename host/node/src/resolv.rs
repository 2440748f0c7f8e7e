//! resolv.conf: the machine's own, and that of pods.

use std::fmt;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

/// Where systemd-resolved says whom it asks itself, while the usual file names only its own address on loopback.
const BEHIND_STUB: &str = "/run/systemd/resolve/resolv.conf";

/// What such a file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolv {
    /// `nameserver`
    pub servers: Vec<String>,
    /// `search`
    pub searches: Vec<String>,
    /// `options`
    pub options: Vec<String>,
}

impl Resolv {
    /// The machine's, with the servers behind a stub in its place. A file that is not there says nothing.
    pub fn of_node(file: &Path) -> Self {
        Self::behind(file, Path::new(BEHIND_STUB))
    }

    fn behind(file: &Path, behind: &Path) -> Self {
        let read = |file: &Path| Self::parse(&fs::read_to_string(file).unwrap_or_default());
        let own = read(file);
        if own.servers.iter().any(|server| !is_loopback(server)) {
            return own;
        }
        let behind = read(behind);
        if behind.servers.iter().any(|server| !is_loopback(server)) { behind } else { own }
    }

    /// Reads its text. Lines that mean nothing here are passed over.
    pub fn parse(text: &str) -> Self {
        let mut all = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace().map(str::to_owned);
            match words.next().as_deref() {
                Some("nameserver") => all.servers.extend(words.next()),
                // The last of these counts.
                Some("search" | "domain") => all.searches = words.collect(),
                Some("options") => all.options.extend(words),
                _ => {}
            }
        }
        all
    }
}

/// Whether a server can be reached only from the machine itself.
pub fn is_loopback(server: &str) -> bool {
    server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Resolv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.searches.is_empty() {
            writeln!(f, "search {}", self.searches.join(" "))?;
        }
        for server in &self.servers {
            writeln!(f, "nameserver {server}")?;
        }
        if !self.options.is_empty() {
            writeln!(f, "options {}", self.options.join(" "))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read() {
        let text =
            "# by hand\nnameserver 192.0.2.1\nnameserver\nsearch a\nsearch b c\noptions edns0\noptions ndots:2\n";
        let read = Resolv::parse(text);
        assert_eq!(read.to_string(), "search b c\nnameserver 192.0.2.1\noptions edns0 ndots:2\n");
    }

    #[test]
    fn a_stub_is_looked_behind() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::write(&file, text).unwrap();
            file
        };
        let stub = write("stub", "nameserver 127.0.0.53\nsearch x\n");
        let real = write("real", "nameserver 192.0.2.1\n");
        let none = folder.path().join("none");
        assert_eq!(Resolv::behind(&stub, &real).servers, ["192.0.2.1"]);
        assert_eq!(Resolv::behind(&real, &stub).servers, ["192.0.2.1"]);
        assert_eq!(Resolv::behind(&stub, &none).servers, ["127.0.0.53"]);
        assert_eq!(Resolv::behind(&none, &none), Resolv::default());
    }
}
