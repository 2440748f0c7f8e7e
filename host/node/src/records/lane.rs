//! The way to one sink: read, hand over, settle, write positions down; and again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::batch::Parcel;
use super::outlet::{Away, Batch, Fate, Outlet};
use super::positions::Positions;
use super::reader::Reader;
use crate::logs::Listener;

/// Small batches are this far apart, so that a line now and then and a steady trickle both cost little.
const PACE: Duration = Duration::from_millis(200);
/// Bytes behind from which on there is no pause.
const EAGER: u64 = 256 * 1024;
/// Positions are written at most this often: what a kill makes come again is what was accepted in so long.
const SAVE: Duration = Duration::from_secs(1);
/// While a batch is on its way, everything else is seen to this often.
const TICK: Duration = Duration::from_millis(500);
/// Between tries while the way to the sink is broken.
const RETRY: Duration = Duration::from_secs(1);
/// What a batch under way gets when the node stops, so that it need not come again.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a lane is asked.
pub enum Command {
    /// Nothing is written below `path` any more. Says `done` once all is settled, or given up at the deadline.
    Retire {
        /// A folder or a log.
        path: PathBuf,
        /// When to give up.
        deadline: Instant,
        /// Dropped if the lane stops before.
        done: oneshot::Sender<()>,
    },
    /// The files below are gone.
    Forget(PathBuf),
}

/// One sink's lane.
pub struct Lane {
    /// The sink.
    pub outlet: Arc<dyn Outlet>,
    /// The logs.
    pub reader: Reader,
    /// What writers say.
    pub listener: Listener,
    /// What is asked.
    pub commands: mpsc::Receiver<Command>,
    /// Where positions are written.
    pub positions: Positions,
    /// Ends it.
    pub stop: CancellationToken,
}

struct Retiring {
    path: PathBuf,
    deadline: Instant,
    done: oneshot::Sender<()>,
}

/// A lane at work.
struct Run {
    lane: Lane,
    metrics: Metrics,
    retiring: Vec<Retiring>,
    /// Places changed that are not written.
    dirty: bool,
    saved: Instant,
    sent: Option<Instant>,
    /// Bytes of the batch under way.
    under_way: u64,
}

impl Lane {
    /// Runs until stopped.
    pub async fn run(self) {
        let metrics = Metrics::of(self.outlet.name());
        let mut run = Run {
            lane: self,
            metrics,
            retiring: Vec::new(),
            dirty: false,
            saved: Instant::now(),
            sent: None,
            under_way: 0,
        };
        let stop = run.lane.stop.clone();
        while !stop.is_cancelled() {
            if !run.round().await {
                return;
            }
        }
        run.save().await;
    }
}

impl Run {
    /// One batch, or a wait for something to do. `false`: the lane can't go on.
    async fn round(&mut self) -> bool {
        self.hear();
        self.see_to_retiring().await;
        if self.saved.elapsed() >= SAVE {
            self.save().await;
        }
        let wake = self.lane.reader.wake(std::time::Instant::now());
        if !self.may_send() {
            self.idle(wake.map(Instant::from_std)).await;
            return true;
        }
        self.sent = Some(Instant::now());
        let Some(parcel) = self.with_reader(Reader::fill).await else { return false };
        let Parcel { batch, places, covered, .. } = parcel;
        if !batch.records.is_empty() {
            self.under_way = covered;
            if self.deliver(Arc::new(batch)).await.is_none() {
                return true;
            }
            self.under_way = 0;
        }
        self.lane.reader.settle(&places);
        self.dirty |= !places.is_empty();
        self.metrics.behind(self.lane.reader.behind());
        true
    }

    /// Something is there to read, and either much of it or the last batch was a while ago.
    fn may_send(&self) -> bool {
        let paced = self.sent.is_none_or(|sent| sent.elapsed() >= PACE);
        self.lane.reader.is_ready() && (paced || self.lane.reader.behind() >= EAGER)
    }

    fn hear(&mut self) {
        let lost = self.lane.reader.hear(self.lane.listener.take());
        self.lose(lost, "rotated away");
        self.metrics.behind(self.lane.reader.behind() + self.under_way);
    }

    fn lose(&self, lines: u64, why: &'static str) {
        if lines > 0 {
            tracing::warn!(plugin = self.lane.outlet.name(), lines, why, "log lines are gone before a sink had them");
            self.metrics.lost.increment(lines);
        }
    }

    /// Waits until there may be something to do.
    async fn idle(&mut self, wake: Option<Instant>) {
        let pace = self.sent.filter(|_| self.lane.reader.is_ready()).map(|sent| sent + PACE);
        let save = self.dirty.then(|| self.saved + SAVE);
        let deadlines = self.retiring.iter().map(|retiring| retiring.deadline);
        let at = deadlines.chain([wake, pace, save].into_iter().flatten()).min();
        let alarm = async {
            match at {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        // What comes within the pace waits for its end anyway.
        let news = async {
            match pace {
                Some(_) => std::future::pending().await,
                None => self.lane.listener.wait().await,
            }
        };
        tokio::select! {
            () = self.lane.stop.cancelled() => {}
            () = alarm => {}
            () = news => {}
            Some(command) = self.lane.commands.recv() => self.obey(command).await,
        }
    }

    /// Hands a batch over until its fate is decided. `None`: the node stops first.
    async fn deliver(&mut self, batch: Arc<Batch>) -> Option<()> {
        let mut told = false;
        loop {
            let (outlet, offer) = (self.lane.outlet.clone(), batch.clone());
            match self.meanwhile(async move { outlet.deliver(offer).await }).await? {
                Ok(fate) => {
                    self.count(&fate, batch.records.len());
                    return Some(());
                }
                Err(Away(why)) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(
                            plugin = self.lane.outlet.name(),
                            why,
                            "a sink can't be reached; its records wait"
                        );
                    }
                    self.metrics.retries.increment(1);
                    if self.lane.stop.is_cancelled() {
                        return None;
                    }
                    self.meanwhile(tokio::time::sleep(RETRY)).await?;
                }
            }
        }
    }

    fn count(&self, fate: &Fate, lines: usize) {
        let lines = u64::try_from(lines).unwrap_or_default();
        match fate {
            Fate::Accepted => self.metrics.shipped.increment(lines),
            Fate::Rejected(why) => {
                tracing::warn!(plugin = self.lane.outlet.name(), why, lines, "a sink refused log lines for good");
                self.metrics.rejected.increment(lines);
            }
        }
        self.metrics.batches.increment(1);
    }

    /// Waits for something, and sees to everything else meanwhile. `None`: the node stops.
    async fn meanwhile<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        let stop = self.lane.stop.clone();
        loop {
            tokio::select! {
                biased;
                done = &mut work => return Some(done),
                () = stop.cancelled() => return tokio::time::timeout(FAREWELL, work).await.ok(),
                Some(command) = self.lane.commands.recv() => self.obey(command).await,
                () = tokio::time::sleep(TICK) => {
                    self.hear();
                    self.see_to_retiring().await;
                }
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Retire { path, deadline, done } => {
                self.hear();
                let ended = self.with_reader({
                    let path = path.clone();
                    move |reader| reader.end(&path)
                });
                if let Some(Err(error)) = ended.await {
                    tracing::warn!(%error, path = %path.display(), "can't look for the logs of a pod that is gone");
                }
                self.retiring.push(Retiring { path, deadline, done });
            }
            Command::Forget(path) => self.dirty |= self.lane.reader.forget(&path),
        }
    }

    /// Says of what is to go whether it may.
    async fn see_to_retiring(&mut self) {
        let now = Instant::now();
        for retiring in std::mem::take(&mut self.retiring) {
            if !self.lane.reader.is_finished(&retiring.path) {
                if now < retiring.deadline {
                    self.retiring.push(retiring);
                    continue;
                }
                let path = retiring.path.clone();
                let lost = self.with_reader(move |reader| reader.give_up(&path)).await.unwrap_or_default();
                self.lose(lost, "the pod is gone");
            }
            let _ = retiring.done.send(());
        }
    }

    async fn save(&mut self) {
        self.saved = Instant::now();
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let (positions, places) = (self.lane.positions.clone(), self.lane.reader.places());
        let saved = tokio::task::spawn_blocking(move || positions.save(places)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "can't write down how far a sink has got; a crash would ship lines again");
            self.dirty = true;
        }
    }

    /// Has the reader do something slow. `None`: it broke.
    async fn with_reader<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Reader) -> T + Send + 'static,
    ) -> Option<T> {
        let mut reader = std::mem::take(&mut self.lane.reader);
        let done = tokio::task::spawn_blocking(move || {
            let value = work(&mut reader);
            (reader, value)
        });
        match done.await {
            Ok((reader, value)) => {
                self.lane.reader = reader;
                Some(value)
            }
            Err(error) => {
                tracing::error!(%error, plugin = self.lane.outlet.name(), "the reader of logs broke; this sink gets no more");
                None
            }
        }
    }
}

/// Counted per sink.
struct Metrics {
    shipped: metrics::Counter,
    rejected: metrics::Counter,
    lost: metrics::Counter,
    batches: metrics::Counter,
    retries: metrics::Counter,
    lag: metrics::Gauge,
}

impl Metrics {
    fn of(plugin: &str) -> Self {
        let lines = |outcome: &'static str| metrics::counter!("gantry_log_lines_total", "plugin" => plugin.to_owned(), "outcome" => outcome);
        Self {
            shipped: lines("shipped"),
            rejected: lines("rejected"),
            lost: lines("lost"),
            batches: metrics::counter!("gantry_log_batches_total", "plugin" => plugin.to_owned()),
            retries: metrics::counter!("gantry_log_retries_total", "plugin" => plugin.to_owned()),
            lag: metrics::gauge!("gantry_log_lag_bytes", "plugin" => plugin.to_owned()),
        }
    }

    fn behind(&self, bytes: u64) {
        self.lag.set(bytes as f64);
    }
}
