//! Which crate may know which: DESIGN in a table, held against `cargo metadata`.

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::{paths, shell};

/// Each crate of the host with those of the workspace that it may name outside its tests.
const HOST: &[(&str, &[&str])] = &[
    ("gantry-model", &[]),
    ("gantry-store", &["gantry-model"]),
    ("gantry-objects", &["gantry-model", "gantry-store"]),
    ("gantry-plugin", &["gantry-model"]),
    ("gantry-api", &["gantry-model", "gantry-objects"]),
    ("gantry-control", &["gantry-model", "gantry-objects", "gantry-plugin", "gantry-store"]),
    ("gantry-node", &["gantry-model", "gantry-objects", "gantry-plugin", "gantry-store"]),
    ("gantry-link", &["gantry-api", "gantry-model"]),
    (
        "gantry",
        &[
            "gantry-api",
            "gantry-control",
            "gantry-link",
            "gantry-model",
            "gantry-node",
            "gantry-objects",
            "gantry-plugin",
            "gantry-store",
        ],
    ),
    ("gantry-sdk", &[]),
];

/// Libraries that one crate keeps from all others.
const KEEPERS: &[(&str, &[&str])] = &[
    ("gantry-api", &["axum", "rcgen"]),
    ("gantry-node", &["containerd-client", "hickory-resolver", "netlink-sys", "nftables", "rtnetlink"]),
    ("gantry-plugin", &["wasmparser", "wasmtime", "wasmtime-wasi", "wasmtime-wasi-http"]),
    ("gantry-sdk", &["wasip2", "wit-bindgen"]),
    ("gantry-store", &["sled"]),
];

/// Guests of the engine's tests, which stand for plugins of strangers: they use the contract without the SDK.
const GUESTS: &str = "plugin-fixtures";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// None for what is linked, else "dev" or "build".
    kind: Option<String>,
    /// Only what lies in this repository has one.
    path: Option<String>,
}

/// Fails with every dependency that points the wrong way.
pub fn check() -> Result<()> {
    let wrong = violations(&metadata()?);
    if wrong.is_empty() {
        println!("✓ dependencies point one way");
        return Ok(());
    }
    bail!("dependencies that the design does not allow:\n  {}", wrong.join("\n  "))
}

fn metadata() -> Result<Metadata> {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(paths::root()).args(["metadata", "--no-deps", "--format-version", "1"]);
    serde_json::from_str(&shell::output(&mut cargo)?).context("can't read what `cargo metadata` says")
}

fn violations(metadata: &Metadata) -> Vec<String> {
    metadata.packages.iter().flat_map(|package| package.dependencies.iter().filter_map(|d| fault(package, d))).collect()
}

fn fault(package: &Package, dependency: &Dependency) -> Option<String> {
    if dependency.kind.as_deref() == Some("dev") || package.name == GUESTS {
        return None;
    }
    let (from, to) = (package.name.as_str(), dependency.name.as_str());
    if dependency.path.is_some() {
        let allowed = known(package)?;
        // What the plugins of one family share, or those of one orchestrator.
        if package.manifest_path.contains("/plugins/")
            && let Some(whose) = to.strip_suffix("-common")
            && (from.starts_with(&format!("{whose}-")) || from.ends_with(&format!("-{whose}")))
        {
            return None;
        }
        return (!allowed.contains(&to)).then(|| format!("{from} -> {to}"));
    }
    let keeper = KEEPERS.iter().find(|(_, kept)| kept.contains(&to)).map(|(keeper, _)| *keeper)?;
    (keeper != from).then(|| format!("{from} -> {to} (only {keeper} names it)"))
}

/// What of the workspace a crate may name; none for tools and tests, which may name all.
fn known(package: &Package) -> Option<&'static [&'static str]> {
    let host = HOST.iter().find(|(name, _)| *name == package.name).map(|(_, allowed)| *allowed);
    host.or_else(|| package.manifest_path.contains("/plugins/").then_some(&["gantry-sdk"] as &[&str]))
        // A crate that is not in the table yet may name nothing.
        .or_else(|| package.manifest_path.contains("/host/").then_some(&[] as &[&str]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, folder: &str, dependency: &str, path: bool, kind: Option<&str>) -> Vec<String> {
        let dependency = Dependency {
            name: dependency.into(),
            kind: kind.map(str::to_owned),
            path: path.then(|| "/repo".to_owned()),
        };
        let package = Package {
            name: name.into(),
            manifest_path: format!("/repo/{folder}/{name}/Cargo.toml"),
            dependencies: vec![dependency],
        };
        violations(&Metadata { packages: vec![package] })
    }

    #[test]
    fn the_workspace_keeps_the_table() {
        assert_eq!(violations(&metadata().unwrap()), Vec::<String>::new());
    }

    #[test]
    fn what_points_the_wrong_way_is_found() {
        let table = [
            ("gantry-store", "host", "gantry-model", true, None, true),
            ("gantry-model", "host", "gantry-store", true, None, false),
            ("gantry-api", "host", "gantry-control", true, None, false),
            ("gantry-api", "host", "gantry-store", true, Some("dev"), true),
            ("gantry-api", "host", "gantry-store", true, Some("build"), false),
            ("gantry-new", "host", "gantry-model", true, None, false),
            ("controller-workloads", "plugins", "gantry-sdk", true, None, true),
            ("controller-workloads", "plugins", "gantry-model", true, None, false),
            ("network-vxlan", "plugins", "network-common", true, None, true),
            ("network-vxlan", "plugins", "network-routes", true, None, false),
            ("controller-workloads", "plugins", "network-common", true, None, false),
            ("scheduler-ecs", "plugins", "ecs-common", true, None, true),
            ("scheduler-kubernetes", "plugins", "ecs-common", true, None, false),
            ("xtask", "xtask", "gantry-tests", true, None, true),
            ("gantry-plugin", "host", "wasmtime", false, None, true),
            ("gantry-control", "host", "wasmtime", false, None, false),
            ("gantry", "host", "sled", false, None, false),
            ("gantry-control", "host", "serde", false, None, true),
        ];
        for (name, folder, dependency, path, kind, good) in table {
            assert_eq!(one(name, folder, dependency, path, kind).is_empty(), good, "{name} -> {dependency}");
        }
    }
}
