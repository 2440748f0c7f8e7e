//! What must be installed, and installing what is missing.

use std::env;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::quiet::{self, Quiet};
use crate::shell::{self, Step};

/// A program and the Debian/Ubuntu package that has it.
pub struct Need {
    program: &'static str,
    package: &'static str,
}

pub const fn need(program: &'static str, package: &'static str) -> Need {
    Need { program, package }
}

/// To build.
pub const BUILD: &[Need] = &[need("protoc", "protobuf-compiler"), need("cc", "build-essential")];

/// To run a node, and to try it.
pub const RUN: &[Need] = &[
    need("containerd", "containerd"),
    need("runc", "runc"),
    need("nft", "nftables"),
    need("ip", "iproute2"),
    need("kubectl", "kubernetes-client"),
];

/// To test: a registry to pull from, a shell for images, clients.
pub const TEST: &[Need] =
    &[need("docker-registry", "docker-registry"), need("busybox", "busybox-static"), need("curl", "curl")];

/// Installs what is missing, and says what.
pub fn install(needs: &[&[Need]]) -> Result<()> {
    quiet::remove_left(Path::new(quiet::POLICY))?;
    let missing: Vec<&str> =
        needs.iter().flat_map(|group| group.iter()).filter(|n| !on_path(n.program)).map(|n| n.package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !on_path("apt-get") {
        bail!("these packages are missing and there is no apt-get to install them: {}", missing.join(" "));
    }
    fetch(&missing)
}

/// Installs packages, whether they are there or not.
pub fn fetch(packages: &[&str]) -> Result<()> {
    let step = Step::new(format!("install {}", packages.join(" ")));
    // Neither containerd nor the registry may start as a service: each use here has its own.
    let quiet = Quiet::services(Path::new(quiet::POLICY))?;
    apt(&["update"]).and_then(|()| apt(&[&["install", "-y", "--no-install-recommends"], packages].concat()))?;
    drop(quiet);
    step.done("");
    Ok(())
}

fn apt(args: &[&str]) -> Result<()> {
    shell::output(
        Command::new("apt-get")
            .args(["-q", "-o", "Dpkg::Use-Pty=0"])
            .args(args)
            .env("DEBIAN_FRONTEND", "noninteractive"),
    )
    .map(drop)
}

/// Adds the WebAssembly target to the toolchain when it is missing.
pub fn wasm_target() -> Result<()> {
    let sysroot = shell::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    if Path::new(sysroot.trim()).join("lib/rustlib/wasm32-wasip2").is_dir() {
        return Ok(());
    }
    let step = Step::new("rustup target add wasm32-wasip2");
    shell::output(Command::new("rustup").args(["target", "add", "wasm32-wasip2"]))?;
    step.done("");
    Ok(())
}

pub fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).any(|dir| dir.join(program).is_file())
}
