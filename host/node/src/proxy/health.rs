//! Active health checks: every endpoint of a pool is asked every so often.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream;
use gantry_plugin::family::proxy::HealthCheck;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::clients::Clients;
use super::pool::{Endpoint, Pool};

/// Checks of one pool at once.
const AT_ONCE: usize = 32;
/// No check comes more often.
const SHORTEST: Duration = Duration::from_millis(10);

/// Answers in a row: good ones, or bad ones.
type Streak = (bool, u16);

/// Checks a pool for as long as it is there and the handle is.
pub fn start(pool: Weak<Pool>, check: HealthCheck, clients: Clients) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(run(pool, check, clients)))
}

async fn run(pool: Weak<Pool>, check: HealthCheck, clients: Clients) {
    let mut ticks = interval(Duration::from_millis(check.interval_ms.into()).max(SHORTEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut streaks: HashMap<SocketAddr, Streak> = HashMap::new();
    loop {
        ticks.tick().await;
        let Some(endpoints) = pool.upgrade().map(|pool| pool.endpoints()) else { return };
        streaks.retain(|address, _| endpoints.iter().any(|endpoint| endpoint.address == *address));
        let asked = stream::iter(endpoints).map(|endpoint| ask(endpoint, &check, &clients)).buffer_unordered(AT_ONCE);
        for (endpoint, good) in asked.collect::<Vec<_>>().await {
            let streak = streaks.entry(endpoint.address).or_insert((true, 0));
            *streak = if streak.0 == good { (good, streak.1.saturating_add(1)) } else { (good, 1) };
            let enough = if good { check.healthy_after } else { check.unhealthy_after }.max(1);
            if streak.1 == enough {
                endpoint.set_failing(!good);
                info!(endpoint = %endpoint.address, well = good, "by its health check");
            }
        }
    }
}

async fn ask(endpoint: Arc<Endpoint>, check: &HealthCheck, clients: &Clients) -> (Arc<Endpoint>, bool) {
    let mut address = endpoint.address;
    if check.port != 0 {
        address.set_port(check.port);
    }
    let patience = Duration::from_millis(check.timeout_ms.max(1).into());
    let good = match timeout(patience, clients.check(address, &check.path)).await {
        Ok(Ok(status)) if check.good.is_empty() => (200..400).contains(&status),
        Ok(Ok(status)) => check.good.iter().any(|(first, last)| (*first..=*last).contains(&status)),
        Ok(Err(_)) | Err(_) => false,
    };
    (endpoint, good)
}
