//! Reads and durable writes: ConfigMaps of 1.4 KB over TLS, by a growing number of clients.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Bench, progress};
use crate::client::Connection;
use crate::host::Host;
use crate::machine::Meter;
use crate::report::{Busy, Section, Table};
use crate::stats::{Series, short};

pub const TITLE: &str = "Reads and durable writes";

const CLIENTS: [usize; 3] = [1, 16, 64];
/// ConfigMaps that are read.
const STORED: usize = 1_000;
const PATH: &str = "/api/v1/namespaces/default/configmaps";
/// With its metadata an object is then 1.4 KB of JSON.
const PAYLOAD: usize = 1_000;

#[derive(Clone, Copy)]
enum Verb {
    Get,
    Create,
}

/// One load: who asked for what, over and over, for a while.
struct Load {
    per_second: f64,
    /// Milliseconds.
    latencies: Series,
}

#[derive(Default)]
struct Found {
    per_second: Series,
    p50: Series,
    p99: Series,
    busy: Busy,
}

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let mut found: Vec<(&str, Verb, usize, Found)> = Vec::new();
    for (name, verb) in [("GET", Verb::Get), ("CREATE", Verb::Create)] {
        found.extend(CLIENTS.map(|clients| (name, verb, clients, Found::default())));
    }
    let mut memory = Series::default();
    for run in 0..bench.runs {
        let data = bench.data(&format!("api-{run}"))?;
        let host = Host::start(&bench.built, &data, &["--no-node"]).await?;
        store(&host).await?;
        for (name, verb, clients, found) in &mut found {
            let meter = Meter::start(host.pid())?;
            let load = load(&host, *verb, *clients, bench.seconds).await?;
            found.busy.add(meter.end()?);
            found.per_second.add(load.per_second);
            found.p50.add(load.latencies.at(0.5));
            found.p99.add(load.latencies.at(0.99));
            progress(&format!("{name} by {clients}: {}/s", short(load.per_second)));
        }
        memory.add(host.memory()? / 1e6);
        host.stop()?;
        std::fs::remove_dir_all(data)?;
    }
    describe(bench, section, &found, &memory);
    Ok(())
}

fn describe(bench: &Bench, section: &mut Section, found: &[(&str, Verb, usize, Found)], memory: &Series) {
    section.text(&format!(
        "ConfigMaps of 1.4 KB over TLS 1.3, HTTP/1.1 kept alive, a connection a client, one request at a time each. GET \
         reads one of {STORED}; CREATE is acknowledged once it is on disk. {} s each, {} runs, each with a new server. \
         Resident afterwards, with all that was created: {memory} MB.",
        bench.seconds, bench.runs,
    ));
    let mut table =
        Table::new(&["verb", "clients", "per second", "p50, ms", "p99, ms", "cores: server / client / others"]);
    for (name, _, clients, found) in found {
        let [rate, p50, p99] = [&found.per_second, &found.p50, &found.p99].map(Series::to_string);
        table.row(&[name, &clients.to_string(), &rate, &p50, &p99, &found.busy.cell()]);
    }
    section.table(table);
}

async fn store(host: &Host) -> Result<()> {
    let mut connection = host.target().connect().await?;
    for number in 0..STORED {
        connection.create(PATH, config_map(&format!("stored-{number}"))).await?;
    }
    let size = connection.get(&format!("{PATH}/stored-0")).await?.len();
    anyhow::ensure!((1_300..1_500).contains(&size), "a ConfigMap of {size} bytes is not one of 1.4 KB");
    Ok(())
}

async fn load(host: &Host, verb: Verb, clients: usize, seconds: f64) -> Result<Load> {
    let connections = host.target().connect_many(clients).await?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(seconds);
    let mut tasks = JoinSet::new();
    for (number, connection) in connections.into_iter().enumerate() {
        let prefix = format!("{clients}-{number}");
        tasks.spawn(client(connection, verb, prefix, number, end));
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done.context("a client panicked")??);
    }
    let per_second = latencies.len() as f64 / begun.elapsed().as_secs_f64();
    Ok(Load { per_second, latencies: latencies.into_iter().collect() })
}

/// Asks until the end; gives the milliseconds of each request.
async fn client(mut connection: Connection, verb: Verb, prefix: String, seed: usize, end: Instant) -> Result<Vec<f64>> {
    let mut latencies = Vec::new();
    while Instant::now() < end {
        let count = latencies.len();
        // Neighbours in time are no neighbours in the store: 619 has no divisor in common with 1,000.
        let path = format!("{PATH}/stored-{}", (seed * 37 + count * 619) % STORED);
        let body = if matches!(verb, Verb::Create) { config_map(&format!("{prefix}-{count}")) } else { Bytes::new() };
        let begun = Instant::now();
        match verb {
            Verb::Get => connection.get(&path).await?,
            Verb::Create => connection.create(PATH, body).await?,
        };
        latencies.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    Ok(latencies)
}

fn config_map(name: &str) -> Bytes {
    let data = json!({"data": "x".repeat(PAYLOAD)});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}).to_string().into()
}
