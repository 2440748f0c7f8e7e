//! What agent and proxy say to each other: a frame each, of JSON after its length.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use gantry_objects::recorder::About;
use gantry_plugin::family::network::Operation;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, FramedWrite, LengthDelimitedCodec};
use tracing::debug;

use crate::logs::News;
use crate::proxy::secrets::Name;

/// Both sides must have the same: a number for what is said here, and plans as the contract has them. `Hello` and `Stop`
/// read the same in all.
pub const PROTOCOL: u64 =
    fnv(fnv(1, include_bytes!("../../../../../wit/plan.wit")), include_bytes!("../../../../../wit/routing.wit"));
/// The longest frame: a whole table with all its rules.
const FRAME: usize = 64 << 20;
/// Messages that wait to be written. Whoever has more waits too.
const WAITING: usize = 64;

/// What the agent says.
#[derive(Serialize, Deserialize)]
pub enum Order {
    Hello {
        protocol: u64,
    },
    /// Apply it, and answer with `Done`.
    Apply {
        id: u64,
        plugin: String,
        plan: Vec<Operation>,
        /// Who is told of a Frontend's troubles, by its id.
        whom: BTreeMap<String, Vec<About>>,
    },
    /// End what is of other plugins, and answer with `Done`.
    Retain {
        id: u64,
        plugins: Vec<String>,
    },
    /// Answer with metrics in `Done`.
    Metrics {
        id: u64,
    },
    /// The answer to `Get`: the Secret, `None` if there is none, or a `Status`.
    Secret {
        id: u64,
        answer: Result<Option<Value>, Value>,
    },
    /// These Secrets changed; `None`: any may have.
    Changed(Option<Vec<Name>>),
    /// Finish what is under way, and end.
    Stop,
}

/// What the proxy says.
#[derive(Serialize, Deserialize)]
pub enum Word {
    Hello {
        protocol: u64,
    },
    /// What became of an order.
    Done {
        id: u64,
        answer: Result<String, String>,
    },
    /// Which Secret it needs.
    Get {
        id: u64,
        namespace: String,
        name: String,
    },
    /// Whose changes it wants to hear of.
    Wanted(BTreeSet<Name>),
    /// What became of the access log.
    Logged(News),
    /// An Event about an object.
    Warn {
        about: About,
        reason: String,
        message: String,
    },
}

/// FNV-1a, of which a number that is exact in JSON is kept.
const fn fnv(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ seed;
    let mut rest = bytes;
    while let [byte, tail @ ..] = rest {
        hash = (hash ^ *byte as u64).wrapping_mul(0x0000_0100_0000_01b3);
        rest = tail;
    }
    hash >> 11
}

/// Both ends of a connection; what is sent is written by a task, in order, until nobody sends any more.
pub fn split<In, Out: Serialize + Send + 'static>(stream: UnixStream) -> (Frames<In>, mpsc::Sender<Out>) {
    let (read, write) = stream.into_split();
    let (send, outgoing) = mpsc::channel(WAITING);
    tokio::spawn(write_all(FramedWrite::new(write, codec()), outgoing));
    (Frames { read: FramedRead::new(read, codec()), of: std::marker::PhantomData }, send)
}

fn codec() -> LengthDelimitedCodec {
    LengthDelimitedCodec::builder().max_frame_length(FRAME).new_codec()
}

async fn write_all<Out: Serialize>(
    mut write: FramedWrite<OwnedWriteHalf, LengthDelimitedCodec>,
    mut outgoing: mpsc::Receiver<Out>,
) {
    while let Some(next) = outgoing.recv().await {
        let written = match serde_json::to_vec(&next) {
            Ok(text) => write.send(Bytes::from(text)).await,
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = written {
            debug!(%error, "the other side of the proxy's socket is gone");
            return;
        }
    }
}

/// What the other side says.
pub struct Frames<In> {
    read: FramedRead<OwnedReadHalf, LengthDelimitedCodec>,
    of: std::marker::PhantomData<fn() -> In>,
}

impl<In: DeserializeOwned> Frames<In> {
    /// The next; `None` at the end, or when what comes can't be read.
    pub async fn next(&mut self) -> Option<In> {
        let read = match self.read.next().await? {
            Ok(frame) => serde_json::from_slice(&frame).map_err(io::Error::other),
            Err(error) => Err(error),
        };
        read.inspect_err(|error| debug!(%error, "the proxy's socket can't be read any more")).ok()
    }
}

#[cfg(test)]
mod tests {
    use gantry_plugin::family::proxy::KeptProxies;

    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let about = About { kind: "Ingress".into(), name: "web".into(), ..About::default() };
        let kept = KeptProxies { listeners: vec!["l".into()], pools: Vec::new() };
        let order = Order::Apply {
            id: 1,
            plugin: "p".into(),
            plan: vec![Operation::KeepProxies(kept)],
            whom: [("a/f".to_owned(), vec![about])].into(),
        };
        let text = serde_json::to_value(&order).unwrap();
        assert_eq!(serde_json::to_value(serde_json::from_value::<Order>(text.clone()).unwrap()).unwrap(), text);
        let word = Word::Wanted(BTreeSet::from([("a".to_owned(), "s".to_owned())]));
        let text = serde_json::to_value(&word).unwrap();
        assert_eq!(serde_json::to_value(serde_json::from_value::<Word>(text.clone()).unwrap()).unwrap(), text);
    }
}
