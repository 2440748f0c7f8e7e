//! The contract of a store, with etcd's semantics: compare-and-swap on revision, watch from a revision, compaction.

use std::sync::Arc;

use async_trait::async_trait;
use gantry_model::key::Resource;
use gantry_model::{Draft, Key, Record};

use crate::Error;

/// What must be true of a key for a write to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is no object.
    Absent,
    /// The object is at this revision.
    Revision(u64),
}

/// What a write does.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "most writes are puts; a box would cost each of them an allocation")]
pub enum Op {
    /// Puts this object.
    Put(Draft),
    /// Removes the object.
    Delete,
}

/// One write to one key.
#[derive(Clone, Debug)]
pub struct Write {
    /// Where.
    pub key: Key,
    /// On what condition.
    pub expect: Expect,
    /// What.
    pub op: Op,
}

/// A change of one object.
#[derive(Clone, Debug)]
pub struct Event {
    /// The revision that this change made.
    pub revision: u64,
    /// The object now; for a deletion its last state, with `deleted` set and the deletion's revision.
    pub record: Arc<Record>,
    /// The object before; `None` for a creation, and for events replayed from before a restart where it is not known.
    pub previous: Option<Arc<Record>>,
    /// Whether the object is gone.
    pub deleted: bool,
}

/// Which keys a list reads. `after` and `limit` page through it.
#[derive(Clone, Debug)]
pub struct Range {
    /// The kind.
    pub resource: Resource,
    /// All namespaces when `None`.
    pub namespace: Option<String>,
    /// Continue behind this (namespace, name).
    pub after: Option<(String, String)>,
    /// At most this many records are looked at; 0: no limit.
    pub limit: usize,
}

/// A consistent part of a list.
#[derive(Clone, Debug)]
pub struct Page {
    /// In key order.
    pub records: Vec<Arc<Record>>,
    /// The store's revision when it was read: where to watch from.
    pub revision: u64,
    /// Whether there is more behind the last record.
    pub more: bool,
    /// How many there are behind the last record.
    pub remaining: usize,
}

/// A stream of changes of one resource, in revision order, without gaps.
#[async_trait]
pub trait Watch: Send {
    /// The next changes, at least one. Waits for them. `Compacted` when the reader was too slow: list anew.
    async fn next(&mut self) -> Result<Vec<Arc<Event>>, Error>;

    /// The revision up to which this watch has delivered everything: what a bookmark says.
    fn revision(&self) -> u64;
}

/// A durable, watchable set of objects. Reads never wait; a write returns after it is on disk, and is visible to every
/// read that begins after that.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The last revision.
    fn revision(&self) -> u64;

    /// One object.
    fn get(&self, key: &Key) -> Option<Arc<Record>>;

    /// Objects of a kind, in key order.
    fn list(&self, range: &Range) -> Page;

    /// Objects that have an ownerReference to this uid, of any kind, in key order.
    fn owned(&self, uid: &str) -> Vec<Arc<Record>>;

    /// Objects of a kind that have no controller (no ownerReference with `controller: true`), of one namespace or of all,
    /// in key order. From an index that is made at the first call for a kind, which goes over all of that kind.
    fn orphans(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Record>>;

    /// Objects of a kind whose selectable field has this value (`spec.nodeName` = `n1`), of one namespace or of all, from
    /// an index. One page with all of them: its revision is that of the very state that was read.
    fn indexed(&self, resource: &Resource, namespace: Option<&str>, field: &str, value: &str) -> Page;

    /// Makes one write and waits until it is durable. For a deletion the answer is the last state at the new revision.
    async fn write(&self, write: Write) -> Result<Arc<Record>, Error>;

    /// Changes of one kind after revision `from`; `None`: after now.
    fn watch(&self, resource: &Resource, from: Option<u64>) -> Result<Box<dyn Watch>, Error>;

    /// Makes everything durable and stops. Later writes fail.
    async fn close(&self);
}
