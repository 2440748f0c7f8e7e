//! Who waits, and for what: a plugin that fails on request, and feeds by hand. Needs root, for netlink.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gantry_model::key::Resource;
use gantry_model::record::Draft;
use gantry_model::{Key, Record, Status};
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::network_policy::Delta;
use gantry_plugin::family::{Error as Refusal, ErrorCode, RetryHint};
use gantry_plugin::{Call, Grants};
use serde_json::json;

use super::*;

/// Notes what it is told.
#[derive(Clone, Default)]
struct Sample {
    broken: Arc<AtomicBool>,
    resets: Arc<AtomicUsize>,
    pods: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl NetworkPolicy for Sample {
    async fn reset(&mut self, _node: NodeInfo) -> Call<Result<(), Refusal>> {
        self.resets.fetch_add(1, Ordering::SeqCst);
        Ok(Ok(()))
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Refusal>> {
        Ok(Ok(Vec::new()))
    }

    async fn sync(&mut self, _full: bool, deltas: &[Delta]) -> Call<Result<Vec<Operation>, Refusal>> {
        if self.broken.load(Ordering::SeqCst) {
            let message = "no rules today".to_owned();
            return Ok(Err(Refusal { code: ErrorCode::Internal, message, retry: RetryHint::Backoff }));
        }
        let pods =
            deltas.iter().filter_map(|delta| if let Delta::PodSet(pod) = delta { Some(pod.id.clone()) } else { None });
        self.pods.lock().unwrap().extend(pods);
        Ok(Ok(Vec::new()))
    }
}

struct Feed(mpsc::Receiver<Vec<PodEvent>>);

#[async_trait]
impl PodFeed for Feed {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        match self.0.recv().await {
            Some(events) => Ok(events),
            None => std::future::pending().await,
        }
    }
}

struct World {
    sample: Sample,
    policies: Policies,
    /// Of pods, namespaces and policies.
    feeds: [mpsc::Sender<Vec<PodEvent>>; 3],
}

impl World {
    fn new() -> Self {
        let sample = Sample::default();
        let (feeds, [pods, namespaces, policies]) = {
            let [a, b, c] = [mpsc::channel(8), mpsc::channel(8), mpsc::channel(8)];
            ([a.0, b.0, c.0], [Feed(a.1), Feed(b.1), Feed(c.1)])
        };
        let kind = KindRef { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into() };
        let options = Options {
            plugin: Box::new(sample.clone()),
            plugin_name: "sample".into(),
            grants: Effective::new(Grants::default(), Grants::default()),
            node: NodeInfo { name: "n1".into(), addresses: Vec::new(), cluster_ranges: Vec::new() },
            pods: Box::new(pods),
            namespaces: Box::new(namespaces),
            policies: vec![(kind, Box::new(policies))],
            data_dir: None,
            node_netns: None,
        };
        Self { sample, policies: Policies::start(options), feeds }
    }

    /// Policies are in the namespace `closed`.
    async fn known(&self) {
        let metadata = json!({"name": "p", "namespace": "closed"});
        let key = Key::new(Resource::new("", "networkpolicies"), "closed", "p");
        let policy: Arc<Record> = Arc::new(Draft::new(key, json!({"metadata": metadata}), &[]).commit(1));
        let [pods, namespaces, policies] = &self.feeds;
        pods.send(vec![PodEvent::Snapshot(Vec::new())]).await.unwrap();
        namespaces.send(vec![PodEvent::Snapshot(Vec::new())]).await.unwrap();
        policies.send(vec![PodEvent::Snapshot(vec![policy])]).await.unwrap();
    }

    async fn admit(&self, namespace: &str, uid: &str) -> Result<(), String> {
        let key = PodRef { namespace: namespace.into(), name: uid.into(), uid: uid.into() };
        self.policies.admit(&key, &v1::Pod::default(), &[[10, 0, 0, 1].into()]).await
    }
}

#[tokio::test]
async fn a_pod_waits_until_the_plugin_was_told_of_it() {
    let world = World::new();
    let early = world.admit("open", "u1");
    tokio::pin!(early);
    let soon = tokio::time::timeout(Duration::from_millis(300), &mut early).await;
    assert!(soon.is_err(), "before policies are known nobody can say that there are none");
    world.known().await;
    early.await.unwrap();
    world.admit("closed", "u2").await.unwrap();
    assert_eq!(*world.sample.pods.lock().unwrap(), ["u1", "u2"]);
}

#[tokio::test]
async fn while_the_plugin_is_down_namespaces_with_policies_are_closed() {
    let world = World::new();
    world.sample.broken.store(true, Ordering::SeqCst);
    world.known().await;
    world.admit("open", "u1").await.unwrap();
    let refused = world.admit("closed", "u2").await.unwrap_err();
    assert_eq!(refused, "network policies are not in force (plugin sample): no rules today");
    world.sample.broken.store(false, Ordering::SeqCst);
    // Whatever the backoff is, the pod comes through once the plugin does.
    while world.admit("closed", "u2").await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(world.sample.resets.load(Ordering::SeqCst) >= 2, "a refusal makes a new instance");
    let mut told = world.sample.pods.lock().unwrap().clone();
    told.sort();
    told.dedup();
    assert_eq!(told, ["u1", "u2"], "it is told of everybody who came meanwhile");
}
