//! Which objects are meant: label selectors and field selectors.

mod field;
mod label;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Operator, Requirement};

/// Why a text or object is not a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The text breaks off or has something out of place.
    #[error("unable to parse requirement: {0}")]
    Syntax(String),
    /// A label key or value that no label can have.
    #[error("{0}")]
    Label(String),
    /// An operator that does not exist, or with values that it does not take.
    #[error("{0}")]
    Operator(String),
    /// A part of a field selector without `=`.
    #[error("invalid selector: '{selector}'; can't understand '{part}'")]
    Field {
        /// The whole text.
        selector: String,
        /// The part.
        part: String,
    },
}
