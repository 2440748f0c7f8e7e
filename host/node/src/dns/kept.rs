//! What a plugin's records were, on disk: a node that starts while its server is away answers with them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use hickory_proto::rr::LowerName;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::names::Names;
use super::records::RecordSet;
use super::tables::{Table, Tables, Zone};
use crate::whole;

/// Between two writes at least. Written once more in between, it would be the disk that answers.
const PAUSE: Duration = Duration::from_secs(5);

#[derive(Serialize, Deserialize)]
struct Document<Z, E> {
    names: Names,
    zones: Z,
    entries: E,
}

/// As it is read; it is written from what the tables have.
type Read = Document<Vec<Zone>, Vec<(LowerName, Vec<RecordSet>)>>;

/// A plugin's file.
pub(super) struct Kept {
    file: PathBuf,
    /// When it is to be written again.
    due: Option<Instant>,
    written: Option<Instant>,
}

impl Kept {
    /// Of the plugin with this name.
    pub(super) fn new(folder: &Path, plugin: &str) -> Self {
        Self { file: folder.join(format!("{plugin}.json")), due: None, written: None }
    }

    /// What it says; `None`: there is none, or it can't be read.
    pub(super) fn recall(&self) -> Option<(Names, Table)> {
        let bytes = fs::read(&self.file).ok()?;
        let read: Result<Read, _> = serde_json::from_slice(&bytes);
        let document = read
            .inspect_err(|error| tracing::warn!(file = %self.file.display(), %error, "kept names can't be read"))
            .ok()?;
        let mut table = Table::new(document.zones);
        document.entries.into_iter().for_each(|(name, sets)| table.set(name, sets));
        Some((document.names, table))
    }

    /// The records are others now.
    pub(super) fn changed(&mut self) {
        let now = Instant::now();
        let earliest = self.written.map_or(now, |written| written + PAUSE);
        self.due.get_or_insert(earliest.max(now));
    }

    /// Waits until it is to be written.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// Writes it. That it can't be written is no reason to stop.
    pub(super) async fn write(&mut self, names: Names, tables: Arc<RwLock<Tables>>, plugin: usize) {
        self.due = None;
        self.written = Some(Instant::now());
        let file = self.file.clone();
        let write = move || write(&file, names, &tables, plugin);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(write).await {
            tracing::warn!(file = %self.file.display(), %error, "names can't be kept for the next start");
        }
    }
}

fn write(file: &Path, names: Names, tables: &RwLock<Tables>, plugin: usize) -> io::Result<()> {
    let bytes = {
        let tables = tables.read().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = tables.of(plugin) else { return Ok(()) };
        let entries: Vec<(&LowerName, &[RecordSet])> = table.entries().collect();
        serde_json::to_vec(&Document { names, zones: table.zones(), entries })?
    };
    whole::replace(file, &bytes)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::{A, SRV, TXT};
    use hickory_proto::rr::{Name, RData, RecordType};

    use super::*;

    #[tokio::test]
    async fn what_was_known_is_known_again() {
        let folder = tempfile::tempdir().unwrap();
        let lower = |text: &str| text.parse::<LowerName>().unwrap();
        let zone = Zone { origin: lower("cluster.local."), negative_ttl: 5, fallthrough: false };
        let mut table = Table::new(vec![zone]);
        let set = |kind, data| RecordSet { kind, ttl: 5, data: vec![data] };
        let target = Name::from_ascii("web.cluster.local.").unwrap();
        table.set(lower("web.cluster.local."), vec![set(RecordType::A, RData::A(A::new(10, 0, 0, 1)))]);
        table.set(
            lower("_http._tcp.web.cluster.local."),
            vec![
                set(RecordType::SRV, RData::SRV(SRV::new(0, 1, 80, target))),
                set(RecordType::TXT, RData::TXT(TXT::new(vec!["1.1.0".to_owned()]))),
            ],
        );
        let mut tables = Tables::new(1);
        tables.replace(0, table.clone());
        let names = Names::testing([169, 254, 20, 10].into());
        let mut kept = Kept::new(&folder.path().join("dns"), "stock");
        assert!(kept.recall().is_none());
        kept.changed();
        kept.due().await;
        kept.write(names.clone(), Arc::new(RwLock::new(tables)), 0).await;
        let (found, recalled) = kept.recall().unwrap();
        let sorted = |table: &Table| {
            let mut all: Vec<_> = table.entries().map(|(name, sets)| (name.clone(), sets.to_vec())).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            all
        };
        assert_eq!(sorted(&recalled), sorted(&table));
        assert_eq!(recalled.zones(), table.zones());
        assert_eq!(found.at([169, 254, 20, 10].into()), names, "the server is where this start says");
        fs::write(folder.path().join("dns/stock.json"), "{").unwrap();
        assert!(kept.recall().is_none());
    }
}
