//! A node's proxy for HTTP: listeners and pools of endpoints, as plans of plugins say. Which request goes where is the
//! plugins' business; this only matches, picks and passes on.
//!
//! - `service`: the [`Proxy`], which applies plans. `port`: one listener with its table, certificates and troubles.
//! - `listener`: connections. `answer`: one request, with `headers`, `redirect`, `tunnel`, `body`, `visit`, `access` for its
//!   parts.
//! - `table`: which rule a request falls under, with `pattern`. `pool`: who is next, with `clients` and `health`.
//! - `apart`: the process that it is in, and how the agent talks to it.
//! - `certificates`: by name. `secrets`, `follow`: where they come from. No plugin ever sees one.
//!
//! A table and a set of certificates are replaced whole, by a pointer: each request meets one of them, and no connection
//! ends. A proxy library (pingora) was looked at: its own TLS, its own runtime and dozens of crates, for what hyper, which
//! is here anyway, has with these few files.

mod access;
mod answer;
pub mod apart;
mod body;
mod certificates;
mod clients;
mod follow;
mod headers;
mod health;
mod listener;
mod pattern;
mod pool;
mod port;
mod redirect;
mod secrets;
mod service;
mod table;
mod tunnel;
mod visit;

pub use access::AccessLog;
pub use certificates::Identity;
pub use secrets::{OfCluster, Secrets};
pub use service::{Options, Proxy, Tell, Whom};
