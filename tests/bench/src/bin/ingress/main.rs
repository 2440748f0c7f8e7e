//! Requests per second through the node's proxy, beside a direct connection and beside nginx with the same backends.
//! `gantry-bench-ingress RUNS SECONDS`; needs `nginx` and `wrk`.

mod nginx;
mod proxy;

use std::net::TcpListener;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Connections of the client.
const CONNECTIONS: [u32; 2] = [16, 128];
/// The host of the rule, as Ingresses have one.
const HOST: &str = "a.example";

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let runs: usize = args.next().context("how many runs?")?.parse()?;
    let seconds: u32 = args.next().context("how many seconds?")?.parse()?;
    let backends = [free_port()?, free_port()?];
    let (beside, ours) = (free_port()?, free_port()?);
    let _nginx = nginx::Nginx::start(&backends, beside)?;
    let _proxy = proxy::start(ours, &backends).await?;
    let ways = [("direct", backends[0]), ("gantry", ours), ("nginx", beside)];
    for connections in CONNECTIONS {
        let mut found = ways.map(|(name, _)| (name, Vec::new()));
        // In turns, so that what else the machine does meets all of them; the first turn warms up.
        for run in 0..=runs {
            for ((_, figures), (_, port)) in found.iter_mut().zip(ways) {
                let figure = wrk(port, connections, if run == 0 { 1 } else { seconds }).await?;
                if run > 0 {
                    figures.push(figure);
                }
            }
        }
        let direct = median(&mut found[0].1);
        for (name, figures) in &mut found {
            let figure = median(figures);
            println!(
                "{connections:>4} connections  {name:<7} {figure:>8.0} requests/s  {:.2} of direct",
                figure / direct
            );
        }
    }
    Ok(())
}

/// Requests per second, all of which were answered with 200.
async fn wrk(port: u16, connections: u32, seconds: u32) -> Result<f64> {
    let url = format!("http://127.0.0.1:{port}/");
    let mut wrk = Command::new("wrk");
    wrk.args([
        "-t",
        "2",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{seconds}s"),
        "-H",
        &format!("Host: {HOST}"),
        &url,
    ]);
    let output = tokio::task::spawn_blocking(move || wrk.output()).await?.context("can't run wrk")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success() && !said.contains("Non-2xx"), "wrk {url}: {said}");
    let line = said.lines().find_map(|line| line.strip_prefix("Requests/sec:")).context("wrk gave no figure")?;
    Ok(line.trim().parse()?)
}

fn median(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
