//! One node that is linked up: orders go out, and the calls that carry them out come in.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use gantry_api::{ExecRequest, ExecSession, LogRequest, Streams};
use gantry_model::Status;
use gantry_model::status::Reason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::session;
use crate::wire::order::What;
use crate::wire::{self, FromNode, Order, ToNode};

/// Orders that the node has not taken yet.
const ORDERS: usize = 16;
/// Sessions of one node at once. They share a connection with 250 streams.
const SESSIONS: usize = 200;
/// Between an order and the node's call.
const PATIENCE: Duration = Duration::from_secs(30);

/// The call that a node has made for a session.
pub struct Call {
    pub from: Streaming<FromNode>,
    pub to: mpsc::Sender<ToNode>,
}

/// A session that a node has opened. Dropping it closes it.
pub struct Opened {
    pub call: Call,
    pub close: Close,
}

/// Closes a session when it is dropped, unless the node has said that it is over.
pub struct Close {
    node: String,
    session: u64,
    orders: mpsc::Sender<Order>,
    over: bool,
    _place: OwnedSemaphorePermit,
}

impl Close {
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The node has said everything.
    pub fn over(&mut self) {
        self.over = true;
    }
}

impl Drop for Close {
    fn drop(&mut self) {
        if self.over {
            return;
        }
        let (orders, order) =
            (self.orders.clone(), Order { session: self.session, what: Some(What::Close(wire::Close {})) });
        // There are no more of these than places for sessions.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move { orders.send(order).await });
        }
    }
}

pub struct Node {
    name: String,
    agent: String,
    orders: mpsc::Sender<Order>,
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Result<Call, Status>>>>,
    places: Arc<Semaphore>,
    gone: CancellationToken,
}

impl Node {
    /// With the orders that are to be sent to it.
    pub fn new(name: String, agent: String) -> (Arc<Self>, mpsc::Receiver<Order>) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let node = Self {
            name,
            agent,
            orders,
            next: AtomicU64::new(1),
            waiting: Mutex::default(),
            places: Arc::new(Semaphore::new(SESSIONS)),
            gone: CancellationToken::new(),
        };
        (Arc::new(node), receiver)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether another call is of the same agent; one that does not say which it is, may be.
    pub fn is_same(&self, other: &Self) -> bool {
        self.agent.is_empty() || other.agent.is_empty() || self.agent == other.agent
    }

    /// No more orders can be sent.
    pub fn leave(&self) {
        self.gone.cancel();
    }

    pub fn gone(&self) -> &CancellationToken {
        &self.gone
    }

    /// A call came in for a session. False: nobody waits for it any more.
    pub fn arrived(&self, session: u64, outcome: Result<Call, Status>) -> bool {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        waiting.is_some_and(|waiting| waiting.send(outcome).is_ok())
    }

    async fn open(&self, what: What) -> Result<Opened, Status> {
        let unavailable = |why: &str| {
            let message = format!("error dialing backend: node \"{}\": {why}", self.name);
            Status::new(Reason::ServiceUnavailable, message)
        };
        let place = self.places.clone().try_acquire_owned();
        let place = place.map_err(|_| unavailable("it has too many logs and processes open, try again later"))?;
        let session = self.next.fetch_add(1, Ordering::Relaxed);
        let (done, outcome) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(session, done);
        let _forget = Forget { node: self, session };
        let ask = async {
            self.orders.send(Order { session, what: Some(what) }).await.ok()?;
            outcome.await.ok()
        };
        let outcome = tokio::select! {
            outcome = ask => outcome.ok_or_else(|| unavailable("its agent went away"))?,
            () = self.gone.cancelled() => return Err(unavailable("its agent went away")),
            () = tokio::time::sleep(PATIENCE) => return Err(unavailable("its agent does not answer")),
        };
        let (node, orders) = (self.name.clone(), self.orders.clone());
        let close = Close { node, session, orders, over: false, _place: place };
        outcome.map(|call| Opened { call, close })
    }
}

/// Who gives up waiting leaves nothing behind.
struct Forget<'a> {
    node: &'a Node,
    session: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.node.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.session);
    }
}

#[async_trait]
impl Streams for Node {
    async fn logs(&self, request: LogRequest) -> Result<BoxStream<'static, std::io::Result<Bytes>>, Status> {
        Ok(session::log(self.open(What::Log(request.into())).await?))
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        let stdin = request.stdin;
        Ok(session::process(self.open(What::Exec(request.into())).await?, stdin))
    }

    async fn attach(&self, request: ExecRequest) -> Result<ExecSession, Status> {
        let stdin = request.stdin;
        Ok(session::process(self.open(What::Attach(request.into())).await?, stdin))
    }
}
