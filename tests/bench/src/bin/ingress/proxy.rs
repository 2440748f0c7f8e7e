//! The node's proxy without a node around it.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use async_trait::async_trait;
use gantry_api::pki;
use gantry_model::Status;
use gantry_node::cluster::recorder::About;
use gantry_node::cluster::{SourceFeed, Wanted};
use gantry_node::proxy::{Identity, Options, Proxy, Secrets, Tell};
use gantry_plugin::family::network::Operation;
use gantry_plugin::family::proxy::{
    Action, Balance, Condition, HostKind, HostMatch, HttpVersion, Listener, Manner, PathKind, PathMatch, Pool, Rule,
    Weighted,
};
use serde_json::Value;

/// There are none, and nobody listens.
struct Nothing;

#[async_trait]
impl SourceFeed for Nothing {
    async fn next(&mut self) -> Result<Option<Vec<(String, String)>>, Status> {
        std::future::pending().await
    }
}

#[async_trait]
impl Secrets for Nothing {
    fn changes(&self, _wanted: Wanted) -> Box<dyn SourceFeed> {
        Box::new(Nothing)
    }

    async fn get(&self, _namespace: &str, _name: &str) -> Result<Option<Value>, Status> {
        Ok(None)
    }
}

impl Tell for Nothing {
    fn warn(&self, about: &About, reason: &str, message: &str) {
        eprintln!("{}: {reason}: {message}", about.name);
    }
}

/// One rule, as an Ingress makes it.
pub async fn start(port: u16, backends: &[u16]) -> Result<Proxy> {
    let pair = pki::self_signed(&["bench.invalid".to_owned()])?;
    let fallback = Identity::from_pem(pair.certificate.as_bytes(), pair.key.as_bytes()).map_err(|why| anyhow!(why))?;
    let (secrets, tell) = (Arc::new(Nothing), Arc::new(Nothing));
    let proxy = Proxy::start(Options { secrets, tell, fallback, connections: 4_096, access: None });
    let manner =
        Manner { version: HttpVersion::Http1, balance: Balance::RoundRobin, health_check: None, timeout_ms: 0 };
    let endpoints = backends.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    let (methods, headers, queries, sources) = Default::default();
    let condition = Condition {
        hosts: vec![HostMatch { kind: HostKind::Exact, value: super::HOST.to_owned() }],
        paths: vec![PathMatch { kind: PathKind::Prefix, value: "/".to_owned() }],
        methods,
        headers,
        queries,
        sources,
    };
    let action = Action::Forward(vec![Weighted { backend: "b".to_owned(), weight: 1 }]);
    let listener = Listener {
        name: "http".to_owned(),
        port,
        tls: false,
        certificates: Vec::new(),
        rules: vec![Rule { condition, action }],
        frontends: vec!["bench/f".to_owned()],
        access_log: false,
    };
    let pool = Operation::EnsurePool(Pool { name: "b".to_owned(), manner, endpoints });
    let whom = |id: &str| vec![About { name: id.to_owned(), ..About::default() }];
    proxy.apply("bench", &[pool, Operation::EnsureListener(listener)], &whom).await?;
    Ok(proxy)
}
