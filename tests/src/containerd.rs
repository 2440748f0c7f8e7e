//! A containerd of our own, beside whatever the machine runs.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::{Process, wait_for};

/// Where a distribution's containerd listens.
pub const SYSTEM: &str = "/run/containerd/containerd.sock";

/// Whether something answers on a containerd socket.
pub fn answers(socket: &Path) -> bool {
    UnixStream::connect(socket).is_ok()
}

/// The socket of the containerd that belongs to a data directory. Under `/run`, because a socket's path may have no
/// more than 107 bytes and a data directory may lie deep.
pub fn socket(data: &Path) -> PathBuf {
    run_dir(data).join("containerd.sock")
}

/// Holds what must not lie in data directories.
pub const RUN: &str = "/run/gantry";

/// Of one data directory.
pub fn run_dir(data: &Path) -> PathBuf {
    let hash = hex::encode(Sha256::digest(data.as_os_str().as_encoded_bytes()));
    Path::new(RUN).join(hash.get(..12).unwrap_or_default())
}

/// Starts a containerd whose root and state lie under `data`, and waits until it answers.
pub fn start(data: &Path) -> Result<Process> {
    let dir = data.join("containerd");
    let run = run_dir(data);
    for dir in [&dir, &run] {
        fs::create_dir_all(dir).with_context(|| format!("can't make {}", dir.display()))?;
    }
    let config = dir.join("config.toml");
    fs::write(&config, CONFIG)?;
    let socket = socket(data);
    let mut command = Command::new("containerd");
    command.arg("--config").arg(&config).arg("--address").arg(&socket);
    command.arg("--root").arg(dir.join("root")).arg("--state").arg(run.join("state"));
    let mut process = Process::start(data, "containerd", &mut command)?;
    wait_for("containerd to answer", Duration::from_secs(20), || {
        process.check()?;
        UnixStream::connect(&socket).map(drop).with_context(|| format!("can't connect to {}", socket.display()))
    })?;
    Ok(process)
}

/// Removes what a stopped containerd leaves under `/run`.
pub fn clean(data: &Path) {
    // Nothing is there when containerd never ran.
    let _ = fs::remove_dir_all(run_dir(data));
    // Stays while another data directory's things are in it.
    let _ = fs::remove_dir(RUN);
}

/// No CRI (Gantry is the orchestrator), and none of the snapshotters that need what the machine lacks.
const CONFIG: &str = r#"version = 2
disabled_plugins = [
  "io.containerd.grpc.v1.cri",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  max_recv_message_size = 16777216
"#;
