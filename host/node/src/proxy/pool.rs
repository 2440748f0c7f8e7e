//! Endpoints that serve the same, and who of them is next.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use gantry_plugin::family::proxy::{Balance, HttpVersion, Manner, Pool as Planned};
use metrics::Counter;
use tokio_util::task::AbortOnDropHandle;

use super::clients::Clients;
use super::health;

/// For so long an endpoint that could not be reached is asked only when there is no other.
const SHUNNED: Duration = Duration::from_secs(2);

/// Since when milliseconds are counted here.
static BEGUN: LazyLock<Instant> = LazyLock::new(Instant::now);

fn now() -> u64 {
    u64::try_from(BEGUN.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// One address.
pub struct Endpoint {
    pub address: SocketAddr,
    /// Requests under way.
    active: AtomicUsize,
    /// By its health check.
    failing: AtomicBool,
    shunned_until: AtomicU64,
}

impl Endpoint {
    fn new(address: SocketAddr) -> Self {
        let (active, failing) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { address, active, failing, shunned_until: AtomicU64::new(0) }
    }

    /// It could not be reached.
    pub fn shun(&self) {
        let until = now().saturating_add(u64::try_from(SHUNNED.as_millis()).unwrap_or_default());
        self.shunned_until.store(until, Ordering::Relaxed);
    }

    /// What its health check says.
    pub fn set_failing(&self, failing: bool) {
        self.failing.store(failing, Ordering::Relaxed);
    }

    fn is_well(&self) -> bool {
        !self.failing.load(Ordering::Relaxed) && self.shunned_until.load(Ordering::Relaxed) <= now()
    }
}

/// A request that an endpoint has. It counts until this is dropped.
pub struct Lease(Arc<Endpoint>);

impl Lease {
    pub fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Who is there now, and how they are spoken to.
struct Members {
    manner: Manner,
    endpoints: Vec<Arc<Endpoint>>,
}

/// A named set of endpoints. Its members change; rules keep it as it is.
pub struct Pool {
    pub unreachable: Counter,
    members: ArcSwap<Members>,
    next: AtomicUsize,
    check: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Pool {
    /// With nobody in it.
    pub fn empty(name: &str) -> Arc<Self> {
        let manner =
            Manner { version: HttpVersion::Http1, balance: Balance::RoundRobin, health_check: None, timeout_ms: 0 };
        Arc::new(Self {
            unreachable: metrics::counter!("gantry_proxy_unreachable_total", "pool" => name.to_owned()),
            members: ArcSwap::from_pointee(Members { manner, endpoints: Vec::new() }),
            next: AtomicUsize::new(0),
            check: Mutex::new(None),
        })
    }

    /// These from now on. Those that stay keep what is known of them.
    pub fn set(self: &Arc<Self>, planned: &Planned, clients: &Clients) -> Result<(), String> {
        let before = self.members.load_full();
        let endpoint = |text: &String| {
            let address: SocketAddr = text.parse().map_err(|_| format!("{text:?} is no address with a port"))?;
            let known = before.endpoints.iter().find(|known| known.address == address).cloned();
            Ok(known.unwrap_or_else(|| Arc::new(Endpoint::new(address))))
        };
        let endpoints = planned.endpoints.iter().map(endpoint).collect::<Result<Vec<_>, String>>()?;
        let manner = planned.manner.clone();
        let rechecked = same_check(&before.manner, &manner);
        self.members.store(Arc::new(Members { manner: manner.clone(), endpoints }));
        if !rechecked {
            let check = manner.health_check.map(|check| health::start(Arc::downgrade(self), check, clients.clone()));
            *self.check.lock().unwrap_or_else(PoisonError::into_inner) = check;
        }
        Ok(())
    }

    /// All that are there now.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.members.load().endpoints.clone()
    }

    /// How they are spoken to: HTTP/2 or not, and how long the head of an answer may take.
    pub fn manner(&self) -> (HttpVersion, Option<Duration>) {
        let members = self.members.load();
        let timeout = members.manner.timeout_ms;
        (members.manner.version, (timeout > 0).then(|| Duration::from_millis(timeout.into())))
    }

    /// Who is next, but for those that were tried. Somebody who is not well is better than nobody.
    pub fn pick(&self, tried: &[SocketAddr]) -> Option<Lease> {
        let members = self.members.load();
        let all = &members.endpoints;
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let from = |n: usize| all.get((turn.wrapping_add(n)) % all.len().max(1));
        let in_turn = || (0..all.len()).filter_map(from).filter(|e| !tried.contains(&e.address));
        let found = match members.manner.balance {
            Balance::RoundRobin => in_turn().find(|endpoint| endpoint.is_well()),
            Balance::LeastRequest => {
                in_turn().filter(|e| e.is_well()).min_by_key(|endpoint| endpoint.active.load(Ordering::Relaxed))
            }
        };
        let endpoint = found.or_else(|| in_turn().next())?.clone();
        endpoint.active.fetch_add(1, Ordering::Relaxed);
        Some(Lease(endpoint))
    }
}

/// Whether the check that runs is the one that is wanted.
fn same_check(a: &Manner, b: &Manner) -> bool {
    let parts = |manner: &Manner| {
        manner.health_check.as_ref().map(|check| {
            let times = (check.interval_ms, check.timeout_ms, check.healthy_after, check.unhealthy_after);
            (check.path.clone(), check.port, times, check.good.clone())
        })
    };
    parts(a) == parts(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(balance: Balance, ports: &[u16]) -> Arc<Pool> {
        let pool = Pool::empty("p");
        set(&pool, balance, ports);
        pool
    }

    fn set(pool: &Arc<Pool>, balance: Balance, ports: &[u16]) {
        let manner = Manner { version: HttpVersion::Http1, balance, health_check: None, timeout_ms: 0 };
        let endpoints = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        pool.set(&Planned { name: "p".into(), manner, endpoints }, &Clients::new()).unwrap();
    }

    fn port(lease: &Lease) -> u16 {
        lease.endpoint().address.port()
    }

    #[tokio::test]
    async fn each_in_turn() {
        let pool = pool(Balance::RoundRobin, &[1, 2, 3]);
        let ports: Vec<u16> = (0..6).map(|_| port(&pool.pick(&[]).unwrap())).collect();
        assert_eq!(ports, [1, 2, 3, 1, 2, 3]);
        let tried = ["127.0.0.1:1".parse().unwrap(), "127.0.0.1:2".parse().unwrap()];
        assert!((0..4).all(|_| port(&pool.pick(&tried).unwrap()) == 3));
        set(&pool, Balance::RoundRobin, &[]);
        assert!(pool.pick(&[]).is_none());
    }

    #[tokio::test]
    async fn whoever_has_the_fewest() {
        let pool = pool(Balance::LeastRequest, &[1, 2]);
        let first = pool.pick(&[]).unwrap();
        let other = pool.pick(&[]).unwrap();
        assert_ne!(port(&first), port(&other));
        let free = port(&other);
        drop(other);
        assert!((0..4).all(|_| port(&pool.pick(&[]).unwrap()) == free));
        // Those that stay keep their requests.
        set(&pool, Balance::LeastRequest, &[2, 1, 3]);
        let next = pool.pick(&[]).unwrap();
        assert_ne!(port(&next), port(&first));
    }

    #[tokio::test]
    async fn who_is_not_well_is_asked_last() {
        let pool = pool(Balance::RoundRobin, &[1, 2]);
        pool.endpoints().first().unwrap().shun();
        assert!((0..4).all(|_| port(&pool.pick(&[]).unwrap()) == 2));
        pool.endpoints().last().unwrap().set_failing(true);
        assert!(pool.pick(&[]).is_some());
    }
}
