//! The node's network beside its peers, in a network namespace of its own: pods beside the reference CNI plugins, and how
//! long a change of one Service takes with more and more of them. `gantry-bench-network PLUGINS [RUNS]` prints lines.

mod pods;
mod services;

use std::path::PathBuf;

use anyhow::{Context, Result};
use gantry_tests::netns;

/// As `gantry` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let plugins = PathBuf::from(arguments.next().context("which folder has the components?")?).canonicalize()?;
    let runs = arguments.next().map_or(Ok(5), |text| text.parse())?;
    // Before there are threads: all of them belong to the new network.
    netns::enter()?;
    let data = tempfile::tempdir()?;
    tokio::runtime::Runtime::new()?.block_on(async {
        pods::measure(&plugins, data.path(), runs).await?;
        services::measure(&plugins, data.path(), runs).await
    })
}

/// The middle one of these, with the least and the most.
fn spread(samples: &mut [f64]) -> String {
    samples.sort_by(f64::total_cmp);
    let at = |n: usize| samples.get(n).copied().unwrap_or(f64::NAN);
    format!("{:.2} ({:.2} to {:.2})", at(samples.len() / 2), at(0), at(samples.len().saturating_sub(1)))
}
