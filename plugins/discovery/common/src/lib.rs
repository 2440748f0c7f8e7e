//! What the stock sources of names have in common: Services and the EndpointSlices that list their endpoints come in, and
//! the names whose records change go out. What a Service is called is what they differ in: a `Scheme`.
//!
//! - `object`: Services and EndpointSlices, as far as names depend on them.
//! - `names`: what DNS takes as a name, and the names of addresses.
//! - `records`: the records of one Service.
//! - `table`: what is there, and which names a change concerns.
//!
//! A change costs as much as the Services that it concerns have endpoints, whatever else there is.

pub mod names;
pub mod object;
mod options;
mod records;
mod table;
#[cfg(feature = "testing")]
pub mod testing;

pub use options::seconds;
pub use records::{Record, Records, Weights};
pub use table::{Id, Scheme, Table, sources};
