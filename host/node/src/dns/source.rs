//! One plugin: what changed, its records, the tables.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use gantry_plugin::family::discovery::{Change, Description, NodeInfo, Source as Wanted};
use gantry_plugin::family::{Error as Refusal, KindRef};
use gantry_plugin::{Discovery, Fault};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::documents::Documents;
use super::kept::Kept;
use super::names::Names;
use super::records;
use super::tables::{Table, Tables};
use crate::cluster::{Cluster, PodEvent, Steady};
use crate::pauses::Pauses;

/// Batches of changes that wait while the plugin is being told of others. Whoever brings more waits too.
const WAITING: usize = 64;

/// One plugin's part.
pub(super) struct Source {
    /// Its place in the bundle's order.
    pub number: usize,
    pub plugin: Box<dyn Discovery>,
    pub name: String,
    pub node: NodeInfo,
    pub cluster: Arc<dyn Cluster>,
    pub tables: Arc<RwLock<Tables>>,
    pub kept: Kept,
    /// How pods' resolvers are set up, once that is known.
    pub names: watch::Sender<Option<Arc<Names>>>,
    pub server: IpAddr,
    pub followed: Option<Followed>,
}

/// What it wants to see.
pub(super) struct Followed {
    wanted: Vec<(KindRef, String, String)>,
    documents: Documents,
    seen: mpsc::Receiver<(usize, Vec<PodEvent>)>,
    _feeds: JoinSet<()>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    /// The plugin is at fault.
    #[error("{0}")]
    Fault(#[from] Fault),
    /// The plugin refuses.
    #[error("{0}")]
    Refused(String),
}

impl From<Refusal> for Error {
    fn from(error: Refusal) -> Self {
        Error::Refused(error.message)
    }
}

impl Source {
    /// Works for ever.
    pub(super) async fn run(mut self) {
        if let Some((names, table)) = self.kept.recall() {
            info!(
                plugin = self.name,
                records = table.records(),
                "answering with the names of last time until there are others"
            );
            self.tables.write().unwrap_or_else(PoisonError::into_inner).replace(self.number, table);
            self.announce(names.at(self.server));
        }
        let mut pauses = Pauses::of_work();
        loop {
            let begun = Instant::now();
            let Err(error) = self.serve().await else { return };
            warn!(plugin = self.name, %error, "names are told anew; what was known last is answered");
            metrics::counter!("gantry_dns_failures_total", "plugin" => self.name.clone()).increment(1);
            pauses.worked(begun.elapsed());
            pauses.wait().await;
        }
    }

    /// A new instance, everything, then every change. Ends with an error, or when nothing comes any more.
    async fn serve(&mut self) -> Result<(), Error> {
        let description = self.plugin.reset(self.node.clone()).await??;
        let names = Names::of(&description, self.server);
        self.announce(names.clone());
        let mut followed = self.follow(&description);
        let outcome = self.tell(&mut followed, &description, &names).await;
        self.followed = Some(followed);
        outcome
    }

    async fn tell(&mut self, followed: &mut Followed, description: &Description, names: &Names) -> Result<(), Error> {
        while !followed.documents.is_complete() {
            let Some((kind, events)) = followed.seen.recv().await else { return Ok(()) };
            followed.documents.take(kind, events);
        }
        self.everything(&mut followed.documents, description).await?;
        info!(plugin = self.name, "names are answered");
        loop {
            tokio::select! {
                next = followed.seen.recv() => {
                    let Some((kind, events)) = next else { return Ok(()) };
                    followed.documents.take(kind, events);
                    // What came meanwhile goes along.
                    while let Ok((kind, events)) = followed.seen.try_recv() {
                        followed.documents.take(kind, events);
                    }
                    self.changes(&mut followed.documents).await?;
                }
                () = self.kept.due() => self.kept.write(names.clone(), self.tables.clone(), self.number).await,
            }
        }
    }

    /// Everything, into a table that takes the place of the old one when it is whole.
    async fn everything(&mut self, documents: &mut Documents, description: &Description) -> Result<(), Error> {
        let begun = Instant::now();
        let mut table = Table::described(description);
        documents.forget();
        let mut full = true;
        while full || documents.is_dirty() {
            let changes = self.plugin.sync(full, &documents.piece()).await??;
            self.put(&mut table, &changes);
            full = false;
        }
        self.tables.write().unwrap_or_else(PoisonError::into_inner).replace(self.number, table);
        self.done(begun);
        Ok(())
    }

    /// What was not told yet.
    async fn changes(&mut self, documents: &mut Documents) -> Result<(), Error> {
        while documents.is_dirty() {
            let begun = Instant::now();
            let changes = self.plugin.sync(false, &documents.piece()).await??;
            if changes.is_empty() {
                continue;
            }
            let tables = self.tables.clone();
            if let Some(table) = tables.write().unwrap_or_else(PoisonError::into_inner).of_mut(self.number) {
                self.put(table, &changes);
            }
            self.done(begun);
        }
        Ok(())
    }

    /// Leaves out what can't be: one bad record is no reason to answer nothing.
    fn put(&self, table: &mut Table, changes: &[Change]) {
        let mut wrong = 0;
        for change in changes {
            match records::read(change).filter(|said| table.covers(&said.name)) {
                Some(said) => {
                    wrong += said.wrong;
                    table.set(said.name, said.sets);
                }
                None => {
                    wrong += 1;
                    debug!(plugin = self.name, name = change.name, "no name in the plugin's zones");
                }
            }
        }
        if wrong > 0 {
            warn!(plugin = self.name, wrong, "records that can't be are left out");
            let wrong = u64::try_from(wrong).unwrap_or(u64::MAX);
            metrics::counter!("gantry_dns_wrong_records_total", "plugin" => self.name.clone()).increment(wrong);
        }
    }

    fn done(&mut self, begun: Instant) {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let records = tables.of(self.number).map_or(0, Table::records);
        drop(tables);
        let plugin = || self.name.clone();
        metrics::gauge!("gantry_dns_records", "plugin" => plugin()).set(records as f64);
        metrics::histogram!("gantry_dns_sync_seconds", "plugin" => plugin()).record(begun.elapsed().as_secs_f64());
        self.kept.changed();
    }

    /// Pods' search lists are those of the first plugin of the bundle.
    fn announce(&self, names: Names) {
        if self.number == 0 {
            self.names.send_if_modified(|known| {
                let other = known.as_deref() != Some(&names);
                if other {
                    *known = Some(Arc::new(names));
                }
                other
            });
        }
    }

    /// Feeds of what the plugin wants to see: those that there are, if it wants the same.
    fn follow(&mut self, description: &Description) -> Followed {
        let key = |wanted: &Wanted| (wanted.kind.clone(), wanted.version.clone(), wanted.plural.clone());
        let wanted: Vec<_> = description.sources.iter().map(key).collect();
        let same = |followed: &Followed| {
            let texts = |all: &[(KindRef, String, String)]| -> Vec<String> {
                all.iter()
                    .map(|(kind, version, plural)| format!("{}/{}/{version}/{plural}", kind.group, kind.kind))
                    .collect()
            };
            texts(&followed.wanted) == texts(&wanted)
        };
        if let Some(followed) = self.followed.take().filter(same) {
            return followed;
        }
        let (tell, seen) = mpsc::channel(WAITING);
        let mut feeds = JoinSet::new();
        for (number, (kind, version, plural)) in wanted.iter().enumerate() {
            let feed = Steady::new("named objects", self.cluster.follow(&kind.group, version, plural));
            feeds.spawn(feed.tell(tell.clone(), move |events| (number, events)));
        }
        let documents = Documents::new(wanted.iter().map(|(kind, ..)| kind.clone()).collect());
        Followed { wanted, documents, seen, _feeds: feeds }
    }
}
