//! What kinds of object there are: names, scope, schema, subresources, printer columns.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::Resource;
use crate::schema::node::{self, Arena};

/// Whether objects of a kind live in a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// One for the whole cluster.
    Cluster,
}

/// A column of `kubectl get`, as in a CustomResourceDefinition's `additionalPrinterColumns`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PrinterColumn {
    /// Heading.
    pub name: String,
    /// OpenAPI type: string, integer, boolean, number, date.
    #[serde(rename = "type")]
    pub type_: String,
    /// OpenAPI format, may be empty.
    #[serde(default)]
    pub format: String,
    /// Explains the column.
    #[serde(default)]
    pub description: String,
    /// 0 shows always, more only with `-o wide`.
    #[serde(default)]
    pub priority: i32,
    /// Where the value is: Kubernetes' JSONPath subset (`.spec.replicas`).
    pub json_path: String,
}

/// Where the `scale` subresource finds its fields, as in a CustomResourceDefinition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScalePaths {
    /// `.spec.replicas`
    pub spec_replicas_path: String,
    /// `.status.replicas`
    pub status_replicas_path: String,
    /// `.status.selector` or a path to a LabelSelector in the spec.
    #[serde(default)]
    pub label_selector_path: Option<String>,
}

/// Who declared a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The host.
    Core,
    /// The plugin of this name.
    Plugin(String),
    /// The CustomResourceDefinition of this name.
    Definition(String),
}

/// One kind in one version. Objects are stored once, whatever the version they are served in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kind {
    /// API group; empty for core.
    pub group: String,
    /// `v1`
    pub version: String,
    /// `Deployment`
    pub kind: String,
    /// `deployments`
    pub plural: String,
    /// `deployment`
    pub singular: String,
    /// `deploy`
    pub short_names: Vec<String>,
    /// `all`
    pub categories: Vec<String>,
    /// In a namespace or not.
    pub scope: Scope,
    /// The OpenAPI v3 schema; `$ref` may name other definitions (`#/definitions/io.k8s.api.core.v1.PodSpec`).
    pub schema: Arc<Value>,
    /// The definition's name, e.g. `io.k8s.api.apps.v1.Deployment`.
    pub definition: String,
    /// Whether `/status` is served.
    pub status: bool,
    /// Whether `/scale` is served.
    pub scale: Option<ScalePaths>,
    /// Columns besides NAME and AGE.
    pub columns: Vec<PrinterColumn>,
    /// Field selectors served besides metadata.name and metadata.namespace: `spec.nodeName`.
    pub selectable_fields: Vec<String>,
    /// Who declared it.
    pub origin: Origin,
}

impl Kind {
    /// The storage name.
    pub fn resource(&self) -> Resource {
        Resource::new(&self.group, &self.plural)
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `PodList`
    pub fn list_kind(&self) -> String {
        format!("{}List", self.kind)
    }

    /// Whether objects live in a namespace.
    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

/// Every kind known now. Cheap to clone; all clones see the same set, which changes while the host runs.
#[derive(Clone, Default)]
pub struct Kinds {
    inner: Arc<RwLock<Table>>,
}

#[derive(Default)]
struct Table {
    kinds: BTreeMap<(String, String, String), Arc<Kind>>,
    definitions: BTreeMap<String, Definition>,
    generation: u64,
    /// Schemas made ready, by the address of the schema, which the entry keeps alive. Emptied by every change.
    compiled: HashMap<usize, (Arc<Value>, Arc<Arena>)>,
}

/// Most definitions are never looked at while the host runs: those of the host stay text until then.
#[derive(Clone)]
enum Definition {
    Parsed(Arc<Value>),
    Text(&'static str),
}

impl Definition {
    fn value(&self) -> Arc<Value> {
        match self {
            Definition::Parsed(value) => value.clone(),
            Definition::Text(text) => Arc::new(serde_json::from_str(text).unwrap_or_default()),
        }
    }
}

impl Table {
    fn change(&mut self) {
        self.generation += 1;
        self.compiled.clear();
    }
}

impl Kinds {
    /// Adds a kind or replaces the one of the same group, version and plural.
    pub fn insert(&self, kind: Kind) {
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        table.change();
        table.kinds.insert((kind.group.clone(), kind.version.clone(), kind.plural.clone()), Arc::new(kind));
    }

    /// Puts these kinds in the place of all of one origin, at once: whoever reads finds the old ones or the new ones. Kinds
    /// of other origins stay, but for those of the same group, version and plural.
    pub fn replace(&self, origin: &Origin, kinds: impl IntoIterator<Item = Kind>) {
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        table.change();
        table.kinds.retain(|_, kind| &kind.origin != origin);
        let named = |kind: Kind| ((kind.group.clone(), kind.version.clone(), kind.plural.clone()), Arc::new(kind));
        table.kinds.extend(kinds.into_iter().map(named));
    }

    /// Forgets every kind of this origin.
    pub fn remove(&self, origin: &Origin) {
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        table.change();
        table.kinds.retain(|_, kind| &kind.origin != origin);
    }

    /// By group, version and plural: how URLs name it.
    pub fn by_resource(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Kind>> {
        self.read(|t| t.kinds.get(&(group.to_owned(), version.to_owned(), plural.to_owned())).cloned())
    }

    /// By group and kind, the newest version first.
    pub fn by_kind(&self, group: &str, kind: &str) -> Option<Arc<Kind>> {
        self.read(|t| t.kinds.values().rev().find(|k| k.group == group && k.kind == kind).cloned())
    }

    /// By the storage name.
    pub fn of(&self, resource: &Resource) -> Option<Arc<Kind>> {
        self.read(|t| {
            t.kinds.values().rev().find(|k| *k.group == *resource.group && *k.plural == *resource.plural).cloned()
        })
    }

    /// All, ordered by group, version and plural.
    pub fn all(&self) -> Vec<Arc<Kind>> {
        self.read(|t| t.kinds.values().cloned().collect())
    }

    /// Adds definitions that schemas may refer to by name.
    pub fn define(&self, definitions: impl IntoIterator<Item = (String, Value)>) {
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        table.change();
        let parsed = |(name, schema)| (name, Definition::Parsed(Arc::new(schema)));
        table.definitions.extend(definitions.into_iter().map(parsed));
    }

    /// Adds definitions as JSON text, which is parsed when it is asked for.
    pub fn define_text(&self, definitions: impl IntoIterator<Item = (&'static str, &'static str)>) {
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        table.change();
        let text = |(name, text): (&str, &'static str)| (name.to_owned(), Definition::Text(text));
        table.definitions.extend(definitions.into_iter().map(text));
    }

    /// The definition of this name.
    pub fn definition(&self, name: &str) -> Option<Arc<Value>> {
        self.read(|t| t.definitions.get(name).cloned()).map(|d| d.value())
    }

    /// All definitions by name. Costs tens of milliseconds: for building documents, not for requests.
    pub fn definitions(&self) -> BTreeMap<String, Arc<Value>> {
        let definitions = self.read(|t| t.definitions.clone());
        definitions.into_iter().map(|(name, definition)| (name, definition.value())).collect()
    }

    /// The kind's schema made ready for use.
    pub(crate) fn compiled(&self, kind: &Kind) -> Arc<Arena> {
        let address = Arc::as_ptr(&kind.schema) as usize;
        let found = self.read(|t| (t.compiled.get(&address).map(|(_, arena)| arena.clone()), t.generation));
        let (None, generation) = found else { return found.0.unwrap_or_default() };
        let arena = Arc::new(node::compile(self, &kind.schema, &kind.definition));
        let mut table = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        // Kinds that changed meanwhile would make it stale.
        if table.generation == generation {
            table.compiled.insert(address, (kind.schema.clone(), arena.clone()));
        }
        arena
    }

    /// Grows with every change: what is derived from the set (discovery, OpenAPI) is cached under it.
    pub fn generation(&self) -> u64 {
        self.read(|t| t.generation)
    }

    fn read<T>(&self, f: impl FnOnce(&Table) -> T) -> T {
        f(&self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }
}
