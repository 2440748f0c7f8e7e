//! Where the proxy's side has its agent: Secrets are asked for here, and warnings are left. Nothing here makes the reader
//! of the socket wait: it brings what others wait for.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use gantry_model::Status;
use gantry_model::status::Reason;
use gantry_objects::recorder::About;
use serde_json::Value;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::wire::Word;
use crate::cluster::{SourceFeed, Wanted};
use crate::proxy::secrets::{Name, Secrets};
use crate::proxy::service::Tell;

/// For the agent's answer about a Secret.
const PATIENCE: Duration = Duration::from_secs(10);
/// Until an agent that has much to read is told again what is wanted.
const AGAIN: Duration = Duration::from_millis(50);
/// Warnings that wait for an agent; of more the oldest are dropped.
const WARNINGS: usize = 256;
/// Names that wait to be looked at. Beyond that everything is looked at.
const CHANGES: usize = 1024;

type Answer = Result<Option<Value>, Value>;
type Agent = mpsc::Sender<Word>;

/// The agent of the moment, if there is one.
pub struct Desk {
    agent: watch::Sender<Option<Agent>>,
    asked: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
    unsaid: Mutex<VecDeque<Word>>,
    /// Whose Secrets are to be looked at; `None`: all.
    changed: Mutex<Option<BTreeSet<Name>>>,
    news: Notify,
}

impl Desk {
    /// Nobody is there yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            agent: watch::Sender::new(None),
            asked: Mutex::default(),
            next: AtomicU64::new(0),
            unsaid: Mutex::default(),
            changed: Mutex::new(Some(BTreeSet::new())),
            news: Notify::new(),
        })
    }

    /// An agent is there. It hears what nobody could be told.
    pub fn seat(&self, agent: Agent) {
        self.agent.send_replace(Some(agent));
        self.say();
    }

    /// It is gone, unless another one is there already.
    pub fn leave(&self, agent: &Agent) {
        let left = self.agent.send_if_modified(|now| {
            let same = now.as_ref().is_some_and(|now| now.same_channel(agent));
            if same {
                *now = None;
            }
            same
        });
        if left {
            lock(&self.asked).clear();
        }
    }

    /// Whether nobody is there.
    pub fn is_empty(&self) -> bool {
        self.agent.borrow().is_none()
    }

    /// The agent, once there is one.
    pub async fn agent(&self) -> Agent {
        let mut agent = self.agent.subscribe();
        loop {
            if let Some(agent) = agent.borrow_and_update().clone() {
                return agent;
            }
            if agent.changed().await.is_err() {
                // Not while this is borrowed.
                std::future::pending::<()>().await;
            }
        }
    }

    /// What the agent says to a question.
    pub fn answered(&self, id: u64, answer: Answer) {
        if let Some(waits) = lock(&self.asked).remove(&id) {
            // Nobody waits any more: the next question will be another one.
            let _ = waits.send(answer);
        }
    }

    /// What changed; `None`: anything may have.
    pub fn changed(&self, names: Option<Vec<Name>>) {
        let mut changed = lock(&self.changed);
        match (names, changed.as_mut()) {
            (Some(names), Some(known)) if known.len() + names.len() <= CHANGES => known.extend(names),
            (None | Some(_), Some(_)) => *changed = None,
            (_, None) => {}
        }
        drop(changed);
        self.news.notify_one();
    }

    /// What changed since this was asked last, if anything did.
    fn take(&self) -> Option<Option<Vec<Name>>> {
        let mut changed = lock(&self.changed);
        match changed.replace(BTreeSet::new()) {
            Some(names) if names.is_empty() => None,
            names => Some(names.map(|names| names.into_iter().collect())),
        }
    }

    /// Says what waits, as far as it is taken.
    pub fn say(&self) {
        let Some(agent) = self.agent.borrow().clone() else { return };
        let mut unsaid = lock(&self.unsaid);
        while let Some(word) = unsaid.pop_front() {
            match agent.try_send(word) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(word) | mpsc::error::TrySendError::Closed(word)) => {
                    unsaid.push_front(word);
                    return;
                }
            }
        }
    }

    async fn ask(&self, namespace: &str, name: &str) -> Option<Answer> {
        let agent = self.agent.borrow().clone()?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        lock(&self.asked).insert(id, tell);
        let word = Word::Get { id, namespace: namespace.to_owned(), name: name.to_owned() };
        let answer = async {
            agent.send(word).await.ok()?;
            told.await.ok()
        };
        let answer = tokio::time::timeout(PATIENCE, answer).await.ok().flatten();
        lock(&self.asked).remove(&id);
        answer
    }
}

/// Through the desk.
pub struct Through(pub Arc<Desk>);

#[async_trait]
impl Secrets for Through {
    fn changes(&self, wanted: Wanted) -> Box<dyn SourceFeed> {
        let (desk, agent) = (self.0.clone(), self.0.agent.subscribe());
        Box::new(Feed { desk, agent, wanted, known: BTreeSet::new(), unsaid: true })
    }

    async fn get(&self, namespace: &str, name: &str) -> Result<Option<Value>, Status> {
        match self.0.ask(namespace, name).await {
            Some(answer) => answer.map_err(|status| Status::from_json(&status)),
            None => Err(Status::new(Reason::ServiceUnavailable, "no agent is there to ask")),
        }
    }
}

impl Tell for Through {
    fn warn(&self, about: &About, reason: &str, message: &str) {
        let word = Word::Warn { about: about.clone(), reason: reason.to_owned(), message: message.to_owned() };
        let mut waiting = lock(&self.0.unsaid);
        if waiting.len() >= WARNINGS {
            waiting.pop_front();
        }
        waiting.push_back(word);
        drop(waiting);
        self.0.say();
    }
}

/// Changes as the agent tells them; it hears which are wanted. Whoever waits may go at any time: what is still to do is
/// in here.
struct Feed {
    desk: Arc<Desk>,
    agent: watch::Receiver<Option<Agent>>,
    wanted: Wanted,
    known: BTreeSet<Name>,
    unsaid: bool,
}

impl Feed {
    /// Tells the agent what is wanted, if it takes it.
    fn say(&mut self) {
        let agent = self.agent.borrow().clone();
        let wanted = Word::Wanted(self.wanted.borrow().as_ref().clone());
        // One that is gone, or not there yet, is followed by one that is told.
        self.unsaid =
            agent.is_some_and(|agent| matches!(agent.try_send(wanted), Err(mpsc::error::TrySendError::Full(_))));
    }
}

#[async_trait]
impl SourceFeed for Feed {
    async fn next(&mut self) -> Result<Option<Vec<Name>>, Status> {
        let over = |_| Status::new(Reason::ServiceUnavailable, "nobody tells of changes any more");
        loop {
            if self.unsaid {
                self.say();
            }
            if let Some(changed) = self.desk.take() {
                return Ok(changed);
            }
            tokio::select! {
                seat = self.agent.changed() => {
                    seat.map_err(over)?;
                    // What changed while nobody was there is not known.
                    self.desk.changed(None);
                    self.unsaid = true;
                }
                wish = self.wanted.changed() => {
                    wish.map_err(over)?;
                    let wanted = self.wanted.borrow_and_update().as_ref().clone();
                    self.desk.changed(Some(wanted.difference(&self.known).cloned().collect()));
                    (self.known, self.unsaid) = (wanted, true);
                }
                () = self.desk.news.notified() => {}
                () = tokio::time::sleep(AGAIN), if self.unsaid => {}
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
