//! `linuxParameters` of a container.

use gantry_sdk::Value;

use super::refused::{self, refuse};
use super::{numbers, volumes};
use crate::fault::{Fault, Result};
use crate::object::{items, text, texts};

/// Capabilities that ECS knows: those of Linux up to version 3.4, and all together.
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html>
const CAPABILITIES: [&str; 38] = [
    "ALL",
    "AUDIT_CONTROL",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "SYSLOG",
    "WAKE_ALARM",
];
/// Options of a tmpfs that a pod's can have.
const OPTIONS: [&str; 3] = ["defaults", "ro", "rw"];
const SHARED_MEMORY: &str = "/dev/shm";

fn parameters(container: &Value) -> &Value {
    container.get("linuxParameters").unwrap_or(&Value::Null)
}

/// Whether a pod can have what is asked for.
pub fn check(container: &Value, path: &str) -> Result<()> {
    let given = parameters(container);
    let path = format!("{path}linuxParameters.");
    refuse(given, refused::LINUX, &path)?;
    let capabilities = given.get("capabilities").unwrap_or(&Value::Null);
    let mut named = texts(capabilities, "add").chain(texts(capabilities, "drop"));
    if let Some(unknown) = named.find(|name| !CAPABILITIES.contains(name)) {
        return Err(Fault::client(format!("{path}capabilities: Unknown capability {unknown:?}.")));
    }
    positive(given, "sharedMemorySize", &path)?;
    for tmpfs in items(given, "tmpfs") {
        let path = format!("{path}tmpfs.");
        positive(tmpfs, "size", &path)?;
        volumes::absolute(text(tmpfs, "containerPath"), &format!("{path}containerPath"))?;
        if let Some(option) = texts(tmpfs, "mountOptions").find(|option| !OPTIONS.contains(option)) {
            return Err(refused::nobody(&format!("{path}mountOptions {option}")));
        }
    }
    Ok(())
}

fn positive(given: &Value, name: &str, path: &str) -> Result<()> {
    numbers::whole(given, &[name], path).map_err(Fault::client)?;
    match given.get(name).and_then(Value::as_i64) {
        Some(0) => Err(Fault::client(format!("Invalid value 0 for {path}{name}: give at least 1."))),
        _ => Ok(()),
    }
}

/// Where it has file systems in memory.
pub fn places(container: &Value) -> impl Iterator<Item = &str> {
    let given = parameters(container);
    let shared = given.get("sharedMemorySize").map(|_| SHARED_MEMORY);
    shared.into_iter().chain(items(given, "tmpfs").iter().map(|tmpfs| text(tmpfs, "containerPath")))
}
