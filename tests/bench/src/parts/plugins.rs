//! What making an instance of a plugin and calling it cost: examples of `gantry-plugin` measure it and print lines.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::Bench;
use crate::report::Section;

pub const TITLE: &str = "Plugins";

pub async fn measure(bench: &Bench, section: &mut Section) -> Result<()> {
    let examples = bench.target.join("release/examples");
    let calls = examples.join("plugin_bench");
    section.text("An instance and a call, through the engine (`host/plugin/examples/plugin_bench.rs`):");
    section.text(&printed(&calls, &bench.target.join("wasm32-wasip2/plugin/examples"))?);
    Ok(())
}

/// What a program prints, as a block.
fn printed(program: &Path, argument: &Path) -> Result<String> {
    let output = Command::new(program).arg(argument).output();
    let output = output.with_context(|| format!("can't run {}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} failed: {said}", program.display());
    Ok(format!("```text\n{}\n```", String::from_utf8_lossy(&output.stdout).trim_end()))
}
