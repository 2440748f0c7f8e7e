//! Who has which address and host port: one file per sandbox, written before anything of its plan is applied, and
//! removed after all of it is undone. The copy in memory is what plugins are told; the files are for the next start.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gantry_plugin::family::network as wit;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{PortMapping, Protocol, SandboxNet};
use crate::whole;

/// Of the files. A newer one is refused.
const FORMAT: u32 = 1;

/// Whether a sandbox is on its way in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Connected, or being connected.
    Attached,
    /// Being disconnected: never to be connected again.
    Detaching,
}

/// What a sandbox holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    format: u32,
    /// Its id.
    pub sandbox: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    ports: Vec<Port>,
    /// Its addresses in force.
    pub leases: Vec<IpAddr>,
    /// In or out.
    pub state: State,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Port {
    host_port: u16,
    container_port: u16,
    protocol: String,
    host_ip: String,
}

impl Record {
    /// Of a sandbox that gets these addresses.
    pub fn new(sandbox: &SandboxNet, leases: Vec<IpAddr>) -> Self {
        let port = |port: &PortMapping| Port {
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: match port.protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
                Protocol::Sctp => "sctp",
            }
            .to_owned(),
            host_ip: port.host_ip.clone(),
        };
        Self {
            format: FORMAT,
            sandbox: sandbox.id.clone(),
            namespace: sandbox.namespace.clone(),
            pod: sandbox.pod.clone(),
            uid: sandbox.uid.clone(),
            ports: sandbox.ports.iter().map(port).collect(),
            leases,
            state: State::Attached,
        }
    }

    /// As a plugin gets it.
    pub fn attachment(&self) -> wit::Attachment {
        let port = |port: &Port| wit::PortMapping {
            host_port: port.host_port,
            container_port: port.container_port,
            protocol: match port.protocol.as_str() {
                "udp" => wit::Protocol::Udp,
                "sctp" => wit::Protocol::Sctp,
                _ => wit::Protocol::Tcp,
            },
            host_ip: port.host_ip.clone(),
        };
        wit::Attachment {
            sandbox: self.sandbox.clone(),
            namespace: self.namespace.clone(),
            pod: self.pod.clone(),
            uid: self.uid.clone(),
            ports: self.ports.iter().map(port).collect(),
        }
    }

    /// Its leases as a plugin gets them.
    pub fn leases(&self) -> impl Iterator<Item = wit::Lease> + '_ {
        self.leases.iter().map(|a| wit::Lease { address: a.to_string(), sandbox: self.sandbox.clone() })
    }

    /// What both hold, in words.
    fn shared(&self, other: &Record) -> Option<String> {
        if let Some(address) = self.leases.iter().find(|address| other.leases.contains(address)) {
            return Some(format!("address {address}"));
        }
        let same = |a: &Port, b: &Port| {
            let anywhere = |port: &Port| matches!(port.host_ip.as_str(), "" | "0.0.0.0" | "::");
            (a.host_port, &a.protocol) == (b.host_port, &b.protocol)
                && (a.host_ip == b.host_ip || (anywhere(a) && anywhere(b)))
        };
        let port = self.ports.iter().find(|a| other.ports.iter().any(|b| same(a, b)))?;
        Some(format!("host port {}/{}", port.host_port, port.protocol))
    }
}

/// A record with what is known of it in this run only.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it holds.
    pub record: Record,
    /// The plan that disconnects it, once the plugin has given one. Who has given it has let go of the leases.
    pub ending: Option<Vec<wit::Operation>>,
    saved: bool,
}

/// Somebody else has what a sandbox is to get.
#[derive(Debug, PartialEq, Eq)]
pub struct Conflict {
    /// What.
    pub thing: String,
    /// Who.
    pub sandbox: String,
    /// Whether it is about to be free.
    pub passing: bool,
}

/// All records.
pub struct Leases {
    dir: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
    removed: watch::Sender<()>,
}

impl Leases {
    /// Those of a directory, which is made when it is needed. Reads nothing.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, entries: Mutex::default(), removed: watch::Sender::default() }
    }

    /// Reads the files. One that can't be read is an error: its addresses would be given out again.
    pub fn load(&self) -> io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let mut entries = BTreeMap::new();
        for file in fs::read_dir(&self.dir)? {
            let path = file?.path();
            match path.extension().and_then(|e| e.to_str()) {
                Some("json") => {
                    let record = read(&path)?;
                    entries.insert(record.sandbox.clone(), Entry { record, ending: None, saved: true });
                }
                // Half-written by a crash: nothing was applied after it.
                Some(whole::PARTIAL) => fs::remove_file(&path)?,
                _ => {}
            }
        }
        *self.entries() = entries;
        Ok(())
    }

    /// All.
    pub fn all(&self) -> Vec<Entry> {
        self.entries().values().cloned().collect()
    }

    /// One.
    pub fn get(&self, id: &str) -> Option<Entry> {
        self.entries().get(id).cloned()
    }

    /// Who has what this record is to hold.
    pub fn conflict(&self, record: &Record) -> Option<Conflict> {
        self.entries().values().filter(|entry| entry.record.sandbox != record.sandbox).find_map(|entry| {
            Some(Conflict {
                thing: record.shared(&entry.record)?,
                sandbox: entry.record.sandbox.clone(),
                passing: entry.record.state == State::Detaching,
            })
        })
    }

    /// Takes what a record holds, in memory: `save` follows.
    pub fn take(&self, record: Record) {
        let mut entries = self.entries();
        let saved = entries.get(&record.sandbox).is_some_and(|old| old.saved && old.record == record);
        entries.insert(record.sandbox.clone(), Entry { record, ending: None, saved });
    }

    /// Marks a record as on its way out, in memory: `save` follows.
    pub fn end(&self, id: &str, plan: Option<Vec<wit::Operation>>) {
        if let Some(entry) = self.entries().get_mut(id) {
            entry.saved &= entry.record.state == State::Detaching;
            entry.record.state = State::Detaching;
            entry.ending = plan;
        }
    }

    /// Writes a record so that it survives a loss of power.
    pub async fn save(&self, id: &str) -> io::Result<()> {
        let Some(entry) = self.get(id).filter(|entry| !entry.saved) else { return Ok(()) };
        let (path, bytes) = (self.dir.join(format!("{id}.json")), serde_json::to_vec(&entry.record)?);
        blocking(move || whole::replace(&path, &bytes)).await?;
        if let Some(now) = self.entries().get_mut(id) {
            now.saved = now.record == entry.record;
        }
        Ok(())
    }

    /// Removes a record: what it held is free.
    pub async fn remove(&self, id: &str) -> io::Result<()> {
        let (dir, path) = (self.dir.clone(), self.dir.join(format!("{id}.json")));
        blocking(move || match fs::remove_file(path) {
            Ok(()) => File::open(dir)?.sync_all(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        })
        .await?;
        self.forget(id);
        Ok(())
    }

    /// Forgets a record that was never saved.
    pub fn forget(&self, id: &str) {
        self.entries().remove(id);
        self.removed.send_replace(());
    }

    /// Changes whenever a record goes.
    pub fn removals(&self) -> watch::Receiver<()> {
        self.removed.subscribe()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn blocking<T: Send + 'static>(job: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(job).await.map_err(io::Error::other)?
}

fn read(path: &Path) -> io::Result<Record> {
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {why}", path.display()));
    let record: Record = serde_json::from_slice(&fs::read(path)?).map_err(|error| bad(error.to_string()))?;
    if record.format != FORMAT {
        return Err(bad(format!("it has format {}, and this version reads {FORMAT}", record.format)));
    }
    Ok(record)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sandbox(id: &str, ports: &[u16]) -> SandboxNet {
        let port = |p: &u16| PortMapping {
            host_port: *p,
            container_port: 80,
            protocol: Protocol::Udp,
            host_ip: String::new(),
        };
        SandboxNet {
            id: id.into(),
            namespace: "default".into(),
            pod: id.into(),
            uid: id.into(),
            ports: ports.iter().map(port).collect(),
        }
    }

    fn record(id: &str, ports: &[u16], address: &str) -> Record {
        Record::new(&sandbox(id, ports), vec![address.parse().unwrap()])
    }

    #[tokio::test]
    async fn only_what_was_saved_is_there_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let leases = Leases::new(dir.path().to_owned());
        leases.load().unwrap();
        for (id, address) in [("a", "10.0.0.2"), ("b", "10.0.0.3"), ("c", "10.0.0.4"), ("d", "10.0.0.5")] {
            leases.take(record(id, &[53], address));
            if id != "d" {
                leases.save(id).await.unwrap();
            }
        }
        leases.end("b", None);
        leases.save("b").await.unwrap();
        leases.remove("c").await.unwrap();
        fs::write(dir.path().join("e.partial"), "{").unwrap();

        let again = Leases::new(dir.path().to_owned());
        again.load().unwrap();
        let found: Vec<(String, State)> = again.all().into_iter().map(|e| (e.record.sandbox, e.record.state)).collect();
        assert_eq!(found, [("a".to_owned(), State::Attached), ("b".to_owned(), State::Detaching)]);
        assert_eq!(again.get("a").unwrap().record, record("a", &[53], "10.0.0.2"));
        assert!(matches!(again.get("a").unwrap().record.attachment().ports[0].protocol, wit::Protocol::Udp));
        assert!(!dir.path().join("e.partial").exists());
    }

    #[test]
    fn an_unreadable_record_is_an_error_that_names_the_file() {
        for text in ["", "{\"format\": 1", "{}"] {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join("a.json"), text).unwrap();
            let error = Leases::new(dir.path().to_owned()).load().unwrap_err().to_string();
            assert!(error.contains("a.json"), "{error}");
        }
    }

    #[test]
    fn conflicts_are_about_addresses_and_ports() {
        let leases = Leases::new(PathBuf::new());
        leases.take(record("a", &[53], "10.0.0.2"));
        let table = [
            (record("a", &[53], "10.0.0.2"), None),
            (record("b", &[54], "10.0.0.3"), None),
            (record("b", &[], "10.0.0.2"), Some("address 10.0.0.2")),
            (record("b", &[53], "10.0.0.3"), Some("host port 53/udp")),
        ];
        for (record, want) in table {
            assert_eq!(leases.conflict(&record).map(|c| c.thing).as_deref(), want, "{record:?}");
        }
        leases.end("a", None);
        assert!(leases.conflict(&record("b", &[], "10.0.0.2")).unwrap().passing);
    }
}
