//! Logs and processes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use gantry_api::{ExecRequest, LogRequest, Output, Streams};
use gantry_model::status::Reason;

use crate::world::{LINE, Things, World, until};

fn log(node: &str, container: &str) -> LogRequest {
    LogRequest { node: node.into(), pod: "web".into(), container: container.into(), ..LogRequest::default() }
}

fn exec(node: &str, word: &str) -> ExecRequest {
    ExecRequest { node: node.into(), command: vec![word.into()], stdin: true, stdout: true, ..ExecRequest::default() }
}

fn alive(things: &Things) -> usize {
    things.alive.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_log_arrives_whole() {
    let world = World::start().await;
    let (_uplink, things) = world.node("n1").await;
    let request = LogRequest { tail_lines: Some(50_000), ..log("n1", "c") };
    let pieces: Vec<Bytes> = world.hub.logs(request).await.unwrap().map(Result::unwrap).collect().await;
    let all = pieces.concat();
    assert_eq!(all.len(), 50_000 * LINE.len());
    assert!(all.ends_with(LINE));
    until("the log is closed", || alive(&things) == 0).await;
}

#[tokio::test]
async fn what_goes_wrong_on_the_node_is_said_in_its_words() {
    let world = World::start().await;
    let (_uplink, _things) = world.node("n1").await;
    let waiting = world.hub.logs(log("n1", "waiting")).await.err().unwrap();
    assert_eq!(
        (waiting.reason, waiting.message.as_str()),
        (Reason::BadRequest, "container \"waiting\" is waiting to start")
    );
    let mut broken = world.hub.logs(log("n1", "broken")).await.unwrap();
    assert_eq!(broken.next().await.unwrap().unwrap(), LINE);
    assert_eq!(broken.next().await.unwrap().unwrap_err().to_string(), "the disk is gone");
    assert!(broken.next().await.is_none());
    let unknown = world.hub.logs(log("n9", "c")).await.err().unwrap();
    assert_eq!(unknown.reason, Reason::ServiceUnavailable);
    assert!(unknown.message.starts_with("error dialing backend: node \"n9\""), "{unknown}");
    let attach = world.hub.attach(exec("n1", "")).await.err().unwrap();
    assert_eq!(attach.reason, Reason::BadRequest);
}

#[tokio::test]
async fn a_process_is_fed_sized_and_ends_with_its_code() {
    let world = World::start().await;
    let (_uplink, things) = world.node("n1").await;
    let mut cat = world.hub.exec(exec("n1", "cat")).await.unwrap();
    let stdin = cat.stdin.take().unwrap();
    let feed = tokio::spawn(async move {
        for _ in 0..100 {
            stdin.send(Bytes::from(vec![b'x'; 10_000])).await.unwrap();
        }
    });
    let mut got = 0;
    while let Some((which, bytes)) = cat.output.recv().await {
        assert_eq!(which, Output::Stdout);
        got += bytes.len();
    }
    feed.await.unwrap();
    assert_eq!((got, cat.exit.await.unwrap()), (1_000_000, Ok(0)));
    let mut size = world.hub.exec(exec("n1", "size")).await.unwrap();
    size.resize.send((120, 40)).await.unwrap();
    assert_eq!(size.output.recv().await.unwrap(), (Output::Stderr, Bytes::from_static(b"120x40")));
    assert_eq!(size.exit.await.unwrap(), Ok(3));
    let unknown = world.hub.exec(exec("n1", "other")).await.unwrap();
    assert_eq!(unknown.exit.await.unwrap(), Err("no such program".into()));
    until("the processes are over", || alive(&things) == 0).await;
}

#[tokio::test]
async fn a_client_that_goes_ends_what_it_asked_for() {
    let world = World::start().await;
    let (_uplink, things) = world.node("n1").await;
    let mut log = world.hub.logs(log("n1", "quiet")).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap(), LINE);
    let process = world.hub.exec(exec("n1", "sleep")).await.unwrap();
    // More input than anybody takes.
    let stdin = process.stdin.clone().unwrap();
    let feed = tokio::spawn(async move { while stdin.send(Bytes::from(vec![b'x'; 60_000])).await.is_ok() {} });
    until("both are open", || alive(&things) == 2).await;
    drop(log);
    until("the log is closed", || alive(&things) == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    feed.abort();
    drop(process);
    until("the process has ended", || alive(&things) == 0).await;
}

#[tokio::test]
async fn what_nobody_reads_holds_up_nothing_else() {
    let world = World::start().await;
    let (_uplink, things) = world.node("n1").await;
    let mut unread = Vec::new();
    for _ in 0..40 {
        unread.push(world.hub.logs(log("n1", "endless")).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let request = LogRequest { tail_lines: Some(10_000), ..log("n1", "c") };
    let read = async { world.hub.logs(request).await.unwrap().count().await };
    tokio::time::timeout(Duration::from_secs(20), read).await.expect("it is held up");
    // Those go on where they were.
    let first = unread.first_mut().unwrap().next().await.unwrap().unwrap();
    assert!(first.starts_with(LINE));
    drop(unread);
    until("all are closed", || alive(&things) == 0).await;
}

#[tokio::test]
async fn a_lost_node_ends_its_sessions_with_a_clear_error() {
    let world = World::start().await;
    let (uplink, _things) = world.node("n1").await;
    let mut log = world.hub.logs(log("n1", "quiet")).await.unwrap();
    assert_eq!(log.next().await.unwrap().unwrap(), LINE);
    let process = world.hub.exec(exec("n1", "sleep")).await.unwrap();
    uplink.stop().await;
    let error = log.next().await.unwrap().unwrap_err().to_string();
    assert!(error.contains("node \"n1\" broke off"), "{error}");
    let error = process.exit.await.unwrap().unwrap_err();
    assert!(error.contains("node \"n1\" broke off"), "{error}");
    until("the node is gone", || world.hub.linked().is_empty()).await;
    assert_eq!(world.hub.exec(exec("n1", "cat")).await.err().unwrap().reason, Reason::ServiceUnavailable);
}

#[tokio::test]
async fn a_server_that_was_away_is_linked_up_with_again() {
    let world = World::start().await;
    let (uplink, things) = world.node("n1").await;
    let mut links = uplink.links();
    let before = *links.borrow_and_update();
    let process = world.hub.exec(exec("n1", "sleep")).await.unwrap();
    let world = world.restart().await;
    until("the process has ended with its client", || alive(&things) == 0).await;
    assert!(process.exit.await.unwrap().is_err());
    world.until_linked("n1").await;
    links.changed().await.unwrap();
    assert!(*links.borrow() > before);
    let lines = world.hub.logs(log("n1", "c")).await.unwrap().count().await;
    assert!(lines > 0);
}
