//! The plugin's side: one call at a time, and its state made anew from the records after a fault.

use std::net::IpAddr;
use std::sync::Arc;

use gantry_plugin::family::network::{Attached, NodeInfo, Operation, PeerDelta};
use gantry_plugin::family::{Error as Refusal, ErrorCode};
use gantry_plugin::{Fault, Network};
use tracing::warn;

use super::NetError;
use super::leases::{Leases, Record, State};

/// A plugin with what is needed to teach it anew.
pub struct Driver {
    plugin: Box<dyn Network>,
    name: String,
    node: NodeInfo,
    leases: Arc<Leases>,
    instance: u64,
}

/// What an `add` gave.
pub struct Added {
    /// With the addresses that it holds now.
    pub record: Record,
    /// The primary first.
    pub addresses: Vec<IpAddr>,
    /// What connects it.
    pub plan: Vec<Operation>,
}

/// Why a call gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plugin refused, or it failed and knows everything again.
    #[error(transparent)]
    Answer(#[from] NetError),
    /// The plugin failed and could not be taught anew: everything must start up again.
    #[error("{0}")]
    Lost(String),
}

impl From<Error> for NetError {
    fn from(error: Error) -> Self {
        match error {
            Error::Answer(error) => error,
            Error::Lost(why) => NetError::Unavailable(why),
        }
    }
}

impl Driver {
    /// Of a plugin that knows nothing yet.
    pub fn new(plugin: Box<dyn Network>, name: &str, node: NodeInfo, leases: Arc<Leases>) -> Self {
        Self { plugin, name: name.to_owned(), node, leases, instance: 0 }
    }

    /// Which instance of the plugin this is: another number, and it knows nothing that the last one was told.
    pub fn instance(&self) -> u64 {
        self.instance
    }

    /// The node's place in the cluster.
    pub fn place(&mut self) -> &mut NodeInfo {
        &mut self.node
    }

    /// Makes the plugin know what the records say, ports too. Returns the plans of those who are connected.
    pub async fn reset(&mut self) -> Result<Vec<(Record, Vec<Operation>)>, NetError> {
        // Whoever has a plan that ends it holds nothing in the plugin's eyes any more.
        let entries: Vec<_> = self.leases.all().into_iter().filter(|entry| entry.ending.is_none()).collect();
        let leases = entries.iter().flat_map(|entry| entry.record.leases()).collect();
        self.instance += 1;
        self.plugin
            .reset(self.node.clone(), leases)
            .await
            .map_err(|f| unavailable(&f))?
            .map_err(|e| self.refused(e))?;
        let attachments = entries.iter().map(|entry| entry.record.attachment()).collect();
        let answers = self.plugin.add(attachments).await.map_err(|f| unavailable(&f))?;
        let mut plans = Vec::new();
        for (entry, answer) in entries.into_iter().zip(answers) {
            let record = entry.record;
            match answer.map_err(|e| self.refused(e)).and_then(|attached| self.added(&record, attached)) {
                Ok(added) if added.record.leases == record.leases => {
                    if record.state == State::Attached {
                        plans.push((record, added.plan));
                    }
                }
                Ok(added) => warn!(plugin = %self.name, pod = %record.pod, namespace = %record.namespace,
                    had = ?record.leases, now = ?added.record.leases, "the plugin gives a known pod other addresses"),
                Err(error) => warn!(plugin = %self.name, pod = %record.pod, namespace = %record.namespace, %error,
                    "the plugin does not take a pod that it connected before"),
            }
        }
        Ok(plans)
    }

    /// What the node needs. Part of starting up.
    pub async fn node(&mut self) -> Result<Vec<Operation>, NetError> {
        self.plugin.node().await.map_err(|f| unavailable(&f))?.map_err(|e| self.refused(e))
    }

    /// What leads to other nodes.
    pub async fn peers(&mut self, full: bool, deltas: Vec<PeerDelta>) -> Result<Vec<Operation>, Error> {
        match self.plugin.peers(full, deltas).await {
            Ok(answer) => Ok(answer.map_err(|e| self.refused(e))?),
            Err(fault) => Err(self.gave_up(fault).await),
        }
    }

    /// Connects a sandbox.
    pub async fn add(&mut self, record: &Record) -> Result<Added, Error> {
        let answers = match self.plugin.add(vec![record.attachment()]).await {
            Ok(answers) => answers,
            Err(fault) => {
                self.mend(fault).await?;
                match self.plugin.add(vec![record.attachment()]).await {
                    Ok(answers) => answers,
                    Err(fault) => return Err(self.gave_up(fault).await),
                }
            }
        };
        let attached = self.one(answers, "add")?.map_err(|e| self.refused(e))?;
        let added = self.added(record, attached)?;
        match self.leases.get(&record.sandbox) {
            Some(known) if known.record.leases != added.record.leases => Err(Error::Answer(NetError::Failed(format!(
                "plugin {} gave sandbox {} other addresses than it has",
                self.name, record.sandbox
            )))),
            _ => Ok(added),
        }
    }

    /// Disconnects a sandbox: the plan that does it.
    pub async fn del(&mut self, record: &Record) -> Result<Vec<Operation>, Error> {
        let answers = match self.plugin.del(vec![record.attachment()]).await {
            Ok(answers) => answers,
            Err(fault) => {
                self.mend(fault).await?;
                match self.plugin.del(vec![record.attachment()]).await {
                    Ok(answers) => answers,
                    Err(fault) => return Err(self.gave_up(fault).await),
                }
            }
        };
        Ok(self.one(answers, "del")?.map_err(|e| self.refused(e))?.plan)
    }

    /// Releases what belongs to nobody of the records.
    pub async fn gc(&mut self) -> Result<Vec<Operation>, Error> {
        let alive = self.leases.all().into_iter().map(|entry| entry.record.sandbox).collect();
        match self.plugin.gc(alive).await {
            Ok(answer) => Ok(answer.map_err(|e| self.refused(e))?.plan),
            Err(fault) => Err(self.gave_up(fault).await),
        }
    }

    /// Ready?
    pub async fn status(&mut self) -> Result<(), Error> {
        match self.plugin.status().await {
            Ok(answer) => Ok(answer.map_err(|e| self.refused(e))?),
            Err(fault) => Err(self.gave_up(fault).await),
        }
    }

    async fn mend(&mut self, fault: Fault) -> Result<(), Error> {
        warn!(plugin = %self.name, %fault, "the network plugin failed; it is told everything anew");
        match self.reset().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Lost(format!("{fault}; then: {error}"))),
        }
    }

    async fn gave_up(&mut self, fault: Fault) -> Error {
        let answer = NetError::Unavailable(fault.to_string());
        self.mend(fault).await.err().unwrap_or(Error::Answer(answer))
    }

    fn one<T>(&self, answers: Vec<T>, call: &str) -> Result<T, NetError> {
        let number = answers.len();
        let nonsense =
            || NetError::Failed(format!("plugin {}: {call} of one sandbox gave {number} answers", self.name));
        answers.into_iter().next().filter(|_| number == 1).ok_or_else(nonsense)
    }

    fn added(&self, record: &Record, attached: Attached) -> Result<Added, NetError> {
        let address = |text: &String| {
            text.parse::<IpAddr>()
                .map_err(|_| NetError::Failed(format!("plugin {} gave {text:?}, which is no address", self.name)))
        };
        let addresses = attached.addresses.iter().map(address).collect::<Result<_, _>>()?;
        if let Some(other) = attached.leases.iter().find(|lease| lease.sandbox != record.sandbox) {
            return Err(NetError::Failed(format!(
                "plugin {} gave sandbox {} a lease of sandbox {}",
                self.name, record.sandbox, other.sandbox
            )));
        }
        let mut record = record.clone();
        record.leases = attached.leases.iter().map(|lease| address(&lease.address)).collect::<Result<_, _>>()?;
        Ok(Added { record, addresses, plan: attached.plan })
    }

    fn refused(&self, error: Refusal) -> NetError {
        let text = format!("network plugin {}: {}", self.name, error.message);
        match error.code {
            ErrorCode::Exhausted => NetError::Exhausted(text),
            ErrorCode::Invalid => NetError::Invalid(text),
            ErrorCode::Unavailable => NetError::Unavailable(text),
            _ => NetError::Failed(text),
        }
    }
}

fn unavailable(fault: &Fault) -> NetError {
    NetError::Unavailable(fault.to_string())
}
