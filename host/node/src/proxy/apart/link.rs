//! The agent's end of a connection to the proxy.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gantry_model::Status;
use gantry_model::status::Reason;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::keeper::{KeeperOptions, Named};
use super::wire::{self, Frames, Order, PROTOCOL, Word};
use crate::logs::Notices;
use crate::proxy::secrets::{Name, Secrets};
use crate::proxy::service::Tell;

/// For what the other side says first.
const GREETING: Duration = Duration::from_secs(5);
/// For a proxy that is told to end: what is under way in it is finished.
const ENDING: Duration = Duration::from_secs(20);
/// For an answer. A plan that names Secrets may wait a little for them.
const ANSWER: Duration = Duration::from_secs(60);
/// Between attempts to follow Secrets again.
const AGAIN: Duration = Duration::from_secs(1);

type Pending = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<String, String>>>>>;

/// A proxy that answers.
pub struct Link {
    orders: mpsc::Sender<Order>,
    pending: Pending,
    next: AtomicU64,
    over: CancellationToken,
    _tasks: [AbortOnDropHandle<()>; 2],
}

impl Link {
    /// Connects. `None`: what is there is of another version or does not answer, and was ended. Of Secrets it gets those that
    /// plans name.
    pub async fn open(options: &KeeperOptions, named: Named) -> io::Result<Option<Self>> {
        let stream = UnixStream::connect(&options.socket).await?;
        let process = process(&stream);
        let (mut words, orders) = wire::split::<Word, Order>(stream);
        let gone = || io::Error::from(io::ErrorKind::ConnectionAborted);
        match tokio::time::timeout(GREETING, words.next()).await {
            Ok(Some(Word::Hello { protocol: PROTOCOL })) => {}
            Ok(_) => return dismiss(&orders, &mut words, process).await.map(|()| None),
            Err(_) => return kill(process).map(|()| None),
        }
        orders.send(Order::Hello { protocol: PROTOCOL }).await.map_err(|_| gone())?;
        let (pending, over) = (Pending::default(), CancellationToken::new());
        let (want, wanted) = watch::channel(Arc::new(BTreeSet::new()));
        let reading = Reading {
            orders: orders.clone(),
            pending: pending.clone(),
            want,
            secrets: options.secrets.clone(),
            named,
            tell: options.tell.clone(),
            notices: options.notices.clone(),
            over: over.clone(),
        };
        let following = follow(options.secrets.clone(), wanted, orders.clone());
        let tasks = [tokio::spawn(reading.run(words)), tokio::spawn(following)].map(AbortOnDropHandle::new);
        Ok(Some(Self { orders, pending, next: AtomicU64::new(0), over, _tasks: tasks }))
    }

    /// Says something, and waits for what became of it. `None`: the proxy is gone, or counts as gone because it does not
    /// answer.
    pub async fn ask(&self, order: impl FnOnce(u64) -> Order) -> Option<Result<String, String>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.pending).insert(id, tell);
        let answer = async {
            self.orders.send(order(id)).await.ok()?;
            told.await.ok()
        };
        let answer = tokio::select! {
            answer = answer => answer,
            () = self.over.cancelled() => None,
            () = tokio::time::sleep(ANSWER) => {
                warn!("the node's proxy does not answer");
                self.over.cancel();
                None
            }
        };
        lock(&self.pending).remove(&id);
        answer
    }

    /// Whether it is gone.
    pub fn is_over(&self) -> bool {
        self.over.is_cancelled()
    }

    /// Until it is gone.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
}

/// Ends the proxy at this socket, if there is one; what is under way is finished, for a while. One that does not end by
/// itself is killed.
pub async fn end(socket: &Path) -> io::Result<()> {
    match UnixStream::connect(socket).await {
        Ok(stream) => {
            let process = process(&stream);
            let (mut words, orders) = wire::split::<Word, Order>(stream);
            dismiss(&orders, &mut words, process).await
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn dismiss(orders: &mpsc::Sender<Order>, words: &mut Frames<Word>, process: Option<Pid>) -> io::Result<()> {
    // If it can't be told it is gone, and the next read says so.
    let _ = orders.send(Order::Stop).await;
    let gone = async { while words.next().await.is_some() {} };
    match tokio::time::timeout(ENDING, gone).await {
        Ok(()) => Ok(()),
        Err(_) => kill(process),
    }
}

/// Who listens at the other end.
fn process(stream: &UnixStream) -> Option<Pid> {
    let other = |id: &i32| *id > 1 && *id != Pid::this().as_raw();
    stream.peer_cred().ok()?.pid().filter(other).map(Pid::from_raw)
}

/// The connection stands, so the process is the one that listened: no other one has its id yet.
fn kill(process: Option<Pid>) -> io::Result<()> {
    let process = process.ok_or_else(|| io::Error::other("nobody knows which process the node's proxy is"))?;
    warn!(%process, "the node's proxy does not answer, and is killed");
    Ok(nix::sys::signal::kill(process, Signal::SIGKILL)?)
}

/// What the proxy says.
struct Reading {
    orders: mpsc::Sender<Order>,
    pending: Pending,
    want: watch::Sender<Arc<BTreeSet<Name>>>,
    secrets: Arc<dyn Secrets>,
    named: Named,
    tell: Arc<dyn Tell>,
    notices: Notices,
    over: CancellationToken,
}

impl Reading {
    async fn run(self, mut words: Frames<Word>) {
        while let Some(word) = words.next().await {
            match word {
                Word::Done { id, answer } => {
                    if let Some(waits) = lock(&self.pending).remove(&id) {
                        // Whoever asked has gone.
                        let _ = waits.send(answer);
                    }
                }
                Word::Get { id, namespace, name } => self.fetch(id, namespace, name),
                Word::Wanted(names) => drop(self.want.send_replace(Arc::new(names))),
                Word::Logged(news) => self.notices.pass_on(&news),
                Word::Warn { about, reason, message } => self.tell.warn(&about, &reason, &message),
                Word::Hello { .. } => {}
            }
        }
        self.over.cancel();
    }

    /// Beside others: one that takes long holds up none.
    fn fetch(&self, id: u64, namespace: String, name: String) {
        let key = (namespace.clone(), name.clone());
        let named = lock(&self.named).values().any(|names| names.contains(&key));
        let (secrets, orders) = (self.secrets.clone(), self.orders.clone());
        tokio::spawn(async move {
            let answer = match named {
                true => secrets.get(&namespace, &name).await,
                // Not yet, after a start of the agent: it asks again.
                false => Err(Status::new(Reason::Forbidden, "no plan names this Secret")),
            };
            let answer = answer.map(|found| found.map(certificate)).map_err(|status| status.to_json());
            // The proxy is gone: nobody waits for it.
            let _ = orders.send(Order::Secret { id, answer }).await;
        });
    }
}

/// What of a Secret a certificate is.
fn certificate(secret: Value) -> Value {
    let part = |name: &str| secret.pointer(&format!("/data/{name}"));
    json!({"data": {"tls.crt": part("tls.crt"), "tls.key": part("tls.key")}})
}

/// Tells the proxy what changed of what it wants, for as long as it is there.
async fn follow(secrets: Arc<dyn Secrets>, wanted: watch::Receiver<Arc<BTreeSet<Name>>>, orders: mpsc::Sender<Order>) {
    let mut feed = secrets.changes(wanted.clone());
    loop {
        let names = match feed.next().await {
            Ok(Some(mut names)) => {
                names.retain(|name| wanted.borrow().contains(name));
                Some(names)
            }
            Ok(None) => None,
            Err(error) => {
                debug!(%error, "changes of Secrets were missed");
                tokio::time::sleep(AGAIN).await;
                None
            }
        };
        if names.as_ref().is_some_and(Vec::is_empty) {
            continue;
        }
        if orders.send(Order::Changed(names)).await.is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
