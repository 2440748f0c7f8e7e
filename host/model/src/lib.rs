//! What Gantry talks about: objects, kinds, schemas, selectors, quantities and patches. Pure data and functions: no
//! I/O, no clocks, no async.
#![deny(missing_docs)]

pub mod caller;
pub mod core;
pub mod crd;
pub(crate) mod defaults;
pub mod key;
pub mod kind;
pub mod managed;
pub mod meta;
pub mod order;
pub mod patch;
pub(crate) mod path;
pub mod pointer;
pub mod quantity;
pub mod record;
pub mod schema;
pub mod selector;
pub mod status;
pub mod table;
pub mod ulimits;
pub mod validate;

pub use caller::Caller;
pub use key::Key;
pub use kind::{Kind, Kinds};
pub use meta::Meta;
pub use record::{Draft, Record};
pub use status::Status;
