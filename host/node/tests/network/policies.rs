//! NetworkPolicies by the stock plugin, on pods of the stock bridge: real sockets between pods of one node, from the node,
//! from outside and to it, while policies and labels change; from a pod's first packet on; over a restart.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use gantry_model::key::Resource;
use gantry_model::record::Draft;
use gantry_model::{Key, Status};
use gantry_node::cluster::{PodEvent, PodFeed, PodRef};
use gantry_node::network::netns::within;
use gantry_node::network::{Leavings, Plugged, clean};
use gantry_node::policy::{Options, PodGuard, Policies};
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::network_policy::{Delta, NodeInfo, Pod, Policy, Protocol};
use gantry_plugin::family::{Error, KindRef, Label};
use gantry_plugin::{Call, Effective, Grants, NetworkPolicy};
use gantry_sdk::network_policy as sdk;
use sdk::NetworkPolicy as _;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::native::{error, operation};
use crate::sockets::{run, serve};
use crate::world::{NODE, OUTSIDE, World, attach};

/// How long a test waits for what takes a moment.
const PATIENCE: Duration = Duration::from_secs(20);

/// The stock plugin, natively.
#[derive(Default)]
struct Native(network_policy::Policies);

#[async_trait]
impl NetworkPolicy for Native {
    async fn reset(&mut self, node: NodeInfo) -> Call<Result<(), Error>> {
        let NodeInfo { name, addresses, cluster_ranges } = node;
        self.0 = network_policy::Policies::default();
        let node = sdk::NodeInfo { name, addresses, cluster_ranges };
        Ok(self.0.configure(gantry_sdk::Config::from_text("{}"), node).map_err(error))
    }

    async fn node(&mut self) -> Call<Result<Vec<Operation>, Error>> {
        Ok(self.0.node().map(|plan| plan.into_iter().map(operation).collect()).map_err(error))
    }

    async fn sync(&mut self, full: bool, deltas: &[Delta]) -> Call<Result<Vec<Operation>, Error>> {
        let plan = self.0.sync(full, deltas.iter().cloned().map(delta).collect());
        Ok(plan.map(|plan| plan.into_iter().map(operation).collect()).map_err(error))
    }
}

fn labels(labels: Vec<Label>) -> Vec<gantry_sdk::Label> {
    labels.into_iter().map(|label| gantry_sdk::Label { key: label.key, value: label.value }).collect()
}

fn delta(given: Delta) -> sdk::Delta {
    let kind = |kind: KindRef| gantry_sdk::KindRef { group: kind.group, kind: kind.kind };
    match given {
        Delta::PodSet(given) => sdk::Delta::PodSet(pod(given)),
        Delta::PodGone(id) => sdk::Delta::PodGone(id),
        Delta::NamespaceSet(n) => sdk::Delta::NamespaceSet(sdk::Namespace { name: n.name, labels: labels(n.labels) }),
        Delta::NamespaceGone(name) => sdk::Delta::NamespaceGone(name),
        Delta::PolicySet(Policy { kind: of, namespace, name, spec }) => {
            sdk::Delta::PolicySet(sdk::Policy { kind: kind(of), namespace, name, spec })
        }
        Delta::PolicyGone(p) => {
            sdk::Delta::PolicyGone(sdk::PolicyRef { kind: kind(p.kind), namespace: p.namespace, name: p.name })
        }
    }
}

fn pod(given: Pod) -> sdk::Pod {
    let protocol = |protocol| match protocol {
        Protocol::Tcp => sdk::Protocol::Tcp,
        Protocol::Udp => sdk::Protocol::Udp,
        Protocol::Sctp => sdk::Protocol::Sctp,
    };
    let ports = given.ports.into_iter();
    sdk::Pod {
        ports: ports.map(|p| sdk::NamedPort { name: p.name, protocol: protocol(p.protocol), port: p.port }).collect(),
        id: given.id,
        namespace: given.namespace,
        name: given.name,
        labels: labels(given.labels),
        addresses: given.addresses,
        local: given.local,
        host_network: given.host_network,
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

/// A node with pods and policies.
struct Guarded {
    world: World,
    network: Plugged,
    policies: Option<Policies>,
    feeds: [mpsc::Sender<Vec<PodEvent>>; 3],
    /// Plurals, names and objects.
    objects: Vec<(usize, String, Value)>,
}

const PLURALS: [&str; 3] = ["pods", "namespaces", "networkpolicies"];

impl Guarded {
    async fn new() -> Self {
        let world = World::new().await;
        let network = world.start().await;
        run(&world.outside, &format!("ip route add 10.64.0.0/16 via {NODE}")).await;
        serve(&world.outside, 80).await;
        let (feeds, _) = feeds();
        let mut guarded = Self { world, network, policies: None, feeds, objects: Vec::new() };
        for (name, project) in [("shop", "shop"), ("lab", "lab")] {
            let labels = json!({"project": project});
            guarded.put(1, json!({"kind": "Namespace", "metadata": {"name": name, "labels": labels}})).await;
        }
        guarded.start().await;
        guarded
    }

    /// Starts the policies with all objects as they are now.
    async fn start(&mut self) {
        let (senders, [pods, namespaces, policies]) = feeds();
        self.feeds = senders;
        for (number, feed) in self.feeds.iter().enumerate() {
            let all = self.objects.iter().filter(|(of, ..)| *of == number);
            let all = all.map(|(_, _, object)| record(number, object)).collect();
            feed.send(vec![PodEvent::Snapshot(all)]).await.unwrap();
        }
        let grants =
            Grants { plans: vec!["network".into()], tables: vec!["gantry-policy".into()], ..Grants::default() };
        let kind = KindRef { group: "networking.k8s.io".into(), kind: "NetworkPolicy".into() };
        let options = Options {
            plugin: Box::new(Native::default()),
            plugin_name: "policy".into(),
            grants: Effective::new(grants.clone(), grants),
            node: NodeInfo {
                name: "n1".into(),
                addresses: vec![NODE.into()],
                cluster_ranges: vec!["10.64.0.0/16".into()],
            },
            pods: Box::new(pods),
            namespaces: Box::new(namespaces),
            policies: vec![(kind, Box::new(policies))],
            data_dir: None,
            node_netns: Some(self.world.node.clone()),
        };
        self.policies = Some(Policies::start(options));
    }

    async fn put(&mut self, number: usize, object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let event = PodEvent::Applied(record(number, &object));
        self.objects.retain(|(of, known, _)| (*of, known) != (number, &name));
        self.objects.push((number, name, object));
        let _ = self.feeds[number].send(vec![event]).await;
    }

    async fn policy(&mut self, name: &str, spec: Value) {
        let metadata = json!({"name": name, "namespace": "shop"});
        self.put(2, json!({"kind": "NetworkPolicy", "metadata": metadata, "spec": spec})).await;
    }

    async fn no_policy(&mut self, name: &str) {
        let at = self.objects.iter().position(|(of, known, _)| *of == 2 && known == name).unwrap();
        let (_, _, object) = self.objects.remove(at);
        self.feeds[2].send(vec![PodEvent::Gone(record(2, &object))]).await.unwrap();
    }

    async fn label(&mut self, namespace: &str, name: &str, address: &str, app: &str) {
        let object = object(namespace, name, address, app);
        self.put(0, object).await;
    }

    /// A pod with a network, admitted, that serves ports 80 and 81.
    async fn pod(&mut self, namespace: &str, name: &str, ports: &[(u16, u16)]) -> String {
        let address = attach(&self.network, name, ports).await;
        self.admit(namespace, name, &address).await;
        for port in [80, 81] {
            serve(&self.world.pod(name), port).await;
        }
        self.label(namespace, name, &address, name).await;
        address
    }

    async fn admit(&self, namespace: &str, name: &str, address: &str) {
        let pod = serde_json::from_value(object(namespace, name, address, name)).unwrap();
        let key = PodRef { namespace: namespace.into(), name: name.into(), uid: name.into() };
        self.policies.as_ref().unwrap().admit(&key, &pod, &[address.parse().unwrap()]).await.unwrap();
    }

    fn place(&self, who: &str) -> std::path::PathBuf {
        match who {
            "node" => self.world.node.clone(),
            "outside" => self.world.outside.clone(),
            pod => self.world.pod(pod),
        }
    }

    /// Waits until exactly these of all pairs reach each other: `web>db:80`.
    async fn until(&self, what: &str, pairs: &[(&str, &str, u16, bool)]) {
        let begun = Instant::now();
        loop {
            let mut wrong = Vec::new();
            for (from, to, port, wanted) in pairs {
                let reached = reaches(&self.place(from), to, *port).await;
                if reached != *wanted {
                    wrong.push(format!("{from} > {to}:{port} {reached}"));
                }
            }
            if wrong.is_empty() {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let rules = run(&self.world.node, "nft list table inet gantry-policy").await;
                panic!("{what}: {wrong:#?}\n{rules}");
            }
        }
    }
}

type Senders = [mpsc::Sender<Vec<PodEvent>>; 3];

fn feeds() -> (Senders, [Feed; 3]) {
    let [a, b, c] = [mpsc::channel(64), mpsc::channel(64), mpsc::channel(64)];
    ([a.0, b.0, c.0], [Feed(a.1), Feed(b.1), Feed(c.1)])
}

fn record(number: usize, object: &Value) -> Arc<gantry_model::Record> {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    let key = Key::new(Resource::new("", PLURALS[number]), &text("namespace"), &text("name"));
    Arc::new(Draft::new(key, object.clone(), &[]).commit(1))
}

fn object(namespace: &str, name: &str, address: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": name, "labels": {"app": app}},
        "spec": {"nodeName": "n1", "containers": [
            {"name": "c", "image": "i", "ports": [{"name": "http", "containerPort": 80}]},
        ]},
        "status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]},
    })
}

async fn reaches(place: &Path, to: &str, port: u16) -> bool {
    let to = SocketAddr::new(to.parse().unwrap(), port);
    within(Some(place), move || TcpStream::connect_timeout(&to, Duration::from_millis(250))).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_hold_for_real_packets() {
    let mut node = Guarded::new().await;
    let web = node.pod("shop", "web", &[(8080, 80)]).await;
    let db = node.pod("shop", "db", &[]).await;
    let probe = node.pod("lab", "probe", &[]).await;
    let (web, db, probe) = (web.as_str(), db.as_str(), probe.as_str());
    let all = [("db", web, 80, true), ("probe", web, 81, true), ("node", web, 80, true), ("outside", web, 80, true)];
    node.until("without policies everybody talks", &all).await;

    node.policy("deny", json!({"podSelector": {"matchLabels": {"app": "web"}}})).await;
    let denied = [
        ("db", web, 80, false),
        ("probe", web, 80, false),
        ("outside", web, 80, false),
        ("outside", NODE, 8080, false),
        ("db", NODE, 8080, false),
        ("node", web, 80, true),
        ("web", db, 80, true),
        ("web", OUTSIDE, 80, true),
        ("web", web, 80, true),
        ("web", NODE, 8080, true),
        ("db", probe, 80, true),
    ];
    node.until("default deny: neighbours on the bridge, other namespaces, outside; not probes, not answers", &denied)
        .await;

    let from = |peer: Value, ports: Value| json!({"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": [peer], "ports": ports}]});
    node.policy("allow", from(json!({"podSelector": {"matchLabels": {"app": "db"}}}), json!([{"port": "http"}]))).await;
    let by_label = [("db", web, 80, true), ("db", web, 81, false), ("probe", web, 80, false), ("db", NODE, 8080, true)];
    node.until("by label and by a port's name, also by way of the node's port", &by_label).await;
    node.label("shop", "db", db, "other").await;
    node.until("another label closes", &[("db", web, 80, false)]).await;
    node.label("shop", "db", db, "db").await;
    node.until("the label opens again", &[("db", web, 80, true)]).await;

    node.policy("allow", from(json!({"namespaceSelector": {"matchLabels": {"project": "lab"}}}), json!([]))).await;
    node.until("by namespace", &[("probe", web, 81, true), ("db", web, 80, false)]).await;
    node.put(1, json!({"kind": "Namespace", "metadata": {"name": "lab", "labels": {"project": "other"}}})).await;
    node.until("a namespace's labels change", &[("probe", web, 81, false)]).await;

    let block = |except: Value| json!({"ipBlock": {"cidr": "192.0.2.0/24", "except": except}});
    node.policy("allow", from(block(json!([])), json!([{"port": 80, "endPort": 81}]))).await;
    node.until("by range", &[("outside", web, 81, true), ("outside", NODE, 8080, true), ("db", web, 80, false)]).await;
    node.policy("allow", from(block(json!(["192.0.2.2/31"])), json!([]))).await;
    node.until("except", &[("outside", web, 81, false), ("node", web, 80, true)]).await;

    let egress = json!({
        "podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Egress"],
        "egress": [{"to": [{"podSelector": {}}], "ports": [{"port": 80}]}],
    });
    node.policy("out", egress).await;
    node.no_policy("deny").await;
    node.no_policy("allow").await;
    let out = [("db", web, 80, true), ("db", web, 81, false), ("db", OUTSIDE, 80, false), ("db", probe, 80, false)];
    node.until("what leaves a pod", &out).await;
    node.until("and what reaches it", &[("probe", db, 81, true), ("db", "10.64.1.1", 22, false)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_pod_is_closed_from_its_first_packet_and_a_restart_opens_nothing() {
    let mut node = Guarded::new().await;
    node.policy("deny", json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]})).await;
    let probe = node.pod("lab", "probe", &[]).await;
    for name in ["one", "two", "three"] {
        let address = attach(&node.network, name, &[]).await;
        node.admit("shop", name, &address).await;
        serve(&node.world.pod(name), 80).await;
        assert!(!reaches(&node.place("probe"), &address, 80).await, "{name} was open");
        assert!(!reaches(&node.place(name), &probe, 80).await, "{name} could leave");
        assert!(reaches(&node.place("node"), &address, 80).await, "probes of the node reach {name}");
        node.label("shop", name, &address, name).await;
    }
    let before = run(&node.world.node, "nft list ruleset").await;
    let one = node.objects.iter().find(|(_, name, _)| name == "one").unwrap().2["status"]["podIP"].clone();
    let one = one.as_str().unwrap().to_owned();
    node.policies = None;
    assert!(!reaches(&node.place("probe"), &one, 80).await, "rules stay while nobody is there");
    node.start().await;
    // Open at no moment of the start, which the next admission ends.
    let prober = node.place("probe");
    {
        let admitted = node.admit("shop", "one", &one);
        tokio::pin!(admitted);
        loop {
            tokio::select! {
                () = &mut admitted => break,
                open = reaches(&prober, &one, 80) => assert!(!open, "open while it starts"),
            }
        }
    }
    let lines = |rules: &str| {
        let mut lines: Vec<String> = rules.lines().map(|line| line.trim().to_owned()).collect();
        lines.sort();
        lines
    };
    let after = run(&node.world.node, "nft list ruleset").await;
    assert_eq!(lines(&after).len(), lines(&before).len(), "{before}\n{after}");
    let key = PodRef { namespace: "shop".into(), name: "one".into(), uid: "one".into() };
    node.policies.as_ref().unwrap().forget(&key).await;
    node.until("a pod without addresses has no rules", &[("probe", &one, 80, true)]).await;
    node.policies = None;
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (links, tables) = (names(&["gtr"]), names(&["gantry-bridge", "gantry-policy"]));
    let leavings = Leavings {
        netns_dir: &node.world.pods(),
        data_dir: &node.world.data(),
        links: &links,
        tables: &tables,
        node_netns: Some(&node.world.node),
    };
    clean(&leavings).await.unwrap();
    assert_eq!(run(&node.world.node, "nft list tables").await, "", "a clean node has no table of ours");
}
