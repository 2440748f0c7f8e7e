//! Schemas at work: finding one's way in them, dropping unknown fields, checking values, filling in defaults.
//!
//! A kind's schema is OpenAPI v3 with Kubernetes' extensions. It is made ready once per change of the set of kinds
//! and kept there; using it costs no parsing.

mod check;
mod fill;
mod immutable;
pub(crate) mod node;
mod prune;

use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::kind::{Kind, Kinds};
use crate::path::Path;
use crate::status::Cause;
pub(crate) use check::Check;
use node::{Arena, Node};

/// A JSON type as schemas name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `object`
    Object,
    /// `array`
    Array,
    /// `string`
    String,
    /// `integer`
    Integer,
    /// `number`
    Number,
    /// `boolean`
    Boolean,
}

impl Type {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "object" => Type::Object,
            "array" => Type::Array,
            "string" => Type::String,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "boolean" => Type::Boolean,
            _ => return None,
        })
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Object => "object",
            Type::Array => "array",
            Type::String => "string",
            Type::Integer => "integer",
            Type::Number => "number",
            Type::Boolean => "boolean",
        })
    }
}

/// How lists merge (`x-kubernetes-list-type`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ListType {
    /// Replaced as a whole.
    #[default]
    Atomic,
    /// Scalars, each once.
    Set,
    /// Objects, each once by these fields.
    Map(Vec<String>),
}

/// One place in a kind's schema. Cheap to clone.
#[derive(Clone)]
pub struct Schema {
    arena: Arc<Arena>,
    index: usize,
}

impl Schema {
    /// The schema of a kind's objects.
    pub fn of(kinds: &Kinds, kind: &Kind) -> Self {
        Self { arena: arena(kinds, kind), index: 0 }
    }

    fn node(&self) -> Option<&Node> {
        self.arena.node(self.index)
    }

    fn at(&self, index: Option<usize>) -> Option<Self> {
        Some(Self { arena: self.arena.clone(), index: index? })
    }

    /// A declared property.
    pub fn property(&self, name: &str) -> Option<Self> {
        self.at(self.node()?.properties.get(name).copied())
    }

    /// What a key of an object leads to: a declared property or else the values of a map.
    pub fn child(&self, name: &str) -> Option<Self> {
        self.property(name).or_else(|| self.additional())
    }

    /// Names of the declared properties, in no order.
    pub fn properties(&self) -> impl Iterator<Item = &str> {
        self.node().into_iter().flat_map(|n| n.properties.keys()).map(|name| &**name)
    }

    /// Entries of a list.
    pub fn items(&self) -> Option<Self> {
        self.at(self.node()?.items)
    }

    /// Values of a map (`additionalProperties`).
    pub fn additional(&self) -> Option<Self> {
        self.at(self.node()?.additional)
    }

    /// The type; `None` where any is good.
    pub fn type_(&self) -> Option<Type> {
        self.node()?.type_
    }

    /// Whether fields that are not declared stay.
    pub fn preserves_unknown(&self) -> bool {
        self.node().is_some_and(|n| n.preserves)
    }

    /// How the list merges.
    pub fn list_type(&self) -> ListType {
        self.node().map(|n| n.list.clone()).unwrap_or_default()
    }

    /// The field by which a strategic merge patch tells entries of the list apart.
    pub fn merge_key(&self) -> Option<&str> {
        self.node()?.merge_key.as_deref()
    }

    /// What a strategic merge patch does here.
    pub fn patch_strategies(&self) -> PatchStrategies {
        let has = |name: &str| self.node().is_some_and(|n| n.strategies.iter().any(|s| &**s == name));
        PatchStrategies { merge: has("merge"), replace: has("replace"), retain_keys: has("retainKeys") }
    }

    /// Whether the object is owned and replaced as a whole.
    pub fn map_type_atomic(&self) -> bool {
        self.node().is_some_and(|n| n.map_atomic)
    }

    /// The value that is filled in where there is none.
    pub fn default(&self) -> Option<&Value> {
        self.node()?.default.as_ref()
    }

    /// Whether numbers and strings are both good.
    pub fn int_or_string(&self) -> bool {
        self.node().is_some_and(|n| n.int_or_string)
    }

    /// Whether `null` is a value and not the same as nothing.
    pub fn nullable(&self) -> bool {
        self.node().is_some_and(|n| n.nullable)
    }

    /// The definition that this place refers to.
    pub fn definition(&self) -> Option<&str> {
        self.node()?.definition.as_deref()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({}, {:?})", self.index, self.definition())
    }
}

/// `x-kubernetes-patch-strategy` of one place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PatchStrategies {
    /// Lists merge: by [`Schema::merge_key`] where entries are objects, as a set where they are scalars.
    pub merge: bool,
    /// Replaced as a whole.
    pub replace: bool,
    /// Keys that the patch does not list in `$retainKeys` are cleared.
    pub retain_keys: bool,
}

fn arena(kinds: &Kinds, kind: &Kind) -> Arc<Arena> {
    kinds.compiled(kind)
}

/// Drops fields that the kind does not have, and `null` where it means nothing. Gives the paths of the unknown fields
/// (`spec.containers[0].imagee`).
pub fn prune(kinds: &Kinds, kind: &Kind, object: &mut Value) -> Vec<String> {
    let arena = arena(kinds, kind);
    let mut unknown = Vec::new();
    prune::walk(&arena, 0, object, &Path::ROOT, &mut unknown);
    unknown
}

/// What is wrong with an object by its schema alone. [`crate::validate::object`] says everything.
pub fn check(kinds: &Kinds, kind: &Kind, object: &Value) -> Vec<Cause> {
    let arena = arena(kinds, kind);
    Check::new(&arena, false).run(object)
}

/// Fills in what an object leaves out.
pub fn fill_defaults(kinds: &Kinds, kind: &Kind, object: &mut Value) {
    let arena = arena(kinds, kind);
    fill::walk(&arena, 0, object);
}

/// Checks the schema and the rules of each definition that it refers to.
pub(crate) fn check_with_rules(kinds: &Kinds, kind: &Kind, object: &Value) -> Vec<Cause> {
    let arena = arena(kinds, kind);
    Check::new(&arena, true).run(object)
}

/// What was changed that may not change.
pub(crate) fn immutable(kinds: &Kinds, kind: &Kind, new: &Value, old: &Value) -> Vec<Cause> {
    let arena = arena(kinds, kind);
    let mut causes = Vec::new();
    if arena.immutable {
        immutable::walk(&arena, 0, (Some(new), Some(old)), &Path::ROOT, &mut causes);
    }
    causes
}

#[cfg(test)]
mod tests;
