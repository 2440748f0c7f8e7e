//! A network of its own for each control plane under test: neither a running `cargo xtask up` nor another test is in
//! its way, and what it leaves goes with it.

use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, unshare};

/// The node's address: of a range that is kept for documentation.
pub const ADDRESS: &str = "192.0.2.2";

/// Moves this thread, and what it starts from now on, into a new network namespace with loopback and one link.
pub fn enter() -> Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("can't make a network namespace; these tests need root")?;
    for line in [
        "link set lo up",
        "link add eth0 type veth peer name outside",
        "address add 192.0.2.2/24 dev eth0",
        "link set eth0 up",
        "link set outside up",
        "route add default via 192.0.2.1",
    ] {
        ip(line)?;
    }
    Ok(())
}

/// What `ip` says, in this thread's network.
pub fn ip(line: &str) -> Result<String> {
    let output = Command::new("ip").args(line.split_whitespace()).output().context("can't run ip")?;
    if !output.status.success() {
        bail!("ip {line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
