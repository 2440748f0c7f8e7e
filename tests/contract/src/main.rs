//! `gantry-contract my.wasm`: what every plugin of its families must do, asked of a component in the real engine.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;
use gantry_contract::{Component, Given, run};
use gantry_sdk::{Value, serde_json};

/// Run the contract suites of a component's families over it, in the engine that the host uses.
#[derive(Parser)]
struct Cli {
    /// The component, with its manifest in it.
    component: PathBuf,
    /// Its configuration as JSON, as in the bundle's [plugin.config].
    #[arg(long, default_value = "{}")]
    config: String,
    /// A folder for it, as in the bundle's [plugin.wasi]; may be repeated.
    #[arg(long, value_name = "NAME=PATH")]
    directory: Vec<String>,
    /// A file with a JSON list of objects: there when a controller starts, so that it writes; writes of them are reviewed.
    #[arg(long, value_name = "FILE")]
    objects: Option<PathBuf>,
}

fn main() -> Result<()> {
    let cli = Cli::parse();
    let mut component = Component::read(&cli.component)?;
    for directory in &cli.directory {
        let Some((name, path)) = directory.split_once('=') else { bail!("--directory {directory}: not NAME=PATH") };
        component = component.directory(name, path);
    }
    let config = serde_json::from_str(&cli.config).context("--config is not JSON")?;
    let given = Given { config, objects: objects(cli.objects)? };
    let name = component.manifest.name.clone();
    for family in run(component, &given)? {
        println!("✓ {name} keeps the rules of the family {}", family.name());
    }
    Ok(())
}

fn objects(file: Option<PathBuf>) -> Result<Vec<Value>> {
    let Some(file) = file else { return Ok(Vec::new()) };
    let text = std::fs::read_to_string(&file).with_context(|| format!("can't read {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not a JSON list of objects", file.display()))
}
