//! How a verb is to be carried out.

use std::sync::Arc;

use gantry_model::Record;
use serde_json::Value;

/// What unknown and duplicate fields do (`fieldValidation`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldValidation {
    /// Dropped in silence.
    Ignore,
    /// Dropped with a warning.
    #[default]
    Warn,
    /// An error.
    Strict,
}

/// Which part of an object a write concerns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Subresource {
    /// Everything but the status.
    #[default]
    None,
    /// The status only.
    Status,
    /// An autoscaling/v1 Scale of it.
    Scale,
}

impl Subresource {
    /// The word in paths; empty for the object itself.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Subresource::None => "",
            Subresource::Status => "status",
            Subresource::Scale => "scale",
        }
    }
}

/// What must hold of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Preconditions {
    /// Its uid.
    pub uid: Option<String>,
    /// Its revision.
    pub resource_version: Option<String>,
}

/// Who asks, as reviewers see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: String,
    /// Its groups.
    pub groups: Vec<String>,
}

/// Options of create, update and patch.
#[derive(Clone, Debug, Default)]
pub struct WriteOptions {
    /// Who writes, for `managedFields`: a field manager's name (`kubectl`, `plugin:controller-workloads`).
    pub manager: String,
    /// On whose behalf; `None`: the host's own.
    pub user: Option<Arc<User>>,
    /// Do everything but the write.
    pub dry_run: bool,
    /// For unknown and duplicate fields.
    pub validation: FieldValidation,
    /// Paths of fields that the client gave more than once, of which the last counted.
    pub duplicates: Vec<String>,
    /// Take fields over from other managers (server-side apply only).
    pub force: bool,
    /// Which part.
    pub subresource: Subresource,
    /// What must hold.
    pub preconditions: Preconditions,
}

impl WriteOptions {
    /// What to do about fields that are not as they should be, and those that are known to be twice there.
    pub(crate) fn fields(&self) -> (FieldValidation, &[String]) {
        (self.validation, &self.duplicates)
    }
}

/// The four patch types.
#[derive(Clone, Debug)]
pub enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// Kubernetes' own, with merge keys.
    Strategic(Value),
    /// Server-side apply.
    Apply(Value),
}

/// What happens to dependents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    /// Deleted after the owner, by the garbage collector.
    Background,
    /// Deleted before the owner.
    Foreground,
    /// Left, without the ownerReference.
    Orphan,
}

/// Options of delete.
#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    /// On whose behalf; `None`: the host's own.
    pub user: Option<Arc<User>>,
    /// For dependents. `None`: as an earlier deletion or the object's own finalizers say, else in the background.
    pub propagation: Option<Propagation>,
    /// Seconds; `None`: the object's own.
    pub grace_seconds: Option<i64>,
    /// What must hold.
    pub preconditions: Preconditions,
    /// Do everything but the write.
    pub dry_run: bool,
}

/// What a list reads.
#[derive(Clone, Debug, Default)]
pub struct ListOptions {
    /// All when `None`.
    pub namespace: Option<String>,
    /// Kubernetes syntax, empty: all.
    pub label_selector: String,
    /// Kubernetes syntax, empty: all.
    pub field_selector: String,
    /// 0: no limit.
    pub limit: usize,
    /// From the page before.
    pub continue_token: Option<String>,
}

/// What a watch delivers. Selectors as in [`ListOptions`].
#[derive(Clone, Debug, Default)]
pub struct WatchOptions {
    /// All when `None`.
    pub namespace: Option<String>,
    /// Kubernetes syntax, empty: all.
    pub label_selector: String,
    /// Kubernetes syntax, empty: all.
    pub field_selector: String,
    /// Changes after this revision. `None`: begin with an `Added` for everything there is.
    pub from: Option<u64>,
}

/// The outcome of a list.
#[derive(Clone, Debug)]
pub struct List {
    /// In key order.
    pub items: Vec<Arc<Record>>,
    /// Where to watch from.
    pub revision: u64,
    /// For the next page.
    pub continue_token: Option<String>,
    /// How many are left, where it is known (no selectors).
    pub remaining: Option<u64>,
}

/// The outcome of a write.
#[derive(Clone, Debug)]
pub struct Written {
    /// The object now (with `dry_run`: as it would be). For a delete: its last state, or its state with a
    /// deletionTimestamp.
    pub record: Arc<Record>,
    /// For the client's eyes (`Warning:` headers).
    pub warnings: Vec<String>,
    /// Whether the write made the object (create, or server-side apply of a new one).
    pub created: bool,
    /// Whether a delete removed it for good at once.
    pub removed: bool,
}
