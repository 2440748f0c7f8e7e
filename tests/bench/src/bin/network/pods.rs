//! A pod's link and address: `network-bridge` in the host, and Debian's `bridge` with `host-local`, in turns.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use async_trait::async_trait;
use gantry_bench::component;
use gantry_model::Status;
use gantry_node::cluster::{PodEvent, PodFeed};
use gantry_node::network::{Options, Plugged, PodNetwork, SandboxNet};
use gantry_plugin::family::network::NodeInfo;
use gantry_tests::netns::{self, ip};
use serde_json::json;

use crate::spread;

/// Where Debian has the reference plugins.
const CNI: &str = "/usr/lib/cni";
/// Pods in each turn.
const PODS: usize = 20;

pub async fn measure(plugins: &Path, data: &Path, runs: usize) -> Result<()> {
    let ours = plugged(plugins, data).await?;
    let cni = Cni::new(data);
    let [mut add, mut del, mut cni_add, mut cni_del] = [const { Vec::new() }; 4];
    for run in 0..runs {
        for n in 0..PODS {
            let sandbox = sandbox(run, n);
            let begun = Instant::now();
            ours.attach(&sandbox).await?;
            add.push(millis(begun));
            if let Some(cni) = &cni {
                cni_add.push(cni.add(&sandbox.id)?);
            }
        }
        for n in 0..PODS {
            let sandbox = sandbox(run, n);
            let begun = Instant::now();
            ours.detach(&sandbox.id).await?;
            del.push(millis(begun));
            if let Some(cni) = &cni {
                cni_del.push(cni.del(&sandbox.id)?);
            }
        }
    }
    println!("{:52} {:>24} {:>24}", "a pod's link and address, ms", "add", "delete");
    println!("{:52} {:>24} {:>24}", "network-bridge, with its network namespace", spread(&mut add), spread(&mut del));
    match cni {
        Some(_) => println!(
            "{:52} {:>24} {:>24}",
            "CNI bridge and host-local, without it",
            spread(&mut cni_add),
            spread(&mut cni_del)
        ),
        None => println!("no {CNI}/bridge: not compared (`apt-get install containernetworking-plugins`)"),
    }
    println!();
    Ok(())
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}

fn sandbox(run: usize, n: usize) -> SandboxNet {
    let id = format!("bench-{}-{run}-{n}", std::process::id());
    SandboxNet { uid: id.clone(), pod: id.clone(), id, namespace: "bench".to_owned(), ports: Vec::new() }
}

async fn plugged(plugins: &Path, data: &Path) -> Result<Plugged> {
    let loaded = component::load("network-bridge", &plugins.join("network-bridge.wasm"), data).await?;
    let node = NodeInfo {
        name: "bench".to_owned(),
        pod_ranges: vec!["10.64.1.0/24".to_owned()],
        cluster_ranges: vec!["10.64.0.0/16".to_owned()],
        addresses: vec![netns::ADDRESS.to_owned()],
        mtu: 0,
    };
    let options = Options {
        plugin: loaded.network().context("network-bridge is no network")?,
        plugin_name: loaded.name().to_owned(),
        grants: loaded.grants().clone(),
        node,
        nodes: Box::new(Alone(false)),
        data_dir: data.join("network"),
        netns_dir: data.join("netns"),
        node_netns: None,
    };
    let network = Plugged::start(options).await;
    network.status().await?;
    Ok(network)
}

/// No other nodes.
struct Alone(bool);

#[async_trait]
impl PodFeed for Alone {
    async fn next(&mut self) -> Result<Vec<PodEvent>, Status> {
        if std::mem::replace(&mut self.0, true) {
            std::future::pending().await
        }
        Ok(vec![PodEvent::Snapshot(Vec::new())])
    }
}

/// The reference plugins, driven as a runtime drives them.
struct Cni {
    config: String,
    program: PathBuf,
}

impl Cni {
    fn new(data: &Path) -> Option<Self> {
        let program = Path::new(CNI).join("bridge");
        let addresses = json!({"type": "host-local", "subnet": "10.65.1.0/24", "dataDir": data.join("cni")});
        let config = json!({
            "cniVersion": "0.4.0", "name": "bench", "type": "bridge", "bridge": "cni-bench", "isGateway": true, "ipam": addresses,
        });
        program.exists().then(|| Self { config: config.to_string(), program })
    }

    fn add(&self, id: &str) -> Result<f64> {
        ip(&format!("netns add {id}"))?;
        self.call("ADD", id)
    }

    fn del(&self, id: &str) -> Result<f64> {
        let took = self.call("DEL", id);
        ip(&format!("netns delete {id}"))?;
        took
    }

    /// One call, in milliseconds.
    fn call(&self, verb: &str, id: &str) -> Result<f64> {
        let begun = Instant::now();
        let mut child = Command::new(&self.program)
            .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", id), ("CNI_IFNAME", "eth0"), ("CNI_PATH", CNI)])
            .env("CNI_NETNS", format!("/run/netns/{id}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().context("no stdin")?, self.config.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "CNI {verb}: {}", String::from_utf8_lossy(&output.stdout));
        Ok(millis(begun))
    }
}
