//! Hot paths, for counting their instructions: `gantry-bench-counts PATH TIMES` prepares a world, then takes a path so
//! many times. Two runs with different times, each under callgrind, differ by the path alone (`parts/counts.rs`).

#[path = "../policy/native.rs"]
mod native;
mod world;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context("which path?")?;
    let times: u32 = arguments.next().context("how many times?")?.parse()?;
    // One thread besides the store's writer: as few switches as can be.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match path.as_str() {
            "put" => world::put(times).await,
            "get" => world::get(times).await,
            "fan-out" => world::fan_out(times).await,
            "place" => world::place(times).await,
            "reconcile" => world::reconcile(times).await,
            other => bail!("there is no path {other}"),
        }
    })
}
