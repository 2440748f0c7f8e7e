//! Names in DNS: plugins of the family `discovery` say which there are, and the node's own server answers with them.
//!
//! - `source`: one plugin's loop. It follows the objects that the plugin wants to see, tells it what changed, and puts its
//!   records into the tables. What it knew last is kept on disk and answered at the next start until the plugin has said
//!   something, with `kept`.
//! - `documents`: the objects, and which of them the plugin was not told of yet.
//! - `records`: from the contract's records to those of the wire. `tables`: all records by zone and name, and what they
//!   say to a question.
//! - `responder`: from a message to its answer, also when others must be asked (`upstream`). `wire`: answers as long as
//!   they may be. `server`: the sockets.
//! - `link`: where the server's address is.
//! - `names`: how the resolvers of pods are set up for it.
//!
//! A question costs a look at a table in memory. What the table does not have is asked of the machine's own servers.

mod documents;
mod kept;
mod link;
mod meter;
mod names;
mod records;
mod responder;
mod server;
mod service;
mod source;
mod tables;
mod upstream;
mod wire;

pub use link::{LINK, remove as remove_link};
pub use names::Names;
pub use records::RecordSet;
pub use responder::Responder;
pub use server::serve;
pub use service::{Dns, Options, Plugin};
pub use tables::{Table, Tables, Zone};
pub use upstream::{Upstream, UpstreamOptions};
