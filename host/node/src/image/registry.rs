//! Asking a registry.

use std::error::Error as _;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError as Oci;
use oci_client::secrets::RegistryAuth;

use super::manifest::{DOCKER_LIST, DOCKER_MANIFEST, Descriptor, OCI_INDEX, OCI_MANIFEST};
use super::reference::Name;
use crate::runtime::Credentials;

const ACCEPT: [&str; 4] = [DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX];

/// One image's registry, with the credentials that worked.
pub struct Registry {
    client: oci_client::Client,
    name: Name,
    auth: RegistryAuth,
}

/// A manifest or an index, as the registry has it.
pub struct Raw {
    /// The very bytes.
    pub bytes: Bytes,
    /// Their digest.
    pub digest: String,
}

impl Registry {
    /// Gets an image's manifest or index with the first credentials that work, then with none.
    pub async fn open(name: &Name, credentials: &[Credentials], insecure: &[String]) -> Result<(Self, Raw), String> {
        let plain = name.is_loopback() || insecure.iter().any(|r| r == name.registry());
        let mut last = None;
        let basic = |c: &Credentials| RegistryAuth::Basic(c.username.clone(), c.password.clone());
        for auth in credentials.iter().map(basic).chain([RegistryAuth::Anonymous]) {
            // A client keeps the first credentials it gets: each try has its own.
            let client = client(name, plain)?;
            match client.pull_manifest_raw(name.reference(), &auth, &ACCEPT).await {
                Ok((bytes, digest)) => {
                    return Ok((Self { client, name: name.clone(), auth }, Raw { bytes, digest }));
                }
                Err(error) if is_refusal(&error) => {
                    // What the given credentials were told says more than what nobody is told.
                    last.get_or_insert(error);
                }
                Err(error) => return Err(say(&error)),
            }
        }
        Err(last.map(|e| say(&e)).unwrap_or_default())
    }

    /// Gets one of an index's manifests.
    pub async fn manifest(&self, digest: &str) -> Result<Raw, String> {
        let reference = self.name.with_digest(digest);
        let (bytes, digest) =
            self.client.pull_manifest_raw(&reference, &self.auth, &ACCEPT).await.map_err(|e| say(&e))?;
        Ok(Raw { bytes, digest })
    }

    /// Gets a blob. Its digest is checked on the way.
    pub async fn blob(
        &self,
        blob: &Descriptor,
    ) -> Result<impl Stream<Item = std::io::Result<Bytes>> + Send + Unpin + 'static, String> {
        let stream = self.client.pull_blob_stream(self.name.reference(), blob.digest.as_str()).await;
        Ok(stream.map_err(|e| say(&e))?.stream)
    }
}

fn client(name: &Name, plain: bool) -> Result<oci_client::Client, String> {
    let config = ClientConfig {
        protocol: match plain {
            true => ClientProtocol::HttpsExcept(vec![name.registry().to_owned()]),
            false => ClientProtocol::Https,
        },
        connect_timeout: Some(Duration::from_secs(20)),
        read_timeout: Some(Duration::from_secs(60)),
        ..ClientConfig::default()
    };
    oci_client::Client::try_from(config).map_err(|e| say(&e))
}

/// Other credentials may help. Registries hide what may not be seen behind all of these.
fn is_refusal(error: &Oci) -> bool {
    match error {
        Oci::AuthenticationFailure(_) | Oci::UnauthorizedError { .. } => true,
        Oci::ServerError { code, .. } => matches!(code, 401 | 403 | 404),
        Oci::RegistryError { .. } => true,
        _ => false,
    }
}

/// For a person: with causes, without Rust's names.
fn say(error: &Oci) -> String {
    match error {
        Oci::UnauthorizedError { url } => format!("{url}: 401 Unauthorized: authentication required"),
        Oci::AuthenticationFailure(reason) => format!("authentication failed: {}", reason.trim()),
        Oci::ServerError { code, url, message } => format!("{url}: {code}: {}", message.trim()),
        Oci::RegistryError { envelope, url } => {
            let said: Vec<String> = envelope.errors.iter().map(|e| format!("{:?}: {}", e.code, e.message)).collect();
            format!("{url}: {}", said.join("; "))
        }
        other => {
            let mut text = other.to_string();
            let mut source = other.source();
            // Transparent errors repeat their source's text.
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}
