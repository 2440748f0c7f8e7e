//! What joins a fleet's nodes: a bridge in the network of whoever starts it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::said;
use crate::netns::ip;

/// The bridge's own address, where the server is. Of a range that is kept for measuring networks (RFC 2544), so that it is in
/// nobody's way.
pub const SERVER: &str = "198.18.0.1";

/// A bridge, and where the namespaces plugged into it are.
pub struct Wire {
    /// Of every link's name: data directories have wires of their own.
    mark: String,
    places: PathBuf,
}

impl Wire {
    /// Of a data directory.
    pub fn of(data: &Path) -> Self {
        let hash = hex::encode(Sha256::digest(data.as_os_str().as_encoded_bytes()));
        Self { mark: hash.get(..6).unwrap_or_default().to_owned(), places: data.join("namespaces") }
    }

    fn bridge(&self) -> String {
        format!("fleet{}", self.mark)
    }

    fn port(&self, number: usize) -> String {
        format!("fl{}n{number}", self.mark)
    }

    /// A node's address on the wire.
    pub fn address(number: usize) -> String {
        format!("198.18.0.{}", number + 10)
    }

    /// A node's namespace.
    pub fn place(&self, number: usize) -> PathBuf {
        self.places.join(number.to_string())
    }

    /// Makes the bridge.
    pub fn make(&self) -> Result<()> {
        let bridge = self.bridge();
        if ip(&format!("link show dev {bridge}")).is_err() {
            ip(&format!("link add {bridge} type bridge"))?;
            ip(&format!("address add {SERVER}/24 dev {bridge}"))?;
        }
        ip(&format!("link set {bridge} up")).map(drop)
    }

    /// Makes a node's namespace, plugged in.
    pub fn plug(&self, number: usize) -> Result<()> {
        let (place, port) = (self.place(number), self.port(number));
        if place.exists() && self.within(number, &["ip", "link", "show", "dev", "eth0"]).is_ok() {
            return Ok(());
        }
        fs::create_dir_all(&self.places)?;
        fs::write(&place, "").with_context(|| format!("can't make {}", place.display()))?;
        said(Command::new("unshare").arg(format!("--net={}", place.display())).arg("true"))?;
        ip(&format!("link add {port} type veth peer name eth0 netns {}", place.display()))?;
        ip(&format!("link set {port} master {} up", self.bridge()))?;
        let address = format!("{}/24", Self::address(number));
        for line in [
            &["ip", "link", "set", "lo", "up"] as &[&str],
            &["ip", "address", "add", &address, "dev", "eth0"],
            &["ip", "link", "set", "eth0", "up"],
            &["ip", "route", "add", "default", "via", SERVER],
        ] {
            self.within(number, line)?;
        }
        Ok(())
    }

    /// A command that runs in a node's network, and is the process that was started.
    pub fn command(&self, number: usize, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.place(number).display())).arg(program);
        command
    }

    /// What a program says there.
    pub fn within(&self, number: usize, words: &[&str]) -> Result<String> {
        let (program, arguments) = words.split_first().context("no program")?;
        said(self.command(number, program).args(arguments))
    }

    /// Pulls a node's plug, or puts it back.
    pub fn connected(&self, number: usize, connected: bool) -> Result<()> {
        ip(&format!("link set {} {}", self.port(number), if connected { "up" } else { "down" })).map(drop)
    }

    /// Removes a node's namespace, with all links in it.
    pub fn unplug(&self, number: usize) -> Result<()> {
        let place = self.place(number);
        if !place.exists() {
            return Ok(());
        }
        // Gone already if the namespace was half made.
        let _ = nix::mount::umount2(&place, nix::mount::MntFlags::MNT_DETACH);
        let _ = ip(&format!("link delete {}", self.port(number)));
        fs::remove_file(&place).with_context(|| format!("can't remove {}", place.display()))
    }

    /// Removes the bridge.
    pub fn remove(&self) -> Result<()> {
        let bridge = self.bridge();
        if ip(&format!("link show dev {bridge}")).is_err() {
            return Ok(());
        }
        ip(&format!("link delete {bridge}")).map(drop)
    }
}
