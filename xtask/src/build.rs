//! Building the host, the plugins and the test image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::shell::{self, Step};
use crate::{image, packages, paths};

/// The stock plugins' packages.
const PLUGINS: &[&str] = &[
    "api-ecs",
    "controller-ecs",
    "controller-services",
    "controller-workloads",
    "discovery-cloudmap",
    "discovery-kubernetes",
    "load-balancer-elb",
    "load-balancer-ingress",
    "load-balancer-nftables",
    "network-bridge",
    "network-policy",
    "network-routes",
    "network-vxlan",
    "scheduler-ecs",
    "scheduler-kubernetes",
    "sink-file",
];

#[derive(Args)]
pub struct Build {
    /// Only these parts.
    #[arg(value_enum)]
    parts: Vec<Part>,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Part {
    Plugins,
    Host,
    Bundle,
    Image,
}

/// What makes a part.
type Job = fn() -> Result<()>;

impl Build {
    pub fn run(&self) -> Result<()> {
        packages::install(&[packages::BUILD])?;
        let wanted = |part: Part| self.parts.is_empty() || self.parts.contains(&part);
        let steps: [(Part, Job); 4] =
            [(Part::Plugins, plugins), (Part::Host, host), (Part::Bundle, pin), (Part::Image, image::build)];
        steps.into_iter().filter(|(part, _)| wanted(*part)).try_for_each(|(_, step)| step())
    }
}

/// Everything that `up` runs.
pub fn everything() -> Result<()> {
    Build { parts: Vec::new() }.run()
}

/// The copy of the stock bundle that starts: with the digests of the components that were just built.
fn pin() -> Result<()> {
    shell::output(
        Command::new(paths::gantry())
            .args(["bundle", "pin"])
            .arg(paths::bundle())
            .arg("--plugins")
            .arg(paths::plugins())
            .arg("--output")
            .arg(paths::pinned_bundle()),
    )?;
    println!("✓ {}", paths::pinned_bundle().display());
    Ok(())
}

/// The host, in release mode. Cargo shows its own progress.
pub fn host() -> Result<()> {
    println!("building the host; from clean this takes some minutes");
    // The whole workspace's features, so that builds of its other programs find the same dependencies.
    shell::run(cargo().args(["build", "--release", "--workspace", "--bin", "gantry"]))?;
    let size = fs::metadata(paths::gantry())?.len();
    println!("✓ {} ({:.1} MB)", paths::gantry().display(), size as f64 / 1e6);
    Ok(())
}

/// All plugins, as components under `target/plugins/`.
pub fn plugins() -> Result<()> {
    packages::wasm_target()?;
    println!("building {} plugins", PLUGINS.len());
    shell::run(&mut components(&paths::root(), &paths::target(), PLUGINS))?;
    fs::create_dir_all(paths::plugins())?;
    for plugin in PLUGINS {
        let component = paths::plugins().join(format!("{plugin}.wasm"));
        copy_if_changed(&self::component(&paths::target(), plugin), &component)?;
        println!("✓ {} ({} KB)", component.display(), fs::metadata(&component)?.len() / 1000);
    }
    Ok(())
}

/// What builds components from a source folder into a target folder.
pub fn components(source: &Path, target: &Path, plugins: &[&str]) -> Command {
    let mut build = cargo();
    build.current_dir(source).env("CARGO_TARGET_DIR", target).env("RUSTFLAGS", remap(source, target));
    build.args(["build", "--profile", "plugin", "--target", "wasm32-wasip2"]);
    for plugin in plugins {
        build.args(["--package", plugin]);
    }
    build
}

/// Where it leaves one.
pub fn component(target: &Path, plugin: &str) -> PathBuf {
    target.join(format!("wasm32-wasip2/plugin/{}.wasm", plugin.replace('-', "_")))
}

/// The same source gives the same bytes wherever it lies: no path of this machine gets into a component.
fn remap(root: &Path, target: &Path) -> String {
    let home =
        std::env::var("CARGO_HOME").or_else(|_| std::env::var("HOME").map(|h| h + "/.cargo")).unwrap_or_default();
    // Of several that fit, the last one counts: the target folder may lie in the repository.
    format!(
        "--remap-path-prefix={home}=/cargo --remap-path-prefix={}=/gantry --remap-path-prefix={}=/target",
        root.display(),
        target.display()
    )
}

/// The example program, linked statically, for the test image.
pub fn web() -> Result<PathBuf> {
    const TRIPLE: &str = "x86_64-unknown-linux-gnu";
    let step = Step::new("build the test image's program");
    shell::output(cargo().args(["build", "--profile", "plugin", "--package", "example-web", "--target", TRIPLE]).env(
        "RUSTFLAGS",
        format!("-C target-feature=+crt-static -C relocation-model=static {}", remap(&paths::root(), &paths::target())),
    ))?;
    step.done("");
    Ok(paths::target().join(TRIPLE).join("plugin/web"))
}

/// Cargo, in the repository.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(paths::root());
    cargo
}

/// Leaves an unchanged file alone, so that what is keyed by its time or inode stays valid.
fn copy_if_changed(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("can't read {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).with_context(|| format!("can't write {}", to.display()))
}
