//! Gantry's chores: `cargo xtask help` lists them.

mod bench;
mod build;
mod depend;
mod facts;
mod first;
mod fleet;
mod image;
mod packages;
mod paths;
mod python;
mod quiet;
mod reproduce;
mod shell;
mod up;
mod verify;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Chores of the Gantry repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_version_flag = true)]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Build everything, start a control plane with one node, and run a first Deployment on it.
    ///
    /// Installs what is missing from the distribution's packages, starts containerd if none runs, and keeps all its
    /// state in one folder. Ctrl-C stops it; the next `up` goes on with the same objects.
    Up(up::Up),
    /// Stop what `up --detach` started, and remove its containers, links and rules.
    Down(up::Down),
    /// Several nodes on this machine: start them, cut them off, kill them, take them back.
    ///
    /// Nodes are network namespaces joined by a bridge. Each has its own address, agent, namespace of containerd and
    /// network state.
    Fleet(fleet::Command),
    /// Build the host (release), all plugins, the pinned bundle and the test image.
    Build(build::Build),
    /// Run every test: unit, plugin, integration, end to end with containerd and kubectl.
    Test(verify::Test),
    /// Ask of a component what every plugin of its families must do, in the real engine.
    Contract(verify::Contract),
    /// Measure the release build on this machine and write `BENCHMARKS.md`; all of it, or the parts named.
    Bench(bench::Bench),
    /// Write anew what `api-ecs` knows of the shape of requests, from a model of botocore.
    Facts(facts::Facts),
    /// Build a component in two folders: the same source must give the same bytes. A part of `test`.
    Reproduce,
    /// Formatting, lints, the direction of dependencies, and documentation.
    Check,
}

fn main() -> Result<()> {
    match Cli::parse().chore {
        Chore::Up(up) => up.run(),
        Chore::Down(down) => down.run(),
        Chore::Fleet(fleet) => fleet.run(),
        Chore::Build(build) => build.run(),
        Chore::Test(test) => test.run(),
        Chore::Contract(contract) => contract.run(),
        Chore::Facts(facts) => facts.run(),
        Chore::Bench(bench) => bench.run(),
        Chore::Reproduce => reproduce::check(),
        Chore::Check => verify::check(),
    }
}
