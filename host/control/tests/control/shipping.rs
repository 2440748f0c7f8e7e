//! Batches of others on their way to a sink: retries that it asks for, refusals, faults, a record that it does not survive.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gantry_control::records::{self, Fate, Handle};
use gantry_plugin::family::sink::{Batch, LogRecord, Origin, Outcome};
use gantry_plugin::family::{Call, Error};
use gantry_plugin::{Fault, Finding, Sink};

use crate::world::World;

#[derive(Clone, Default)]
struct Played {
    answers: Arc<Mutex<VecDeque<Call<Outcome>>>>,
    /// Bodies of batches that were accepted.
    got: Arc<Mutex<Vec<Vec<String>>>>,
    resets: Arc<Mutex<u32>>,
    /// Dies of a record with this body.
    deadly: &'static str,
}

fn trap() -> Fault {
    let finding = Finding::Trap { message: "unreachable".into(), backtrace: String::new(), log: Vec::new() };
    Fault { plugin: "sink".into(), version: "1".into(), call: "sink.write".into(), finding }
}

#[async_trait]
impl Sink for Played {
    async fn reset(&mut self) -> Call<Result<(), Error>> {
        *self.resets.lock().unwrap() += 1;
        Ok(Ok(()))
    }

    async fn write(&mut self, batch: &Batch) -> Call<Outcome> {
        let bodies: Vec<String> = batch.records.iter().map(|record| record.body.clone()).collect();
        if bodies.iter().any(|body| body == self.deadly) {
            return Err(trap());
        }
        let answer = self.answers.lock().unwrap().pop_front().unwrap_or(Ok(Outcome::Accepted));
        if matches!(answer, Ok(Outcome::Accepted)) {
            self.got.lock().unwrap().push(bodies);
        }
        answer
    }
}

fn batch(bodies: &[&str]) -> Arc<Batch> {
    let record = |body: &&str| LogRecord {
        origin: 0,
        time_unix_nano: 1,
        severity_number: 0,
        body: (*body).to_owned(),
        attributes: vec![],
    };
    Arc::new(Batch { origins: vec![Origin { attributes: vec![] }], records: bodies.iter().map(record).collect() })
}

async fn pipeline(played: &Played) -> Handle {
    let world = World::new().await;
    let sink = Box::new(played.clone());
    records::start(records::Options { plugin: "sink".into(), sink, objects: world.objects.clone() })
}

#[tokio::test]
async fn a_batch_is_offered_until_its_fate_is_known() {
    let played = Played { deadly: "-", ..Played::default() };
    let answers =
        [Ok(Outcome::RetryAfterMs(200)), Err(trap()), Ok(Outcome::Accepted), Ok(Outcome::Rejected("no".into()))];
    played.answers.lock().unwrap().extend(answers);
    let handle = pipeline(&played).await;
    let begun = Instant::now();
    assert_eq!(handle.inlet().deliver(batch(&["a", "b"])).await, Some(Fate::Accepted));
    assert!(begun.elapsed() >= Duration::from_millis(240), "{:?}", begun.elapsed());
    assert_eq!(*played.resets.lock().unwrap(), 2, "the instance that trapped was used again");
    assert_eq!(handle.inlet().deliver(batch(&["c"])).await, Some(Fate::Rejected("no".into())));
    assert_eq!(*played.got.lock().unwrap(), [["a", "b"]]);
    handle.stop().await;
}

#[tokio::test]
async fn a_record_that_kills_the_sink_holds_up_no_other() {
    let played = Played { deadly: "deadly", ..Played::default() };
    let handle = pipeline(&played).await;
    assert_eq!(handle.inlet().deliver(batch(&["a", "deadly", "b", "c"])).await, Some(Fate::Accepted));
    let got: Vec<String> = played.got.lock().unwrap().concat();
    assert_eq!(got, ["a", "b", "c"]);
    handle.stop().await;
}

#[tokio::test]
async fn a_stop_tells_whoever_waits_that_nobody_knows() {
    let played = Played { deadly: "deadly", ..Played::default() };
    let handle = pipeline(&played).await;
    let inlet = handle.inlet();
    let waiting = tokio::spawn(async move { inlet.deliver(batch(&["deadly"])).await });
    tokio::time::timeout(Duration::from_secs(10), async {
        while *played.resets.lock().unwrap() < 2 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    handle.stop().await;
    assert_eq!(waiting.await.unwrap(), None);
}
