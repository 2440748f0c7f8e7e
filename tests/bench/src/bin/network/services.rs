//! From an endpoint that becomes ready, written to the store, to the first connection through the Service's address, and
//! from one that goes to the first refusal: the store, the node's balancer, `load-balancer-nftables` and `nft` on the way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use gantry_bench::component;
use gantry_control::bootstrap;
use gantry_model::{Kind, Kinds, core};
use gantry_node::balancer::{Balancer, Options};
use gantry_node::cluster::Local;
use gantry_objects::{Objects, Patch, WriteOptions};
use gantry_plugin::family::load_balancer::NodeInfo;
use gantry_store::{Sled, Store};
use gantry_tests::netns::{self, ip};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::spread;

const SIZES: [u32; 3] = [10, 1_000, 5_000];
const BACKEND: &str = "10.64.1.2";
/// Nothing takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn measure(plugins: &Path, data: &Path, runs: usize) -> Result<()> {
    // A pod, as far as the kernel is concerned.
    ip(&format!("address add {BACKEND}/32 dev lo"))?;
    let listener = TcpListener::bind((BACKEND, 8080)).await?;
    tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    let world = World::new().await?;
    let _balancer = world.balancer(plugins, data).await?;
    println!("{:52} {:>24} {:>24}", "one endpoint of one Service, ms", "to first connection", "to first refusal");
    let mut there = 0;
    for size in SIZES {
        for n in there..size {
            world.add(n).await?;
        }
        there = size;
        world.until(size - 1, true).await?;
        let (mut came, mut went) = (Vec::new(), Vec::new());
        for run in 0..runs * 4 {
            let service = u32::try_from(run)? * 7 % size;
            went.push(world.turn(service, false).await?);
            came.push(world.turn(service, true).await?);
        }
        println!("{:52} {:>24} {:>24}", format!("{size} Services"), spread(&mut came), spread(&mut went));
    }
    world.store.close().await;
    Ok(())
}

struct World {
    objects: Objects,
    store: Arc<dyn Store>,
    frontends: Arc<Kind>,
    slices: Arc<Kind>,
}

impl World {
    async fn new() -> Result<Self> {
        let store: Arc<dyn Store> = Arc::new(Sled::temporary()?);
        let kinds = Kinds::default();
        core::register(&kinds);
        let objects = Objects::new(store.clone(), kinds);
        bootstrap::run(&objects).await?;
        let kind = |group, kind| objects.kinds().by_kind(group, kind).with_context(|| format!("there is no {kind}"));
        let (frontends, slices) = (kind("gantry.dev", "Frontend")?, kind("discovery.k8s.io", "EndpointSlice")?);
        Ok(Self { objects, store, frontends, slices })
    }

    async fn balancer(&self, plugins: &Path, data: &Path) -> Result<Balancer> {
        let name = "load-balancer-nftables";
        let loaded = component::load(name, &plugins.join(format!("{name}.wasm")), data).await?;
        Ok(Balancer::start(Options {
            plugin: loaded.load_balancer().context("it is no load balancer")?,
            plugin_name: name.to_owned(),
            grants: loaded.grants().clone(),
            node: NodeInfo {
                name: "bench".to_owned(),
                addresses: vec![netns::ADDRESS.to_owned()],
                cluster_ranges: vec!["10.64.0.0/16".to_owned()],
                zone: String::new(),
            },
            cluster: Arc::new(Local::new(self.objects.clone())),
            proxy: None,
            data_dir: None,
            node_netns: None,
        }))
    }

    async fn add(&self, n: u32) -> Result<()> {
        let (name, labels) = (format!("s-{n}"), json!({"service": format!("s-{n}")}));
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "labels": labels},
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}], "endpoints": [endpoint(true)],
        });
        self.create(&self.slices, slice).await?;
        let frontend = json!({
            "apiVersion": "gantry.dev/v1alpha1", "kind": "Frontend", "metadata": {"name": name},
            "spec": {
                "class": "cluster", "addresses": [address(n).ip().to_string()], "ports": [{"name": "http", "port": 80}],
                "backends": {"selector": {"matchLabels": labels}},
            },
        });
        self.create(&self.frontends, frontend).await
    }

    async fn create(&self, kind: &Arc<Kind>, object: Value) -> Result<()> {
        self.objects.create(kind, "default", object, &WriteOptions::default()).await?;
        Ok(())
    }

    /// Makes a Service's endpoint ready or not, and waits until the kernel does as if. Milliseconds.
    async fn turn(&self, n: u32, ready: bool) -> Result<f64> {
        let patch = Patch::Merge(json!({"endpoints": [endpoint(ready)]}));
        let begun = Instant::now();
        self.objects.patch(&self.slices, "default", &format!("s-{n}"), patch, &WriteOptions::default()).await?;
        self.until(n, ready).await?;
        Ok(begun.elapsed().as_secs_f64() * 1e3)
    }

    /// Tries to connect, one attempt after the other: what nobody serves is refused at once.
    async fn until(&self, n: u32, reachable: bool) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(address(n)).await.is_ok() != reachable {
            ensure!(begun.elapsed() < PATIENCE, "waited in vain for Service {n}");
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

/// A virtual address of the plugin's default range.
fn address(n: u32) -> SocketAddr {
    let [_, _, high, low] = (n + 1).to_be_bytes();
    SocketAddr::from(([10, 96, high, low], 80))
}

fn endpoint(ready: bool) -> Value {
    json!({"addresses": [BACKEND], "nodeName": "bench", "conditions": {"ready": ready, "serving": ready}})
}
