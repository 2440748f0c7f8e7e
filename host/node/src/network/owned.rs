//! What plans have put on a node, by plugin: written down before it is there, so that it can go when its plugin is not in
//! the bundle any more, also if nothing of ours ran when that happened.
//!
//! Tables and links are noted; routes go with their links. A value of `sysctl` stays: nobody knows what else relies on it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gantry_plugin::family::network::Operation;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::{info, warn};

use super::NetError;
use super::apply::Executor;
use super::clean::{delete_table, failed, tables};
use crate::whole;

/// Where that is written down, below the network's data directory.
pub(super) fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("owned")
}

/// Family and name of tables, and names of links.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Things {
    tables: BTreeSet<(String, String)>,
    links: BTreeSet<String>,
}

/// What the plans of one plugin have put on the node.
pub(crate) struct Owned {
    file: PathBuf,
    known: Mutex<Things>,
}

impl Owned {
    /// As it was written down last.
    pub(crate) fn open(data_dir: &Path, plugin: &str) -> Self {
        let file = folder(data_dir).join(format!("{plugin}.json"));
        let known = read(&file).inspect_err(|error| {
            warn!(file = %file.display(), %error, "what a plugin owned can't be read: what it does not make again stays for good");
        });
        Self { file, known: Mutex::new(known.unwrap_or_default()) }
    }

    /// Writes down what a plan is about to make. What is known costs no write.
    pub(super) fn note(&self, plan: &[Operation]) -> io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mut now = known.clone();
        plan.iter().for_each(|operation| made(operation, &mut now));
        if now != *known {
            write(&self.file, &now)?;
            *known = now;
        }
        Ok(())
    }
}

/// Removes what plugins other than these have put on the node. What can't be removed is left for the next time.
pub async fn retire(data_dir: &Path, stay: &[&str], node_netns: Option<&Path>) -> Result<(), NetError> {
    let files = match fs::read_dir(folder(data_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.map_err(|error| failed("read what plugins own", error))?,
    };
    let (mut kept, mut gone) = (Things::default(), Vec::new());
    // Not those that a crash left half-written.
    let whole = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "json");
    for file in files.filter_map(|entry| Some(entry.ok()?.path())).filter(whole) {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let things = match read(&file) {
            Ok(things) => things,
            Err(error) => {
                warn!(file = %file.display(), %error, "what a plugin owned can't be read: it stays");
                continue;
            }
        };
        if stay.contains(&name.as_str()) {
            kept.tables.extend(things.tables);
            kept.links.extend(things.links);
        } else {
            gone.push((name, file, things));
        }
    }
    for (plugin, file, mut things) in gone {
        // Another one may have taken them over.
        things.tables.retain(|table| !kept.tables.contains(table));
        things.links.retain(|link| !kept.links.contains(link));
        match remove(&things, node_netns).await {
            Ok(()) => {
                info!(plugin, tables = ?things.tables, links = ?things.links, "what a plugin that is gone owned is removed");
                fs::remove_file(&file).map_err(|error| failed(&format!("remove {}", file.display()), error))?;
            }
            Err(error) => warn!(plugin, %error, "what a plugin that is gone owned stays until the next start"),
        }
    }
    Ok(())
}

async fn remove(things: &Things, node_netns: Option<&Path>) -> Result<(), NetError> {
    let executor = Executor::open(node_netns.map(Path::to_owned)).await.map_err(|e| failed("netlink", e))?;
    // First what leads packets, then where they were led.
    let there = tables(node_netns).await.map_err(|e| failed("list tables", e))?;
    for table in there.iter().filter(|table| things.tables.contains(*table)) {
        delete_table(&executor, table).await?;
    }
    for link in &things.links {
        executor.node().delete(link).await.map_err(|e| failed(&format!("delete link {link}"), e))?;
    }
    Ok(())
}

fn made(operation: &Operation, things: &mut Things) {
    match operation {
        Operation::EnsureBridge(bridge) => drop(things.links.insert(bridge.name.clone())),
        Operation::EnsureVxlan(vxlan) => drop(things.links.insert(vxlan.name.clone())),
        Operation::Nftables(text) => things.tables.extend(tables_made(text)),
        _ => {}
    }
}

fn tables_made(text: &str) -> Vec<(String, String)> {
    let value: Value = serde_json::from_str(text).unwrap_or_default();
    let commands = value.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let table = |command: &Value| {
        let made = command.get("add").or_else(|| command.get("create"))?.get("table")?;
        let part = |name: &str| made.get(name).and_then(Value::as_str).map(str::to_owned);
        Some((part("family")?, part("name")?))
    };
    commands.filter_map(table).collect()
}

/// Nothing, if nothing was written down.
fn read(file: &Path) -> io::Result<Things> {
    match fs::read(file) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Things::default()),
        Err(error) => Err(error),
    }
}

fn write(file: &Path, things: &Things) -> io::Result<()> {
    whole::replace(file, &serde_json::to_vec(things)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_plugin::family::network::Bridge;

    #[test]
    fn what_is_made_is_written_down_before() {
        let data = tempfile::tempdir().unwrap();
        let owned = Owned::open(data.path(), "balancer");
        let bridge = Bridge { name: "gts0".into(), addresses: Vec::new(), mtu: 0, hairpin: false };
        let rules = |verb: &str, name: &str| {
            let table = serde_json::json!({verb: {"table": {"family": "ip", "name": name}}});
            Operation::Nftables(serde_json::json!({ "nftables": [table] }).to_string())
        };
        owned.note(&[Operation::EnsureBridge(bridge), rules("add", "gantry-a"), rules("delete", "gantry-b")]).unwrap();
        let again = Owned::open(data.path(), "balancer");
        let known = again.known.lock().unwrap().clone();
        assert_eq!(known.tables, BTreeSet::from([("ip".to_owned(), "gantry-a".to_owned())]));
        assert_eq!(known.links, BTreeSet::from(["gts0".to_owned()]));
        // What is known is not written again.
        fs::remove_dir_all(folder(data.path())).unwrap();
        again.note(&[rules("create", "gantry-a")]).unwrap();
        assert!(!folder(data.path()).exists());
    }
}
