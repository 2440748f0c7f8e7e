//! One listener: its port, table and certificates, and whom it tells when it lacks one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use gantry_objects::recorder::About;
use gantry_plugin::family::proxy::{Certificate, Listener, Rule};
use rustls::ServerConfig;
use rustls::crypto::ring;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::answer::Door;
use super::certificates::Certificates;
use super::listener::{self, Bounds};
use super::pool::Pool;
use super::secrets::Name;
use super::service::{Shared, Tell, Whom};
use super::table::Table;
use super::visit::Meter;
use crate::pauses::Pauses;

/// Between attempts to get a port: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// A certificate that is wanted, and whom it concerns.
struct Wanted {
    hosts: Vec<String>,
    secret: Name,
    about: Vec<About>,
}

/// Who wants the port, and why it is not had.
#[derive(Default)]
struct Taken {
    about: Vec<About>,
    why: Option<String>,
    tell: Option<Arc<dyn Tell>>,
}

impl Taken {
    fn say(&self, about: &About) {
        if let (Some(why), Some(tell)) = (&self.why, &self.tell) {
            tell.warn(about, "PortUnavailable", why);
        }
    }
}

/// A listener. When it is dropped nothing new is accepted, and what is under way ends by itself.
pub struct Port {
    door: Arc<Door>,
    certificates: Arc<Certificates>,
    wanted: Mutex<Vec<Wanted>>,
    /// By Secret and object: what was said.
    troubles: Mutex<BTreeMap<(Name, String), String>>,
    taken: Arc<Mutex<Taken>>,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Port {
    /// Listens at once if it can, and else as soon as it can.
    pub(super) async fn new(shared: &Shared, planned: &Listener) -> Self {
        let first = listener::bind_soon(planned.port).await;
        let door = Arc::new(Door {
            port: planned.port,
            tls: planned.tls,
            table: ArcSwap::from_pointee(Table::default()),
            clients: shared.clients.clone(),
            meter: Arc::new(Meter::new(&planned.name, planned.tls, shared.access.clone())),
        });
        let certificates = Arc::new(Certificates::new(&shared.fallback));
        let (taken, stop) = (Arc::default(), CancellationToken::new());
        Self {
            door,
            certificates,
            wanted: Mutex::default(),
            troubles: Mutex::default(),
            taken,
            stop,
            task: Mutex::default(),
        }
        .begun(first, &shared.bounds)
    }

    fn begun(self, first: io::Result<TcpListener>, bounds: &Bounds) -> Self {
        let acceptor = match self.door.tls.then(|| acceptor(&self.certificates)).transpose() {
            Ok(acceptor) => acceptor,
            Err(error) => {
                error!(%error, "TLS can't be had here");
                return self;
            }
        };
        let (door, bounds) = (self.door.clone(), bounds.clone());
        let (taken, stop) = (self.taken.clone(), self.stop.clone());
        if let Err(error) = &first {
            lock(&taken).why = Some(why(door.port, error));
        }
        *lock(&self.task) = Some(tokio::spawn(async move {
            let Some(listener) = insist(first, door.port, &taken, &stop).await else { return };
            info!(port = door.port, tls = door.tls, "the proxy listens");
            listener::run(listener, door, acceptor, bounds, stop).await;
        }));
        self
    }

    /// Whether it is the same port in the same way.
    pub(super) fn serves(&self, planned: &Listener) -> bool {
        (self.door.port, self.door.tls) == (planned.port, planned.tls)
    }

    /// Whether requests are noted in the access log.
    pub(super) fn note(&self, noted: bool) {
        self.door.meter.note(noted);
    }

    /// Another table, at once.
    pub(super) fn route(&self, rules: &[Rule], pool: impl FnMut(&str) -> Arc<Pool>) {
        self.door.table.store(Arc::new(Table::new(rules, pool)));
    }

    /// Which Secrets certificates come from.
    pub(super) fn certified_by(&self, planned: &[Certificate], whom: &Whom<'_>) {
        let wanted = planned.iter().map(|certificate| Wanted {
            hosts: certificate.hosts.clone(),
            secret: (certificate.namespace.clone(), certificate.secret.clone()),
            about: whom(&certificate.frontend),
        });
        *lock(&self.wanted) = wanted.collect();
    }

    pub(super) fn secrets(&self) -> BTreeSet<Name> {
        lock(&self.wanted).iter().map(|wanted| wanted.secret.clone()).collect()
    }

    /// Takes the certificates as they are known now. Trouble is told once to each object.
    pub(super) fn certify(&self, shared: &Shared) {
        let wanted = lock(&self.wanted);
        let (mut held, mut troubles) = (Vec::new(), BTreeMap::new());
        let mut said = lock(&self.troubles);
        for one in wanted.iter() {
            let Some(known) = shared.vault.known(&one.secret) else { continue };
            held.extend(known.identity.map(|identity| (one.hosts.as_slice(), identity)));
            let Some(trouble) = known.trouble else { continue };
            for about in &one.about {
                let key = (one.secret.clone(), format!("{}/{}/{}", about.kind, about.namespace, about.name));
                if said.get(&key) != Some(&trouble.message) {
                    shared.tell.warn(about, trouble.reason, &trouble.message);
                }
                troubles.insert(key, trouble.message.clone());
            }
        }
        *said = troubles;
        self.certificates.set(held.iter().map(|(hosts, identity)| (*hosts, identity)));
    }

    /// These hear of it when the port can't be had.
    pub(super) fn told(&self, about: Vec<About>, tell: &Arc<dyn Tell>) {
        let mut taken = lock(&self.taken);
        taken.tell = Some(tell.clone());
        about.iter().filter(|about| !taken.about.contains(about)).for_each(|about| taken.say(about));
        taken.about = about;
    }

    /// Ends it, and waits for what is under way.
    pub(super) async fn stopped(&self) {
        self.stop.cancel();
        let task = lock(&self.task).take();
        if let Some(task) = task {
            // It ended badly only if the process does too.
            let _ = task.await;
        }
    }
}

/// Tries until the port is had.
async fn insist(
    first: io::Result<TcpListener>,
    port: u16,
    taken: &Mutex<Taken>,
    stop: &CancellationToken,
) -> Option<TcpListener> {
    let (mut attempt, mut pauses) = (first, Pauses::between(PAUSES.0, PAUSES.1));
    loop {
        match attempt {
            Ok(listener) => {
                lock(taken).why = None;
                return Some(listener);
            }
            Err(error) => {
                let text = why(port, &error);
                let mut taken = lock(taken);
                if taken.why.as_ref() != Some(&text) {
                    warn!(port, %error, "a proxy can't listen");
                    taken.why = Some(text);
                    taken.about.iter().for_each(|about| taken.say(about));
                }
            }
        }
        tokio::select! {
            () = stop.cancelled() => return None,
            () = pauses.wait() => {}
        }
        attempt = listener::bind(port);
    }
}

fn why(port: u16, error: &io::Error) -> String {
    format!("port {port} of the node can't be listened on: {error}; it is tried again for as long as it is wanted")
}

fn acceptor(certificates: &Arc<Certificates>) -> Result<TlsAcceptor, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(certificates.clone());
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
