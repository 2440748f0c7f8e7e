//! Who an agent is: a key made on the node, and a certificate that the server's authority signs for it. Kept in one file,
//! so that a crash never leaves one without the other. A token is needed for the first one only; each later one is asked
//! for with the one before it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gantry_api::pki;
use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_node::cluster::remote::{Body, Client, Place};
use http::Method;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::CertifiedKey;
use serde_json::{Value, json};

use super::tls;
use crate::files;
use crate::identity::{SIGNER, node_user as user};

/// How often an answer to a request is looked for, and for how long.
const LOOK: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_secs(120);
/// Between tries while the server is away: to join, and to renew at least.
const RETRY: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(1);

/// A key with its certificate, both PEM.
#[derive(Clone)]
pub struct Identity {
    pem: String,
    pub from: SystemTime,
    pub until: SystemTime,
}

impl Identity {
    /// The one in the file, if there is one.
    pub fn load(file: &Path, node: &str) -> Result<Option<Self>> {
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("can't read {}", file.display())),
        };
        Self::of(text, node).map(Some).with_context(|| format!("{} can't be used", file.display()))
    }

    fn of(pem: String, node: &str) -> Result<Self> {
        let about = pki::describe(&pem).map_err(anyhow::Error::msg)?;
        if about.user != user(node) {
            bail!("it is the certificate of {}, but this is node {node:?}", about.user);
        }
        let identity = Self { pem, from: about.from, until: about.until };
        identity.certified()?;
        Ok(identity)
    }

    pub fn is_over(&self) -> bool {
        self.until <= SystemTime::now()
    }

    /// When about four fifths of its life are over; not the same moment for nodes that joined together.
    fn renewal(&self) -> SystemTime {
        let life = self.until.duration_since(self.from).unwrap_or_default();
        self.from + life.mul_f64(rand::random_range(0.75..0.85))
    }

    fn certified(&self) -> Result<Arc<CertifiedKey>> {
        let chain = tls::certificates(self.pem.as_bytes())?;
        let key = PrivateKeyDer::from_pem_slice(self.pem.as_bytes()).context("it holds no key")?;
        let key = tls::provider().key_provider.load_private_key(key).context("its key can't be used")?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().context("its key is not that of its certificate")?;
        Ok(Arc::new(certified))
    }
}

/// The identity in use: what connections that are made from now on show. Cheap to clone.
#[derive(Clone)]
pub struct Current {
    file: PathBuf,
    node: String,
    inner: Arc<RwLock<(Identity, Arc<CertifiedKey>)>>,
}

impl Current {
    /// To be kept in this file.
    pub fn new(file: PathBuf, node: &str, identity: Identity) -> Result<Self> {
        let certified = identity.certified()?;
        Ok(Self { file, node: node.to_owned(), inner: Arc::new(RwLock::new((identity, certified))) })
    }

    fn identity(&self) -> Identity {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Renews it again and again. `client` shows it.
    pub async fn keep(self, client: Client) {
        loop {
            let due = self.identity().renewal().duration_since(SystemTime::now()).unwrap_or_default();
            tokio::time::sleep(due).await;
            // At times the clock of a machine is set: what counts is what it says now.
            let left = self.identity().until.duration_since(SystemTime::now()).unwrap_or_default();
            match self.renew(&client).await {
                Ok(()) => tracing::info!("renewed this node's certificate"),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), ?left, "can't renew this node's certificate");
                    tokio::time::sleep((left / 20).clamp(AGAIN, Duration::from_secs(600))).await;
                }
            }
        }
    }

    async fn renew(&self, client: &Client) -> Result<()> {
        let identity = request(client, &self.node).await?;
        save(&self.file, &identity)?;
        let certified = identity.certified()?;
        *self.inner.write().unwrap_or_else(PoisonError::into_inner) = (identity, certified);
        Ok(())
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Current({})", self.node)
    }
}

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.inner.read().unwrap_or_else(PoisonError::into_inner).1.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub fn save(file: &Path, identity: &Identity) -> Result<()> {
    files::write_private(file, &identity.pem)
}

/// Gets a first certificate. Waits for a server that is away; a refusal is final.
pub async fn join(client: &Client, node: &str) -> Result<Identity> {
    loop {
        match request(client, node).await {
            Err(error) if is_away(&error) => tracing::warn!(error = format!("{error:#}"), "waiting for the server"),
            other => return other.context("can't join"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn is_away(error: &anyhow::Error) -> bool {
    let status = error.downcast_ref::<Status>();
    status.is_some_and(|s| matches!(s.reason, Reason::ServiceUnavailable | Reason::Timeout | Reason::TooManyRequests))
}

/// Makes a key and asks for a certificate for it.
async fn request(client: &Client, node: &str) -> Result<Identity> {
    let (key, request) = pki::request(&user(node), gantry_api::NODES)?;
    let all = || Place::list("certificates.k8s.io", "v1", "", "certificatesigningrequests");
    let object = json!({
        "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"generateName": "node-"},
        "spec": {
            "request": STANDARD.encode(request), "signerName": SIGNER,
            "usages": ["digital signature", "client auth"],
        },
    });
    let made = client.ask(Method::POST, &all()?, &[], Body::Object(object)).await?;
    let name = made.pointer("/metadata/name").and_then(Value::as_str).context("a request without a name")?.to_owned();
    let place = all()?.object(&name)?;
    let answer = async {
        loop {
            let now = client.ask(Method::GET, &place, &[], Body::None).await?;
            if let Some(certificate) = verdict(&name, &now)? {
                return Ok::<_, anyhow::Error>(certificate);
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let certificate = tokio::time::timeout(PATIENCE, answer).await;
    let certificate = certificate.with_context(|| format!("nobody answers CertificateSigningRequest {name}"))??;
    Identity::of(format!("{key}{certificate}"), node).context("the certificate that the server gave can't be used")
}

/// The certificate, once it is there.
fn verdict(name: &str, request: &Value) -> Result<Option<String>> {
    let conditions = request.pointer("/status/conditions").and_then(Value::as_array).into_iter().flatten();
    let text =
        |condition: &Value, field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    for condition in conditions {
        if matches!(text(condition, "type").as_str(), "Denied" | "Failed") {
            bail!("the server refuses CertificateSigningRequest {name}: {}", text(condition, "message"));
        }
    }
    let Some(encoded) = request.pointer("/status/certificate").and_then(Value::as_str) else { return Ok(None) };
    let pem = STANDARD.decode(encoded).context("the certificate is not base64")?;
    Ok(Some(String::from_utf8(pem).context("the certificate is not PEM")?))
}
