//! Watching with selectors.

use std::sync::Arc;

use gantry_model::{Kind, Record, Status};
use gantry_store::{Error, Event, Watch};

use crate::fault;
use crate::list::{self, Filter};
use crate::options::{ListOptions, WatchOptions};
use crate::verbs::{Change, Objects};

/// A running watch.
pub struct Changes {
    watch: Box<dyn Watch>,
    filter: Filter,
    /// What was there before the watch.
    initial: Vec<Arc<Record>>,
}

impl Changes {
    pub(crate) fn start(objects: &Objects, kind: &Kind, options: &WatchOptions) -> Result<Self, Status> {
        let filter = Filter::new(kind, options.namespace.as_deref(), &options.label_selector, &options.field_selector)?;
        let (from, initial) = match options.from {
            Some(from) => (from, Vec::new()),
            None => {
                let list = ListOptions {
                    namespace: options.namespace.clone(),
                    label_selector: options.label_selector.clone(),
                    field_selector: options.field_selector.clone(),
                    ..ListOptions::default()
                };
                let list = list::list(objects, kind, &list)?;
                (list.revision, list.items)
            }
        };
        let watch =
            objects.store().watch(&kind.resource(), Some(from)).map_err(|error| fault::status(kind, "", &error))?;
        Ok(Self { watch, filter, initial })
    }

    /// The next changes, at least one; waits. 410 when the watcher was too slow. Nothing is lost when the future is
    /// dropped.
    pub async fn next(&mut self) -> Result<Vec<Change>, Status> {
        if !self.initial.is_empty() {
            return Ok(std::mem::take(&mut self.initial).into_iter().map(Change::Added).collect());
        }
        loop {
            let events = self.watch.next().await.map_err(|error| ended(&error))?;
            let changes: Vec<Change> = events.iter().filter_map(|event| change(&self.filter, event)).collect();
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    /// The revision up to which everything was delivered: for bookmarks.
    pub fn revision(&self) -> u64 {
        self.watch.revision()
    }
}

fn ended(error: &Error) -> Status {
    match error {
        Error::Compacted { asked, oldest } => {
            Status::new(gantry_model::status::Reason::Expired, format!("too old resource version: {asked} ({oldest})"))
        }
        other => Status::internal(other.to_string()),
    }
}

/// The change as seen through the selectors; `None`: not at all.
fn change(filter: &Filter, event: &Event) -> Option<Change> {
    let record = &event.record;
    let previous = event.previous.as_deref();
    let matched = previous.map(|previous| filter.matches(previous));
    if event.deleted {
        return matched.unwrap_or_else(|| filter.matches(record)).then(|| Change::Deleted(record.clone()));
    }
    match (previous.filter(|_| matched == Some(true)), filter.matches(record)) {
        (Some(_), true) => Some(Change::Modified(record.clone())),
        // Who selects by a label expects to find it in what it is told, so this is what the selection had of the object.
        (Some(previous), false) => Some(Change::Deleted(Arc::new(previous.restamped(record.revision)))),
        (None, true) => Some(Change::Added(record.clone())),
        (None, false) => None,
    }
}
