//! Outgoing HTTP: what stands behind `wasi:http/outgoing-handler`. A plugin says what it wants to ask; the host holds it
//! against the endpoints that the bundle grants, signs it where the bundle says so, asks, and gives the whole answer back.
//! No socket and no secret enters the sandbox.
//!
//! Bodies are read whole on both sides before they are passed on: an answer has an end that is known, and nothing of it
//! stays open when the instance that asked is thrown away. Streams without an end are not for plugins.

mod client;
mod endpoint;
mod fail;
mod gate;
mod outgoing;
mod settings;
mod sign;
mod tally;

pub use endpoint::{Endpoint, Endpoints};
pub(crate) use gate::Gate;
pub(crate) use outgoing::Outgoing;
pub use settings::{Http, Sign};
