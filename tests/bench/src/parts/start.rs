//! From the start of the process to the first answer, what it takes when nobody asks anything, and sizes.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Bench, progress};
use crate::host::{Containers, Host};
use crate::machine::Meter;
use crate::report::{Busy, Section, Table};
use crate::stats::Series;

pub const TITLE: &str = "Start, memory, sizes";

/// After this, what the start left over has been given back.
const SETTLE: Duration = Duration::from_secs(5);

#[derive(Default)]
struct Starts {
    cold: Series,
    warm: Series,
    memory: Series,
    idle: Busy,
}

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let mut table = Table::new(&["", "empty cache, ms", "warm cache, ms", "memory when idle, MB", "cores when idle"]);
    let plain = starts(bench, "plain", &["--no-node"]).await?;
    row(&mut table, "control plane", &plain);
    let data = bench.data("with-node-containerd")?;
    let containers = Containers::start(&bench.built, &data)?;
    let socket = containers.socket();
    let socket = socket.to_str().context("a socket's name is text")?;
    let node = starts(bench, "node", &["--containerd", socket]).await?;
    row(&mut table, "control plane and node", &node);
    section.text(&format!(
        "From the start of `gantry up` with the stock bundle to `/readyz` over TLS; the cache is that of compiled \
         plugins, and an empty one means an empty data directory too. Memory is what is resident {} s later. {} runs.",
        SETTLE.as_secs(),
        bench.runs,
    ));
    section.table(table);
    sizes(bench, section)
}

async fn starts(bench: &Bench, name: &str, args: &[&str]) -> Result<Starts> {
    let mut found = Starts::default();
    for run in 0..bench.runs {
        let data = bench.data(&format!("start-{name}-{run}"))?;
        let host = Host::start(&bench.built, &data, args).await?;
        found.cold.add_millis(host.ready_after);
        host.stop()?;
        let host = Host::start(&bench.built, &data, args).await?;
        found.warm.add_millis(host.ready_after);
        tokio::time::sleep(SETTLE).await;
        let meter = Meter::start(host.pid())?;
        found.memory.add(host.memory()? / 1e6);
        tokio::time::sleep(SETTLE / 5).await;
        found.idle.add(meter.end()?);
        host.stop()?;
    }
    progress(&format!("{name}: cold {} ms, warm {} ms, idle {} MB", found.cold, found.warm, found.memory));
    Ok(found)
}

fn row(table: &mut Table, name: &str, found: &Starts) {
    let idle = format!("{:.3}", found.idle.server());
    table.row(&[name, &found.cold.to_string(), &found.warm.to_string(), &found.memory.to_string(), &idle]);
}

fn sizes(bench: &Bench, section: &mut Section) -> Result<()> {
    let mut table = Table::new(&["file", "MB"]);
    let mut row = |path: &Path| -> Result<()> {
        let size = fs::metadata(path).with_context(|| format!("can't read {}", path.display()))?.len();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        table.row(&[&format!("`{name}`"), &format!("{:.2}", size as f64 / 1e6)]);
        Ok(())
    };
    row(&bench.built.gantry)?;
    let mut components: Vec<_> =
        fs::read_dir(&bench.built.plugins)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    components.sort();
    for path in components.iter().filter(|path| path.extension().is_some_and(|end| end == "wasm")) {
        row(path)?;
    }
    section.table(table);
    Ok(())
}
