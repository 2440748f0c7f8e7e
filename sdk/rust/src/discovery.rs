//! Names in DNS: what the DNS servers of nodes answer.

use crate::contract::discovery::exports::gantry::plugin::discovery as wit;
use crate::export::{Holder, enter, start};
use crate::{Config, Result};

pub use wit::{Change, Data, Delta, Description, Document, NodeInfo, Service, Source, Zone};

/// A source of names. See `wit/discovery.wit` for when each call comes and what it may rely on.
pub trait Discovery: Default + 'static {
    /// Takes the configuration and the node's place in the cluster; called once, first. Says which objects it wants to
    /// see, and which zones it has.
    fn configure(&mut self, config: Config, node: NodeInfo) -> Result<Description>;

    /// Applies changes in order; answers with every name that has other records now. With `full` everything that was told
    /// before is forgotten, and the answer has every record.
    fn sync(&mut self, full: bool, deltas: Vec<Delta>) -> Result<Vec<Change>>;
}

impl<H: Holder> wit::Guest for H
where
    H::Plugin: Discovery,
{
    fn configure(config: String, node: NodeInfo) -> Result<Description> {
        start::<H, _>(|discovery| discovery.configure(Config::from_text(config), node))
    }

    fn sync(full: bool, deltas: Vec<Delta>) -> Result<Vec<Change>> {
        enter::<H, _>(|discovery| discovery.sync(full, deltas))?
    }
}
