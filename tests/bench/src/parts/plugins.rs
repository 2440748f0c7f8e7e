//! What making an instance of a plugin and calling it cost: programs that use the engine without a host around it measure
//! it and print lines.

use std::process::Command;

use anyhow::Result;

use super::{Bench, printed};
use crate::report::Section;

pub const TITLE: &str = "Plugins";

pub fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let release = bench.target.join("release");
    section.text("An instance and a call, through the engine (`host/plugin/examples/plugin_bench.rs`):");
    let guests = bench.target.join("wasm32-wasip2/plugin/examples");
    section.text(&printed(Command::new(release.join("examples/plugin_bench")).arg(guests))?);
    section.text(&format!(
        "The stock scheduling policy as a component beside the same source built natively, both behind the host's trait, \
         in turns ({} runs; `tests/bench/src/bin/policy`). The last line is the host's whole scheduling loop over a store \
         on disk: pods are made first, then the loop starts.",
        bench.runs,
    ));
    let component = bench.built.plugins.join("scheduler-kubernetes.wasm");
    let runs = bench.runs.to_string();
    section.text(&printed(Command::new(release.join("gantry-bench-policy")).arg(component).arg(runs))?);
    Ok(())
}
