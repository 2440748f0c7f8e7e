//! `bench`: builds what is measured, and the program that measures it.

use std::ffi::OsString;
use std::process::Command;

use anyhow::Result;
use clap::Args;

use crate::{build, packages, paths, shell};

#[derive(Args)]
pub struct Bench {
    /// Measure what was built before.
    #[arg(long)]
    no_build: bool,
    /// Passed on: parts (start, api, scheduling, pods, plugins, network, dns, ingress, counts) and options; `-- --help` lists
    /// them.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<OsString>,
}

impl Bench {
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD, packages::RUN])?;
        if !self.no_build {
            build::everything()?;
            programs()?;
        }
        let mut bench = Command::new(paths::target().join("release/gantry-bench"));
        bench.current_dir(paths::root()).arg("--target").arg(paths::target()).args(&self.rest);
        shell::run(&mut bench)
    }
}

/// The bench, the examples that it runs, and the guests that those load.
fn programs() -> Result<()> {
    // As the host is built, so that it finds the same dependencies.
    let mut natives = build::cargo();
    natives.args(["build", "--release", "--workspace"]);
    natives.args(["--bin", "gantry-bench", "--bin", "gantry-bench-policy", "--bin", "gantry-bench-counts"]);
    natives.args(["--bin", "gantry-bench-network", "--bin", "gantry-bench-ingress"]);
    shell::run(&mut natives)?;
    let mut examples = build::cargo();
    examples.args(["build", "--release", "--workspace", "--example", "plugin_bench"]);
    shell::run(&mut examples)?;
    let mut guests = build::cargo();
    guests.args([
        "build",
        "--profile",
        "plugin",
        "--target",
        "wasm32-wasip2",
        "--package",
        "plugin-fixtures",
        "--examples",
    ]);
    shell::run(&mut guests)
}
