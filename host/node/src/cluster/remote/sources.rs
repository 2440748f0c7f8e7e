//! ConfigMaps and Secrets that pods of the node read, one watch each: a node may not see any others.

use std::collections::HashMap;

use async_trait::async_trait;
use gantry_model::Status;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Client;
use super::watcher::{Target, Watcher};
use crate::cluster::{Source, SourceFeed, Wanted};

/// Changes that nobody has taken yet; more wait in their watches.
const WAITING: usize = 64;

type Name = (String, String);

pub struct Sources {
    client: Client,
    source: Source,
    wanted: Wanted,
    /// Ends with the feed.
    watches: HashMap<Name, AbortOnDropHandle<()>>,
    tell: mpsc::Sender<Name>,
    told: mpsc::Receiver<Name>,
    /// Nobody is left who could want anything else.
    settled: bool,
}

impl Sources {
    pub fn new(client: Client, source: Source, mut wanted: Wanted) -> Self {
        wanted.mark_changed();
        let (tell, told) = mpsc::channel(WAITING);
        Self { client, source, wanted, watches: HashMap::new(), tell, told, settled: false }
    }

    fn adjust(&mut self) {
        let wanted = self.wanted.borrow_and_update().clone();
        self.watches.retain(|name, _| wanted.contains(name));
        for name in wanted.iter() {
            if !self.watches.contains_key(name) {
                let follow = follow(self.watcher(name), name.clone(), self.tell.clone());
                self.watches.insert(name.clone(), AbortOnDropHandle::new(tokio::spawn(follow)));
            }
        }
    }

    fn watcher(&self, (namespace, name): &Name) -> Watcher {
        let target = Target {
            version: "v1".to_owned(),
            plural: self.source.plural().to_owned(),
            namespace: namespace.clone(),
            field_selector: format!("metadata.name={name}"),
            ..Target::default()
        };
        Watcher::new(self.client.clone(), target)
    }
}

/// Tells of the object as it is first too: it may have changed since whoever wants it has read it.
async fn follow(mut watcher: Watcher, name: Name, tell: mpsc::Sender<Name>) {
    loop {
        watcher.next().await;
        if tell.send(name.clone()).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl SourceFeed for Sources {
    async fn next(&mut self) -> Result<Option<Vec<Name>>, Status> {
        loop {
            tokio::select! {
                // There always is a sender: this feed's own.
                Some(name) = self.told.recv() => {
                    let mut names = vec![name];
                    while let Ok(name) = self.told.try_recv() {
                        names.push(name);
                    }
                    return Ok(Some(names));
                }
                changed = self.wanted.changed(), if !self.settled => match changed {
                    Ok(()) => self.adjust(),
                    Err(_) => self.settled = true,
                },
            }
        }
    }
}
