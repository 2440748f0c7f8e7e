//! Listing: selectors, indexes and pages.

use std::sync::Arc;

use gantry_model::selector::{FieldSelector, LabelSelector};
use gantry_model::status::Reason;
use gantry_model::{Kind, Record, Status};
use gantry_store::{Error, Page, Range, Store};

use crate::fault;
use crate::options::{List, ListOptions};
use crate::token::Token;
use crate::verbs::Objects;

/// How many records are looked at in one go when only some of them match.
const CHUNK: usize = 1000;

/// Which objects of a kind are meant.
pub(crate) struct Filter {
    namespace: Option<String>,
    labels: LabelSelector,
    fields: FieldSelector,
}

impl Filter {
    /// 400 for selectors that can't be read.
    pub(crate) fn new(kind: &Kind, namespace: Option<&str>, labels: &str, fields: &str) -> Result<Self, Status> {
        let labels = LabelSelector::parse(labels)
            .map_err(|e| Status::bad_request(format!("unable to parse the label selector {labels:?}: {e}")))?;
        let fields = FieldSelector::parse(fields).map_err(|e| Status::bad_request(e.to_string()))?;
        if let Some(path) = fields.unsupported(kind) {
            return Err(Status::bad_request(format!("field label not supported: {path}")));
        }
        Ok(Self { namespace: namespace.map(str::to_owned), labels, fields })
    }

    pub(crate) fn matches(&self, record: &Record) -> bool {
        self.namespace.as_deref().is_none_or(|namespace| *record.key.namespace == *namespace)
            && self.labels.matches(&record.meta.labels)
            && self.fields.matches(record)
    }

    /// Whether everything in the namespace matches.
    fn is_everything(&self) -> bool {
        self.labels.is_everything() && self.fields.is_everything()
    }

    /// The few records that can match, where an index says which, and the revision at which they are all.
    fn candidates(&self, store: &dyn Store, kind: &Kind) -> Option<Page> {
        let namespace = match kind.namespaced() {
            true => self.namespace.as_deref().or_else(|| self.fields.exact("metadata.namespace")),
            false => Some(""),
        };
        if let (Some(name), Some(namespace)) = (self.fields.exact("metadata.name"), namespace) {
            return Some(store.indexed(&kind.resource(), Some(namespace), "metadata.name", name));
        }
        // An absent field is not in the index.
        let exact = |path: &&String| self.fields.exact(path).filter(|value| !value.is_empty());
        let (path, value) = kind.selectable_fields.iter().find_map(|path| Some((path, exact(&path)?)))?;
        Some(store.indexed(&kind.resource(), namespace, path, value))
    }
}

pub(crate) fn list(objects: &Objects, kind: &Kind, options: &ListOptions) -> Result<List, Status> {
    let namespace = options.namespace.as_deref();
    let filter = Filter::new(kind, namespace, &options.label_selector, &options.field_selector)?;
    let token = options.continue_token.as_deref().map(Token::decode).transpose()?;
    if let Some(token) = &token {
        still_kept(objects, kind, token)?;
    }
    let store = objects.store().as_ref();
    if options.limit == 0
        && token.is_none()
        && let Some(Page { records, revision, .. }) = filter.candidates(store, kind)
    {
        let items = records.into_iter().filter(|record| filter.matches(record)).collect();
        return Ok(List { items, revision, continue_token: None, remaining: None });
    }
    Ok(page(store, kind, &filter, options, token))
}

fn page(store: &dyn Store, kind: &Kind, filter: &Filter, options: &ListOptions, token: Option<Token>) -> List {
    let everything = filter.is_everything();
    let mut revision = token.as_ref().map(|token| token.revision);
    let mut after = token.map(|token| (token.namespace, token.name));
    let mut items: Vec<Arc<Record>> = Vec::new();
    loop {
        let limit = match (options.limit, everything) {
            (0, _) => 0,
            (limit, true) => limit - items.len(),
            (_, false) => CHUNK,
        };
        let range =
            Range { resource: kind.resource(), namespace: filter.namespace.clone(), after: after.take(), limit };
        let page = store.list(&range);
        let revision = *revision.get_or_insert(page.revision);
        let last = page.records.last().map(|record| (record.key.namespace.to_string(), record.key.name.to_string()));
        let count = page.records.len();
        for (at, record) in page.records.into_iter().enumerate() {
            if !filter.matches(&record) {
                continue;
            }
            items.push(record);
            let more = page.more || at + 1 < count;
            if options.limit > 0 && items.len() >= options.limit && more {
                return cut(items, revision, everything.then_some(page.remaining as u64));
            }
        }
        match last {
            Some(last) if page.more => after = Some(last),
            _ => return List { items, revision, continue_token: None, remaining: None },
        }
    }
}

/// A page behind which there may be more.
fn cut(items: Vec<Arc<Record>>, revision: u64, remaining: Option<u64>) -> List {
    let token = items.last().map(|last| Token::new(revision, &last.key.namespace, &last.key.name).encode());
    List { items, revision, continue_token: token, remaining }
}

/// 410 when the first page is so old that a watch could not go on from it.
fn still_kept(objects: &Objects, kind: &Kind, token: &Token) -> Result<(), Status> {
    match objects.store().watch(&kind.resource(), Some(token.revision)) {
        Ok(_) => Ok(()),
        Err(Error::Compacted { .. }) => Err(Status::new(
            Reason::Expired,
            "The provided continue parameter is too old to display a consistent list result. \
             You must start a new list without the continue parameter.",
        )),
        Err(error) => Err(fault::status(kind, "", &error)),
    }
}
