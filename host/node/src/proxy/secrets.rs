//! Secrets with certificates: fetched and followed for as long as a listener names them. They stay in here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gantry_model::Status;
use serde_json::Value;
use tokio::sync::watch;

use super::certificates::Identity;
use crate::cluster::{Cluster, Source, SourceFeed, Wanted};

/// Namespace and name.
pub type Name = (String, String);

/// Where Secrets are.
#[async_trait]
pub trait Secrets: Send + Sync + 'static {
    /// Changes, at least of those wanted.
    fn changes(&self, wanted: Wanted) -> Box<dyn SourceFeed>;

    /// One as it is now; `None` when there is none.
    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status>;
}

/// Those of a cluster.
pub struct OfCluster(pub Arc<dyn Cluster>);

#[async_trait]
impl Secrets for OfCluster {
    fn changes(&self, wanted: Wanted) -> Box<dyn SourceFeed> {
        self.0.changes(Source::Secret, wanted)
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        let found = self.0.source(Source::Secret, namespace, name).await?;
        Ok(found.map(|record| Value::clone(&record.value())))
    }
}

/// Why a Secret gives no certificate: a reason for programs, and words for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub reason: &'static str,
    pub message: String,
}

/// What is known of a Secret. One that was good and is not any more keeps its last certificate, until it is gone.
#[derive(Clone, Default)]
pub struct Known {
    pub identity: Option<Identity>,
    pub trouble: Option<Trouble>,
}

/// Secrets that listeners name.
pub struct Vault {
    secrets: Arc<dyn Secrets>,
    known: Mutex<BTreeMap<Name, Known>>,
    wanted: watch::Sender<Arc<BTreeSet<Name>>>,
}

impl Vault {
    /// Nothing is wanted yet.
    pub fn new(secrets: Arc<dyn Secrets>) -> Self {
        Self { secrets, known: Mutex::default(), wanted: watch::Sender::new(Arc::default()) }
    }

    /// Changes of those that are wanted.
    pub fn changes(&self) -> Box<dyn SourceFeed> {
        self.secrets.changes(self.wanted.subscribe())
    }

    /// These are wanted from now on, and no others.
    pub fn want(&self, names: BTreeSet<Name>) {
        self.lock().retain(|name, _| names.contains(name));
        self.wanted.send_if_modified(|wanted| {
            let changed = **wanted != names;
            *wanted = Arc::new(names);
            changed
        });
    }

    /// All that are wanted.
    pub fn wanted(&self) -> Arc<BTreeSet<Name>> {
        self.wanted.borrow().clone()
    }

    /// What is known of one; `None`: it was not fetched yet.
    pub fn known(&self, name: &Name) -> Option<Known> {
        self.lock().get(name).cloned()
    }

    /// Fetches one anew.
    pub async fn fetch(&self, name: &Name) -> Result<(), Status> {
        let (namespace, secret) = name;
        let found = self.secrets.get(namespace, secret).await?;
        let read = match &found {
            Some(object) => read(object).map_err(|why| Trouble {
                reason: "InvalidTLSSecret",
                message: format!("Secret {namespace}/{secret}: {why}"),
            }),
            None => Err(Trouble {
                reason: "TLSSecretNotFound",
                message: format!(
                    "Secret {namespace}/{secret} is not there: names that it is for get no certificate of their own"
                ),
            }),
        };
        let mut all = self.lock();
        let known = all.entry(name.clone()).or_default();
        match read {
            Ok(identity) => *known = Known { identity: Some(identity), trouble: None },
            Err(trouble) => {
                known.identity = known.identity.take().filter(|_| found.is_some());
                known.trouble = Some(trouble);
            }
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Name, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(secret: &Value) -> Result<Identity, String> {
    let part = |name: &str| {
        let text = secret.pointer(&format!("/data/{name}")).and_then(Value::as_str);
        let text = text.ok_or_else(|| format!("it has no {name}"))?;
        STANDARD.decode(text).map_err(|_| format!("its {name} is no base64"))
    };
    Identity::from_pem(&part("tls.crt")?, &part("tls.key")?)
}
