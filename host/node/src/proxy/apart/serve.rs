//! The proxy's process: agents come and go, the proxy stays.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{info, warn};

use super::desk::{Desk, Through};
use super::wire::{self, Order, PROTOCOL, Word};
use crate::logs::{Limit, Listener, Notices};
use crate::proxy::access::AccessLog;
use crate::proxy::certificates::Identity;
use crate::proxy::service::{Options, Proxy};

/// For the first agent, and for the next one when nothing listens.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two words about the access log.
const NEWS: Duration = Duration::from_millis(200);
/// A pause after `accept` failed.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(50);
/// Orders that wait for their turn. An agent has one open for each of its plugins; one that has more is cut off.
const WAITING: usize = 64;
/// Connections at once: an agent, the one before it, whoever ends the proxy.
const TALKS: usize = 16;

/// What the process needs.
pub struct ServeOptions {
    /// Where agents come. Whoever reaches it may do everything: it must be in a folder of root's.
    pub socket: UnixListener,
    /// Its path.
    pub path: PathBuf,
    /// What names without a certificate get.
    pub fallback: Identity,
    /// Connections of clients at once.
    pub connections: usize,
    /// Where requests are noted, of listeners that want it, and when that file is cut.
    pub access: Option<(PathBuf, Limit)>,
    /// What the process counts, in Prometheus' text format.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

struct Shared {
    proxy: Proxy,
    desk: Arc<Desk>,
    /// Talks with the agent.
    seated: Mutex<Option<AbortHandle>>,
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    stop: CancellationToken,
}

/// Serves until it is told to stop, or until there is nothing to do and nobody to ask for it. What is under way is
/// finished, for a while.
pub async fn serve(options: ServeOptions, stop: CancellationToken) {
    let (desk, notices) = (Desk::new(), Notices::default());
    let _telling = AbortOnDropHandle::new(tokio::spawn(tell_of_logs(desk.clone(), notices.listen())));
    let access = options.access.map(|(path, limit)| AccessLog::start(&path, limit, notices));
    let proxy = Proxy::start(Options {
        secrets: Arc::new(Through(desk.clone())),
        tell: Arc::new(Through(desk.clone())),
        fallback: options.fallback,
        connections: options.connections,
        access: access.clone(),
    });
    let (seated, metrics) = (Mutex::default(), options.metrics);
    let shared = Arc::new(Shared { proxy, desk, seated, metrics, stop });
    let talks = accept(&shared, options.socket, &options.path).await;
    shared.stop.cancel();
    shared.proxy.stop().await;
    if let Some(access) = access {
        access.flush().await;
    }
    // Whoever waits for the end of their connection waits for all of this.
    drop(talks);
}

/// Lets agents in until it is over; those that are there stay.
async fn accept(shared: &Arc<Shared>, socket: UnixListener, path: &Path) -> JoinSet<()> {
    let own = inode(path);
    let mut talks = JoinSet::new();
    loop {
        tokio::select! {
            () = shared.stop.cancelled() => break,
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) if talks.len() < TALKS => drop(talks.spawn(talk(shared.clone(), stream))),
                Ok(_) => warn!("the proxy has too many connections with agents"),
                Err(error) => {
                    warn!(%error, "the proxy can't accept an agent");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            },
            Some(_) = talks.join_next() => {}
            () = tokio::time::sleep(PATIENCE) => {
                if shared.desk.is_empty() && shared.proxy.is_idle() {
                    info!("the proxy listens on nothing, and no agent is there: it ends");
                    break;
                }
                if inode(path) != own {
                    warn!("the proxy can't be reached any more, since its socket was removed: it ends");
                    break;
                }
            }
        }
    }
    talks
}

fn inode(path: &Path) -> Option<u64> {
    std::fs::metadata(path).map(|file| file.ino()).ok()
}

/// Tells the agent that the access log has grown, or was cut; if there is none, the next one.
async fn tell_of_logs(desk: Arc<Desk>, listener: Listener) {
    loop {
        listener.wait().await;
        let agent = desk.agent().await;
        // If it is gone, the next one reads from where it was.
        let _ = agent.send(Word::Logged(listener.take())).await;
        tokio::time::sleep(NEWS).await;
    }
}

/// Somebody who came: the agent, from its greeting on, until it is gone.
async fn talk(shared: Arc<Shared>, stream: UnixStream) {
    let (mut orders, words) = wire::split::<Order, Word>(stream);
    if words.send(Word::Hello { protocol: PROTOCOL }).await.is_err() {
        return;
    }
    // Secrets come while a plan that needs them is applied.
    let (queue, waiting) = mpsc::channel(WAITING);
    let carrying = AbortOnDropHandle::new(tokio::spawn(carry_out(shared.clone(), waiting, words.clone())));
    let _seat = Seat { desk: shared.desk.clone(), words: words.clone() };
    while let Some(order) = orders.next().await {
        shared.desk.say();
        match order {
            // Of another protocol nothing but `Stop` follows.
            Order::Hello { protocol } if protocol == PROTOCOL => shared.seat(&words, carrying.abort_handle()),
            Order::Hello { .. } => info!("an agent of another version came"),
            Order::Secret { id, answer } => shared.desk.answered(id, answer),
            Order::Changed(names) => shared.desk.changed(names),
            Order::Metrics { id } => {
                let answer = Ok((shared.metrics)());
                if words.send(Word::Done { id, answer }).await.is_err() {
                    return;
                }
            }
            Order::Stop => {
                info!("the proxy is told to end");
                shared.stop.cancel();
            }
            Order::Apply { .. } | Order::Retain { .. } => {
                if queue.try_send(order).is_err() {
                    return warn!("an agent gives more orders than it waits for: it is cut off");
                }
            }
        }
    }
}

impl Shared {
    /// The last that greeted is the agent: orders of the one before are not carried out any more.
    fn seat(&self, words: &mpsc::Sender<Word>, carrying: AbortHandle) {
        let before = self.seated.lock().unwrap_or_else(PoisonError::into_inner).replace(carrying);
        if let Some(before) = before {
            before.abort();
        }
        self.desk.seat(words.clone());
    }
}

/// Leaves with its agent, however that ends.
struct Seat {
    desk: Arc<Desk>,
    words: mpsc::Sender<Word>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.desk.leave(&self.words);
    }
}

async fn carry_out(shared: Arc<Shared>, mut waiting: mpsc::Receiver<Order>, words: mpsc::Sender<Word>) {
    while let Some(order) = waiting.recv().await {
        // In a task of its own: whoever is gone meanwhile leaves no plan half applied.
        let shared = shared.clone();
        let carried = tokio::spawn(async move { carry(&shared, order).await }).await;
        let Ok(Some((id, answer))) = carried else { continue };
        if words.send(Word::Done { id, answer }).await.is_err() {
            return;
        }
    }
}

async fn carry(shared: &Shared, order: Order) -> Option<(u64, Result<String, String>)> {
    let ending = || Err("the proxy is ending".to_owned());
    match order {
        Order::Apply { id, .. } | Order::Retain { id, .. } if shared.stop.is_cancelled() => Some((id, ending())),
        Order::Apply { id, plugin, plan, whom } => {
            let whom = |frontend: &str| whom.get(frontend).cloned().unwrap_or_default();
            let applied = shared.proxy.apply(&plugin, &plan, &whom).await;
            Some((id, applied.map(|()| String::new()).map_err(|error| error.to_string())))
        }
        Order::Retain { id, plugins } => {
            shared.proxy.retain(&plugins.iter().map(String::as_str).collect::<Vec<_>>());
            Some((id, Ok(String::new())))
        }
        _ => None,
    }
}
