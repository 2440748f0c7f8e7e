//! Names of images.

use std::net::IpAddr;

use oci_client::Reference;

/// A full name: registry, repository, and a digest or a tag. With both, the digest decides and the tag is dropped.
#[derive(Clone, Debug)]
pub struct Name {
    reference: Reference,
    full: String,
}

impl Name {
    /// Parses what a Pod says; `busybox` is `docker.io/library/busybox:latest`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed: Reference = text.parse().map_err(|e: oci_client::ParseError| e.to_string())?;
        let (registry, repository) = (parsed.registry().to_owned(), parsed.repository().to_owned());
        let reference = match (parsed.digest(), parsed.tag()) {
            (Some(digest), _) => Reference::with_digest(registry, repository, digest.to_owned()),
            (None, tag) => Reference::with_tag(registry, repository, tag.unwrap_or("latest").to_owned()),
        };
        let full = reference.whole();
        Ok(Self { reference, full })
    }

    /// The name of the image's record.
    pub fn full(&self) -> &str {
        &self.full
    }

    /// For the registry client.
    pub fn reference(&self) -> &Reference {
        &self.reference
    }

    /// The same repository by another digest.
    pub fn with_digest(&self, digest: &str) -> Reference {
        self.reference.clone_with_digest(digest.to_owned())
    }

    /// `host:port` that is asked.
    pub fn registry(&self) -> &str {
        self.reference.resolve_registry()
    }

    /// The registry is on this machine, where plain HTTP is safe.
    pub fn is_loopback(&self) -> bool {
        let registry = self.registry();
        let host = match registry.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => registry,
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for (text, full) in [
            ("busybox", "docker.io/library/busybox:latest".to_owned()),
            ("busybox:1.36", "docker.io/library/busybox:1.36".to_owned()),
            ("me/app", "docker.io/me/app:latest".to_owned()),
            ("gantry.local/web:1", "gantry.local/web:1".to_owned()),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest".to_owned()),
            (&format!("busybox:1@{digest}"), format!("docker.io/library/busybox@{digest}")),
        ] {
            assert_eq!(Name::parse(text).unwrap().full(), full, "{text}");
        }
        for text in ["", "busyBox", "a b", "x@sha256:12", ":tag", "https://x/y"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_told_from_elsewhere() {
        for (text, want) in [
            ("localhost:5000/x", true),
            ("127.0.0.1:5000/x", true),
            ("127.8.8.8/x", true),
            ("registry.example/x", false),
            ("10.0.0.1:5000/x", false),
            ("busybox", false),
        ] {
            assert_eq!(Name::parse(text).unwrap().is_loopback(), want, "{text}");
        }
    }
}
