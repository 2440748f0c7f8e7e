//! The proxy in a process of its own, so that connections of clients outlive the agent, as rules in the kernel do.
//!
//! The agent starts it when the first listener is wanted, and a later agent takes it over: both talk over a socket
//! that only root reaches. It holds what the last plans said. It asks the agent for Secrets and hands it its warnings;
//! while there is no agent it serves on with what it has. It ends when it is told to, or when it listens on nothing and
//! no agent is there.
//!
//! - `wire`: what both say. `serve`, `desk`: the proxy's side. `keeper`, `link`: the agent's.
//!
//! Handing listening sockets from one agent to the next was looked at: it keeps ports, and cuts off what is under way.

mod desk;
mod keeper;
mod link;
mod serve;
mod wire;

pub use keeper::{Applied, Keeper, KeeperOptions};
pub use link::end;
pub use serve::{ServeOptions, serve};
