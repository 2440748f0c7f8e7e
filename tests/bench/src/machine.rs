//! What it was measured on, and what else kept the machine busy meanwhile.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::stats::Series;

/// Ticks a second in `/proc`, on every Linux of today.
const TICKS: f64 = 100.0;

/// Cores, memory and kernel.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory: f64 = field(&read("/proc/meminfo"), "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    format!(
        "{} cores ({}), {:.0} GiB of memory, Linux {}",
        cores(),
        field(&read("/proc/cpuinfo"), "model name"),
        memory / 1024.0 / 1024.0,
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// How long this disk takes to keep 4 KiB, in milliseconds: no durable write is faster.
pub fn sync(folder: &Path) -> Result<Series> {
    const ROUNDS: usize = 100;
    let path = folder.join("sync");
    let mut file = File::create(&path)?;
    let mut samples = Series::default();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        samples.add_millis(begun.elapsed());
    }
    fs::remove_file(path)?;
    Ok(samples)
}

pub fn cores() -> usize {
    available_parallelism().map_or(1, usize::from)
}

/// Processes that wanted to run during the last minute.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Who used the processors while something was measured.
pub struct Meter {
    begun: Instant,
    server: i32,
    before: Ticks,
}

struct Ticks {
    all: f64,
    server: f64,
    client: f64,
}

impl Ticks {
    fn now(server: i32) -> Result<Self> {
        let client = i32::try_from(std::process::id())?;
        Ok(Self { all: busy()?, server: used_by(server)?, client: used_by(client)? })
    }
}

/// Cores in use on average.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub server: f64,
    pub client: f64,
    pub others: f64,
}

impl Meter {
    /// Begins with the server's process id.
    pub fn start(server: i32) -> Result<Self> {
        Ok(Self { begun: Instant::now(), server, before: Ticks::now(server)? })
    }

    pub fn end(&self) -> Result<Usage> {
        let (after, before) = (Ticks::now(self.server)?, &self.before);
        let rate = |ticks: f64| (ticks / TICKS / self.begun.elapsed().as_secs_f64()).max(0.0);
        let (server, client) = (after.server - before.server, after.client - before.client);
        Ok(Usage { server: rate(server), client: rate(client), others: rate(after.all - before.all - server - client) })
    }
}

/// Ticks that all processors were busy: user, nice, system, irq, softirq, steal.
fn busy() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat is empty")?;
    let numbers = line.split_whitespace().skip(1).map(|number| number.parse::<f64>().unwrap_or_default());
    Ok(numbers.enumerate().filter(|(at, _)| [0, 1, 2, 5, 6, 7].contains(at)).map(|(_, ticks)| ticks).sum())
}

/// Ticks that a process and its ended children used: fields 14 to 17 of its `stat`.
fn used_by(pid: i32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid} is gone"))?;
    let fields = stat.rsplit_once(')').map(|(_, rest)| rest).unwrap_or_default();
    Ok(fields.split_whitespace().skip(11).take(4).map(|number| number.parse::<f64>().unwrap_or_default()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_work_counts_as_the_clients() {
        let meter = Meter::start(1).unwrap();
        while meter.begun.elapsed().as_millis() < 200 {
            std::hint::black_box(0);
        }
        let usage = meter.end().unwrap();
        assert!(usage.client > 0.0 && usage.client <= 1.2, "{usage:?}");
    }
}
