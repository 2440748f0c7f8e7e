//! One trait per plugin family: what the host's loops call. A WASM component and a policy compiled into a test both
//! stand behind them, and neither can tell. The types are those of `wit/`, and so are the rules of each call: see
//! `wit/*.wit`.

use async_trait::async_trait;
use bytes::Bytes;

use crate::Fault;

/// Errors, references, labels.
pub use crate::bindings::platform::gantry::plugin::types::{Error, ErrorCode, KindRef, Label, ObjectRef, RetryHint};

/// `wit/objects.wit`.
pub mod objects {
    pub use crate::bindings::platform::gantry::plugin::objects::{
        Deletion, Event, EventType, Patch, Precondition, Propagation, Query, Subresource, Write, Written,
    };
}

/// `wit/controller.wit`.
pub mod controller {
    pub use crate::bindings::controller::exports::gantry::plugin::controller::{Description, Mapping, Outcome, Watch};
}

/// `wit/admission.wit`.
pub mod admission {
    pub use crate::bindings::admission::exports::gantry::plugin::admission::{
        Cause, Decision, Denial, Description, Operation, Reason, Request, Rule, User, Verdict, WhenDown,
    };
}

/// `wit/scheduler.wit`.
pub mod scheduler {
    pub use crate::bindings::scheduler::exports::gantry::plugin::scheduler::{
        Assignment, Class, Delta, Dependency, Node, Policy, Question, Resources, Taint, TaintEffect, Verdict,
    };
}

/// `wit/network.wit` and `wit/plan.wit`.
pub mod network {
    pub use crate::bindings::network::exports::gantry::plugin::network::{
        Attached, Attachment, Detached, Lease, NodeInfo, Peer, PeerDelta, PortMapping, Protocol,
    };
    pub use crate::bindings::plans::gantry::plugin::plan::{
        Address, Bridge, KeptFlow, KeptFlows, KeptPeers, KeptRoutes, Operation, Place, Route, Sysctl, TunnelPeer, Veth,
        Vxlan,
    };

    /// Which family of plans must be granted for it.
    pub fn plan_family(operation: &Operation) -> &'static str {
        match operation {
            Operation::EnsureListener(_)
            | Operation::DeleteListener(_)
            | Operation::EnsurePool(_)
            | Operation::DeletePool(_)
            | Operation::KeepProxies(_) => "proxy",
            _ => "network",
        }
    }
}

/// `wit/routing.wit`, and what of `wit/plan.wit` is for proxies.
pub mod proxy {
    pub use crate::bindings::plans::gantry::plugin::plan::{Certificate, KeptProxies, Listener, Pool};
    pub use crate::bindings::plans::gantry::plugin::routing::{
        Action, Balance, Condition, FieldMatch, HealthCheck, HostKind, HostMatch, HttpVersion, Manner, PathKind,
        PathMatch, Redirect, Response, Rule, Weighted,
    };
}

/// `wit/load-balancer.wit`.
pub mod load_balancer {
    pub use crate::bindings::load_balancer::exports::gantry::plugin::load_balancer::{
        Backend, Backends, Certificate, Delta, Description, Endpoint, Frontend, Http, Listener, NodeInfo, Policy, Port,
        Protocol, Route,
    };
}

/// `wit/network-policy.wit`.
pub mod network_policy {
    pub use crate::bindings::network_policy::exports::gantry::plugin::network_policy::{
        Delta, NamedPort, Namespace, NodeInfo, Pod, Policy, PolicyRef, Protocol,
    };
}

/// `wit/discovery.wit`.
pub mod discovery {
    pub use crate::bindings::discovery::exports::gantry::plugin::discovery::{
        Change, Data, Delta, Description, Document, NodeInfo, Service, Source, Zone,
    };
}

/// `wit/sink.wit`.
pub mod sink {
    pub use crate::bindings::sink::exports::gantry::plugin::sink::{Batch, LogRecord, Origin, Outcome};
}

/// The outcome of a call into a plugin: two channels. `Err` is the host's finding about the plugin (trap, deadline,
/// limit), never an answer of the plugin; the plugin's own refusals are inside `T`.
pub type Call<T> = Result<T, Fault>;

/// What plugins may ask the host for (`wit/objects.wit`), already checked against grants. The control crate gives it.
#[async_trait]
pub trait Objects: Send + Sync + 'static {
    /// `objects.get`
    async fn get(&self, target: ObjectRef) -> Result<Vec<u8>, Error>;
    /// `objects.list`
    async fn list(&self, query: objects::Query) -> Result<Vec<u8>, Error>;
    /// `objects.apply`; one answer per write, in order.
    async fn apply(&self, writes: Vec<objects::Write>) -> Vec<Result<objects::Written, Error>>;
    /// `objects.record-events`
    async fn record_events(&self, events: Vec<objects::Event>);
}

/// `wit/controller.wit`. Calls may run at once, on different keys: an implementation hands them to its instances.
#[async_trait]
pub trait Controller: Send + Sync + 'static {
    /// What it watches.
    async fn describe(&self) -> Call<Result<controller::Description, Error>>;
    /// Keys that these objects concern.
    async fn map(&self, kind: KindRef, objects: Vec<Vec<u8>>) -> Call<Vec<Vec<ObjectRef>>>;
    /// One pass over each key.
    async fn reconcile(&self, now_ms: u64, keys: Vec<ObjectRef>) -> Call<Vec<controller::Outcome>>;
}

/// `wit/admission.wit`. Calls may run at once: an implementation hands them to its instances.
#[async_trait]
pub trait Admission: Send + Sync + 'static {
    /// Which writes it reviews. An error also when a rule is not granted.
    async fn describe(&self) -> Call<Result<admission::Description, Error>>;
    /// Verdicts, one per request.
    async fn review(&self, requests: &[admission::Request]) -> Call<Vec<admission::Verdict>>;
}

/// `wit/api.wit` and `wasi:http/incoming-handler`. Calls may run at once: an implementation hands them to its instances.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Whether it takes its configuration.
    async fn configure(&self) -> Call<Result<(), Error>>;
    /// Answers a request. Its body is whole, and so is the answer's.
    async fn handle(&self, request: http::Request<Bytes>) -> Call<http::Response<Bytes>>;
}

/// `wit/scheduler.wit`. One caller; stateful. After a `Fault` the caller calls `reset`, then `sync`s everything again.
#[async_trait]
pub trait Scheduler: Send + 'static {
    /// Drops the instance with its tables and makes a new, configured one. The first call.
    async fn reset(&mut self) -> Call<Result<scheduler::Policy, Error>>;
    /// Applies changes in order.
    async fn sync(&mut self, deltas: &[scheduler::Delta]) -> Call<Result<(), Error>>;
    /// Verdicts, one list per question.
    async fn evaluate(
        &mut self,
        questions: &[scheduler::Question],
    ) -> Call<Result<Vec<Vec<scheduler::Verdict>>, Error>>;
    /// Texts of reason codes.
    async fn reasons(&mut self, codes: &[u16]) -> Call<Vec<Vec<String>>>;
}

/// `wit/network.wit`. One caller; stateful. After a `Fault` the caller calls `reset` with the leases in force.
#[async_trait]
pub trait Network: Send + 'static {
    /// Drops the instance and makes a new one: `configure`, then `restore`. The first call.
    async fn reset(&mut self, node: network::NodeInfo, leases: Vec<network::Lease>) -> Call<Result<(), Error>>;
    /// What the node itself needs.
    async fn node(&mut self) -> Call<Result<Vec<network::Operation>, Error>>;
    /// What leads to other nodes: the plan of some changes, or of everything.
    async fn peers(
        &mut self,
        full: bool,
        deltas: Vec<network::PeerDelta>,
    ) -> Call<Result<Vec<network::Operation>, Error>>;
    /// Connects sandboxes.
    async fn add(&mut self, sandboxes: Vec<network::Attachment>) -> Call<Vec<Result<network::Attached, Error>>>;
    /// Disconnects sandboxes.
    async fn del(&mut self, sandboxes: Vec<network::Attachment>) -> Call<Vec<Result<network::Detached, Error>>>;
    /// Releases whatever belongs to none of these sandboxes.
    async fn gc(&mut self, alive: Vec<String>) -> Call<Result<network::Detached, Error>>;
    /// Ready?
    async fn status(&mut self) -> Call<Result<(), Error>>;
}

/// `wit/load-balancer.wit`. One caller; stateful. After a `Fault`, and after a plan that could not be applied, the caller
/// calls `reset`, then `sync`s everything again.
#[async_trait]
pub trait LoadBalancer: Send + 'static {
    /// Drops the instance with its tables and makes a new, configured one. The first call.
    async fn reset(&mut self, node: load_balancer::NodeInfo) -> Call<Result<load_balancer::Description, Error>>;
    /// What the node itself needs.
    async fn node(&mut self) -> Call<Result<Vec<network::Operation>, Error>>;
    /// The plan of some changes, or of everything.
    async fn sync(
        &mut self,
        full: bool,
        deltas: &[load_balancer::Delta],
    ) -> Call<Result<Vec<network::Operation>, Error>>;
}

/// `wit/network-policy.wit`. One caller; stateful. After a `Fault`, and after a plan that could not be applied, the caller
/// calls `reset`, then `sync`s everything again.
#[async_trait]
pub trait NetworkPolicy: Send + 'static {
    /// Drops the instance with its tables and makes a new, configured one. The first call.
    async fn reset(&mut self, node: network_policy::NodeInfo) -> Call<Result<(), Error>>;
    /// What the node itself needs.
    async fn node(&mut self) -> Call<Result<Vec<network::Operation>, Error>>;
    /// The plan of some changes, or of everything.
    async fn sync(
        &mut self,
        full: bool,
        deltas: &[network_policy::Delta],
    ) -> Call<Result<Vec<network::Operation>, Error>>;
}

/// `wit/discovery.wit`. One caller; stateful. After an error or a `Fault` the caller calls `reset`, then `sync`s everything
/// again.
#[async_trait]
pub trait Discovery: Send + 'static {
    /// Drops the instance with its tables and makes a new, configured one. The first call. An error also when the plugin
    /// wants to see a kind that it is not granted.
    async fn reset(&mut self, node: discovery::NodeInfo) -> Call<Result<discovery::Description, Error>>;
    /// What some changes, or everything, change in its records.
    async fn sync(&mut self, full: bool, deltas: &[discovery::Delta]) -> Call<Result<Vec<discovery::Change>, Error>>;
}

/// `wit/sink.wit`. One caller.
#[async_trait]
pub trait Sink: Send + 'static {
    /// Drops the instance and makes a new, configured one. The first call.
    async fn reset(&mut self) -> Call<Result<(), Error>>;
    /// Offers a batch.
    async fn write(&mut self, batch: &sink::Batch) -> Call<sink::Outcome>;
}
