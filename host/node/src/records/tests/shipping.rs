//! The service, with sinks that the tests play: retries, refusals, silence; a slow one holds up nobody; logs that are to
//! go wait for it, but not for ever; a kill after a sink took a batch makes it come again, a stop in order does not.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Notify, Semaphore};

use super::Logs;
use crate::logs::Source;
use crate::records::{Away, Batch, Fate, Handle, Options, Outlet, start};

/// A sink that answers as told, then accepts.
struct Fake {
    name: &'static str,
    answers: Mutex<VecDeque<Result<Fate, Away>>>,
    /// Each delivery takes one.
    permits: Semaphore,
    got: Mutex<Vec<String>>,
    changed: Notify,
}

impl Fake {
    fn new(name: &'static str, answers: Vec<Result<Fate, Away>>, permits: usize) -> Arc<Self> {
        let (got, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { name, answers: Mutex::new(answers.into()), permits: Semaphore::new(permits), got, changed })
    }

    fn open(name: &'static str) -> Arc<Self> {
        Self::new(name, Vec::new(), Semaphore::MAX_PERMITS)
    }

    fn got(&self) -> Vec<String> {
        self.got.lock().unwrap().clone()
    }

    async fn until(&self, what: impl Fn(&[String]) -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(30), async {
            loop {
                let changed = self.changed.notified();
                if what(&self.got()) {
                    return;
                }
                changed.await;
            }
        });
        assert!(waited.await.is_ok(), "{} has {:?}", self.name, self.got());
    }
}

#[async_trait]
impl Outlet for Fake {
    fn name(&self) -> &str {
        self.name
    }

    async fn deliver(&self, batch: Arc<Batch>) -> Result<Fate, Away> {
        self.permits.acquire().await.unwrap().forget();
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Fate::Accepted));
        if answer == Ok(Fate::Accepted) {
            self.got.lock().unwrap().extend(batch.records.iter().map(|record| record.body.clone()));
        }
        self.changed.notify_one();
        answer
    }
}

impl PartialEq for Away {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

async fn service(logs: &Logs, outlets: &[&Arc<Fake>], grace: Duration) -> Handle {
    let outlets = outlets.iter().map(|fake| (*fake).clone() as Arc<dyn Outlet>).collect();
    let (notices, node) = (logs.notices.clone(), "n".to_owned());
    start(Options { node, logs: logs.root(), state: logs.state(), outlets, notices, grace }).await.unwrap()
}

fn write(logs: &Logs, attempt: u32, text: &str) {
    logs.writer(&logs.log(attempt), 1000, 50).append(Source::Stdout, text.as_bytes());
}

async fn until_gone(path: PathBuf, patience: Duration) -> Duration {
    let begun = Instant::now();
    while path.exists() {
        assert!(begun.elapsed() < patience, "{} is still there", path.display());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_is_away_gets_the_batch_again_and_one_that_refuses_does_not() {
    let logs = Logs::new();
    let away = || Err(Away("the line is cut".to_owned()));
    let refused = Ok(Fate::Rejected("no".to_owned()));
    let sink = Fake::new("sink", vec![away(), refused, away(), Ok(Fate::Accepted)], Semaphore::MAX_PERMITS);
    let service = service(&logs, &[&sink], LONG).await;
    write(&logs, 0, "refused\n");
    tokio::time::timeout(Duration::from_secs(30), async {
        while sink.answers.lock().unwrap().len() > 2 {
            sink.changed.notified().await;
        }
    })
    .await
    .unwrap();
    write(&logs, 0, "late\n");
    sink.until(|got| got == ["late"]).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sink_that_hangs_holds_up_no_other() {
    let logs = Logs::new();
    let (stuck, works) = (Fake::new("stuck", Vec::new(), 0), Fake::open("works"));
    let service = service(&logs, &[&stuck, &works], LONG).await;
    for n in 0..100 {
        write(&logs, n % 3, &format!("line {n}\n"));
    }
    works.until(|got| got.len() == 100).await;
    assert!(stuck.got().is_empty());
    stuck.permits.add_permits(1000);
    stuck.until(|got| got.len() == 100).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_order_repeats_nothing_and_a_kill_repeats_what_was_not_noted() {
    let logs = Logs::new();
    let sink = Fake::open("sink");
    let first = service(&logs, &[&sink], LONG).await;
    write(&logs, 0, "one\n");
    sink.until(|got| got == ["one"]).await;
    first.stop().await;
    let positions = std::fs::read(logs.state().join("sink.json")).unwrap();
    let second = service(&logs, &[&sink], LONG).await;
    write(&logs, 0, "two\n");
    sink.until(|got| got == ["one", "two"]).await;
    second.stop().await;
    // As if it had been killed between the sink's answer and the note of it.
    std::fs::write(logs.state().join("sink.json"), positions).unwrap();
    let third = service(&logs, &[&sink], LONG).await;
    sink.until(|got| got == ["one", "two", "two"]).await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_once_every_sink_has_them() {
    let logs = Logs::new();
    let (slow, fast) = (Fake::new("slow", Vec::new(), 0), Fake::open("fast"));
    let service = service(&logs, &[&slow, &fast], LONG).await;
    write(&logs, 0, "first\nno end");
    service.retire(logs.pod()).await.unwrap();
    service.retire(logs.pod()).await.unwrap();
    fast.until(|got| got == ["first", "no end"]).await;
    assert!(logs.pod().exists(), "the slow sink does not have them");
    slow.permits.add_permits(1000);
    slow.until(|got| got == ["first", "no end"]).await;
    until_gone(logs.pod(), Duration::from_secs(30)).await;
    service.stop().await;
    let kept = std::fs::read_to_string(logs.state().join("slow.json")).unwrap();
    assert!(!kept.contains("web"), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_do_not_wait_for_ever() {
    let logs = Logs::new();
    let stuck = Fake::new("stuck", Vec::new(), 0);
    let service = service(&logs, &[&stuck], Duration::from_millis(300)).await;
    write(&logs, 0, "first\n");
    service.retire(logs.pod()).await.unwrap();
    let waited = until_gone(logs.pod(), Duration::from_secs(30)).await;
    assert!(waited >= Duration::from_millis(200), "{waited:?}");
    // The lane lives on.
    std::fs::create_dir_all(logs.pod().join("app")).unwrap();
    write(&logs, 1, "second\n");
    stuck.permits.add_permits(1000);
    stuck.until(|got| got.last().is_some_and(|last| last == "second")).await;
    service.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_sinks_logs_go_at_once_and_one_log_may_go_alone() {
    let logs = Logs::new();
    let service = service(&logs, &[], LONG).await;
    write(&logs, 0, &"a line\n".repeat(500));
    write(&logs, 1, "kept\n");
    service.retire(logs.log(0)).await.unwrap();
    let names: Vec<_> = std::fs::read_dir(logs.pod().join("app")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["1.log"]);
    service.retire(logs.pod()).await.unwrap();
    assert!(!logs.pod().exists());
}

#[tokio::test]
async fn positions_of_a_newer_program_are_refused() {
    let logs = Logs::new();
    std::fs::create_dir_all(logs.state()).unwrap();
    std::fs::write(logs.state().join("sink.json"), r#"{"version": 2}"#).unwrap();
    let outlets = vec![Fake::open("sink") as Arc<dyn Outlet>];
    let (notices, node) = (logs.notices.clone(), "n".to_owned());
    let options = Options { node, logs: logs.root(), state: logs.state(), outlets, notices, grace: LONG };
    let error = start(options).await.err().unwrap().to_string();
    assert!(error.contains("sink.json has format 2"), "{error}");
}
