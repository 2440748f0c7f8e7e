//! What this machine is and has, read from the kernel.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use nix::sys::statvfs::statvfs;

use super::object::{Capacity, Information};

/// The kubelet's default thresholds for evicting; below them the node says that it is under pressure.
const MEMORY_FLOOR: u64 = 100 << 20;
const DISK_FLOOR_PERCENT: u64 = 10;
const PID_FLOOR_PERCENT: u64 = 5;

/// What is kept for the system and not offered to pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Thousandths of a core.
    pub cpu_millis: u64,
    /// Bytes.
    pub memory: u64,
    /// Bytes.
    pub storage: u64,
}

/// The machine that this process runs on.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The kernel's host name, lower case.
    pub hostname: String,
    /// Where it can be reached; the primary first.
    pub addresses: Vec<IpAddr>,
    /// What it has.
    pub capacity: Capacity,
    /// What it runs.
    pub information: Information,
}

/// Which resources run short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pressure {
    /// Little memory is available.
    pub memory: bool,
    /// The file system of pods' data is nearly full.
    pub disk: bool,
    /// Process ids are nearly used up.
    pub pid: bool,
}

impl Machine {
    /// Reads everything. `data` is where pods' data lies: its file system is the ephemeral storage.
    pub fn probe(data: &Path, pods: u32) -> io::Result<Self> {
        let uname = nix::sys::utsname::uname()?;
        let disk = statvfs(data)?;
        let cores = std::thread::available_parallelism()?.get() as u64;
        let hostname = uname.nodename().to_string_lossy().to_lowercase();
        Ok(Self {
            addresses: primary_address().into_iter().collect(),
            capacity: Capacity {
                cpu_millis: cores * 1000,
                memory: meminfo("MemTotal")?,
                storage: disk.blocks() as u64 * disk.fragment_size() as u64,
                pods,
            },
            information: Information {
                machine_id: trimmed("/etc/machine-id"),
                boot_id: trimmed("/proc/sys/kernel/random/boot_id"),
                kernel: uname.release().to_string_lossy().into_owned(),
                os_image: os_image(),
                runtime: String::new(),
                architecture: architecture(std::env::consts::ARCH).to_owned(),
            },
            hostname,
        })
    }
}

impl Pressure {
    /// Reads the present state.
    pub fn probe(data: &Path) -> io::Result<Self> {
        let disk = statvfs(data)?;
        Ok(Self {
            memory: meminfo("MemAvailable")? < MEMORY_FLOOR,
            disk: (disk.blocks_available() as u64) * 100 < disk.blocks() as u64 * DISK_FLOOR_PERCENT,
            pid: pids_are_short(&fs::read_to_string("/proc/loadavg")?, &trimmed("/proc/sys/kernel/pid_max")),
        })
    }
}

/// The address that packets to elsewhere leave from. Nothing is sent: a datagram socket is only asked for its route.
/// On a machine without a route, loopback.
fn primary_address() -> Option<IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    match socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr()) {
        Ok(address) => Some(address.ip()),
        Err(_) => Some(IpAddr::from([127, 0, 0, 1])),
    }
}

fn meminfo(name: &str) -> io::Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    parse_meminfo(&text, name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/meminfo has no {name}")))
}

fn parse_meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// `/proc/loadavg` reads `0.1 0.2 0.3 2/345 6789`: 345 is the number of threads there are.
fn pids_are_short(loadavg: &str, pid_max: &str) -> bool {
    let threads = loadavg.split_whitespace().nth(3).and_then(|f| f.split_once('/')?.1.parse::<u64>().ok());
    match (threads, pid_max.parse::<u64>().ok()) {
        (Some(threads), Some(max)) => max.saturating_sub(threads) * 100 < max * PID_FLOOR_PERCENT,
        _ => false,
    }
}

fn os_image() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or_else(|| "Linux".to_owned(), |name| name.trim_matches('"').to_owned())
}

fn trimmed(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

/// Rust's name of an architecture → the one of container images and of `kubernetes.io/arch`.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_texts_are_read() {
        let text = "MemTotal:       24611112 kB\nMemFree:          123 kB\nMemAvailable:    99 kB\n";
        assert_eq!(parse_meminfo(text, "MemTotal"), Some(24_611_112 * 1024));
        assert_eq!(parse_meminfo(text, "MemAvailable"), Some(99 * 1024));
        assert_eq!(parse_meminfo(text, "Swap"), None);
        for (loadavg, max, short) in [
            ("0.00 0.01 0.05 2/345 6789", "32768", false),
            ("0.00 0.01 0.05 2/32000 6789", "32768", true),
            ("nonsense", "32768", false),
        ] {
            assert_eq!(pids_are_short(loadavg, max), short, "{loadavg}");
        }
    }

    #[test]
    fn this_machine_has_something() {
        let machine = Machine::probe(Path::new("/"), 110).unwrap();
        assert!(machine.capacity.cpu_millis >= 1000 && machine.capacity.memory > 0 && machine.capacity.storage > 0);
        assert!(!machine.hostname.is_empty() && !machine.addresses.is_empty());
    }
}
