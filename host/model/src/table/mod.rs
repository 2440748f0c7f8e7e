//! The rows and columns of `kubectl get`, made by the server.

mod age;
mod cells;
mod core;
mod pod;
pub mod template;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::kind::{Kind, Origin, PrinterColumn};
pub use age::{human, since};

/// A column as `meta.k8s.io/v1` Table describes it.
struct Column {
    name: &'static str,
    type_: &'static str,
    format: &'static str,
    priority: i32,
    description: &'static str,
}

impl Column {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name, "type": self.type_, "format": self.format, "description": self.description,
            "priority": self.priority,
        })
    }
}

const fn column(name: &'static str, type_: &'static str, priority: i32, description: &'static str) -> Column {
    Column { name, type_, format: "", priority, description }
}

const NAME: Column = Column {
    name: "Name",
    type_: "string",
    format: "name",
    priority: 0,
    description: "The object's name, unique among those of its kind (and namespace).",
};
const AGE: Column = column("Age", "date", 0, "How long ago the object was created.");

type Row = fn(&Value, Timestamp) -> Vec<Value>;

/// Cells that the host computes for a kind of its own.
struct Computed {
    columns: &'static [Column],
    row: Row,
}

fn computed(kind: &Kind) -> Option<Computed> {
    if kind.origin != Origin::Core { None } else { core::of(&kind.group, &kind.kind) }
}

/// The column definitions of a kind's table.
pub fn columns(kind: &Kind) -> Vec<Value> {
    if let Some(computed) = computed(kind) {
        return computed.columns.iter().map(Column::to_json).collect();
    }
    let mut out = vec![NAME.to_json()];
    for cell in layout(kind) {
        out.push(match cell {
            Cell::Own(c) => json!({
                "name": c.name, "type": c.type_, "format": c.format, "description": c.description,
                "priority": c.priority,
            }),
            Cell::Age => AGE.to_json(),
        });
    }
    out
}

/// The cells of one object, in the order of [`columns`].
pub fn row(kind: &Kind, object: &Value, now: Timestamp) -> Vec<Value> {
    if let Some(computed) = computed(kind) {
        return (computed.row)(object, now);
    }
    let mut out = vec![cells::name(object)];
    for cell in layout(kind) {
        out.push(match cell {
            Cell::Own(column) => template::cell(column, object, now),
            Cell::Age => cells::age(object, now),
        });
    }
    out
}

enum Cell<'a> {
    Own(&'a PrinterColumn),
    Age,
}

/// A kind's columns with the age after those that are always shown, unless the kind says for itself where it goes.
fn layout(kind: &Kind) -> impl Iterator<Item = Cell<'_>> {
    let own = &kind.columns;
    let complete = matches!(kind.origin, Origin::Definition(_)) && !own.is_empty();
    let complete = complete || own.iter().any(|c| c.name.eq_ignore_ascii_case("age"));
    let at = own.iter().position(|c| c.priority > 0).unwrap_or(own.len());
    let (shown, wide) = own.split_at(at);
    let age = (!complete).then_some(Cell::Age);
    shown.iter().map(Cell::Own).chain(age).chain(wide.iter().map(Cell::Own))
}

#[cfg(test)]
mod tests;
