//! Who owns which field: `metadata.managedFields`, and what follows from it for server-side apply.

mod apply;
mod diff;
mod entry;
mod merge;
mod prune;
mod set;
mod shape;
#[cfg(test)]
mod tests;

pub use apply::{Conflict, Conflicts, apply, owned};
pub use diff::{Diff, diff};
pub use entry::{Entry, Managed, Operation, Writer};
pub use set::FieldSet;
