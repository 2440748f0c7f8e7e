//! Removes whatever a node's network left behind, for a machine that is to be as it was before.

use std::fs;
use std::io;
use std::path::Path;

use nftables::helper::{DEFAULT_NFT, get_current_ruleset_raw};
use serde_json::{Value, json};

use super::NetError;
use super::apply::{Executor, nft_error};
use super::netns::{Namespaces, within};
use super::owned;
use super::plugged::records;

/// Whose leavings, and where.
pub struct Leavings<'a> {
    /// The pods' namespaces.
    pub netns_dir: &'a Path,
    /// The node's data directory.
    pub data_dir: &'a Path,
    /// Links of the node with one of these prefixes are ours.
    pub links: &'a [String],
    /// And so are nftables tables with one of these.
    pub tables: &'a [String],
    /// The namespace that plays the node; `None`: the one of this process.
    pub node_netns: Option<&'a Path>,
}

/// Removes links, routes, tables, namespaces and records. Nothing of ours may be running.
pub async fn clean(leavings: &Leavings<'_>) -> Result<(), NetError> {
    let executor = Executor::open(leavings.node_netns.map(Path::to_owned)).await.map_err(|e| failed("netlink", e))?;
    let ours = |name: &String, prefixes: &[String]| prefixes.iter().any(|p| !p.is_empty() && name.starts_with(p));
    for link in executor.node().names().await.map_err(|e| failed("list links", e))? {
        if ours(&link, leavings.links) {
            executor.node().delete(&link).await.map_err(|e| failed(&format!("delete link {link}"), e))?;
        }
    }
    executor.node().delete_routes(|_| true).await.map_err(|e| failed("delete routes", e))?;
    for table in tables(leavings.node_netns).await.map_err(|e| failed("list tables", e))? {
        if ours(&table.1, leavings.tables) {
            delete_table(&executor, &table).await?;
        }
    }
    let namespaces = Namespaces::new(leavings.netns_dir.to_owned());
    for id in namespaces.list().map_err(|e| failed("list network namespaces", e))? {
        namespaces.remove(&id).await.map_err(|e| failed(&format!("remove network namespace {id}"), e))?;
    }
    for folder in [records(leavings.data_dir), owned::folder(leavings.data_dir)] {
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(&format!("remove {}", folder.display()), error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes a table, by family and name.
pub(super) async fn delete_table(executor: &Executor, (family, name): &(String, String)) -> Result<(), NetError> {
    let delete = json!({"nftables": [{"delete": {"table": {"family": family, "name": name}}}]});
    executor.nftables(&delete.to_string()).await.map_err(|e| failed(&format!("delete table {name}"), e))
}

/// Family and name of every table.
pub(super) async fn tables(netns: Option<&Path>) -> io::Result<Vec<(String, String)>> {
    let text = within(netns, || {
        get_current_ruleset_raw(DEFAULT_NFT, ["list", "tables"]).map_err(|error| io::Error::other(nft_error(error)))
    })
    .await?;
    let value: Value = serde_json::from_str(&text)?;
    let tables = value.get("nftables").and_then(Value::as_array).into_iter().flatten();
    let text = |table: &Value, key| table.get(key).and_then(Value::as_str).map(str::to_owned);
    Ok(tables
        .filter_map(|entry| entry.get("table"))
        .filter_map(|table| Some((text(table, "family")?, text(table, "name")?)))
        .collect())
}

pub(super) fn failed(what: &str, error: impl std::fmt::Display) -> NetError {
    NetError::Failed(format!("{what}: {error}"))
}
