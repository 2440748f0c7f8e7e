//! Measures a release build of Gantry and writes `BENCHMARKS.md`. `cargo xtask bench` builds what it needs and runs it.

mod client;
mod host;
mod machine;
mod parts;
mod report;
mod stats;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gantry_tests::netns;
use tokio::signal::unix::{SignalKind, signal};

use crate::host::Built;
use crate::parts::{Bench, Part, TITLES};

/// Measures Gantry on this machine. Needs root, and containerd for pods.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Hollow nodes for `scheduling`.
    #[arg(long, default_value_t = 1_000)]
    nodes: usize,
    /// Pods for `scheduling`.
    #[arg(long, default_value_t = 10_000)]
    pods: usize,
    /// Clients that create pods for `scheduling`.
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// How long each load of `api` lasts.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Cargo's target folder.
    #[arg(long, default_value = "target")]
    target: PathBuf,
    /// The release binary, when it lies elsewhere.
    #[arg(long)]
    gantry: Option<PathBuf>,
    /// Components and the pinned bundle, when they lie elsewhere.
    #[arg(long)]
    plugins: Option<PathBuf>,
    /// The test image, when it lies elsewhere.
    #[arg(long)]
    image: Option<PathBuf>,
    /// Keep the hosts' data directories and logs in this folder.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Where the figures go.
    #[arg(long, default_value = "BENCHMARKS.md")]
    output: PathBuf,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    // Before there are threads: all of them belong to the new network.
    netns::enter()?;
    // One thread: the rest of the machine is the server's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        // Whatever runs is stopped when it is dropped.
        tokio::select! {
            outcome = measure(cli) => outcome,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminate.recv() => bail!("asked to end"),
        }
    })
}

async fn measure(cli: Cli) -> Result<()> {
    let scratch = match &cli.keep {
        Some(folder) => {
            std::fs::create_dir_all(folder)?;
            folder.canonicalize()?
        }
        None => tempfile::Builder::new().prefix("gantry-bench-").tempdir()?.keep(),
    };
    let bench = Bench {
        built: Built::in_target(&cli.target.canonicalize()?, cli.gantry, cli.plugins, cli.image),
        scratch: scratch.clone(),
        target: cli.target,
        runs: cli.runs.max(1),
        nodes: cli.nodes,
        pods: cli.pods,
        clients: cli.clients.max(1),
        seconds: cli.seconds,
    };
    let outcome = all(&bench, &cli.parts, &cli.output).await;
    if cli.keep.is_none() {
        std::fs::remove_dir_all(&scratch).with_context(|| format!("can't remove {}", scratch.display()))?;
    }
    outcome
}

/// What was measured is written at once: a later part may fail.
async fn all(bench: &Bench, parts: &[Part], output: &std::path::Path) -> Result<()> {
    for part in Part::chosen(parts) {
        let section = bench.measure(part).await?;
        report::write(output, &TITLES, &[section])?;
    }
    println!("✓ {}", output.display());
    Ok(())
}
