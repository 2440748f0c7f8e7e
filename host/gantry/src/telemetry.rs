//! The process's metrics, in Prometheus' text format.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use gantry_api::server::Metrics;
use gantry_node::proxy::apart::Keeper;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};

/// Upper bounds of latency histograms, in seconds.
const LATENCY: &[f64] = &[0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Histograms gather samples until somebody looks at them.
const UPKEEP: Duration = Duration::from_secs(5);

/// What this process counts, made anew at each call.
pub type Counted = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts counting.
pub fn start() -> Result<Counted> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), LATENCY)?
        .install_recorder()
        .context("can't start metrics")?;
    let upkeep = handle.clone();
    tokio::spawn(async move {
        let mut tick = tokio::time::interval(UPKEEP);
        loop {
            tick.tick().await;
            upkeep.run_upkeep();
        }
    });
    Ok(Arc::new(move || handle.render()))
}

/// `/metrics`: of this process, and of the node's proxy, which counts nothing that this process does.
pub fn metrics(counted: Counted, proxy: Option<Keeper>) -> Metrics {
    Arc::new(move || {
        let (counted, proxy) = (counted.clone(), proxy.clone());
        Box::pin(async move {
            let proxied = match &proxy {
                Some(proxy) => proxy.metrics().await,
                None => String::new(),
            };
            process();
            counted() + &proxied
        })
    })
}

/// What the kernel says of this process, under the names that Prometheus' own clients use.
fn process() {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let page = 4096.0;
    if let Some(resident) = statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<f64>().ok()) {
        metrics::gauge!("process_resident_memory_bytes").set(resident * page);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        metrics::gauge!("process_open_fds").set(files.count() as f64);
    }
}
