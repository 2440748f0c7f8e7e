//! The embedded store: objects in memory, every change in a sled database before anyone hears of it.
//!
//! One thread owns the database. It takes what waits in the queue as one group, checks it, writes it in one batch with
//! one flush, and only then publishes it to memory and answers. So an answer means that the write survives a power cut,
//! and no reader ever sees what a crash could take back.

mod codec;
mod database;
mod directory;
mod load;
mod scratch;
#[cfg(test)]
mod tests;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use gantry_model::key::Resource;
use gantry_model::{Key, Record};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::memory::Memory;
use crate::{Error, Op, Page, Range, Store, Watch, Write};
use load::Loaded;
use scratch::Scratch;
use writer::{Message, Request, Waiter, Writer};

/// How an embedded store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory that belongs to the store; made when it is missing.
    pub path: PathBuf,
    /// Writes that may wait.
    pub queue: usize,
    /// Bytes of objects that may wait.
    pub queue_bytes: usize,
    /// How long a write waits for a place in the queue before it is told `Busy`.
    pub patience: Duration,
    /// Writes that share a flush at most.
    pub group: usize,
    /// Events kept for watches that resume, over all resources.
    pub log_events: usize,
    /// About how many bytes of memory these may take.
    pub log_bytes: usize,
    /// A database smaller than this on disk is never rewritten.
    pub rewrite_bytes: u64,
    /// At opening, a database this many times larger than its content is rewritten. sled needs about twice the content
    /// when it is fresh.
    pub rewrite_ratio: u64,
}

impl Options {
    /// The usual bounds for a store in this directory.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            queue: 4096,
            queue_bytes: 64 << 20,
            patience: Duration::from_secs(5),
            group: 512,
            log_events: 100_000,
            log_bytes: 64 << 20,
            rewrite_bytes: 64 << 20,
            rewrite_ratio: 4,
        }
    }
}

/// The state of the writer that everyone may ask for.
#[derive(Default)]
struct Health {
    closed: AtomicBool,
    failure: OnceLock<String>,
}

impl Health {
    fn check(&self) -> Result<(), Error> {
        if self.failure.get().is_some() || self.closed.load(Ordering::Acquire) { Err(self.reason()) } else { Ok(()) }
    }

    fn reason(&self) -> Error {
        Error::Failed(self.failure.get().cloned().unwrap_or_else(|| "it is closed".to_owned()))
    }
}

/// The embedded store. Dropping it writes what is queued and lets go of the directory.
pub struct Sled {
    memory: Arc<Memory>,
    health: Arc<Health>,
    queue: Option<mpsc::Sender<Message>>,
    /// One permit a KiB that may wait.
    room: Arc<Semaphore>,
    capacity: u32,
    patience: Duration,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Removed after the thread has ended.
    _scratch: Option<Scratch>,
}

impl Sled {
    /// Opens the store and loads all of it. Blocks; a directory that can't be used is `Error::Open`.
    pub fn open(options: Options) -> Result<Self, Error> {
        Self::start(options, None)
    }

    /// A store in a directory of its own under the system's temporary one, removed when the store is dropped.
    pub fn temporary() -> Result<Self, Error> {
        let scratch = Scratch::new();
        Self::start(Options::new(scratch.path()), Some(scratch))
    }

    fn start(options: Options, scratch: Option<Scratch>) -> Result<Self, Error> {
        let loaded =
            load::load(&options).map_err(|reason| Error::Open { path: options.path.display().to_string(), reason })?;
        Self::run(loaded, options, scratch)
    }

    fn run(loaded: Loaded, options: Options, scratch: Option<Scratch>) -> Result<Self, Error> {
        let memory = Arc::clone(&loaded.memory);
        let health = Arc::new(Health::default());
        let (queue, messages) = mpsc::channel(options.queue.max(1));
        let writer = Writer::new(loaded, Arc::clone(&health), options.group);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writer.run(messages))
            .map_err(|e| Error::Failed(format!("can't start the writer's thread: {e}")))?;
        let capacity = kib(options.queue_bytes);
        Ok(Self {
            memory,
            health,
            queue: Some(queue),
            room: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            patience: options.patience,
            thread: Mutex::new(Some(thread)),
            _scratch: scratch,
        })
    }

    /// A place for this many bytes in the queue.
    async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let permits = kib(bytes).min(self.capacity);
        if let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(permits) {
            return Ok(room);
        }
        match tokio::time::timeout(self.patience, Arc::clone(&self.room).acquire_many_owned(permits)).await {
            Ok(Ok(room)) => Ok(room),
            _ => Err(Error::Busy),
        }
    }

    async fn enqueue(&self, message: Message) -> Result<(), Error> {
        use mpsc::error::{SendTimeoutError, TrySendError};
        let Some(queue) = &self.queue else { return Err(self.health.reason()) };
        match queue.try_send(message) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(message)) => match queue.send_timeout(message, self.patience).await {
                Ok(()) => Ok(()),
                Err(SendTimeoutError::Timeout(_)) => Err(Error::Busy),
                Err(SendTimeoutError::Closed(_)) => Err(self.health.reason()),
            },
            Err(TrySendError::Closed(_)) => Err(self.health.reason()),
        }
    }
}

#[async_trait]
impl Store for Sled {
    fn revision(&self) -> u64 {
        self.memory.revision()
    }

    fn get(&self, key: &Key) -> Option<Arc<Record>> {
        self.memory.get(key)
    }

    fn list(&self, range: &Range) -> Page {
        self.memory.list(range)
    }

    fn owned(&self, uid: &str) -> Vec<Arc<Record>> {
        self.memory.owned(uid)
    }

    fn orphans(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Record>> {
        self.memory.orphans(resource, namespace)
    }

    fn indexed(&self, resource: &Resource, namespace: Option<&str>, field: &str, value: &str) -> Page {
        self.memory.indexed(resource, namespace, field, value)
    }

    async fn write(&self, write: Write) -> Result<Arc<Record>, Error> {
        self.health.check()?;
        let size = match &write.op {
            Op::Put(draft) => draft.size(),
            Op::Delete => 0,
        };
        let room = self.room(size).await?;
        let (done, answer) = oneshot::channel();
        self.enqueue(Message::Write(Box::new(Request { write, size, waiter: Waiter { done, _room: room } }))).await?;
        // No answer at all: the writer ended with this request still queued, so it was not made.
        answer.await.unwrap_or_else(|_| Err(self.health.reason()))
    }

    fn watch(&self, resource: &Resource, from: Option<u64>) -> Result<Box<dyn Watch>, Error> {
        Ok(Box::new(self.memory.watch(resource, from)?))
    }

    async fn close(&self) {
        self.health.closed.store(true, Ordering::Release);
        let (done, closed) = oneshot::channel();
        if let Some(queue) = &self.queue
            && queue.send(Message::Close(done)).await.is_ok()
        {
            // An error means that the writer has ended, which is what is waited for.
            let _ = closed.await;
        }
        self.memory.close();
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        self.health.closed.store(true, Ordering::Release);
        // Without a sender the writer finishes its queue and ends.
        self.queue = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the store's writer panicked");
        }
        self.memory.close();
    }
}

fn kib(bytes: usize) -> u32 {
    u32::try_from(bytes / 1024 + 1)
        .unwrap_or(u32::MAX)
        .min((Semaphore::MAX_PERMITS >> 1).try_into().unwrap_or(u32::MAX))
}
