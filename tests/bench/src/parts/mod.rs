//! What is measured.

mod api;
mod counts;
mod dns;
mod ingress;
mod network;
mod plugins;
mod pods;
mod scheduling;
mod start;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::host::Built;
use crate::machine;
use crate::report::Section;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Part {
    /// Start to ready, memory when idle, sizes.
    Start,
    /// Reads and durable writes over TLS.
    Api,
    /// Many pods on many hollow nodes.
    Scheduling,
    /// Real pods beside `ctr run`.
    Pods,
    /// What a call of a plugin costs.
    Plugins,
    /// Pods' links beside CNI, and changes of Services.
    Network,
    /// Questions to the node's DNS server.
    Dns,
    /// Requests through the node's proxy beside nginx, if it and wrk are installed.
    Ingress,
    /// Instructions of hot paths, if there is valgrind.
    Counts,
}

/// In the order of the file.
pub const TITLES: [&str; 9] = [
    start::TITLE,
    api::TITLE,
    scheduling::TITLE,
    pods::TITLE,
    plugins::TITLE,
    network::TITLE,
    dns::TITLE,
    ingress::TITLE,
    counts::TITLE,
];

impl Part {
    /// All of them when none is named.
    pub fn chosen(named: &[Self]) -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|part| named.is_empty() || named.contains(part)).collect()
    }
}

/// What is measured, and how long.
pub struct Bench {
    pub built: Built,
    /// Where data directories go.
    pub scratch: PathBuf,
    pub target: PathBuf,
    pub runs: usize,
    pub nodes: usize,
    pub pods: usize,
    pub clients: usize,
    pub seconds: f64,
}

impl Bench {
    pub async fn measure(&self, part: Part) -> Result<Section> {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        println!("{name}");
        let mut section = Section::new(match part {
            Part::Start => start::TITLE,
            Part::Api => api::TITLE,
            Part::Scheduling => scheduling::TITLE,
            Part::Pods => pods::TITLE,
            Part::Plugins => plugins::TITLE,
            Part::Network => network::TITLE,
            Part::Dns => dns::TITLE,
            Part::Ingress => ingress::TITLE,
            Part::Counts => counts::TITLE,
        });
        section.text(&format!(
            "`cargo xtask bench {name}`, {}, commit {}. {}. Load average before: {}. Appending 4 KiB to a file on this disk \
             and `fdatasync` took {} ms.",
            jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC"),
            commit(),
            machine::describe(),
            machine::load(),
            machine::sync(&self.scratch)?,
        ));
        let measured = match part {
            Part::Start => start::measure(self, &mut section).await,
            Part::Api => api::measure(self, &mut section).await,
            Part::Scheduling => scheduling::measure(self, &mut section).await,
            Part::Pods => pods::measure(self, &mut section).await,
            Part::Plugins => plugins::measure(self, &mut section),
            Part::Network => network::measure(self, &mut section),
            Part::Dns => dns::measure(self, &mut section).await,
            Part::Ingress => ingress::measure(self, &mut section),
            Part::Counts => counts::measure(self, &mut section),
        };
        measured.with_context(|| format!("can't measure {name}"))?;
        Ok(section)
    }

    /// A data directory of its own.
    pub fn data(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scratch.join(name);
        std::fs::create_dir_all(&folder)?;
        Ok(folder.canonicalize()?)
    }
}

/// What a program prints, as a block.
fn printed(program: &mut Command) -> Result<String> {
    let output = program.output().with_context(|| format!("can't run {}", program.get_program().to_string_lossy()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", program.get_program().to_string_lossy());
    Ok(format!("```text\n{}\n```", String::from_utf8_lossy(&output.stdout).trim_end()))
}

/// What git calls this state of the source; a plus when files differ from it.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty=+"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}

/// Progress, for whoever waits.
fn progress(text: &str) {
    println!("  {text}");
}
