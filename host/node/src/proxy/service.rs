//! Listeners and pools by name, and the plans that change them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_objects::recorder::About;
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{KeptProxies, Listener, Pool as PlannedPool};
use tokio::sync::Semaphore;
use tokio_util::task::AbortOnDropHandle;

use super::access::AccessLog;
use super::certificates::Identity;
use super::clients::Clients;
use super::follow;
use super::listener::Bounds;
use super::pool::Pool;
use super::port::Port;
use super::secrets::{Name, Secrets, Vault};
use crate::network::NetError;

/// For a Secret that a new table names, before the table is used without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// Who is told when a listener can't do what objects want.
pub trait Tell: Send + Sync + 'static {
    /// A Warning about an object: a reason for programs, and words for people.
    fn warn(&self, about: &About, reason: &str, message: &str);
}

/// What is needed to start.
pub struct Options {
    /// Where certificates are.
    pub secrets: Arc<dyn Secrets>,
    /// Who hears of trouble.
    pub tell: Arc<dyn Tell>,
    /// What names without a certificate get.
    pub fallback: Identity,
    /// Connections at once, over all listeners.
    pub connections: usize,
    /// Where requests are noted, of listeners that want it.
    pub access: Option<AccessLog>,
}

/// Plugin and name.
type Key = (String, String);

/// A node's proxy: the listeners and pools that plugins plan. Cheap to clone; all clones are the same, and it ends with
/// the last, or when it is told to.
#[derive(Clone)]
pub struct Proxy {
    shared: Arc<Shared>,
    /// Brings certificates up to date.
    _following: Arc<AbortOnDropHandle<()>>,
}

pub(super) struct Shared {
    pub(super) vault: Vault,
    pub(super) tell: Arc<dyn Tell>,
    pub(super) fallback: Identity,
    pub(super) clients: Clients,
    pub(super) bounds: Bounds,
    pub(super) access: Option<AccessLog>,
    ports: Mutex<BTreeMap<Key, Arc<Port>>>,
    pools: Mutex<HashMap<Key, Arc<Pool>>>,
    /// Plans are applied one after the other.
    turn: tokio::sync::Mutex<()>,
}

/// Finds the objects that are to be told of a Frontend's trouble, by its id.
pub type Whom<'a> = dyn Fn(&str) -> Vec<About> + Send + Sync + 'a;

impl Proxy {
    /// Without any listener.
    pub fn start(options: Options) -> Self {
        let shared = Arc::new(Shared {
            vault: Vault::new(options.secrets),
            tell: options.tell,
            fallback: options.fallback,
            clients: Clients::new(),
            bounds: Bounds { places: Arc::new(Semaphore::new(options.connections)) },
            access: options.access,
            ports: Mutex::default(),
            pools: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        let following = tokio::spawn(follow::run(Arc::downgrade(&shared)));
        Self { shared, _following: Arc::new(AbortOnDropHandle::new(following)) }
    }

    /// Applies those operations of a checked plan that are for proxies, in order.
    pub async fn apply(&self, plugin: &str, plan: &[Operation], whom: &Whom<'_>) -> Result<(), NetError> {
        let _turn = self.shared.turn.lock().await;
        for operation in plan {
            match operation {
                Operation::EnsureListener(listener) => self.shared.listener(plugin, listener, whom).await,
                Operation::DeleteListener(name) => self.shared.keep_ports(|of, known| of != plugin || known != name),
                Operation::EnsurePool(pool) => self
                    .shared
                    .set_pool(plugin, pool)
                    .map_err(|why| NetError::Failed(format!("ensure-pool {}: {why}", pool.name)))?,
                Operation::DeletePool(name) => self.shared.keep_pools(|of, known| of != plugin || known != name),
                Operation::KeepProxies(kept) => self.shared.keep(plugin, kept),
                _ => {}
            }
        }
        Ok(())
    }

    /// Ends all listeners but those of these plugins.
    pub fn retain(&self, plugins: &[&str]) {
        self.shared.keep_ports(|plugin, _| plugins.contains(&plugin));
        self.shared.keep_pools(|plugin, _| plugins.contains(&plugin));
    }

    /// Whether it listens on nothing.
    pub fn is_idle(&self) -> bool {
        lock(&self.shared.ports).is_empty()
    }

    /// Ends all listeners; waits for what is under way, for a while.
    pub async fn stop(&self) {
        let ports = std::mem::take(&mut *lock(&self.shared.ports));
        futures::future::join_all(ports.values().map(|port| port.stopped())).await;
    }
}

impl Shared {
    async fn listener(&self, plugin: &str, planned: &Listener, whom: &Whom<'_>) {
        let key = (plugin.to_owned(), planned.name.clone());
        let known = lock(&self.ports).get(&key).cloned();
        let port = match known.filter(|port| port.serves(planned)) {
            Some(port) => port,
            None => {
                lock(&self.ports).remove(&key);
                Arc::new(Port::new(self, planned).await)
            }
        };
        port.certified_by(&planned.certificates, whom);
        self.fetch(&port.secrets()).await;
        port.certify(self);
        port.note(planned.access_log);
        port.route(&planned.rules, |name| self.pool(plugin, name));
        lock(&self.ports).insert(key, port.clone());
        port.told(planned.frontends.iter().flat_map(|id| whom(id)).collect(), &self.tell);
        self.vault.want(self.secrets());
    }

    /// Secrets that nobody has looked at yet: a name must not get the wrong certificate for that reason alone.
    async fn fetch(&self, names: &BTreeSet<Name>) {
        let unknown = names.iter().filter(|name| self.vault.known(name).is_none());
        let fetched = futures::future::join_all(unknown.map(|name| self.vault.fetch(name)));
        // What does not come now comes with the changes.
        let _ = tokio::time::timeout(PATIENCE, fetched).await;
    }

    /// The pool of this name, with nobody in it if it was never planned.
    fn pool(&self, plugin: &str, name: &str) -> Arc<Pool> {
        let mut pools = lock(&self.pools);
        pools.entry((plugin.to_owned(), name.to_owned())).or_insert_with(|| Pool::empty(name)).clone()
    }

    fn set_pool(&self, plugin: &str, planned: &PlannedPool) -> Result<(), String> {
        self.pool(plugin, &planned.name).set(planned, &self.clients)
    }

    fn keep(&self, plugin: &str, kept: &KeptProxies) {
        let has = |names: &[String], name: &str| names.iter().any(|kept| kept == name);
        self.keep_ports(|of, name| of != plugin || has(&kept.listeners, name));
        self.keep_pools(|of, name| of != plugin || has(&kept.pools, name));
    }

    fn keep_ports(&self, stays: impl Fn(&str, &str) -> bool) {
        lock(&self.ports).retain(|(plugin, name), _| stays(plugin, name));
        self.vault.want(self.secrets());
    }

    fn keep_pools(&self, stays: impl Fn(&str, &str) -> bool) {
        lock(&self.pools).retain(|(plugin, name), _| stays(plugin, name));
    }

    pub(super) fn ports(&self) -> Vec<Arc<Port>> {
        lock(&self.ports).values().cloned().collect()
    }

    fn secrets(&self) -> BTreeSet<Name> {
        self.ports().iter().flat_map(|port| port.secrets()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
