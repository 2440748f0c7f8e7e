//! Joining: from a token to a certificate of one's own, in steps that a crash can part anywhere.
//!
//! What is kept is written in this order: which server it is and its authority, then key and certificate in one file. As
//! long as the latter is not there, joining begins anew, with a new key: the request before is forgotten.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_node::cluster::remote::{self, Client};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use super::identity::{self, Current, Identity};
use super::pin::{self, Pinned};
use super::token::Token;
use super::{Access, tls};
use crate::files::write_private;

/// What is needed to join, or to come back.
pub struct Join<'a> {
    /// The agent's data directory.
    pub folder: &'a Path,
    /// The node's name.
    pub node: &'a str,
    /// The server's address, if it was given.
    pub server: Option<&'a str>,
    /// The token's file, if one was given.
    pub token: Option<&'a Path>,
}

/// The server that a node has joined.
#[derive(Serialize, Deserialize)]
struct Known {
    server: String,
    /// PEM
    authority: String,
}

impl Join<'_> {
    /// Access with a certificate of this node's own: the one there is, or, with a token, a new one. `belongs` says
    /// whether the folder may be used with an authority.
    pub async fn access(&self, belongs: impl Fn(&str) -> Result<()>) -> Result<(Access, Current)> {
        let known = self.known()?;
        let kept = Identity::load(&self.identity(), self.node)?;
        let (known, kept) = match (known, kept) {
            (Some(known), Some(kept)) if !kept.is_over() => (self.moved(known)?, kept),
            (known, kept) => self.join(known, kept.is_some(), &belongs).await?,
        };
        let authority = known.digest()?;
        belongs(&authority)?;
        let current = Current::new(self.identity(), self.node, kept)?;
        let tls = tls::current(known.authority.as_bytes(), Arc::new(current.clone()))?;
        Ok((Access { server: known.server, tls, authority }, current))
    }

    /// The server under the address that was given, if one was. A token of another control plane is a mistake.
    fn moved(&self, known: Known) -> Result<Known> {
        if let Some(file) = self.token {
            match Token::read(file) {
                Ok(token) if format!("sha256:{}", token.authority) != known.digest()? => bail!(
                    "{} belongs to another control plane than the token: `gantry clean --data-dir {0}`, delete the \
                     folder and join anew",
                    self.folder.display()
                ),
                // It was needed once, and may well be gone.
                _ => tracing::debug!("this node has a certificate already: the token is not used"),
            }
        }
        let Some(server) = self.server.filter(|server| *server != known.server) else { return Ok(known) };
        let known = Known { server: server.trim_end_matches('/').to_owned(), ..known };
        self.keep(&known)?;
        Ok(known)
    }

    async fn join(
        &self,
        known: Option<Known>,
        over: bool,
        belongs: &impl Fn(&str) -> Result<()>,
    ) -> Result<(Known, Identity)> {
        let why = if over { "this node's certificate has expired" } else { "this node has not joined yet" };
        let advice =
            || format!("{why}: give a token with --token FILE (`gantry token create` on the server makes one)");
        let token = Token::read(self.token.with_context(advice)?)?;
        let server = self.server.map(str::to_owned).or(known.map(|known| known.server));
        let server = server.with_context(|| format!("{why}: give the server's address with --server URL"))?;
        let server = server.trim_end_matches('/').to_owned();
        let pinned = Arc::new(Pinned::new(&token.authority, tls::provider()));
        let tls = tls::pinned(pinned.clone())?;
        let client = Client::new(remote::Options { server: server.clone(), tls, bearer: Some(token.bearer) })?;
        tracing::info!(node = self.node, server, "joining");
        let identity = identity::join(&client, self.node).await?;
        let authority = pinned.authority().context("the server has not shown its authority")?;
        let known = Known { server, authority: pem(&authority) };
        belongs(&known.digest()?)?;
        self.keep(&known)?;
        identity::save(&self.identity(), &identity)?;
        tracing::info!(node = self.node, "joined: this node has a certificate of its own");
        Ok((known, identity))
    }

    fn identity(&self) -> PathBuf {
        self.folder.join("identity.pem")
    }

    fn server_file(&self) -> PathBuf {
        self.folder.join("server.json")
    }

    fn known(&self) -> Result<Option<Known>> {
        let file = self.server_file();
        match std::fs::read(&file) {
            Ok(bytes) => {
                let known = serde_json::from_slice(&bytes);
                known.map(Some).with_context(|| format!("{} can't be used", file.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("can't read {}", file.display())),
        }
    }

    fn keep(&self, known: &Known) -> Result<()> {
        write_private(&self.server_file(), serde_json::to_vec(known)?)
    }
}

impl Known {
    fn digest(&self) -> Result<String> {
        let all = tls::certificates(self.authority.as_bytes())?;
        let one = all.first().context("the server's authority is missing")?;
        Ok(format!("sha256:{}", pin::digest(one)))
    }
}

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<&str> = text.as_bytes().chunks(64).filter_map(|line| std::str::from_utf8(line).ok()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_api::{NODES, Pki};
    use std::time::Duration;

    struct Folder {
        dir: tempfile::TempDir,
        pki: Pki,
    }

    impl Folder {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let pki = Pki::load_or_create(&dir.path().join("pki"), &[]).unwrap();
            Self { dir, pki }
        }

        fn join<'a>(&'a self, node: &'a str, token: Option<&'a Path>) -> Join<'a> {
            Join { folder: self.dir.path(), node, server: None, token }
        }

        fn joined(&self, life: Duration) {
            let known = Known { server: "https://127.0.0.1:1".into(), authority: self.pki.authority().into() };
            self.join("n1", None).keep(&known).unwrap();
            let (key, request) = gantry_api::pki::request("system:node:n1", NODES).unwrap();
            let wanted = gantry_api::pki::read_request(request.as_bytes()).unwrap();
            let certificate = self.pki.sign(&wanted, NODES, life).unwrap();
            std::fs::write(self.dir.path().join("identity.pem"), format!("{key}{certificate}")).unwrap();
        }

        async fn refused(&self, join: Join<'_>) -> String {
            format!("{:#}", join.access(|_| Ok(())).await.err().unwrap())
        }
    }

    #[tokio::test]
    async fn who_has_joined_needs_no_token() {
        let folder = Folder::new();
        folder.joined(Duration::from_secs(3600));
        let (access, _) = folder.join("n1", None).access(|_| Ok(())).await.unwrap();
        assert_eq!(access.server, "https://127.0.0.1:1");
        assert!(access.authority.starts_with("sha256:"));
        let moved = Join { server: Some("https://127.0.0.1:2/"), ..folder.join("n1", None) };
        assert_eq!(moved.access(|_| Ok(())).await.unwrap().0.server, "https://127.0.0.1:2");
        let other = folder.refused(folder.join("n2", None)).await;
        assert!(other.contains("certificate of system:node:n1"), "{other}");
    }

    #[tokio::test]
    async fn what_is_missing_is_said() {
        let folder = Folder::new();
        let why = folder.refused(folder.join("n1", None)).await;
        assert!(why.contains("not joined yet") && why.contains("gantry token create"), "{why}");
        let file = folder.dir.path().join("token");
        std::fs::write(&file, format!("abc123.0123456789abcdef sha256:{}", "0".repeat(64))).unwrap();
        let why = folder.refused(folder.join("n1", Some(&file))).await;
        assert!(why.contains("--server URL"), "{why}");
        folder.joined(Duration::ZERO);
        let why = folder.refused(folder.join("n1", None)).await;
        assert!(why.contains("has expired"), "{why}");
        folder.joined(Duration::from_secs(3600));
        let why = folder.refused(folder.join("n1", Some(&file))).await;
        assert!(why.contains("another control plane"), "{why}");
    }
}
