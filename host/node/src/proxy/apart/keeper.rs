//! What the agent has of its proxy: it finds or starts it, and gives it plans.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_objects::recorder::About;
use gantry_plugin::family::network::{Operation, plan_family};
use gantry_plugin::family::proxy::Listener;
use tokio::time::Instant;
use tracing::info;

use super::link::Link;
use super::wire::Order;
use crate::logs::Notices;
use crate::network::NetError;
use crate::proxy::secrets::{Name, Secrets};
use crate::proxy::service::{Tell, Whom};

/// For a process that was just started.
const START: Duration = Duration::from_secs(10);
/// Between attempts to reach it.
const TRY: Duration = Duration::from_millis(20);
/// Between two starts.
const APART: Duration = Duration::from_secs(1);
/// For its metrics.
const METRICS: Duration = Duration::from_secs(2);

/// What is needed to keep a proxy.
pub struct KeeperOptions {
    /// Where it is reached.
    pub socket: PathBuf,
    /// Starts one that listens there.
    pub launch: Box<dyn Fn() -> io::Result<()> + Send + Sync>,
    /// Where certificates are.
    pub secrets: Arc<dyn Secrets>,
    /// Who hears of trouble.
    pub tell: Arc<dyn Tell>,
    /// Who hears of what becomes of the access log.
    pub notices: Notices,
}

/// What became of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in force.
    Done,
    /// The proxy has not been told of all that the plugin wants: a full plan must follow.
    TellAll,
}

/// Secrets that plans name, by plugin: the proxy gets no others.
pub type Named = Arc<Mutex<HashMap<String, BTreeSet<Name>>>>;

/// A node's proxy, as its agent sees it. Cheap to clone; all clones are the same. The proxy goes on when the last is dropped.
#[derive(Clone)]
pub struct Keeper {
    shared: Arc<Shared>,
}

struct Shared {
    options: KeeperOptions,
    held: tokio::sync::Mutex<Held>,
    /// Which one has all that a plugin wants.
    told: Mutex<HashMap<String, u64>>,
    named: Named,
}

/// How the proxy is reached.
#[derive(Default)]
struct Held {
    /// Which one it is, counted.
    serial: u64,
    link: Option<Arc<Link>>,
    launched: Option<Instant>,
}

impl Keeper {
    /// Nothing is looked for or started yet.
    pub fn new(options: KeeperOptions) -> Self {
        let (held, told, named) = Default::default();
        Self { shared: Arc::new(Shared { options, held, told, named }) }
    }

    /// Gives those operations of a checked plan that are for proxies to the proxy, which applies them in order. A full plan
    /// says all that the plugin wants.
    pub async fn apply(
        &self,
        plugin: &str,
        full: bool,
        plan: &[Operation],
        whom: &Whom<'_>,
    ) -> Result<Applied, NetError> {
        let plan: Vec<Operation> = plan.iter().filter(|o| plan_family(o) == "proxy").cloned().collect();
        if plan.is_empty() {
            if full {
                self.told().remove(plugin);
            }
            return Ok(Applied::Done);
        }
        self.name(plugin, full, &plan);
        let needed = listeners(&plan).next().is_some();
        let Some((serial, link)) = self.link(needed).await? else {
            // Where nobody listens nobody needs pools: with the first listener everything is said again. But if one was
            // told of listeners, it has just ended.
            let knew = self.told().remove(plugin).is_some();
            return Ok(if knew && !full { Applied::TellAll } else { Applied::Done });
        };
        if !full && self.told().get(plugin) != Some(&serial) {
            return Ok(Applied::TellAll);
        }
        let whom = whoms(&plan, whom);
        let order = |id| Order::Apply { id, plugin: plugin.to_owned(), plan, whom };
        match link.ask(order).await {
            None if full => return Err(NetError::Failed("the node's proxy has ended".to_owned())),
            None => return Ok(Applied::TellAll),
            Some(answer) => drop(answer.map_err(NetError::Failed)?),
        }
        if full {
            self.told().insert(plugin.to_owned(), serial);
        }
        Ok(Applied::Done)
    }

    /// Ends all listeners but those of these plugins.
    pub async fn retain(&self, plugins: &[&str]) -> Result<(), NetError> {
        let Some((_, link)) = self.link(false).await? else { return Ok(()) };
        let plugins = plugins.iter().map(|&name| name.to_owned()).collect();
        // One that is gone has none.
        let answer = link.ask(|id| Order::Retain { id, plugins }).await.unwrap_or_else(|| Ok(String::new()));
        answer.map(drop).map_err(NetError::Failed)
    }

    /// Until the proxy that has this plugin's listeners is gone; never, if none has.
    pub async fn lost(&self, plugin: &str) {
        let Some(told) = self.told().get(plugin).copied() else { return std::future::pending().await };
        let link = {
            let held = self.shared.held.lock().await;
            held.link.clone().filter(|_| told == held.serial)
        };
        if let Some(link) = link {
            link.over().await;
        }
    }

    /// What the proxy counts, in Prometheus' text format; empty if there is none.
    pub async fn metrics(&self) -> String {
        // While one is being started there is nothing to tell.
        let link = self.shared.held.try_lock().ok().and_then(|held| held.link.clone());
        let Some(link) = link.filter(|link| !link.is_over()) else { return String::new() };
        let asked = tokio::time::timeout(METRICS, link.ask(|id| Order::Metrics { id })).await;
        asked.ok().flatten().and_then(Result::ok).unwrap_or_default()
    }

    /// The proxy that runs; if there is none and one is needed, a new one.
    async fn link(&self, needed: bool) -> Result<Option<(u64, Arc<Link>)>, NetError> {
        let mut held = self.shared.held.lock().await;
        if let Some(link) = held.link.as_ref().filter(|link| !link.is_over()) {
            return Ok(Some((held.serial, link.clone())));
        }
        held.link = None;
        let found = match self.open().await {
            Ok(Some(link)) => Some(link),
            Ok(None) | Err(_) if needed => Some(self.launch(&mut held).await.map_err(unavailable)?),
            Ok(None) | Err(_) => None,
        };
        Ok(found.map(|link| {
            let link = Arc::new(link);
            held.serial = held.serial.wrapping_add(1);
            held.link = Some(link.clone());
            (held.serial, link)
        }))
    }

    async fn open(&self) -> io::Result<Option<Link>> {
        Link::open(&self.shared.options, self.shared.named.clone()).await
    }

    async fn launch(&self, held: &mut Held) -> io::Result<Link> {
        if let Some(last) = held.launched {
            // One that ends at once is not started without a pause.
            tokio::time::sleep_until(last + APART).await;
        }
        info!("starting the node's proxy");
        held.launched = Some(Instant::now());
        (self.shared.options.launch)()?;
        let reached = async {
            loop {
                if let Ok(Some(link)) = self.open().await {
                    return link;
                }
                tokio::time::sleep(TRY).await;
            }
        };
        tokio::time::timeout(START, reached).await.map_err(io::Error::from)
    }

    /// Notes which Secrets a plan names.
    fn name(&self, plugin: &str, full: bool, plan: &[Operation]) {
        let certificates = listeners(plan).flat_map(|listener| &listener.certificates);
        let names = certificates.map(|c| (c.namespace.clone(), c.secret.clone()));
        let mut named = self.shared.named.lock().unwrap_or_else(PoisonError::into_inner);
        let known = named.entry(plugin.to_owned()).or_default();
        if full {
            known.clear();
        }
        known.extend(names);
    }

    fn told(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.shared.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(error: io::Error) -> NetError {
    NetError::Unavailable(format!("the node's proxy can't be started: {error}"))
}

fn listeners(plan: &[Operation]) -> impl Iterator<Item = &Listener> {
    plan.iter().filter_map(|operation| match operation {
        Operation::EnsureListener(listener) => Some(listener),
        _ => None,
    })
}

/// Who is told of the Frontends in a plan.
fn whoms(plan: &[Operation], whom: &Whom<'_>) -> BTreeMap<String, Vec<About>> {
    let ids = listeners(plan).flat_map(|l| l.frontends.iter().chain(l.certificates.iter().map(|c| &c.frontend)));
    ids.map(|id| (id.clone(), whom(id))).collect()
}
